//! Errors, one type per family of operations.

use ipnet::IpNet;

use crate::id::IdentityId;

/// A text that is no identity number and no reserved name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseIdentityError {
    /// Neither a number nor a reserved name.
    #[error("`{text}` is neither an identity number nor a reserved name such as `world`")]
    Unknown {
        /// What was given.
        text: String,
    },
}

/// A text that is no label, or a label that its author may not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseLabelError {
    /// The source is empty, too long, or has characters other than letters and digits.
    #[error("label source `{source_text}` must be 1 to 63 letters or digits")]
    Source {
        /// The source as given.
        source_text: String,
    },
    /// The key is empty, too long (512 bytes), or contains `=`, `,`, white space or control characters.
    #[error(
        "label key `{key}` must be 1 to 512 bytes without `=`, `,`, white space or control characters"
    )]
    Key {
        /// The key as given.
        key: String,
    },
    /// The value is too long (4,096 bytes), or contains `,` or control characters.
    #[error(
        "value `{value}` of label `{key}` must be at most 4096 bytes without `,` or control characters"
    )]
    Value {
        /// The key of the label.
        key: String,
        /// The value as given.
        value: String,
    },
    /// A label of a workload that breaks the Kubernetes syntax of labels.
    #[error("label `{key}={value}` is no Kubernetes label: {reason}")]
    Kubernetes {
        /// The key as given.
        key: String,
        /// The value as given.
        value: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// A workload tried to set a label that only the orchestrator may set.
    #[error("label `{key}` is set by the orchestrator and may not come from a workload; remove it")]
    Trusted {
        /// The key as given.
        key: String,
    },
}

/// A selector, or a part of one, that breaks the rules of its text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseSelectorError {
    /// The key is no label key.
    #[error("selector key `{key}` is refused: {reason}")]
    Key {
        /// The key as given.
        key: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// A value is no label value.
    #[error("selector value `{value}` of key `{key}` is refused: {reason}")]
    Value {
        /// The key it stands beside.
        key: String,
        /// The value as given.
        value: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// The operator is none of the four.
    #[error("operator `{operator}` of key `{key}` is none of In, NotIn, Exists, DoesNotExist")]
    Operator {
        /// The key it stands beside.
        key: String,
        /// The operator as given.
        operator: String,
    },
    /// `In` and `NotIn` need at least one value.
    #[error("operator {operator} of key `{key}` needs at least one value")]
    NoValues {
        /// The key it stands beside.
        key: String,
        /// The operator.
        operator: &'static str,
    },
    /// `Exists` and `DoesNotExist` take no values.
    #[error("operator {operator} of key `{key}` takes no values")]
    Values {
        /// The key it stands beside.
        key: String,
        /// The operator.
        operator: &'static str,
    },
    /// The text form of a selector is broken.
    #[error("`{text}` is no selector term: {reason}")]
    Term {
        /// The term as given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// A label filter that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseFilterError {
    /// A pattern without a key prefix, or with characters that no label has.
    #[error(
        "`{pattern}` is no label pattern; write `prefix`, `source:prefix` or, to leave labels out, `!prefix`"
    )]
    Pattern {
        /// The pattern as given.
        pattern: String,
    },
}

/// An identity that cannot be given, fixed or released.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AllocateError {
    /// Every number of the probe sequence is taken.
    #[error(
        "no identity number is left for the labels `{labels}`; release identities or lower the number of distinct label sets with a label filter"
    )]
    Exhausted {
        /// The labels that asked for a number.
        labels: String,
    },
    /// The number names other labels.
    #[error("identity {id} names `{held}` and cannot name `{wanted}` at the same time")]
    Taken {
        /// The number.
        id: IdentityId,
        /// The labels that it names, or named until a moment ago.
        held: String,
        /// The labels that were to be named.
        wanted: String,
    },
    /// Nothing has this number.
    #[error("identity {id} is not in the registry")]
    Unknown {
        /// The number.
        id: IdentityId,
    },
    /// The block of a local identity is not usable as a label.
    #[error("no label can be made of the block `{block}`")]
    Block {
        /// The block.
        block: IpNet,
    },
}

/// A claim on a prefix that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrefixError {
    /// The owner has already made a newer claim.
    #[error(
        "generation {given} of the claim on `{prefix}` is older than {held}, which is in force"
    )]
    Stale {
        /// The prefix.
        prefix: IpNet,
        /// The generation of this claim.
        given: u64,
        /// The generation in force.
        held: u64,
    },
}

//! Selectors: which identities a rule speaks of.

use std::fmt;
use std::sync::Arc;

use crate::error::ParseSelectorError;
use crate::labels::Labels;
use crate::selector_key::{SelectorKey, check_label_value};

/// What a term asks of the label its key finds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// The label is there with this value (`matchLabels`).
    Equals(Arc<str>),
    /// The label is there with one of these values.
    In(Arc<[Arc<str>]>),
    /// The label is absent, or has none of these values.
    NotIn(Arc<[Arc<str>]>),
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

/// One term of a selector.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    /// Which label is looked at: the first one, in the order of [`Labels`], that the key fits.
    pub key: SelectorKey,
    /// What is asked of it.
    pub operator: Operator,
}

impl Requirement {
    /// A term.
    #[must_use]
    pub fn new(key: SelectorKey, operator: Operator) -> Self {
        Self { key, operator }
    }

    /// The label is there with this value.
    #[must_use]
    pub fn equals(key: SelectorKey, value: &str) -> Self {
        Self::new(key, Operator::Equals(value.into()))
    }

    /// The label is there.
    #[must_use]
    pub fn exists(key: SelectorKey) -> Self {
        Self::new(key, Operator::Exists)
    }

    /// The label is absent.
    #[must_use]
    pub fn does_not_exist(key: SelectorKey) -> Self {
        Self::new(key, Operator::DoesNotExist)
    }

    /// A `matchLabels` line, with the syntax of key and value checked.
    ///
    /// # Errors
    ///
    /// When key or value break the rules of [`SelectorKey`] or of Kubernetes label values.
    pub fn parse_label(key: &str, value: &str) -> Result<Self, ParseSelectorError> {
        let parsed = key.parse()?;
        check_value(key, value)?;
        Ok(Self::equals(parsed, value))
    }

    /// A `matchExpressions` element, with its syntax checked. Operators are case sensitive.
    ///
    /// # Errors
    ///
    /// As [`Requirement::parse_label`]; also for an unknown operator, `In` and `NotIn` without
    /// values, and `Exists` and `DoesNotExist` with some.
    pub fn parse_expression<V: AsRef<str>>(
        key: &str,
        operator: &str,
        values: &[V],
    ) -> Result<Self, ParseSelectorError> {
        let parsed = key.parse()?;
        for value in values {
            check_value(key, value.as_ref())?;
        }
        let listed = || {
            let mut listed: Vec<Arc<str>> = values
                .iter()
                .map(|value| Arc::from(value.as_ref()))
                .collect();
            listed.sort();
            listed.dedup();
            Arc::from(listed)
        };
        let key = key.to_owned();
        let operator = match (operator, values.is_empty()) {
            ("In", false) => Operator::In(listed()),
            ("NotIn", false) => Operator::NotIn(listed()),
            ("Exists", true) => Operator::Exists,
            ("DoesNotExist", true) => Operator::DoesNotExist,
            ("In", true) => {
                return Err(ParseSelectorError::NoValues {
                    key,
                    operator: "In",
                });
            }
            ("NotIn", true) => {
                return Err(ParseSelectorError::NoValues {
                    key,
                    operator: "NotIn",
                });
            }
            ("Exists", false) => {
                return Err(ParseSelectorError::Values {
                    key,
                    operator: "Exists",
                });
            }
            ("DoesNotExist", false) => {
                return Err(ParseSelectorError::Values {
                    key,
                    operator: "DoesNotExist",
                });
            }
            (other, _) => {
                return Err(ParseSelectorError::Operator {
                    key,
                    operator: other.to_owned(),
                });
            }
        };
        Ok(Self::new(parsed, operator))
    }

    /// Does the term hold for these labels? Allocates nothing.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let found = labels.first_fit(&self.key);
        let among = |values: &[Arc<str>]| {
            found.is_some_and(|label| values.iter().any(|v| **v == *label.value()))
        };
        match &self.operator {
            Operator::Equals(value) => found.is_some_and(|label| **value == *label.value()),
            Operator::In(values) => among(values),
            Operator::NotIn(values) => !among(values),
            Operator::Exists => found.is_some(),
            Operator::DoesNotExist => found.is_none(),
        }
    }
}

fn check_value(key: &str, value: &str) -> Result<(), ParseSelectorError> {
    check_label_value(value).map_err(|reason| ParseSelectorError::Value {
        key: key.to_owned(),
        value: value.to_owned(),
        reason,
    })
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.operator {
            Operator::Equals(value) => write!(f, "{key}={value}"),
            Operator::In(values) => write!(f, "{key} in ({})", values.join(",")),
            Operator::NotIn(values) => write!(f, "{key} notin ({})", values.join(",")),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
        }
    }
}

/// Terms that must all hold; no term at all selects everybody.
///
/// The terms are kept in one order, without repetition, so that selectors that ask the same
/// in another order are equal. Cheap to clone. The rules of the text are those of Cilium's
/// `EndpointSelector`; see [`SelectorKey`]. The text form is that of `kubectl -l`:
/// `app=a,env in (dev,prod),!legacy`; the selector of everybody is `*`.
///
/// ```
/// use porin_identity::{Labels, Selector};
/// let selector: Selector = "role=frontend,env notin (dev)".parse()?;
/// let labels: Labels = "k8s:role=frontend,k8s:env=prod".parse()?;
/// assert!(selector.matches(&labels));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(Arc<[Requirement]>);

impl Selector {
    /// The selector of everybody.
    #[must_use]
    pub fn everything() -> Self {
        Self(Arc::from([]))
    }

    /// A selector of terms.
    #[must_use]
    pub fn from_parts(requirements: impl IntoIterator<Item = Requirement>) -> Self {
        let mut requirements: Vec<Requirement> = requirements.into_iter().collect();
        requirements.sort();
        requirements.dedup();
        Self(requirements.into())
    }

    /// The terms, in order.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }

    /// Has no term, so selects everybody.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Do all terms hold for these labels? Allocates nothing.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }

    /// This selector and one more term.
    #[must_use]
    pub fn with(&self, requirement: Requirement) -> Self {
        Self::from_parts(self.0.iter().cloned().chain([requirement]))
    }

    /// Does a term, of any operator, name this key in this source or in every source?
    #[must_use]
    pub fn mentions(&self, source: &str, key: &str) -> bool {
        self.0
            .iter()
            .any(|requirement| requirement.key.covers(source, key))
    }

    /// Does a term, of any operator, name a key of exactly this source?
    #[must_use]
    pub fn mentions_source(&self, source: &str) -> bool {
        self.0
            .iter()
            .any(|requirement| requirement.key.source() == source)
    }
}

impl Default for Selector {
    fn default() -> Self {
        Self::everything()
    }
}

impl FromIterator<Requirement> for Selector {
    fn from_iter<I: IntoIterator<Item = Requirement>>(requirements: I) -> Self {
        Self::from_parts(requirements)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_everything() {
            return f.write_str("*");
        }
        for (place, requirement) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Selector({self})")
    }
}

//! The codes of findings, what they are called, and how bad they are.

use std::fmt;

/// What a finding is about. The numbers are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Code {
    /// PL001: a rule list that is there and empty closes nothing in Cilium.
    EmptyRuleList,
    /// PL002: a peer selector without a namespace means the policy's own, where nobody fits it.
    NamespaceScope,
    /// PL003: another allowance covers all of this one and more.
    ShadowedAllow,
    /// PL004: an allowance of the ports alone lets past what L7 rules should judge.
    L7Dissolved,
    /// PL005: a header value that looks like a pattern is compared as it stands.
    HeaderPattern,
    /// PL006: another L7 rule covers all of this one and more.
    L7Shadowed,
    /// PL010: a selector fits nobody in the world.
    NobodyFits,
    /// PL011: a denial covers all of an allowance.
    DeniedAnyway,
    /// PL012: a rule is never asked, or speaks of nobody.
    UnreachableRule,
    /// PL013: a port name that nobody it could be asked of has.
    UnknownPortName,
    /// PL014: a block holds addresses of workloads, which it does not speak of.
    BlockOfWorkloads,
    /// PL015: an HTTP expression fits less or more than it seems to.
    HttpExpression,
    /// PL016: L7 rules on a port that another rule opens wholly for some of their peers, or before
    /// they are asked.
    L7Bypassed,
    /// PL017: default deny is switched on or left off where the text does not look like it.
    DefaultDenyFlip,
    /// PL018: something that the client chooses is asked for as if it proved who it is.
    ClaimedIdentity,
    /// PL019: a selector of absences alone picks the world and the nodes too.
    NegativeSelector,
    /// PL020: another rule says the same.
    RedundantRule,
    /// PL021: a selector of CIDR groups picks more than groups in Cilium.
    GroupSelector,
    /// PL022: an empty list of names, services or groups is everybody in Cilium.
    UnnamedPeers,
    /// PL023: a denial that names neither peers nor ports denies nothing.
    VoidDenial,
    /// PL024: a range of ports is none, or not the one that is written.
    PortRange,
    /// PL025: ICMP type 0 is every type in Cilium.
    IcmpZero,
    /// PL026: names are allowed whose addresses nobody will ever learn.
    NamesUnlearned,
    /// PL027: a star glued to a domain fits the domains of strangers.
    NamePattern,
    /// PL028: `policyTypes` leaves out a direction that has rules.
    PolicyTypesLeftOut,
    /// PL029: an empty rule is everybody in a NetworkPolicy and nobody in the Cilium kinds.
    EmptyRule,
    /// PL030: rules of one priority decide differently, in no order.
    EqualPriority,
    /// PL031: a proxy for everybody takes away the authentication of some in Cilium.
    AuthenticationLost,
    /// PL032: a plain allowance gets the server names of another one.
    ServerNamesMerged,
    /// PL033: a later document of the same name replaces this one.
    ReplacedDocument,
}

impl Code {
    /// All codes, in order.
    pub const ALL: [Self; 30] = [
        Self::EmptyRuleList,
        Self::NamespaceScope,
        Self::ShadowedAllow,
        Self::L7Dissolved,
        Self::HeaderPattern,
        Self::L7Shadowed,
        Self::NobodyFits,
        Self::DeniedAnyway,
        Self::UnreachableRule,
        Self::UnknownPortName,
        Self::BlockOfWorkloads,
        Self::HttpExpression,
        Self::L7Bypassed,
        Self::DefaultDenyFlip,
        Self::ClaimedIdentity,
        Self::NegativeSelector,
        Self::RedundantRule,
        Self::GroupSelector,
        Self::UnnamedPeers,
        Self::VoidDenial,
        Self::PortRange,
        Self::IcmpZero,
        Self::NamesUnlearned,
        Self::NamePattern,
        Self::PolicyTypesLeftOut,
        Self::EmptyRule,
        Self::EqualPriority,
        Self::AuthenticationLost,
        Self::ServerNamesMerged,
        Self::ReplacedDocument,
    ];

    /// `PL001` …
    pub fn name(self) -> &'static str {
        self.entry().0
    }

    /// The code in words.
    pub fn title(self) -> &'static str {
        self.entry().1
    }

    /// How bad it is.
    pub fn level(self) -> Level {
        self.entry().2
    }

    fn entry(self) -> (&'static str, &'static str, Level) {
        use Level::{Error, Note, Warning};
        match self {
            Self::EmptyRuleList => ("PL001", "empty-rule-list", Warning),
            Self::NamespaceScope => ("PL002", "namespace-scope", Warning),
            Self::ShadowedAllow => ("PL003", "shadowed-allow", Error),
            Self::L7Dissolved => ("PL004", "l7-dissolved", Warning),
            Self::HeaderPattern => ("PL005", "header-regex", Warning),
            Self::L7Shadowed => ("PL006", "l7-shadowed", Error),
            Self::NobodyFits => ("PL010", "nobody-fits", Warning),
            Self::DeniedAnyway => ("PL011", "denied-anyway", Warning),
            Self::UnreachableRule => ("PL012", "unreachable-rule", Warning),
            Self::UnknownPortName => ("PL013", "unknown-port-name", Warning),
            Self::BlockOfWorkloads => ("PL014", "block-of-workloads", Warning),
            Self::HttpExpression => ("PL015", "http-expression", Warning),
            Self::L7Bypassed => ("PL016", "l7-bypassed", Warning),
            Self::DefaultDenyFlip => ("PL017", "default-deny-flip", Warning),
            Self::ClaimedIdentity => ("PL018", "claimed-identity", Warning),
            Self::NegativeSelector => ("PL019", "negative-selector", Warning),
            Self::RedundantRule => ("PL020", "redundant-rule", Note),
            Self::GroupSelector => ("PL021", "group-selector", Warning),
            Self::UnnamedPeers => ("PL022", "unnamed-peers", Warning),
            Self::VoidDenial => ("PL023", "void-denial", Warning),
            Self::PortRange => ("PL024", "port-range", Warning),
            Self::IcmpZero => ("PL025", "icmp-zero", Warning),
            Self::NamesUnlearned => ("PL026", "names-unlearned", Warning),
            Self::NamePattern => ("PL027", "name-pattern", Warning),
            Self::PolicyTypesLeftOut => ("PL028", "policy-types", Warning),
            Self::EmptyRule => ("PL029", "empty-rule", Warning),
            Self::EqualPriority => ("PL030", "equal-priority", Warning),
            Self::AuthenticationLost => ("PL031", "authentication-lost", Warning),
            Self::ServerNamesMerged => ("PL032", "server-names-merged", Warning),
            Self::ReplacedDocument => ("PL033", "replaced-document", Warning),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Level {
    /// Worth knowing.
    Note,
    /// The semantics differ, or the policy does something else than it says.
    Warning,
    /// No semantics can give what the policy says.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

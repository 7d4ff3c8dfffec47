//! L7 rules as data: what a request must look like to pass. Validated here, judged by a proxy.

use std::collections::BTreeMap;

/// The L7 part of a `toPorts` element; an empty list of rules counts as none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum L7Rules {
    /// Nothing: the ports alone decide.
    #[default]
    None,
    /// `http`: a request passes if one of these matches.
    Http(Vec<HttpRule>),
    /// `kafka`: a request passes if one of these matches.
    Kafka(Vec<KafkaRule>),
    /// `dns`: a query passes if one of these matches.
    Dns(Vec<DnsRule>),
    /// `l7proto` and `l7`: a parser named by the author; without rules it lets everything pass.
    Other {
        /// The parser's name.
        parser: Box<str>,
        /// Its rules, each a set of keys and values.
        rules: Vec<BTreeMap<Box<str>, Box<str>>>,
    },
}

impl L7Rules {
    /// Whether the ports alone decide.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The field of `rules` that such rules stand in.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Http(_) => Some("http"),
            Self::Kafka(_) => Some("kafka"),
            Self::Dns(_) => Some("dns"),
            Self::Other { .. } => Some("l7"),
        }
    }
}

/// One HTTP rule: all members that are present must match; a rule without members matches all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HttpRule {
    /// Regular expression for the whole method.
    pub method: Option<Box<str>>,
    /// Regular expression for the whole path.
    pub path: Option<Box<str>>,
    /// Regular expression for the whole host.
    pub host: Option<Box<str>>,
    /// `headers`: each must be there.
    pub headers: Vec<HeaderRule>,
    /// `headerMatches`.
    pub header_matches: Vec<HeaderMatch>,
}

/// One element of `headers`: `Name` for presence, `Name: value` or `Name value` for equality.
///
/// ```
/// use porin_policy::HeaderRule;
/// let rule = HeaderRule::from_text("X-Key: true");
/// assert_eq!((&*rule.name, rule.value.as_deref()), ("X-Key", Some("true")));
/// // Without a blank there is no value: this asks for a header of a name that none can have.
/// let rule = HeaderRule::from_text("X-Key:true");
/// assert_eq!((&*rule.name, rule.value), ("X-Key:true", None));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRule {
    /// The header's name.
    pub name: Box<str>,
    /// The literal value that it must have.
    pub value: Option<Box<str>>,
}

impl HeaderRule {
    /// Takes the text of the policy API apart. Before the first blank stands the name, without the
    /// colons at its end; behind it the value, to the last byte. A text without a blank is a name.
    pub fn from_text(text: &str) -> Self {
        match text.split_once(' ') {
            Some((name, value)) => Self {
                name: name.trim_end_matches(':').into(),
                value: Some(value.into()),
            },
            None => Self {
                name: text.into(),
                value: None,
            },
        }
    }
}

/// One element of `headerMatches`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderMatch {
    /// The header's name.
    pub name: Box<str>,
    /// The value that it must have; without value and secret, presence is asked for.
    pub value: Option<Box<str>>,
    /// A secret that holds the value.
    pub secret: Option<SecretRef>,
    /// What to do when the header does not match.
    pub mismatch: Mismatch,
}

/// A Kubernetes secret by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretRef {
    /// Its namespace; `None` for the namespace of the policy.
    pub namespace: Option<Box<str>>,
    /// Its name.
    pub name: Box<str>,
}

/// What a header match does with a request whose header does not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mismatch {
    /// The rule does not match.
    Fail,
    /// The rule matches; the mismatch is logged.
    Log,
    /// The rule matches; the header is added.
    Add,
    /// The rule matches; the header is removed.
    Delete,
    /// The rule matches; the header's value is replaced.
    Replace,
}

/// One Kafka rule (the policy API of Cilium 1.19): members that are present must all match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KafkaRule {
    /// A set of request kinds by what they are for; excludes `api_key`.
    pub role: Option<KafkaRole>,
    /// The number of one request kind.
    pub api_key: Option<i16>,
    /// The exact version of the request.
    pub api_version: Option<i16>,
    /// The exact client id. It is chosen by the client: a label, not a credential.
    pub client_id: Option<Box<str>>,
    /// The exact topic.
    pub topic: Option<Box<str>>,
}

impl KafkaRule {
    /// The request kinds that the rule names, by role or by number; `None` for all of them.
    pub fn api_keys(&self) -> Option<&[i16]> {
        match (self.role, &self.api_key) {
            (Some(role), _) => Some(role.api_keys()),
            (None, Some(key)) => Some(std::slice::from_ref(key)),
            (None, None) => None,
        }
    }
}

/// What a Kafka client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KafkaRole {
    /// Produce, metadata, API versions: request kinds 0, 3, 18.
    Produce,
    /// Fetch, offsets, metadata, group membership, API versions: 1, 2, 3, 8 to 14, 18.
    Consume,
}

impl KafkaRole {
    /// The request kinds of the role (protocol.apache.org numbers).
    pub fn api_keys(self) -> &'static [i16] {
        match self {
            Self::Produce => &[0, 3, 18],
            Self::Consume => &[1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 18],
        }
    }
}

/// One DNS rule: a query passes when one of the two fits; a rule without either matches nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DnsRule {
    /// The exact name.
    pub match_name: Option<Box<str>>,
    /// A pattern with `*`.
    pub match_pattern: Option<Box<str>>,
}

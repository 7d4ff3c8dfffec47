//! What L7 rules ask as a whole, and what several of them ask together.

use std::collections::BTreeMap;

use crate::l7::{DnsRule, HttpRule, KafkaRule, L7Rules, Mismatch};

impl L7Rules {
    /// Whether there is no rule; an empty list counts as none.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::None => true,
            Self::Http(rules) => rules.is_empty(),
            Self::Kafka(rules) => rules.is_empty(),
            Self::Dns(rules) => rules.is_empty(),
            Self::Other { rules, .. } => rules.is_empty(),
        }
    }

    /// Whether everything passes: there is no rule, or one that fits everything.
    pub fn is_open(&self) -> bool {
        let open = match self {
            Self::None => true,
            Self::Http(rules) => rules.iter().any(fits_every_request),
            Self::Kafka(rules) => rules.contains(&KafkaRule::default()),
            Self::Dns(rules) => rules.iter().any(fits_every_name),
            Self::Other { rules, .. } => rules.iter().any(BTreeMap::is_empty),
        };
        open || self.is_empty()
    }

    /// Whether a rule says outright that everything passes: there is none, or one that asks for
    /// nothing. (Names have no such rule: that a pattern fits every one is left to the DNS proxy.)
    pub(crate) fn is_unrestricted(&self) -> bool {
        let outright = match self {
            Self::None | Self::Dns(_) => false,
            Self::Http(rules) => rules.contains(&HttpRule::default()),
            Self::Kafka(_) | Self::Other { .. } => self.is_open(),
        };
        outright || self.is_empty()
    }

    /// The same kind without a rule.
    fn none_of_a_kind(&self) -> Self {
        match self {
            Self::None => Self::None,
            Self::Http(_) => Self::Http(Vec::new()),
            Self::Kafka(_) => Self::Kafka(Vec::new()),
            Self::Dns(_) => Self::Dns(Vec::new()),
            Self::Other { parser, .. } => Self::Other {
                parser: parser.clone(),
                rules: Vec::new(),
            },
        }
    }

    /// Adds the rules of another list of the same kind; each stands once. A list of another kind
    /// takes the place of an empty one and has no say otherwise.
    pub(crate) fn unite(&mut self, other: &Self) {
        if self.is_empty() {
            *self = other.none_of_a_kind();
        }
        match (self, other) {
            (Self::Http(ours), Self::Http(theirs)) => add(ours, theirs),
            (Self::Kafka(ours), Self::Kafka(theirs)) => add(ours, theirs),
            (Self::Dns(ours), Self::Dns(theirs)) => add(ours, theirs),
            (Self::Other { rules: ours, .. }, Self::Other { rules: theirs, .. }) => {
                add(ours, theirs);
            }
            _ => {}
        }
    }
}

fn add<T: Clone + PartialEq>(ours: &mut Vec<T>, theirs: &[T]) {
    for rule in theirs {
        if !ours.contains(rule) {
            ours.push(rule.clone());
        }
    }
}

/// A pattern of nothing but stars, with or without the dot of the root.
fn fits_every_name(rule: &DnsRule) -> bool {
    let pattern = rule.match_pattern.as_deref().unwrap_or_default();
    let stars = pattern.strip_suffix('.').unwrap_or(pattern);
    !stars.is_empty() && stars.bytes().all(|byte| byte == b'*')
}

fn fits_every_request(rule: &HttpRule) -> bool {
    let never_fails = rule
        .header_matches
        .iter()
        .all(|header| header.mismatch != Mismatch::Fail);
    let bare = HttpRule {
        header_matches: rule.header_matches.clone(),
        ..HttpRule::default()
    };
    never_fails && *rule == bare
}

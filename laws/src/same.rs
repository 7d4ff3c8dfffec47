//! Whether two answers ask the same of a proxy.

use std::fmt;

use porin_policy::{L7Policy, L7Rules};

/// Whether a proxy would do the same; the order of rules does not count.
#[must_use]
pub fn alike(one: &L7Policy, other: &L7Policy) -> bool {
    let names = |policy: &L7Policy| {
        let mut names = policy.server_names.clone();
        names.sort();
        (policy.parser_name.clone(), policy.listener.clone(), names)
    };
    one.parser == other.parser
        && one.unrestricted == other.unrestricted
        && names(one) == names(other)
        && (one.unrestricted || rule_texts(&one.rules) == rule_texts(&other.rules))
}

/// The rules as texts, in order, each once.
#[must_use]
pub fn rule_texts(rules: &L7Rules) -> Vec<String> {
    fn of<R: fmt::Debug>(rules: &[R]) -> Vec<String> {
        rules.iter().map(|rule| format!("{rule:?}")).collect()
    }
    let mut texts = match rules {
        L7Rules::None => Vec::new(),
        L7Rules::Http(rules) => of(rules),
        L7Rules::Kafka(rules) => of(rules),
        L7Rules::Dns(rules) => of(rules),
        L7Rules::Other { rules, .. } => of(rules),
    };
    texts.sort();
    texts.dedup();
    texts
}

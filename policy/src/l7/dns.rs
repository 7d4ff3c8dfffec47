//! DNS rules, selectors of names, and server names, compiled.

use std::cmp::Ordering;

use super::name::{NamePattern, strip_dot};
use super::request::DnsQuery;
use super::rules::DnsRule;

/// A list of DNS rules, compiled. A query passes if one of them fits its name.
///
/// ```
/// use porin_policy::{DnsMatcher, DnsQuery, DnsRule};
/// let rule = |name: &str| DnsRule { match_name: Some(name.into()), ..DnsRule::default() };
/// let matcher = DnsMatcher::new(&[rule("a.example"), rule("b.example")]);
/// assert_eq!(matcher.judge(&DnsQuery::new("B.example.")), Some(1));
/// assert_eq!(matcher.judge(&DnsQuery::new("c.example")), None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsMatcher(Names);

impl DnsMatcher {
    /// Compiles a list.
    pub fn new(rules: &[DnsRule]) -> Self {
        let patterns = rules.iter().enumerate().flat_map(|(index, rule)| {
            let name = rule.match_name.as_deref().map(NamePattern::exact);
            let pattern = rule.match_pattern.as_deref().map(NamePattern::dns);
            name.into_iter()
                .chain(pattern)
                .map(move |pattern| (index, pattern))
        });
        Self(Names::new(patterns))
    }

    /// The first rule that fits, by its place in the list; `None` if the query is refused.
    pub fn judge(&self, query: &DnsQuery<'_>) -> Option<usize> {
        self.0.first(query.name)
    }
}

/// The `serverNames` of a port, compiled. An empty list asks for nothing.
///
/// ```
/// use porin_policy::ServerNames;
/// let names = ServerNames::new(["shop.example", "*.cdn.example"]);
/// assert!(names.allow(Some("a.cdn.example")));
/// assert!(!names.allow(None));
/// assert!(ServerNames::default().allow(None));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerNames(Names);

impl ServerNames {
    /// Compiles a list.
    pub fn new<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Self {
        let patterns = names
            .into_iter()
            .map(|name| NamePattern::server(name.as_ref()))
            .enumerate();
        Self(Names::new(patterns))
    }

    /// Whether there is no name, so that every connection passes.
    pub fn is_empty(&self) -> bool {
        self.0.exact.is_empty() && self.0.patterns.is_empty()
    }

    /// Whether a connection with this server name passes; one without (or one that is no TLS) passes
    /// an empty list only.
    pub fn allow(&self, server_name: Option<&str>) -> bool {
        self.is_empty() || self.judge(server_name).is_some()
    }

    /// The first name or pattern that fits, by its place in the list.
    pub fn judge(&self, server_name: Option<&str>) -> Option<usize> {
        self.0.first(server_name?)
    }
}

/// Names and patterns in a list, each with a number that grows along it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    /// Whole names, sorted, the lowest number of each.
    exact: Box<[(Box<str>, usize)]>,
    /// The others.
    patterns: Box<[(NamePattern, usize)]>,
}

impl Names {
    fn new(names: impl Iterator<Item = (usize, NamePattern)>) -> Self {
        let (mut exact, mut patterns) = (Vec::new(), Vec::new());
        for (index, pattern) in names {
            match pattern.only_name() {
                Some(name) => exact.push((Box::<str>::from(name), index)),
                None => patterns.push((pattern, index)),
            }
        }
        exact.sort();
        exact.dedup_by(|later, kept| later.0 == kept.0);
        Self {
            exact: exact.into(),
            patterns: patterns.into(),
        }
    }

    fn first(&self, name: &str) -> Option<usize> {
        let stripped = strip_dot(name);
        let found = self
            .exact
            .binary_search_by(|(known, _)| compare(known, stripped));
        let exact = found
            .ok()
            .and_then(|at| self.exact.get(at))
            .map(|(_, index)| *index);
        let before = |index: usize| exact.is_none_or(|exact| index < exact);
        self.patterns
            .iter()
            .take_while(|(_, index)| before(*index))
            .find(|(pattern, _)| pattern.matches(name))
            .map(|(_, index)| *index)
            .or(exact)
    }
}

/// Compares a name in lower case with one in any case.
fn compare(known: &str, name: &str) -> Ordering {
    known
        .bytes()
        .cmp(name.bytes().map(|byte| byte.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: Option<&str>, pattern: Option<&str>) -> DnsRule {
        DnsRule {
            match_name: name.map(Into::into),
            match_pattern: pattern.map(Into::into),
        }
    }

    #[test]
    fn the_first_rule_that_fits_is_named() {
        let matcher = DnsMatcher::new(&[
            rule(Some("B.example."), None),
            rule(None, Some("*.example")),
            rule(Some("a.example"), None),
            rule(None, Some("c.other")),
            rule(Some("b.example"), Some("d.other")),
            rule(None, None),
        ]);
        for (name, index) in [
            ("b.EXAMPLE", Some(0)),
            ("a.example.", Some(1)),
            ("c.other", Some(3)),
            ("d.other", Some(4)),
            ("example", None),
            ("", None),
        ] {
            assert_eq!(matcher.judge(&DnsQuery::new(name)), index, "{name}");
        }
    }

    #[test]
    fn server_names_want_a_name() {
        let names = ServerNames::new(["*", "a.example"]);
        assert_eq!(names.judge(Some("A.example.")), Some(0));
        assert!(!names.allow(None));
        let deep = ServerNames::new(["**.example."]);
        assert!(deep.allow(Some("a.b.example")) && !deep.allow(Some("example")));
        assert!(ServerNames::new([""; 0]).allow(None));
    }
}

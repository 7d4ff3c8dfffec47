//! Which selectors of names a DNS answer speaks of.

use super::name::NamePattern;
use crate::peers::FqdnPeer;

impl FqdnPeer {
    /// The names that are meant.
    pub fn pattern(&self) -> NamePattern {
        match self {
            Self::Name(name) => NamePattern::exact(name),
            Self::Pattern(pattern) => NamePattern::fqdn(pattern),
        }
    }
}

/// The selectors of names that a set of policies uses, compiled.
///
/// The addresses of a name get a label of source `fqdn` for every selector that means it.
///
/// ```
/// use porin_policy::{FqdnMatcher, FqdnPeer};
/// let matcher = FqdnMatcher::new([
///     FqdnPeer::Name("www.example.com".into()),
///     FqdnPeer::Pattern("*.Example.com".into()),
/// ]);
/// let labels: Vec<_> = matcher.selectors("api.example.com.").map(FqdnPeer::text).collect();
/// assert_eq!(labels, ["*.Example.com"]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FqdnMatcher(Box<[(NamePattern, FqdnPeer)]>);

impl FqdnMatcher {
    /// Compiles selectors; each counts once.
    pub fn new(selectors: impl IntoIterator<Item = FqdnPeer>) -> Self {
        let mut selectors: Vec<_> = selectors.into_iter().collect();
        selectors.sort();
        selectors.dedup();
        let compiled = selectors.into_iter().map(|peer| (peer.pattern(), peer));
        Self(compiled.collect())
    }

    /// The selectors that mean a name, sorted.
    pub fn selectors<'m>(&'m self, name: &str) -> impl Iterator<Item = &'m FqdnPeer> {
        let meant = move |(pattern, _): &&(NamePattern, FqdnPeer)| pattern.matches(name);
        self.0.iter().filter(meant).map(|(_, peer)| peer)
    }
}

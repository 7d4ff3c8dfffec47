//! Patterns for workload instances.

use std::fmt;

use crate::endpoint::Endpoint;
use crate::escape::Escaped;

/// Instances by namespace and beginning of the name: Hubble's pod patterns.
///
/// | Text | Namespace | Name |
/// |---|---|---|
/// | `ns/prefix` | `ns` | begins with `prefix` |
/// | `prefix` | `default` | begins with `prefix` |
/// | `/prefix` | any | begins with `prefix` |
/// | `ns/` | `ns` | any |
/// | `/` | any, but one of both must be there | any |
///
/// What stands behind a second slash is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PodPattern {
    namespace: Option<Box<str>>,
    prefix: Box<str>,
}

impl PodPattern {
    /// Reads a pattern; `None` for the empty text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let (first, second) = (parts.next().unwrap_or_default(), parts.next());
        match (first, second) {
            ("", None) => None,
            (prefix, None) => Some(Self {
                namespace: Some("default".into()),
                prefix: prefix.into(),
            }),
            ("", Some(prefix)) => Some(Self {
                namespace: None,
                prefix: prefix.into(),
            }),
            (namespace, Some(prefix)) => Some(Self {
                namespace: Some(namespace.into()),
                prefix: prefix.into(),
            }),
        }
    }

    /// Every instance of a namespace.
    #[must_use]
    pub fn namespace(name: &str) -> Self {
        Self {
            namespace: Some(name.into()),
            prefix: "".into(),
        }
    }

    /// Whether the pattern covers this end. An end with neither namespace nor name never fits.
    #[must_use]
    pub fn matches(&self, end: &Endpoint) -> bool {
        let namespace = end.namespace.as_deref().unwrap_or_default();
        let name = end.name.as_deref().unwrap_or_default();
        (!namespace.is_empty() || !name.is_empty())
            && self
                .namespace
                .as_deref()
                .is_none_or(|wanted| wanted == namespace)
            && name.starts_with(&*self.prefix)
    }
}

impl fmt::Display for PodPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = self.namespace.as_deref().unwrap_or_default();
        write!(f, "{}/{}", Escaped(namespace), Escaped(&self.prefix))
    }
}

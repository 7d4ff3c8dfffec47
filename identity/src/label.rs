//! One label: `source:key=value`.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use crate::error::ParseLabelError;

/// Where labels come from.
pub mod source {
    /// Labels of Kubernetes objects.
    pub const K8S: &str = "k8s";
    /// Names of reserved identities.
    pub const RESERVED: &str = "reserved";
    /// Blocks of addresses.
    pub const CIDR: &str = "cidr";
    /// Named groups of blocks.
    pub const CIDRGROUP: &str = "cidrgroup";
    /// DNS names.
    pub const FQDN: &str = "fqdn";
    /// Labels of nodes.
    pub const NODE: &str = "node";
    /// Labels of containers.
    pub const CONTAINER: &str = "container";
    /// In a selector: every source.
    pub const ANY: &str = "any";
    /// A label whose source was not given.
    pub const UNSPEC: &str = "unspec";
    /// Claims of a verified token.
    pub const OIDC: &str = "oidc";
}

/// Keys that the orchestrator alone may set.
pub mod key {
    /// The namespace of a workload.
    pub const NAMESPACE: &str = "io.kubernetes.pod.namespace";
    /// The cluster of a workload.
    pub const CLUSTER: &str = "io.cilium.k8s.policy.cluster";
    /// The service account of a workload.
    pub const SERVICE_ACCOUNT: &str = "io.cilium.k8s.policy.serviceaccount";
    /// What stands before the key of a label that the namespace itself carries.
    pub const NAMESPACE_LABELS_PREFIX: &str = "io.cilium.k8s.namespace.labels.";

    /// Is this a key that only the orchestrator may set?
    #[must_use]
    pub fn is_trusted(key: &str) -> bool {
        matches!(key, NAMESPACE | CLUSTER | SERVICE_ACCOUNT)
            || key.starts_with(NAMESPACE_LABELS_PREFIX)
    }
}

/// One label of an identity.
///
/// The text is `source:key=value`; `=` is left out when the value is empty, and a text without a
/// source has the source `unspec`. `$name` is short for `reserved:name`.
/// Labels are ordered by source, key, value. A label is one pointer (8 bytes), and a clone shares
/// what it points to.
///
/// ```
/// use porin_identity::Label;
/// let label: Label = "k8s:app=postgres".parse()?;
/// assert_eq!((label.source(), label.key(), label.value()), ("k8s", "app", "postgres"));
/// assert_eq!("reserved:world".parse::<Label>()?.to_string(), "reserved:world");
/// # Ok::<(), porin_identity::ParseLabelError>(())
/// ```
#[derive(Clone)]
pub struct Label(Arc<Inner>);

struct Inner {
    text: Box<str>,
    key_hash: u32,
    source_len: u16,
    key_len: u16,
}

impl Label {
    /// A label of three parts.
    ///
    /// # Errors
    ///
    /// When a part has characters that would make the text ambiguous, or is too long: the source
    /// takes 1 to 63 letters and digits; the key 1 to 512 bytes without `=`, `,` and white space;
    /// the value at most 4,096 bytes without `,` and control characters.
    pub fn new(source: &str, key: &str, value: &str) -> Result<Self, ParseLabelError> {
        check(source, key, value)?;
        let text = if value.is_empty() {
            format!("{source}:{key}")
        } else {
            format!("{source}:{key}={value}")
        };
        Ok(Self::from_canonical(text, source.len(), key))
    }

    /// `reserved:` and a name known at compile time.
    pub(crate) fn reserved(name: &'static str) -> Self {
        Self::from_canonical(
            format!("{}:{name}", source::RESERVED),
            source::RESERVED.len(),
            name,
        )
    }

    /// A label of source `cidr` for a block that [`crate::cidr`] has written.
    pub(crate) fn cidr(block: &str) -> Self {
        Self::from_canonical(
            format!("{}:{block}", source::CIDR),
            source::CIDR.len(),
            block,
        )
    }

    fn from_canonical(text: impl Into<Box<str>>, source_len: usize, key: &str) -> Self {
        // The checks above bound both lengths far below 65,536.
        let narrow = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
        Self(Arc::new(Inner {
            key_hash: key_hash(key),
            source_len: narrow(source_len),
            key_len: narrow(key.len()),
            text: text.into(),
        }))
    }

    /// Where the label comes from: `k8s`, `reserved`, …
    #[must_use]
    pub fn source(&self) -> &str {
        let inner = &*self.0;
        let end = usize::from(inner.source_len);
        inner.text.get(..end).unwrap_or_default()
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        let inner = &*self.0;
        let start = usize::from(inner.source_len) + 1;
        let end = start + usize::from(inner.key_len);
        inner.text.get(start..end).unwrap_or_default()
    }

    /// The value; often empty.
    #[must_use]
    pub fn value(&self) -> &str {
        let inner = &*self.0;
        let start = usize::from(inner.source_len) + usize::from(inner.key_len) + 2;
        inner.text.get(start..).unwrap_or_default()
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    pub(crate) fn key_hash(&self) -> u32 {
        self.0.key_hash
    }

    /// Where what it points to lies: the same for labels that are clones of one another.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    fn parts(&self) -> (&str, &str, &str) {
        (self.source(), self.key(), self.value())
    }
}

/// FNV-1a. Only a first glance: equal hashes are always followed by a comparison of the keys.
pub(crate) fn key_hash(key: &str) -> u32 {
    key.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

fn check(source: &str, key: &str, value: &str) -> Result<(), ParseLabelError> {
    check_source(source)?;
    check_key(key)?;
    check_value(key, value)
}

fn check_source(source: &str) -> Result<(), ParseLabelError> {
    let fits =
        (1..=63).contains(&source.len()) && source.bytes().all(|byte| byte.is_ascii_alphanumeric());
    fits.then_some(()).ok_or_else(|| ParseLabelError::Source {
        source_text: source.to_owned(),
    })
}

fn check_key(key: &str) -> Result<(), ParseLabelError> {
    let odd = |c: char| c == '=' || c == ',' || c.is_whitespace() || c.is_control();
    // Nearly every key is plain ASCII, which is told byte by byte.
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'=' && byte != b',';
    let fits = (1..=512).contains(&key.len()) && (key.bytes().all(plain) || !key.contains(odd));
    fits.then_some(()).ok_or_else(|| ParseLabelError::Key {
        key: key.to_owned(),
    })
}

fn check_value(key: &str, value: &str) -> Result<(), ParseLabelError> {
    let odd = |c: char| c == ',' || c.is_control();
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b',';
    let fits = value.len() <= 4096 && (value.bytes().all(plain) || !value.contains(odd));
    fits.then_some(()).ok_or_else(|| ParseLabelError::Value {
        key: key.to_owned(),
        value: value.to_owned(),
    })
}

impl FromStr for Label {
    type Err = ParseLabelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        match (name.strip_prefix('$'), name.split_once(':')) {
            (Some(reserved), _) => Self::new(source::RESERVED, reserved, value),
            (None, Some((source, key))) if !value.is_empty() || name.len() == text.len() => {
                check(source, key, value)?;
                Ok(Self::from_canonical(text, source.len(), key))
            }
            (None, Some((source, key))) => Self::new(source, key, value),
            (None, None) => Self::new(source::UNSPEC, name, value),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        let same = Arc::ptr_eq(&self.0, &other.0);
        same || (self.key_hash() == other.key_hash() && self.as_str() == other.as_str())
    }
}

impl Eq for Label {}

impl Hash for Label {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Ord for Label {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for Label {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

//! Keys of selectors and the syntax of label keys and values.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::cidr::parse_cidr_key;
use crate::error::ParseSelectorError;
use crate::label::{Label, key_hash, source};

/// The key of a selector term: a label key and the source it is looked for in.
///
/// * Only a colon introduces a source; a key without one looks in every source (`any`), and a dot
///   never does (`k8s.foo` is a plain key).
/// * `$name` is short for `reserved:name`.
/// * A key of source `cidr` fits every `cidr` label whose block lies inside its own or equals it.
///
/// Keys are ordered by source and key. A key is one pointer (8 bytes), and a clone shares what it
/// points to.
#[derive(Clone)]
pub struct SelectorKey(Arc<Inner>);

struct Inner {
    /// Source, colon, key.
    text: Box<str>,
    block: Option<Box<IpNet>>,
    key_hash: u32,
    source_len: u32,
}

impl SelectorKey {
    /// A key looked for in one source, or in every source with [`source::ANY`].
    ///
    /// No syntax is checked here: computed keys such as `fqdn:*.example.com` are no Kubernetes
    /// label keys. Text written by people goes through [`FromStr`].
    #[must_use]
    pub fn new(source: &str, key: &str) -> Self {
        let block = match source {
            source::CIDR => parse_cidr_key(key).map(Box::new),
            _ => None,
        };
        Self(Arc::new(Inner {
            text: format!("{source}:{key}").into(),
            block,
            key_hash: key_hash(key),
            source_len: u32::try_from(source.len()).unwrap_or(u32::MAX),
        }))
    }

    /// The source, `any` for all of them.
    #[must_use]
    pub fn source(&self) -> &str {
        let end = self.0.source_len as usize;
        self.0.text.get(..end).unwrap_or_default()
    }

    /// The label key.
    #[must_use]
    pub fn key(&self) -> &str {
        let start = self.0.source_len as usize + 1;
        self.0.text.get(start..).unwrap_or_default()
    }

    /// Looked for in every source.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.source() == source::ANY
    }

    /// Would this key find a label of that source and key? (`any` on our side finds all sources.)
    #[must_use]
    pub fn covers(&self, source: &str, key: &str) -> bool {
        self.key() == key && (self.is_any() || self.source() == source)
    }

    pub(crate) fn block(&self) -> Option<&IpNet> {
        self.0.block.as_deref()
    }

    pub(crate) fn fits(&self, label: &Label) -> bool {
        self.0.key_hash == label.key_hash()
            && self.key() == label.key()
            && (self.is_any() || self.source() == label.source())
    }
}

impl PartialEq for SelectorKey {
    fn eq(&self, other: &Self) -> bool {
        // The length of the source tells where the key begins: a key may hold colons.
        let parts = |key: &Self| (key.0.key_hash, key.0.source_len);
        let same = Arc::ptr_eq(&self.0, &other.0);
        same || (parts(self) == parts(other) && self.0.text == other.0.text)
    }
}

impl Eq for SelectorKey {}

impl Hash for SelectorKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

impl Ord for SelectorKey {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.source(), self.key()).cmp(&(other.source(), other.key()))
    }
}

impl PartialOrd for SelectorKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The text of a key as policies write it, with the syntax checked: at most one colon, a source of
/// letters and digits, then a Kubernetes label key.
impl FromStr for SelectorKey {
    type Err = ParseSelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |reason| ParseSelectorError::Key {
            key: text.to_owned(),
            reason,
        };
        let (source, key) = match (text.strip_prefix('$'), text.split_once(':')) {
            (Some(name), _) => (source::RESERVED, name),
            (None, Some(parts)) => parts,
            (None, None) => (source::ANY, text),
        };
        if key.contains(':') {
            return Err(refuse("more than one colon"));
        }
        if source.is_empty() || !source.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(refuse(
                "the source before the colon must be letters and digits",
            ));
        }
        check_label_key(key).map_err(refuse)?;
        Ok(Self::new(source, key))
    }
}

impl fmt::Display for SelectorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_any() {
            f.write_str(self.key())
        } else {
            f.write_str(&self.0.text)
        }
    }
}

impl fmt::Debug for SelectorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// The syntax of a Kubernetes label key: an optional DNS prefix of at most 253 characters and a
/// slash, then a name of at most 63.
///
/// # Errors
///
/// The rule that is broken, as words for an error message.
pub fn check_label_key(key: &str) -> Result<(), &'static str> {
    let name = match key.split_once('/') {
        None => key,
        Some((prefix, name)) => {
            let label = |part: &str| {
                let inner =
                    |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
                !part.is_empty()
                    && part.bytes().all(inner)
                    && !part.starts_with('-')
                    && !part.ends_with('-')
            };
            if prefix.len() > 253 || !prefix.split('.').all(label) {
                return Err(
                    "the part before the slash must be a lower-case DNS name of at most 253 characters",
                );
            }
            name
        }
    };
    if !is_name(name) {
        return Err(
            "a label name is 1 to 63 letters, digits, `-`, `_` or `.`, with a letter or digit at both ends",
        );
    }
    Ok(())
}

/// The syntax of a Kubernetes label value: empty, or at most 63 characters.
///
/// # Errors
///
/// The rule that is broken, as words for an error message.
pub fn check_label_value(value: &str) -> Result<(), &'static str> {
    if value.is_empty() || is_name(value) {
        return Ok(());
    }
    Err(
        "a label value is at most 63 letters, digits, `-`, `_` or `.`, with a letter or digit at both ends",
    )
}

fn is_name(text: &str) -> bool {
    let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let bytes = text.as_bytes();
    bytes.len() <= 63 && end(bytes.first()) && end(bytes.last()) && bytes.iter().copied().all(inner)
}

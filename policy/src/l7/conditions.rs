//! What an HTTP rule asks of a request, once its secrets are read.

use std::fmt;
use std::hint::black_box;

use super::request::HttpRequest;
use super::rules::{HeaderMatch, HeaderRule, HttpRule, Mismatch, SecretRef};
use crate::options::Semantics;

/// Where the values of secrets come from.
///
/// Every function from a [`SecretRef`] to an optional value is one, and so is [`NoSecrets`].
pub trait Secrets {
    /// The value, without a line end that an editor put behind it; `None` if it cannot be read.
    fn value(&self, secret: &SecretRef) -> Option<Vec<u8>>;
}

impl<F: Fn(&SecretRef) -> Option<Vec<u8>>> Secrets for F {
    fn value(&self, secret: &SecretRef) -> Option<Vec<u8>> {
        self(secret)
    }
}

/// No secret can be read.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn value(&self, _: &SecretRef) -> Option<Vec<u8>> {
        None
    }
}

/// A value that a header is compared with. One that was read from a secret is never printed.
#[derive(Clone)]
pub struct HeaderValue {
    bytes: Box<[u8]>,
    secret: bool,
}

impl HeaderValue {
    fn plain(text: &str) -> Self {
        Self {
            bytes: text.as_bytes().into(),
            secret: false,
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it was read from a secret.
    pub fn is_secret(&self) -> bool {
        self.secret
    }

    /// Whether they are equal; how much of it is equal cannot be told from the time it takes.
    pub fn equals(&self, value: &[u8]) -> bool {
        self.bytes.len() == value.len()
            && black_box(
                self.bytes
                    .iter()
                    .zip(value)
                    .fold(0, |differ, (a, b)| black_box(differ | (a ^ b))),
            ) == 0
    }
}

impl PartialEq for HeaderValue {
    fn eq(&self, other: &Self) -> bool {
        self.secret == other.secret && self.equals(&other.bytes)
    }
}

impl Eq for HeaderValue {}

impl fmt::Debug for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

impl fmt::Display for HeaderValue {
    /// The text, or `[redacted]` for a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.secret {
            true => f.pad("[redacted]"),
            false => f.pad(&String::from_utf8_lossy(&self.bytes)),
        }
    }
}

/// What is asked of one header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderTest {
    /// That it is there.
    Present,
    /// That it is there with this value.
    Equals(HeaderValue),
    /// What no request has: the value stands in a secret that cannot be read.
    Never,
}

/// What is done to a request that matches but for a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// The header.
    pub name: Box<str>,
    /// The value that it should have.
    pub value: HeaderValue,
    /// What is done; never [`Mismatch::Fail`].
    pub mismatch: Mismatch,
}

/// An HTTP rule with its header lines taken apart and its secrets read.
///
/// Under [`Semantics::Strict`] the value `.*` in `headers` asks for presence: whoever writes it means
/// a pattern, and no such value is ever sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct HttpConditions {
    /// Regular expression for the whole method.
    pub method: Option<Box<str>>,
    /// Regular expression for the whole path with its query.
    pub path: Option<Box<str>>,
    /// Regular expression for the whole authority.
    pub host: Option<Box<str>>,
    /// Headers that must be as asked for.
    pub headers: Vec<(Box<str>, HeaderTest)>,
    /// Headers that are corrected or noted if they are not.
    pub corrections: Vec<Correction>,
}

impl HttpConditions {
    /// Reads a rule.
    pub fn new(rule: &HttpRule, semantics: Semantics, secrets: &dyn Secrets) -> Self {
        let mut conditions = Self {
            method: rule.method.clone(),
            path: rule.path.clone(),
            host: rule.host.clone(),
            headers: rule
                .headers
                .iter()
                .map(|rule| line(rule, semantics))
                .collect(),
            corrections: Vec::new(),
        };
        for header in &rule.header_matches {
            conditions.add(header, secrets);
        }
        conditions
    }

    fn add(&mut self, header: &HeaderMatch, secrets: &dyn Secrets) {
        let name = header.name.clone();
        let test = match (expected(header, secrets), header.mismatch) {
            (None, _) => HeaderTest::Never,
            (Some(value), Mismatch::Fail) if value.bytes.is_empty() => HeaderTest::Present,
            (Some(value), Mismatch::Fail) => HeaderTest::Equals(value),
            (Some(value), mismatch) => {
                return self.corrections.push(Correction {
                    name,
                    value,
                    mismatch,
                });
            }
        };
        self.headers.push((name, test));
    }
}

fn line(rule: &HeaderRule, semantics: Semantics) -> (Box<str>, HeaderTest) {
    let test = match rule.value.as_deref() {
        None => HeaderTest::Present,
        Some(".*") if semantics == Semantics::Strict => HeaderTest::Present,
        Some(value) => HeaderTest::Equals(HeaderValue::plain(value)),
    };
    (rule.name.clone(), test)
}

/// The value of the secret; where that is missing or empty, the value beside it. `None` if there is a
/// secret only, and it cannot be read.
fn expected(header: &HeaderMatch, secrets: &dyn Secrets) -> Option<HeaderValue> {
    let plain = header.value.as_deref().unwrap_or_default();
    let read = header.secret.as_ref().map(|secret| secrets.value(secret));
    match read {
        Some(Some(value)) if !value.is_empty() => Some(HeaderValue {
            bytes: value.into(),
            secret: true,
        }),
        Some(None) if plain.is_empty() => None,
        _ => Some(HeaderValue::plain(plain)),
    }
}

/// Whether a request has a header as asked for.
///
/// A header that is sent more than once, under [`Semantics::Strict`]: every value has to be the right
/// one, since nobody knows which of them the server will take. Under [`Semantics::Cilium`] one is
/// enough.
pub(super) fn has(
    request: &HttpRequest<'_>,
    name: &str,
    value: &HeaderValue,
    semantics: Semantics,
) -> bool {
    let mut values = request.values(name);
    match semantics {
        Semantics::Cilium => values.any(|given| value.equals(given)),
        Semantics::Strict => {
            values.next().is_some_and(|given| value.equals(given))
                && values.all(|given| value.equals(given))
        }
    }
}

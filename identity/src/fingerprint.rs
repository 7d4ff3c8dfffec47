//! From labels to numbers: the same labels get the same number on every node.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::id::IdentityId;
use crate::labels::Labels;

/// SHA-256 over a label set: the texts of its labels in order, each ended by a line feed.
///
/// No label contains a line feed, so no two label sets share the hashed bytes.
///
/// ```
/// use porin_identity::{Fingerprint, Labels};
/// let labels: Labels = "k8s:app=api".parse()?;
/// let first = Fingerprint::of(&labels).candidates().next();
/// assert_eq!(first, Fingerprint::of(&labels).candidates().next());
/// # Ok::<(), porin_identity::ParseLabelError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

/// How many numbers of the probe sequence are tried before allocation gives up. Even with half of
/// all numbers taken, a label set fails with a chance of 2⁻⁶⁴.
pub(crate) const PROBES: usize = 64;

impl Fingerprint {
    /// The fingerprint of a label set.
    #[must_use]
    pub fn of(labels: &Labels) -> Self {
        let mut hasher = Sha256::new();
        for label in labels {
            hasher.update(label.as_str().as_bytes());
            hasher.update(b"\n");
        }
        Self(hasher.finalize().into())
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The numbers that a workload with these labels may get, in order: double hashing in
    /// 256 ..= 2²⁴−1, from the first and second eight bytes. The first free one is taken.
    pub fn candidates(&self) -> impl Iterator<Item = IdentityId> + use<> {
        let low = IdentityId::MIN_CLUSTER.get();
        let span = IdentityId::MAX_CLUSTER.get() - low + 1;
        self.probe(span)
            .map(move |place| IdentityId::new(low + place))
    }

    /// As [`Fingerprint::candidates`], in the numbers that mean something on one node only.
    pub fn local_candidates(&self) -> impl Iterator<Item = IdentityId> + use<> {
        self.probe(1 << 24).map(IdentityId::local)
    }

    /// As [`Fingerprint::candidates`], in the numbers of remote nodes.
    pub fn remote_node_candidates(&self) -> impl Iterator<Item = IdentityId> + use<> {
        self.probe(1 << 24).map(IdentityId::remote_node)
    }

    fn probe(&self, span: u32) -> impl Iterator<Item = u32> + use<> {
        let word = |at: usize| {
            let bytes = self.0.iter().skip(at).take(8);
            bytes.fold(0_u64, |word, byte| (word << 8) | u64::from(*byte))
        };
        let span = u64::from(span);
        // An odd step below the span; the place stays below it, so it always fits 32 bits.
        let (start, step) = (word(0) % span, (word(8) % span) | 1);
        (0..PROBES as u64)
            .map(move |round| u32::try_from((start + round * step) % span).unwrap_or(0))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

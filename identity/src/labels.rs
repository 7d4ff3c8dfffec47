//! A set of labels: what an identity is.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::cidr::parse_cidr_key;
use crate::error::ParseLabelError;
use crate::label::{Label, key, source};
use crate::selector_key::SelectorKey;

/// A set of labels, ordered by source, key and value, with at most one value per source and key.
///
/// Cheap to clone. When one source and key is given twice, the last value stays, as in a map.
/// The text is the labels with commas between them; the empty set has the empty text.
///
/// ```
/// use porin_identity::Labels;
/// let labels: Labels = "k8s:io.kubernetes.pod.namespace=backend,k8s:app=api".parse()?;
/// assert_eq!(labels.namespace(), Some("backend"));
/// assert_eq!(labels.to_string(), "k8s:app=api,k8s:io.kubernetes.pod.namespace=backend");
/// # Ok::<(), porin_identity::ParseLabelError>(())
/// ```
#[derive(Clone)]
pub struct Labels(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    labels: Box<[Label]>,
    /// The blocks of `cidr` labels, read once, each with the place of its label.
    blocks: Box<[(usize, IpNet)]>,
}

impl Labels {
    /// The labels in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Label> {
        self.0.labels.iter()
    }

    /// The value of a source and key.
    #[must_use]
    pub fn get(&self, source: &str, key: &str) -> Option<&str> {
        self.find(source, key).map(Label::value)
    }

    /// Is exactly this label there?
    #[must_use]
    pub fn contains(&self, source: &str, key: &str, value: &str) -> bool {
        self.get(source, key) == Some(value)
    }

    /// Is a label of this source and key there, whatever its value?
    #[must_use]
    pub fn has_key(&self, source: &str, key: &str) -> bool {
        self.find(source, key).is_some()
    }

    /// Is `reserved:name` there?
    #[must_use]
    pub fn reserved(&self, name: &str) -> bool {
        self.has_key(source::RESERVED, name)
    }

    /// The namespace of a workload, as the orchestrator set it.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.get(source::K8S, key::NAMESPACE)
    }

    /// How many labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.labels.len()
    }

    /// No label at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.labels.is_empty()
    }

    /// These labels and some more; a later value of the same source and key wins.
    #[must_use]
    pub fn with(&self, more: impl IntoIterator<Item = Label>) -> Self {
        self.iter().cloned().chain(more).collect()
    }

    /// The blocks of the `cidr` labels.
    pub fn blocks(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.0.blocks.iter().map(|(_, block)| *block)
    }

    fn find(&self, source: &str, key: &str) -> Option<&Label> {
        let place = self
            .0
            .labels
            .binary_search_by(|label| (label.source(), label.key()).cmp(&(source, key)))
            .ok()?;
        self.0.labels.get(place)
    }

    /// The first label that a selector's key fits.
    /// This set with labels put in place of equal ones.
    pub(crate) fn replaced(mut self, by_equal: impl FnMut(&mut Label)) -> Self {
        let inner = Arc::make_mut(&mut self.0);
        inner.labels.iter_mut().for_each(by_equal);
        self
    }

    pub(crate) fn first_fit(&self, key: &SelectorKey) -> Option<&Label> {
        if let Some(block) = key.block() {
            let (place, _) = self.0.blocks.iter().find(|(_, own)| block.contains(own))?;
            return self.0.labels.get(*place);
        }
        self.iter().find(|label| key.fits(label))
    }
}

impl FromIterator<Label> for Labels {
    fn from_iter<I: IntoIterator<Item = Label>>(labels: I) -> Self {
        let mut labels: Vec<Label> = labels.into_iter().collect();
        if !labels.is_sorted_by(|a, b| (a.source(), a.key()) < (b.source(), b.key())) {
            // Stable, and in reverse, so that the last of equal names comes first and stays.
            labels.reverse();
            labels.sort_by(|a, b| (a.source(), a.key()).cmp(&(b.source(), b.key())));
            labels.dedup_by(|later, kept| {
                (later.source(), later.key()) == (kept.source(), kept.key())
            });
        }
        let blocks = labels
            .iter()
            .enumerate()
            .filter(|(_, label)| label.source() == source::CIDR)
            .filter_map(|(place, label)| Some((place, parse_cidr_key(label.key())?)))
            .collect();
        Self(Arc::new(Inner {
            labels: labels.into_boxed_slice(),
            blocks,
        }))
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::from_iter([])
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = &'a Label;
    type IntoIter = std::slice::Iter<'a, Label>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromStr for Labels {
    type Err = ParseLabelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        text.split(',').map(str::parse).collect()
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, label) in self.iter().enumerate() {
            if place > 0 {
                f.write_str(",")?;
            }
            label.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self).finish()
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.labels == other.0.labels
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.labels.hash(state);
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.labels.cmp(&other.0.labels)
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

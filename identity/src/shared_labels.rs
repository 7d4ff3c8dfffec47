//! The labels in use, each kept once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{Hash, Hasher};

use crate::label::Label;
use crate::label_hash::LabelHash;
use crate::labels::Labels;

/// Every label that some label set of a registry holds, and how many sets hold it.
///
/// Thousands of workloads share most of their labels. Kept once, a label costs a further workload
/// one pointer, and label sets are compared by their pointers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SharedLabels(HashMap<Label, u32, LabelHash>);

impl SharedLabels {
    /// Makes a label set hold the kept labels; each counts once more.
    pub(crate) fn keep(&mut self, labels: Labels) -> Kept {
        Kept(labels.replaced(|label| match self.0.entry(label.clone()) {
            Entry::Occupied(mut known) => {
                *known.get_mut() = known.get().saturating_add(1);
                *label = known.key().clone();
            }
            Entry::Vacant(new) => {
                new.insert(1);
            }
        }))
    }

    /// The label set as it would be kept; `None` if a label of it is in no set, so that nobody has
    /// these labels.
    pub(crate) fn find(&self, labels: &Labels) -> Option<Kept> {
        let mut all = true;
        let found = labels
            .clone()
            .replaced(|label| match self.0.get_key_value(label) {
                Some((known, _)) => *label = known.clone(),
                None => all = false,
            });
        all.then_some(Kept(found))
    }

    /// Gives back what [`SharedLabels::keep`] took.
    pub(crate) fn release(&mut self, labels: &Labels) {
        for label in labels {
            if let Some(count) = self.0.get_mut(label) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(label);
                }
            }
        }
    }
}

/// A label set that holds kept labels: those of equal sets are the same in memory.
#[derive(Debug, Clone)]
pub(crate) struct Kept(Labels);

impl Kept {
    pub(crate) fn labels(&self) -> &Labels {
        &self.0
    }

    fn addresses(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(Label::address)
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.addresses().eq(other.addresses())
    }
}

impl Eq for Kept {}

impl Hash for Kept {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Addresses are ours alone to choose, so mixing them needs no key.
        let mixed = self.addresses().fold(0_usize, |mixed, address| {
            (mixed.rotate_left(5) ^ address).wrapping_mul(0x9e37_79b1)
        });
        state.write_usize(mixed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        text.parse().unwrap()
    }

    #[test]
    fn equal_labels_are_one_in_memory() {
        let mut shared = SharedLabels::default();
        let one = shared.keep(labels("k8s:app=api,k8s:env=prod"));
        let other = shared.keep(labels("k8s:app=web,k8s:env=prod"));
        let env = |kept: &Kept| kept.labels().iter().next_back().map(Label::address);
        assert_eq!(env(&one), env(&other));
        assert_ne!(one, other);
        assert_eq!(one, shared.keep(labels("k8s:env=prod,k8s:app=api")));
        assert_eq!(shared.find(&labels("k8s:app=api,k8s:env=prod")), Some(one));
        assert_eq!(shared.find(&labels("k8s:app=api,k8s:env=dev")), None);
    }

    #[test]
    fn a_label_goes_with_its_last_set() {
        let mut shared = SharedLabels::default();
        let sets = ["k8s:app=api,k8s:env=prod", "k8s:app=web,k8s:env=prod"].map(labels);
        for set in &sets {
            shared.keep(set.clone());
        }
        shared.release(&sets[0]);
        assert_eq!(shared.find(&sets[0]), None);
        assert!(shared.find(&sets[1]).is_some());
        shared.release(&sets[1]);
        assert!(shared.0.is_empty());
    }
}

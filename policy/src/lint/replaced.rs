//! Which documents are not in force because a later one has their name.

use std::collections::HashMap;

use crate::rule::{Document, PolicyName};

/// For each document the place of the last one of its name, if that is another.
pub(super) struct Replaced(Vec<Option<usize>>);

impl Replaced {
    pub(super) fn of(documents: &[Document]) -> Self {
        let names = documents.iter().enumerate();
        let last: HashMap<&PolicyName, usize> = names
            .map(|(place, document)| (&document.name, place))
            .collect();
        let by = |(place, document): (usize, &Document)| {
            last.get(&document.name)
                .copied()
                .filter(|last| *last != place)
        };
        Self(documents.iter().enumerate().map(by).collect())
    }

    /// The place of the document that replaces this one.
    pub(super) fn by(&self, place: usize) -> Option<usize> {
        self.0.get(place).copied().flatten()
    }
}

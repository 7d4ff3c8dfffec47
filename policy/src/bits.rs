/// A set of small numbers, as the words of 64 that are not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bits(Vec<(u32, u64)>);

impl Bits {
    pub(crate) fn insert(&mut self, number: u32) {
        let (word, bit) = place(number);
        match self.find(word) {
            Ok(at) => {
                if let Some((_, bits)) = self.0.get_mut(at) {
                    *bits |= bit;
                }
            }
            Err(at) => {
                // Most sets have one word for ever.
                if self.0.is_empty() {
                    self.0.reserve_exact(1);
                }
                self.0.insert(at, (word, bit));
            }
        }
    }

    pub(crate) fn remove(&mut self, number: u32) {
        let (word, bit) = place(number);
        let Ok(at) = self.find(word) else { return };
        if let Some((_, bits)) = self.0.get_mut(at) {
            *bits &= !bit;
            if *bits == 0 {
                self.0.remove(at);
            }
        }
    }

    pub(crate) fn has(&self, number: u32) -> bool {
        let (word, bit) = place(number);
        let found = self.find(word).ok().and_then(|at| self.0.get(at));
        found.is_some_and(|(_, bits)| bits & bit != 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The words that are not empty, in order.
    pub(crate) fn words(&self) -> &[(u32, u64)] {
        &self.0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().flat_map(|(word, bits)| numbers(*word, *bits))
    }

    /// Adds the members of another set.
    pub(crate) fn add(&mut self, other: &Self) {
        if self.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        let mut both = Vec::with_capacity(self.0.len() + other.0.len());
        let (mut ours, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        loop {
            let next = match (ours.peek(), theirs.peek()) {
                (Some((a, _)), Some((b, _))) if a == b => {
                    let bits = ours.next().zip(theirs.next()).map_or(0, |(a, b)| a.1 | b.1);
                    (*a, bits)
                }
                (Some((a, _)), Some((b, _))) if a > b => *theirs.next().unwrap_or(&(0, 0)),
                (Some(_), _) => *ours.next().unwrap_or(&(0, 0)),
                (None, _) => match theirs.next() {
                    Some(word) => *word,
                    None => break,
                },
            };
            both.push(next);
        }
        self.0 = both;
    }

    /// Keeps the members that another set has (`wanted`), or that it has not.
    pub(crate) fn keep(&mut self, other: &Self, wanted: bool) {
        let mut theirs = other.0.iter().peekable();
        self.0.retain_mut(|(word, bits)| {
            while theirs.next_if(|(other, _)| other < word).is_some() {}
            let held = theirs
                .peek()
                .filter(|(other, _)| other == word)
                .map_or(0, |(_, bits)| *bits);
            *bits &= if wanted { held } else { !held };
            *bits != 0
        });
    }

    fn find(&self, word: u32) -> Result<usize, usize> {
        match self.0.last() {
            Some((last, _)) if *last == word => Ok(self.0.len() - 1),
            Some((last, _)) if *last < word => Err(self.0.len()),
            _ => self.0.binary_search_by_key(&word, |(word, _)| *word),
        }
    }
}

/// The numbers in one word.
pub(crate) fn numbers(word: u32, mut bits: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (bits != 0).then(|| bits.trailing_zeros())?;
        bits &= bits - 1;
        Some(word * 64 + bit)
    })
}

fn place(number: u32) -> (u32, u64) {
    (number / 64, 1 << (number % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::Bits;

    fn bits(numbers: &BTreeSet<u32>) -> Bits {
        let mut bits = Bits::default();
        numbers.iter().for_each(|number| bits.insert(*number));
        bits
    }

    proptest! {
        #[test]
        fn a_set_is_a_set(
            a in prop::collection::btree_set(0_u32..1000, 0..60),
            b in prop::collection::btree_set(0_u32..1000, 0..60),
        ) {
            let (mut union, mut common, mut rest) = (bits(&a), bits(&a), bits(&a));
            union.add(&bits(&b));
            common.keep(&bits(&b), true);
            rest.keep(&bits(&b), false);
            prop_assert_eq!(union, bits(&a.union(&b).copied().collect()));
            prop_assert_eq!(&common, &bits(&a.intersection(&b).copied().collect()));
            prop_assert_eq!(rest.iter().collect::<BTreeSet<_>>(), &a - &b);
            b.iter().for_each(|number| common.remove(*number));
            prop_assert!(common.is_empty());
            prop_assert!((0..1000).all(|number| bits(&a).has(number) == a.contains(&number)));
        }
    }
}

//! Identities that the same selectors pick, found together.

use crate::bits::{Bits, numbers};

/// Sets of selectors as paths of a tree: a node is its parent's set and one selector more, and the
/// selectors along a path ascend. The root is the empty set.
#[derive(Debug, Clone)]
pub(crate) struct Classes {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    parent: u32,
    selector: u32,
    children: Vec<(u32, u32)>,
}

impl Default for Classes {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }
}

impl Classes {
    pub(crate) const ROOT: u32 = 0;

    /// How many sets have been seen, the empty one included.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The set of `node` and `selector`.
    fn child(&mut self, node: u32, selector: u32) -> u32 {
        let count = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let Some(parent) = self.nodes.get_mut(node as usize) else {
            return Self::ROOT;
        };
        if let Some((_, child)) = parent.children.iter().find(|(of, _)| *of == selector) {
            return *child;
        }
        parent.children.push((selector, count));
        self.nodes.push(Node {
            parent: node,
            selector,
            children: Vec::new(),
        });
        count
    }

    /// The selectors of a set, last first.
    pub(crate) fn members(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        let at = |node: u32| {
            (node != Self::ROOT)
                .then(|| self.nodes.get(node as usize))
                .flatten()
        };
        std::iter::successors(at(node), move |node| at(node.parent)).map(|node| node.selector)
    }

    /// The set of the selectors that pick one slot; `picks` asks them in order.
    pub(crate) fn of_slot(&mut self, picks: impl Iterator<Item = bool>) -> u32 {
        let mut node = Self::ROOT;
        for (selector, picks) in (0..).zip(picks) {
            if picks {
                node = self.child(node, selector);
            }
        }
        node
    }

    /// Calls `found` with every slot that some selector picks, and its set.
    pub(crate) fn of_all(&mut self, sets: &[&Bits], mut found: impl FnMut(u32, u32)) {
        let mut rest: Vec<&[(u32, u64)]> = sets.iter().map(|set| set.words()).collect();
        let mut groups: Vec<(u64, u32)> = Vec::new();
        let first = |words: &&[(u32, u64)]| words.first().map(|(word, _)| *word);
        while let Some(word) = rest.iter().filter_map(first).min() {
            let here = |words: &&[(u32, u64)]| {
                words
                    .first()
                    .filter(|(at, _)| *at == word)
                    .map_or(0, |(_, slots)| *slots)
            };
            groups.clear();
            groups.push((
                rest.iter().map(here).fold(0, |all, slots| all | slots),
                Self::ROOT,
            ));
            for (selector, words) in (0..).zip(&mut rest) {
                let members = here(&&**words);
                if members != 0 {
                    self.split(&mut groups, members, selector);
                    *words = words.get(1..).unwrap_or_default();
                }
            }
            for (slots, node) in groups.drain(..) {
                numbers(word, slots).for_each(|slot| found(slot, node));
            }
        }
    }

    fn split(&mut self, groups: &mut Vec<(u64, u32)>, members: u64, selector: u32) {
        for at in 0..groups.len() {
            let Some(group) = groups.get_mut(at) else {
                continue;
            };
            let (slots, node) = *group;
            if slots & members == 0 {
                continue;
            }
            *group = (slots & members, self.child(node, selector));
            if slots & !members != 0 {
                groups.push((slots & !members, node));
            }
        }
    }
}

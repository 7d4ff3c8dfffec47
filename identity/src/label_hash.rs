//! How maps by label are hashed.

use std::hash::BuildHasher;

/// A keyed hash that is quick on short texts. Whoever names labels cannot choose which ones meet: the
/// key is drawn by the standard library for every map.
///
/// ```
/// use std::collections::HashMap;
/// use porin_identity::{Label, LabelHash};
/// let mut uses: HashMap<Label, u32, LabelHash> = HashMap::default();
/// uses.insert("k8s:app=api".parse()?, 1);
/// assert_eq!(uses.get(&"k8s:app=api".parse()?), Some(&1));
/// # Ok::<(), porin_identity::ParseLabelError>(())
/// ```
#[derive(Debug, Clone)]
pub struct LabelHash(ahash::RandomState);

impl Default for LabelHash {
    fn default() -> Self {
        let drawn = std::hash::RandomState::new();
        let [a, b, c, d] = [1_u8, 2, 3, 4].map(|word| drawn.hash_one(word));
        Self(ahash::RandomState::with_seeds(a, b, c, d))
    }
}

impl BuildHasher for LabelHash {
    type Hasher = ahash::AHasher;

    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }
}

/// A reproducible source of choices: those that bytes spell out, then SplitMix64.
///
/// ```
/// use porin_worlds::Random;
/// let (mut one, mut other) = (Random::new(3), Random::new(3));
/// assert_eq!(one.below(100), other.below(100));
/// assert_eq!(Random::spelt(&[7, 0]).below(100), 7);
/// ```
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
    /// Choices that are settled, two bytes each, the last one first.
    settled: Vec<u16>,
}

impl Random {
    /// The source that a seed stands for.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed,
            settled: Vec::new(),
        }
    }

    /// The source whose first choices bytes spell out, two for each: so a fuzzer that changes a byte
    /// changes one choice.
    #[must_use]
    pub fn spelt(bytes: &[u8]) -> Self {
        let pairs = bytes.chunks_exact(2).rev();
        Self {
            state: 0,
            settled: pairs
                .filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?)))
                .collect(),
        }
    }

    /// Any number; one of sixteen bits while choices are settled.
    pub fn any(&mut self) -> u64 {
        if let Some(choice) = self.settled.pop() {
            return choice.into();
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a limit; 0 if nothing is below it.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.any() % limit).unwrap_or(0)
    }

    /// A number of a range, ends included.
    pub fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below((most + 1).saturating_sub(least))
    }

    /// True in so many cases of a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of several, if there is one.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let at = self.below(from.len());
        from.get(at)
    }

    /// One of several words.
    pub fn word(&mut self, from: &[&'static str]) -> &'static str {
        self.pick(from).copied().unwrap_or_default()
    }

    /// One of several, each as often as its weight says.
    pub fn weighted<T: Copy + Default>(&mut self, from: &[(usize, T)]) -> T {
        let mut left = self.below(from.iter().map(|(weight, _)| weight).sum());
        for (weight, value) in from {
            if left < *weight {
                return *value;
            }
            left -= weight;
        }
        T::default()
    }
}

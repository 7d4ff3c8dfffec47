/// How strong an entry is against the others that cover the same packet: the higher wins.
///
/// The upper 24 bits order the tiers and the priorities inside a tier, the lower 8 bits the verdicts
/// inside one priority (deny 255, redirect 255 minus its listener priority, plain allow 1).
/// The same number stands in the kernel's policy entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Precedence(u32);

impl Precedence {
    /// The weakest there is.
    pub const MIN: Self = Self(0);

    /// The precedence with a number, as read from a table.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Composes a level (tier and priority, 24 bits, higher is stronger) and a rank inside it.
    #[must_use]
    pub const fn compose(level: u32, rank: u8) -> Self {
        Self((level << 8) | rank as u32)
    }

    /// The level: tier and priority.
    #[must_use]
    pub const fn level(self) -> u32 {
        self.0 >> 8
    }

    /// The rank of the verdict inside its level.
    #[must_use]
    pub const fn rank(self) -> u8 {
        (self.0 & 0xff) as u8
    }
}

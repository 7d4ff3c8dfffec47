/// The tiers, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Tier {
    /// Namespaced and clusterwide policies without a tier of their own.
    Normal,
    /// What is computed: the default allowance and that of the local host.
    Default,
}

/// Tier and priority of an entry. The smaller is the stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Level {
    pub(crate) tier: Tier,
    /// The author's priority, 10 bits.
    pub(crate) priority: u16,
    /// The place of the rule inside its object, 12 bits.
    pub(crate) place: u16,
}

impl Level {
    pub(crate) const NORMAL: Self = Self {
        tier: Tier::Normal,
        priority: 0,
        place: 0,
    };
    pub(crate) const DEFAULT: Self = Self {
        tier: Tier::Default,
        priority: 0,
        place: 0,
    };

    /// The 24 upper bits of a precedence: two for the tier, ten for the priority, twelve for the
    /// place, each turned round because the higher precedence is the stronger.
    pub(crate) fn strength(self) -> u32 {
        let tier = match self.tier {
            Tier::Normal => 2,
            Tier::Default => 0,
        };
        let priority = 0x3ff - u32::from(self.priority.min(0x3ff));
        let place = 0xfff - u32::from(self.place.min(0xfff));
        (tier << 22) | (priority << 12) | place
    }
}

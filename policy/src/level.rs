use crate::rule::{Spec, Tier};

/// Tier and priority of an entry, as the number that orders them: the higher is the stronger.
///
/// From the highest bit: two for the tier, ten for the author's priority, twelve for the place of the
/// rule in its list, each turned round because the smaller goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Level(u32);

/// The bits below the tier.
const TIER_SHIFT: u32 = 22;
const PRIORITY_MAX: u32 = 0x3ff;
const PLACE_MAX: u32 = 0xfff;

impl Level {
    pub(crate) const NORMAL: Self = Self::new(Tier::Normal, 0, 0);
    /// What the local host is allowed where tier Normal ends with default deny.
    pub(crate) const NORMAL_LOCALHOST: Self = Self::new(Tier::Normal, PRIORITY_MAX, PLACE_MAX - 1);
    /// The default deny of the policies of tier Normal.
    pub(crate) const NORMAL_END: Self = Self::new(Tier::Normal, PRIORITY_MAX, PLACE_MAX);
    /// What is computed and weaker than every rule.
    pub(crate) const DEFAULT: Self = Self(1);
    /// The end of everything.
    pub(crate) const END: Self = Self(0);

    const fn new(tier: Tier, priority: u32, place: u32) -> Self {
        let tier = match tier {
            Tier::Admin => 3,
            Tier::Normal => 2,
            Tier::Baseline => 1,
        };
        Self((tier << TIER_SHIFT) | ((PRIORITY_MAX - priority) << 12) | (PLACE_MAX - place))
    }

    /// The level of a rule. Where the rules of a list have an order, an earlier one goes first.
    pub(crate) fn of(spec: &Spec, index: usize) -> Self {
        if spec.tier == Tier::Normal {
            return Self::NORMAL;
        }
        let place = u32::try_from(index).unwrap_or(PLACE_MAX).min(PLACE_MAX);
        let priority = u32::from(spec.priority).min(PRIORITY_MAX);
        Self::new(spec.tier, priority, place)
    }

    /// The 24 upper bits of a precedence.
    pub(crate) const fn strength(self) -> u32 {
        self.0
    }

    /// The tier that a strength belongs to, as a number.
    pub(crate) const fn tier_of(strength: u32) -> u32 {
        strength >> TIER_SHIFT
    }
}

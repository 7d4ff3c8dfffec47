//! From addresses to identities: the longest prefix that somebody claims.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::cidr::canonical;
use crate::error::PrefixError;
use crate::family::Family;
use crate::prefix::{Binding, Generation, OwnerId, PrefixChange, PrefixEntry, Source};

/// How long an address rests after its owner left, unless
/// [`PrefixTable::with_quarantine`] says otherwise.
pub const ADDRESS_QUARANTINE: Duration = Duration::from_secs(30);

/// Prefixes, who claims them, and the identity they lead to; IPv4 and IPv6.
///
/// * Several owners may claim one prefix: the strongest [`Source`](crate::Source) wins, then the
///   newest claim.
/// * A claim is renewed with a higher [`Generation`], and taken back with the one it was made with:
///   a late delete never removes the claim that came after it.
/// * A single address that changes hands starts in quarantine: until the time is over, or
///   [`PrefixTable::confirm`] says that nothing of the old owner is left (its connections and
///   packets), it leads nowhere. Blocks do not rest, nor do addresses that policies or DNS name:
///   those claims own nothing.
///
/// Numbers of owners are not to be reused: a new owner with an old number would pass for the old one.
/// Host bits are cut off, and IPv4 mapped into IPv6 is IPv4. Times are durations since an epoch
/// that the caller chooses and keeps.
///
/// ```
/// use std::time::Duration;
/// use porin_identity::{Generation, IdentityId, OwnerId, PrefixEntry, PrefixTable, Source};
///
/// let mut table = PrefixTable::default();
/// let claim = |identity, source| PrefixEntry {
///     identity, source, owner: OwnerId::new(1), generation: Generation::new(1),
/// };
/// table.upsert("10.0.0.0/8".parse()?, claim(IdentityId::new(1 << 24), Source::Policy), Duration::ZERO)?;
/// table.upsert("10.1.2.3/32".parse()?, claim(IdentityId::new(4242), Source::Local), Duration::ZERO)?;
/// let (prefix, entry) = table.lookup("10.1.2.3".parse()?).ok_or("not found")?;
/// assert_eq!((prefix.prefix_len(), entry.identity.get()), (32, 4242));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct PrefixTable {
    quarantine: Duration,
    prefixes: BTreeMap<IpNet, Claims>,
    /// How many claimed prefixes there are of each family and length.
    lengths: BTreeMap<(Family, u8), usize>,
    /// Addresses whose last owner left: until when, and who that was.
    resting: BTreeMap<IpNet, Resting>,
    /// What each changed prefix led to when the delta was last taken.
    before: BTreeMap<IpNet, Binding>,
}

#[derive(Debug, Clone, Copy)]
struct Resting {
    owner: OwnerId,
    until: Duration,
}

/// The claims on one prefix, the one in force first.
#[derive(Debug, Clone, Default)]
struct Claims(Vec<PrefixEntry>);

impl Claims {
    fn in_force(&self) -> Option<&PrefixEntry> {
        self.0.first()
    }

    fn place(&self, owner: OwnerId) -> Option<usize> {
        self.0.iter().position(|claim| claim.owner == owner)
    }

    fn put(&mut self, entry: PrefixEntry) {
        self.0.retain(|claim| claim.owner != entry.owner);
        let place = self.0.iter().position(|claim| claim.source <= entry.source);
        self.0.insert(place.unwrap_or(self.0.len()), entry);
    }
}

impl PrefixTable {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::with_quarantine(ADDRESS_QUARANTINE)
    }

    /// An empty table with another time of rest for reused addresses.
    #[must_use]
    pub fn with_quarantine(quarantine: Duration) -> Self {
        Self {
            quarantine,
            prefixes: BTreeMap::new(),
            lengths: BTreeMap::new(),
            resting: BTreeMap::new(),
            before: BTreeMap::new(),
        }
    }

    /// Claims a prefix, or renews the owner's claim. `now` ends quarantines that are over.
    ///
    /// # Errors
    ///
    /// [`PrefixError::Stale`] when the owner has made a claim of a later generation.
    pub fn upsert(
        &mut self,
        prefix: IpNet,
        entry: PrefixEntry,
        now: Duration,
    ) -> Result<Binding, PrefixError> {
        let prefix = canonical(prefix);
        let claims = self.prefixes.get(&prefix);
        let held =
            claims.and_then(|claims| claims.0.iter().find(|claim| claim.owner == entry.owner));
        if let Some(held) = held.filter(|held| held.generation > entry.generation) {
            let (given, held) = (entry.generation.get(), held.generation.get());
            return Err(PrefixError::Stale {
                prefix,
                given,
                held,
            });
        }
        self.note(prefix);
        if self
            .resting
            .get(&prefix)
            .is_some_and(|rest| rest.until <= now || rest.owner == entry.owner)
        {
            self.resting.remove(&prefix);
        }
        if claims_none(self.prefixes.get(&prefix)) {
            *self.lengths.entry(length(&prefix)).or_default() += 1;
        }
        let claims = self.prefixes.entry(prefix).or_default();
        let replaced = claims
            .in_force()
            .copied()
            .filter(|old| old.owner != entry.owner);
        claims.put(entry);
        let taken_over = claims.in_force().map(|claim| claim.owner) == Some(entry.owner);
        if let Some(old) =
            replaced.filter(|old| taken_over && owned(&prefix) && old.identity != entry.identity)
        {
            self.rest(prefix, old.owner, now);
        }
        Ok(self.binding(&prefix))
    }

    /// Takes a claim back, if it is still of this generation. Returns whether there was one.
    pub fn remove(
        &mut self,
        prefix: IpNet,
        owner: OwnerId,
        generation: Generation,
        now: Duration,
    ) -> bool {
        let prefix = canonical(prefix);
        let Some(claims) = self.prefixes.get(&prefix) else {
            return false;
        };
        let claim = claims
            .place(owner)
            .and_then(|place| Some((place, claims.0.get(place)?)));
        let Some((place, _)) = claim.filter(|(_, claim)| claim.generation == generation) else {
            return false;
        };
        self.note(prefix);
        let Some(claims) = self.prefixes.get_mut(&prefix) else {
            return false;
        };
        let gone = claims.0.remove(place);
        if claims.0.is_empty() {
            self.prefixes.remove(&prefix);
            if let Some(count) = self.lengths.get_mut(&length(&prefix)) {
                *count = count.saturating_sub(1);
            }
            self.lengths.retain(|_, count| *count > 0);
        }
        if place == 0 && owned(&prefix) && gone.source >= Source::Remote {
            self.rest(prefix, owner, now);
        }
        true
    }

    /// Says that nothing of an address's old owner is left, so the claim in force may lead to its
    /// identity at once. Returns whether the address was in quarantine.
    pub fn confirm(&mut self, prefix: IpNet, owner: OwnerId, generation: Generation) -> bool {
        let prefix = canonical(prefix);
        let claims = self.prefixes.get(&prefix);
        let claim = claims.and_then(Claims::in_force);
        let own = claim.is_some_and(|claim| (claim.owner, claim.generation) == (owner, generation));
        if !own || !self.resting.contains_key(&prefix) {
            return false;
        }
        self.note(prefix);
        self.resting.remove(&prefix).is_some()
    }

    /// Ends the quarantine of every address whose time has come; returns how many.
    pub fn expire(&mut self, now: Duration) -> usize {
        let over = self
            .resting
            .iter()
            .filter(|(_, rest)| rest.until <= now)
            .map(|(prefix, _)| *prefix);
        let over: Vec<IpNet> = over.collect();
        for prefix in &over {
            self.note(*prefix);
            self.resting.remove(prefix);
        }
        over.len()
    }

    /// The longest claimed prefix that holds an address, and the claim in force.
    /// Whether it leads to its identity yet says [`PrefixTable::binding`].
    #[must_use]
    pub fn lookup(&self, address: IpAddr) -> Option<(IpNet, &PrefixEntry)> {
        let address = address.to_canonical();
        let family = Family::of(&address);
        let lengths = self.lengths.range((family, 0)..=(family, 128)).rev();
        lengths.into_iter().find_map(|((_, bits), _)| {
            let prefix = IpNet::new(address, *bits).ok()?.trunc();
            Some((prefix, self.prefixes.get(&prefix)?.in_force()?))
        })
    }

    /// Where a prefix itself leads (not a longer or shorter one).
    #[must_use]
    pub fn binding(&self, prefix: &IpNet) -> Binding {
        let prefix = canonical(*prefix);
        let claim = self.prefixes.get(&prefix).and_then(Claims::in_force);
        match (claim, self.resting.get(&prefix)) {
            (None, _) => Binding::Unbound,
            (Some(claim), Some(rest)) if claim.owner != rest.owner => Binding::Quarantined,
            (Some(claim), _) => Binding::Identity(claim.identity),
        }
    }

    /// Every claimed prefix and the claim in force, by family and address.
    pub fn iter(&self) -> impl Iterator<Item = (IpNet, &PrefixEntry)> + '_ {
        self.prefixes
            .iter()
            .filter_map(|(prefix, claims)| Some((*prefix, claims.in_force()?)))
    }

    /// How many prefixes are claimed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.prefixes.len()
    }

    /// Nobody claims anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// The prefixes that lead elsewhere since the last call.
    pub fn take_delta(&mut self) -> Vec<PrefixChange> {
        let before = std::mem::take(&mut self.before);
        let changes = before.into_iter().map(|(prefix, old)| {
            (
                old,
                PrefixChange {
                    prefix,
                    to: self.binding(&prefix),
                },
            )
        });
        changes
            .filter(|(old, change)| *old != change.to)
            .map(|(_, change)| change)
            .collect()
    }

    fn rest(&mut self, prefix: IpNet, owner: OwnerId, now: Duration) {
        self.resting.insert(
            prefix,
            Resting {
                owner,
                until: now.saturating_add(self.quarantine),
            },
        );
    }

    fn note(&mut self, prefix: IpNet) {
        let binding = self.binding(&prefix);
        self.before.entry(prefix).or_insert(binding);
    }
}

impl Default for PrefixTable {
    fn default() -> Self {
        Self::new()
    }
}

fn length(prefix: &IpNet) -> (Family, u8) {
    (Family::of(&prefix.addr()), prefix.prefix_len())
}

fn claims_none(claims: Option<&Claims>) -> bool {
    claims.is_none_or(|claims| claims.0.is_empty())
}

/// Single addresses have owners; blocks have only names.
fn owned(prefix: &IpNet) -> bool {
    prefix.prefix_len() == prefix.max_prefix_len()
}

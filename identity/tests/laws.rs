//! Laws that hold for every input.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed step is a failed test"
)]

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;
use porin_identity::{
    Binding, Families, Fingerprint, Generation, Identities, IdentityId, Label, LabelFilter, Labels,
    Operator, OwnerId, PrefixEntry, PrefixTable, Requirement, Selector, SelectorKey, Source,
    cidr_label, cidr_minus, parse_cidr_key,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn label() -> impl Strategy<Value = Label> {
    let source = prop_oneof![Just("k8s"), Just("container"), Just("unspec"), Just("node")];
    (source, "[a-e](/[a-c.*-]{1,3})?", "[a-c:/.]{0,2}")
        .prop_map(|(source, key, value)| Label::new(source, &key, &value).unwrap())
}

fn labels() -> impl Strategy<Value = Labels> {
    vec(label(), 0..6).prop_map(|labels| labels.into_iter().collect())
}

fn block() -> impl Strategy<Value = IpNet> {
    // Few addresses and all lengths, so that blocks nest.
    let v4 = (0..16_u32, 0..=32_u8)
        .prop_map(|(low, bits)| net(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 | low)), bits));
    let v6 = (0..16_u128, 0..=128_u8)
        .prop_map(|(low, bits)| net(IpAddr::V6(Ipv6Addr::from((0x2001_u128 << 112) | low)), bits));
    prop_oneof![v4, v6]
}

fn net(address: IpAddr, bits: u8) -> IpNet {
    IpNet::new(address, bits).unwrap().trunc()
}

fn requirement() -> impl Strategy<Value = Requirement> {
    let source = prop_oneof![Just("any"), Just("k8s"), Just("node")];
    let values = || {
        vec("[a-c]{0,1}", 1..3).prop_map(|values| {
            values
                .iter()
                .map(|value| value.as_str().into())
                .collect::<Vec<_>>()
        })
    };
    let operator = prop_oneof![
        "[a-c]{0,1}".prop_map(|value| Operator::Equals(value.as_str().into())),
        values().prop_map(|mut values| {
            values.sort();
            values.dedup();
            Operator::In(values.into())
        }),
        values().prop_map(|mut values| {
            values.sort();
            values.dedup();
            Operator::NotIn(values.into())
        }),
        Just(Operator::Exists),
        Just(Operator::DoesNotExist),
    ];
    (source, "[a-e]", operator).prop_map(|(source, key, operator)| {
        Requirement::new(SelectorKey::new(source, &key), operator)
    })
}

proptest! {
    #[test]
    fn a_label_reads_back(label in label()) {
        prop_assert_eq!(label.to_string().parse::<Label>().unwrap(), label);
    }

    #[test]
    fn labels_read_back_and_keep_one_order(labels in labels(), seed in any::<u64>()) {
        prop_assert_eq!(&labels.to_string().parse::<Labels>().unwrap(), &labels);
        let mut shuffled: Vec<Label> = labels.iter().cloned().collect();
        shuffled.sort_by_key(|label| label.to_string().bytes().fold(seed, |hash, byte| hash.rotate_left(7) ^ u64::from(byte)));
        let again: Labels = shuffled.into_iter().collect();
        prop_assert_eq!(&again, &labels);
        prop_assert_eq!(Fingerprint::of(&again), Fingerprint::of(&labels));
        let names: Vec<_> = labels.iter().map(|label| (label.source(), label.key())).collect();
        prop_assert!(names.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn the_last_value_of_a_key_stays(list in vec(label(), 0..8)) {
        let expected: BTreeMap<(String, String), String> =
            list.iter().map(|l| ((l.source().to_owned(), l.key().to_owned()), l.value().to_owned())).collect();
        let labels: Labels = list.into_iter().collect();
        let seen: BTreeMap<(String, String), String> =
            labels.iter().map(|l| ((l.source().to_owned(), l.key().to_owned()), l.value().to_owned())).collect();
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn different_labels_have_different_fingerprints(a in labels(), b in labels()) {
        prop_assert_eq!(a == b, Fingerprint::of(&a) == Fingerprint::of(&b));
    }

    #[test]
    fn a_selector_reads_back_and_has_one_order(mut terms in vec(requirement(), 0..5)) {
        let selector = Selector::from_parts(terms.clone());
        terms.reverse();
        prop_assert_eq!(&Selector::from_parts(terms), &selector);
        prop_assert_eq!(selector.to_string().parse::<Selector>().unwrap(), selector);
    }

    #[test]
    fn a_selector_decides_like_the_naive_reading(terms in vec(requirement(), 0..4), labels in labels()) {
        let naive = terms.iter().all(|term| {
            let found = labels.iter().find(|l| (term.key.is_any() || term.key.source() == l.source()) && term.key.key() == l.key());
            let value = found.map(Label::value);
            match &term.operator {
                Operator::Equals(wanted) => value == Some(&**wanted),
                Operator::In(wanted) => value.is_some_and(|v| wanted.iter().any(|w| **w == *v)),
                Operator::NotIn(wanted) => value.is_none_or(|v| wanted.iter().all(|w| **w != *v)),
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        });
        prop_assert_eq!(Selector::from_parts(terms).matches(&labels), naive);
    }

    #[test]
    fn what_selects_an_identity_selects_its_members(terms in vec(requirement(), 0..4), labels in labels(), low in 0..16_u32) {
        let mut identities = Identities::default();
        let shared = identities.intern(labels).unwrap().id;
        let address = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 | low));
        let member = identities.intern_member(shared, &[address], []).unwrap().id;
        let selector = Selector::from_parts(terms);
        let picks = |id| selector.matches(identities.labels(id).unwrap());
        prop_assert_eq!(picks(shared), picks(member));
    }

    #[test]
    fn a_cidr_key_fits_what_lies_inside(outer in block(), inner in block()) {
        let label = cidr_label(inner);
        prop_assert_eq!(parse_cidr_key(label.key()), Some(inner));
        prop_assert_eq!(label.to_string().parse::<Label>().unwrap(), label.clone());
        let key = SelectorKey::new("cidr", cidr_label(outer).key());
        let selector = Selector::from_parts([Requirement::exists(key)]);
        prop_assert_eq!(selector.matches(&[label].into_iter().collect()), outer.contains(&inner));
    }

    #[test]
    fn what_is_left_of_a_block(block in block(), except in vec(block(), 0..4), low in 0..32_u128) {
        let left = cidr_minus(block, &except);
        let address = match block {
            IpNet::V4(_) => IpAddr::V4(Ipv4Addr::from(0x0a00_0000 | u32::try_from(low).unwrap())),
            IpNet::V6(_) => IpAddr::V6(Ipv6Addr::from((0x2001_u128 << 112) | low)),
        };
        let expected = block.contains(&address) && !except.iter().any(|e| e.contains(&address));
        prop_assert_eq!(left.iter().filter(|part| part.contains(&address)).count(), usize::from(expected));
        prop_assert_eq!(IpNet::aggregate(&left), left, "the fewest blocks, in order");
    }

    #[test]
    fn a_filter_reads_back_and_never_adds(labels in labels(), patterns in vec("!?(k8s:|node:)?[a-e]", 0..4)) {
        let filter: LabelFilter = patterns.join(",").parse().unwrap();
        prop_assert_eq!(&filter.to_string().parse::<LabelFilter>().unwrap(), &filter);
        let kept = filter.apply(&labels);
        prop_assert!(kept.iter().all(|label| labels.iter().any(|full| full == label)));
        prop_assert_eq!(filter.apply(&kept), kept);
    }
}

/// One step in the life of a registry; the number chooses among few label sets.
#[derive(Debug, Clone)]
enum Step {
    Intern(u8),
    Local(u8),
    Fix(u8, u8),
    Release(u8),
    Wait(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..12_u8).prop_map(Step::Intern),
        2 => (0..6_u8).prop_map(Step::Local),
        1 => (0..12_u8, 0..12_u8).prop_map(|(of, number)| Step::Fix(of, number)),
        4 => any::<u8>().prop_map(Step::Release),
        1 => (0..20_u8).prop_map(Step::Wait),
    ]
}

fn set(number: u8) -> Labels {
    format!("k8s:app=a{number}").parse().unwrap()
}

proptest! {
    #[test]
    fn no_number_names_two_label_sets(steps in vec(step(), 0..60)) {
        const REST: Duration = Duration::from_secs(10);
        let mut identities = Identities::with_quarantine(Families::Dual, REST);
        let mut mirror: BTreeMap<IdentityId, Labels> = BTreeMap::new();
        let mut freed: HashMap<IdentityId, (Labels, Duration)> = HashMap::new();
        let mut held: Vec<IdentityId> = Vec::new();
        let mut now = Duration::ZERO;
        for step in steps {
            match step {
                Step::Intern(number) => held.push(identities.intern(set(number)).unwrap().id),
                Step::Local(number) => {
                    let block = net(IpAddr::V4(Ipv4Addr::new(10, number, 0, 0)), 16);
                    held.push(identities.intern_local(block, []).unwrap().id);
                }
                // Somebody else's collision: the first candidate of one label set is given to another.
                Step::Fix(of, number) => {
                    let id = Fingerprint::of(&set(of)).candidates().next().unwrap();
                    if identities.insert_fixed(id, set(number)).is_ok() {
                        held.push(id);
                    }
                }
                Step::Release(place) if !held.is_empty() => {
                    let id = held.swap_remove(usize::from(place) % held.len());
                    let labels = identities.labels(id).cloned().unwrap();
                    identities.release(id, now).unwrap();
                    if identities.labels(id).is_none() {
                        freed.insert(id, (labels, now + REST));
                    }
                }
                Step::Release(_) => {}
                Step::Wait(seconds) => {
                    now += Duration::from_secs(seconds.into());
                    identities.expire(now);
                }
            }
            let delta = identities.take_delta();
            for (id, labels) in delta.removed {
                prop_assert_eq!(mirror.remove(&id), Some(labels));
            }
            for (id, labels) in delta.added {
                if let Some((old, until)) = freed.remove(&id) {
                    prop_assert!(old == labels || until <= now, "a resting number was given away");
                }
                prop_assert_eq!(mirror.insert(id, labels), None, "a number was given twice");
            }
            prop_assert!(mirror.iter().map(|(id, labels)| (*id, labels)).eq(identities.snapshot().iter()));
            prop_assert!(held.iter().all(|id| identities.labels(*id).is_some()));
        }
    }

    #[test]
    fn nodes_that_never_talked_agree(mut sets in vec(labels(), 1..20)) {
        let numbers = |sets: &[Labels]| -> BTreeMap<Labels, IdentityId> {
            let mut identities = Identities::default();
            sets.iter().map(|labels| (labels.clone(), identities.intern(labels.clone()).unwrap().id)).collect()
        };
        let here = numbers(&sets);
        sets.reverse();
        prop_assert!(here.values().all(|id| (256..1 << 24).contains(&id.get())));
        prop_assert_eq!(here, numbers(&sets));
    }
}

/// One claim in the life of a prefix table.
#[derive(Debug, Clone)]
enum Claim {
    Put {
        prefix: IpNet,
        owner: u64,
        generation: u64,
        identity: u32,
        source: Source,
    },
    Remove {
        prefix: IpNet,
        owner: u64,
        generation: u64,
    },
}

fn claim() -> impl Strategy<Value = Claim> {
    let source = prop_oneof![
        Just(Source::Policy),
        Just(Source::Remote),
        Just(Source::Local)
    ];
    prop_oneof![
        2 => (block(), 0..4_u64, 0..4_u64, 256..300_u32, source)
            .prop_map(|(prefix, owner, generation, identity, source)| Claim::Put { prefix, owner, generation, identity, source }),
        1 => (block(), 0..4_u64, 0..4_u64).prop_map(|(prefix, owner, generation)| Claim::Remove { prefix, owner, generation }),
    ]
}

proptest! {
    #[test]
    fn the_longest_claimed_prefix_is_found(steps in vec(claim(), 0..60), low in 0..16_u128) {
        let mut table = PrefixTable::with_quarantine(Duration::ZERO);
        let mut claims: BTreeMap<(IpNet, u64), PrefixEntry> = BTreeMap::new();
        let mut kernel: HashMap<IpNet, IdentityId> = HashMap::new();
        let mut second = 0;
        for step in steps {
            second += 1;
            let now = Duration::from_secs(second);
            match step {
                Claim::Put { prefix, owner, generation, identity, source } => {
                    let entry = PrefixEntry {
                        identity: IdentityId::new(identity), source, owner: OwnerId::new(owner), generation: Generation::new(generation),
                    };
                    let stale = claims.get(&(prefix, owner)).is_some_and(|held| held.generation > entry.generation);
                    prop_assert_eq!(table.upsert(prefix, entry, now).is_err(), stale);
                    if !stale {
                        claims.insert((prefix, owner), entry);
                    }
                }
                Claim::Remove { prefix, owner, generation } => {
                    let own = claims.get(&(prefix, owner)).is_some_and(|held| held.generation.get() == generation);
                    prop_assert_eq!(table.remove(prefix, OwnerId::new(owner), Generation::new(generation), now), own);
                    if own {
                        claims.remove(&(prefix, owner));
                    }
                }
            }
            table.expire(now);
            for change in table.take_delta() {
                match change.to {
                    Binding::Identity(id) => { kernel.insert(change.prefix, id); }
                    Binding::Unbound => { prop_assert!(kernel.remove(&change.prefix).is_some()); }
                    Binding::Quarantined => prop_assert!(false, "nothing rests here"),
                }
            }
        }
        for address in [IpAddr::V4(Ipv4Addr::from(0x0a00_0000 | u32::try_from(low).unwrap())), IpAddr::V6(Ipv6Addr::from((0x2001_u128 << 112) | low))] {
            let covering = claims.keys().map(|(prefix, _)| *prefix).filter(|prefix| prefix.contains(&address));
            let longest = covering.max_by_key(IpNet::prefix_len);
            let found = table.lookup(address);
            prop_assert_eq!(found.map(|(prefix, _)| prefix), longest);
            if let (Some(longest), Some((_, entry))) = (longest, found) {
                let strongest = claims.iter().filter(|((prefix, _), _)| *prefix == longest).map(|(_, e)| e.source).max();
                prop_assert_eq!(Some(entry.source), strongest);
                prop_assert_eq!(kernel.get(&longest), Some(&entry.identity), "the deltas lead to the same table");
            }
        }
    }
}

//! Laws that hold in every world: the engines agree, history leaves no trace, denials only deny.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod worlds;

use std::collections::BTreeMap;

use porin_identity::{Families, IdentityDelta, IdentityId, Labels};
use porin_laws::never_wider;
use porin_policy::{
    EndpointPolicy, MapChange, MapEntry, MapKey, MapState, Options, PolicySet, Query, Reference,
    Resolver, parse_documents,
};
use proptest::prelude::*;
use worlds::{SUBJECT, files, options, policies, policy, pool, questions, registry, snapshot};

const FAMILIES: Families = Families::Dual;

fn set(options: &Options, policies: &[String]) -> PolicySet {
    let mut set = PolicySet::new(options.clone());
    set.load(files(policies)).unwrap();
    set
}

fn everybody() -> impl Iterator<Item = IdentityId> {
    let reserved = (0..=10).map(IdentityId::new);
    let unknown = IdentityId::new(999);
    reserved
        .chain(pool(FAMILIES).into_iter().map(|(id, _)| id))
        .chain([unknown])
}

fn apply(table: &mut BTreeMap<MapKey, MapEntry>, changes: &[MapChange]) {
    for change in changes {
        match change {
            MapChange::Set(key, entry) => drop(table.insert(*key, *entry)),
            MapChange::Remove(key) => assert!(table.remove(key).is_some(), "{key} was not there"),
        }
    }
}

/// The longest prefix inside one identity is also the strongest.
fn is_layered(state: &MapState) -> bool {
    let entries: Vec<_> = state.iter().collect();
    entries.iter().all(|(key, entry)| {
        let around = entries.iter().filter(|(outer, _)| {
            (outer.direction, outer.identity) == (key.direction, key.identity)
                && (outer.protocol.is_any()
                    || (outer.protocol == key.protocol && outer.port.contains(key.port)))
        });
        around
            .into_iter()
            .all(|(_, outer)| outer.precedence <= entry.precedence)
    })
}

proptest! {
    #[test]
    fn the_engines_agree(options in options(), policies in policies(5)) {
        let set = set(&options, &policies);
        let snapshot = snapshot(FAMILIES, pool(FAMILIES));
        let mut resolver = Resolver::new(&set, &snapshot);
        for subject in [SUBJECT, IdentityId::new(306), IdentityId::HOST, IdentityId::INIT] {
            let Ok(policy) = resolver.resolve(subject) else { continue };
            let reference = Reference::new(&set, &snapshot, subject).unwrap();
            prop_assert!(is_layered(policy.map_state()));
            for query in everybody().flat_map(questions) {
                let decision = policy.check(&query);
                let found = policy.map_state().lookup(&query).map(|(_, entry)| entry);
                prop_assert_eq!(decision.entry().map(|e| (e.action, e.cookie)), found.map(|e| (e.action, e.cookie)),
                    "{}: {:?}", decision, policy.map_state());
                let answer = reference.check(&query);
                prop_assert_eq!((decision.verdict(), decision.redirect()), (answer.verdict, answer.redirect),
                    "{}", decision);
            }
        }
    }

    #[test]
    fn a_table_answers_as_its_entries_do(options in options(), policies in policies(4)) {
        let set = set(&options, &policies);
        let Ok(policy) = set.resolve(SUBJECT, &snapshot(FAMILIES, pool(FAMILIES))) else { return Ok(()) };
        let state = policy.map_state();
        let rebuilt: MapState = state.iter().collect();
        prop_assert_eq!(&rebuilt, state);
        prop_assert_eq!(&policy.distil(), state);
        prop_assert_eq!(rebuilt.content(), state.content());
        let entries: Vec<_> = state.iter().collect();
        prop_assert!(entries.is_sorted_by(|a, b| a.0 < b.0));
        for query in everybody().flat_map(questions) {
            let longest = |identity: IdentityId| {
                let covering = entries.iter().filter(|(key, _)| key.identity == identity && key.covers(&query));
                covering.max_by_key(|(key, _)| key.prefix_len()).copied()
            };
            let own = longest(query.peer);
            let any = longest(IdentityId::UNKNOWN);
            let strength = |found: &(MapKey, MapEntry)| (found.1.precedence, found.0.prefix_len());
            let expected = match (own, any) {
                (Some(own), Some(any)) => Some(if strength(&any) > strength(&own) { any } else { own }),
                (own, any) => own.or(any),
            };
            prop_assert_eq!(state.lookup(&query), expected);
        }
    }

    #[test]
    fn history_leaves_no_trace(
        options in options(),
        all in policies(4),
        extra in prop::collection::vec((0_usize..4, policy(0, false), any::<u8>(), any::<bool>()), 1..12),
    ) {
        let mut set = set(&options, &all);
        let pool = pool(FAMILIES);
        let mut identities = registry(FAMILIES, pool.iter().take(6).cloned());
        drop(identities.take_delta());
        let mut resolver = Resolver::new(&set, &identities.snapshot());
        let mut live: Option<EndpointPolicy> = resolver.resolve(SUBJECT).ok();
        for (step, text, which, flag) in extra {
            let (id, labels) = pool[1 + usize::from(which) % (pool.len() - 1)].clone();
            match step {
                0 if identities.labels(id).is_none() => identities.insert_fixed(id, labels).unwrap(),
                0 | 1 if identities.labels(id).is_some() => {
                    identities.release(id, std::time::Duration::ZERO).unwrap();
                    identities.expire(std::time::Duration::from_secs(1));
                }
                2 => if let Some(document) = parse_documents("new.yaml", &text).documents.pop() {
                    let _ = set.upsert(document);
                },
                3 => {
                    let name = set.documents().next().map(|document| document.name.clone());
                    let _ = name.map(|name| set.remove(&name));
                }
                _ => {}
            }
            let delta = identities.take_delta();
            resolver.apply(&delta);
            resolver.update(&set);
            if flag { continue }
            let fresh = set.resolve(SUBJECT, &identities.snapshot());
            match (&mut live, fresh) {
                (Some(policy), Ok(fresh)) if policy.revision() != set.revision() => {
                    let old = policy.map_state().clone();
                    let changes = resolver.refresh(policy, &IdentityDelta::default()).unwrap();
                    let mut table: BTreeMap<_, _> = old.iter().collect();
                    apply(&mut table, &changes);
                    prop_assert_eq!(table, fresh.map_state().iter().collect());
                    prop_assert_eq!(policy.map_state(), fresh.map_state());
                }
                (live, Ok(fresh)) => {
                    let again = resolver.resolve(SUBJECT).unwrap();
                    prop_assert_eq!(again.map_state(), fresh.map_state());
                    prop_assert_eq!(again.map_state().content(), fresh.map_state().content());
                    *live = Some(again);
                }
                (_, Err(error)) => prop_assert_eq!(resolver.resolve(SUBJECT).unwrap_err(), error),
            }
        }
    }

    #[test]
    fn identities_come_and_go_in_place(
        options in options(),
        policies in policies(4),
        steps in prop::collection::vec(any::<u8>(), 1..20),
    ) {
        let set = set(&options, &policies);
        let pool = pool(FAMILIES);
        let mut identities = registry(FAMILIES, pool.iter().take(4).cloned());
        drop(identities.take_delta());
        let mut resolver = Resolver::new(&set, &identities.snapshot());
        let Ok(mut policy) = resolver.resolve(SUBJECT) else { return Ok(()) };
        let mut table: BTreeMap<_, _> = policy.map_state().iter().collect();
        for which in steps {
            let (id, labels) = pool[1 + usize::from(which) % (pool.len() - 1)].clone();
            if identities.labels(id).is_some() {
                identities.release(id, std::time::Duration::ZERO).unwrap();
                identities.expire(std::time::Duration::from_secs(1));
            } else {
                identities.insert_fixed(id, labels).unwrap();
            }
            let delta = identities.take_delta();
            resolver.apply(&delta);
            apply(&mut table, &resolver.refresh(&mut policy, &delta).unwrap());
            let fresh = set.resolve(SUBJECT, &identities.snapshot()).unwrap();
            prop_assert_eq!(policy.map_state(), fresh.map_state());
            prop_assert_eq!(&table, &fresh.map_state().iter().collect());
            for query in questions(id) {
                prop_assert_eq!(policy.check(&query).entry(), fresh.check(&query).entry());
            }
        }
    }

    #[test]
    fn a_change_in_place_has_no_third_answer(
        options in options(),
        policies in policies(4),
        peers in (0_usize..13, 0_usize..13),
    ) {
        let set = set(&options, &policies);
        let pool = pool(FAMILIES);
        let id = IdentityId::new(4000);
        let labels = |which: usize| pool[1 + which % (pool.len() - 1)].1.clone();
        let (old, new) = (labels(peers.0), labels(peers.1));
        let known = |labels: &Labels| snapshot(FAMILIES, [pool[0].clone(), (id, labels.clone())]);
        let mut resolver = Resolver::new(&set, &known(&old));
        let Ok(mut policy) = resolver.resolve(SUBJECT) else { return Ok(()) };
        let before = policy.map_state().clone();
        let delta = IdentityDelta { removed: vec![(id, old)], added: vec![(id, new.clone())] };
        resolver.apply(&delta);
        let changes = resolver.refresh(&mut policy, &delta).unwrap();
        let after = set.resolve(SUBJECT, &known(&new)).unwrap();
        let mut table: BTreeMap<_, _> = before.iter().collect();
        let answer = |state: &MapState, query: &Query| state.lookup(query).map(|(_, entry)| entry.action);
        for change in &changes {
            apply(&mut table, std::slice::from_ref(change));
            let between: MapState = table.iter().map(|(key, entry)| (*key, *entry)).collect();
            for query in questions(id) {
                let ends = [answer(&before, &query), answer(after.map_state(), &query)];
                prop_assert!(ends.contains(&answer(&between, &query)), "{query} after {change:?}");
            }
        }
        prop_assert_eq!(table, after.map_state().iter().collect());
    }

    #[test]
    fn a_denial_only_denies(options in options(), policies in policies(4), denial in policy(9, true)) {
        let snapshot = snapshot(FAMILIES, pool(FAMILIES));
        let Ok(before) = set(&options, &policies).resolve(SUBJECT, &snapshot) else { return Ok(()) };
        let more: Vec<_> = policies.iter().cloned().chain([denial]).collect();
        let after = set(&options, &more).resolve(SUBJECT, &snapshot).unwrap();
        let flows = everybody().flat_map(questions);
        never_wider(&before, &after, flows).map_err(|broken| TestCaseError::fail(broken.to_string()))?;
    }

    #[test]
    fn order_and_detours_do_not_count(options in options(), policies in policies(4)) {
        let snapshot = snapshot(FAMILIES, pool(FAMILIES));
        let one = set(&options, &policies);
        let backward: Vec<_> = policies.iter().rev().cloned().collect();
        let other = set(&options, &backward);
        prop_assert_eq!(one.hash(), other.hash());
        let content = |set: &PolicySet| set.resolve(SUBJECT, &snapshot).map(|p| p.map_state().content());
        prop_assert_eq!(content(&one).ok(), content(&other).ok());

        let mut detour = one.clone();
        for name in one.documents().map(|document| document.name.clone()) {
            let document = detour.remove(&name).unwrap();
            detour.upsert((*document).clone()).unwrap();
        }
        prop_assert_eq!(one.hash(), detour.hash());
        prop_assert_eq!(content(&one).ok(), content(&detour).ok());
        prop_assert!(policies.is_empty() || detour.revision() >= one.revision());
    }
}

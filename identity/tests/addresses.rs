//! An address that changes hands.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::time::Duration;

use ipnet::IpNet;
use porin_identity::{Binding, Generation, IdentityId, OwnerId, PrefixEntry, PrefixTable, Source};

const OLD: OwnerId = OwnerId::new(1);
const NEW: OwnerId = OwnerId::new(2);
const ALICE: IdentityId = IdentityId::new(1000);
const BOB: IdentityId = IdentityId::new(2000);

fn address() -> IpNet {
    "10.0.0.7/32".parse().unwrap()
}

fn claim(owner: OwnerId, identity: IdentityId, source: Source) -> PrefixEntry {
    PrefixEntry {
        identity,
        source,
        owner,
        generation: Generation::new(1),
    }
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn reused() -> PrefixTable {
    let mut table = PrefixTable::with_quarantine(seconds(30));
    table
        .upsert(address(), claim(OLD, ALICE, Source::Local), seconds(0))
        .unwrap();
    assert!(table.remove(address(), OLD, Generation::new(1), seconds(10)));
    table
        .upsert(address(), claim(NEW, BOB, Source::Local), seconds(11))
        .unwrap();
    table
}

#[test]
fn a_reused_address_starts_in_quarantine_and_leaves_it_with_time() {
    let mut table = reused();
    assert_eq!(table.binding(&address()), Binding::Quarantined);
    assert_eq!(table.expire(seconds(39)), 0);
    assert_eq!(table.expire(seconds(40)), 1);
    assert_eq!(table.binding(&address()), Binding::Identity(BOB));
    let last = table.take_delta();
    assert_eq!(last.len(), 1);
    assert_eq!(last[0].to, Binding::Identity(BOB));
}

#[test]
fn the_owner_in_force_may_confirm_that_nothing_old_is_left() {
    let mut table = reused();
    assert!(
        !table.confirm(address(), OLD, Generation::new(1)),
        "the old owner confirms nothing"
    );
    assert!(
        !table.confirm(address(), NEW, Generation::new(9)),
        "nor does a claim that was never made"
    );
    assert!(table.confirm(address(), NEW, Generation::new(1)));
    assert_eq!(table.binding(&address()), Binding::Identity(BOB));
}

#[test]
fn an_address_taken_from_a_living_owner_rests_too() {
    let mut table = PrefixTable::with_quarantine(seconds(30));
    table
        .upsert(address(), claim(OLD, ALICE, Source::Remote), seconds(0))
        .unwrap();
    table
        .upsert(address(), claim(NEW, BOB, Source::Local), seconds(1))
        .unwrap();
    assert_eq!(table.binding(&address()), Binding::Quarantined);
    assert!(
        !table.remove(address(), OLD, Generation::new(0), seconds(2)),
        "another generation"
    );
    assert!(table.remove(address(), OLD, Generation::new(1), seconds(2)));
    assert_eq!(table.expire(seconds(31)), 1);
    assert_eq!(table.binding(&address()), Binding::Identity(BOB));
}

#[test]
fn the_same_owner_returns_at_once() {
    let mut table = PrefixTable::with_quarantine(seconds(30));
    table
        .upsert(address(), claim(OLD, ALICE, Source::Local), seconds(0))
        .unwrap();
    table.remove(address(), OLD, Generation::new(1), seconds(1));
    table
        .upsert(address(), claim(OLD, BOB, Source::Local), seconds(2))
        .unwrap();
    assert_eq!(table.binding(&address()), Binding::Identity(BOB));
}

#[test]
fn blocks_do_not_rest() {
    let block: IpNet = "10.0.0.0/24".parse().unwrap();
    let mut table = PrefixTable::default();
    table
        .upsert(block, claim(OLD, ALICE, Source::Policy), seconds(0))
        .unwrap();
    table.remove(block, OLD, Generation::new(1), seconds(1));
    table
        .upsert(block, claim(NEW, BOB, Source::Policy), seconds(1))
        .unwrap();
    assert_eq!(table.binding(&block), Binding::Identity(BOB));
}

#[test]
fn ipv4_inside_ipv6_is_ipv4() {
    let mut table = PrefixTable::default();
    table
        .upsert(
            "::ffff:10.0.0.7/128".parse().unwrap(),
            claim(OLD, ALICE, Source::Local),
            seconds(0),
        )
        .unwrap();
    assert_eq!(
        table.lookup("::ffff:10.0.0.7".parse().unwrap()).unwrap().0,
        address()
    );
    assert_eq!(
        table
            .lookup("10.0.0.7".parse().unwrap())
            .unwrap()
            .1
            .identity,
        ALICE
    );
    assert!(table.lookup("10.0.0.8".parse().unwrap()).is_none());
}

//! Every target, over seeds and changed seeds: a thousandth of a long run, without coverage.
//!
//! `PORIN_SEED` chooses the run, `PORIN_INPUTS` multiplies its length.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod inputs;

use inputs::hold;
use porin_fuzz::Target;

#[test]
fn policy_print() {
    hold(Target::Print, 300);
}

#[test]
fn policy_engines() {
    hold(Target::Engines, 400);
}

#[test]
fn policy_deny() {
    hold(Target::Deny, 400);
}

#[test]
fn policy_history() {
    hold(Target::History, 60);
}

#[test]
fn policy_l7() {
    hold(Target::L7, 1000);
}

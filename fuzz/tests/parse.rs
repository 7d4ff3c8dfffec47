//! Reading, which measures memory and therefore has a process for itself.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod inputs;

#[test]
fn policy_parse() {
    inputs::hold(porin_fuzz::Target::Parse, 1000);
}

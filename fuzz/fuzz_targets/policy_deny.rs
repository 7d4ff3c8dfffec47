//! A denial never lets more through.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| porin_fuzz::hold(porin_fuzz::Target::Deny, bytes));

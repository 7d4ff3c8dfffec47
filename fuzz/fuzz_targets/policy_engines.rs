//! Reference, compiled policy and table give one answer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| porin_fuzz::hold(porin_fuzz::Target::Engines, bytes));

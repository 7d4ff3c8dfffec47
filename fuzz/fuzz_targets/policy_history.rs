//! What comes back leaves no trace.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| porin_fuzz::hold(porin_fuzz::Target::History, bytes));

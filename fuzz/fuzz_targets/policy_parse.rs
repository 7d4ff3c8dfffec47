//! Whatever stands in a file, it is read or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| porin_fuzz::hold(porin_fuzz::Target::Parse, bytes));

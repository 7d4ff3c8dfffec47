//! What is printed of a document reads as the document did.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| porin_fuzz::hold(porin_fuzz::Target::Print, bytes));

//! `fuzz/run metadata`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chronik_fuzz::metadata(data));

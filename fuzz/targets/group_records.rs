//! `fuzz/run group_records`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chronik_fuzz::group_records(data));

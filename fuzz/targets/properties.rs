//! `fuzz/run properties`.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: chronik_fuzz::write_samples("properties"),
    |data: &[u8]| chronik_fuzz::properties(data)
);

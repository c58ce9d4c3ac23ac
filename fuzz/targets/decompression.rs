//! `fuzz/run decompression`.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: chronik_fuzz::write_samples("decompression"),
    |data: &[u8]| chronik_fuzz::decompression(data)
);

//! `fuzz/run batches`.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: chronik_fuzz::write_samples("batches"),
    |data: &[u8]| chronik_fuzz::batches(data)
);

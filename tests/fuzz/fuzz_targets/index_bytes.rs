//! See `fuzz::index_bytes`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::write_seeds("index_bytes"), |bytes: &[u8]| fuzz::index_bytes::run(bytes));

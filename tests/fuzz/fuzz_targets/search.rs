//! See `fuzz::search`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::write_seeds("search"), |bytes: &[u8]| fuzz::search::run(bytes));

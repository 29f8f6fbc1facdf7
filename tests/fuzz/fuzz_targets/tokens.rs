//! See `fuzz::tokens`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::write_seeds("tokens"), |bytes: &[u8]| fuzz::tokens::run(bytes));

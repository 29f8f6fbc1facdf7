//! See `fuzz::environment`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::write_seeds("environment"), |bytes: &[u8]| fuzz::environment::run(bytes));

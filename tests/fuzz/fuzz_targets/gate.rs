//! See `fuzz::gate`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::write_seeds("gate"), |bytes: &[u8]| fuzz::gate::run(bytes));

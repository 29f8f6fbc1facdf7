//! See `fuzz::versions`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::write_seeds("versions"), |bytes: &[u8]| fuzz::versions::run(bytes));

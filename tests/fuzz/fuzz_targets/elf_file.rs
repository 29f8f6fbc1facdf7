//! See `fuzz::elf_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::write_seeds("elf_file"), |bytes: &[u8]| fuzz::elf_file::run(bytes));

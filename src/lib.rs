//! An audit library (rtld-audit(7)) that finds the libraries ld.so cannot.
//!
//! ld.so loads it into every process that has it in `LD_AUDIT`, before libc and before main. When ld.so looks for a
//! library that it would not find, the library is looked up in the directories of `REPLIT_LD_LIBRARY_PATH`.
//!
//! Invariants of this crate, and what is deliberately absent:
//! - No libc, no heap, no thread-local storage, no formatting machinery: all of them are somebody else's in a process
//!   that is being loaded. Memory is borrowed, or mapped by `live::memory`.
//! - No panic. `cargo xtask test` looks into the shared object for what could (see `live::entry`).
//! - Decisions are pure: everything above `live` in the list below is safe code over borrowed bytes and over the two
//!   views of [`views`]. Only `live` touches the process.
//!
//! The modules stand in reading order: what is asked for, what is known, how it is decided, what is said of it, and
//! last the process.

#![no_std]
#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)
)]
// What `new` makes here is made in statics, where `default` cannot be called.
#![allow(clippy::new_without_default)]

#[cfg(test)]
extern crate std;

pub mod environment;

pub mod heritage;

pub mod path;

pub mod declared;

pub mod table;

pub mod name;

pub mod skip;

pub mod versions;

pub mod library;

pub mod index;

pub mod catalogue;

pub mod views;

pub mod loader_image;

pub mod ld_so_cache;

pub mod hwcaps;

pub mod tokens;

pub mod search;

pub mod family;

pub mod candidate;

pub mod elf_file;

pub mod outcome;

pub mod own_glibc;

pub mod gate;

pub mod brings;

pub mod channel;

pub mod decimal;

pub mod drivers;

pub mod refusal;

pub mod hint;

pub mod lookup;

pub mod origin;

pub mod log;

pub mod live;

#[cfg(test)]
mod made_up;

//! The process that we live in. Everything that touches it is below here; what needs `unsafe` is in a file of its own.
//!
//! ld.so calls us while it holds its lock, one call at a time, but for la_objclose when the process ends. And another thread may fork at
//! any moment, and the child goes on with a copy of whatever half of our work was done: so memory that outlives a call is published
//! whole, last.

mod memory;

mod link_map;

mod shared;

mod links;

mod objects;

mod open;

mod libraries;

pub mod files;

pub mod index_file;

pub mod listing;

mod standard_error;

mod log_file;

mod published;

pub mod start;

pub mod process;

#[cfg(audit_so)]
mod memory_functions;

#[cfg(audit_so)]
mod entry;

#[cfg(all(audit_so, target_arch = "x86"))]
mod aligned;

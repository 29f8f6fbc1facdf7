//! The host side: turns declared dependencies into an environment, a directory with the `replit-env` script in it.
//!
//! `cli` says what can be declared, `declared` checks it, `closure` finds what it needs, `static_tls` how much thread-
//! local storage that has, `channels` which glibc its libraries are for (`library_file` reads them), and `index` what
//! each of its objects will find, with `hints` for libraries that nobody declares (`layout` writes its bytes). `script`
//! turns it all into shell text (`sh/` holds the parts that never change; `fish` is for the one shell that is not like
//! the others), `generate` writes the files, `platform` knows what an auditor of each class takes. `print_env` prints what a script has set, `explain` says what comes of it,
//! `doctor` what is wrong with it (`first_line` reads scripts for both). `progress` shows who waits how far it is.
//! `help`, `completions` and `man` are for readers, and `share` puts them where shells and man(1) look.
#![deny(unsafe_code)]

mod channels;
pub mod cli;
mod closure;
mod completions;
mod declared;
mod doctor;
mod explain;
mod first_line;
mod fish;
mod generate;
mod help;
mod hints;
mod index;
mod layout;
mod library_file;
mod man;
mod object_file;
mod platform;
mod print_env;
mod progress;
mod rights;
mod script;
mod share;
mod static_tls;
mod tunables;
mod variables;

/// What tests/fuzz reaches of the generator: it writes indexes of its own, for the auditor's reader. No interface for anybody
/// else.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::channels::{Channel, Glibc};
    pub use crate::declared::ListEntry;
    pub use crate::hints::Hints;
    pub use crate::layout::{Directories, Entry, Listed, write};
}

//! The host side: turns declared dependencies into an environment, a directory with the `replit-env` script in it.
//!
//! `cli` says what can be declared, `declared` checks it, `script` turns it into shell text (`sh/` holds the parts that
//! never change), `generate` writes the files.
#![deny(unsafe_code)]

pub mod cli;
mod declared;
mod generate;
mod script;

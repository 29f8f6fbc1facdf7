//! `replit-env --print-env`: what the script sets, for shells and tools that do without it.
//!
//! No rule of the script is told here again. It has set the variables, as before any program, and executed this one; it
//! hands over their names, and the values are those of this process's own environment.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::{Map, Value};

use crate::{fish, script};

/// How variables are printed. The comments are what --help says.
#[derive(Clone, Copy, ValueEnum)]
pub enum Format {
    /// Commands for a POSIX shell; the default
    Sh,
    /// Commands for fish
    Fish,
    /// An object of names and values; a value that is not UTF-8 is an array of its bytes
    Json,
}

/// Prints these variables of this process.
pub fn print<'a>(format: Format, names: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen = BTreeSet::new();
    // What a shell does not pass on to us, no program would get.
    let variables = names.filter(|name| seen.insert(*name)).filter_map(|name| Some((name, std::env::var_os(name)?)));
    let text = match format {
        Format::Sh => commands(variables, script::export),
        Format::Fish => commands(variables, fish::export),
        Format::Json => json(variables)?,
    };
    write(&text)
}

/// Writes to standard output.
pub fn write(text: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text).and_then(|()| stdout.flush()).context("cannot write to standard output")
}

fn commands<'a>(variables: impl Iterator<Item = (&'a str, OsString)>, export: fn(&str, &[u8]) -> Vec<u8>) -> Vec<u8> {
    variables.flat_map(|(name, value)| export(name, value.as_bytes())).collect()
}

fn json<'a>(variables: impl Iterator<Item = (&'a str, OsString)>) -> Result<Vec<u8>> {
    let value = |value: OsString| match value.into_string() {
        Ok(text) => Value::from(text),
        // Nothing is lost, and every reader of JSON can read it. Escaped lone surrogates only some can.
        Err(value) => Value::from(value.as_bytes()),
    };
    let object: Map<_, _> = variables.map(|(name, bytes)| (name.to_owned(), value(bytes))).collect();
    let mut text = serde_json::to_vec_pretty(&object)?;
    text.push(b'\n');
    Ok(text)
}

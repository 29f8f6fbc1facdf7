//! One trial for each channel, view and case, named like `bookworm/nix/own-runpath`.
//!
//! A case first shows what happens without the auditor, then with it. The manifest named by RTLD_MANIFEST says where.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use libtest_mimic::{Arguments, Failed, Trial};
use suite::bed::Bed;
use suite::manifest::{Channel, Manifest, View};

mod cases;
mod trees;

use cases::Case;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    match trials() {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn trials() -> Result<Vec<Trial>> {
    let path = env::var_os("RTLD_MANIFEST").map(PathBuf::from);
    let path = path.context("RTLD_MANIFEST names no manifest of channels: `cargo xtask test` makes one")?;
    // The program may have been built elsewhere: see nix/suite.nix.
    let objects = env::var_os("RTLD_OBJECTS").map(PathBuf::from);
    let objects = objects.unwrap_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("objects"));
    let manifest = Arc::new(Manifest::load(&path, objects)?);

    let mut trials = Vec::new();
    for case in cases::auditor() {
        let manifest = manifest.clone();
        trials.push(Trial::test(format!("auditor/{}", case.name), move || Ok((case.check)(&manifest)?)));
    }
    for (index, channel) in manifest.channels.iter().enumerate() {
        for &view in &manifest.views {
            for case in cases::all().into_iter().filter(|case| case.applies(&manifest, channel, view)) {
                let (name, manifest) = (format!("{}/{}/{}", channel.name, view.name(), case.name), manifest.clone());
                trials.push(Trial::test(name, move || trial(&case, &manifest, &manifest.channels[index], view)));
            }
        }
    }
    Ok(trials)
}

fn trial(case: &Case, manifest: &Manifest, channel: &Channel, view: View) -> Result<(), Failed> {
    let bed = Bed::new(manifest, channel, view)?;
    (case.check)(&bed).map_err(|error| {
        // What went wrong can be run again by hand.
        Failed::from(format!("{error:#}\nthe fixtures are in {}", bed.keep().display()))
    })
}

//! `cargo xtask sweep`: every program of the machine and of the channels, without and with the auditor.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use suite::manifest::Manifest;
use suite::sweep::known::{self, Known};
use suite::sweep::programs::{MACHINE, OUTPUT, Programs};
use suite::sweep::{self, report};
use xshell::{Shell, cmd};

use crate::channels::Set;
use crate::{channels, docs, manifest, setup, step};

/// What to sweep.
#[derive(clap::Args)]
pub struct Arguments {
    /// Programs with these names alone. There may be few of them then.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Also write the figures into docs/reliability.md.
    #[arg(long, conflicts_with = "only")]
    docs: bool,
}

/// Prints a table. A difference that nothing explains is an error.
pub fn run(sh: &Shell, arguments: &Arguments) -> Result<()> {
    setup::run(sh)?;
    let bed = channels::make(sh, Set::Bench)?;
    let manifest = manifest::make(sh, &bed, None)?;
    let manifest = Manifest::load(&manifest, bed.directory.join("objects"))?;
    let known = Known::read()?;

    let nix = bed.nix(sh)?;
    let (mut programs, mut outputs) = (Programs::default(), Vec::<PathBuf>::new());
    for directory in MACHINE {
        programs.add(Path::new(directory), known::MACHINE);
    }
    for channel in &manifest.channels {
        let description = bed.description(&channel.name);
        let closure = nix.command(cmd!(sh, "nix-store --query --requisites {description}")).read()?;
        for path in closure.lines().map(Path::new) {
            // All three are added: `any` would stop at the first.
            let found = OUTPUT.map(|directory| programs.add(&path.join(directory), &channel.name));
            if found.contains(&true) {
                outputs.push(path.into());
            }
        }
    }

    let is_whole = arguments.only.is_empty();
    let is_wanted =
        |path: &Path| path.file_name().is_some_and(|name| arguments.only.iter().any(|only| name == only.as_str()));
    programs.list.retain(|program| is_whole || is_wanted(&program.path));
    let started = Instant::now();
    let bar = step::Counter::start("programs without and with the auditor", programs.list.len());
    let progress = |program: &Path| bar.advance(&program.display().to_string());
    let outputs: Vec<&Path> = outputs.iter().map(PathBuf::as_path).collect();
    let swept = sweep::sweep(&manifest, programs.list, &outputs, &progress)?;
    bar.end();
    let table = report::table(&swept, &known);
    println!("{table}\n");
    step::say(&format!("Swept in {:.0} s", started.elapsed().as_secs_f32()));
    report::check(&swept, &known, is_whole)?;
    if arguments.docs { docs::sweep(sh, &table).context("the page of figures") } else { Ok(()) }
}

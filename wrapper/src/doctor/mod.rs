//! `--doctor`: looks for what keeps an environment from working, and says what to do.
//!
//! Each file has the checks of one thing: `auditor` of LD_AUDIT (`roots` knows what Nix keeps), `declared` of
//! REPLIT_LD_LIBRARY_PATH, `index` of REPLIT_RTLD_INDEX, `variables` of what else ld.so and the auditor read,
//! `drivers`, `venv`, and `program` (`program_file` reads it). They see the machine through a `world` alone, and put
//! what they find into a `report`: values of one enum (`finding`), from which all that is said derives (`message`).

mod auditor;
mod declared;
mod drivers;
mod finding;
mod index;
mod message;
mod program;
mod program_file;
mod report;
mod roots;
mod variables;
mod venv;
mod world;

#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anstream::AutoStream;
use anyhow::{Context, Result};
use clap::Args;

use report::Report;
use world::World;

/// The columns of what is no terminal.
const COLUMNS: usize = 80;

/// Longer lines are hard to read.
const MOST_COLUMNS: usize = 100;

/// Checks the environment that it runs in, and says for each problem what to do.
///
/// It looks at the variables of ld.so and of the auditor, at what they name, at the driver, at VIRTUAL_ENV, and, if one
/// is named, at a program: whether ld.so starts it, and whether its glibc is new enough for the declared libraries.
/// Nothing is changed, and nothing is run but `nix-store --query`.
#[derive(Args)]
#[command(
    override_usage = "replit-env --doctor [--json] [--verbose] [PROGRAM]
       replit-env-cli doctor [--json] [--verbose] [PROGRAM]",
    after_help = "Exit codes: 0 without an error or a warning, 1 with one, 2 for another use."
)]
pub struct Doctor {
    /// A program to look at, too: a path, or a name to be found in PATH
    program: Option<OsString>,

    /// Prints JSON
    #[arg(long)]
    json: bool,

    /// Says, too, what was checked and is well
    #[arg(long, short)]
    verbose: bool,

    // From the script: LD_AUDIT as it was before the script has set it.
    #[arg(long, hide = true)]
    callers_auditors: Option<OsString>,
}

/// Looks, and prints what was found.
pub fn run(arguments: &Doctor) -> Result<ExitCode> {
    let Doctor { program, json, verbose, callers_auditors } = arguments;
    let report = examine(&World::live(roots::referrers), program.as_deref(), callers_auditors.as_deref());
    let stdout = io::stdout();
    let text = if *json {
        report.json()
    } else {
        let columns = if stdout.is_terminal() { textwrap::termwidth().min(MOST_COLUMNS) } else { COLUMNS };
        report.text(columns, *verbose)
    };
    // Colours are left out where nobody sees them, or nobody wants to.
    let mut stdout = AutoStream::auto(stdout.lock());
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("cannot write to standard output")?;
    Ok(if report.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes all checks.
fn examine(world: &World, program: Option<&OsStr>, callers_auditors: Option<&OsStr>) -> Report {
    let mut report = Report::default();
    auditor::check(world, callers_auditors.unwrap_or_default(), &mut report);
    declared::check(world, &mut report);
    index::check(world, &mut report);
    variables::check(world, &mut report);
    drivers::check(world, &mut report);
    let program = program.and_then(|name| program::check(world, name, &mut report));
    venv::check(world, program.as_deref(), &mut report);
    report
}

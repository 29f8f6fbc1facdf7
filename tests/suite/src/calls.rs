//! What an auditor adds to a call from one library to another, in time.
//!
//! Machines differ and are never idle, so the ways to run it take turns, and the middle of many runs counts.

use std::fmt::Write;

use anyhow::{Context, Result};

use crate::bed::Bed;
use crate::instructions::IDLE;
use crate::manifest::{Manifest, View};
use crate::run::Run;

/// How often each way is run, an odd number.
const ROUNDS: usize = 21;
/// How many calls a run makes.
const CALLS: &str = "1000000";

/// Nanoseconds that a call takes on one channel.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    /// Without an auditor.
    pub plain: f64,
    /// With an auditor that does nothing.
    pub idle: f64,
    /// With ours.
    pub ours: f64,
    /// With ours, when LD_BIND_NOW is set, too.
    pub bind_now: f64,
}

impl Calls {
    /// Measures in a bed.
    pub fn take(bed: &Bed) -> Result<Calls> {
        let library = bed.library("libnext.so").source("int next(int number) { return number + 1; }\n").build()?;
        // Many compilers bind at once unless they are told otherwise.
        let source = include_str!("../fixtures/calls.c");
        let flags = ["-Wl,-z,lazy", "-fplt"];
        let program = bed.program("calls").source(source).needs(&library).runpath(&bed.root().display().to_string());
        let program = flags.into_iter().fold(program, |program, flag| program.flag(flag)).build()?;

        let plain = bed.run(program).arg(CALLS);
        let idle = plain.clone().env("LD_AUDIT", bed.library("libidle.so").source(IDLE).build()?);
        let ours = plain.with_auditor();
        let ways = [plain, idle, ours.clone(), ours.env("LD_BIND_NOW", "1")];
        let mut taken = [(); 4].map(|()| Vec::new());
        for _ in 0..ROUNDS {
            for (way, taken) in ways.iter().zip(&mut taken) {
                taken.push(nanoseconds(way)?);
            }
        }
        let [plain, idle, ours, bind_now] = taken.map(middle);
        Ok(Calls { plain, idle, ours, bind_now })
    }
}

fn nanoseconds(run: &Run) -> Result<f64> {
    let outcome = run.plain()?;
    outcome.runs()?.stdout.trim().parse().context("the program prints a number")
}

/// The middle one of some figures.
pub(crate) fn middle(mut taken: Vec<f64>) -> f64 {
    taken.sort_by(f64::total_cmp);
    taken[taken.len() / 2]
}

/// The figures of every channel, as a table.
pub fn table(manifest: &Manifest) -> Result<String> {
    let mut table = String::new();
    writeln!(table, "A call through the PLT              without   with an           with     with ours")?;
    writeln!(table, "                                    auditor   idle one          ours  and BIND_NOW")?;
    for channel in &manifest.channels {
        let taken = Calls::take(&Bed::new(manifest, channel, View::Distribution)?)?;
        let times = |each: f64| format!("{each:.1} ns ({:.1} ×)", each / taken.plain);
        writeln!(
            table,
            "{:<32} {:>7.1} ns {:>16} {:>16} {:>16}",
            format!("{} {}", channel.name, channel.glibc),
            taken.plain,
            times(taken.idle),
            times(taken.ours),
            times(taken.bind_now)
        )?;
    }
    Ok(table)
}

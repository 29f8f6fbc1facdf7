//! What it costs to start programs, in each way to find their libraries.
//!
//! System calls and instructions hardly differ between runs. Times are those of one machine: what they are as a part of stock
//! ld.so's is what can be compared.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

use crate::bed::Bed;
use crate::calls::middle;
use crate::instructions::Profile;
use crate::manifest::{Channel, Manifest, View};
use crate::turns;
use crate::ways::{self, Prepared, Way};
use crate::workloads::{Kind, Workload};

/// How often a start is held up.
const DELAYED_ROUNDS: usize = 3;
/// After so long no further round begins.
const LONG: Duration = Duration::from_secs(15);

/// The figures of one way.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The way.
    pub way: Way,
    /// Names of libraries that were opened where they are not.
    pub failed_opens: usize,
    /// All system calls.
    pub calls: usize,
    /// Instructions of ld.so and of the auditor.
    pub instructions: u64,
    /// Those of the auditor alone.
    pub auditor: u64,
    /// From the fork to the end of the process.
    pub wall: Duration,
    /// The same when each call that names a file is held up.
    pub delayed: Duration,
}

/// A workload on one channel, in every way.
#[derive(Clone, Debug)]
pub struct Starts {
    /// What was started.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// How many libraries it loads, with those of glibc.
    pub libraries: usize,
    /// In the order of [`Way::ALL`].
    pub figures: Vec<Figures>,
}

impl Starts {
    /// Measures a workload on one channel.
    pub fn take(manifest: &Manifest, channel: &Channel, kind: Kind) -> Result<Starts> {
        // A Nix process's view: what lacks a RUNPATH must not find the machine's own libraries.
        let bed = Bed::new(manifest, channel, View::Nix)?;
        let workload = kind.build(&bed)?;
        let (libraries, prepared) = ways::prepare(&bed, &workload).with_context(|| workload.name.clone())?;
        let walls = turns::take(&bed, prepared.iter().map(|prepared| &prepared.run))?;
        let delayed = delayed(&prepared).with_context(|| workload.name.clone())?;
        let times = walls.into_iter().zip(delayed);
        let figures = prepared.iter().zip(times).map(|(prepared, times)| figures(&bed, prepared, times));
        let figures = figures.collect::<Result<_>>().with_context(|| workload.name.clone())?;
        let Workload { name, .. } = workload;
        Ok(Starts { kind, name, libraries, figures })
    }

    /// Those of a way.
    pub fn of(&self, way: Way) -> Option<&Figures> {
        self.figures.iter().find(|figures| figures.way == way)
    }
}

/// How long each start takes when calls are held up, in nanoseconds: the middle of three rounds, or of one that takes long.
fn delayed(prepared: &[Prepared]) -> Result<Vec<f64>> {
    let mut taken = vec![Vec::new(); prepared.len()];
    let started = Instant::now();
    while taken[0].is_empty() || (taken[0].len() < DELAYED_ROUNDS && started.elapsed() < LONG) {
        for (prepared, taken) in prepared.iter().zip(&mut taken) {
            taken.push(prepared.run.delayed()?.as_nanos() as f64);
        }
    }
    // An even number of rounds has no middle one.
    Ok(taken.into_iter().map(|mut taken| middle(taken.split_off(usize::from(taken.len() == 2)))).collect())
}

fn figures(bed: &Bed, prepared: &Prepared, (wall, delayed): (f64, f64)) -> Result<Figures> {
    let Prepared { way, run, trace } = prepared;
    let profile = Profile::take(bed, run)?;
    Ok(Figures {
        way: *way,
        failed_opens: trace.failed_opens(),
        calls: trace.count(),
        instructions: profile.linking,
        auditor: profile.auditor,
        wall: Duration::from_nanos(wall as u64),
        delayed: Duration::from_nanos(delayed as u64),
    })
}

/// The figures of one channel, as a table in Markdown.
pub fn table(all: &[Starts]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header([
        "program (libraries)",
        "way",
        "failed opens",
        "system calls",
        "instructions",
        "time",
        "× ld.so",
        "held up",
        "× ld.so",
    ]);
    for starts in all {
        let stock = starts.of(Way::Stock);
        for figures in &starts.figures {
            let compared = |part: fn(&Figures) -> Duration| {
                stock.map_or_else(String::new, |stock| times(part(figures), part(stock)))
            };
            let is_first = figures.way == Way::Stock;
            table.add_row([
                if is_first { format!("{} ({})", starts.name, starts.libraries) } else { String::new() },
                figures.way.title().to_owned(),
                figures.failed_opens.to_string(),
                figures.calls.to_string(),
                format!("{:.2} M", figures.instructions as f64 / 1e6),
                format!("{:.2} ms", milliseconds(figures.wall)),
                compared(|figures| figures.wall),
                format!("{:.0} ms", milliseconds(figures.delayed)),
                compared(|figures| figures.delayed),
            ]);
        }
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// How many times as long one takes as another, with two digits that say something.
fn times(one: Duration, other: Duration) -> String {
    let times = one.as_secs_f64() / other.as_secs_f64();
    if times < 0.1 { format!("{times:.3}") } else { format!("{times:.2}") }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_compared_with_those_of_ld_so() {
        let figures = |way, wall, delayed| Figures {
            way,
            failed_opens: 7,
            calls: 70,
            instructions: 1_234_567,
            auditor: 567,
            wall: Duration::from_micros(wall),
            delayed: Duration::from_millis(delayed),
        };
        let figures = vec![figures(Way::Stock, 2000, 80), figures(Way::Ours, 3000, 5)];
        let starts = Starts { kind: Kind::Hello, name: "hello".into(), libraries: 1, figures };
        let table = table(&[starts]);
        let rows: Vec<Vec<&str>> = table.lines().skip(2).map(|row| row.split('|').map(str::trim).collect()).collect();
        assert_eq!(rows[0], ["", "hello (1)", "ld.so", "7", "70", "1.23 M", "2.00 ms", "1.00", "80 ms", "1.00", ""]);
        assert_eq!(rows[1][6..], ["3.00 ms", "1.50", "5 ms", "0.062", ""]);
    }
}

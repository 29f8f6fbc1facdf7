//! `cargo xtask bench`: what the auditor costs.

use anyhow::{Context, Result, ensure};
use suite::manifest::{Channel, Manifest};
use suite::starts::{self, Starts};
use suite::workloads::Kind;
use suite::{bounds, calls, counts, instructions};
use xshell::Shell;

use crate::channels::Set;
use crate::{channels, docs, indexing, manifest, setup, step};

/// The first glibc that is supported. An older ld.so asks for more memory under any auditor.
const SUPPORTED: (u32, u32) = (2, 34);

/// What to measure.
#[derive(clap::Args)]
pub struct Arguments {
    /// On this channel alone.
    #[arg(long)]
    channel: Option<String>,
    /// These parts alone.
    #[arg(long, value_delimiter = ',', value_name = "PARTS")]
    only: Vec<Part>,
    /// Also write the figures of starts into docs/performance.md, with a plot of them.
    #[arg(long)]
    docs: bool,
}

/// A part of the bench.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Part {
    /// What the auditor adds: system calls, instructions, calls between libraries.
    Added,
    /// What it costs to start programs, next to other ways to find their libraries.
    Starts,
    /// How long it takes to make an index of many store paths, and how large it is.
    Indexing,
}

/// Prints the figures. What is counted and beyond its bound is an error.
pub fn run(sh: &Shell, arguments: &Arguments) -> Result<()> {
    setup::run(sh)?;
    setup::install(sh, &["valgrind"])?;
    let bed = channels::make(sh, Set::Bench)?;
    let manifest = manifest::make(sh, &bed, arguments.channel.as_deref())?;
    let manifest = Manifest::load(&manifest, bed.directory.join("objects"))?;
    let runs = |part| arguments.only.is_empty() || arguments.only.contains(&part);
    if runs(Part::Starts) {
        let (mut measured, mut beyond) = (Vec::new(), Vec::new());
        for channel in &manifest.channels {
            let all = starts(&manifest, channel)?;
            let (bounds, more) = bounds::table(&all);
            println!("{} {}\n\n{}\n\n{bounds}\n", channel.name, channel.glibc, starts::table(&all));
            if channel.version() >= SUPPORTED {
                beyond.extend(more.into_iter().map(|what| format!("{}, {what}", channel.name)));
            }
            measured.push((channel, all));
        }
        if arguments.docs {
            docs::write(sh, &measured)?;
        }
        ensure!(beyond.is_empty(), "beyond the bounds: {beyond:#?}");
    }
    if runs(Part::Indexing) {
        println!("{}\n", indexing::measure(sh, &manifest.replit_env_cli)?);
    }
    if runs(Part::Added) {
        added(&manifest)?;
    }
    Ok(())
}

/// Starts every program on a channel.
fn starts(manifest: &Manifest, channel: &Channel) -> Result<Vec<Starts>> {
    let kinds = [Kind::PROGRAMS.as_slice(), &Kind::GROWTH].concat();
    let of = kinds.len();
    let one = |(number, kind): (usize, Kind)| {
        let starts = Starts::take(manifest, channel, kind).with_context(|| format!("channel {}", channel.name))?;
        step::say(&format!("  {} {}, {} of {of}: {}", channel.name, channel.glibc, number + 1, starts.name));
        Ok(starts)
    };
    step::say(&format!("Starting programs of {} …", channel.name));
    kinds.into_iter().enumerate().map(one).collect()
}

fn added(manifest: &Manifest) -> Result<()> {
    step::say("Counting …");
    println!("{}", counts::table(manifest)?);
    let (table, fit) = instructions::table(manifest)?;
    println!("{table}");
    print!("{}", calls::table(manifest)?);
    ensure!(fit, "the auditor runs more instructions than it may");
    Ok(())
}

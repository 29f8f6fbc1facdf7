//! What the auditor costs, in instructions, as callgrind counts them.
//!
//! Counted is what ld.so and the auditor run, as a part of all that the program runs without one. The interpreter's own
//! instructions are left out of the difference: they follow the addresses of its objects, which anything that is mapped besides
//! moves, and so change by more than an auditor costs.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::bed::Bed;
use crate::manifest::{Channel, Manifest, View};
use crate::run::Run;

/// The most that the auditor may add to `python3 -c pass`, in per cent.
pub const LIMIT: f64 = 0.3;
/// The first glibc of the limit: up to 2.34 any auditor makes calls between libraries go through ld.so.
const LIMIT_SINCE: (u32, u32) = (2, 35);

/// An auditor that does nothing.
pub const IDLE: &str = "unsigned la_version(unsigned version) { return version; }\n";

/// callgrind itself, which is a static program and so runs in any view; each machine has one of them.
const CALLGRIND: [&str; 2] = ["callgrind-amd64-linux", "callgrind-arm64-linux"];

/// What of a channel's libraries is declared. Python does not need any of them itself,
const DECLARED: [&str; 2] = ["cairo", "libstdcxx"];
/// but this one, and finds it without us: the auditor goes ld.so's way to see that.
const NEEDED: &str = "zlib";

/// `python3 -c pass` of one channel. What is added is in per cent.
#[derive(Clone, Copy, Debug)]
pub struct Instructions {
    /// All that it runs without an auditor.
    pub plain: u64,
    /// What an auditor adds that does nothing.
    pub idle: f64,
    /// What ours adds when nothing is declared that python needs.
    pub ours: f64,
    /// What ours adds when something is.
    pub needed: f64,
    /// What it adds then if LD_BIND_NOW is set, too.
    pub bind_now: f64,
}

impl Instructions {
    /// Counts in a bed.
    pub fn take(bed: &Bed) -> Result<Instructions> {
        let lib = |name: &str| bed.channel.libraries.get(name).map(|output| output.join("lib"));
        let declared: Vec<PathBuf> = DECLARED.into_iter().filter_map(lib).collect();
        let needed: Vec<PathBuf> = declared.iter().cloned().chain(lib(NEEDED)).collect();
        ensure!(needed.len() > declared.len(), "the manifest names no {NEEDED}");
        let plain = bed.run(&bed.channel.python).args(["-c", "pass"]).env("PYTHONHASHSEED", "0");
        // A python that finds no compiled modules compiles them, and keeps them for the next.
        let plain = plain.env("PYTHONPYCACHEPREFIX", bed.path("compiled"));
        Profile::take(bed, &plain)?;

        let without = Profile::take(bed, &plain)?;
        let added = |run: Run| -> Result<f64> {
            let with = Profile::take(bed, &run)?;
            let added = with.linking.checked_sub(without.linking).context("an auditor saves instructions")?;
            Ok(added as f64 * 100.0 / without.total as f64)
        };
        let idle = plain.clone().env("LD_AUDIT", bed.library("libidle.so").source(IDLE).build()?);
        let ours = plain.with_auditor().declare(&declared);
        let needed = ours.clone().declare(&needed);
        Ok(Instructions {
            plain: without.total,
            idle: added(idle)?,
            ours: added(ours)?,
            needed: added(needed.clone())?,
            bind_now: added(needed.env("LD_BIND_NOW", "1"))?,
        })
    }

    /// Whether the auditor keeps to the limit, where there is one.
    fn fits(&self, channel: &Channel) -> bool {
        channel.version() < LIMIT_SINCE || self.ours.max(self.needed) <= LIMIT
    }
}

/// What callgrind says of one run.
#[derive(Debug, PartialEq)]
pub struct Profile {
    /// All instructions.
    pub total: u64,
    /// Those of ld.so and of the auditor.
    pub linking: u64,
    /// Those of the auditor alone.
    pub auditor: u64,
}

impl Profile {
    /// Starts a program in callgrind.
    pub fn take(bed: &Bed, run: &Run) -> Result<Profile> {
        let callgrind = CALLGRIND.iter().find_map(|tool| bed.manifest.tool(tool).ok());
        let callgrind = callgrind.with_context(|| format!("the manifest names none of {CALLGRIND:?}"))?;
        let directory = callgrind.parent().context("a tool has a directory")?;
        let out = bed.path("callgrind.out");
        let to = format!("--callgrind-out-file={}", out.display());
        // Names and places in full: the file is read below.
        let options = ["--quiet", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no", &to];
        // The tool expects to have been started by valgrind.
        let run = run.through(callgrind, options).env("VALGRIND_LAUNCHER", callgrind);
        let run = if bed.view == View::Nix { run.bind(directory, directory) } else { run };
        run.plain()?.runs()?;
        let linking = [&bed.channel.interpreter, &bed.manifest.auditor, &bed.path("libidle.so")];
        // ld.so may be known under the name of a link.
        let linking = linking.map(|file| fs::canonicalize(file).unwrap_or_else(|_| file.clone()));
        let [_, auditor, _] = &linking;
        Profile::parse(&fs::read_to_string(&out)?, &linking, auditor).context("callgrind wrote something else")
    }

    /// Reads callgrind's file: each object's own costs follow its name, one `LINE COUNT` for each line of a function.
    fn parse(text: &str, linking: &[PathBuf], auditor: &Path) -> Option<Profile> {
        let mut profile = Profile { total: 0, linking: 0, auditor: 0 };
        let (mut links, mut audits) = (false, false);
        let mut lines = text.lines().skip_while(|line| !line.starts_with("ob="));
        while let Some(line) = lines.next() {
            if let Some(object) = line.strip_prefix("ob=") {
                links = linking.iter().any(|file| file.as_os_str() == object);
                audits = auditor.as_os_str() == object;
            } else if line.starts_with("calls=") {
                // What the function that is called costs, which stands there once more as its own.
                lines.next()?;
            } else if line.starts_with(|first: char| first.is_ascii_digit()) {
                let count: u64 = line.split_once(' ')?.1.parse().ok()?;
                profile.total = profile.total.checked_add(count)?;
                profile.linking += if links { count } else { 0 };
                profile.auditor += if audits { count } else { 0 };
            } else if let Some(total) = line.strip_prefix("totals: ") {
                return (total.parse() == Ok(profile.total)).then_some(profile);
            }
        }
        None
    }
}

/// The figures of every channel, as a table with the limit, and whether all are within it.
pub fn table(manifest: &Manifest) -> Result<(String, bool)> {
    let mut table = String::new();
    let mut fit = true;
    writeln!(table, "Instructions         python3 -c pass   an idle    ours     ours with zlib          at")?;
    writeln!(table, "                               alone    auditor   alone   declared  BIND_NOW     most")?;
    for channel in &manifest.channels {
        // What else is in view makes no difference here.
        let bed = Bed::new(manifest, channel, View::Distribution)?;
        let counted = Instructions::take(&bed)?;
        ensure!(counted.idle > 0.0 && counted.ours > counted.idle, "the auditor was not at work: {counted:?}");
        let fits = counted.fits(channel);
        fit &= fits;
        let limit = if channel.version() < LIMIT_SINCE { String::new() } else { format!("{LIMIT:.2} %") };
        writeln!(
            table,
            "{:<22} {:>11.1} M {:>8.2} % {:>5.2} % {:>8.2} % {:>7.2} % {limit:>8}{}",
            format!("{} {}", channel.name, channel.glibc),
            counted.plain as f64 / 1e6,
            counted.idle,
            counted.ours,
            counted.needed,
            counted.bind_now,
            if fits { "" } else { " exceeded" }
        )?;
    }
    Ok((table, fit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# callgrind format
summary: 168

ob=/lib/ld-2.31.so
fn=0x20
0 9
cob=/lib/libc.so.6
cfn=0x30
calls=2 0
0 100
7 40

ob=/lib/libc.so.6
fn=0x30
0 100

ob=/lib/ld-2.31.so
fn=0x40
0 19

totals: 168
";

    #[test]
    fn an_objects_own_instructions_are_counted_once() {
        let (ld_so, libc) = (PathBuf::from("/lib/ld-2.31.so"), PathBuf::from("/lib/libc.so.6"));
        let profile = Profile::parse(FILE, std::slice::from_ref(&ld_so), &libc);
        assert_eq!(profile, Some(Profile { total: 168, linking: 68, auditor: 100 }));
    }

    #[test]
    fn what_does_not_add_up_is_not_believed() {
        assert_eq!(Profile::parse(&FILE.replace("0 19", "0 18"), &[], Path::new("")), None);
        assert_eq!(Profile::parse(&FILE.replace("totals: 168\n", ""), &[], Path::new("")), None);
    }
}

//! Writes what the bench measured into docs/performance.md, with the plot beside it, and what the sweep came to into
//! docs/reliability.md, beside what fuzzing and two builds came to.

use std::thread;

use anyhow::{Context, Result};
use suite::bounds;
use suite::manifest::Channel;
use suite::starts::{self, Starts};
use xshell::{Shell, cmd};

use crate::{plot, step};

/// The page.
const PAGE: &str = "docs/performance.md";
/// Its plot, of the newest channel.
const PLOT: &str = "docs/performance.svg";
/// What is between them is written here.
const MARKS: (&str, &str) = ("<!-- Written by `cargo xtask bench --docs`: -->\n", "<!-- Up to here. -->\n");

/// The page of the sweep, and its marks: other figures stand there, too.
const SWEEP_PAGE: &str = "docs/reliability.md";
const SWEEP_MARKS: (&str, &str) =
    ("<!-- Written by `cargo xtask sweep --docs`: -->\n", "<!-- Up to here: the sweep. -->\n");

/// Puts the table of the sweep into its page.
pub fn sweep(sh: &Shell, table: &str) -> Result<()> {
    let date = cmd!(sh, "date --utc +%F").quiet().read()?;
    let text = format!("\nOn {date}, {}.\n\n{table}\n", machine(sh)?);
    let page = replaced(&sh.read_file(SWEEP_PAGE)?, SWEEP_MARKS, &text);
    sh.write_file(SWEEP_PAGE, page.with_context(|| format!("{SWEEP_PAGE} has no marks"))?)?;
    step::say(&format!("Written: {SWEEP_PAGE}"));
    Ok(())
}

/// The marks of what fuzzing came to, on the same page.
const FUZZING_MARKS: (&str, &str) =
    ("<!-- Written by `cargo xtask fuzz --docs`: -->\n", "<!-- Up to here: fuzzing. -->\n");

/// Puts the table of the fuzz targets into its page.
pub fn fuzzing(sh: &Shell, table: &str) -> Result<()> {
    let date = cmd!(sh, "date --utc +%F").quiet().read()?;
    let text = format!("\nUntil {date}, {}.\n\n{table}", machine(sh)?);
    let page = replaced(&sh.read_file(SWEEP_PAGE)?, FUZZING_MARKS, &text);
    sh.write_file(SWEEP_PAGE, page.with_context(|| format!("{SWEEP_PAGE} has no marks"))?)?;
    step::say(&format!("Written: {SWEEP_PAGE}"));
    Ok(())
}

/// Puts the figures of some channels, newest first, into the page.
pub fn write(sh: &Shell, measured: &[(&Channel, Vec<Starts>)]) -> Result<()> {
    let title = |channel: &Channel| format!("{}, glibc {}", channel.name, channel.glibc);
    let (newest, all) = measured.first().context("nothing was measured")?;
    sh.write_file(PLOT, plot::draw(all, &title(newest))?)?;

    let date = cmd!(sh, "date --utc +%F").quiet().read()?;
    let mut text = format!("\nMeasured on {date}, {}.\n", machine(sh)?);
    for (channel, all) in measured {
        text += &format!("\n### {}\n\n{}\n\n{}\n", title(channel), starts::table(all), bounds::table(all).0);
    }
    sh.write_file(PAGE, replaced(&sh.read_file(PAGE)?, MARKS, &text).with_context(|| format!("{PAGE} has no marks"))?)?;
    step::say(&format!("Written: {PAGE}, {PLOT}"));
    Ok(())
}

/// The page with another text between the marks.
fn replaced(page: &str, marks: (&str, &str), text: &str) -> Option<String> {
    let (before, rest) = page.split_once(marks.0)?;
    let (_, after) = rest.split_once(marks.1)?;
    Some([before, marks.0, text, "\n", marks.1, after].concat())
}

/// The class of this machine: nothing that tells it from others of its kind.
fn machine(sh: &Shell) -> Result<String> {
    let kernel = cmd!(sh, "uname -r").quiet().read()?;
    let kernel: Vec<&str> = kernel.split('.').take(2).collect();
    let cores = thread::available_parallelism()?;
    let cpu = cpu(&sh.read_file("/proc/cpuinfo")?).unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    Ok(format!("{cpu}, {cores} cores, Linux {}", kernel.join(".")))
}

/// Puts the hashes of two builds into docs/reliability.md.
pub fn hashes(sh: &Shell, text: &str) -> Result<()> {
    let page = replaced(&sh.read_file(HASHES.0)?, HASHES.1, text);
    sh.write_file(HASHES.0, page.with_context(|| format!("{} has no marks", HASHES.0))?)?;
    step::say(&format!("Written: {}", HASHES.0));
    Ok(())
}

/// Where they are, beside other figures.
const HASHES: (&str, (&str, &str)) = (
    "docs/reliability.md",
    ("<!-- Written by `cargo xtask reproduce --target all --docs`: -->\n", "<!-- Up to here: the hashes. -->\n"),
);

/// The processor's family, as /proc/cpuinfo has it on x86_64.
fn cpu(text: &str) -> Option<String> {
    let field = |name: &str| {
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        fields.map(|(name, value)| (name.trim(), value.trim())).find(|(n, _)| *n == name).map(|(_, value)| value)
    };
    let (name, family, model) = (field("model name")?, field("cpu family")?, field("model")?);
    Some(format!("{name} (family {family}, model {model})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let page = format!("# Title\n{}old\n{}## End\n", MARKS.0, MARKS.1);
        let new = replaced(&page, MARKS, "new\n").unwrap();
        assert_eq!(new, format!("# Title\n{}new\n\n{}## End\n", MARKS.0, MARKS.1));
        assert_eq!(replaced(&new, MARKS, "new\n"), Some(new));
        assert_eq!(replaced("# Title\n", MARKS, ""), None);
    }

    #[test]
    fn the_sweeps_page_has_its_marks() {
        let page = include_str!("../../../docs/reliability.md");
        assert!(replaced(page, SWEEP_MARKS, "").is_some() && replaced(page, FUZZING_MARKS, "").is_some());
    }

    #[test]
    fn a_processor_is_known_by_its_family() {
        let text = "processor\t: 0\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Intel(R) Xeon(R) Processor\n";
        assert_eq!(cpu(text).as_deref(), Some("Intel(R) Xeon(R) Processor (family 6, model 143)"));
        assert_eq!(cpu("processor : 0\n"), None);
    }

    #[test]
    fn there_is_a_place_for_the_hashes() {
        let page = include_str!("../../../docs/reliability.md");
        assert!(replaced(page, HASHES.1, "").is_some());
    }
}

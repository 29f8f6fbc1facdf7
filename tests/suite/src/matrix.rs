//! Which Python can draw text with which cairo: each channel's with each channel's, and with all of them declared.
//!
//! What must be: a cairo of the same or of an older glibc works, one of a newer glibc is refused with the reason, and
//! where all are declared, in whatever order, there is one that works.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;

use crate::bed::Bed;
use crate::manifest::{Channel, Manifest, View};
use crate::outcome::Outcome;
use crate::run::Run;

/// Draws with cairo: see the file.
const DRAW: &str = include_str!("../fixtures/draw_text.py");
/// The rule of older loaders: see the file.
const FIRST_FILE: &str = include_str!("../fixtures/first_file.c");
/// What a PNG file begins with.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Where it is drawn, in the bed.
const PICTURE: &str = "text.png";

/// A way to tell ld.so about more libraries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// LD_LIBRARY_PATH.
    LibraryPath,
    /// An auditor that takes the first file of the right name.
    FirstFile,
    /// Our auditor.
    Ours,
}

impl Way {
    /// All ways.
    pub const ALL: [Way; 3] = [Way::LibraryPath, Way::FirstFile, Way::Ours];

    fn title(self) -> &'static str {
        match self {
            Way::LibraryPath => "LD_LIBRARY_PATH",
            Way::FirstFile => "the first file of the right name",
            Way::Ours => "rtld_loader.so",
        }
    }
}

/// What came of a start.
#[derive(Debug)]
pub enum Cell {
    /// Text was drawn.
    Drawn(Drawing),
    /// It was not, for this reason.
    Failed(String),
}

/// The files of a process that has drawn text.
#[derive(Debug, Default)]
pub struct Drawing {
    /// The libcairo.
    pub cairo: Vec<PathBuf>,
    /// The fonts.
    pub fonts: Vec<PathBuf>,
    /// The members of the glibc family.
    pub glibc: Vec<PathBuf>,
    /// All libraries and modules.
    pub libraries: Vec<PathBuf>,
}

/// The bed's Python draws text, with the cairos of some channels declared in this way and order.
pub fn draw(bed: &Bed, way: Way, declared: &[&Channel]) -> Result<Cell> {
    let directories = declared.iter().map(|channel| cairo(channel)).collect::<Result<Vec<_>>>()?;
    let run = start(bed, declared)?;
    let outcome = match way {
        Way::LibraryPath => run.env("LD_LIBRARY_PATH", std::env::join_paths(directories)?).plain()?,
        Way::FirstFile => {
            let auditor = bed.library("first_file.so").source(FIRST_FILE).build()?;
            run.declare(directories).env("LD_AUDIT", auditor).plain()?
        }
        Way::Ours => run.declare(directories).audited()?,
    };
    look(bed, &outcome)
}

/// The same in an environment, which `replit_env` starts programs in, with the fonts of these channels.
pub fn draw_in(bed: &Bed, replit_env: &Path, fonts: &[&Channel]) -> Result<Cell> {
    look(bed, &start(bed, fonts)?.through(replit_env, [] as [&str; 0]).plain()?)
}

/// A start of the bed's Python that draws text, with the fonts of these channels.
fn start<'b>(bed: &'b Bed, fonts: &[&Channel]) -> Result<Run<'b>> {
    let script = bed.file("draw_text.py", DRAW)?;
    let picture = bed.path(PICTURE);
    if picture.exists() {
        fs::remove_file(&picture)?;
    }
    let run = bed.run(&bed.channel.python).arg(script).arg(&picture);
    Ok(run.env("FONTCONFIG_FILE", fonts_conf(bed, fonts)?))
}

/// What came of it.
fn look(bed: &Bed, outcome: &Outcome) -> Result<Cell> {
    if outcome.runs().is_err() {
        return Ok(Cell::Failed(reason(outcome, bed.channel)));
    }
    let picture = bed.path(PICTURE);
    let png = fs::read(&picture).context("there is no picture")?;
    ensure!(png.starts_with(PNG), "{} is no PNG file", picture.display());
    let drawing = Drawing::read(&outcome.stdout);
    ensure!(!drawing.fonts.is_empty(), "drawn without a font\n{outcome}");
    Ok(Cell::Drawn(drawing))
}

/// The same with the cairos of all channels, once in each order.
pub fn draw_in_every_order(bed: &Bed, way: Way) -> Result<Vec<Cell>> {
    let channels: Vec<&Channel> = bed.manifest.channels.iter().collect();
    orders(&channels).iter().map(|order| draw(bed, way, order)).collect()
}

impl Drawing {
    fn read(stdout: &str) -> Drawing {
        let mut drawing = Drawing::default();
        for (kind, file) in stdout.lines().filter_map(|line| line.split_once(' ')) {
            match kind {
                "cairo" => drawing.cairo.push(file.into()),
                "font" => drawing.fonts.push(file.into()),
                "glibc" => drawing.glibc.push(file.into()),
                "library" => drawing.libraries.push(file.into()),
                _ => {}
            }
        }
        drawing
    }
}

impl Cell {
    /// Fails unless it is what must be: text, or a refusal with the reason where `cairo` cannot load beside `python`.
    pub fn is_as_it_must(&self, python: &Channel, cairo: &Channel) -> Result<()> {
        let loads = python.version() >= cairo.version();
        let is_right = match self {
            Cell::Drawn(_) => loads,
            Cell::Failed(reason) => !loads && reason.starts_with("refused: needs GLIBC_"),
        };
        let what = if loads { "text" } else { "a refusal" };
        ensure!(
            is_right,
            "a Python of glibc {} with a cairo of {}: expected {what}, got {self:?}",
            python.glibc,
            cairo.glibc
        );
        Ok(())
    }

    /// Why nothing was drawn.
    pub fn failure(&self) -> Option<&str> {
        match self {
            Cell::Drawn(_) => None,
            Cell::Failed(reason) => Some(reason),
        }
    }

    /// Fails unless text was drawn.
    pub fn drawing(&self) -> Result<&Drawing> {
        match self {
            Cell::Drawn(drawing) => Ok(drawing),
            Cell::Failed(reason) => bail!("nothing was drawn: {reason}"),
        }
    }
}

/// The directory that one declares to get a channel's cairo.
fn cairo(channel: &Channel) -> Result<PathBuf> {
    let output = channel.libraries.get("cairo").with_context(|| format!("{} has no cairo", channel.name))?;
    Ok(output.join("lib"))
}

/// Tells fontconfig about the fonts of these channels, and to keep its cache in the bed.
fn fonts_conf(bed: &Bed, channels: &[&Channel]) -> Result<PathBuf> {
    let mut text = String::from("<?xml version=\"1.0\"?>\n<!DOCTYPE fontconfig SYSTEM \"fonts.dtd\">\n<fontconfig>\n");
    for channel in channels {
        let fonts = channel.fonts.as_ref().with_context(|| format!("{} has no fonts", channel.name))?;
        writeln!(text, "<dir>{}</dir>", fonts.display())?;
    }
    writeln!(text, "<cachedir>{}</cachedir>\n</fontconfig>", bed.dir("font-cache")?.display())?;
    bed.file("fonts.conf", text)
}

/// What matters of an error. Of our auditor's only the whole text counts: with the process's own glibc, and what to do.
fn reason(outcome: &Outcome, python: &Channel) -> String {
    let (text, glibc) = (&outcome.stderr, &python.glibc);
    let remedy = format!(
        ", this process has glibc {glibc}; declare it from a channel with glibc {glibc} or older): cannot open "
    );
    let between = |start: &str, end: &str| {
        let (_, rest) = text.split_once(start)?;
        rest.split_once(end).map(|(found, _)| found)
    };
    if let Some(needed) = between("libcairo.so.2 (needs ", &remedy) {
        format!("refused: needs {needed}")
    } else if let Some(version) = between("version `", "' not found") {
        format!("{version} not found")
    } else if let Some(symbol) = between("undefined symbol: ", ", version GLIBC_PRIVATE") {
        format!("GLIBC_PRIVATE ({symbol})")
    } else if text.contains("cannot open shared object file") {
        "no file".to_owned()
    } else {
        let last = text.lines().last().unwrap_or_default();
        format!("{} {last}", outcome.status).trim_end().to_owned()
    }
}

/// Every order of some things.
pub fn orders<T: Copy>(things: &[T]) -> Vec<Vec<T>> {
    if things.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for at in 0..things.len() {
        let mut rest = things.to_vec();
        let first = rest.remove(at);
        all.extend(orders(&rest).into_iter().map(|order| [vec![first], order].concat()));
    }
    all
}

/// A channel's Python with each cairo alone, and with all in every order.
struct Row<'m> {
    python: &'m Channel,
    alone: Vec<Cell>,
    together: Vec<Cell>,
}

impl<'m> Row<'m> {
    fn take(manifest: &'m Manifest, python: &'m Channel, way: Way) -> Result<Row<'m>> {
        let bed = Bed::new(manifest, python, View::Nix)?;
        let alone = manifest.channels.iter().map(|cairo| draw(&bed, way, &[cairo])).collect::<Result<_>>()?;
        Ok(Row { python, alone, together: draw_in_every_order(&bed, way)? })
    }

    fn is_as_it_must(&self, manifest: &Manifest) -> Result<()> {
        for (cairo, cell) in manifest.channels.iter().zip(&self.alone) {
            cell.is_as_it_must(self.python, cairo)?;
        }
        for cell in &self.together {
            cell.drawing().with_context(|| format!("a Python of glibc {} with every cairo", self.python.glibc))?;
        }
        Ok(())
    }

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![format!("python {}", self.python.glibc)];
        cells.extend(self.alone.iter().map(|cell| cell.failure().unwrap_or("ok").to_owned()));
        let mut reasons: Vec<&str> = self.together.iter().filter_map(Cell::failure).collect();
        let failed = format!("{} of {} fail", reasons.len(), self.together.len());
        reasons.sort_unstable();
        reasons.dedup();
        cells.push(if reasons.is_empty() { "ok".to_owned() } else { format!("{failed}: {}", reasons.join(", ")) });
        cells
    }
}

/// A table for each way, and whether that of our auditor is as it must be.
///
/// The table of ours is worth seeing when it is not: the verdict is a value of its own.
pub fn tables(manifest: &Manifest) -> Result<(String, Result<()>)> {
    let mut text = String::new();
    let mut verdict = Ok(());
    for way in Way::ALL {
        let rows = thread::scope(|scope| {
            let start = |python| scope.spawn(move || Row::take(manifest, python, way));
            let threads: Vec<_> = manifest.channels.iter().map(start).collect();
            threads.into_iter().map(|thread| thread.join().expect("errors are returned")).collect::<Result<Vec<_>>>()
        })?;
        let mut table = Table::new();
        let cairos = manifest.channels.iter().map(|channel| format!("cairo {}", channel.glibc));
        table
            .load_style(ASCII_MARKDOWN)
            .set_header([way.title().to_owned()].into_iter().chain(cairos).chain(["all, in each order".to_owned()]));
        table.add_rows(rows.iter().map(Row::cells));
        writeln!(text, "{table}\n")?;
        if way == Way::Ours {
            verdict = rows.iter().try_for_each(|row| row.is_as_it_must(manifest));
        }
    }
    Ok((text, verdict))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_order_comes_once() {
        let all = orders(&[1, 2, 3]);
        assert_eq!(all.len(), 6);
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 6);
        assert!(all.iter().all(|order| order.iter().sum::<i32>() == 6));
    }
}

//! How long it takes to make an index, and how large it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use crate::step;

const STORE: &str = "/nix/store";
/// How many store paths are indexed.
const PATHS: usize = 1000;
/// What it may take on two cores, and how much of what it indexes the index may be.
const TIME: Duration = Duration::from_secs(5);
const PER_CENT: f64 = 1.0;

/// Indexes store paths of this machine, and says what that took. Beyond the bounds is an error.
pub fn measure(sh: &Shell, cli: &Path) -> Result<String> {
    let paths = store_paths()?;
    step::say(&format!("Indexing {} store paths …", paths.len()));
    let place = sh.create_temp_dir()?;
    let (list, out) = (place.path().join("store-paths"), place.path().join("environment"));
    sh.write_file(&list, paths.join("\n") + "\n")?;
    let auditor = cli.with_file_name("rtld_loader.so");
    let generate = || -> Result<Duration> {
        let started = Instant::now();
        cmd!(sh, "{cli} generate --out {out} --auditor {auditor} --closure {list}").quiet().ignore_stderr().run()?;
        Ok(started.elapsed())
    };
    // The first run brings the files into memory.
    generate()?;
    let taken = generate()?;
    let index = fs::metadata(out.join("lib/rtld_loader.index"))?.len();
    let names = place.path().join("names");
    sh.write_file(&names, paths.iter().map(|path| format!("{path}\0")).collect::<String>())?;
    let sizes = cmd!(sh, "du --bytes --summarize --total --files0-from={names}").quiet().read()?;
    let indexed: u64 = total(&sizes).context("du prints no total")?;
    let per_cent = index as f64 * 100.0 / indexed as f64;
    let text = format!(
        "{} store paths: {:.1} s; the index has {:.1} MB, {per_cent:.2} % of the {:.0} MB that it indexes",
        paths.len(),
        taken.as_secs_f64(),
        index as f64 / 1e6,
        indexed as f64 / 1e6,
    );
    ensure!(per_cent < PER_CENT && taken < TIME, "beyond the bounds: {text}");
    Ok(text)
}

/// Store paths, as many as are wanted if there are, in the order of their hashes.
fn store_paths() -> Result<Vec<String>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(STORE)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.is_dir() && !path.ends_with(".links"));
    paths.sort_unstable();
    let paths: Option<Vec<String>> =
        paths.into_iter().take(PATHS).map(|path| path.into_os_string().into_string().ok()).collect();
    paths.context("a store path is not UTF-8")
}

/// The number in the last line.
fn total(sizes: &str) -> Option<u64> {
    sizes.lines().last()?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_in_the_last_line() {
        assert_eq!(total("12\t/a\n30\t/b\n42\ttotal\n"), Some(42));
        assert_eq!(total(""), None);
    }
}

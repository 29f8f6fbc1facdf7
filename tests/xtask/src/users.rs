//! What users bring along that is of no channel: wheels from PyPI for its Python, an addon from npm for its Node.js.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;
use xshell::{Shell, cmd};

use crate::channels::TestBed;
use crate::data::Release;
use crate::{pip, setup, step};

/// The directory of what is to be had.
const SOURCES: &str = "tests/channels/users";
/// The second number of the first glibc that is supported: wheels are not looked for on an older one.
const SUPPORTED: u32 = 34;

/// Downloads and installs what is missing, for this machine's own channels: tools of the channels do so.
pub fn make(sh: &Shell, bed: &TestBed) -> Result<()> {
    if !bed.machine.is_host() {
        return Ok(());
    }
    for release in bed.channels.iter().filter(|release| release.minor() >= SUPPORTED) {
        wheels(sh, bed, release)?;
    }
    node_modules(sh, bed)
}

/// Tells the manifest's `channel` of what is there.
pub fn describe(bed: &TestBed, release: &Release, channel: &mut Value) {
    let places = [("wheels", wheels_of(bed, release)), ("node_modules", addons(bed).join("node_modules"))];
    for (name, place) in places.into_iter().filter(|(_, place)| place.exists()) {
        channel[name] = place.to_string_lossy().into();
    }
}

/// The directory that a venv of the channel's Python has as its site-packages.
fn wheels_of(bed: &TestBed, release: &Release) -> PathBuf {
    bed.directory.join(&release.name).join("wheels")
}

fn wheels(sh: &Shell, bed: &TestBed, release: &Release) -> Result<()> {
    let (requirements, directory) = (Path::new(SOURCES).join("requirements.txt"), wheels_of(bed, release));
    let python = bed.channel(&release.name)?.python;
    let version = "import sys; print('%d.%d' % sys.version_info[:2])";
    let version = cmd!(sh, "{python} -c {version}").quiet().read()?;
    let stamp = format!("{version}\n{}", sh.read_file(&requirements)?);
    make_new(sh, &directory, &stamp, || {
        pip::install(sh, &format!("{}: wheels", release.name), &requirements, &version, &directory)
    })
}

/// A project with addons.
fn addons(bed: &TestBed) -> PathBuf {
    bed.directory.join("addons")
}

/// Has the npm of the newest channel install what the lock file says.
fn node_modules(sh: &Shell, bed: &TestBed) -> Result<()> {
    let newest = bed.channels.first().context("there is a channel")?;
    let node = bed.channel(&newest.name)?.programs.nodejs.context("this machine's channels have Node.js")?;
    let directory = addons(bed);
    let files = ["package.json", "package-lock.json"].map(|name| Path::new(SOURCES).join(name));
    let stamp = files.iter().map(|file| sh.read_file(file)).collect::<Result<Vec<_>, _>>()?.concat();
    make_new(sh, &directory, &stamp, || {
        sh.create_dir(&directory)?;
        for file in &files {
            sh.copy_file(file, &directory)?;
        }
        let npm = node.join("lib/node_modules/npm/bin/npm-cli.js");
        let node = node.join("bin/node");
        // The prebuilt ones are all that is wanted: nothing is to be compiled.
        let options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        let install = cmd!(sh, "{node} {npm} ci {options...} --prefix {directory}");
        step::run("addons for Node.js", setup::trusting(install))?;
        Ok(())
    })
}

/// Makes a directory anew unless it was made whole of what `stamp` says.
fn make_new(sh: &Shell, directory: &Path, stamp: &str, make: impl FnOnce() -> Result<()>) -> Result<()> {
    let file = directory.with_extension("stamp");
    if directory.exists() && sh.read_file(&file).is_ok_and(|known| known == stamp) {
        return Ok(());
    }
    sh.remove_path(directory)?;
    make()?;
    Ok(sh.write_file(file, stamp)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content of a file of the tree.
    fn text(file: &str) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        std::fs::read_to_string(root.join(file)).unwrap()
    }

    #[test]
    fn the_readme_shows_what_is_tested() {
        let tested = text("tests/suite/fixtures/find_library.py");
        let readme: String = text("README.md").lines().map(|line| line.trim_start().to_owned() + "\n").collect();
        assert!(readme.contains(&format!("```python\n{tested}```\n")));
    }

    #[test]
    fn what_is_pinned_has_hashes_and_no_address() {
        for file in ["requirements.txt", "nodejs.txt"] {
            let text = text(&format!("{SOURCES}/{file}")).replace("\\\n", "");
            let mut wheels = text.lines().filter(|line| !line.starts_with('#')).peekable();
            assert!(wheels.peek().is_some());
            assert!(wheels.all(|line| line.contains("==") && line.contains("--hash=sha256:")));
        }
        let lock: Value = serde_json::from_str(&text(&format!("{SOURCES}/package-lock.json"))).unwrap();
        let packages = lock["packages"].as_object().unwrap().iter().filter(|(name, _)| !name.is_empty());
        for (name, package) in packages {
            assert!(package["integrity"].as_str().unwrap().starts_with("sha512-"), "{name}");
            assert!(package.get("resolved").is_none(), "{name}");
        }
    }

    #[test]
    fn what_is_whole_is_not_made_again() {
        let sh = Shell::new().unwrap();
        let place = sh.create_temp_dir().unwrap();
        let directory = place.path().join("made");
        let made = |stamp: &str, succeeds: bool| {
            let mut made = false;
            let result = make_new(&sh, &directory, stamp, || {
                made = true;
                sh.create_dir(&directory)?;
                anyhow::ensure!(succeeds);
                Ok(())
            });
            assert_eq!(result.is_ok(), succeeds || !made);
            made
        };
        assert!(made("one", false));
        assert!(made("one", true));
        assert!(!made("one", true));
        assert!(made("two", true));
    }
}

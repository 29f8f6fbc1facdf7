//! Wheels, with the machine's pip and its configuration. What is downloaded is held to the hashes in the requirements.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use xshell::{Shell, cmd};

use crate::{setup, step};

/// A downloaded wheel.
pub struct Wheel {
    /// Where it is.
    pub file: PathBuf,
    /// The version in its name.
    pub version: String,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
}

/// Downloads the one wheel of the requirements at `requirements`, as all that is in `directory`.
pub fn download(sh: &Shell, requirements: &Path, directory: &Path) -> Result<Wheel> {
    setup::pip(sh)?;
    sh.remove_path(directory)?;
    sh.create_dir(directory)?;
    let title = format!("wheel of {}", name(requirements));
    let options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--quiet"];
    step::run(
        &title,
        cmd!(sh, "python3 -m pip download {options...} --requirement {requirements} --dest {directory}"),
    )?;
    let wheels = sh.read_dir(directory)?;
    let [file] = &wheels[..] else { bail!("pip left {wheels:?}, not one wheel") };
    // NAME-VERSION-TAGS.whl
    let version = name(file).split('-').nth(1).context("a wheel's name has a version")?.to_owned();
    let sums = cmd!(sh, "sha256sum {file}").quiet().read()?;
    let sha256 = sums.split(' ').next().unwrap_or_default().to_owned();
    Ok(Wheel { file: file.clone(), version, sha256 })
}

/// Installs the wheels of the requirements at `requirements` for a Python of this version, as in `3.11`, in `directory`.
pub fn install(sh: &Shell, title: &str, requirements: &Path, version: &str, directory: &Path) -> Result<()> {
    setup::pip(sh)?;
    ensure!(!directory.exists(), "{} is there already", directory.display());
    // Compiled modules would be those of the Python that pip runs in.
    let options = [
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
        "--no-compile",
        "--quiet",
        "--root-user-action=ignore",
    ];
    let python = ["--implementation", "cp", "--python-version", version];
    // What the machine itself can load is not asked.
    let platform = |manylinux: &str| format!("--platform={manylinux}_{}", std::env::consts::ARCH);
    let platforms = ["manylinux2014", "manylinux_2_28"].map(platform);
    let install = cmd!(sh, "python3 -m pip install {options...} {python...} {platforms...}").args([
        "--requirement".as_ref(),
        requirements.as_os_str(),
        "--target".as_ref(),
        directory.as_os_str(),
    ]);
    step::run(title, install)?;
    Ok(())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

//! Venvs: whether their Python is there, and whether it is one that the environment was made for.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::declared::is_of_store;
use super::finding::Finding;
use super::message::show;
use super::report::Report;
use super::world::{STORE, World};

/// What makes a directory a venv.
const SETTINGS: &str = "pyvenv.cfg";

/// The venv that is active, and that of a program, if it is of another.
pub fn check(world: &World, program: Option<&Path>, report: &mut Report) {
    let active =
        world.variable("VIRTUAL_ENV").filter(|venv| !venv.is_empty()).map(|venv| world.absolute(venv.as_ref()));
    let of_program =
        program.and_then(|program| of_program(world, program)).filter(|venv| Some(venv) != active.as_ref());
    if active.is_none() && of_program.is_none() {
        report.well("venv: none is active");
    }
    for venv in active.into_iter().chain(of_program) {
        check_venv(world, venv, report);
    }
}

fn of_program(world: &World, program: &Path) -> Option<PathBuf> {
    let venv = program.parent()?.parent()?;
    world.exists(&venv.join(SETTINGS)).then(|| venv.to_owned())
}

fn check_venv(world: &World, venv: PathBuf, report: &mut Report) {
    let Some(settings) = world.read(&venv.join(SETTINGS)) else {
        return report.find(Finding::VenvGone { venv });
    };
    let home = home(&settings);
    let own = ["bin/python3", "bin/python"].map(|name| venv.join(name)).into_iter().find(|python| world.exists(python));
    // A copy of the program needs what lies beside the original.
    let is_whole = home.as_ref().is_none_or(|home| world.is_directory(home));
    let original = home.as_ref().map(|home| home.join("python3"));
    let (Some(own), true) = (&own, is_whole) else {
        let python = original.unwrap_or_else(|| venv.join("bin/python3"));
        return report.find(Finding::VenvPythonGone { venv, python });
    };
    let python = original.unwrap_or_else(|| own.clone());
    let is_stored = |path: &Path| world.real(path).is_some_and(|real| real.starts_with(STORE));
    if is_of_store(world) && !is_stored(own) && !home.as_deref().is_some_and(is_stored) {
        return report.find(Finding::VenvForeign { venv, python });
    }
    report.well(format!("venv: {} has {}", show(&venv), show(&python)));
}

/// The directory of the Python that a venv was made with.
fn home(settings: &[u8]) -> Option<PathBuf> {
    let mut lines = settings.split(|&byte| byte == b'\n');
    lines.find_map(|line| {
        let (name, value) = line.split_at_checked(line.iter().position(|&byte| byte == b'=')?)?;
        let home = value.get(1..)?.trim_ascii();
        (name.trim_ascii() == b"home").then(|| OsStr::from_bytes(home).into())
    })
}

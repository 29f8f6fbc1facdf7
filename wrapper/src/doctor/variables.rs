//! The other variables that ld.so and the auditor read.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rtld_loader::environment::{Environment, Level};
use rtld_loader::own_glibc::LIBC;
use rtld_loader::tokens::has_token;

use super::declared::usable;
use super::finding::Finding;
use super::message::{show, show_bytes};
use super::report::Report;
use super::world::World;
use crate::closure::Closure;
use crate::declared::ListEntry;
use crate::static_tls::StaticTls;
use crate::tunables::{STATIC_TLS, Tunables};

/// What most programs bring themselves, in a build of their own.
const COMMON: [&str; 6] =
    ["libstdc++.so.6", "libgcc_s.so.1", "libz.so.1", "libssl.so.3", "libcrypto.so.3", "libcurl.so.4"];

pub fn check(world: &World, report: &mut Report) {
    check_tunables(world, report);
    check_library_path(world, report);
    check_preload(world, report);
    check_log(world, report);
    let hints = [b"REPLIT_RTLD_HINTS=", world.bytes("REPLIT_RTLD_HINTS")].concat();
    if Environment::read([hints.as_slice()].into_iter()).without_hints {
        report.find(Finding::HintsOff);
    }
}

fn check_tunables(world: &World, report: &mut Report) {
    let tunables = match Tunables::parse(world.bytes("GLIBC_TUNABLES")) {
        Ok(tunables) => tunables,
        Err(error) => {
            return report.find(Finding::TunablesUnreadable { reason: show_bytes(error.to_string().as_bytes()) });
        }
    };
    let files = usable(world).into_iter().filter_map(|entry| world.file(&entry));
    let libraries: Vec<_> = files.filter_map(|file| ListEntry::parse(file.as_os_str()).ok()).collect();
    let needed = StaticTls::of(&Closure::read(&libraries, &[])).asked();
    let set = tunables.static_tls.unwrap_or(0);
    if set >= needed {
        return report.well(format!("static TLS: {set} bytes are asked for, {needed} may be needed"));
    }
    let mut settings = tunables.others;
    settings.push(format!("{STATIC_TLS}={needed}").into_bytes());
    report.find(Finding::StaticTls { set, needed, value: settings.join(&b':') });
}

fn check_library_path(world: &World, report: &mut Report) {
    let value = world.bytes("LD_LIBRARY_PATH");
    if value.is_empty() {
        return report.well("LD_LIBRARY_PATH: not set");
    }
    // ld.so takes semicolons, too.
    let entries: Vec<PathBuf> =
        value.split(|byte| b":;".contains(byte)).map(|entry| OsStr::from_bytes(entry).into()).collect();
    let (empty, entries): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.as_os_str().is_empty());
    if !empty.is_empty() {
        report.find(Finding::LibraryPathEmptyEntry);
    }
    let has = |name: &OsStr| entries.iter().map(|entry| entry.join(name)).find(|path| world.exists(path));
    if let Some(libc) = has(OsStr::from_bytes(LIBC)) {
        report.find(Finding::LibraryPathGlibc { libc });
    }
    if entries.is_empty() {
        return;
    }
    let shadowed = COMMON.into_iter().filter(|name| has(OsStr::new(name)).is_some()).map(String::from).collect();
    // A glibc is never declared, nor what is not there.
    let fits =
        |entry: &PathBuf| entry.is_absolute() && world.is_directory(entry) && !world.exists(&entry.join("libc.so.6"));
    let mut declared = usable(world);
    let known = declared.len();
    for entry in entries.iter().filter(|entry| fits(entry)) {
        if !declared.contains(entry) {
            declared.push(entry.clone());
        }
    }
    if declared.len() == known {
        declared.clear();
    }
    report.find(Finding::LibraryPath { entries, shadowed, declared });
}

fn check_preload(world: &World, report: &mut Report) {
    let before = report.len();
    let entries = world.bytes("LD_PRELOAD").split(|byte| b": ".contains(byte)).map(OsStr::from_bytes).map(Path::new);
    // What ld.so makes of $LIB it alone knows; a bare name it searches for.
    let is_path = |entry: &&Path| {
        let bytes = entry.as_os_str().as_bytes();
        bytes.contains(&b'/') && !has_token(bytes)
    };
    for entry in entries.filter(|entry| is_path(entry) && !world.exists(entry)) {
        report.find(Finding::PreloadGone { entry: entry.to_owned() });
    }
    report.well_since(before, "LD_PRELOAD: not set, or its libraries are there");
}

fn check_log(world: &World, report: &mut Report) {
    let value = world.bytes("REPLIT_RTLD_LOG_LEVEL");
    let variable = [b"REPLIT_RTLD_LOG_LEVEL=", value].concat();
    let level = Environment::read([variable.as_slice()].into_iter()).level;
    let file = world.bytes("REPLIT_RTLD_LOG_FILE");
    if level == Level::Off {
        let is_off = value == b"off" || value.iter().all(|&byte| byte == b'0');
        return if !is_off {
            report.find(Finding::LogLevel { value: OsStr::from_bytes(value).into() });
        } else if !file.is_empty() {
            report.find(Finding::LogUnused);
        } else {
            report.well("log: off");
        };
    }
    if file == b"stderr" {
        return report.well("log: on standard error");
    }
    let path = if file.is_empty() { Path::new("rtld_loader.log") } else { Path::new(OsStr::from_bytes(file)) };
    let path = world.absolute(path);
    if world.is_directory(&path) || path.as_os_str().as_bytes().ends_with(b"/") {
        return report.find(Finding::LogFile { path, reason: "it is a directory".into() });
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    // An attempt tells more than permissions: a file system may be full, or for reading only.
    let attempt = world.file(directory).ok_or_else(|| "too many symbolic links".to_owned());
    match attempt.and_then(|directory| tempfile::tempfile_in(directory).map_err(|error| error.kind().to_string())) {
        Ok(_) => report.well(format!("log: {}", show(&path))),
        Err(reason) => report.find(Finding::LogFile { path, reason }),
    }
}

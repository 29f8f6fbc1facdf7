//! LD_AUDIT: whether each process loads our auditor, today and tomorrow.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rtld_loader::candidate;
use rtld_loader::environment::Environment;
use rtld_loader::tokens::has_token;

use super::finding::Finding;
use super::message::{show, show_bytes};
use super::report::Report;
use super::roots;
use super::world::{World, store_path};
use crate::script::AUDITOR;

/// `callers` is LD_AUDIT of the shell that called the script.
pub fn check(world: &World, callers: &OsStr, report: &mut Report) {
    let entries: Vec<PathBuf> = world.list("LD_AUDIT").filter(|entry| !entry.as_os_str().is_empty()).collect();
    let (gone, rest): (Vec<_>, Vec<_>) = entries.iter().cloned().partition(|entry| is_gone(world, entry));
    let ours: Vec<usize> = (0..rest.len()).filter(|&nth| is_ours(&rest[nth])).collect();
    let without = |left_out: usize| {
        let rest = rest.iter().enumerate().filter(|(nth, _)| *nth != left_out);
        rest.map(|(_, entry)| entry.clone()).collect::<Vec<_>>()
    };
    match ours[..] {
        [] if !gone.iter().any(|entry| is_ours(entry)) => report.find(Finding::NoAuditor),
        [first, second, ..] => report.find(Finding::AuditorTwice {
            first: rest[first].clone(),
            second: rest[second].clone(),
            rest: without(second),
        }),
        [first] if first > 0 => {
            let ordered = [rest[first].clone()].into_iter().chain(without(first)).collect();
            report.find(Finding::AuditorBehind { other: rest[0].clone(), ordered });
        }
        _ => {}
    }
    for path in gone {
        // An older one of ours is no loss where there is a newer.
        let is_ours = ours.is_empty() && is_ours(&path);
        report.find(Finding::AuditorGone { path, is_ours, rest: rest.clone() });
    }
    for entry in &rest {
        check_entry(world, entry, report);
    }
    let callers = callers.as_bytes().split(|&byte| byte == b':').map(|entry| PathBuf::from(OsStr::from_bytes(entry)));
    for path in callers.filter(|entry| entry.is_absolute() && is_ours(entry) && !entries.contains(entry)) {
        if !world.exists(&path) {
            report.find(Finding::CallersAuditorGone { path });
        }
    }
    let variable = [b"REPLIT_RTLD_DISABLE=", world.bytes("REPLIT_RTLD_DISABLE")].concat();
    if Environment::read([variable.as_slice()].into_iter()).disabled {
        report.find(Finding::Disabled);
    }
}

/// Whether ld.so does not find an auditor that it is to find at a path.
fn is_gone(world: &World, entry: &Path) -> bool {
    entry.is_absolute() && !has_token(entry.as_os_str().as_bytes()) && !world.exists(entry)
}

/// An entry that is not gone.
fn check_entry(world: &World, entry: &Path, report: &mut Report) {
    let (is_ours, path) = (is_ours(entry), entry.to_owned());
    // What ld.so makes of $PLATFORM it alone knows.
    if has_token(entry.as_os_str().as_bytes()) {
        return;
    }
    if !entry.is_absolute() {
        // A bare name of somebody else's is searched for, as any library.
        if is_ours || entry.as_os_str().as_bytes().contains(&b'/') {
            report.find(Finding::AuditorRelative { entry: path });
        }
        return;
    }
    if let Some(Err(skip)) = candidate::check(&world.look(entry)) {
        return report.find(Finding::AuditorUnloadable { path, is_ours, reason: show_bytes(&skip.text().concat()) });
    }
    report.well(format!("auditor: {} is there, and for this machine", show(entry)));
    if let Some(at) = world.writable(entry) {
        report.find(Finding::AuditorWritable { path: path.clone(), at });
    }
    let real = world.real(entry);
    if let Some(store_path) = real.as_deref().and_then(store_path) {
        match roots::is_kept(world, &store_path) {
            Some(false) => report.find(Finding::AuditorUnprotected { path, store_path }),
            Some(true) => report.well(format!("garbage collection: {} is kept", show(&store_path))),
            None => report.well("garbage collection: not checked, since Nix or a root cannot be read"),
        }
    }
}

fn is_ours(entry: &Path) -> bool {
    entry.file_name() == Some(OsStr::new(AUDITOR))
}

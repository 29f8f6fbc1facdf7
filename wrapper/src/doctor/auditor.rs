//! LD_AUDIT: whether each process loads our auditor, today and tomorrow, the 32-bit ones too where `$PLATFORM` is for them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rtld_loader::candidate;
use rtld_loader::environment::Environment;
use rtld_loader::skip::Skip;
use rtld_loader::tokens::has_token;
use rtld_loader::views::Look;

use super::finding::Finding;
use super::message::{show, show_bytes};
use super::report::Report;
use super::roots;
use super::world::{World, store_path};
use crate::platform::{self, OWN, OWN_32};
use crate::script::AUDITOR;

/// The kind of an entry of the auxiliary vector (getauxval(3)).
const AT_PLATFORM: usize = 15;

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
        report.find(Finding::AuditorGone { path: file(&path).unwrap_or(path), is_ours, rest: rest.clone() });
    }
    for entry in &rest {
        check_entry(world, entry, report);
    }
    let callers = callers.as_bytes().split(|&byte| byte == b':').map(|entry| PathBuf::from(OsStr::from_bytes(entry)));
    for path in callers.filter(|entry| entry.is_absolute() && is_ours(entry) && !entries.contains(entry)) {
        if is_gone(world, &path) {
            report.find(Finding::CallersAuditorGone { path: file(&path).unwrap_or(path) });
        }
    }
    let variable = [b"REPLIT_RTLD_DISABLE=", world.bytes("REPLIT_RTLD_DISABLE")].concat();
    if Environment::read([variable.as_slice()].into_iter()).disabled {
        report.find(Finding::Disabled);
    }
}

/// Whether ld.so does not find an auditor that it is to find at a path.
fn is_gone(world: &World, entry: &Path) -> bool {
    entry.is_absolute() && file(entry).is_some_and(|path| !world.exists(&path))
}

/// The file that an entry is for processes of our class. What ld.so makes of a token it alone knows, but for `$PLATFORM` where
/// an environment of ours has it.
fn file(entry: &Path) -> Option<PathBuf> {
    if !is_ours(entry) && has_token(entry.as_os_str().as_bytes()) {
        return None;
    }
    platform::path_for(entry, OWN.name)
}

/// An entry that is not gone.
fn check_entry(world: &World, entry: &Path, report: &mut Report) {
    let Some(path) = file(entry) else { return };
    let is_ours = is_ours(entry);
    if !entry.is_absolute() {
        // A bare name of somebody else's is searched for, as any library.
        if is_ours || entry.as_os_str().as_bytes().contains(&b'/') {
            report.find(Finding::AuditorRelative { entry: entry.to_owned() });
        }
        return;
    }
    if path != entry {
        check_platforms(world, entry, report);
    }
    if let Some(Err(skip)) = candidate::check(&world.look(&path)) {
        return report.find(Finding::AuditorUnloadable { path, is_ours, reason: show_bytes(&skip.text().concat()) });
    }
    report.well(format!("auditor: {} is there, and for this machine", show(&path)));
    if let Some(at) = world.writable(&path) {
        report.find(Finding::AuditorWritable { path: path.clone(), at });
    }
    let real = world.real(&path);
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

/// An entry of ours with `$PLATFORM` in it: whatever an ld.so puts there, of either class, there is an auditor for it.
fn check_platforms(world: &World, entry: &Path, report: &mut Report) {
    let before = report.len();
    let own = OWN.others.iter().map(|name| (*name, false));
    let of_32 = OWN_32.iter().flat_map(platform::Platform::names).map(|name| (name, true));
    for (name, is_32) in own.chain(of_32) {
        let Some(path) = platform::path_for(entry, name) else { continue };
        let look = world.look(&path);
        let verdict = match &look {
            Look::File(file) if is_32 && !platform::is_i386(file.as_bytes()) => Err(Skip::OtherMachine),
            Look::File(_) if is_32 => Ok(()),
            look => candidate::check(look).unwrap_or(Ok(())),
        };
        if let Err(skip) = verdict {
            let reason = show_bytes(&skip.text().concat());
            report.find(Finding::AuditorOfPlatform { path, platform: name.into(), reason });
        }
    }
    report.well_since(before, format!("auditor: {} is one for each $PLATFORM", show(entry)));
    let vector = world.read(Path::new("/proc/self/auxv"));
    if vector.is_some_and(|vector| !is_platform_told(&vector)) {
        report.find(Finding::NoPlatform);
    }
}

/// Whether an auxiliary vector has AT_PLATFORM: pairs of a kind and a value.
fn is_platform_told(vector: &[u8]) -> bool {
    vector.chunks_exact(2 * size_of::<usize>()).any(|pair| pair.starts_with(&AT_PLATFORM.to_ne_bytes()))
}

/// Whether 32-bit programs get an auditor of ours.
pub fn is_for_32(world: &World) -> bool {
    let is_loadable = |path: &Path| matches!(world.look(path), Look::File(file) if platform::is_i386(file.as_bytes()));
    platform::auditor_32(world.list("LD_AUDIT"), is_loadable).is_some()
}

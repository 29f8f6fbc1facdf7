//! REPLIT_RTLD_INDEX: whether the auditor can use the index files, and whether what they say is still so.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rtld_loader::candidate::TARGET;
use rtld_loader::index::{Directory, File, Index, MAGIC, is_listed};

use super::declared::usable;
use super::finding::Finding;
use super::message::show;
use super::report::Report;
use super::world::World;

/// Where in an index the machine stands that it is for.
const MACHINE: std::ops::Range<usize> = MAGIC.len() + 4..MAGIC.len() + 8;

pub fn check(world: &World, report: &mut Report) {
    let declared = world.bytes("REPLIT_LD_LIBRARY_PATH");
    let mut others = None;
    let mut is_first = false;
    for path in world.list("REPLIT_RTLD_INDEX").filter(|path| !path.as_os_str().is_empty()) {
        let before = report.len();
        let Some(bytes) = read(world, &path, report) else { continue };
        let Some(index) = Index::read(&bytes, TARGET) else {
            report.find(unusable(path, &bytes));
            continue;
        };
        if !index.declared().is_empty() {
            is_first |= begins_with(declared, index.declared());
            let first = index.declared().split(|&byte| byte == b':').next().unwrap_or_default();
            others = others.or(Some((path.clone(), PathBuf::from(OsStr::from_bytes(first)))));
        }
        check_files(world, &path, index, report);
        report.well_since(before, format!("index: {} is whole, and its files are there", show(&path)));
    }
    if let (Some((path, begins_with)), false) = (others, is_first) {
        report.find(Finding::IndexOfOtherList { path, begins_with });
    }
}

fn read(world: &World, path: &Path, report: &mut Report) -> Option<Vec<u8>> {
    if !path.is_absolute() {
        report.find(Finding::IndexRelative { entry: path.to_owned() });
        return None;
    }
    if let Some(at) = world.writable(path) {
        report.find(Finding::IndexWritable { path: path.to_owned(), at });
        return None;
    }
    let bytes = world.read(path);
    if bytes.is_none() {
        let path = path.to_owned();
        report.find(if world.exists(&path) { Finding::IndexDamaged { path } } else { Finding::IndexGone { path } });
    }
    bytes
}

/// Why the auditor does not take a file for an index.
fn unusable(path: PathBuf, bytes: &[u8]) -> Finding {
    let (version, name) = MAGIC.split_last().expect("the magic has a version");
    if bytes.starts_with(name) && bytes.get(name.len()) != Some(version) {
        return Finding::IndexOfOtherVersion { path };
    }
    let machine = bytes.get(MACHINE).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    match machine.and_then(|machine| Index::read(bytes, machine)) {
        Some(_) => Finding::IndexOfOtherMachine { path },
        None => Finding::IndexDamaged { path },
    }
}

/// Whether a list begins with another one, entry by entry.
fn begins_with(list: &[u8], start: &[u8]) -> bool {
    list.strip_prefix(start).is_some_and(|rest| matches!(rest.first(), None | Some(b':')))
}

/// Compares an index with the files that it was made of, as far as they are reached from what is declared and from
/// PATH.
fn check_files(world: &World, path: &Path, index: Index<'_>, report: &mut Report) {
    let Some(made) = world.changed(path) else { return };
    let starts = usable(world).into_iter().chain(world.list("PATH"));
    let starts = starts.map(|path| path.components().collect::<PathBuf>());
    let mut rest: Vec<Directory<'_>> =
        starts.filter_map(|start| index.directory(start.as_os_str().as_bytes())).collect();
    let mut known = HashSet::new();
    let (mut gone, mut changed) = (Vec::new(), Vec::new());
    while let Some(directory) = rest.pop() {
        if directory.is_live() || !known.insert(directory.path()) {
            continue;
        }
        let mut names = HashSet::new();
        for file in directory.files() {
            names.insert(file.name());
            rest.extend(file.directories());
            let path = Path::new(OsStr::from_bytes(file.path()));
            match world.changed(path) {
                // Of some names an index knows only that a subdirectory for processors may have them.
                None if is_certain(file) => gone.push(path.to_owned()),
                Some(changed_at) if changed_at > made => changed.push(path.to_owned()),
                _ => {}
            }
        }
        let directory = Path::new(OsStr::from_bytes(directory.path()));
        let new = world.names(directory).into_iter().filter(|name| is_listed(name.as_bytes()));
        changed.extend(new.filter(|name| !names.contains(name.as_bytes())).map(|name| directory.join(name)));
    }
    let least = |paths: Vec<PathBuf>| Some((paths.iter().min()?.clone(), paths.len()));
    if let Some((first, count)) = least(gone) {
        report.find(Finding::IndexedFilesGone { path: path.to_owned(), first, count });
    }
    if let Some((first, count)) = least(changed) {
        report.find(Finding::IndexedFilesChanged { path: path.to_owned(), first, count });
    }
}

/// Whether an index says that the file is there.
fn is_certain(file: File<'_>) -> bool {
    file.library().is_some() || !is_listed(file.name())
}

impl World {
    /// When a file was last changed, or the link that it is. `None` if there is none.
    fn changed(&self, path: &Path) -> Option<SystemTime> {
        let file = self.metadata(path)?.modified().ok()?;
        let link = self.link_metadata(path)?.modified().ok()?;
        Some(file.max(link))
    }
}

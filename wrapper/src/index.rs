//! Writes the index: see `rtld_loader::index`, which reads it.
//!
//! Only what cannot change is indexed: what lies in the store, and is there. The rest is named in the search lists, and ld.so
//! is left to look into it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use rtld_loader::hwcaps::is_subdirectory;
use rtld_loader::index::{DIRECTORY, ENTRY, HEADER, LINK, LIVE, MAGIC, SLOT, START, UNCERTAIN, UNSEARCHED, hash};

use crate::channels::Channel;
use crate::closure::{Closure, directories};
use crate::object_file::ObjectFile;
use crate::progress::Progress;

/// A file to be indexed.
#[derive(Default)]
struct Entry {
    directories: Vec<PathBuf>,
    flags: u32,
}

/// What an index is made of, beside the closure that was read.
pub struct Input<'a> {
    /// The declared directories and single files, of libraries and of programs.
    pub declared: &'a [PathBuf],
    /// The store paths that they lead to, as Nix knows them.
    pub roots: &'a [PathBuf],
    /// The declared channels.
    #[expect(dead_code, reason = "the format has no channels yet")]
    pub channels: &'a [Channel],
    /// Where nothing changes.
    pub store: &'a Path,
    /// What the objects are for.
    pub machine: u32,
}

/// Makes an index of a closure, and of all that lies beside its files. `None` if nothing of it is in the store.
pub fn write(closure: &Closure<'_>, input: &Input<'_>) -> Option<Vec<u8>> {
    let Input { store, machine, .. } = *input;
    let mut entries: BTreeMap<PathBuf, Entry> = BTreeMap::new();
    let (mut seen, mut roots) = (BTreeSet::new(), BTreeSet::new());
    let mut rest: Vec<PathBuf> = [input.declared, input.roots].concat();
    rest.extend(closure.all().filter_map(|object| object.path.parent().map(Path::to_owned)));
    let mut progress = Progress::new(input.roots.len());
    while let Some(directory) = rest.pop() {
        if !is_fixed(&directory, store) || !seen.insert(directory.clone()) {
            continue;
        }
        // Whatever else is in the same store path may be asked for or ask: modules of an interpreter, plugins.
        let name = directory.strip_prefix(store).ok().and_then(|below| below.components().next());
        if let Some(name) = name
            && roots.insert(store.join(name))
        {
            progress.step();
            rest.extend(subdirectories(&store.join(name)));
        }
        for (path, entry) in list(&directory, store) {
            rest.extend(entry.directories.iter().cloned());
            entries.insert(path, entry);
        }
    }
    (!entries.is_empty()).then(|| Layout::write(&entries, |directory| is_fixed(directory, store), machine))
}

/// All directories below one, and itself.
fn subdirectories(root: &Path) -> Vec<PathBuf> {
    let mut all = vec![root.to_owned()];
    let mut next = 0;
    while let Some(directory) = all.get(next).cloned() {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        all.extend(entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()));
        next += 1;
    }
    all
}

/// Whether what a directory has cannot change: it is in the store, or is not there in a part of the store that is.
fn is_fixed(directory: &Path, store: &Path) -> bool {
    let Ok(below) = directory.strip_prefix(store) else { return false };
    let mut components = below.components();
    let Some(Component::Normal(name)) = components.next() else { return false };
    if !is_plain(directory) {
        return false;
    }
    match directory.canonicalize() {
        Ok(real) => real.starts_with(store),
        Err(_) => store.join(name).is_dir(),
    }
}

/// The deepest subdirectory for processors (`tls/haswell/avx512_1/x86_64`).
const DEPTH: usize = 4;

/// The files of a directory, and those that only its subdirectories for processors have.
fn list(directory: &Path, store: &Path) -> BTreeMap<PathBuf, Entry> {
    let uncertain = || Entry { flags: UNCERTAIN, ..Entry::default() };
    let mut listed = BTreeMap::new();
    let mut below = Vec::new();
    for name in names(directory) {
        let path = directory.join(&name);
        if !path.is_dir() {
            listed.extend(entry(&path, store).map(|entry| (path, entry)));
        } else if is_subdirectory(name.as_bytes()) {
            below.push((path, DEPTH));
        } else if is_asked_for(&name) {
            // ld.so stops there.
            listed.insert(path, uncertain());
        }
    }
    while let Some((subdirectory, depth)) = below.pop() {
        let is_root = subdirectory.ends_with("glibc-hwcaps");
        for name in names(&subdirectory) {
            let path = subdirectory.join(&name);
            if depth > 1 && (is_root || is_subdirectory(name.as_bytes())) && path.is_dir() {
                below.push((path, depth - 1));
            } else {
                listed.insert(directory.join(name), uncertain());
            }
        }
    }
    listed
}

/// The names in a directory.
fn names(directory: &Path) -> impl Iterator<Item = OsString> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|file| file.file_name())
}

/// Whether a library may be asked for by this name.
fn is_asked_for(name: &OsStr) -> bool {
    name.as_bytes().windows(3).any(|three| three == b".so")
}

/// Whether a path is spelt in the one way in which it can be compared as bytes, as ld.so does.
fn is_plain(path: &Path) -> bool {
    let components = path.as_os_str().as_bytes().split(|&byte| byte == b'/').skip(1);
    components.into_iter().all(|component| !matches!(component, b"" | b"." | b".."))
}

/// What is known of a file. `None` for one that nobody asks for.
fn entry(path: &Path, store: &Path) -> Option<Entry> {
    let is_asked_for = is_asked_for(path.file_name()?);
    let is_program = fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0);
    if !is_asked_for && !is_program {
        return None;
    }
    let uncertain = || is_asked_for.then(|| Entry { flags: UNCERTAIN, ..Entry::default() });
    // A link to nothing, or out of the store, may lead to another file tomorrow.
    let Some(real) = path.canonicalize().ok().filter(|real| real.starts_with(store) && real.is_file()) else {
        return uncertain();
    };
    // With what is no object for this machine ld.so goes on, or stops: that is left to it.
    let Some(object) = File::open(path).ok().and_then(|file| ObjectFile::read(&file)) else { return uncertain() };
    let link = if real == path { 0 } else { LINK };
    // An object without a RUNPATH may inherit search paths.
    let found = object.runpath.and_then(|runpath| directories(&runpath, path.parent()?));
    let found = found.filter(|directories| directories.iter().all(|directory| is_plain(directory)));
    Some(match found {
        Some(directories) => Entry { directories, flags: link },
        None => Entry { directories: Vec::new(), flags: link | UNSEARCHED },
    })
}

/// The file that is being put together.
struct Layout {
    bytes: Vec<u8>,
    strings: HashMap<Vec<u8>, u32>,
    lists: HashMap<Vec<PathBuf>, u32>,
}

impl Layout {
    fn write(entries: &BTreeMap<PathBuf, Entry>, is_fixed: impl Fn(&Path) -> bool, machine: u32) -> Vec<u8> {
        let slots = (entries.len() * 2).next_power_of_two().max(2);
        let mut layout = Self { bytes: vec![0; HEADER + slots * SLOT], strings: HashMap::new(), lists: HashMap::new() };
        for (path, entry) in entries {
            let path = path.as_os_str().as_bytes();
            let start = layout.string(path);
            let list = layout.list(&entry.directories, &is_fixed);
            let at = layout.bytes.len();
            layout.numbers(&[start, path.len() as u32, list, entry.flags]);
            debug_assert_eq!(layout.bytes.len() - at, ENTRY);
            let hash = hash(START, path);
            let mut slot = hash as usize;
            loop {
                let place = HEADER + (slot & (slots - 1)) * SLOT;
                let place = &mut layout.bytes[place..place + SLOT];
                if place[4..] == [0; 4] {
                    place[..4].copy_from_slice(&hash.to_le_bytes());
                    place[4..].copy_from_slice(&(at as u32).to_le_bytes());
                    break;
                }
                slot += 1;
            }
        }
        let length = layout.bytes.len() as u32;
        layout.bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
        let header = [length, machine, HEADER as u32, slots as u32];
        for (nth, number) in header.iter().enumerate() {
            let at = MAGIC.len() + nth * 4;
            layout.bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        layout.bytes
    }

    /// A string with a NUL behind it, once.
    fn string(&mut self, string: &[u8]) -> u32 {
        if let Some(at) = self.strings.get(string) {
            return *at;
        }
        let at = self.bytes.len() as u32;
        self.bytes.extend(string);
        self.bytes.push(0);
        self.strings.insert(string.into(), at);
        at
    }

    /// A list of directories, once. 0 for none.
    fn list(&mut self, directories: &[PathBuf], is_fixed: impl Fn(&Path) -> bool) -> u32 {
        if directories.is_empty() {
            return 0;
        }
        if let Some(at) = self.lists.get(directories) {
            return *at;
        }
        let mut numbers = vec![directories.len() as u32];
        for directory in directories {
            let path = directory.as_os_str().as_bytes();
            let live = if is_fixed(directory) { 0 } else { LIVE };
            numbers.extend([self.string(path), path.len() as u32, hash(hash(START, path), b"/"), live]);
        }
        debug_assert_eq!(numbers.len() * 4, 4 + directories.len() * DIRECTORY);
        let at = self.bytes.len() as u32;
        self.numbers(&numbers);
        self.lists.insert(directories.into(), at);
        at
    }

    fn numbers(&mut self, numbers: &[u32]) {
        self.bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use rtld_loader::index::{Found, Index};

    use super::*;

    const MACHINE: u32 = 7;

    fn index() -> Vec<u8> {
        let entry =
            |directories: &[&str], flags| Entry { directories: directories.iter().map(PathBuf::from).collect(), flags };
        let entries = [
            ("/s/a/libx.so", entry(&[], 0)),
            ("/s/b/libx.so", entry(&["/s/a"], 0)),
            ("/s/b/liby.so", entry(&["/s/none", "/s/b", "/s/a"], 0)),
            ("/s/b/libz.so", entry(&[], UNCERTAIN)),
            ("/s/bin/link", entry(&["/s/b"], LINK)),
            ("/s/bin/live", entry(&["/s/a", "/run/lib", "/s/b"], 0)),
            ("/s/bin/rpath", entry(&[], UNSEARCHED)),
        ];
        let entries = entries.into_iter().map(|(path, entry)| (PathBuf::from(path), entry)).collect();
        Layout::write(&entries, |directory| directory.starts_with("/s"), MACHINE)
    }

    fn search(index: &Index<'_>, requester: &str, soname: &str) -> String {
        match index.search(index.entry(requester.as_bytes()).unwrap(), soname.as_bytes()) {
            Found::File(entry) => entry.path().unwrap().to_str().unwrap().to_owned(),
            Found::Unknown => "unknown".to_owned(),
            Found::Nowhere => "nowhere".to_owned(),
        }
    }

    #[test]
    fn each_requester_gets_its_own() {
        let bytes = index();
        let index = Index::read(&bytes, MACHINE).unwrap();
        for (requester, soname, found) in [
            ("/s/b/liby.so", "libx.so", "/s/b/libx.so"),
            ("/s/b/libx.so", "libx.so", "/s/a/libx.so"),
            ("/s/b/libx.so", "liby.so", "nowhere"),
            ("/s/b/liby.so", "libz.so", "unknown"),
            ("/s/a/libx.so", "libx.so", "nowhere"),
            ("/s/bin/live", "libx.so", "/s/a/libx.so"),
            ("/s/bin/live", "liby.so", "unknown"),
            ("/s/bin/rpath", "libx.so", "unknown"),
            ("/s/b/liby.so", "ibx.so", "nowhere"),
            ("/s/b/liby.so", "", "nowhere"),
        ] {
            assert_eq!(search(&index, requester, soname), found, "{soname} for {requester}");
        }
        assert!(index.entry(b"/s/b/lib").is_none() && index.entry(b"").is_none());
        assert!(!index.entry(b"/s/bin/link").unwrap().is_file() && index.entry(b"/s/bin/live").unwrap().is_file());
    }

    #[test]
    fn no_byte_does_harm() {
        let whole = index();
        for len in 0..whole.len() {
            assert!(Index::read(&whole[..len], MACHINE).is_none(), "cut to {len}");
        }
        assert!(Index::read(&whole, MACHINE + 1).is_none());
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                let Some(index) = Index::read(&damaged, MACHINE) else { continue };
                for path in ["/s/b/liby.so", "/s/bin/live", "/s/none"] {
                    if let Some(entry) = index.entry(path.as_bytes()) {
                        let _ = (index.search(entry, b"libx.so"), index.search(entry, b"libnone.so"));
                    }
                }
            }
        }
    }

    #[test]
    fn the_same_closure_gives_the_same_bytes() {
        assert_eq!(index(), index());
    }
}

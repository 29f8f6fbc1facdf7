//! Channels: libraries that were built together, with one glibc. The auditor takes them as a whole, by that glibc.
//!
//! Which one it is, the libraries say: their RUNPATHs lead to its libc.so.6. Where they have none, as in a plain
//! directory, the newest version that they need of it is all that is known.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rtld_loader::library::Library;
use rtld_loader::loader_image::libc_minor;
use rtld_loader::own_glibc::LIBC;

use crate::closure::{Closure, Object, directories_of};
use crate::declared::{Libraries, ListEntry};
use crate::library_file::LibraryFiles;

/// A channel.
#[derive(Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// Its directories and single files, in the order of the command line.
    pub libraries: Vec<ListEntry>,
    /// The glibc that it was built with, if its libraries tell.
    pub glibc: Option<Glibc>,
}

/// The glibc that a channel was built with.
#[derive(Debug, PartialEq, Eq)]
pub struct Glibc {
    /// Where its libc.so.6 is, if that is known.
    pub directory: Option<PathBuf>,
    /// The N of glibc 2.N. Without a directory it is at least that.
    pub minor: u32,
}

/// What is declared of a channel: its name, and its libraries.
pub type Named = (String, Vec<ListEntry>);

/// The entries of all libraries in the order of the command line, and those of each channel. Each counts once, where it
/// stands first.
pub fn resolve(declared: &[Libraries]) -> (Vec<ListEntry>, Vec<Named>) {
    let (mut all, mut channels) = (Vec::new(), Vec::<Named>::new());
    for Libraries { channel, declared } in declared {
        for entry in declared.iter().filter_map(|declared| declared.entry("lib")) {
            if all.contains(&entry) {
                continue;
            }
            all.push(entry.clone());
            let Some(name) = channel else { continue };
            match channels.iter_mut().find(|(known, _)| known == name) {
                Some((_, entries)) => entries.push(entry),
                None => channels.push((name.clone(), vec![entry])),
            }
        }
    }
    (all, channels)
}

impl Channel {
    /// Finds out which glibc a channel was built with. The closure is of its libraries and others.
    pub fn read((name, libraries): Named, closure: &Closure<'_>) -> Self {
        let objects: Vec<_> = libraries.iter().flat_map(|entry| closure.libraries_of(entry)).collect();
        let directory = most(objects.iter().filter_map(|object| glibc_of(object)));
        let stated = directory.as_ref().and_then(|directory| stated(directory));
        let minor = stated.or_else(|| needed(&objects));
        Self { name, libraries, glibc: minor.map(|minor| Glibc { directory, minor }) }
    }

    /// Says so if that cannot be known.
    pub fn warn(&self) {
        if self.glibc.is_none() {
            let name = &self.name;
            eprintln!("replit-env-cli: warning: no library of the channel {name} tells which glibc it was built with");
        }
    }
}

/// The glibc that an object's own search path leads to.
fn glibc_of(object: &Object) -> Option<PathBuf> {
    let list = object.file.runpath.as_ref().or(object.file.rpath.as_ref())?;
    let directories = directories_of(list, object.path.parent()?);
    directories.into_iter().find(|directory| libc(directory).is_file())
}

/// What is there most often; of several the one that comes first.
fn most(directories: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    let mut counts: Vec<(PathBuf, usize)> = Vec::new();
    for directory in directories {
        match counts.iter_mut().find(|(known, _)| *known == directory) {
            Some((_, count)) => *count += 1,
            None => counts.push((directory, 1)),
        }
    }
    // Of equals `max_by_key` takes the last.
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(directory, _)| directory)
}

/// The N of the glibc 2.N that a libc.so.6 says it is. Its symbol versions do not tell: 2.31, 2.37 and 2.40 have added
/// none to it.
pub fn stated(directory: &Path) -> Option<u32> {
    libc_minor([fs::read(libc(directory)).ok()?.as_slice()].into_iter())
}

fn libc(directory: &Path) -> PathBuf {
    directory.join(OsStr::from_bytes(LIBC))
}

/// The largest N of the versions GLIBC_2.N that libraries need.
fn needed(libraries: &[&Object]) -> Option<u32> {
    let mut files = LibraryFiles::new();
    libraries.iter().filter_map(|object| newest_need(files.read(&object.path)?)).max()
}

/// The largest N of the versions GLIBC_2.N that a library needs.
pub fn newest_need(library: Library<'_>) -> Option<u32> {
    let (mut at, mut newest) = (0, None);
    while let Some((need, next)) = library.need(at) {
        newest = newest.max(minor(need.version));
        at = next;
    }
    newest
}

/// The N of GLIBC_2.N and of GLIBC_2.N.M.
fn minor(version: &[u8]) -> Option<u32> {
    let number = version.strip_prefix(b"GLIBC_2.")?.split(|&byte| byte == b'.').next()?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    /// A library at a path, made from C.
    fn build(path: &Path, source: &str, arguments: &[&str]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = path.with_extension("c");
        fs::write(&file, source).unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-o"]).arg(path).arg(&file).args(arguments);
        assert!(cc.status().unwrap().success(), "{cc:?}");
        fs::remove_file(file).unwrap();
    }

    /// A libc.so.6 that says which one it is, and has none of its symbol versions.
    fn glibc(directory: &Path, minor: u32) {
        let text = format!("GNU C Library (made up) stable release version 2.{minor}.");
        build(&directory.join("libc.so.6"), &format!("const char banner[] = \"{text}\\n\";\n"), &["-nostdlib"]);
    }

    /// A channel of these directories.
    fn channel(directories: &[&Path]) -> Channel {
        let libraries: Vec<_> =
            directories.iter().map(|directory| ListEntry::parse(directory.as_os_str()).unwrap()).collect();
        let closure = Closure::read(&libraries, &[]);
        Channel::read(("a".into(), libraries.clone()), &closure)
    }

    #[test]
    fn the_glibc_that_most_libraries_lead_to_is_the_channels() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path();
        // By the order of names 2.40 comes first.
        for (library, minor) in [("x", 40), ("y", 37), ("z", 37)] {
            glibc(&root.join(minor.to_string()), minor);
            let runpath = format!("-Wl,-rpath,/nowhere:{}", root.join(minor.to_string()).display());
            build(&root.join("lib").join(format!("lib{library}.so")), "", &["-nostdlib", &runpath]);
        }
        let found = channel(&[&root.join("lib")]).glibc.unwrap();
        assert_eq!(found, Glibc { directory: Some(root.join("37")), minor: 37 });
        fs::remove_file(root.join("lib/libz.so")).unwrap();
        let found = channel(&[&root.join("lib")]).glibc.unwrap();
        assert_eq!(found, Glibc { directory: Some(root.join("40")), minor: 40 });
    }

    #[test]
    fn without_a_way_to_one_the_versions_that_are_needed_tell() {
        let temporary = tempfile::tempdir().unwrap();
        let (first, second) = (temporary.path().join("first"), temporary.path().join("second"));
        // dlsym(3) moved to libc.so.6, with a new version.
        let source = "#include <dlfcn.h>\nvoid *found(void) { return dlsym(0, \"main\"); }\n";
        build(&first.join("libnew.so"), source, &[]);
        build(&second.join("libother.so"), "int other;\n", &["-nostdlib"]);
        let found = channel(&[&second, &first]).glibc.unwrap();
        assert_eq!(found, Glibc { directory: None, minor: 34 });
        assert_eq!(channel(&[&second]).glibc, None);
        assert_eq!(channel(&[&temporary.path().join("later")]).glibc, None);
    }

    #[test]
    fn versions_of_glibc_and_others() {
        for (version, expected) in [("GLIBC_2.38", Some(38)), ("GLIBC_2.2.5", Some(2)), ("GLIBC_PRIVATE", None)] {
            assert_eq!(minor(version.as_bytes()), expected, "{version}");
        }
        for other in ["GLIBCXX_3.4.32", "GLIBC_2.", "GLIBC_2.x", "GLIBC_ABI_DT_RELR"] {
            assert_eq!(minor(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn entries_count_where_they_stand_first() {
        let temporary = tempfile::tempdir().unwrap();
        let root = ListEntry::parse(temporary.path().as_os_str()).unwrap();
        for directory in ["one/lib", "two/lib", "three"] {
            fs::create_dir_all(root.join(directory).path()).unwrap();
        }
        let path = |below: &str| root.join(below).path().display().to_string();
        let channel = |text: String| Libraries::channel_paths(text.as_ref()).unwrap();
        let outputs = |text: String| Libraries::channel_outputs(text.as_ref()).unwrap();
        let declared = [
            outputs(format!("new={}:{}", path("one"), path("three"))),
            Libraries::path(path("three").as_ref()).unwrap(),
            channel(format!("old={}:{}", path("one/lib"), path("three"))),
            outputs(format!("older={}", path("three"))),
            channel(format!("new={}:{}", path("one/lib"), path("two/lib"))),
        ];
        let (all, channels) = resolve(&declared);
        let entries = ["one/lib", "three", "two/lib"].map(|below| root.join(below));
        assert_eq!(all, entries);
        // What has no library of its own left is no channel.
        assert_eq!(channels, [("new".into(), vec![root.join("one/lib"), root.join("two/lib")])]);
    }
}

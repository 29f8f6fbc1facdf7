//! The index: what the generator writes of made-up directories is read back the same, and damage does no harm.
//!
//! The input makes the directories, what is asked for, and last which bytes of the index are damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use arbitrary::{Result, Unstructured};
use replit_env::fuzzing::{Channel, Directories, Entry, Glibc, Hints, ListEntry, Listed, write};
use rtld_loader::candidate::TARGET;
use rtld_loader::catalogue::{Form, number};
use rtld_loader::index::{Index, LINK, ORIGIN, Step, UNCERTAIN, UNSEARCHED, is_listed};
use rtld_loader::library::{Need, Versioning, Writer};

use crate::index_bytes;

/// Names that a library may be asked for by, and one that none is.
const NAMES: [&str; 7] = ["libx.so", "libx.so.1", "liby.so", "libz.so.2", "x", "ld.so", "libxlibx.so"];
const DIRECTORIES: [&str; 7] = ["/s/a", "/s/b", "/s/b/c", "/run/lib", "/s/bin", "/s", "/"];
const ATTRIBUTES: [&str; 3] = ["zlib", "xorg.libX11", ""];

/// What an index is made of.
struct Made {
    directories: Directories,
    libraries: Vec<ListEntry>,
    channels: Vec<Channel>,
    hints: Vec<(&'static str, &'static str)>,
}

/// Makes an index and asks it.
///
/// # Panics
///
/// If it says what was not written, or if a damaged one is not harmless.
pub fn run(bytes: &[u8]) {
    let mut u = Unstructured::new(bytes);
    let Ok(made) = Made::arbitrary(&mut u) else { return };
    let mut bytes = made.written();
    {
        let index = Index::read(&bytes, TARGET).expect("it was just written");
        assert!(Index::read(&bytes, TARGET + 1).is_none() && Index::read(&bytes[1..], TARGET).is_none());
        assert!(Index::read(&bytes[..bytes.len() - 1], TARGET).is_none());
        made.files_are_read_back(&index);
        made.searches_are_answered(&index);
        made.names_are_read_back(&index);
        made.hints_are_read_back(&index);
    }
    for _ in 0..u.int_in_range(0..=4).unwrap_or(0) {
        let (Ok(at), Ok(value)) = (u.int_in_range(0..=bytes.len() - 1), u.arbitrary()) else { return };
        bytes[at] = value;
    }
    index_bytes::is_harmless(&bytes);
}

/// Bytes to start from.
pub fn seeds() -> Vec<Vec<u8>> {
    let numbers = |start: u32, factor: u32| {
        let next = |number: &u32| Some(number.wrapping_mul(factor).wrapping_add(12345));
        std::iter::successors(Some(start), next).map(|number| (number >> 16) as u8).take(600).collect()
    };
    vec![numbers(1, 1_103_515_245), numbers(7, 1_103_515_245), vec![1; 300], Vec::new()]
}

/// Two indexes: of two declared directories and a file, of a channel; and of nothing.
pub fn written() -> [Vec<u8>; 2] {
    let file = |directories: &[&str], flags| Entry {
        directories: directories.iter().map(PathBuf::from).collect(),
        flags,
        record: Some(record()),
        ..Entry::default()
    };
    let mut answering = file(&["/s/a"], 0);
    answering.answers.insert(b"libx.so".to_vec(), "/s/a/libx.so".into());
    let files = [
        ("/s/a", "libx.so", file(&["/run/lib", "/s/b", "/s/a"], 0)),
        ("/s/a", "libx.so.1", file(&[], LINK | UNCERTAIN)),
        ("/s/b", "libx.so", file(&["/s/b", "/s/a"], UNSEARCHED)),
        ("/s/b", "liby.so", answering),
    ];
    let mut directories = Directories::new();
    for (directory, name, entry) in files {
        directories.entry(directory.into()).or_default().files.insert(name.into(), entry);
    }
    directories.insert("/run/lib".into(), Listed { is_live: true, channel: 1, ..Listed::default() });
    let libraries =
        ["/s/b", "/s/a", "/s/b/liby.so"].map(|path| ListEntry::parse(path.as_ref()).expect("it is absolute"));
    let glibc = Some(Glibc { directory: Some("/s/glibc".into()), minor: 36 });
    let channels = vec![Channel { name: String::new(), libraries: Vec::new(), glibc }];
    let made = Made { directories, libraries: libraries.into(), channels, hints: vec![("libz.so.2", "zlib")] };
    let none = Made { directories: Directories::new(), libraries: Vec::new(), channels: Vec::new(), hints: Vec::new() };
    [made, none].map(|made| made.written())
}

impl Made {
    fn written(&self) -> Vec<u8> {
        let hints: Hints<'_> = self.hints.iter().copied().collect();
        write(&self.directories, &self.libraries, &self.channels, &hints, TARGET).expect("it is small")
    }

    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Self> {
        let mut directories = Directories::new();
        for directory in DIRECTORIES {
            if u.ratio(1, 4)? {
                continue;
            }
            // The root is in no store.
            let is_live = u.ratio(1, 4)? || directory == "/";
            let mut listed = Listed { is_live, channel: u.int_in_range(0..=3)?, ..Listed::default() };
            for name in NAMES {
                if !is_live && u.arbitrary()? {
                    listed.files.insert(name.into(), entry(u)?);
                }
            }
            directories.insert(directory.into(), listed);
        }
        // What is searched, and what is answered with, is there: the generator sees to it.
        let known: BTreeSet<PathBuf> = directories.keys().cloned().collect();
        let files: BTreeSet<PathBuf> = files(&directories).map(|(path, _)| path).collect();
        for entry in directories.values_mut().flat_map(|listed| listed.files.values_mut()) {
            entry.directories.retain(|directory| known.contains(directory));
            entry.answers.retain(|_, path| files.contains(path));
        }
        let mut libraries = Vec::new();
        for _ in 0..u.int_in_range(0..=4)? {
            let mut path = PathBuf::from(u.choose(&DIRECTORIES)?);
            if u.ratio(1, 3)? {
                path.push(u.choose(&NAMES)?);
            }
            libraries.push(ListEntry::parse(path.as_os_str()).expect("it is absolute"));
        }
        let mut channels = Vec::new();
        for _ in 0..u.int_in_range(0..=3)? {
            let directory = u.choose(&[None, Some("/s/glibc"), Some("/s/b")])?.map(PathBuf::from);
            let glibc = if u.ratio(1, 4)? { None } else { Some(Glibc { directory, minor: u.arbitrary()? }) };
            channels.push(Channel { name: String::new(), libraries: Vec::new(), glibc });
        }
        let mut hints = Vec::new();
        for name in NAMES {
            if u.arbitrary()? {
                hints.push((name, *u.choose(&ATTRIBUTES)?));
            }
        }
        Ok(Self { directories, libraries, channels, hints })
    }

    /// Each file and each directory is there, as it was, and no other is.
    fn files_are_read_back(&self, index: &Index<'_>) {
        for directory in DIRECTORIES {
            let Some(listed) = self.directories.get(Path::new(directory)) else {
                assert!(index.directory(directory.as_bytes()).is_none());
                continue;
            };
            let read = index.directory(directory.as_bytes()).expect("it is there");
            assert_eq!((read.path(), read.is_live()), (directory.as_bytes(), listed.is_live));
            let names: Vec<&[u8]> = read.files().map(|file| file.name()).collect();
            assert_eq!(names, listed.files.keys().map(|name| name.as_bytes()).collect::<Vec<_>>());
            let channel = listed.channel.checked_sub(1).and_then(|nth| self.channels.get(nth));
            let glibc = |channel: &Channel| match &channel.glibc {
                None => (Vec::new(), 0),
                Some(Glibc { directory, minor }) => {
                    (directory.iter().flat_map(|path| path.as_os_str().as_bytes().to_vec()).collect(), *minor)
                }
            };
            let read = index.channel(read).map(|channel| (channel.glibc.to_vec(), channel.minor));
            assert_eq!(read, channel.map(glibc));
        }
        for path in DIRECTORIES.iter().flat_map(|directory| NAMES.map(|name| Path::new(directory).join(name))) {
            let entry = self.entry(&path);
            let read = index.file(path.as_os_str().as_bytes());
            assert_eq!(read.is_some(), entry.is_some(), "{}", path.display());
            let (Some(read), Some(entry)) = (read, entry) else { continue };
            assert_eq!(read.path(), path.as_os_str().as_bytes());
            assert_eq!((read.is_own(), read.has_origin()), (entry.flags & LINK == 0, entry.flags & ORIGIN != 0));
            let directories: Vec<_> = read.directories().map(|directory| directory.path()).collect();
            assert_eq!(
                directories,
                entry.directories.iter().map(|path| path.as_os_str().as_bytes()).collect::<Vec<_>>()
            );
            let again = read.offset().and_then(|offset| index.file_at(offset)).expect("it is there");
            assert_eq!(again.path(), read.path());
            let library = read.library();
            assert_eq!(library.is_some(), entry.record.is_some());
            if let Some(library) = library {
                assert_eq!(library.path(), read.path());
                assert!(library.definitions().eq([b"X_1".as_slice(), b""]));
                assert_eq!(library.need(0).map(|(need, _)| need.version), Some(b"GLIBC_2.38".as_slice()));
            }
        }
    }

    /// A search comes to what is found by going through the directories.
    fn searches_are_answered(&self, index: &Index<'_>) {
        for (path, entry) in files(&self.directories) {
            let requester = index.file(path.as_os_str().as_bytes()).expect("it is there");
            for soname in NAMES {
                let steps: Vec<String> = index.search(requester, soname.as_bytes()).map(text).collect();
                assert_eq!(steps, self.searched(entry, soname), "{} asks for {soname}", path.display());
            }
        }
    }

    /// The places where ld.so looks, until it is known or cannot be known what it finds.
    fn searched(&self, requester: &Entry, soname: &str) -> Vec<String> {
        if requester.flags & UNSEARCHED != 0 || !is_listed(soname.as_bytes()) {
            return vec!["unknown".to_owned()];
        }
        if let Some(answer) = requester.answers.get(soname.as_bytes())
            && answer.file_name() == Some(OsStr::new(soname))
        {
            return vec![answer.display().to_string()];
        }
        let mut steps = Vec::new();
        for path in &requester.directories {
            let listed = &self.directories[path];
            if listed.is_live {
                steps.push(format!("{}?", path.display()));
            } else if let Some(file) = listed.files.get(OsStr::new(soname)) {
                let is_uncertain = file.flags & UNCERTAIN != 0;
                steps.push(if is_uncertain { "unknown".to_owned() } else { joined(path, soname) });
                return steps;
            }
        }
        // Directories that change are ld.so's, where no other has it.
        if steps.is_empty() { steps } else { vec!["unknown".to_owned()] }
    }

    /// The declared entries that have a name.
    fn names_are_read_back(&self, index: &Index<'_>) {
        let mut list = Vec::new();
        let mut values = BTreeMap::<&str, Vec<Option<u32>>>::new();
        let (mut is_fixed, mut first_of_channel) = (true, None);
        for entry in &self.libraries {
            if !list.is_empty() {
                list.push(b':');
            }
            let (at, path) = (list.len(), entry.path());
            list.extend(path.as_os_str().as_bytes());
            let listed = self.directories.get(path);
            if listed.is_some_and(|listed| listed.channel > 0) {
                first_of_channel = first_of_channel.or(Some(at));
            }
            let is_file = self.entry(path).is_some();
            is_fixed &= listed.is_some_and(|listed| !listed.is_live) || is_file;
            for name in NAMES {
                let is_here = path.ends_with(name);
                match listed.filter(|listed| !listed.is_live) {
                    Some(listed) if listed.files.contains_key(OsStr::new(name)) => {
                        values.entry(name).or_default().push(number(at, Form::InDirectory));
                    }
                    None if is_file && is_here => values.entry(name).or_default().push(number(at, Form::File)),
                    _ => {}
                }
            }
        }
        for name in NAMES {
            let read: Vec<_> = index.values(name.as_bytes()).map(Some).collect();
            let written = values.remove(name).filter(|_| is_fixed).unwrap_or_default();
            assert_eq!(read, written, "{name}");
        }
        assert_eq!(index.declared(), if is_fixed { &*list } else { b"" });
        if is_fixed {
            let first = Some(index.first_of_channel()).filter(|first| *first < list.len());
            assert_eq!(first, first_of_channel);
        }
    }

    fn hints_are_read_back(&self, index: &Index<'_>) {
        for name in NAMES {
            let hint = self.hints.iter().find(|(known, _)| *known == name).map(|(_, attribute)| attribute.as_bytes());
            assert_eq!(index.hint(name.as_bytes()), hint);
        }
    }

    fn entry(&self, path: &Path) -> Option<&Entry> {
        self.directories.get(path.parent()?)?.files.get(path.file_name()?)
    }
}

fn files(directories: &Directories) -> impl Iterator<Item = (PathBuf, &Entry)> {
    let of = |(path, listed): (&PathBuf, _)| -> Vec<(PathBuf, &Entry)> {
        let listed: &Listed = listed;
        listed.files.iter().map(|(name, entry)| (path.join(name), entry)).collect()
    };
    directories.iter().flat_map(of)
}

fn entry(u: &mut Unstructured<'_>) -> Result<Entry> {
    let mut entry = Entry::default();
    for flag in [UNCERTAIN, UNSEARCHED, LINK, ORIGIN] {
        entry.flags |= if u.ratio(1, 4)? { flag } else { 0 };
    }
    for _ in 0..u.int_in_range(0..=4)? {
        entry.directories.push(u.choose(&DIRECTORIES)?.into());
    }
    for _ in 0..u.int_in_range(0..=2)? {
        // An answer of another name is none, and one whose name ends in the other's is not either.
        let path = Path::new(u.choose(&DIRECTORIES)?).join(u.choose(&NAMES)?);
        entry.answers.insert(u.choose(&NAMES)?.as_bytes().into(), path);
    }
    entry.record = if u.arbitrary()? { Some(record()) } else { None };
    Ok(entry)
}

fn record() -> Rc<[u8]> {
    let mut bytes = [0; 100];
    let len = Writer::new(&mut bytes).and_then(|mut writer| {
        writer.need(Need { soname: b"libc.so.6", version: b"GLIBC_2.38", is_weak: false, is_brought: true })?;
        writer.definition(b"X_1")?;
        writer.definition(b"")?;
        writer.finish(b"", Versioning::Defined, false)
    });
    Rc::from(&bytes[..len.expect("there is room")])
}

fn text(step: Step<'_>) -> String {
    let path = |path: &[u8]| String::from_utf8(path.to_vec()).expect("all paths are");
    match step {
        Step::File(file) => path(file.path()),
        Step::Live(directory) => path(directory.path()) + "?",
        Step::Unknown => "unknown".to_owned(),
    }
}

fn joined(directory: &Path, name: &str) -> String {
    directory.join(name).display().to_string()
}

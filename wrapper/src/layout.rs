//! The bytes of an index: see `rtld_loader::index`, which reads them. The same closure gives the same bytes.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rtld_loader::catalogue::{Form, number};
use rtld_loader::index::{CHANNEL, DIRECTORY, FILE, HEADER, IS_DIRECTORY, LIVE, MAGIC, SLOT, START, hash};

use crate::channels::Channel;
use crate::declared::ListEntry;
use crate::hints::Hints;

/// A file to be indexed.
#[derive(Default)]
pub struct Entry {
    /// The directories that it searches.
    pub directories: Vec<PathBuf>,
    /// What `rtld_loader::library` is to know of it.
    pub record: Option<Rc<[u8]>>,
    /// See `rtld_loader::index`.
    pub flags: u32,
    /// The sonames that it needs.
    pub needed: Vec<Vec<u8>>,
    /// Those of them that ld.so finds in any case, with the path.
    pub answers: BTreeMap<Vec<u8>, PathBuf>,
}

/// A directory, or what is declared in its stead.
#[derive(Default)]
pub struct Listed {
    /// Its files by name.
    pub files: BTreeMap<OsString, Entry>,
    /// They may change, and are not known.
    pub is_live: bool,
    /// The number of its channel, from 1.
    pub channel: usize,
}

/// All directories by path.
pub type Directories = BTreeMap<PathBuf, Listed>;

/// The file that is being put together.
struct Layout<'d> {
    bytes: Vec<u8>,
    files: HashMap<PathBuf, u32>,
    directories: HashMap<&'d Path, u32>,
    strings: HashMap<Vec<u8>, u32>,
    /// Lists, answers, records: what is the same stands there once.
    blocks: HashMap<Vec<u8>, u32>,
}

/// Writes an index of directories, for declared libraries, the channels that they are of, and objects of this machine, with
/// hints for what is not declared. `None` if it were larger than its offsets reach.
pub fn write(
    directories: &Directories,
    libraries: &[ListEntry],
    channels: &[Channel],
    hints: &Hints<'_>,
    machine: u32,
) -> Option<Vec<u8>> {
    let files = || directories.iter().flat_map(|(path, listed)| listed.files.iter().map(move |file| (path, file)));
    let file_count = files().count();
    let catalogue = Catalogue::new(directories, libraries)?;
    let paths = Slots::new(HEADER, file_count + directories.len());
    let names = Slots::new(paths.end(), catalogue.values.len());
    let first_channel = names.end();
    let first_directory = first_channel + channels.len() * CHANNEL;
    let first_file = first_directory + directories.len() * DIRECTORY;
    let end = first_file + file_count * FILE;
    let at = |first: usize, size: usize| (0u32..).map(move |nth| first as u32 + nth * size as u32);
    let mut layout = Layout {
        bytes: vec![0; end],
        files: files().map(|(path, (name, _))| path.join(name)).zip(at(first_file, FILE)).collect(),
        directories: directories.keys().map(PathBuf::as_path).zip(at(first_directory, DIRECTORY)).collect(),
        strings: HashMap::new(),
        blocks: HashMap::new(),
    };
    let mut next_file = first_file as u32;
    for (path, listed) in directories {
        let at = layout.directories[path.as_path()];
        let path_bytes = path.as_os_str().as_bytes();
        let hash = hash(hash(START, path_bytes), b"/");
        let [start, len] = layout.string(path_bytes);
        let flags = IS_DIRECTORY | if listed.is_live { LIVE } else { 0 };
        let count = listed.files.len() as u32;
        layout.put(at, &[start, len, flags, next_file, count, listed.channel as u32, hash]);
        layout.slot(paths, hash, at);
        for (name, entry) in &listed.files {
            layout.file(paths, &path.join(name), entry);
        }
        next_file += count * FILE as u32;
    }
    for (channel, at) in channels.iter().zip(at(first_channel, CHANNEL)) {
        let glibc = channel.glibc.as_ref();
        let directory = glibc.and_then(|glibc| glibc.directory.as_deref()).unwrap_or(Path::new(""));
        let [start, len] = layout.string(directory.as_os_str().as_bytes());
        layout.put(at, &[start, len, glibc.map_or(0, |glibc| glibc.minor)]);
    }
    for (name, values) in &catalogue.values {
        let node: Vec<u32> =
            layout.string(name).into_iter().chain([values.len() as u32]).chain(values.clone()).collect();
        let node = layout.block(&bytes(&node));
        layout.slot(names, hash(START, name), node);
    }
    let [list, list_len] = layout.string(&catalogue.declared);
    // Few processes look there: it comes last, away from what all do.
    let hinted = Slots::new(layout.bytes.len(), hints.len());
    layout.bytes.resize(hinted.end(), 0);
    for (soname, attribute) in hints {
        let node = [soname, attribute].map(|string| layout.string(string.as_bytes())).concat();
        let node = layout.block(&bytes(&node));
        layout.slot(hinted, hash(START, soname.as_bytes()), node);
    }
    let length = u32::try_from(layout.bytes.len()).ok()?;
    layout.bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
    let [paths, names, hinted] = [paths, names, hinted].map(|slots| [slots.start as u32, slots.count as u32]);
    let channels = [first_channel as u32, channels.len() as u32];
    let numbers = [[length, machine], paths, channels, names, [list, list_len]];
    let numbers = numbers.into_iter().flatten().chain([catalogue.first_of_channel]).chain(hinted);
    layout.put(MAGIC.len() as u32, &numbers.collect::<Vec<_>>());
    Some(layout.bytes)
}

impl Layout<'_> {
    fn file(&mut self, slots: Slots, path: &Path, entry: &Entry) {
        let at = self.files[path];
        let path = path.as_os_str().as_bytes();
        let [start, len] = self.string(path);
        let directories = entry.directories.iter().map(|directory| self.directories[directory.as_path()]).collect();
        let list = self.list(directories, 1);
        let answers = entry.answers.iter().flat_map(|(soname, path)| [hash(START, soname), self.files[path]]).collect();
        let answers = self.list(answers, 2);
        let record = entry.record.as_ref().map_or(0, |record| self.block(record));
        self.put(at, &[start, len, entry.flags, list, answers, record]);
        self.slot(slots, hash(START, path), at);
    }

    /// Enters a node for a hash.
    fn slot(&mut self, slots: Slots, hash: u32, node: u32) {
        let mut slots = (hash as usize..).map(|slot| slots.start + (slot & (slots.count - 1)) * SLOT);
        let free = slots.find(|&at| self.bytes[at + 4..at + SLOT] == [0; 4]);
        self.put(free.expect("half of the slots are free") as u32, &[hash, node]);
    }

    /// Where a string is, and its length.
    fn string(&mut self, string: &[u8]) -> [u32; 2] {
        let at = self.strings.get(string).copied().unwrap_or_else(|| {
            let at = self.bytes.len() as u32;
            self.bytes.extend(string);
            self.strings.insert(string.into(), at);
            at
        });
        [at, string.len() as u32]
    }

    /// A list of elements with `each` numbers. 0 for none.
    fn list(&mut self, numbers: Vec<u32>, each: usize) -> u32 {
        if numbers.is_empty() {
            return 0;
        }
        let count = (numbers.len() / each) as u32;
        self.block(&bytes(&[vec![count], numbers].concat()))
    }

    /// Where these bytes are.
    fn block(&mut self, bytes: &[u8]) -> u32 {
        self.blocks.get(bytes).copied().unwrap_or_else(|| {
            let at = self.bytes.len() as u32;
            self.bytes.extend(bytes);
            self.blocks.insert(bytes.into(), at);
            at
        })
    }

    /// Puts numbers where there is room for them.
    fn put(&mut self, at: u32, numbers: &[u32]) {
        for (place, number) in self.bytes[at as usize..].chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
    }
}

fn bytes(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// The slots of a table.
#[derive(Clone, Copy)]
struct Slots {
    start: usize,
    count: usize,
}

impl Slots {
    /// Half of them stay free, so that what is entered is in its own slot or near.
    fn new(start: usize, entered: usize) -> Self {
        Self { start, count: (entered * 2).next_power_of_two().max(2) }
    }

    fn end(self) -> usize {
        self.start + self.count * SLOT
    }
}

/// What is declared, by name.
#[derive(Default)]
struct Catalogue {
    declared: Vec<u8>,
    /// The numbers of the entries that have a name.
    values: BTreeMap<Vec<u8>, Vec<u32>>,
    first_of_channel: u32,
}

impl Catalogue {
    /// An empty one if something that is declared may change. `None` if the list is too long to be numbered.
    fn new(directories: &Directories, libraries: &[ListEntry]) -> Option<Self> {
        let (mut catalogue, mut first_of_channel) = (Self::default(), None);
        for entry in libraries {
            if !catalogue.declared.is_empty() {
                catalogue.declared.push(b':');
            }
            let (at, path) = (catalogue.declared.len(), entry.path());
            catalogue.declared.extend(entry.bytes());
            let listed = directories.get(path);
            if listed.is_some_and(|listed| listed.channel > 0) {
                first_of_channel.get_or_insert(at as u32);
            }
            let names = match listed.filter(|listed| !listed.is_live) {
                Some(listed) => listed.files.keys().map(|name| (name.as_os_str(), Form::InDirectory)).collect(),
                None => match (path.file_name(), path.parent().and_then(|directory| directories.get(directory))) {
                    (Some(name), Some(listed)) if listed.files.contains_key(name) => vec![(name, Form::File)],
                    _ => return Some(Self::default()),
                },
            };
            for (name, form) in names {
                catalogue.values.entry(name.as_bytes().into()).or_default().push(number(at, form)?);
            }
        }
        catalogue.first_of_channel = first_of_channel.unwrap_or(u32::MAX);
        Some(catalogue)
    }
}

#[cfg(test)]
mod tests {
    use rtld_loader::index::{Channel as Found, Index, LINK, Step, UNCERTAIN, UNSEARCHED};
    use rtld_loader::library::{Versioning, Writer};

    use super::*;
    use crate::channels::Glibc;

    const MACHINE: u32 = 7;

    fn record() -> Rc<[u8]> {
        let mut bytes = [0; 100];
        let mut writer = Writer::new(&mut bytes).unwrap();
        writer.definition(b"X_1").unwrap();
        let len = writer.finish(b"", Versioning::Defined, false).unwrap();
        Rc::from(&bytes[..len])
    }

    fn entry(directories: &[&str], answers: &[(&str, &str)], flags: u32) -> Entry {
        let answers = answers.iter().map(|(soname, path)| (soname.as_bytes().into(), PathBuf::from(path)));
        Entry {
            directories: directories.iter().map(PathBuf::from).collect(),
            answers: answers.collect(),
            flags,
            ..Entry::default()
        }
    }

    fn index() -> Vec<u8> {
        let recorded = |flags| Entry { record: Some(record()), ..entry(&[], &[], flags) };
        let files = [
            ("/s/a", "libx.so", recorded(0)),
            ("/s/a", "libx.so.1", recorded(LINK)),
            ("/s/b", "libx.so", entry(&["/s/a"], &[], 0)),
            ("/s/b", "liby.so", entry(&["/s/none", "/s/b", "/s/a"], &[("libx.so", "/s/a/libx.so")], 0)),
            ("/s/b", "libz.so", entry(&[], &[], UNCERTAIN)),
            ("/s/bin", "link", entry(&["/s/b"], &[], LINK)),
            ("/s/bin", "live", entry(&["/s/a", "/run/lib", "/s/b"], &[], 0)),
            ("/s/bin", "rpath", entry(&[], &[], UNSEARCHED)),
        ];
        let mut directories = Directories::new();
        for (directory, name, entry) in files {
            directories.entry(directory.into()).or_default().files.insert(OsString::from(name), entry);
        }
        directories.entry("/s/none".into()).or_default();
        directories.entry("/run/lib".into()).or_insert(Listed { is_live: true, channel: 2, ..Listed::default() });
        directories.get_mut(Path::new("/s/a")).unwrap().channel = 1;
        let channel = |directory: Option<&str>, minor| Channel {
            name: "name".into(),
            libraries: Vec::new(),
            glibc: Some(Glibc { directory: directory.map(PathBuf::from), minor }),
        };
        let libraries = ["/s/b", "/s/a", "/s/bin/rpath"].map(|path| ListEntry::parse(path.as_ref()).unwrap());
        let channels = [channel(Some("/s/glibc"), 36), channel(None, 41)];
        let hints = Hints::from([("libnone.so", "none"), ("libGL.so.1", "libGL"), ("libX11.so.6", "xorg.libX11")]);
        write(&directories, &libraries, &channels, &hints, MACHINE).unwrap()
    }

    /// The steps of a search, as text.
    fn search(index: &Index<'_>, requester: &str, soname: &str) -> String {
        let steps = index.search(index.file(requester.as_bytes()).unwrap(), soname.as_bytes());
        let text = |step| match step {
            Step::File(file) => str::from_utf8(file.path()).unwrap().to_owned(),
            Step::Live(directory) => format!("{}?", str::from_utf8(directory.path()).unwrap()),
            Step::Unknown => "unknown".to_owned(),
        };
        steps.map(text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_requester_gets_its_own() {
        let bytes = index();
        let index = Index::read(&bytes, MACHINE).unwrap();
        for (requester, soname, found) in [
            // It is an answer, which the search would not come to.
            ("/s/b/liby.so", "libx.so", "/s/a/libx.so"),
            ("/s/b/liby.so", "libx.so.1", "/s/a/libx.so.1"),
            ("/s/b/libx.so", "libx.so", "/s/a/libx.so"),
            ("/s/b/libx.so", "liby.so", ""),
            ("/s/b/liby.so", "libz.so", "unknown"),
            ("/s/a/libx.so", "libx.so", ""),
            ("/s/bin/live", "libx.so", "/s/a/libx.so"),
            ("/s/bin/live", "liby.so", "/run/lib? /s/b/liby.so"),
            ("/s/bin/live", "libnone.so", "unknown"),
            ("/s/bin/rpath", "libx.so", "unknown"),
            ("/s/b/liby.so", "ibx.so", ""),
            ("/s/b/liby.so", "", "unknown"),
            ("/s/b/libx.so", "x", "unknown"),
        ] {
            assert_eq!(search(&index, requester, soname), found, "{soname} for {requester}");
        }
        assert!(index.file(b"/s/b/lib").is_none() && index.file(b"").is_none() && index.file(b"/s/b").is_none());
        assert!(!index.file(b"/s/bin/link").unwrap().is_own() && index.file(b"/s/bin/live").unwrap().is_own());
    }

    #[test]
    fn directories_have_their_files_and_channels() {
        let bytes = index();
        let index = Index::read(&bytes, MACHINE).unwrap();
        let directory = |path: &str| index.directory(path.as_bytes()).unwrap();
        let names = |path| directory(path).files().map(|file| file.name().to_owned()).collect::<Vec<_>>();
        assert_eq!(names("/s/a"), [b"libx.so".as_slice(), b"libx.so.1"]);
        assert_eq!(names("/s/b"), [b"libx.so", b"liby.so", b"libz.so"]);
        assert!(names("/s/none").is_empty() && names("/run/lib").is_empty());
        assert!(directory("/run/lib").is_live() && !directory("/s/none").is_live());
        assert!(index.directory(b"/s").is_none() && index.directory(b"/s/a/libx.so").is_none());
        let channel = |path| index.channel(directory(path));
        assert_eq!(channel("/s/a"), Some(Found { glibc: b"/s/glibc", minor: 36 }));
        assert_eq!(channel("/run/lib"), Some(Found { glibc: b"", minor: 41 }));
        assert_eq!(channel("/s/b"), None);
    }

    #[test]
    fn what_is_declared_is_found_by_name() {
        let bytes = index();
        let index = Index::read(&bytes, MACHINE).unwrap();
        assert_eq!(index.declared(), b"/s/b:/s/a:/s/bin/rpath");
        assert_eq!(index.first_of_channel(), 5);
        let values = |name: &str| index.values(name.as_bytes()).collect::<Vec<_>>();
        assert_eq!(values("libx.so"), [0, 10]);
        assert_eq!(values("libx.so.1"), [10]);
        assert_eq!(values("rpath"), [21]);
        assert!(values("link").is_empty() && values("").is_empty());
    }

    #[test]
    fn hints_are_found_by_soname() {
        let bytes = index();
        let index = Index::read(&bytes, MACHINE).unwrap();
        assert_eq!(index.hint(b"libGL.so.1"), Some(b"libGL".as_slice()));
        assert_eq!(index.hint(b"libX11.so.6"), Some(b"xorg.libX11".as_slice()));
        for other in ["", "libGL.so", "libGL.so.10", "libx.so", "xorg.libX11"] {
            assert_eq!(index.hint(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn of_nothing_there_is_an_index_too() {
        for (hints, known) in [(Hints::new(), None), (Hints::from([("libz.so.1", "zlib")]), Some(b"zlib".as_slice()))] {
            let bytes = write(&Directories::new(), &[], &[], &hints, MACHINE).unwrap();
            let index = Index::read(&bytes, MACHINE).unwrap();
            assert_eq!(index.hint(b"libz.so.1"), known);
            assert!(index.declared().is_empty() && index.file(b"").is_none() && index.directory(b"").is_none());
            assert_eq!(index.values(b"").count(), 0);
        }
    }

    #[test]
    fn a_record_is_at_the_path_of_its_file() {
        let bytes = index();
        let index = Index::read(&bytes, MACHINE).unwrap();
        for path in ["/s/a/libx.so", "/s/a/libx.so.1"] {
            let file = index.file(path.as_bytes()).unwrap();
            let library = index.file_at(file.offset().unwrap()).unwrap().library().unwrap();
            assert!(library.defines(b"X_1") && !library.defines(b"X_2"));
            assert_eq!(library.path(), path.as_bytes());
        }
        assert!(index.file(b"/s/b/libx.so").unwrap().library().is_none());
        assert_eq!(bytes.windows(4).filter(|four| four == b"X_1\0").count(), 1, "links share it");
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
                for path in ["/s/a/libx.so", "/s/b/liby.so", "/s/bin/live", "/s/none"] {
                    let Some(file) = index.file(path.as_bytes()) else { continue };
                    for soname in ["libx.so", "libnone.so"] {
                        assert!(index.search(file, soname.as_bytes()).count() < whole.len());
                    }
                    let _ = file.library().map(|library| (library.defines(b"X_1"), library.need(0)));
                }
                assert!(index.values(b"libx.so").count() < whole.len());
                assert!(index.hint(b"libGL.so.1").is_none_or(|attribute| attribute.len() < whole.len()));
                for path in ["/s/a", "/s/b", "/run/lib"] {
                    let Some(directory) = index.directory(path.as_bytes()) else { continue };
                    assert!(directory.files().filter(|file| file.name().len() < whole.len()).count() < whole.len());
                    let _ = index.channel(directory);
                }
            }
        }
    }

    #[test]
    fn the_same_closure_gives_the_same_bytes() {
        assert_eq!(index(), index());
    }
}

//! What an index is made of: the files of a closure, what each of them needs and finds, and what is declared. The bytes are
//! written by `layout`, and read by `rtld_loader::index`.
//!
//! Only what cannot change is indexed: what lies in the store, and is there. The rest is named in the search lists, and the
//! auditor looks into it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use rtld_loader::hwcaps::is_subdirectory;
use rtld_loader::index::{LINK, ORIGIN, UNCERTAIN, UNSEARCHED, is_listed};
use rtld_loader::tokens::has_token;

use crate::channels::Channel;
use crate::closure::{Closure, directories};
use crate::declared::ListEntry;
use crate::hints::Hints;
use crate::layout::{self, Directories, Entry, Listed};
use crate::library_file::LibraryFiles;
use crate::object_file::ObjectFile;
use crate::progress::Progress;

/// What to index.
pub struct Input<'i> {
    /// The declared libraries, in their order.
    pub libraries: &'i [ListEntry],
    /// All declared directories and files, of libraries and of programs.
    pub declared: &'i [PathBuf],
    /// Store paths, all of whose programs and libraries are indexed.
    pub roots: &'i [PathBuf],
    /// The channels of declared directories.
    pub channels: &'i [Channel],
    /// Where nothing changes.
    pub stores: &'i [PathBuf],
    /// What brings libraries that nobody declares.
    pub hints: &'i Hints<'i>,
    /// What the objects are for.
    pub machine: u32,
}

/// Makes an index of a closure, and of all that lies beside its files. `None` if it were too large.
pub fn write(closure: &Closure<'_>, input: &Input<'_>) -> Option<Vec<u8>> {
    let mut collector = Collector::new(input);
    collector.rest.extend(input.declared.iter().cloned());
    collector.rest.extend(closure.all().filter_map(|object| object.path.parent().map(Path::to_owned)));
    for root in input.roots {
        collector.add_root(root);
    }
    collector.collect();
    let Collector { mut directories, .. } = collector;
    for (nth, channel) in input.channels.iter().enumerate() {
        for library in &channel.libraries {
            let path = without_closing_slash(library.path().into());
            let listed = directories.entry(path).or_insert_with(live);
            if listed.channel == 0 {
                listed.channel = nth + 1;
            }
        }
    }
    answer(&mut directories);
    layout::write(&directories, input.libraries, input.channels, input.hints, input.machine)
}

/// A directory that is to be looked into.
fn live() -> Listed {
    Listed { is_live: true, ..Listed::default() }
}

/// Finds what each file needs, where that is certain.
fn answer(directories: &mut Directories) {
    let find = |entry: &Entry, soname: &[u8]| {
        for path in &entry.directories {
            let directory = directories.get(path).filter(|directory| !directory.is_live)?;
            if let Some(file) = directory.files.get(OsStr::from_bytes(soname)) {
                return (file.flags & UNCERTAIN == 0).then(|| path.join(OsStr::from_bytes(soname)));
            }
        }
        None
    };
    let entries = directories.values().flat_map(|directory| directory.files.values());
    let found = |entry: &Entry| {
        let pairs = entry.needed.iter().filter_map(|soname| Some((soname.clone(), find(entry, soname)?)));
        pairs.collect()
    };
    let answers: Vec<_> = entries.map(found).collect();
    let entries = directories.values_mut().flat_map(|directory| directory.files.values_mut());
    entries.zip(answers).for_each(|(entry, answers)| entry.answers = answers);
}

/// What is being put together.
struct Collector<'i> {
    input: &'i Input<'i>,
    directories: Directories,
    /// The directories that are still to be listed.
    rest: Vec<PathBuf>,
    roots: BTreeSet<PathBuf>,
    records: HashMap<PathBuf, Option<Rc<[u8]>>>,
    files: LibraryFiles,
    progress: Progress,
}

impl<'i> Collector<'i> {
    fn new(input: &'i Input<'i>) -> Self {
        Self {
            input,
            directories: Directories::new(),
            rest: Vec::new(),
            roots: BTreeSet::new(),
            records: HashMap::new(),
            files: LibraryFiles::new(),
            progress: Progress::new(input.roots.len()),
        }
    }

    fn collect(&mut self) {
        while let Some(path) = self.rest.pop() {
            let path = without_closing_slash(path);
            if self.directories.contains_key(&path) {
                continue;
            }
            if !is_fixed(&path, self.input.stores) {
                self.directories.insert(path, live());
                continue;
            }
            // Whatever else is in the same store path may be asked for or ask: modules of an interpreter, plugins.
            if let Some((root, _)) = store_path(&path, self.input.stores) {
                self.add_root(&root);
            }
            // What cannot be listed now may have what its users can open.
            let Ok(files) = self.list(&path) else {
                self.directories.insert(path, live());
                continue;
            };
            self.rest.extend(files.values().flat_map(|entry| entry.directories.iter().cloned()));
            self.directories.insert(path, Listed { files, ..Listed::default() });
        }
    }

    /// Adds all directories below a store path.
    fn add_root(&mut self, root: &Path) {
        if self.roots.insert(root.to_owned()) {
            self.progress.step();
            self.rest.extend(subdirectories(root));
        }
    }

    /// The files of a directory, and those that only its subdirectories for processors have.
    fn list(&mut self, directory: &Path) -> io::Result<BTreeMap<OsString, Entry>> {
        let is_declared = self.input.declared.iter().any(|declared| declared == directory);
        let mut listed = BTreeMap::new();
        let mut below = Vec::new();
        for name in names(directory)? {
            let path = directory.join(&name);
            if !path.is_dir() {
                listed.extend(self.entry(&path, is_declared).map(|entry| (name, entry)));
            } else if is_subdirectory(name.as_bytes()) {
                below.push((path, DEPTH));
            } else if is_listed(name.as_bytes()) {
                // ld.so stops there.
                listed.insert(name, unknown());
            }
        }
        while let Some((subdirectory, depth)) = below.pop() {
            let is_root = subdirectory.ends_with("glibc-hwcaps");
            for name in names(&subdirectory)? {
                let path = subdirectory.join(&name);
                if depth > 1 && (is_root || is_subdirectory(name.as_bytes())) && path.is_dir() {
                    below.push((path, depth - 1));
                } else if is_listed(name.as_bytes()) {
                    listed.entry(name).or_insert_with(unknown).flags |= UNCERTAIN;
                }
            }
        }
        Ok(listed)
    }

    /// What is known of a file. `None` for one that nobody asks for.
    fn entry(&mut self, path: &Path, is_declared: bool) -> Option<Entry> {
        let is_listed = is_listed(path.file_name()?.as_bytes());
        let is_program = || fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0);
        if !is_listed && !is_declared && !is_program() {
            return None;
        }
        let uncertain = || is_listed.then(unknown);
        // A link to nothing, or out of the store, may lead to another file tomorrow.
        let Some(real) = settle(path, self.input.stores).filter(|real| real.is_file()) else {
            return uncertain();
        };
        // With what is no object for this machine ld.so goes on, or stops: that is left to it.
        let Some(object) = File::open(path).ok().and_then(|file| ObjectFile::read(&file)) else { return uncertain() };
        let link = if real == path { 0 } else { LINK };
        // By its soname ld.so knows a library that is loaded. By another name it may come to be the same file, and ld.so
        // remembers that name then.
        let name = path.file_name()?.as_bytes();
        let is_alias = object.soname.as_ref().map_or(link != 0, |soname| soname != name);
        // What looks like a token in a path ld.so would replace.
        let is_odd = is_alias || has_token(path.as_os_str().as_bytes());
        let alias = if is_listed && is_odd { UNCERTAIN } else { 0 };
        // An object without a RUNPATH may inherit search paths.
        let runpath = object.runpath.as_deref();
        let origin = if runpath.is_some_and(has_token) { ORIGIN } else { 0 };
        let found = runpath.and_then(|runpath| directories(runpath, path.parent()?));
        // ld.so takes a path as it is spelt: `$ORIGIN/../lib` of what was found by that is `$ORIGIN/../lib/../lib`, and so on
        // without an end. So it is with links, too.
        let parent = path.parent()?;
        let is_first = origin == 0 || settle(parent, self.input.stores).as_deref() == Some(parent);
        let found = found.filter(|_| is_first);
        let found = found.filter(|directories| directories.iter().all(|directory| is_plain(directory)));
        let flags = link | alias | origin | if found.is_some() { 0 } else { UNSEARCHED };
        let record = self.record(real);
        Some(Entry { directories: found.unwrap_or_default(), needed: object.needed, record, flags, ..Entry::default() })
    }

    /// What the auditor would read of a file. `None` for what it would not take.
    fn record(&mut self, path: PathBuf) -> Option<Rc<[u8]>> {
        let Self { records, files, .. } = self;
        records.entry(path).or_insert_with_key(|path| files.record(path).map(Rc::from)).clone()
    }
}

/// A file of which nothing is known.
fn unknown() -> Entry {
    Entry { flags: UNCERTAIN | UNSEARCHED, ..Entry::default() }
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
fn is_fixed(directory: &Path, stores: &[PathBuf]) -> bool {
    let Some(real) = Some(directory).filter(|path| is_plain(path)).and_then(|path| settle(path, stores)) else {
        return false;
    };
    let root_exists = || store_path(&real, stores).is_some_and(|(root, _)| root.is_dir());
    real.is_dir() || (real.try_exists().is_ok_and(|exists| !exists) && root_exists())
}

/// The most links on the way to a file, as in Linux.
const LINKS: usize = 40;

/// Where a path leads, if nothing on the way there can change: all links and their targets are in the store, and nothing of
/// that is writable for everybody. The file need not be there.
fn settle(path: &Path, stores: &[PathBuf]) -> Option<PathBuf> {
    let (root, below) = store_path(path, stores)?;
    let mut at = root.parent()?.to_owned();
    let mut rest: Vec<OsString> = vec![root.file_name()?.into()];
    rest.extend(below.components().map(|component| component.as_os_str().to_owned()));
    rest.reverse();
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == ".." {
            at.pop();
        } else {
            at.push(&name);
        }
        if !is_stored(&at, stores) {
            return None;
        }
        let metadata = match fs::symlink_metadata(&at) {
            Ok(metadata) => metadata,
            Err(error) if is_absent(&error) => continue,
            Err(_) => return None,
        };
        if metadata.is_symlink() {
            let target = fs::read_link(&at).ok()?;
            links += 1;
            if links > LINKS {
                return None;
            }
            let (start, below) = match store_path(&target, stores) {
                Some((root, _)) => (root.parent()?.to_owned(), target.strip_prefix(root.parent()?).ok()?.to_owned()),
                None if target.is_absolute() => return None,
                None => (at.parent()?.to_owned(), target),
            };
            at = start;
            rest.extend(below.components().rev().map(|component| component.as_os_str().to_owned()));
        } else if metadata.permissions().mode() & 0o002 != 0 {
            return None;
        }
    }
    Some(at)
}

/// The store path that a path is in, and what is below that.
fn store_path<'p>(path: &'p Path, stores: &[PathBuf]) -> Option<(PathBuf, &'p Path)> {
    stores.iter().find_map(|store| {
        let mut components = path.strip_prefix(store).ok()?.components();
        let name = components.next().filter(|name| matches!(name, Component::Normal(_)))?;
        Some((store.join(name), components.as_path()))
    })
}

fn is_stored(path: &Path, stores: &[PathBuf]) -> bool {
    stores.iter().any(|store| path.starts_with(store))
}

/// The deepest subdirectory for processors (`tls/haswell/avx512_1/x86_64`).
const DEPTH: usize = 4;

/// The names in a directory. A directory that is not there has none.
fn names(directory: &Path) -> io::Result<Vec<OsString>> {
    match fs::read_dir(directory) {
        Ok(files) => files.map(|file| Ok(file?.file_name())).collect(),
        Err(error) if is_absent(&error) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Whether nothing is there, for whomever.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A path as the auditor compares it. (`Path` takes both for the same, but keeps the slash.)
fn without_closing_slash(path: PathBuf) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    let closing = bytes.iter().rev().take_while(|&&byte| byte == b'/').count();
    PathBuf::from(OsStr::from_bytes(&bytes[..bytes.len() - closing]))
}

/// Whether a path is the same as bytes, which ld.so compares, and as components, which are compared here.
fn is_plain(path: &Path) -> bool {
    let components = path.as_os_str().as_bytes().split(|&byte| byte == b'/').skip(1);
    components.into_iter().all(|component| !matches!(component, b"" | b"."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    fn input<'i>(libraries: &'i [ListEntry], declared: &'i [PathBuf], stores: &'i [PathBuf]) -> Input<'i> {
        static NONE: Hints<'static> = Hints::new();
        Input { libraries, declared, roots: &[], channels: &[], stores, hints: &NONE, machine: 0 }
    }

    #[test]
    fn what_leads_out_of_the_store_may_change() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path();
        let stores = [root.join("store"), root.join("other")];
        for directory in ["store/a/lib/deep", "store/b/lib", "other/c/lib", "run"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        let link = |at: &str, to: &Path| symlink(to, root.join(at)).unwrap();
        link("run/current", &root.join("store/b"));
        link("store/a/inside", &root.join("store/b/lib"));
        link("store/a/relative", Path::new("../b/lib"));
        link("store/a/across", &root.join("other/c"));
        link("store/a/later", &root.join("run/driver"));
        link("store/a/and-back", &root.join("run/current"));
        link("store/a/up", Path::new("../../run/current/lib"));
        link("store/a/unmade", &root.join("store/d/lib"));
        link("store/a/loop", Path::new("loop"));
        let is_fixed = |path: &str| is_fixed(&root.join(path), &stores);
        for path in ["lib", "inside", "relative", "across/lib", "none/lib", "lib/deep/../../relative", "lib/../none"] {
            assert!(is_fixed(&format!("store/a/{path}")), "{path}");
        }
        for path in ["later/lib", "and-back/lib", "up", "unmade", "loop", "../../run", "lib/../../../run/current/lib"] {
            assert!(!is_fixed(&format!("store/a/{path}")), "{path}");
        }
        assert!(!is_fixed("run") && !is_fixed("store") && !is_fixed("store/none/lib"));
        // Everybody may change what they can write to; that a link is open to all says nothing.
        fs::set_permissions(root.join("store/b/lib"), fs::Permissions::from_mode(0o1777)).unwrap();
        for path in ["store/b/lib", "store/b/lib/none", "store/a/inside", "store/a/relative"] {
            assert!(!is_fixed(path), "{path}");
        }
        assert!(is_fixed("store/b") && is_fixed("store/a/across/lib"));
    }

    #[test]
    fn a_second_name_of_a_library_is_left_to_ld_so() {
        let temporary = tempfile::tempdir().unwrap();
        let lib = temporary.path().join("store/a/lib");
        fs::create_dir_all(&lib).unwrap();
        for (name, soname) in [("libx.so.1", Some("libx.so.1")), ("liby.so", None), ("libother.so", Some("libz.so"))] {
            let mut cc = Command::new("cc");
            cc.args(["-shared", "-nostdlib", "-x", "c", "/dev/null", "-o"]).arg(lib.join(name));
            cc.args(soname.map(|soname| format!("-Wl,-soname,{soname}")));
            assert!(cc.status().unwrap().success());
        }
        symlink("libx.so.1", lib.join("libx.so")).unwrap();
        symlink("liby.so", lib.join("liby.so.1")).unwrap();
        let stores = [temporary.path().join("store")];
        let input = input(&[], &[], &stores);
        let listed = Collector::new(&input).list(&lib).unwrap();
        let uncertain: Vec<_> = listed.iter().filter(|(_, entry)| entry.flags & UNCERTAIN != 0).collect();
        let names: Vec<_> = uncertain.iter().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(names, ["libother.so", "libx.so", "liby.so.1"]);
        assert!(listed.values().all(|entry| entry.record.is_some()), "they may be handed out");
    }

    #[test]
    fn for_processors_there_are_libraries_alone() {
        let temporary = tempfile::tempdir().unwrap();
        let stores = [temporary.path().join("store")];
        let lib = stores[0].join("a/lib");
        fs::create_dir_all(lib.join("glibc-hwcaps/any")).unwrap();
        for name in ["libx.so.1", "README"] {
            fs::write(lib.join("glibc-hwcaps/any").join(name), "").unwrap();
        }
        let listed = Collector::new(&input(&[], &[], &stores)).list(&lib).unwrap();
        // Whoever compares an index with the files looks for what it is certain of.
        assert_eq!(listed.keys().collect::<Vec<_>>(), ["libx.so.1"]);
    }

    #[test]
    fn what_is_spelt_longer_and_longer_has_an_end() {
        let temporary = tempfile::tempdir().unwrap();
        let stores = [temporary.path().join("store")];
        let lib = stores[0].join("a/lib");
        fs::create_dir_all(&lib).unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-nostdlib", "-x", "c", "/dev/null", "-Wl,-rpath,$ORIGIN/../lib:$ORIGIN/self", "-o"]);
        symlink(".", lib.join("self")).unwrap();
        assert!(cc.arg(lib.join("libx.so")).status().unwrap().success());
        let declared = [lib.clone()];
        let input = input(&[], &declared, &stores);
        let mut collector = Collector::new(&input);
        collector.rest.push(lib.clone());
        collector.collect();
        let listed: Vec<_> = collector.directories.keys().cloned().collect();
        assert_eq!(listed, [stores[0].join("a"), lib.clone(), lib.join("../lib"), lib.join("self")]);
        let entry = |directory: &Path| &collector.directories[directory].files[OsStr::new("libx.so")];
        assert_eq!(entry(&lib).flags & UNSEARCHED, 0);
        assert_eq!(entry(&lib.join("../lib")).flags & UNSEARCHED, UNSEARCHED);
    }

    #[test]
    fn a_closing_slash_makes_no_other_directory() {
        let temporary = tempfile::tempdir().unwrap();
        let stores = [temporary.path().join("store")];
        let lib = stores[0].join("a/lib");
        fs::create_dir_all(&lib).unwrap();
        let libraries = vec![ListEntry::parse(lib.join("").as_os_str()).unwrap()];
        let declared = [lib.join("")];
        let closure = Closure::read(&libraries, &[]);
        let channels = [Channel { name: "a".into(), libraries: libraries.clone(), glibc: None }];
        let input = Input { channels: &channels, ..input(&libraries, &declared, &stores) };
        let bytes = write(&closure, &input).unwrap();
        let index = rtld_loader::index::Index::read(&bytes, 0).unwrap();
        let directory = index.directory(lib.as_os_str().as_bytes()).unwrap();
        assert!(!directory.is_live() && index.channel(directory).is_some());
        for (path, expected) in [("/a/b", "/a/b"), ("/a/b//", "/a/b"), ("/", "")] {
            assert_eq!(without_closing_slash(path.into()).as_os_str(), expected);
        }
    }
}

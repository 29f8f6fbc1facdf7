//! The closure: the declared libraries and programs, and all that they need, found as ld.so would find it.
//!
//! DT_NEEDED is followed through RUNPATH or RPATH, then through what is declared. Default directories and ld.so.cache
//! are left out: they are those of the machine that the environment will run on, which need not be this one. A file
//! counts once, by device and inode as in ld.so, with the path and the inherited RPATHs by which it was reached first.
//! A file that is damaged or of another machine is passed over.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rtld_loader::path::PathBuf as LoaderPath;
use rtld_loader::tokens::{self, Token};

use crate::declared::ListEntry;
use crate::object_file::ObjectFile;

/// An object of the closure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(usize);

/// What is known of an object.
pub struct Object {
    /// Where it was found. `$ORIGIN` is this path's directory.
    pub path: PathBuf,
    /// What its file says.
    pub file: ObjectFile,
    /// What its DT_NEEDED leads to, as far as that is found.
    pub needed: Vec<Id>,
}

/// Directories, shared among those who inherit them.
type Directories = Rc<[PathBuf]>;

/// The objects, each with what it needs.
pub struct Closure<'d> {
    declared: &'d [ListEntry],
    objects: Vec<Object>,
    files: HashMap<(u64, u64), Option<Id>>,
    /// The objects whose DT_NEEDED is not followed yet, with the RPATHs that they inherit.
    unresolved: VecDeque<(Id, Directories)>,
    /// The declared libraries.
    pub libraries: Vec<Id>,
    /// The declared programs.
    pub programs: Vec<Id>,
}

impl<'d> Closure<'d> {
    /// Reads the closure of declared libraries, directories or single files, and of directories of programs.
    pub fn read(libraries: &'d [ListEntry], programs: &[ListEntry]) -> Self {
        let mut closure = Self {
            declared: libraries,
            objects: Vec::new(),
            files: HashMap::new(),
            unresolved: VecDeque::new(),
            libraries: Vec::new(),
            programs: Vec::new(),
        };
        let nothing: Directories = Rc::new([]);
        for path in libraries.iter().flat_map(files) {
            let library = closure.add_library(path, &nothing);
            closure.libraries.extend(library);
        }
        for path in programs.iter().flat_map(files) {
            let program = closure.add(path.canonicalize().unwrap_or(path), &nothing);
            closure.programs.extend(program);
        }
        while let Some((id, inherited)) = closure.unresolved.pop_front() {
            closure.follow(id, &inherited);
        }
        closure
    }

    /// All of its objects.
    pub fn all(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter()
    }

    /// One of its objects.
    pub fn object(&self, id: Id) -> &Object {
        &self.objects[id.0]
    }

    /// The libraries that a declared entry stands for.
    pub fn libraries_of(&self, entry: &ListEntry) -> impl Iterator<Item = &Object> {
        let id = |path: PathBuf| *self.files.get(&key(&fs::metadata(path).ok()?))?;
        files(entry).into_iter().filter_map(id).map(|id| self.object(id)).filter(|object| object.file.shared)
    }

    /// Some of its objects and all that they need, in no particular order.
    pub fn reach(&self, roots: &[Id]) -> HashSet<Id> {
        let mut reached: HashSet<Id> = roots.iter().copied().collect();
        let mut rest: Vec<Id> = reached.iter().copied().collect();
        while let Some(id) = rest.pop() {
            rest.extend(self.object(id).needed.iter().filter(|&&needed| reached.insert(needed)));
        }
        reached
    }

    /// The object at a path, which is read if it is not known yet.
    fn add(&mut self, path: PathBuf, inherited: &Directories) -> Option<Id> {
        // Asked before it is opened: a FIFO would wait for somebody to write.
        let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        let key = key(&metadata);
        if let Some(known) = self.files.get(&key) {
            return *known;
        }
        let file = File::open(&path).ok().and_then(|file| ObjectFile::read(&file));
        let id = file.map(|file| {
            let id = Id(self.objects.len());
            self.objects.push(Object { path, file, needed: Vec::new() });
            self.unresolved.push_back((id, inherited.clone()));
            id
        });
        self.files.insert(key, id);
        id
    }

    /// Finds what an object needs.
    fn follow(&mut self, id: Id, inherited: &Directories) {
        let object = self.object(id);
        let origin = object.path.parent().unwrap_or(Path::new("/"));
        let file = &object.file;
        // An RPATH counts for what the object needs in turn as well, unless it has a RUNPATH.
        let (own, inherited) = match (&file.runpath, &file.rpath) {
            (Some(runpath), _) => (directories_of(runpath, origin), inherited.clone()),
            (None, Some(rpath)) => {
                let mut all = directories_of(rpath, origin);
                all.extend(inherited.iter().filter(|directory| !all.contains(directory)).cloned().collect::<Vec<_>>());
                (Vec::new(), all.into())
            }
            (None, None) => (Vec::new(), inherited.clone()),
        };
        let search: &[PathBuf] = if file.runpath.is_some() { &own } else { &inherited };
        let sonames = file.needed.clone();
        let needed = sonames.iter().filter_map(|soname| self.find(OsStr::from_bytes(soname), search, &inherited));
        let needed = needed.collect();
        self.objects[id.0].needed = needed;
    }

    /// The first library of a name that can be loaded.
    fn find(&mut self, soname: &OsStr, search: &[PathBuf], inherited: &Directories) -> Option<Id> {
        if soname.as_bytes().contains(&b'/') {
            return self.add_library(soname.into(), inherited);
        }
        let declared = self.declared.iter().map(ListEntry::path).map(|entry| match entry.file_name() {
            Some(name) if name == soname => entry.into(),
            _ => entry.join(soname),
        });
        let mut paths = search.iter().map(|directory| directory.join(soname)).chain(declared);
        paths.find_map(|path| self.add_library(path, inherited))
    }

    /// As `add`, for what can be loaded as a library.
    fn add_library(&mut self, path: PathBuf, inherited: &Directories) -> Option<Id> {
        self.add(path, inherited).filter(|&id| self.object(id).file.shared)
    }
}

/// What tells a file from all others.
fn key(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// The files that an entry stands for: a directory's, in the order of their names, or the single one.
fn files(entry: &ListEntry) -> Vec<PathBuf> {
    match fs::read_dir(entry.path()) {
        Ok(directory) => {
            let mut files: Vec<_> = directory.flatten().map(|file| file.path()).collect();
            files.sort_unstable();
            files
        }
        Err(_) => vec![entry.path().into()],
    }
}

/// The absolute directories of an RPATH or RUNPATH. What `$LIB` and `$PLATFORM` stand for only the running ld.so knows,
/// and a relative directory is another one in each working directory.
pub fn directories_of(list: &[u8], origin: &Path) -> Vec<PathBuf> {
    let expand = |element: &[u8]| {
        let mut path = LoaderPath::new();
        tokens::expand(element, &mut path, |token, into| match token {
            Token::Origin => into.push(origin.as_os_str().as_bytes()),
            Token::Lib | Token::Platform => None,
        })?;
        // ld.so takes closing slashes away.
        let closing = path.as_bytes().iter().rev().take_while(|&&byte| byte == b'/').count();
        let path = &path.as_bytes()[..path.len() - closing];
        Some(PathBuf::from(OsStr::from_bytes(path))).filter(|path| path.is_absolute())
    };
    list.split(|&byte| byte == b':').filter_map(expand).collect()
}

/// The directories of a RUNPATH. `None` if one of them only the running ld.so knows.
pub fn directories(list: &[u8], origin: &Path) -> Option<Vec<PathBuf>> {
    let elements = list.split(|&byte| byte == b':').count();
    let directories = directories_of(list, origin);
    (directories.len() == elements).then_some(directories)
}

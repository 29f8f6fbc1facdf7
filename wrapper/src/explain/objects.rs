//! The objects of a planned process, read from their files, as a lookup sees those of a live one.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rtld_loader::environment::split_directory;
use rtld_loader::library::Versioning;
use rtld_loader::outcome::Unsure;
use rtld_loader::own_glibc::LIBC;
use rtld_loader::path::PathBuf as LoaderPath;
use rtld_loader::views::{self, SearchPaths};

use super::edge::Edge;
use super::image::{FileImage, Need};
use crate::object_file::ObjectFile;

/// The number of ld.so among the objects.
pub const LOADER: usize = 1;

/// An object that is planned to be loaded.
pub struct Object {
    /// ld.so's name for it (`l_name`): the path that it is loaded from; empty for the program.
    pub name: Vec<u8>,
    /// Where its file is.
    pub path: PathBuf,
    /// What its file says.
    pub file: ObjectFile,
    /// The versions that it needs.
    pub needs: Vec<Need>,
    /// The versions that it defines.
    pub definitions: Vec<Vec<u8>>,
    /// The names by which ld.so knows it besides.
    pub aliases: Vec<Vec<u8>>,
    /// What became of the names that it needs, in their order.
    pub edges: Vec<Edge>,
    /// The object whose DT_NEEDED loads it.
    loader: Option<usize>,
    identity: (u64, u64),
    minor: Option<u32>,
}

impl Object {
    /// Reads the file at a path. `None` if ld.so would not load it.
    pub fn read(path: &Path, name: &[u8], loader: Option<usize>) -> Option<Self> {
        // Asked before it is opened: a FIFO would wait for somebody to write.
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let file = ObjectFile::read(&File::open(path).ok()?)?;
        let image = FileImage::open(path)?;
        let is_libc = split_directory(name).is_some_and(|(_, name)| name == LIBC);
        Some(Self {
            name: name.to_vec(),
            path: path.to_owned(),
            needs: image.needs(file.versions),
            definitions: image.definitions(file.versions),
            minor: if is_libc { image.constants().minor() } else { None },
            aliases: Vec::new(),
            edges: Vec::new(),
            loader,
            identity: (metadata.dev(), metadata.ino()),
            file,
        })
    }

    /// Whether ld.so takes it for what is asked for by this name.
    pub fn is_named(&self, name: &[u8]) -> bool {
        self.name == name || self.file.soname.as_deref() == Some(name) || self.aliases.iter().any(|alias| alias == name)
    }
}

/// The objects, in the order in which they are loaded. The first is the program, the second ld.so.
pub struct Objects {
    all: Vec<Object>,
    origin: PathBuf,
    /// What `$ORIGIN` of an object with a relative path counts from. The auditor would not know: the process may have gone elsewhere
    /// since it was loaded.
    pub working_directory: Option<PathBuf>,
    libc: Option<usize>,
}

impl Objects {
    /// A process that consists of a program and its ld.so.
    pub fn new(program: Object, loader: Object) -> Self {
        let real = program.path.canonicalize().unwrap_or_else(|_| program.path.clone());
        let origin = real.parent().unwrap_or(Path::new("/")).to_owned();
        Self { all: vec![program, loader], origin, working_directory: None, libc: None }
    }

    /// All of them.
    pub fn all(&self) -> &[Object] {
        &self.all
    }

    /// One of them.
    pub fn get(&self, id: usize) -> &Object {
        &self.all[id]
    }

    /// One of them, to be changed.
    pub fn get_mut(&mut self, id: usize) -> &mut Object {
        &mut self.all[id]
    }

    /// The one that ld.so takes for a name without looking for a file.
    pub fn named(&self, name: &[u8]) -> Option<usize> {
        self.all.iter().position(|object| object.is_named(name))
    }

    /// The one of this file: ld.so maps no file twice.
    pub fn of_file(&self, path: &Path) -> Option<usize> {
        let metadata = fs::metadata(path).ok()?;
        self.all.iter().position(|object| object.identity == (metadata.dev(), metadata.ino()))
    }

    /// Adds one: its number.
    pub fn add(&mut self, object: Object) -> usize {
        if self.libc.is_none() && object.name.ends_with(b"/libc.so.6") {
            self.libc = Some(self.all.len());
        }
        self.all.push(object);
        self.all.len() - 1
    }

    /// Its libc.so.6.
    pub fn libc(&self) -> Option<usize> {
        self.libc
    }
}

impl views::Objects for Objects {
    type Id = usize;

    fn main(&self) -> usize {
        0
    }

    fn search_paths(&self, object: usize) -> SearchPaths<'_> {
        let file = &self.get(object).file;
        SearchPaths {
            rpath: file.rpath.as_deref(),
            runpath: file.runpath.as_deref(),
            no_default_libraries: file.no_default_libraries,
        }
    }

    fn loader(&self, object: usize) -> Result<Option<usize>, Unsure> {
        Ok(self.get(object).loader)
    }

    fn origin(&self, object: usize, into: &mut LoaderPath) -> Result<Option<()>, Unsure> {
        if object == self.main() {
            return Ok(into.push(self.origin.as_os_str().as_bytes()));
        }
        let name = &self.get(object).name;
        match (split_directory(name), &self.working_directory) {
            (Some((b"", _)), _) => Ok(into.push(b"/")),
            (Some((directory, _)), _) if name.starts_with(b"/") => Ok(into.push(directory)),
            (None, Some(working_directory)) => Ok(into.push(working_directory.as_os_str().as_bytes())),
            (Some((directory, _)), Some(working_directory)) => {
                Ok(into.push(working_directory.join(path_of(directory)).as_os_str().as_bytes()))
            }
            (_, None) => Err(Unsure::RelativeOrigin),
        }
    }

    fn loaded(&self, soname: &[u8]) -> Option<usize> {
        let is_it = |object: &Object| {
            let file_name = split_directory(&object.name).map_or(&object.name[..], |(_, name)| name);
            file_name == soname || object.file.soname.as_deref() == Some(soname)
        };
        self.libc.filter(|_| soname == LIBC).or_else(|| self.all.iter().position(is_it))
    }

    fn has_soname(&self, object: usize, soname: &[u8]) -> bool {
        self.get(object).file.soname.as_deref() == Some(soname)
    }

    fn path(&self, object: usize) -> &[u8] {
        &self.get(object).name
    }

    fn any_path(&self, mut is_it: impl FnMut(&[u8]) -> bool) -> bool {
        self.all.iter().any(|object| !object.name.is_empty() && is_it(&object.name))
    }

    fn needs(&self, object: usize, soname: &[u8], mut visit: impl FnMut(&[u8]) -> bool) {
        let mut needs = self.get(object).needs.iter().filter(|need| !need.is_weak && need.soname == soname);
        let _ = needs.all(|need| visit(&need.version));
    }

    fn versioning(&self, object: usize) -> Versioning {
        let tables = self.get(object).file.versions;
        Versioning::new(tables.symbols.is_some(), tables.definitions.is_some())
    }

    fn defines(&self, object: usize, version: &[u8]) -> bool {
        self.get(object).definitions.iter().any(|defined| defined == version)
    }

    fn minor(&self, libc: usize) -> Option<u32> {
        self.get(libc).minor
    }
}

/// A path of ld.so's, for the file system.
pub fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

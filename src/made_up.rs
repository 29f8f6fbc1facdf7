//! A made-up world for tests: objects and files that exist nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::string::String;
use std::vec::Vec;

use elf::abi::ET_DYN;

use crate::candidate::check;
use crate::index::Channel;
use crate::library::{Library, Need, Versioning, Writer};
use crate::loader_image::LoaderImage;
use crate::outcome::Unsure;
use crate::path::PathBuf;
use crate::search::Search;
use crate::skip::Skip;
use crate::views::{FileStart, Files, HEADER, Look, Objects, SearchPaths};

/// What an object says of itself.
#[derive(Default)]
pub struct Object {
    pub rpath: Option<&'static str>,
    pub runpath: Option<&'static str>,
    pub no_default_libraries: bool,
    /// Index of the object that needs it.
    pub loader: Option<usize>,
    /// What `$ORIGIN` means; `None` for nothing.
    pub origin: Option<&'static str>,
    /// The path that it was loaded from.
    pub path: &'static str,
    /// The versions that it needs, each of a library.
    pub needs: Vec<(&'static str, &'static str)>,
    /// The versions that it defines. Without any it has no version information.
    pub defines: Vec<&'static str>,
}

/// The objects, by index. The first is the program.
#[derive(Default)]
pub struct MadeUpObjects(pub Vec<Object>);

impl Objects for MadeUpObjects {
    type Id = usize;

    fn main(&self) -> usize {
        0
    }

    fn search_paths(&self, object: usize) -> SearchPaths<'_> {
        let object = &self.0[object];
        SearchPaths {
            rpath: object.rpath.map(str::as_bytes),
            runpath: object.runpath.map(str::as_bytes),
            no_default_libraries: object.no_default_libraries,
        }
    }

    fn loader(&self, object: usize) -> Result<Option<usize>, Unsure> {
        Ok(self.0[object].loader)
    }

    fn origin(&self, object: usize, into: &mut PathBuf) -> Result<Option<()>, Unsure> {
        Ok(self.0[object].origin.and_then(|origin| into.push(origin.as_bytes())))
    }

    fn loaded(&self, soname: &[u8]) -> Option<usize> {
        let is_named = |object: &Object| object.path.rsplit('/').next().map(str::as_bytes) == Some(soname);
        self.0.iter().position(is_named)
    }

    fn path(&self, object: usize) -> &[u8] {
        self.0[object].path.as_bytes()
    }

    fn has_soname(&self, object: usize, soname: &[u8]) -> bool {
        self.loaded(soname) == Some(object)
    }

    fn any_path(&self, mut is_it: impl FnMut(&[u8]) -> bool) -> bool {
        self.0.iter().skip(1).any(|object| is_it(object.path.as_bytes()))
    }

    fn needs(&self, object: usize, soname: &[u8], mut visit: impl FnMut(&[u8]) -> bool) {
        let versions = self.0[object].needs.iter().filter(|(library, _)| library.as_bytes() == soname);
        let _ = versions.map(|(_, version)| version.as_bytes()).all(&mut visit);
    }

    fn versioning(&self, object: usize) -> Versioning {
        Versioning::new(true, !self.0[object].defines.is_empty())
    }

    fn defines(&self, object: usize, version: &[u8]) -> bool {
        self.0[object].defines.iter().any(|defined| defined.as_bytes() == version)
    }

    fn minor(&self, _: usize) -> Option<u32> {
        Some(31)
    }
}

/// What a library needs, each of another one (with a `!` before it, if that is not in DT_NEEDED), and what it defines.
pub type Versions = (Vec<(&'static str, &'static str)>, Versioning, Vec<&'static str>);

/// The files, by path; what was asked for; and what is remembered.
#[derive(Default)]
pub struct MadeUpFiles {
    pub files: BTreeMap<String, Look>,
    pub cache: Vec<u8>,
    pub asked: Vec<String>,
    /// The symbol versions of libraries, by path. Others have none.
    pub versions: BTreeMap<String, Versions>,
    /// The DT_NEEDED and RUNPATH of libraries, by path. Others have none.
    pub brings: BTreeMap<String, (Vec<&'static str>, &'static str)>,
    /// The channels of declared directories: the path and the minor version of a glibc.
    pub channels: BTreeMap<&'static str, (&'static str, u32)>,
    read: Vec<Vec<u8>>,
    remembered: BTreeMap<Vec<u8>, u32>,
}

impl MadeUpFiles {
    /// A shared object for this machine at each path.
    pub fn with_libraries(paths: &[&str]) -> Self {
        let mut files = Self::default();
        for path in paths {
            files.files.insert((*path).into(), library());
        }
        files
    }

    fn directories(&self) -> BTreeSet<&str> {
        let parents = |path: &'_ String| -> Vec<usize> { path.match_indices('/').map(|(at, _)| at + 1).collect() };
        self.files.keys().flat_map(|path| parents(path).into_iter().map(move |end| &path[..end])).collect()
    }
}

impl Files for MadeUpFiles {
    type Known = usize;

    fn look(&mut self, path: &CStr) -> Look {
        let path = path.to_str().unwrap();
        self.asked.push(path.into());
        self.files.get(path).copied().unwrap_or(Look::Missing)
    }

    fn examine(&mut self, path: &CStr) -> Result<Result<usize, Skip>, Unsure> {
        if let Err(skip) = check(&self.look(path)).ok_or(Unsure::Exhausted)? {
            return Ok(Err(skip));
        }
        let (needs, versioning, definitions) = self.versions.get(path.to_str().unwrap()).cloned().unwrap_or_default();
        let mut record = std::vec![0; 1 << 20];
        let mut writer = Writer::new(&mut record).unwrap();
        for (soname, version) in needs {
            let (soname, is_brought) = soname.strip_prefix('!').map_or((soname, true), |soname| (soname, false));
            let (soname, version) = (soname.as_bytes(), version.as_bytes());
            writer.need(Need { soname, version, is_weak: false, is_brought }).unwrap();
        }
        for version in definitions {
            writer.definition(version.as_bytes()).unwrap();
        }
        let brings = self.brings.get(path.to_str().unwrap()).cloned().unwrap_or_default();
        for soname in brings.0 {
            writer.needed(soname.as_bytes()).unwrap();
        }
        writer.search(brings.1.as_bytes()).unwrap();
        let len = writer.finish(path.to_bytes(), versioning, false).unwrap();
        record.truncate(len);
        self.read.push(record);
        Ok(Ok(self.read.len() - 1))
    }

    fn library(&self, known: usize) -> Library<'_> {
        Library::read(&self.read[known]).unwrap()
    }

    fn channel(&self, entry: &[u8]) -> Option<Channel<'static>> {
        let (glibc, minor) = self.channels.get(std::str::from_utf8(entry).unwrap())?;
        Some(Channel { glibc: glibc.as_bytes(), minor: *minor })
    }

    fn identity(&mut self, path: &CStr) -> Option<[i128; 2]> {
        let path = path.to_str().unwrap();
        self.asked.push(path.into());
        let nth = self.files.keys().position(|file| file == path);
        nth.map(|nth| [0, nth as i128])
            .or_else(|| Some([1, self.directories().iter().position(|it| *it == path)? as i128]))
    }

    fn is_directory(&mut self, path: &CStr) -> bool {
        let path = path.to_str().unwrap();
        self.asked.push(path.into());
        self.directories().contains(path)
    }

    fn is_guarded(&mut self, path: &CStr) -> Option<bool> {
        self.asked.push(path.to_str().unwrap().into());
        Some(true)
    }

    fn recall(&self, directory: &[u8]) -> Option<u32> {
        self.remembered.get(directory).copied()
    }

    fn remember(&mut self, directory: &[u8], value: u32) {
        self.remembered.insert(directory.into(), value);
    }

    fn cache(&mut self, _: &CStr) -> Result<&[u8], Unsure> {
        Ok(&self.cache)
    }
}

/// A shared object for this machine.
pub fn library() -> Look {
    static HEADER_OF_THIS: std::sync::OnceLock<[u8; HEADER]> = std::sync::OnceLock::new();
    let mut bytes = *HEADER_OF_THIS.get_or_init(|| {
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        program[..HEADER].try_into().unwrap()
    });
    bytes[16..18].copy_from_slice(&ET_DYN.to_ne_bytes());
    let look = Look::File(FileStart { bytes, len: HEADER, size: 1 << 20 });
    assert_eq!(check(&look), Some(Ok(())));
    look
}

/// A library for another class of machine.
pub fn other_class() -> Look {
    let Look::File(mut file) = library() else { unreachable!() };
    file.bytes[4] = 3 - file.bytes[4];
    Look::File(file)
}

/// A file of text.
pub fn text() -> Look {
    Look::File(FileStart { bytes: [b'I'; HEADER], len: HEADER, size: 100 })
}

/// A glibc 2.36 with two default directories.
pub fn image() -> LoaderImage<'static> {
    image_of(Some(36))
}

/// The same of a glibc 2.N, or of one that does not say: before 2.33.
pub fn image_of(minor: Option<u32>) -> LoaderImage<'static> {
    let directories = "/lib/\0/usr/lib/\0/etc/ld.so.cache\0lib\0";
    let version = minor.map(|minor| std::format!("ld.so (made up) stable release version 2.{minor}.\n\0"));
    let strings = std::format!("{directories}{}", version.unwrap_or_default());
    let strings: &[u8] = std::boxed::Box::leak(strings.into_bytes().into_boxed_slice());
    LoaderImage::read(|| std::iter::once(strings)).unwrap()
}

/// A search of a process that began with `library_path`.
pub fn search<'w>(
    objects: &'w MadeUpObjects,
    files: &'w mut MadeUpFiles,
    image: &'w mut dyn FnMut() -> Result<LoaderImage<'w>, Unsure>,
    library_path: &'w str,
    path: &'w mut PathBuf,
) -> Search<'w, MadeUpObjects, MadeUpFiles> {
    let library_path = library_path.as_bytes();
    Search { objects, files, image, library_path, platform: b"x86_64", processor: None, trusts_cache: false, path }
}

//! A process and a machine that a fuzzer makes up.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;

use rtld_loader::index::Channel;
use rtld_loader::library::{Library, Versioning};
use rtld_loader::loader_image::LoaderImage;
use rtld_loader::outcome::Unsure;
use rtld_loader::path::PathBuf;
use rtld_loader::skip::Skip;
use rtld_loader::views::{Files, Look, Objects, SearchPaths};

/// An object of the process.
#[derive(Default)]
pub struct Object {
    pub soname: Vec<u8>,
    pub path: Vec<u8>,
    pub rpath: Option<Vec<u8>>,
    pub runpath: Option<Vec<u8>>,
    pub no_default_libraries: bool,
    /// The number of the object that needs it: a lower one, so that chains end.
    pub loader: Option<usize>,
    /// What `$ORIGIN` means.
    pub origin: Option<Vec<u8>>,
    /// The versions that it needs, each of a soname.
    pub needs: Vec<(Vec<u8>, Vec<u8>)>,
    pub versioning: Versioning,
    pub definitions: Vec<Vec<u8>>,
}

/// All of them. The first is the program.
pub struct Process(pub Vec<Object>);

impl Objects for Process {
    type Id = usize;

    fn main(&self) -> usize {
        0
    }

    fn search_paths(&self, object: usize) -> SearchPaths<'_> {
        let object = &self.0[object];
        SearchPaths {
            rpath: object.rpath.as_deref(),
            runpath: object.runpath.as_deref(),
            no_default_libraries: object.no_default_libraries,
        }
    }

    fn loader(&self, object: usize) -> Result<Option<usize>, Unsure> {
        Ok(self.0[object].loader)
    }

    fn origin(&self, object: usize, into: &mut PathBuf) -> Result<Option<()>, Unsure> {
        Ok(self.0[object].origin.as_ref().and_then(|origin| into.push(origin)))
    }

    fn loaded(&self, soname: &[u8]) -> Option<usize> {
        self.0.iter().position(|object| object.soname == soname)
    }

    fn has_soname(&self, object: usize, soname: &[u8]) -> bool {
        self.0[object].soname == soname
    }

    fn path(&self, object: usize) -> &[u8] {
        &self.0[object].path
    }

    fn any_path(&self, mut is_it: impl FnMut(&[u8]) -> bool) -> bool {
        self.0.iter().skip(1).any(|object| is_it(&object.path))
    }

    fn needs(&self, object: usize, soname: &[u8], mut visit: impl FnMut(&[u8]) -> bool) {
        let needs = self.0[object].needs.iter().filter(|(library, _)| library == soname);
        let _ = needs.map(|(_, version)| version).all(|version| visit(version));
    }

    fn versioning(&self, object: usize) -> Versioning {
        self.0[object].versioning
    }

    fn defines(&self, object: usize, version: &[u8]) -> bool {
        self.0[object].definitions.iter().any(|defined| defined == version)
    }

    fn minor(&self, _: usize) -> Option<u32> {
        None
    }
}

/// What reading a library comes to: its record, if any.
pub type Examined = Result<Result<Vec<u8>, Skip>, Unsure>;

/// The machine's files, by path.
#[derive(Default)]
pub struct Machine {
    pub looks: BTreeMap<Vec<u8>, Look>,
    /// With a closing slash.
    pub directories: BTreeSet<Vec<u8>>,
    /// Those that can no longer be asked for.
    pub silent: BTreeSet<Vec<u8>>,
    pub cache: Vec<u8>,
    pub examined: BTreeMap<Vec<u8>, Examined>,
    /// The records of libraries that were read.
    pub known: Vec<Vec<u8>>,
    pub remembered: BTreeMap<Vec<u8>, u32>,
    /// How often the machine was asked.
    pub asked: Cell<usize>,
}

impl Machine {
    fn ask<'p>(&self, path: &'p CStr) -> &'p [u8] {
        self.asked.set(self.asked.get() + 1);
        path.to_bytes()
    }
}

impl Files for Machine {
    type Known = usize;

    fn look(&mut self, path: &CStr) -> Look {
        self.looks.get(self.ask(path)).copied().unwrap_or(Look::Missing)
    }

    fn examine(&mut self, path: &CStr) -> Result<Result<usize, Skip>, Unsure> {
        let record = self.examined.get(self.ask(path)).cloned().unwrap_or(Ok(Err(Skip::Missing)))?;
        Ok(record.map(|record| {
            self.known.push(record);
            self.known.len() - 1
        }))
    }

    fn library(&self, known: usize) -> Library<'_> {
        Library::read(&self.known[known]).expect("it was written")
    }

    fn channel(&self, _: &[u8]) -> Option<Channel<'static>> {
        None
    }

    fn identity(&mut self, path: &CStr) -> Option<[i128; 2]> {
        let path = self.ask(path);
        (!self.silent.contains(path))
            .then(|| [0, self.directories.iter().position(|it| it == path).map_or(-1, |nth| nth as i128)])
    }

    fn is_directory(&mut self, path: &CStr) -> bool {
        self.directories.contains(self.ask(path))
    }

    fn is_guarded(&mut self, path: &CStr) -> Option<bool> {
        self.ask(path);
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

/// A glibc 2.N with the default directories [`DEFAULT_DIRECTORIES`], and one before 2.33, which does not say its N.
pub fn image(minor: Option<u32>) -> LoaderImage<'static> {
    let version: &[u8] = match minor {
        None => b"",
        Some(36) => b"ld.so (made up) stable release version 2.36.\n\0",
        Some(38) => b"ld.so (made up) stable release version 2.38.\n\0",
        _ => b"ld.so (made up) stable release version 2.41.\n\0",
    };
    const STRINGS: &[u8] = b"/lib/\0/usr/lib/\0/etc/ld.so.cache\0lib\0";
    // Each segment begins at a page.
    LoaderImage::read(|| [STRINGS, version].into_iter()).expect("all is there")
}

/// What [`image`] has.
pub const DEFAULT_DIRECTORIES: [&[u8]; 2] = [b"/lib/", b"/usr/lib/"];

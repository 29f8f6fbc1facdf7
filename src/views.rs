//! The two views through which a lookup sees the world: the objects of a process, and files.
//!
//! The auditor gives it the live process. A test, or a tool that explains, gives it a made-up one.

use core::ffi::CStr;

use crate::index::Channel;
use crate::library::{Library, Versioning};
use crate::outcome::Unsure;
use crate::path::PathBuf;
use crate::skip::Skip;

/// The bytes of a file that are read to judge it: the longest ELF header.
pub const HEADER: usize = 64;

/// What an object, loaded or about to be, says of the search for its libraries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchPaths<'p> {
    /// DT_RPATH: for its own libraries and for theirs, unless there is a DT_RUNPATH.
    pub rpath: Option<&'p [u8]>,
    /// DT_RUNPATH: for its own libraries.
    pub runpath: Option<&'p [u8]>,
    /// DF_1_NODEFLIB in DT_FLAGS_1: nothing from the default directories.
    pub no_default_libraries: bool,
}

/// The objects of a process.
pub trait Objects {
    /// One of them.
    type Id: Copy + PartialEq;

    /// The program itself.
    fn main(&self) -> Self::Id;

    /// What its dynamic section says.
    fn search_paths(&self, object: Self::Id) -> SearchPaths<'_>;

    /// The object whose DT_NEEDED loaded this one: `l_loader` of ld.so's link_map, which is null for what was
    /// dlopened.
    fn loader(&self, object: Self::Id) -> Result<Option<Self::Id>, Unsure>;

    /// Appends what `$ORIGIN` means for the object. `Ok(None)` when it means nothing, so that ld.so leaves the path
    /// element out.
    fn origin(&self, object: Self::Id, into: &mut PathBuf) -> Result<Option<()>, Unsure>;

    /// The object of this soname that is in the process already.
    fn loaded(&self, soname: &[u8]) -> Option<Self::Id>;

    /// Whether that is its DT_SONAME.
    fn has_soname(&self, object: Self::Id, soname: &[u8]) -> bool;

    /// The path that it was loaded from; empty for the program.
    fn path(&self, object: Self::Id) -> &[u8];

    /// Whether one of the objects that were loaded from somewhere has a path for which `is_it` says so.
    fn any_path(&self, is_it: impl FnMut(&[u8]) -> bool) -> bool;

    /// Visits the versions that an object needs of a library (DT_VERNEED), but for weak ones, until `visit` says
    /// `false`.
    fn needs(&self, object: Self::Id, soname: &[u8], visit: impl FnMut(&[u8]) -> bool);

    /// What an object says of its own symbols' versions.
    fn versioning(&self, object: Self::Id) -> Versioning;

    /// Whether an object defines a version (DT_VERDEF).
    fn defines(&self, object: Self::Id, version: &[u8]) -> bool;

    /// The N of the glibc 2.N that an object, its libc.so.6, says it is.
    fn minor(&self, libc: Self::Id) -> Option<u32>;
}

/// What there is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing (ENOENT): ld.so goes on to the next directory.
    Missing,
    /// Something that may not be opened (EACCES): ld.so goes on, too.
    Denied,
    /// Nothing can be there: a part of the path is no directory (ENOTDIR). ld.so goes on from 2.39 on.
    NotBelow,
    /// Another error than those: ld.so gives up the list of directories that it is in, if the directory is there.
    Broken,
    /// Nothing can be known: the process has no descriptor or no memory left, or ld.so would wait.
    Exhausted,
    /// A directory, a FIFO, a device.
    Irregular,
    /// A regular file.
    File(FileStart),
}

/// What is read of a regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStart {
    /// Its first bytes.
    pub bytes: [u8; HEADER],
    /// How many of them there are.
    pub len: usize,
    /// Its size in bytes.
    pub size: u64,
}

impl FileStart {
    /// The first bytes of a file of this size in bytes; no more than [`HEADER`] of them count.
    pub fn new(start: &[u8], size: u64) -> Self {
        let mut bytes = [0; HEADER];
        bytes.iter_mut().zip(start).for_each(|(place, byte)| *place = *byte);
        Self { bytes, len: start.len().min(HEADER), size }
    }

    /// The bytes that are there.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Files.
pub trait Files {
    /// A library whose file was read.
    type Known: Copy + PartialEq;

    /// Opens the file, reads its first bytes, and closes it. A FIFO must not hold this up.
    fn look(&mut self, path: &CStr) -> Look;

    /// Opens a candidate and reads what decides whether it can be loaded. It is remembered for as long as the process
    /// lives and the file stays the same. `Err` when nothing could be seen.
    fn examine(&mut self, path: &CStr) -> Result<Result<Self::Known, Skip>, Unsure>;

    /// What was read of a library.
    fn library(&self, known: Self::Known) -> Library<'_>;

    /// The channel that a declared entry is of.
    fn channel(&self, entry: &[u8]) -> Option<Channel<'static>>;

    /// What tells a file from all others that exist at the same time: its device and inode. `None` if there is none.
    fn identity(&mut self, path: &CStr) -> Option<[i128; 2]>;

    /// Whether the path is a directory, or may be one where that cannot be known.
    fn is_directory(&mut self, path: &CStr) -> bool;

    /// Whether only its owner and their group can write to what is at a path, and not everybody. `None` if that cannot be known.
    fn is_guarded(&mut self, path: &CStr) -> Option<bool>;

    /// What was remembered of a directory with [`Files::remember`].
    fn recall(&self, directory: &[u8]) -> Option<u32>;

    /// Remembers something of a directory for as long as the process lives, if there is room.
    fn remember(&mut self, directory: &[u8], value: u32);

    /// The contents of ld.so.cache at this path, empty if there is none.
    fn cache(&mut self, path: &CStr) -> Result<&[u8], Unsure>;
}

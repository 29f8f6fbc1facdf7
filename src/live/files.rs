//! The files of the machine, as a lookup sees them.

use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, FileType, Mode, Stat, fstat, openat, stat};
use rustix::io::{Errno, read, retry_on_intr};

use super::index_file::Indices;
use super::libraries::{self, Libraries};
use super::memory;
use super::open::{Identity, OPEN, identity};
use super::published::Published;
use crate::index::Channel;
use crate::library::Library;
use crate::outcome::Unsure;
use crate::skip::Skip;
use crate::table::Table;
use crate::views::{FileStart, Files, HEADER, Look};

/// The memory for what is known of directories, in bytes: some hundreds of them.
const DIRECTORIES: usize = 1 << 16;
/// The largest ld.so.cache that is read, in bytes. A distribution's has some ten to hundred KiB.
const LARGEST_CACHE: usize = 16 << 20;

/// The files of the machine, and what is remembered of them.
pub struct LiveFiles {
    directories: Published<Table<'static>>,
    cache: Published<CacheCopy>,
    libraries: Libraries,
    indices: Published<Indices>,
}

/// A library of which enough is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Its file was read.
    Read(libraries::Known),
    /// It is a file of an index: which one, and where its node is.
    Indexed(u8, u32),
}

/// ld.so.cache as it was read.
struct CacheCopy {
    /// `None` for an empty file.
    bytes: Option<&'static mut [u8]>,
    identity: Identity,
}

impl LiveFiles {
    /// Nothing is known yet.
    pub const fn new() -> Self {
        Self {
            directories: Published::new(),
            cache: Published::new(),
            libraries: Libraries::new(),
            indices: Published::new(),
        }
    }
}

impl LiveFiles {
    /// A lookup begins.
    pub fn begin(&mut self) {
        self.libraries.make_room();
    }

    /// The index files, once they are there.
    pub fn indices(&self) -> Option<&Indices> {
        self.indices.get()
    }

    /// Takes index files.
    pub fn set_indices(&mut self, indices: Indices) {
        self.indices.set(indices);
    }

    /// What an index says of a library: that it has its record, or that there is no such file.
    fn find_in_index(&self, path: &CStr) -> Option<Result<Known, Skip>> {
        let (indices, path) = (self.indices()?, path.to_bytes());
        let Some((index, file)) = indices.file(path) else {
            return indices.lacks(path).then_some(Err(Skip::Missing));
        };
        file.library()?;
        Some(Ok(Known::Indexed(u8::try_from(index).ok()?, file.offset()?)))
    }
}

impl Files for LiveFiles {
    type Known = Known;

    fn look(&mut self, path: &CStr) -> Look {
        let file = match retry_on_intr(|| openat(CWD, path, OPEN, Mode::empty())) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Look::Missing,
            Err(Errno::ACCESS) => return Look::Denied,
            Err(Errno::NOTDIR) => return Look::NotBelow,
            // Also where somebody has a lease on it: we do not wait, ld.so does.
            Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN) => return Look::Exhausted,
            Err(_) => return Look::Broken,
        };
        let size = match fstat(&file) {
            Ok(status) if FileType::from_raw_mode(status.st_mode).is_file() => status.st_size as u64,
            _ => return Look::Irregular,
        };
        let mut bytes = [0; HEADER];
        match retry_on_intr(|| read(&file, &mut bytes)) {
            Ok(len) => Look::File(FileStart { bytes, len, size }),
            Err(_) => Look::Irregular,
        }
    }

    fn examine(&mut self, path: &CStr) -> Result<Result<Known, Skip>, Unsure> {
        match self.find_in_index(path) {
            Some(known) => Ok(known),
            None => Ok(self.libraries.examine(path)?.map(Known::Read)),
        }
    }

    fn library(&self, known: Known) -> Library<'_> {
        let library = match known {
            Known::Read(known) => self.libraries.get(known),
            Known::Indexed(index, offset) => {
                self.indices().and_then(|indices| indices.file_at(index.into(), offset)?.library())
            }
        };
        library.unwrap_or_default()
    }

    fn channel(&self, entry: &[u8]) -> Option<Channel<'static>> {
        self.indices()?.channel(entry)
    }

    fn identity(&mut self, path: &CStr) -> Option<[i128; 2]> {
        stat(path).ok().map(|status| [status.st_dev.into(), status.st_ino.into()])
    }

    fn is_directory(&mut self, path: &CStr) -> bool {
        match retry_on_intr(|| stat(path)) {
            Ok(status) => FileType::from_raw_mode(status.st_mode).is_dir(),
            // Nothing below such a path can be opened. After any other error, as from a sandbox, something may: ld.so opens
            // files first and asks for their directory later.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::LOOP | Errno::NAMETOOLONG) => false,
            Err(_) => true,
        }
    }

    fn is_guarded(&mut self, path: &CStr) -> Option<bool> {
        retry_on_intr(|| stat(path)).ok().map(|status| is_guarded(&status))
    }

    fn recall(&self, directory: &[u8]) -> Option<u32> {
        self.directories.get()?.values(directory).last()
    }

    fn remember(&mut self, directory: &[u8], value: u32) {
        if self.directories.get().is_none()
            && let Some(table) = memory::map(DIRECTORIES).and_then(Table::new)
        {
            self.directories.set(table);
        }
        if let Some(table) = self.directories.get_mut() {
            // A directory that does not fit is looked at again.
            let _ = table.insert(directory, value);
        }
    }

    /// As ld.so does: a cache that cannot be read is none, and one that was replaced is read again.
    fn cache(&mut self, path: &CStr) -> Result<&[u8], Unsure> {
        let Ok(status) = stat(path) else { return Ok(b"") };
        let is_same = |copy: &CacheCopy| copy.identity == identity(&status);
        if !self.cache.get().is_some_and(is_same) {
            if let Some(memory) = self.cache.take().and_then(|old| old.bytes) {
                memory::unmap(memory);
            }
            let Ok(file) = openat(CWD, path, OPEN, Mode::empty()) else { return Ok(b"") };
            self.cache.set(read_whole(&file).ok_or(Unsure::Cache)?);
        }
        Ok(self.cache.get().and_then(|copy| copy.bytes.as_deref()).unwrap_or_default())
    }
}

/// Whether everybody is kept from writing to a file or into a directory.
pub fn is_guarded(status: &Stat) -> bool {
    !Mode::from_raw_mode(status.st_mode).contains(Mode::WOTH)
}

/// Reads a file into memory of its own: a mapped file that somebody shortens would kill the process. What is shorter by
/// now is as it is: damage is for the reader to meet. `None` for a file that is too large, or without memory.
fn read_whole(file: &OwnedFd) -> Option<CacheCopy> {
    let status = fstat(file).ok()?;
    let identity = identity(&status);
    let size = usize::try_from(status.st_size).ok().filter(|size| *size <= LARGEST_CACHE)?;
    if size == 0 {
        return Some(CacheCopy { bytes: None, identity });
    }
    let memory = memory::map::<u8>(size)?;
    let mut filled = 0usize;
    while let Some(rest) = memory.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match retry_on_intr(|| read(file, &mut *rest)) {
            Ok(len @ 1..) => filled = filled.saturating_add(len),
            _ => break,
        }
    }
    Some(CacheCopy { bytes: Some(memory), identity })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::libraries::tests::Scratch;
    use std::ffi::CString;
    use std::string::ToString;

    #[test]
    fn a_cache_that_is_replaced_is_read_again() {
        let scratch = Scratch::new("cache");
        let path = scratch.0.join("ld.so.cache");
        let c_path = CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
        let mut files = LiveFiles::new();
        assert_eq!(files.cache(&c_path), Ok(b"".as_slice()), "there is none yet");
        for content in ["one".to_string(), "another".to_string(), std::string::String::new(), "x".repeat(10_000)] {
            std::fs::write(&path, &content).unwrap();
            assert_eq!(files.cache(&c_path), Ok(content.as_bytes()));
            assert_eq!(files.cache(&c_path), Ok(content.as_bytes()));
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(files.cache(&c_path), Ok(b"".as_slice()));
    }

    #[test]
    fn what_cannot_be_looked_into_is_told_apart() {
        let mut files = LiveFiles::new();
        assert_eq!(files.look(c"/nowhere/libx.so"), Look::Missing);
        assert_eq!(files.look(c"/proc/version/libx.so"), Look::NotBelow);
        assert_eq!(files.look(c"/dev/null"), Look::Irregular);
        assert_eq!(files.look(c"/"), Look::Irregular);
        assert!(matches!(files.look(c"/proc/self/exe"), Look::File(file) if file.len == HEADER));
    }
}

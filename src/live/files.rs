//! The files of the machine, as a lookup sees them.

use core::ffi::CStr;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat, stat};
use rustix::io::{Errno, read, retry_on_intr};

use super::memory;
use crate::outcome::Unsure;
use crate::table::Table;
use crate::views::{Files, HEADER, Look};

/// The memory for what is known of directories, in bytes: some hundreds of them.
const DIRECTORIES: usize = 1 << 16;
/// The largest ld.so.cache that is read, in bytes. A distribution's has some ten to hundred KiB.
const LARGEST_CACHE: usize = 16 << 20;

/// How files are opened: never blocking on a FIFO, never taking a terminal, never inherited.
pub const OPEN: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// The files of the machine, and what is remembered of them.
pub struct LiveFiles {
    directories: Option<Table<'static>>,
    cache: Option<CacheCopy>,
}

/// ld.so.cache as it was read once.
struct CacheCopy {
    bytes: &'static [u8],
    identity: Identity,
}

/// What changes when a file does: device, inode, size, and time of modification.
type Identity = (u64, u64, u64, i64, u64);

impl LiveFiles {
    /// Nothing is known yet.
    pub const fn new() -> Self {
        Self { directories: None, cache: None }
    }
}

impl Files for LiveFiles {
    fn look(&mut self, path: &CStr) -> Look {
        let file = match retry_on_intr(|| openat(CWD, path, OPEN, Mode::empty())) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::ACCESS) => return Look::Missing,
            Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => return Look::Exhausted,
            Err(_) => return Look::Broken,
        };
        match fstat(&file) {
            Ok(status) if FileType::from_raw_mode(status.st_mode).is_file() => {}
            _ => return Look::Irregular,
        }
        let mut bytes = [0; HEADER];
        match retry_on_intr(|| read(&file, &mut bytes)) {
            Ok(len) => Look::File(bytes, len),
            Err(_) => Look::Irregular,
        }
    }

    fn is_directory(&mut self, path: &CStr) -> bool {
        stat(path).is_ok_and(|status| FileType::from_raw_mode(status.st_mode).is_dir())
    }

    fn recall(&self, directory: &[u8]) -> Option<u32> {
        self.directories.as_ref()?.values(directory).next()
    }

    fn remember(&mut self, directory: &[u8], value: u32) {
        if self.directories.is_none() {
            self.directories = memory::map(DIRECTORIES).and_then(Table::new);
        }
        if let Some(table) = &mut self.directories {
            // A directory that does not fit is looked at again.
            let _ = table.insert(directory, value);
        }
    }

    fn cache(&mut self, path: &CStr) -> Result<&[u8], Unsure> {
        let status = match stat(path) {
            Ok(status) => status,
            Err(_) => return Ok(b""),
        };
        let identity = identity(&status);
        match &mut self.cache {
            Some(copy) if copy.identity == identity => Ok(copy.bytes),
            // It was replaced while the process lived.
            Some(_) => Err(Unsure::Cache),
            empty => {
                let (bytes, identity) = read_whole(path).ok_or(Unsure::Cache)?;
                Ok(empty.insert(CacheCopy { bytes, identity }).bytes)
            }
        }
    }
}

fn identity(status: &rustix::fs::Stat) -> Identity {
    (status.st_dev, status.st_ino, status.st_size as u64, status.st_mtime, status.st_mtime_nsec)
}

/// Reads a file into memory of its own: a mapped file that somebody shortens would kill the process. What is shorter by
/// now is as it is: damage is for the reader to meet.
fn read_whole(path: &CStr) -> Option<(&'static [u8], Identity)> {
    let file = openat(CWD, path, OPEN, Mode::empty()).ok()?;
    let status = fstat(&file).ok()?;
    let size = usize::try_from(status.st_size).ok().filter(|size| *size <= LARGEST_CACHE)?;
    if size == 0 {
        return Some((b"", identity(&status)));
    }
    let memory = memory::map::<u8>(size)?;
    let mut filled = 0usize;
    while let Some(rest) = memory.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match retry_on_intr(|| read(&file, &mut *rest)).ok()? {
            0 => break,
            len => filled = filled.checked_add(len)?,
        }
    }
    Some((memory, identity(&status)))
}

//! What decides whether a library can be loaded, read from its file as the auditor reads it.

use std::fs::File;
use std::path::Path;

use rtld_loader::elf_file::{ReadAt, Room};
use rtld_loader::library::Library;

use crate::object_file::read_some;

/// The room for what is known of a library: for more than any has.
const RECORD: usize = 1 << 20;

/// Reads libraries, one after the other.
pub struct LibraryFiles {
    room: Vec<u8>,
    record: Vec<u8>,
}

impl LibraryFiles {
    /// Room for one at a time.
    pub fn new() -> Self {
        Self { room: vec![0; Room::SIZE], record: vec![0; RECORD] }
    }

    /// Reads the library at a path. `None` if ld.so would not load it, whatever it may need.
    pub fn read(&mut self, path: &Path) -> Option<Library<'_>> {
        Library::read(self.record(path)?)
    }

    /// What [`rtld_loader::library`] keeps of the library at a path, but for the path.
    pub fn record(&mut self, path: &Path) -> Option<&[u8]> {
        let file = File::open(path).ok()?;
        let size = file.metadata().ok()?.len();
        let mut room = Room::new(&mut self.room)?;
        let len = room.read(&mut Readable(file), size, b"", &mut self.record).ok()??;
        self.record.get(..len)
    }
}

/// A file, for the auditor's code.
struct Readable(File);

impl ReadAt for Readable {
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> Option<usize> {
        read_some(&self.0, offset, into)
    }
}

//! The files of the machine, as the auditor sees them, with a note of each that is looked at.

use std::ffi::CStr;

use rtld_loader::hwcaps;
use rtld_loader::index::Channel;
use rtld_loader::library::Library;
use rtld_loader::live::files::{Known, LiveFiles};
use rtld_loader::live::index_file::Indices;
use rtld_loader::outcome::Unsure;
use rtld_loader::skip::Skip;
use rtld_loader::views::{self, Look};

use super::objects::path_of;

/// What was seen at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The path; a directory's ends in a slash.
    pub path: Vec<u8>,
    /// `None` for a directory that does not exist.
    pub look: Option<Look>,
}

/// The auditor's files, and what was seen of them.
pub struct Files {
    live: LiveFiles,
    seen: Vec<Seen>,
}

impl Files {
    /// With what index files know.
    pub fn new(indices: Indices) -> Self {
        let mut live = LiveFiles::new();
        live.set_indices(indices);
        Self { live, seen: Vec::new() }
    }

    /// The index files.
    pub fn indices(&self) -> Option<&Indices> {
        self.live.indices()
    }

    /// A lookup begins.
    pub fn begin(&mut self) {
        self.live.begin();
        self.seen.clear();
    }

    /// What was seen since then.
    pub fn take_seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }

    fn note_directory(&mut self, path: &[u8], exists: bool) {
        let directory = path.strip_suffix(b"/").unwrap_or(path);
        let name = directory.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        if !exists && !hwcaps::is_subdirectory(name) {
            self.seen.push(Seen { path: path.to_vec(), look: None });
        }
    }
}

impl views::Files for Files {
    type Known = Known;

    fn look(&mut self, path: &CStr) -> Look {
        let look = self.live.look(path);
        self.seen.push(Seen { path: path.to_bytes().to_vec(), look: Some(look) });
        look
    }

    fn examine(&mut self, path: &CStr) -> Result<Result<Known, Skip>, Unsure> {
        self.live.examine(path)
    }

    fn library(&self, known: Known) -> Library<'_> {
        self.live.library(known)
    }

    fn channel(&self, entry: &[u8]) -> Option<Channel<'static>> {
        self.live.channel(entry)
    }

    fn identity(&mut self, path: &CStr) -> Option<[i128; 2]> {
        self.live.identity(path)
    }

    fn is_directory(&mut self, path: &CStr) -> bool {
        // ld.so asks for it where a file cannot be opened, and takes one that it cannot ask for as not there.
        let exists = std::fs::metadata(path_of(path.to_bytes())).is_ok_and(|directory| directory.is_dir());
        self.note_directory(path.to_bytes(), exists);
        exists
    }

    fn is_guarded(&mut self, path: &CStr) -> Option<bool> {
        self.live.is_guarded(path)
    }

    // Nothing is remembered between lookups, so that each says all that it saw.
    fn recall(&self, _directory: &[u8]) -> Option<u32> {
        None
    }

    fn remember(&mut self, _directory: &[u8], _value: u32) {}

    fn cache(&mut self, path: &CStr) -> Result<&[u8], Unsure> {
        self.live.cache(path)
    }
}

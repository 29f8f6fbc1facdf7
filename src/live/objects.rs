//! The objects of this process, as a lookup sees them.

use rustix::fs::{CWD, readlinkat_raw};
use rustix::io::Errno;

use super::link_map::LoadedObject;
use super::links::Links;
use crate::environment::split_directory;
use crate::library::Versioning;
use crate::outcome::Unsure;
use crate::own_glibc::LIBC;
use crate::path::PathBuf;
use crate::views::{Objects, SearchPaths};

/// The objects of this process.
pub struct LiveObjects<'p> {
    /// The program.
    pub main: LoadedObject,
    /// Its libc.so.6, once it is loaded.
    pub libc: Option<LoadedObject>,
    /// Who loaded whom.
    pub links: &'p Links,
    /// LD_ORIGIN_PATH.
    pub origin_path: &'p [u8],
}

impl Objects for LiveObjects<'_> {
    type Id = LoadedObject;

    fn main(&self) -> LoadedObject {
        self.main
    }

    fn search_paths(&self, object: LoadedObject) -> SearchPaths<'_> {
        object.search_paths()
    }

    fn loader(&self, object: LoadedObject) -> Result<Option<LoadedObject>, Unsure> {
        self.links.loader(object)
    }

    /// As elf/dl-object.c and sysdeps/unix/sysv/linux/dl-origin.c determine it: for a library the directory that it
    /// was opened from, for the program that of /proc/self/exe, or else LD_ORIGIN_PATH.
    fn origin(&self, object: LoadedObject, into: &mut PathBuf) -> Result<Option<()>, Unsure> {
        if object != self.main {
            return match split_directory(object.name()) {
                Some((directory, _)) if object.name().starts_with(b"/") => Ok(into.push(or_root(directory))),
                _ => Err(Unsure::RelativeOrigin),
            };
        }
        let start = into.len();
        let mut is_unknown = false;
        let readlink = |room: &mut [u8]| match readlinkat_raw(CWD, c"/proc/self/exe", &mut *room) {
            // A target that fills the room was cut short.
            Ok(len) => (len < room.len()).then_some(len),
            Err(error) => {
                // Without /proc ld.so has none, either. But what a sandbox refuses now, ld.so may have had before.
                is_unknown = !matches!(error, Errno::NOENT | Errno::NOTDIR);
                None
            }
        };
        if into.push_with(readlink).is_some()
            && let Some(program) = into.as_bytes().get(start..)
            && program.starts_with(b"/")
            && let Some((directory, _)) = split_directory(program)
        {
            let len = or_root(directory).len();
            into.truncate(start.saturating_add(len));
            return Ok(Some(()));
        }
        into.truncate(start);
        if is_unknown {
            return Err(Unsure::ProgramOrigin);
        }
        let slashes = self.origin_path.iter().rev().take_while(|&&byte| byte == b'/').count();
        let directory = self.origin_path.get(..self.origin_path.len().saturating_sub(slashes)).unwrap_or_default();
        Ok((!self.origin_path.is_empty()).then(|| into.push(or_root(directory))).flatten())
    }

    fn loaded(&self, soname: &[u8]) -> Option<LoadedObject> {
        // It is asked for more than all others.
        self.libc.filter(|_| soname == LIBC).or_else(|| self.main.find(soname))
    }

    fn path(&self, object: LoadedObject) -> &[u8] {
        object.name()
    }

    fn needs(&self, object: LoadedObject, soname: &[u8], visit: impl FnMut(&[u8]) -> bool) {
        object.needs(soname, visit);
    }

    fn versioning(&self, object: LoadedObject) -> Versioning {
        object.versioning()
    }

    fn defines(&self, object: LoadedObject, version: &[u8]) -> bool {
        object.defines(version)
    }

    fn minor(&self, libc: LoadedObject) -> Option<u32> {
        libc.minor()
    }
}

/// A directory of which nothing is left without its slash is the root.
fn or_root(directory: &[u8]) -> &[u8] {
    if directory.is_empty() { b"/" } else { directory }
}

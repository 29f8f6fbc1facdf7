//! The objects of this process, as a lookup sees them.

use rustix::fs::{CWD, readlinkat_raw};
use rustix::io::Errno;

use super::link_map::LoadedObject;
use super::links::Links;
use super::memory;
use crate::environment::split_directory;
use crate::library::Versioning;
use crate::outcome::Unsure;
use crate::own_glibc::LIBC;
use crate::path::{PathBuf, copy};
use crate::views::{Objects, SearchPaths};

/// The objects of this process.
pub struct LiveObjects<'p> {
    /// The program.
    pub main: LoadedObject,
    /// The first object of the namespace that is asked about: the program, but for what dlmopen(3) opens.
    pub first: LoadedObject,
    /// The program's libc.so.6, once it is loaded. In other namespaces there is the same one.
    pub libc: Option<LoadedObject>,
    /// Who loaded whom.
    pub links: &'p Links,
    /// What `$ORIGIN` of the program means.
    pub origin: Result<Option<&'static [u8]>, Unsure>,
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

    /// For a library the directory that it was opened from (elf/dl-object.c).
    fn origin(&self, object: LoadedObject, into: &mut PathBuf) -> Result<Option<()>, Unsure> {
        if object == self.main {
            return Ok(self.origin?.and_then(|directory| into.push(directory)));
        }
        match split_directory(object.name()) {
            Some((directory, _)) if object.name().starts_with(b"/") => Ok(into.push(or_root(directory))),
            _ => Err(Unsure::RelativeOrigin),
        }
    }

    fn loaded(&self, soname: &[u8]) -> Option<LoadedObject> {
        // It is asked for more than all others.
        self.libc.filter(|_| soname == LIBC).or_else(|| self.first.find(soname))
    }

    fn has_soname(&self, object: LoadedObject, soname: &[u8]) -> bool {
        object.soname() == Some(soname)
    }

    fn path(&self, object: LoadedObject) -> &[u8] {
        object.name()
    }

    fn any_path(&self, mut is_it: impl FnMut(&[u8]) -> bool) -> bool {
        self.first.and_behind().any(|object| !object.name().is_empty() && is_it(object.name()))
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

/// Says what `$ORIGIN` of the program means, when the process starts: ld.so reads it then, and what the program's file is called later
/// does not count (sysdeps/unix/sysv/linux/dl-origin.c). It is the directory of /proc/self/exe, or else LD_ORIGIN_PATH. Where a sandbox
/// refuses to tell us, it may have told ld.so, which asks by another call: that is not known.
// It takes room on the stack.
#[inline(never)]
pub fn program_origin(origin_path: &[u8]) -> Result<Option<&'static [u8]>, Unsure> {
    let mut path = PathBuf::new();
    let mut is_refused = false;
    let readlink = |room: &mut [u8]| match readlinkat_raw(CWD, c"/proc/self/exe", &mut *room) {
        // A target that fills the room was cut short.
        Ok(len) => Some(len).filter(|len| *len < room.len()),
        Err(error) => {
            is_refused = !matches!(error, Errno::NOENT | Errno::NOTDIR);
            None
        }
    };
    let read = path.push_with(readlink).and_then(|()| split_directory(path.as_bytes()));
    if is_refused {
        return Err(Unsure::ProgramOrigin);
    }
    let directory = match read {
        Some((directory, _)) if path.as_bytes().starts_with(b"/") => or_root(directory),
        _ if origin_path.is_empty() => return Ok(None),
        _ => {
            let slashes = origin_path.iter().rev().take_while(|&&byte| byte == b'/').count();
            or_root(origin_path.get(..origin_path.len().saturating_sub(slashes)).unwrap_or_default())
        }
    };
    let memory = memory::map(directory.len()).ok_or(Unsure::ProgramOrigin)?;
    Ok(copy(memory, directory).map(|()| &*memory))
}

/// A directory of which nothing is left without its slash is the root.
fn or_root(directory: &[u8]) -> &[u8] {
    if directory.is_empty() { b"/" } else { directory }
}

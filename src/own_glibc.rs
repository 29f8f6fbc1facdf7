//! The glibc family of this process: where it is, and that it is nobody else's.
//!
//! A library that was built with another glibc has a RUNPATH that leads there. ld.so would follow it to that glibc's
//! libm, libdl or libpthread, whose private symbols are not those of the ld.so and libc.so.6 that are here: what is
//! loaded then crashes, or does not load, or goes wrong silently. So each member comes from the directory of this
//! process's libc.so.6.
//!
//! What ends there anyway is left to ld.so, and as a rule that can be told from the requester's search path alone,
//! without a system call. The program itself is left alone, as is what LD_LIBRARY_PATH says: they decide which glibc
//! the process has.

use crate::environment::split_directory;
use crate::outcome::{Outcome, Pass, Place, Unsure};
use crate::path::PathBuf;
use crate::search::Search;
use crate::views::{Files, Look, Objects};

/// The member of the family whose directory is the family's.
pub const LIBC: &[u8] = b"libc.so.6";
/// How far below a directory its subdirectories for processors lead (`tls/haswell/avx512_1/x86_64`).
const DEPTH: usize = 5;

/// The directory of this process's glibc.
pub struct OwnGlibc<'b> {
    directory: &'b mut PathBuf,
}

impl<'b> OwnGlibc<'b> {
    /// Where libc.so.6 is or, before it is loaded, will come from. The directory is put together in `directory`, and once
    /// found stays there.
    pub fn find<O: Objects, F: Files>(
        search: &mut Search<'_, O, F>,
        directory: &'b mut PathBuf,
    ) -> Result<Self, Unsure> {
        let objects = search.objects;
        let known = match objects.loaded(LIBC) {
            Some(libc) => set_directory(directory, objects.path(libc)),
            None if !directory.is_empty() => Some(()),
            None => {
                search.find(LIBC, objects.main())?.ok_or(Unsure::Glibc)?;
                set_directory(directory, search.path.as_bytes())
            }
        };
        known.map(|()| Self { directory }).ok_or(Unsure::Glibc)
    }

    /// Calls `look` with the path of a file in the directory. `None` if it is too long.
    pub fn with_file<T>(&mut self, name: &[u8], look: impl FnOnce(&mut PathBuf) -> T) -> Option<T> {
        let len = self.directory.len();
        let pushed = self.directory.push(b"/").and_then(|()| self.directory.push(name));
        let seen = pushed.map(|()| look(self.directory));
        self.directory.truncate(len);
        seen
    }

    /// Whether a path is of a file in the directory, or below it.
    pub fn holds(&self, path: &[u8]) -> bool {
        path.strip_prefix(self.directory.as_bytes()).is_some_and(|below| below.starts_with(b"/"))
    }

    /// Whether an element of a search path is the directory.
    pub fn is(&self, element: &[u8]) -> bool {
        element.strip_prefix(self.directory.as_bytes()).is_some_and(|rest| rest.iter().all(|&byte| byte == b'/'))
    }
}

/// The directory of a file by absolute path.
fn set_directory(into: &mut PathBuf, file: &[u8]) -> Option<()> {
    let (directory, _) = split_directory(file).filter(|_| file.starts_with(b"/"))?;
    let set = into.set(&[directory]);
    if set.is_none() {
        into.clear();
    }
    set
}

/// Answers for a member of the family. For [`Outcome::OwnGlibc`] the path is in `answer`.
pub fn answer<O: Objects, F: Files>(
    search: &mut Search<'_, O, F>,
    directory: &mut PathBuf,
    soname: &[u8],
    requester: O::Id,
    answer: &mut PathBuf,
) -> Result<Outcome, Unsure> {
    const PASS: Outcome = Outcome::Pass(Pass::GlibcFamily);
    // Until libc.so.6 is there, nothing has been loaded but what the program itself asks for.
    if requester == search.objects.main() || search.objects.loaded(LIBC).is_none() {
        return Ok(PASS);
    }
    let mut own = OwnGlibc::find(search, directory)?;
    if is_led_to(search, &own, requester)? {
        return Ok(PASS);
    }
    match search.find(soname, requester)? {
        Some(Place::LibraryPath) => return Ok(PASS),
        Some(_) if own.holds(search.path.as_bytes()) => return Ok(PASS),
        Some(_) if !is_of_another_glibc(search, &mut own, answer) => return Ok(PASS),
        // Where ld.so would find none, the process's own is as good as found.
        Some(_) | None => {}
    }
    take(search, &mut own, soname, answer)
}

/// Answers for a path of a member that does not exist.
pub fn answer_path<O: Objects, F: Files>(
    search: &mut Search<'_, O, F>,
    directory: &mut PathBuf,
    soname: &[u8],
    answer: &mut PathBuf,
) -> Result<Outcome, Unsure> {
    let mut own = OwnGlibc::find(search, directory)?;
    take(search, &mut own, soname, answer)
}

/// The process's own member, if its glibc has it. (Since 2.34 it has fewer and fewer.)
fn take<O: Objects, F: Files>(
    search: &mut Search<'_, O, F>,
    own: &mut OwnGlibc<'_>,
    soname: &[u8],
    answer: &mut PathBuf,
) -> Result<Outcome, Unsure> {
    let there = own.with_file(soname, |path| match search.files.look(path.as_c_str()) {
        Look::Exhausted => Err(Unsure::Exhausted),
        Look::File(_) => Ok(answer.set(&[path.as_bytes()])),
        _ => Ok(None),
    });
    Ok(match there.transpose()?.flatten() {
        Some(()) => Outcome::OwnGlibc,
        None => Outcome::Pass(Pass::GlibcFamily),
    })
}

/// Whether ld.so gets to the own directory, as far as the requester's search path tells: it is named there; or there is
/// no path, and it is one of ld.so's own, or where libc.so.6 was found without a path, too.
fn is_led_to<O: Objects, F: Files>(
    search: &mut Search<'_, O, F>,
    own: &OwnGlibc<'_>,
    requester: O::Id,
) -> Result<bool, Unsure> {
    let objects = search.objects;
    let paths = objects.search_paths(requester);
    let main = objects.search_paths(objects.main());
    let inherited = if main.runpath.is_none() { main.rpath } else { None };
    let lists = match paths.runpath {
        Some(runpath) => [Some(runpath), None],
        None => [paths.rpath, inherited],
    };
    let mut elements = lists.into_iter().flatten().flat_map(|list| list.split(|&byte| byte == b':'));
    if elements.any(|element| own.is(element)) {
        return Ok(true);
    }
    if lists != [None, None] || paths.no_default_libraries || objects.loader(requester)?.is_some() {
        return Ok(false);
    }
    // A program of a distribution: the way that libc.so.6 came is the way of all.
    let same_way = main.runpath.is_none() && search.library_path.is_empty();
    Ok(same_way || (search.image)()?.directories().any(|default| own.is(default)))
}

/// Whether the file that was found is beside another libc.so.6 than the process's. A library that only has the name of
/// a member is somebody's choice.
fn is_of_another_glibc<O: Objects, F: Files>(
    search: &mut Search<'_, O, F>,
    own: &mut OwnGlibc<'_>,
    room: &mut PathBuf,
) -> bool {
    let mut path = search.path.as_bytes();
    for _ in 0..DEPTH {
        let Some((directory, _)) = split_directory(path) else { return false };
        let found = room.set(&[directory, b"/", LIBC]).and_then(|()| search.files.identity(room.as_c_str()));
        if found.is_some() {
            let identity = own.with_file(LIBC, |path| search.files.identity(path.as_c_str()));
            return identity.flatten() != found;
        }
        path = directory;
    }
    false
}

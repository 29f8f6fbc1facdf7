//! What a candidate brings along: the libraries that ld.so will load for it, by its own search path.
//!
//! A library of another glibc's build may fit while one that it needs does not. ld.so would load both, find that out, and
//! fail. So the candidate is followed through DT_NEEDED and RUNPATH. That takes system calls, and ld.so will make the same
//! ones again; so it is done only for a candidate that leads to another glibc than the process's. One that leads here was
//! built together with what it needs.
//!
//! What its search path does not find is not looked at: it is a lookup of its own, later.

use crate::environment::split_directory;
use crate::family;
use crate::gate;
use crate::name::Name;
use crate::outcome::Unsure;
use crate::own_glibc::OwnGlibc;
use crate::path::{PATH_MAX, PathBuf};
use crate::search::Search;
use crate::skip::Skip;
use crate::tokens::{Token, expand};
use crate::views::{Files, Objects};

/// How many libraries are followed, and how many paths are tried. What lies beyond is taken for fit. (A thread's stack may be
/// small, and the list is on it.)
const LIBRARIES: usize = 64;
const PATHS: usize = 2048;

/// Judges what a candidate brings along. (Inlined it would take its room on the stack from all lookups.) `directory` is where the path of this process's glibc is put together.
#[inline(never)]
pub fn judge<O: Objects, F: Files>(
    search: &mut Search<'_, O, F>,
    directory: &mut PathBuf,
    candidate: F::Known,
) -> Result<Result<(), Skip>, Unsure> {
    // What is found there first is the user's choice.
    if !search.library_path.is_empty() || !leads_elsewhere(search, directory, candidate)? {
        return Ok(Ok(()));
    }
    let mut libraries = [None; LIBRARIES];
    let mut paths = PATHS;
    let mut count = 1;
    if let Some(first) = libraries.first_mut() {
        *first = Some(candidate);
    }
    let mut next = 0;
    while let Some(Some(library)) = libraries.get(next).copied() {
        next = next.saturating_add(1);
        let mut at = 0;
        while let Some((soname, behind)) = search.files.library(library).needed_at(at) {
            at = behind;
            let Some(soname) = Name::new(soname) else { continue };
            if family::contains(soname.as_bytes()) || search.objects.loaded(soname.as_bytes()).is_some() {
                continue;
            }
            let fit = match find(search, library, soname.as_bytes(), &mut paths)? {
                None => continue,
                Some(Ok(found)) if libraries.contains(&Some(found)) => continue,
                Some(Ok(found)) => {
                    if let Some(place) = libraries.get_mut(count) {
                        *place = Some(found);
                        count = count.saturating_add(1);
                    }
                    gate::needs(search, directory, found)?.map(|_| ())
                }
                Some(Err(skip)) => Err(skip),
            };
            match fit {
                Ok(()) => {}
                Err(Skip::Needs(version)) => return Ok(Err(Skip::Brings { soname, version: Some(version) })),
                Err(_) => return Ok(Err(Skip::Brings { soname, version: None })),
            }
        }
    }
    Ok(Ok(()))
}

/// Whether a library brings a search path that does not lead to this process's glibc.
fn leads_elsewhere<O: Objects, F: Files>(
    search: &mut Search<'_, O, F>,
    directory: &mut PathBuf,
    library: F::Known,
) -> Result<bool, Unsure> {
    if search.files.library(library).search().next().is_none() {
        return Ok(false);
    }
    match OwnGlibc::find(search, directory) {
        Ok(own) => Ok(!search.files.library(library).search().any(|element| own.is(element))),
        Err(Unsure::Glibc) => Ok(false),
        Err(unsure) => Err(unsure),
    }
}

/// The file that a library's search path leads to. `None` if there is none; or why ld.so will not load it.
fn find<O: Objects, F: Files>(
    search: &mut Search<'_, O, F>,
    library: F::Known,
    soname: &[u8],
    paths: &mut usize,
) -> Result<Option<Result<F::Known, Skip>>, Unsure> {
    let mut at = 0;
    while *paths > 0 {
        let library = search.files.library(library);
        let Some((element, behind)) = library.search_at(at) else { break };
        // What is as long as several paths counts as several.
        *paths = paths.saturating_sub(behind.saturating_sub(at).div_ceil(PATH_MAX));
        at = behind;
        let origin = split_directory(library.path()).map(|(directory, _)| directory);
        search.path.clear();
        let expanded = expand(element, search.path, |token, into| match token {
            Token::Origin => into.push(origin?),
            Token::Lib | Token::Platform => None,
        });
        let path = expanded.and_then(|()| search.path.push(b"/")).and_then(|()| search.path.push(soname));
        if path.is_none() || !search.path.as_bytes().starts_with(b"/") {
            continue;
        }
        match search.files.examine(search.path.as_c_str())? {
            Err(Skip::Missing | Skip::Broken | Skip::OtherMachine) => {}
            found => return Ok(Some(found)),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;

//! The way of a lookup: what ld.so is answered when it looks for a library.
//!
//! 1. A path passes, but for one into a distribution's library directory where there is no such file.
//! 2. The glibc family passes: a declared glibc is never handed out.
//! 3. What nobody declares passes, at no cost.
//! 4. What ld.so finds by itself passes.
//! 5. The first declared candidate that can be loaded is handed out.
//!
//! It happens when ld.so has the name and has not yet searched (`LA_SER_ORIG`), since only a redirect at that stage
//! leaves the right names behind. What could not be decided there is taken up when ld.so comes to a default directory
//! and neither that one nor a later one has the library (`LA_SER_DEFAULT`).

use crate::candidate::{Skip, check};
use crate::catalogue::{Candidate, Catalogue, Form};
use crate::environment::split_directory;
use crate::family;
use crate::outcome::{Outcome, Pass, Place, Unsure};
use crate::path::PathBuf;
use crate::search::Search;
use crate::tokens::has_token;
use crate::views::{Files, Look, Objects};

/// Hears of what happens on the way.
pub trait Witness {
    /// ld.so does not find the library: the declared candidates are next.
    fn missed(&mut self, soname: &[u8]);
    /// A candidate was looked at.
    fn considered(&mut self, path: &[u8], verdict: Result<(), Skip>);
}

/// What ld.so asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'n> {
    /// The name as it came.
    pub name: &'n [u8],
    /// The name without its directory.
    pub soname: &'n [u8],
}

impl<'n> Asked<'n> {
    /// Steps 1 and 2, as far as the name alone tells.
    pub fn new(name: &'n [u8]) -> Result<Self, Pass> {
        let soname = match split_directory(name) {
            None => name,
            // ld.so has yet to replace the tokens in a path.
            Some((directory, soname)) if is_distribution_directory(directory) && !has_token(name) => soname,
            Some(_) => return Err(Pass::Path),
        };
        match soname {
            b"" => Err(Pass::Path),
            _ if family::contains(soname) => Err(Pass::GlibcFamily),
            _ => Ok(Self { name, soname }),
        }
    }

    fn is_path(&self) -> bool {
        self.name.len() != self.soname.len()
    }
}

/// Whether a directory is one of a distribution's for libraries, or below one: `/lib`, `/usr/lib`, `/lib64` and so on.
/// Programs built there know it by heart; a Nix machine has none.
fn is_distribution_directory(directory: &[u8]) -> bool {
    let mut components = directory.strip_prefix(b"/usr").unwrap_or(directory).split(|&byte| byte == b'/');
    components.next() == Some(b"") && matches!(components.next(), Some(b"lib" | b"lib32" | b"lib64" | b"libx32"))
}

/// A lookup in a world.
pub struct Lookup<'w, O: Objects, F: Files> {
    /// ld.so's own search; `Err` if nothing can be known of it.
    pub search: Result<Search<'w, O, F>, Unsure>,
    /// What is declared.
    pub catalogue: &'w Catalogue<'w>,
}

impl<O: Objects, F: Files> Lookup<'_, O, F> {
    /// Steps 3 to 5, at LA_SER_ORIG. For [`Outcome::Redirect`] the path is in `answer`.
    pub fn at_origin(
        &mut self,
        asked: Asked<'_>,
        requester: O::Id,
        answer: &mut PathBuf,
        witness: &mut impl Witness,
    ) -> Outcome {
        match self.try_at_origin(asked, requester, answer, witness) {
            Ok(outcome) => outcome,
            Err(unsure) => Outcome::Pass(Pass::Unsure(unsure)),
        }
    }

    /// The safety net, at LA_SER_DEFAULT: `candidate` is the path that ld.so is about to try. For
    /// [`Outcome::Redirect`] the path is in `answer`.
    pub fn at_default(&mut self, candidate: &[u8], answer: &mut PathBuf, witness: &mut impl Witness) -> Outcome {
        match self.try_at_default(candidate, answer, witness) {
            Ok(outcome) => outcome,
            Err(unsure) => Outcome::Pass(Pass::Unsure(unsure)),
        }
    }

    fn try_at_origin(
        &mut self,
        asked: Asked<'_>,
        requester: O::Id,
        answer: &mut PathBuf,
        witness: &mut impl Witness,
    ) -> Result<Outcome, Unsure> {
        let catalogue = self.catalogue;
        let declared = catalogue.candidates(asked.soname).next().is_some();
        let search = self.search.as_mut().map_err(|unsure| *unsure)?;
        if asked.is_path() {
            let there = match answer.set(&[asked.name]) {
                Some(()) => search.files.look(answer.as_c_str()),
                None => Look::Broken,
            };
            if !declared || there != Look::Missing {
                return Ok(Outcome::Pass(Pass::Path));
            }
        }
        match search.find(asked.soname, requester)? {
            Some(place) if asked.is_path() => return Ok(Outcome::Bare(place)),
            Some(_) if !declared => return Ok(Outcome::Pass(Pass::NotDeclared)),
            Some(place) => return Ok(Outcome::Pass(Pass::Found(place))),
            None => {}
        }
        witness.missed(asked.soname);
        // ld.so replaces tokens in what it is answered at this stage.
        let outcome = choose(catalogue, search.files, asked.soname, has_token, answer, witness)?;
        Ok(if declared { outcome } else { Outcome::Pass(Pass::Missing) })
    }

    fn try_at_default(
        &mut self,
        candidate: &[u8],
        answer: &mut PathBuf,
        witness: &mut impl Witness,
    ) -> Result<Outcome, Unsure> {
        let search = self.search.as_mut().map_err(|unsure| *unsure)?;
        let Some((directory, soname)) = split_directory(candidate) else { return Ok(Outcome::Pass(Pass::NotLast)) };
        let is_this = |default: &[u8]| default.strip_suffix(b"/") == Some(directory);
        // A subdirectory for processors: the directory itself is still to come.
        if !search.image.directories().any(is_this) {
            return Ok(Outcome::Pass(Pass::NotLast));
        }
        // This directory's subdirectories for processors have been tried: of it, only this file is left.
        let mut passed = false;
        let behind = |default: &[u8]| {
            let behind = passed;
            passed |= is_this(default);
            behind
        };
        if search.in_file(candidate)? || search.in_default_directories(soname, behind)? {
            return Ok(Outcome::Pass(Pass::Found(Place::Default)));
        }
        witness.missed(soname);
        choose(self.catalogue, search.files, soname, |_| false, answer, witness)
    }
}

/// The first candidate that can be loaded and whose path is not `unfit`.
fn choose<F: Files>(
    catalogue: &Catalogue<'_>,
    files: &mut F,
    soname: &[u8],
    unfit: fn(&[u8]) -> bool,
    answer: &mut PathBuf,
    witness: &mut impl Witness,
) -> Result<Outcome, Unsure> {
    for candidate in catalogue.candidates(soname) {
        let verdict = match path_of(candidate, soname, answer) {
            None => Err(Skip::TooLong),
            Some(()) if unfit(answer.as_bytes()) => Err(Skip::Token),
            Some(()) => check(&files.look(answer.as_c_str())).ok_or(Unsure::Exhausted)?,
        };
        witness.considered(answer.as_bytes(), verdict);
        if verdict.is_ok() {
            return Ok(Outcome::Redirect);
        }
    }
    Ok(Outcome::Pass(Pass::NoneFits))
}

/// Puts the path of a candidate into `answer`.
fn path_of(candidate: Candidate<'_>, soname: &[u8], answer: &mut PathBuf) -> Option<()> {
    let entry = candidate.entry.path;
    let names_file = || split_directory(entry).is_some_and(|(_, name)| name == soname);
    match candidate.form {
        Form::File => answer.set(&[entry]),
        Form::Unknown if names_file() => answer.set(&[entry]),
        Form::InDirectory | Form::Unknown => {
            let slash: &[u8] = if entry.ends_with(b"/") { b"" } else { b"/" };
            answer.set(&[entry, slash, soname])
        }
    }
}

#[cfg(test)]
mod tests;

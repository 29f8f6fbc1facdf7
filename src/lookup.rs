//! The way of a lookup: what ld.so is answered when it looks for a library.
//!
//! 1. A path passes, but for one into a distribution's library directory where there is no such file: that is the object that
//!    is loaded by its last component's name, or goes on as that name.
//! 2. The glibc family is the process's own: a declared one is never handed out, and one that another glibc's library
//!    leads to is replaced.
//! 3. What nobody declares passes, at no cost.
//! 4. What ld.so finds by itself passes.
//! 5. The first declared candidate that can be loaded is handed out; of the compiler's runtime libraries the one that
//!    defines most. Behind them come the machine's drivers.
//! 6. Where there are candidates and none can be loaded, ld.so is made to say why; where there is none, what would bring the
//!    library, if that is known.
//!
//! It happens when ld.so has the name and has not yet searched (`LA_SER_ORIG`), since only a redirect at that stage
//! leaves the right names behind. What could not be decided there is taken up when ld.so comes to a default directory
//! and neither that one nor a later one has the library (`LA_SER_DEFAULT`).

use crate::brings;
use crate::catalogue::{Candidate, Catalogue, Form};
use crate::channel::{Order, Rank};
use crate::drivers;
use crate::environment::split_directory;
use crate::family;
use crate::gate::{self, Fit};
use crate::hint;
use crate::outcome::{Outcome, Pass, Place, Unsure};
use crate::own_glibc;
use crate::path::PathBuf;
use crate::refusal;
use crate::search::Search;
use crate::skip::Skip;
use crate::tokens::has_token;
use crate::views::{Files, Look, Objects};

/// The compiler's runtime libraries. Each newer one serves all that an older one does, and libraries that are loaded
/// later may need more than the one that is loaded first.
const RUNTIME: &[&[u8]] =
    &[b"libstdc++.so.", b"libgcc_s.so.", b"libgomp.so.", b"libgfortran.so.", b"libatomic.so.", b"libquadmath.so."];

/// Hears of what happens on the way.
pub trait Witness {
    /// ld.so does not find the library: the declared candidates are next.
    fn missed(&mut self, soname: &[u8]);
    /// A candidate was looked at.
    fn considered(&mut self, path: &[u8], verdict: Result<(), &Skip>);
}

/// What ld.so asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'n> {
    /// The name as it came.
    pub name: &'n [u8],
    /// The name without its directory.
    pub soname: &'n [u8],
    /// It is of the glibc family.
    pub is_family: bool,
}

impl<'n> Asked<'n> {
    /// Step 1, as far as the name alone tells.
    pub fn new(name: &'n [u8]) -> Result<Self, Pass> {
        let soname = match split_directory(name) {
            None => name,
            // ld.so has yet to replace the tokens in a path.
            Some((directory, soname)) if is_distribution_directory(directory) && !has_token(name) => soname,
            Some(_) => return Err(Pass::Path),
        };
        match soname {
            b"" => Err(Pass::Path),
            // ld.so looks for itself in a namespace of its own alone (dlmopen), where it has to keep the name.
            _ if soname.len() == name.len() && family::is_loader(soname) => Err(Pass::GlibcFamily),
            _ => Ok(Self { name, soname, is_family: family::contains(soname) }),
        }
    }

    /// It came with a directory.
    pub fn is_path(&self) -> bool {
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
    /// ld.so's own search.
    pub search: Search<'w, O, F>,
    /// No directory that the requester or the user names has the library.
    pub is_beyond_paths: bool,
    /// The program was started through ld.so by name: of the search it is only known where it ends.
    pub explicit_loader: bool,
    /// What is declared.
    pub catalogue: &'w Catalogue<'w>,
    /// Room for the path of this process's glibc.
    pub glibc: &'w mut PathBuf,
    /// Whether ld.so is made to say why nothing fits.
    pub hints: bool,
    /// Whether libraries of the machine's graphics driver are handed out.
    pub drivers: bool,
    /// The attribute of nixpkgs that brings the library, for ld.so to say where nobody has it.
    pub hint: Option<&'w [u8]>,
}

impl<O: Objects, F: Files> Lookup<'_, O, F> {
    /// Steps 2 to 6, at LA_SER_ORIG. For [`Outcome::Redirect`], [`Outcome::Driver`], [`Outcome::OwnGlibc`] and
    /// [`Outcome::Loaded`] the path is in `answer`, for [`Outcome::Refuse`] and [`Outcome::Hint`] the text.
    pub fn at_origin(
        &mut self,
        asked: Asked<'_>,
        requester: O::Id,
        answer: &mut PathBuf,
        witness: &mut impl Witness,
    ) -> Outcome {
        let outcome = match asked.is_family {
            true => self.family(asked, requester, answer),
            false => self.try_at_origin(asked, requester, answer, witness),
        };
        outcome.unwrap_or_else(|unsure| Outcome::Pass(Pass::Unsure(unsure)))
    }

    /// The safety net, at LA_SER_DEFAULT: `candidate` is the path that ld.so is about to try. For
    /// [`Outcome::Redirect`] and [`Outcome::Driver`] the path is in `answer`.
    pub fn at_default(
        &mut self,
        candidate: &[u8],
        requester: O::Id,
        answer: &mut PathBuf,
        witness: &mut impl Witness,
    ) -> Outcome {
        let outcome = self.try_at_default(candidate, requester, answer, witness);
        outcome.unwrap_or_else(|unsure| Outcome::Pass(Pass::Unsure(unsure)))
    }

    /// Step 2.
    fn family(&mut self, asked: Asked<'_>, requester: O::Id, answer: &mut PathBuf) -> Result<Outcome, Unsure> {
        let search = &mut self.search;
        if !asked.is_path() {
            return own_glibc::answer(search, self.glibc, asked.soname, requester, answer);
        }
        match look(search.files, asked.name, answer) {
            Look::Missing => own_glibc::answer_path(search, self.glibc, asked.soname, answer),
            _ => Ok(Outcome::Pass(Pass::Path)),
        }
    }

    fn try_at_origin(
        &mut self,
        asked: Asked<'_>,
        requester: O::Id,
        answer: &mut PathBuf,
        witness: &mut impl Witness,
    ) -> Result<Outcome, Unsure> {
        let declared = self.catalogue.candidates(asked.soname).next().is_some();
        let is_driver = self.drivers && drivers::contains(asked.soname);
        let is_wanted = declared || is_driver;
        let search = &mut self.search;
        if asked.is_path() && (!is_wanted || look(search.files, asked.name, answer) != Look::Missing) {
            return Ok(Outcome::Pass(Pass::Path));
        }
        if asked.is_path() && is_loaded_already(search, asked.soname, answer) {
            let is_known = !needs_version(search, asked.name, requester);
            return if is_known { Ok(Outcome::Loaded) } else { Err(Unsure::OtherName) };
        }
        if self.explicit_loader {
            return Err(Unsure::ExplicitLoader);
        }
        search.trusts_cache = !is_wanted && self.hint.is_some();
        let found = match self.is_beyond_paths {
            true => search.find_beyond_paths(asked.soname, requester)?,
            false => search.find(asked.soname, requester)?,
        };
        match found {
            Some(_) if asked.is_path() && needs_version(search, asked.name, requester) && is_loaded(search, None) => {
                return Err(Unsure::OtherName);
            }
            Some(place) if asked.is_path() => return Ok(Outcome::Bare(place)),
            Some(_) if !is_wanted => return Ok(Outcome::Pass(Pass::NotDeclared)),
            Some(place) => return Ok(Outcome::Pass(Pass::Found(place))),
            None => {}
        }
        witness.missed(asked.soname);
        // ld.so replaces tokens in what it is answered at this stage.
        let mut choice = Choice::new(requester, asked.soname, has_token);
        let mut chosen = None;
        if declared {
            let fit = choice.choose(self.catalogue, search, self.glibc, answer, witness)?;
            chosen = fit.map(|fit| (fit, Outcome::Redirect));
        }
        if is_driver && chosen.is_none() {
            let fit = choice.choose_driver(search, self.glibc, answer, witness)?;
            chosen = fit.map(|fit| (fit, Outcome::Driver));
        }
        if let Some((fit, outcome)) = chosen {
            let is_named = if asked.is_path() { !needs_version(search, asked.name, requester) } else { fit.is_named };
            return if !is_named && is_loaded(search, Some(answer)) { Err(Unsure::OtherName) } else { Ok(outcome) };
        }
        if !declared {
            let said = self.hint.and_then(|attribute| hint::write(answer, asked.soname, attribute));
            return Ok(said.map_or(Outcome::Pass(Pass::Missing), |()| Outcome::Hint));
        }
        let refused = if self.hints { choice.refuse(search, answer) } else { None };
        Ok(refused.map_or(Outcome::Pass(Pass::NoneFits), Outcome::Refuse))
    }

    fn try_at_default(
        &mut self,
        candidate: &[u8],
        requester: O::Id,
        answer: &mut PathBuf,
        witness: &mut impl Witness,
    ) -> Result<Outcome, Unsure> {
        let search = &mut self.search;
        let Some((directory, soname)) = split_directory(candidate) else { return Ok(Outcome::Pass(Pass::NotLast)) };
        let is_this = |default: &[u8]| default.strip_suffix(b"/") == Some(directory);
        // A subdirectory for processors: the directory itself is still to come.
        if !(search.image)()?.directories().any(is_this) {
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
        let mut choice = Choice::new(requester, soname, |_| false);
        if choice.choose(self.catalogue, search, self.glibc, answer, witness)?.is_some() {
            return Ok(Outcome::Redirect);
        }
        let is_driver = self.drivers && drivers::contains(soname);
        let found = is_driver && choice.choose_driver(search, self.glibc, answer, witness)?.is_some();
        Ok(if found { Outcome::Driver } else { Outcome::Pass(Pass::NoneFits) })
    }
}

/// Whether an object is loaded that has this soname: asked for that, ld.so would take it without a search. Its path is put into
/// `answer`.
fn is_loaded_already<O: Objects, F: Files>(search: &Search<'_, O, F>, soname: &[u8], answer: &mut PathBuf) -> bool {
    let Some(loaded) = search.objects.loaded(soname) else { return false };
    let path = search.objects.path(loaded);
    let is_usable = path.starts_with(b"/") && !has_token(path);
    is_usable && search.objects.has_soname(loaded, soname) && answer.set(&[path]).is_some()
}

/// Whether the requester needs a version of a library by this name.
fn needs_version<O: Objects, F: Files>(search: &Search<'_, O, F>, name: &[u8], requester: O::Id) -> bool {
    let mut needs = false;
    search.objects.needs(requester, name, |_| {
        needs = true;
        false
    });
    needs
}

/// Whether the process has a file already, the one at `path` or else the one that was found. What it is answered at
/// LA_SER_ORIG ld.so then takes for one more name of that object, and not the name that it asked for
/// (`_dl_map_object_from_fd` of elf/dl-load.c). If a version is needed by that, it knows no such object, and ends the process
/// (`_dl_check_map_versions` of elf/dl-version.c). In a default directory it notes the name.
// It takes a system call for each object, and is asked for next to never.
#[cold]
#[inline(never)]
fn is_loaded<O: Objects, F: Files>(search: &mut Search<'_, O, F>, path: Option<&mut PathBuf>) -> bool {
    let Search { objects, files, path: room, .. } = search;
    let Some(identity) = files.identity(path.unwrap_or(&mut *room).as_c_str()) else { return false };
    objects.any_path(|path| room.set(&[path]).is_some() && files.identity(room.as_c_str()) == Some(identity))
}

/// What there is at a path. `room` is where it is put together.
fn look(files: &mut impl Files, path: &[u8], room: &mut PathBuf) -> Look {
    match room.set(&[path]) {
        Some(()) => files.look(room.as_c_str()),
        None => Look::Broken,
    }
}

/// Step 5: a choice among candidates.
struct Choice<'c, O: Objects> {
    requester: O::Id,
    soname: &'c [u8],
    /// Whether a path cannot be handed out at this stage.
    unfit: fn(&[u8]) -> bool,
    /// A path was.
    has_unfit: bool,
    /// The candidate that says most about why none fits: the first one that is a whole library, or else the first.
    refused: Option<(Candidate<'c>, Skip)>,
}

impl<'c, O: Objects> Choice<'c, O> {
    fn new(requester: O::Id, soname: &'c [u8], unfit: fn(&[u8]) -> bool) -> Self {
        Self { requester, soname, unfit, has_unfit: false, refused: None }
    }

    /// Puts the path of the candidate that shall be loaded into `answer`: how it fits. `None` if none can be loaded.
    fn choose<F: Files>(
        &mut self,
        catalogue: &'c Catalogue<'_>,
        search: &mut Search<'_, O, F>,
        glibc: &mut PathBuf,
        answer: &mut PathBuf,
        witness: &mut impl Witness,
    ) -> Result<Option<Fit>, Unsure> {
        let order = Order::new(catalogue, search, glibc, self.soname, self.requester)?;
        let mut best = None;
        let mut last = None;
        let of = |files: &F, candidate: &Candidate<'_>| order.rank(files, candidate.entry);
        // Another channel only has what those before it lack.
        while best.is_none_or(|(_, _, fit): (_, _, Fit)| !fit.is_sure)
            && let ranks = catalogue.candidates(self.soname).map(|candidate| of(search.files, &candidate))
            && let Some(rank) = ranks.filter(|rank| last < Some(*rank)).min()
        {
            last = Some(rank);
            for candidate in catalogue.candidates(self.soname) {
                if of(search.files, &candidate) != rank {
                    continue;
                }
                let verdict = match path_of(candidate, self.soname, answer) {
                    Some(()) => match check_writers(candidate, self.soname, search) {
                        Ok(()) => self.judge(search, glibc, answer)?,
                        Err(skip) => Err(skip),
                    },
                    None => Err(Skip::TooLong),
                };
                witness.considered(answer.as_bytes(), verdict.as_ref().map(|_| ()));
                if self.take(candidate, rank, verdict, &mut best) {
                    return Ok(verdict.ok());
                }
            }
        }
        Ok(best.and_then(|(candidate, _, fit)| path_of(candidate, self.soname, answer).map(|()| fit)))
    }

    /// Puts the path of the driver's library into `answer`: how it fits. `None` if there is none that can be loaded: what
    /// is to be said of that is said of a package.
    fn choose_driver<F: Files>(
        &self,
        search: &mut Search<'_, O, F>,
        glibc: &mut PathBuf,
        answer: &mut PathBuf,
        witness: &mut impl Witness,
    ) -> Result<Option<Fit>, Unsure> {
        for nth in 0.. {
            if drivers::candidate(search.files, self.soname, nth, answer)?.is_none() {
                break;
            }
            let verdict = self.judge(search, glibc, answer)?;
            witness.considered(answer.as_bytes(), verdict.as_ref().map(|_| ()));
            if let Ok(fit) = verdict {
                return Ok(Some(fit));
            }
        }
        Ok(None)
    }

    /// Takes a verdict in. Whether no other candidate need be looked at.
    fn take(
        &mut self,
        candidate: Candidate<'c>,
        rank: Rank,
        verdict: Result<Fit, Skip>,
        best: &mut Option<(Candidate<'c>, Rank, Fit)>,
    ) -> bool {
        match verdict {
            Ok(fit) => {
                let is_runtime = RUNTIME.iter().any(|prefix| self.soname.starts_with(prefix));
                let defines_more = |channel, other: Fit| {
                    is_runtime && channel == rank && fit.is_sure == other.is_sure && fit.definitions > other.definitions
                };
                let is_better = |(_, channel, other): (_, Rank, Fit)| {
                    (fit.is_sure && !other.is_sure) || defines_more(channel, other)
                };
                if best.is_none_or(is_better) {
                    *best = Some((candidate, rank, fit));
                }
                fit.is_sure && !is_runtime
            }
            Err(skip) => {
                self.has_unfit |= skip == Skip::Token;
                let says_more = |(_, other): &(_, Skip)| refusal::is_build(&skip) && !refusal::is_build(other);
                if refusal::explains(&skip) && self.refused.as_ref().is_none_or(says_more) {
                    self.refused = Some((candidate, skip));
                }
                false
            }
        }
    }

    /// Step 6: puts the text into `answer`. `None` if there is nothing to say, or no room for it.
    fn refuse<F: Files>(self, search: &mut Search<'_, O, F>, answer: &mut PathBuf) -> Option<Skip> {
        // A path that does not do at this stage may do at another.
        let (candidate, skip) = self.refused.filter(|_| !self.has_unfit)?;
        let objects = search.objects;
        let libc = || objects.minor(objects.loaded(own_glibc::LIBC)?);
        let requester = objects.path(self.requester);
        let context = refusal::Context {
            minor: (search.image)().ok().and_then(|image| image.minor).or_else(libc),
            requester: split_directory(requester).map_or(requester, |(_, name)| name),
        };
        path_of(candidate, self.soname, answer)?;
        refusal::write(answer, &skip, context)?;
        // Nobody may have put something there.
        (search.files.look(answer.as_c_str()) == Look::Missing).then_some(skip)
    }

    /// Judges the file whose path is in `answer`.
    fn judge<F: Files>(
        &self,
        search: &mut Search<'_, O, F>,
        glibc: &mut PathBuf,
        answer: &mut PathBuf,
    ) -> Result<Result<Fit, Skip>, Unsure> {
        if (self.unfit)(answer.as_bytes()) {
            return Ok(Err(Skip::Token));
        }
        let known = match search.files.examine(answer.as_c_str())? {
            Ok(known) => known,
            Err(skip) => return Ok(Err(skip)),
        };
        match gate::judge(search, glibc, known, self.soname, self.requester)? {
            Ok(fit) => Ok(brings::judge(search, glibc, known)?.map(|()| fit)),
            Err(skip) => Ok(Err(skip)),
        }
    }
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

/// Whether a candidate is none because everybody can write to its entry. One that was listed would not be here.
fn check_writers<O: Objects, F: Files>(
    candidate: Candidate<'_>,
    soname: &[u8],
    search: &mut Search<'_, O, F>,
) -> Result<(), Skip> {
    if candidate.form != Form::Unknown {
        return Ok(());
    }
    let entry = candidate.entry.path;
    let directory = split_directory(entry).filter(|(_, name)| *name == soname).map(|(directory, _)| [directory, b"/"]);
    for path in [Some([entry, b""]), directory].into_iter().flatten() {
        let guarded = search.path.set(&path).and_then(|()| search.files.is_guarded(search.path.as_c_str()));
        if !guarded.ok_or(Skip::Missing)? {
            return Err(Skip::Writable);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

//! The version gate: whether a candidate can be loaded beside this process's glibc, and for this requester.
//!
//! ld.so checks each version that an object needs once all objects are mapped, and then gives up as a whole
//! (`_dl_check_map_versions` of elf/dl-version.c). The gate checks before: every version that the candidate needs of
//! the glibc family is defined by that very member (GLIBC_2.40 can be in libm.so.6 alone); every version that it needs
//! of another library which is loaded already is defined there; and every version that the requester needs of the
//! candidate is defined by it. Versions are names: they are looked up, not compared.
//!
//! What the candidate brings along is another matter: see `brings`.

use crate::family;
use crate::library::{Library, Versioning};
use crate::name::Name;
use crate::outcome::Unsure;
use crate::own_glibc::OwnGlibc;
use crate::path::PathBuf;
use crate::search::Search;
use crate::skip::Skip;
use crate::views::{Files, Objects};

/// The version of what the members of one glibc share with each other and with nobody else.
const PRIVATE: &[u8] = b"GLIBC_PRIVATE";

/// The N of the first glibc 2.N whose symbol lookup takes a library without DT_VERSYM for what it is.
const DOES_WITHOUT: Option<u32> = Some(41);

/// The N of the first glibc 2.N that does not make the stack executable for a library which is opened.
const KEEPS_ITS_STACK: Option<u32> = Some(41);

/// How well a candidate fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// How many versions it defines.
    pub definitions: usize,
    /// Nothing is in doubt. Otherwise it defines no version at all while the requester needs some: ld.so loads it, and says
    /// so on standard error if that happens at start-up. Or it needs a member of the glibc family that this glibc lacks, or
    /// an executable stack, which it gets at start-up alone.
    pub is_sure: bool,
    /// The requester needs no version of it, or it calls itself what the requester calls it. Linkers define the soname as a
    /// library's first version.
    pub is_named: bool,
}

/// Judges a candidate, for a requester that asked for `soname`. `directory` is where the path of this process's glibc is
/// put together.
pub fn judge<O: Objects, F: Files>(
    search: &mut Search<'_, O, F>,
    directory: &mut PathBuf,
    candidate: F::Known,
    soname: &[u8],
    requester: O::Id,
) -> Result<Result<Fit, Skip>, Unsure> {
    let minor = minor(search);
    let is_sure = match needs(search, directory, candidate)? {
        Ok(is_sure) => is_sure && !(search.files.library(candidate).executable_stack && minor >= KEEPS_ITS_STACK),
        Err(skip) => return Ok(Err(skip)),
    };
    let fit = serves(search.objects, minor, search.files.library(candidate), soname, requester);
    Ok(fit.map(|fit| Fit { is_sure: fit.is_sure && is_sure, ..fit }))
}

/// The N of this process's glibc 2.N, as far as its ld.so says it.
fn minor<O: Objects, F: Files>(search: &mut Search<'_, O, F>) -> Option<u32> {
    (search.image)().ok().and_then(|image| image.minor)
}

/// Whether what a library needs is here. `false` if it is not certain.
pub fn needs<O: Objects, F: Files>(
    search: &mut Search<'_, O, F>,
    directory: &mut PathBuf,
    library: F::Known,
) -> Result<Result<bool, Skip>, Unsure> {
    let minor = minor(search);
    let mut is_sure = true;
    let mut at = 0;
    while let Some((need, next)) = search.files.library(library).need(at) {
        at = next;
        let is_family = family::contains(need.soname);
        // ld.so ends the process over a library that is not there at all, and that nothing brings.
        if !need.is_brought && search.objects.loaded(need.soname).is_none() {
            return Ok(Err(Name::new(need.soname).map_or(Skip::Versions, Skip::Unbrought)));
        }
        if need.is_weak {
            continue;
        }
        let met = match (Name::new(need.soname), Name::new(need.version)) {
            (Some(soname), Some(version)) if is_family => {
                is_met(search, directory, library, soname, version)?.map(|sure| is_sure &= sure)
            }
            (Some(soname), Some(version)) => is_met_by_loaded(search.objects, minor, soname, version),
            // glibc has no such version. Others may have: that is left to ld.so.
            _ if is_family => Err(Skip::Versions),
            _ => Ok(()),
        };
        if let Err(skip) = met {
            return Ok(Err(skip));
        }
    }
    Ok(Ok(is_sure))
}

/// Whether ld.so does with a library that defines no versions where some are needed of it.
fn does_without(minor: Option<u32>, versioning: Versioning) -> bool {
    match versioning {
        Versioning::Defined => false,
        Versioning::Unversioned => true,
        Versioning::Nothing => minor >= DOES_WITHOUT,
    }
}

/// Whether the process's own member of the glibc family defines a version that a library needs. `false` if there is no such
/// member: ld.so will look for it where the library leads to. `false` also if it is not known where that glibc is, as for a
/// relative LD_LIBRARY_PATH.
fn is_met<O: Objects, F: Files>(
    search: &mut Search<'_, O, F>,
    directory: &mut PathBuf,
    library: F::Known,
    member: Name,
    version: Name,
) -> Result<Result<bool, Skip>, Unsure> {
    let is_private = version.as_bytes() == PRIVATE;
    if let Some(loaded) = search.objects.loaded(member.as_bytes())
        && !is_private
    {
        let defined = search.objects.defines(loaded, version.as_bytes());
        return Ok(if defined { Ok(true) } else { Err(Skip::Needs(version)) });
    }
    let own = OwnGlibc::find(search, directory);
    if is_private {
        let path = search.files.library(library).path();
        return Ok(if own.is_ok_and(|own| own.holds(path)) { Ok(true) } else { Err(Skip::Private) });
    }
    let mut own = match own {
        Ok(own) => own,
        Err(Unsure::Glibc) => return Ok(Ok(false)),
        Err(unsure) => return Err(unsure),
    };
    let examined = own.with_file(member.as_bytes(), |path| search.files.examine(path.as_c_str())).transpose()?;
    Ok(match examined {
        Some(Ok(known)) if search.files.library(known).defines(version.as_bytes()) => Ok(true),
        Some(Ok(_)) => Err(Skip::Needs(version)),
        _ => Ok(false),
    })
}

/// Whether another library that the candidate needs a version of defines it, if it is loaded already: ld.so takes that
/// one then.
fn is_met_by_loaded<O: Objects>(objects: &O, minor: Option<u32>, soname: Name, version: Name) -> Result<(), Skip> {
    let Some(loaded) = objects.loaded(soname.as_bytes()) else { return Ok(()) };
    let met = objects.defines(loaded, version.as_bytes()) || does_without(minor, objects.versioning(loaded));
    if met { Ok(()) } else { Err(Skip::Conflicts { version, soname }) }
}

/// Whether a library defines what the requester needs of it.
fn serves<O: Objects>(
    objects: &O,
    minor: Option<u32>,
    library: Library<'_>,
    soname: &[u8],
    requester: O::Id,
) -> Result<Fit, Skip> {
    let (mut lacks, mut needs) = (None, false);
    objects.needs(requester, soname, |version| {
        needs = true;
        if !library.defines(version) {
            // A name that is too long to be kept is left to ld.so.
            lacks = Name::new(version);
        }
        lacks.is_none()
    });
    match lacks {
        Some(version) if !does_without(minor, library.versioning) => Err(Skip::Lacks(version)),
        _ => Ok(Fit {
            definitions: library.definitions().count(),
            is_sure: lacks.is_none(),
            is_named: !needs || library.defines(soname),
        }),
    }
}

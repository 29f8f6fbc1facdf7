//! Whether ld.so itself would find a library: its search, emulated (`_dl_map_object` of elf/dl-load.c).
//!
//! The order is ld.so's: RPATHs, LD_LIBRARY_PATH, RUNPATH, cache, default directories. Its preferences among the
//! subdirectories for processors and among the cache's entries are not followed: there, anything of the right name
//! counts as found. The difference can only be that ld.so is left alone when it need not be.

use crate::candidate::{Kind, kind};
use crate::hwcaps::{self, Roots};
use crate::ld_so_cache::{self, Cached, Subdirectory};
use crate::loader_image::LoaderImage;
use crate::outcome::{Place, Unsure};
use crate::path::PathBuf;
use crate::tokens::{self, Token};
use crate::views::{Files, Look, Objects};

/// What ld.so may call the processor in place of AT_PLATFORM, depending on its features (sysdeps/x86/cpu-features.c).
const OTHER_PLATFORMS: &[&[u8]] = if cfg!(target_arch = "x86_64") {
    &[b"haswell", b"xeon_phi"]
} else if cfg!(target_arch = "x86") {
    &[b"i686", b"i586"]
} else {
    &[]
};

/// The world as a search sees it.
pub struct Search<'w, O: Objects, F: Files> {
    /// The objects of the process.
    pub objects: &'w O,
    /// The files.
    pub files: &'w mut F,
    /// What the running ld.so has compiled in. Reading it takes longer than all else here, and few searches get there.
    pub image: &'w mut dyn FnMut() -> Result<LoaderImage<'w>, Unsure>,
    /// LD_LIBRARY_PATH when the process started.
    pub library_path: &'w [u8],
    /// AT_PLATFORM of getauxval(3); where the processor is known, what ld.so takes for it.
    pub platform: &'w [u8],
    /// Which subdirectories ld.so takes on this processor, where somebody wants the very file that it finds. Without it they
    /// all count, so that what is found may be another than ld.so's.
    pub processor: Option<fn(&[u8]) -> bool>,
    /// What the cache has counts as found, be its file there or not: where nothing would be handed out, a look at it is in vain.
    pub trusts_cache: bool,
    /// Where paths are put together. After a find, the path that was found.
    pub path: &'w mut PathBuf,
}

/// The N of the first glibc 2.N whose ld.so goes on where a part of a path is no directory.
const GOES_ON: Option<u32> = Some(39);

/// What is remembered of a directory beside the bits of its roots: that it exists, and that these are known.
const EXISTS: u32 = 1 << 8;
const KNOWS_ROOTS: u32 = 1 << 9;

/// What became of one place.
enum Step {
    Found,
    /// On to the next directory.
    Next,
    /// On to the next list of directories.
    NextList,
}

impl<'w, O: Objects, F: Files> Search<'w, O, F> {
    /// Where ld.so finds `soname` for `requester`, if anywhere.
    pub fn find(&mut self, soname: &[u8], requester: O::Id) -> Result<Option<Place>, Unsure> {
        self.find_in(&Place::ALL, soname, requester)
    }

    /// Where ld.so finds what is in none of the directories that somebody names: [`Self::find`] without them.
    pub fn find_beyond_paths(&mut self, soname: &[u8], requester: O::Id) -> Result<Option<Place>, Unsure> {
        self.find_in(&[Place::Cache, Place::Default], soname, requester)
    }

    /// The first of these places that has the library.
    pub fn find_in(&mut self, places: &[Place], soname: &[u8], requester: O::Id) -> Result<Option<Place>, Unsure> {
        let paths = self.objects.search_paths(requester);
        for &place in places {
            let has = match place {
                Place::Rpath => paths.runpath.is_none() && self.in_rpaths(soname, requester)?,
                Place::LibraryPath => self.in_list(soname, self.library_path, b":;", self.objects.main())?,
                Place::Runpath => self.in_list(soname, paths.runpath.unwrap_or_default(), b":", requester)?,
                Place::Cache => self.in_cache(soname, paths.no_default_libraries)?,
                Place::Default => !paths.no_default_libraries && self.in_default_directories(soname, |_| true)?,
            };
            if has {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// The default directories for which `wanted` says so.
    pub fn in_default_directories(
        &mut self,
        soname: &[u8],
        mut wanted: impl FnMut(&[u8]) -> bool,
    ) -> Result<bool, Unsure> {
        for directory in (self.image)()?.directories().filter(|directory| wanted(directory)) {
            if self.path.set(&[directory]).is_none() {
                continue;
            }
            match self.in_directory(soname)? {
                Step::Found => return Ok(true),
                Step::Next => {}
                Step::NextList => break,
            }
        }
        Ok(false)
    }

    /// Whether a directory has the library, so that ld.so finds it there, or ends its search of a list there.
    pub fn ends_in(&mut self, directory: &[u8], soname: &[u8]) -> Result<bool, Unsure> {
        if self.path.set(&[directory, b"/"]).is_none() {
            return Ok(true);
        }
        Ok(!matches!(self.in_directory(soname)?, Step::Next))
    }

    /// The file at a path that ld.so is about to try.
    pub fn in_file(&mut self, path: &[u8]) -> Result<bool, Unsure> {
        Ok(self.path.set(&[path]).is_some() && matches!(self.look()?, Step::Found))
    }

    /// The DT_RPATHs of the requester and of those that loaded it, last the program's.
    fn in_rpaths(&mut self, soname: &[u8], requester: O::Id) -> Result<bool, Unsure> {
        let main = self.objects.main();
        let mut did_main = false;
        let mut next = Some(requester);
        while let Some(object) = next {
            did_main |= object == main;
            if self.in_rpath(soname, object)? {
                return Ok(true);
            }
            next = self.objects.loader(object)?;
        }
        Ok(!did_main && self.in_rpath(soname, main)?)
    }

    fn in_rpath(&mut self, soname: &[u8], object: O::Id) -> Result<bool, Unsure> {
        let paths = self.objects.search_paths(object);
        // An object's RPATH does not count where it has a RUNPATH.
        let rpath = if paths.runpath.is_none() { paths.rpath } else { None };
        self.in_list(soname, rpath.unwrap_or_default(), b":", object)
    }

    /// A list of directories, whose tokens are those of `object`. An empty element is the working directory; an
    /// empty list has no element.
    fn in_list(&mut self, soname: &[u8], list: &[u8], separators: &[u8], object: O::Id) -> Result<bool, Unsure> {
        if list.is_empty() {
            return Ok(false);
        }
        // The directories themselves come first: where one has it, nobody need know which subdirectories this ld.so has.
        let mut directories = usize::MAX;
        let exact = self.processor.is_some();
        for subdirectories in [false, true] {
            let mut left = directories;
            'list: for element in list.split(|byte| separators.contains(byte)) {
                for platform in self.platforms(element) {
                    let Some(fewer) = left.checked_sub(1) else { break 'list };
                    left = fewer;
                    if self.expand(element, platform, object)?.is_none() || !self.exists() {
                        continue;
                    }
                    let step = match subdirectories {
                        _ if exact => self.in_directory(soname)?,
                        true => self.in_roots(soname)?,
                        false => self.file(soname)?,
                    };
                    match step {
                        Step::Found => return Ok(true),
                        Step::Next => {}
                        // What comes behind is not searched, neither way.
                        Step::NextList => break 'list,
                    }
                }
            }
            if exact {
                break;
            }
            directories = directories.saturating_sub(left);
        }
        Ok(false)
    }

    /// What `$PLATFORM` may stand for in an element of a list: one thing alone where the processor is known.
    fn platforms(&self, element: &[u8]) -> impl Iterator<Item = &'w [u8]> + use<'w, O, F> {
        let is_open = self.processor.is_none() && tokens::has_platform(element);
        let others = if is_open { OTHER_PLATFORMS } else { &[] };
        core::iter::once(self.platform).chain(others.iter().copied())
    }

    /// Puts the directory that an element of a list means into the path, with a closing slash. `None` if ld.so leaves
    /// it out.
    pub fn expand(&mut self, element: &[u8], platform: &[u8], object: O::Id) -> Result<Option<()>, Unsure> {
        let mut unsure = None;
        self.path.clear();
        let expanded = tokens::expand(element, self.path, |token, into| match token {
            Token::Origin => self.objects.origin(object, into).unwrap_or_else(|reason| {
                unsure = Some(reason);
                None
            }),
            Token::Lib => match (self.image)() {
                Ok(image) => into.push(image.lib),
                Err(reason) => {
                    unsure = Some(reason);
                    None
                }
            },
            Token::Platform => (!platform.is_empty()).then(|| into.push(platform)).flatten(),
        });
        if let Some(reason) = unsure {
            return Err(reason);
        }
        if expanded.is_none() || (self.path.is_empty() && !element.is_empty()) {
            return Ok(None);
        }
        let directory = self.path.as_bytes();
        let slashes = directory.iter().rev().take_while(|&&byte| byte == b'/').count();
        let len = directory.len().saturating_sub(slashes);
        self.path.truncate(len);
        // The working directory has no name: a bare soname is looked for in it.
        Ok(if element.is_empty() { Some(()) } else { self.path.push(b"/") })
    }

    /// The directory in the path, which ends in a slash or is empty; its subdirectories for processors first.
    fn in_directory(&mut self, soname: &[u8]) -> Result<Step, Unsure> {
        if !self.exists() {
            return Ok(Step::Next);
        }
        match self.in_roots(soname)? {
            Step::Found => Ok(Step::Found),
            _ => self.file(soname),
        }
    }

    /// The subdirectories for processors of the directory in the path, which stays in it unless one has the file.
    fn in_roots(&mut self, soname: &[u8]) -> Result<Step, Unsure> {
        let len = self.path.len();
        let mut failed = None;
        let found = self.roots()?.any(|components| {
            self.path.truncate(len);
            let fits = components.iter().try_for_each(|component| self.path.push(component));
            if self.processor.is_some_and(|takes| !self.path.as_bytes().get(len..).is_some_and(takes)) {
                return false;
            }
            match fits.map(|()| self.file(soname)) {
                Some(Ok(Step::Found)) => true,
                Some(Err(unsure)) => {
                    failed = Some(unsure);
                    true
                }
                // An error in a subdirectory does not end the list: only the directory's own counts.
                _ => false,
            }
        });
        if let Some(unsure) = failed {
            return Err(unsure);
        }
        if found {
            return Ok(Step::Found);
        }
        self.path.truncate(len);
        Ok(Step::Next)
    }

    /// Whether the directory in the path is there. ld.so too asks for a directory once, and not again for as long as
    /// the process lives. A relative one counts as existing for good, whatever the working directory is.
    fn exists(&mut self) -> bool {
        if !self.is_absolute() {
            return true;
        }
        if let Some(value) = self.files.recall(self.path.as_bytes()) {
            return value & EXISTS != 0;
        }
        let exists = self.files.is_directory(self.path.as_c_str());
        self.files.remember(self.path.as_bytes(), if exists { EXISTS } else { 0 });
        exists
    }

    /// What the directory in the path, which exists, has of subdirectories for processors. That too is asked once.
    fn roots(&mut self) -> Result<Roots, Unsure> {
        let absolute = self.is_absolute();
        if absolute
            && let Some(value) = self.files.recall(self.path.as_bytes())
            && value & KNOWS_ROOTS != 0
        {
            return Ok(Roots::from_bits(value.to_le_bytes()[0]));
        }
        let image = (self.image)()?;
        let len = self.path.len();
        let roots = Roots::find(&image, |component| {
            self.path.truncate(len);
            self.path.push(component).is_some() && self.files.is_directory(self.path.as_c_str())
        });
        self.path.truncate(len);
        if absolute {
            self.files.remember(self.path.as_bytes(), EXISTS | KNOWS_ROOTS | u32::from(roots.bits()));
        }
        Ok(roots)
    }

    fn is_absolute(&self) -> bool {
        self.path.as_bytes().first() == Some(&b'/')
    }

    /// The file of this name in the directory in the path.
    fn file(&mut self, soname: &[u8]) -> Result<Step, Unsure> {
        if self.path.push(soname).is_none() {
            // open(2) would say ENAMETOOLONG.
            return Ok(Step::NextList);
        }
        self.look()
    }

    /// The file in the path. One that ld.so opens and then refuses ends its search with an error: that is its own
    /// business too.
    fn look(&mut self) -> Result<Step, Unsure> {
        match self.files.look(self.path.as_c_str()) {
            Look::Missing | Look::Denied => Ok(Step::Next),
            Look::NotBelow if (self.image)()?.minor >= GOES_ON => Ok(Step::Next),
            // ld.so asks for the directory then: what cannot be told of either, as of a server that is gone, is not there for it.
            Look::Broken if !self.is_there() => Ok(Step::Next),
            Look::NotBelow | Look::Broken => Ok(Step::NextList),
            Look::Exhausted => Err(Unsure::Exhausted),
            Look::Irregular => Ok(Step::Found),
            Look::File(file) => match kind(file.as_bytes()) {
                Kind::OtherMachine => Ok(Step::Next),
                _ => Ok(Step::Found),
            },
        }
    }

    /// Whether the directory of the file in the path can be asked for. The file's name is gone then.
    fn is_there(&mut self) -> bool {
        let len = self.path.as_bytes().iter().rposition(|&byte| byte == b'/').map_or(0, |last| last.saturating_add(1));
        self.path.truncate(len);
        !self.is_absolute() || self.files.identity(self.path.as_c_str()).is_some()
    }

    /// ld.so.cache. For a requester with DF_1_NODEFLIB, entries in the default directories don't count.
    fn in_cache(&mut self, soname: &[u8], no_default_libraries: bool) -> Result<bool, Unsure> {
        let image = (self.image)()?;
        let entries = match self.processor.map(|takes| self.best_in_cache(soname, takes)).transpose()? {
            None => 0..=usize::MAX,
            Some(Some(best)) => best..=best,
            Some(None) => return Ok(false),
        };
        for n in entries {
            let cache = self.files.cache(image.cache)?;
            let Some(cached) = ld_so_cache::entries(cache, soname).nth(n) else {
                break;
            };
            let copied = self.path.set(&[cached.path.to_bytes()]);
            let ignored = no_default_libraries
                && image.directories().any(|directory| self.path.as_bytes().starts_with(directory));
            let is_known = is_known(&image, cached.subdirectory);
            if copied.is_some() && !ignored && is_known && (self.trusts_cache || matches!(self.look()?, Step::Found)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The number of the entry that ld.so takes: the best of those that the processor has a level of glibc-hwcaps for, else the first
    /// of the others. It looks at no second one.
    fn best_in_cache(&mut self, soname: &[u8], takes: fn(&[u8]) -> bool) -> Result<Option<usize>, Unsure> {
        let image = (self.image)()?;
        let cache = self.files.cache(image.cache)?;
        let rank = |cached: &Cached<'_>| match (cached.subdirectory, cached.path.to_bytes()) {
            (kind, _) if !is_known(&image, kind) => None,
            (Subdirectory::None, _) => Some(usize::MAX),
            (Subdirectory::Legacy, path) => takes(hwcaps::legacy_subdirectory(path)).then_some(usize::MAX),
            (Subdirectory::GlibcHwcaps, path) => hwcaps::rank(hwcaps::subdirectory(path).filter(|level| takes(level))?),
        };
        let ranks = ld_so_cache::entries(cache, soname).enumerate().filter_map(|(n, cached)| Some((rank(&cached)?, n)));
        Ok(ranks.min().map(|(_, n)| n))
    }
}

/// Whether an ld.so knows a kind of subdirectory. It leaves the entries of others out.
fn is_known(image: &LoaderImage<'_>, subdirectory: Subdirectory) -> bool {
    match subdirectory {
        Subdirectory::None => true,
        Subdirectory::GlibcHwcaps => image.has_glibc_hwcaps(),
        Subdirectory::Legacy => image.has_legacy_hwcaps(),
    }
}

#[cfg(test)]
mod tests;

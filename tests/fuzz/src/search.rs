//! The search of ld.so, emulated, with whatever RPATH, RUNPATH and LD_LIBRARY_PATH: it comes to the same as a naive
//! one, which makes a list of all directories first.

use arbitrary::{Result, Unstructured};
use rtld_loader::outcome::{Place, Unsure};
use rtld_loader::path::{PATH_MAX, PathBuf};
use rtld_loader::search::Search;
use rtld_loader::tokens::{Token, has_platform};
use rtld_loader::views::{FileStart, Look};

use crate::tokens::naively;
use crate::world::{self, DEFAULT_DIRECTORIES, Machine, Object, Process};

const SONAME: &[u8] = b"libx.so";
/// What a search path is made of.
const PIECES: [&[u8]; 20] = [
    b"/a",
    b"/b",
    b"rel",
    b":",
    b":",
    b":",
    b";",
    b"/",
    b"//",
    b"$ORIGIN",
    b"${ORIGIN}",
    b"$LIB",
    b"$PLATFORM",
    b"${PLATFORM}",
    b"$",
    b"{",
    b"haswell",
    b"/a:/b",
    b"/lib",
    b"\xff\0",
];
/// Directories that may exist, and have the library.
const DIRECTORIES: [&[u8]; 14] = [
    b"/",
    b"/a/",
    b"/b/",
    b"/o/",
    b"/o/a/",
    b"/a/lib/",
    b"/a/x86_64/",
    b"/a/haswell/",
    b"/a/b/",
    b"/lib/",
    b"/usr/lib/",
    b"rel/",
    b"",
    b"/a/xeon_phi/",
];
/// What a directory may have besides: subdirectories for processors. The last is of none that there is.
const SUBDIRECTORIES: [&[u8]; 4] =
    [b"glibc-hwcaps/x86-64-v4/", b"glibc-hwcaps/x86-64-v3/", b"glibc-hwcaps/x86-64-v2/", b"glibc-hwcaps/x86-64-v1/"];
/// Those that ld.so may take, the best first, and what `$PLATFORM` may stand for besides AT_PLATFORM.
const TAKEN: &[&[u8]] = if cfg!(any(target_arch = "x86_64", target_arch = "x86")) {
    &[SUBDIRECTORIES[0], SUBDIRECTORIES[1], SUBDIRECTORIES[2]]
} else {
    &[]
};
const PLATFORMS: &[&[u8]] = if cfg!(target_arch = "x86_64") {
    &[b"haswell", b"xeon_phi"]
} else if cfg!(target_arch = "x86") {
    &[b"i686", b"i586"]
} else {
    &[]
};

/// A process that searches.
struct World {
    objects: Process,
    machine: Machine,
    library_path: Vec<u8>,
    platform: Vec<u8>,
    /// Somebody wants the very file.
    processor: Option<fn(&[u8]) -> bool>,
    requester: usize,
    /// Of its glibc 2.N.
    minor: u32,
}

/// Where a library is found, if it is.
type Found = std::result::Result<Option<(Place, Vec<u8>)>, Unsure>;

/// Searches.
///
/// # Panics
///
/// If something else is found than naively, or if too many places are looked at.
pub fn run(bytes: &[u8]) {
    let Ok(mut world) = World::arbitrary(&mut Unstructured::new(bytes)) else { return };
    let naive = world.naively();
    let found = world.searched();
    assert_eq!(found, naive);
    // What was remembered changes nothing.
    assert_eq!(world.searched(), naive);
    world.machine.remembered.clear();
    assert_eq!(world.searched(), naive);
}

/// Bytes to start from.
pub fn seeds() -> Vec<Vec<u8>> {
    let numbers = |factor: usize| (0..240usize).map(|nth| ((nth * factor) >> 2) as u8).collect();
    vec![Vec::new(), numbers(7), numbers(113), numbers(1021)]
}

fn list(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut list = Vec::new();
    for _ in 0..u.int_in_range(0..=8)? {
        list.extend(*u.choose(&PIECES)?);
    }
    if u.ratio(1, 16)? {
        // About as long as a path may be.
        list.extend(vec![b'a'; PATH_MAX - usize::from(u.arbitrary::<u8>()? % 24)]);
    }
    Ok(list)
}

fn listed(u: &mut Unstructured<'_>) -> Result<Option<Vec<u8>>> {
    if u.arbitrary()? { list(u).map(Some) } else { Ok(None) }
}

fn look(u: &mut Unstructured<'_>) -> Result<Look> {
    let other_machine = FileStart::new(&[b"\x7fELF\x07".as_slice(), &[0; 59]].concat(), 100);
    let text = FileStart::new(b"INPUT(libc.so.6)", 16);
    let looks = [
        Look::Irregular,
        Look::File(text),
        Look::File(other_machine),
        Look::Denied,
        Look::Broken,
        Look::NotBelow,
        Look::Missing,
        Look::Missing,
    ];
    if u.ratio(1, 32)? { Ok(Look::Exhausted) } else { u.choose(&looks).copied() }
}

impl World {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Self> {
        let mut machine = Machine::default();
        for directory in DIRECTORIES {
            if u.arbitrary()? {
                machine.directories.insert(directory.to_vec());
            }
            // Relative ones are not asked for.
            if directory.starts_with(b"/") && u.ratio(1, 8)? {
                machine.silent.insert(directory.to_vec());
            }
            // A file may be there although its directory is not known to be: it was made meanwhile.
            machine.looks.insert([directory, SONAME].concat(), look(u)?);
            if u.ratio(1, 4)? {
                machine.directories.insert([directory, b"glibc-hwcaps/"].concat());
                for subdirectory in SUBDIRECTORIES {
                    machine.looks.insert([directory, subdirectory, SONAME].concat(), look(u)?);
                }
            }
        }
        if u.arbitrary()? {
            machine.cache = crate::ld_so_cache::of(SONAME, &[*u.choose(&DIRECTORIES)?, SONAME].concat());
        }
        let mut objects = Vec::new();
        for nth in 0..3 {
            objects.push(Object {
                rpath: listed(u)?,
                runpath: if u.ratio(1, 3)? { Some(list(u)?) } else { None },
                no_default_libraries: u.ratio(1, 4)?,
                loader: if nth > 0 && u.arbitrary()? { Some(u.int_in_range(0..=nth - 1)?) } else { None },
                origin: u.choose(&[None, Some(b"/o".to_vec()), Some(Vec::new()), Some(b"/".to_vec())])?.clone(),
                ..Object::default()
            });
        }
        let takes: fn(&[u8]) -> bool = |subdirectory| !subdirectory.starts_with(SUBDIRECTORIES[0]);
        Ok(Self {
            objects: Process(objects),
            machine,
            library_path: listed(u)?.unwrap_or_default(),
            platform: u.choose(&[b"x86_64".as_slice(), b"", b"haswell"])?.to_vec(),
            processor: if u.arbitrary()? { Some(takes) } else { None },
            requester: u.int_in_range(0..=2)?,
            minor: *u.choose(&[41, 38])?,
        })
    }

    fn searched(&mut self) -> Found {
        let (mut path, image) = (PathBuf::new(), world::image(Some(self.minor)));
        self.machine.asked.set(0);
        let mut search = Search {
            objects: &self.objects,
            files: &mut self.machine,
            image: &mut || Ok(image),
            library_path: &self.library_path,
            platform: &self.platform,
            processor: self.processor,
            trusts_cache: false,
            path: &mut path,
        };
        let found = search.find(SONAME, self.requester)?;
        // For each directory: whether it is there, the same of its subdirectories, the file, those in the subdirectories,
        // and whether it is there still.
        let directories = 4 * 3 * 2 * (PIECES.len() + 2) + DEFAULT_DIRECTORIES.len() + 1;
        assert!(self.machine.asked.get() <= directories * (4 + TAKEN.len()), "{} questions", self.machine.asked.get());
        Ok(found.map(|place| (place, path.as_bytes().to_vec())))
    }

    fn naively(&mut self) -> Found {
        let requester = &self.objects.0[self.requester];
        let mut chain = vec![self.requester];
        while let Some(loader) = self.objects.0[chain[chain.len() - 1]].loader {
            chain.push(loader);
        }
        if !chain.contains(&0) {
            chain.push(0);
        }
        if requester.runpath.is_none() {
            for object in chain {
                let Object { rpath, runpath, .. } = &self.objects.0[object];
                if let (Some(rpath), None) = (rpath, runpath)
                    && let Some(path) = self.in_list(rpath, b":", object)?
                {
                    return Ok(Some((Place::Rpath, path)));
                }
            }
        }
        if let Some(path) = self.in_list(&self.library_path, b":;", 0)? {
            return Ok(Some((Place::LibraryPath, path)));
        }
        if let Some(path) = self.in_list(requester.runpath.as_deref().unwrap_or_default(), b":", self.requester)? {
            return Ok(Some((Place::Runpath, path)));
        }
        for path in rtld_loader::ld_so_cache::paths(&self.machine.cache, SONAME) {
            let path = path.to_bytes();
            let is_default = DEFAULT_DIRECTORIES.iter().any(|directory| path.starts_with(directory));
            if !(requester.no_default_libraries && is_default) && self.look(path)? == Outcome::Found {
                return Ok(Some((Place::Cache, path.to_vec())));
            }
        }
        if !requester.no_default_libraries {
            let directories = DEFAULT_DIRECTORIES.map(<[u8]>::to_vec);
            // In these, subdirectories always come first.
            if let Some(path) = self.in_directories(&directories, true)? {
                return Ok(Some((Place::Default, path)));
            }
        }
        Ok(None)
    }

    fn in_list(&self, list: &[u8], separators: &[u8], object: usize) -> std::result::Result<Option<Vec<u8>>, Unsure> {
        if list.is_empty() {
            return Ok(None);
        }
        let mut directories = Vec::new();
        for element in list.split(|byte| separators.contains(byte)) {
            // Where the processor is known, so is what ld.so takes for it.
            let is_open = self.processor.is_none() && has_platform(element);
            let others = if is_open { PLATFORMS } else { &[] };
            for platform in [&[&*self.platform], others].concat() {
                directories.extend(self.expanded(element, platform, object));
            }
        }
        self.in_directories(&directories, self.processor.is_some())
    }

    /// The directory that an element means.
    fn expanded(&self, element: &[u8], platform: &[u8], object: usize) -> Option<Vec<u8>> {
        let meaning = |token| match token {
            Token::Origin => self.objects.0[object].origin.clone(),
            Token::Lib => Some(b"lib".to_vec()),
            Token::Platform => Some(platform.to_vec()).filter(|platform| !platform.is_empty()),
        };
        let mut directory = naively(element, meaning).1.filter(|directory| !directory.contains(&0))?;
        if element.is_empty() {
            return Some(directory);
        }
        if directory.is_empty() || directory.len() > PATH_MAX - 2 {
            return None;
        }
        while directory.ends_with(b"/") {
            directory.pop();
        }
        directory.push(b'/');
        (directory.len() <= PATH_MAX - 2).then_some(directory)
    }

    /// Where some directories have the library. All of them come before all of their subdirectories for processors, or
    /// each of them behind its own.
    fn in_directories(
        &self,
        all: &[Vec<u8>],
        subdirectories_first: bool,
    ) -> std::result::Result<Option<Vec<u8>>, Unsure> {
        let passes: &[[bool; 2]] = if subdirectories_first { &[[true, true]] } else { &[[false, true], [true, false]] };
        let mut end = all.len();
        for [subdirectories, itself] in passes {
            for (nth, directory) in all[..end].iter().enumerate() {
                let is_absolute = directory.starts_with(b"/");
                if is_absolute && !self.machine.directories.contains(directory) {
                    continue;
                }
                let hwcaps = [directory, b"glibc-hwcaps/".as_slice()].concat();
                if *subdirectories && hwcaps.len() <= PATH_MAX - 2 && self.machine.directories.contains(&hwcaps) {
                    for subdirectory in TAKEN.iter().filter(|it| self.processor.is_none_or(|takes| takes(it))) {
                        let path = [directory, *subdirectory, SONAME].concat();
                        if self.look(&path)? == Outcome::Found {
                            return Ok(Some(path));
                        }
                    }
                }
                let path = [directory, SONAME].concat();
                match if *itself { self.look(&path)? } else { Outcome::Missing } {
                    Outcome::Found => return Ok(Some(path)),
                    Outcome::Missing => {}
                    Outcome::Ends => {
                        end = nth + 1;
                        break;
                    }
                }
            }
        }
        Ok(None)
    }

    fn look(&self, path: &[u8]) -> std::result::Result<Outcome, Unsure> {
        if path.len() > PATH_MAX - 2 {
            return Ok(Outcome::Ends);
        }
        Ok(match self.machine.looks.get(path) {
            None | Some(Look::Missing | Look::Denied) => Outcome::Missing,
            Some(Look::NotBelow) if self.minor >= 39 => Outcome::Missing,
            Some(Look::Broken) if self.machine.silent.contains(&path[..path.len() - SONAME.len()]) => Outcome::Missing,
            Some(Look::Broken | Look::NotBelow) => Outcome::Ends,
            Some(Look::Exhausted) => return Err(Unsure::Exhausted),
            Some(Look::Irregular) => Outcome::Found,
            // Of another class.
            Some(Look::File(file)) if file.bytes.starts_with(b"\x7fELF") => Outcome::Missing,
            Some(Look::File(_)) => Outcome::Found,
        })
    }
}

/// What becomes of one place.
#[derive(PartialEq)]
enum Outcome {
    Found,
    Missing,
    /// The list ends here.
    Ends,
}

//! The version gate: whether a candidate fits, in made-up processes.

use std::collections::BTreeMap;

use arbitrary::{Result, Unstructured};
use rtld_loader::gate::{Fit, judge};
use rtld_loader::library::{Need, Versioning, Writer};
use rtld_loader::name::Name;
use rtld_loader::outcome::Unsure;
use rtld_loader::path::PathBuf;
use rtld_loader::search::Search;
use rtld_loader::skip::Skip;
use rtld_loader::views::Look;

use crate::world::{self, Examined, Machine, Object, Process};

/// Too long to be kept.
const LONG: &str = "a name that is longer than any version that is in use";
const SONAMES: [&str; 6] = ["libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "libother.so", "libz.so.1", LONG];
/// Those of them that are of the glibc family.
const FAMILY: [&str; 3] = ["libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"];
const VERSIONS: [&str; 6] = ["GLIBC_2.2.5", "GLIBC_2.38", "GLIBC_PRIVATE", "X_1", "X_2", LONG];
/// What is asked for, which linkers define as a version of the library, too.
const ASKED: &str = "libx.so";
const DEFINITIONS: [&str; 7] = [ASKED, "GLIBC_2.2.5", "GLIBC_2.38", "GLIBC_PRIVATE", "X_1", "X_2", LONG];
const VERSIONINGS: [Versioning; 3] = [Versioning::Nothing, Versioning::Unversioned, Versioning::Defined];
/// Where libraries of the process may be from, and the candidate.
const DIRECTORIES: [&str; 4] = ["/lib", "/glibc/lib", "/d", "relative"];

/// What a candidate needs and defines.
#[derive(Clone)]
struct Made {
    /// Each with whether it is weak, and whether it is in DT_NEEDED.
    needs: Vec<(&'static str, &'static str, bool, bool)>,
    definitions: Vec<&'static str>,
    versioning: Versioning,
    executable_stack: bool,
    path: String,
}

/// All that is asked of a process.
struct World {
    /// By soname: where it is from, what it says and defines.
    loaded: BTreeMap<&'static str, (&'static str, Versioning, Vec<&'static str>)>,
    /// The libraries in the two glibcs' directories: by path, the versions that they define, or that they cannot be
    /// read.
    glibcs: BTreeMap<String, std::result::Result<Vec<&'static str>, Unsure>>,
    /// There is a libc.so.6 where ld.so looks.
    has_libc: bool,
    minor: Option<u32>,
    candidate: Made,
    /// What the program needs of the candidate.
    asked: Vec<&'static str>,
}

/// Judges a candidate.
///
/// # Panics
///
/// If it is judged otherwise than naively.
pub fn run(bytes: &[u8]) {
    if let Ok(world) = World::arbitrary(&mut Unstructured::new(bytes)) {
        assert_eq!(world.judged(), world.naively());
    }
}

/// Bytes to start from.
pub fn seeds() -> Vec<Vec<u8>> {
    let numbers = |factor: usize| (0..160usize).map(|nth| ((nth * factor) >> 2) as u8).collect();
    vec![Vec::new(), numbers(7), numbers(113), numbers(1021)]
}

fn some<T: Copy>(u: &mut Unstructured<'_>, of: &[T], most: usize) -> Result<Vec<T>> {
    (0..u.int_in_range(0..=most)?).map(|_| u.choose(of).copied()).collect()
}

impl World {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Self> {
        let mut loaded = BTreeMap::new();
        for soname in SONAMES {
            if u.arbitrary()? {
                let of = (*u.choose(&DIRECTORIES)?, *u.choose(&VERSIONINGS)?, some(u, &VERSIONS, 4)?);
                loaded.insert(soname, of);
            }
        }
        let mut glibcs = BTreeMap::new();
        for path in ["/lib", "/glibc/lib"].iter().flat_map(|path| FAMILY.map(|name| format!("{path}/{name}"))) {
            if u.arbitrary()? {
                let read = if u.ratio(1, 8)? { Err(Unsure::Exhausted) } else { Ok(some(u, &VERSIONS, 4)?) };
                glibcs.insert(path, read);
            }
        }
        let mut needs = Vec::new();
        for _ in 0..u.int_in_range(0..=4)? {
            needs.push((*u.choose(&SONAMES)?, *u.choose(&VERSIONS)?, u.ratio(1, 4)?, u.ratio(3, 4)?));
        }
        let candidate = Made {
            needs,
            definitions: some(u, &DEFINITIONS, 4)?,
            versioning: *u.choose(&VERSIONINGS)?,
            executable_stack: u.arbitrary()?,
            path: format!("{}/libx.so", u.choose(&["/d", "/lib", "/lib/x", "/libx", "/glibc/lib"])?),
        };
        let minor = *u.choose(&[None, Some(36), Some(41)])?;
        Ok(Self { loaded, glibcs, has_libc: u.arbitrary()?, minor, candidate, asked: some(u, &VERSIONS, 4)? })
    }

    /// What the gate says.
    fn judged(&self) -> std::result::Result<std::result::Result<Fit, Skip>, Unsure> {
        let owned = |strings: &[&str]| strings.iter().map(|string| string.as_bytes().to_vec()).collect::<Vec<_>>();
        let needs = self.asked.iter().map(|version| (b"libx.so".to_vec(), version.as_bytes().to_vec()));
        // Of another library: it does not count.
        let needs = needs.chain([(b"liby.so".to_vec(), b"Y_1".to_vec())]).collect();
        let mut objects = vec![Object { needs, ..Object::default() }];
        objects.extend(self.loaded.iter().map(|(soname, (directory, versioning, definitions))| Object {
            soname: soname.as_bytes().to_vec(),
            path: format!("{directory}/{soname}").into_bytes(),
            versioning: *versioning,
            definitions: owned(definitions),
            ..Object::default()
        }));
        let mut files = Machine { known: vec![self.candidate.record()], ..Machine::default() };
        files.directories.insert(b"/lib/".to_vec());
        if self.has_libc {
            files.looks.insert(b"/lib/libc.so.6".to_vec(), Look::Irregular);
        }
        for (path, read) in &self.glibcs {
            let record = |definitions: &Vec<&'static str>| {
                let versioning = Versioning::Defined;
                Made {
                    needs: Vec::new(),
                    definitions: definitions.clone(),
                    versioning,
                    executable_stack: false,
                    path: path.clone(),
                }
                .record()
            };
            let examined: Examined = read.as_ref().map(|definitions| Ok(record(definitions))).map_err(|unsure| *unsure);
            files.examined.insert(path.clone().into_bytes(), examined);
        }
        let (objects, image) = (Process(objects), world::image(self.minor));
        let (mut path, mut directory) = (PathBuf::new(), PathBuf::new());
        let mut search = Search {
            objects: &objects,
            files: &mut files,
            image: &mut || Ok(image),
            library_path: b"",
            platform: b"x86_64",
            processor: None,
            trusts_cache: false,
            path: &mut path,
        };
        let judged = judge(&mut search, &mut directory, 0, ASKED.as_bytes(), 0);
        assert!(files.asked.get() <= 64, "{} questions", files.asked.get());
        judged
    }

    /// The same, from what makes the world.
    fn naively(&self) -> std::result::Result<std::result::Result<Fit, Skip>, Unsure> {
        let is_new = self.minor == Some(41);
        let does_without = |versioning: Versioning| match versioning {
            Versioning::Unversioned => true,
            Versioning::Nothing => is_new,
            Versioning::Defined => false,
        };
        let own = match self.loaded.get("libc.so.6") {
            Some((directory, ..)) => Some(*directory).filter(|directory| directory.starts_with('/')),
            None => self.has_libc.then_some("/lib"),
        };
        let candidate = &self.candidate;
        let mut is_sure = !(candidate.executable_stack && is_new);
        for (soname, version, is_weak, is_brought) in &candidate.needs {
            let loaded = self.loaded.get(soname);
            if !is_brought && loaded.is_none() {
                return Ok(Err(if soname == &LONG { Skip::Versions } else { Skip::Unbrought(name(soname)) }));
            }
            if *is_weak {
                continue;
            }
            let is_long = soname == &LONG || version == &LONG;
            let skip = if !FAMILY.contains(soname) {
                match loaded {
                    Some((_, versioning, definitions)) if !is_long => {
                        let met = definitions.contains(version) || does_without(*versioning);
                        (!met).then(|| Skip::Conflicts { version: name(version), soname: name(soname) })
                    }
                    _ => None,
                }
            } else if is_long {
                Some(Skip::Versions)
            } else if *version == "GLIBC_PRIVATE" {
                // Of one glibc: in its directory, or below it.
                let is_own = own.is_some_and(|own| candidate.path.starts_with(&format!("{own}/")));
                (!is_own).then_some(Skip::Private)
            } else if let Some((.., definitions)) = loaded {
                (!definitions.contains(version)).then(|| Skip::Needs(name(version)))
            } else {
                match own.and_then(|own| self.glibcs.get(&format!("{own}/{soname}"))) {
                    None => {
                        is_sure = false;
                        None
                    }
                    Some(Err(unsure)) => return Err(*unsure),
                    Some(Ok(definitions)) => (!definitions.contains(version)).then(|| Skip::Needs(name(version))),
                }
            };
            if let Some(skip) = skip {
                return Ok(Err(skip));
            }
        }
        let lacks = self.asked.iter().find(|version| **version != LONG && !candidate.definitions.contains(version));
        Ok(match lacks {
            Some(version) if !does_without(candidate.versioning) => Err(Skip::Lacks(name(version))),
            _ => Ok(Fit {
                definitions: candidate.definitions.len(),
                is_sure: is_sure && lacks.is_none(),
                is_named: self.asked.is_empty() || candidate.definitions.contains(&ASKED),
            }),
        })
    }
}

fn name(name: &str) -> Name {
    Name::new(name.as_bytes()).expect("it is short")
}

impl Made {
    fn record(&self) -> Vec<u8> {
        let mut record = vec![0; 2000];
        let mut writer = Writer::new(&mut record).expect("there is room");
        for (soname, version, is_weak, is_brought) in &self.needs {
            let (soname, version) = (soname.as_bytes(), version.as_bytes());
            let need = Need { soname, version, is_weak: *is_weak, is_brought: *is_brought };
            writer.need(need).expect("there is room");
        }
        for version in &self.definitions {
            writer.definition(version.as_bytes()).expect("there is room");
        }
        let len = writer.finish(self.path.as_bytes(), self.versioning, self.executable_stack);
        record.truncate(len.expect("there is room"));
        record
    }
}

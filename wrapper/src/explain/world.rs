//! A planned process: what the auditor would see of it, and the auditor's own decisions in it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use anyhow::{Context, Result};
use rtld_loader::catalogue::Catalogue;
use rtld_loader::declared::entries_from;
use rtld_loader::environment::{Environment, Level, split_directory};
use rtld_loader::index::{File, Index};
use rtld_loader::live::index_file::Indices;
use rtld_loader::live::listing;
use rtld_loader::loader_image::LoaderImage;
use rtld_loader::log::Sink;
use rtld_loader::lookup::{Asked, Lookup, Witness};
use rtld_loader::origin::{self, Known, Setting};
use rtld_loader::outcome::{Outcome, Pass, Place, Unsure};
use rtld_loader::path::PathBuf;
use rtld_loader::search::Search;
use rtld_loader::skip::Skip;

use super::edge::Considered;
use super::files::{Files, Seen};
use super::image::{Constants, FileImage};
use super::objects::{Object, Objects, path_of};
use super::processor;
use crate::platform::{self, OWN};
use crate::rights::Caller;
use crate::script::AUDITOR;

/// The libraries that ld.so loads into every process of a machine (ld.so(8)).
pub const PRELOAD: &str = "/etc/ld.so.preload";

/// A planned process.
pub struct World {
    /// Its objects.
    pub objects: Objects,
    /// What it is started with.
    pub environment: Environment<'static>,
    /// LD_AUDIT names the auditor, and nothing turns it off.
    pub is_audited: bool,
    /// It has more rights than its caller: ld.so takes nothing from the environment.
    pub is_privileged: bool,
    /// Its ld.so reads [`PRELOAD`]. That of nixpkgs does not.
    pub reads_preload: bool,
    /// What its ld.so has compiled in.
    pub image: LoaderImage<'static>,
    /// What its ld.so takes for `$PLATFORM`.
    platform: &'static [u8],
    files: Files,
    catalogue: Catalogue<'static>,
    path: PathBuf,
    answer: PathBuf,
    glibc: PathBuf,
    considered: Notes,
}

impl World {
    /// The process of a program which is run in this environment.
    pub fn new(program: Object, loader: Object) -> Result<Self> {
        let image = FileImage::open(&loader.path).context("its ld.so cannot be read")?.constants();
        // For as long as this program lives, which is not long.
        let image: &'static Constants = Box::leak(Box::new(image));
        let reads_preload = image.has_string(PRELOAD.as_bytes());
        let platform = processor::platform(image.has_string(processor::HASWELL));
        let image = image.loader().context("its ld.so is none of glibc's")?;
        let is_privileged = Caller::current().gains(&program.path);
        let (mut environment, is_audited) = environment();
        let is_audited = is_audited && !is_privileged;
        if !is_audited {
            environment = Environment { declared: b"", index: b"", ..environment };
        }
        if is_privileged {
            environment.library_path = b"";
        }
        let mut path = PathBuf::new();
        let given = program.path.as_os_str().as_bytes();
        let mut indices = Indices::open(environment.index, &mut path, given, |_, _| {});
        if !indices.has_main() {
            let real = program.path.canonicalize()?;
            indices.set_main(real.as_os_str().as_bytes());
        }
        let declared = environment.declared;
        let catalogue = listing::list(declared, Some(&indices), &mut path, &mut Nobody);
        Ok(Self {
            objects: Objects::new(program, loader),
            environment,
            is_audited,
            is_privileged,
            reads_preload,
            image,
            platform,
            files: Files::new(indices),
            catalogue,
            path,
            answer: PathBuf::new(),
            glibc: PathBuf::new(),
            considered: Notes(Vec::new()),
        })
    }

    /// What ld.so is answered when it has a name and has not yet searched.
    pub fn at_origin(&mut self, name: &[u8], requester: usize) -> Outcome {
        self.begin();
        origin::answer(self, name, requester)
    }

    /// What it is answered when it is about to try a path in a default directory.
    pub fn at_default(&mut self, candidate: &[u8], requester: usize) -> Outcome {
        self.look(|lookup, answer, notes| lookup.at_default(candidate, requester, answer, notes))
    }

    /// Where ld.so finds a name by itself, in these places.
    pub fn find(&mut self, places: &[Place], soname: &[u8], requester: usize) -> Result<Option<Place>, Unsure> {
        self.begin();
        let mut found = Ok(None);
        self.objects.working_directory = std::env::current_dir().ok();
        let platform = self.platform;
        self.look(|lookup, _, _| {
            // ld.so knows the processor.
            lookup.search.processor = Some(processor::takes);
            lookup.search.platform = platform;
            found = lookup.search.find_in(places, soname, requester);
            Outcome::Pass(Pass::NotLast)
        });
        self.objects.working_directory = None;
        found
    }

    /// What a name with a slash in it means for ld.so: its tokens are replaced. `None` if it has one that means nothing.
    pub fn expand(&mut self, name: &[u8], requester: usize) -> Option<Vec<u8>> {
        let mut expanded = None;
        let platform = self.platform;
        self.look(|lookup, _, _| {
            let (directory, file) = split_directory(name).unwrap_or((b"", name));
            expanded = match lookup.search.expand(directory, platform, requester) {
                Ok(Some(())) if directory.is_empty() => Some([b"/".as_slice(), file].concat()),
                Ok(Some(())) => Some([lookup.search.path.as_bytes(), file].concat()),
                _ => None,
            };
            Outcome::Pass(Pass::NotLast)
        });
        expanded
    }

    /// The path that ld.so found by itself.
    pub fn found(&self) -> &[u8] {
        self.path.as_bytes()
    }

    /// The path, or the text, that ld.so is answered.
    pub fn answered(&self) -> &[u8] {
        self.answer.as_bytes()
    }

    /// The declared files that were looked at on the way.
    pub fn take_considered(&mut self) -> Vec<Considered> {
        std::mem::take(&mut self.considered.0)
    }

    /// The places of the search that were looked at on the way.
    pub fn take_seen(&mut self) -> Vec<Seen> {
        self.files.take_seen()
    }

    /// The number of a declared entry, from 1, by the path of a file that it has.
    pub fn number_of(&self, file: &[u8]) -> Option<usize> {
        let (directory, _) = split_directory(file)?;
        let is_it = |entry: &[u8]| entry == file || trim(entry) == trim(directory);
        entries_from(self.environment.declared, 0).position(|(entry, _)| is_it(entry.path)).map(|nth| nth + 1)
    }

    /// How many entries are declared.
    pub fn declared(&self) -> usize {
        entries_from(self.environment.declared, 0).count()
    }

    /// Whether there is something to be handed out.
    fn hands_out(&self) -> bool {
        !self.environment.declared.is_empty() || self.files.indices().is_some_and(|indices| !indices.is_empty())
    }

    fn begin(&mut self) {
        self.files.begin();
        self.considered.0.clear();
    }

    /// As the auditor looks, which does not ask what the processor has.
    fn look(
        &mut self,
        ask: impl FnOnce(&mut Lookup<'_, Objects, Files>, &mut PathBuf, &mut Notes) -> Outcome,
    ) -> Outcome {
        let (image, drivers) = (self.image, self.hands_out());
        let search = Search {
            objects: &self.objects,
            files: &mut self.files,
            image: &mut || Ok(image),
            library_path: self.environment.library_path,
            platform: OWN.name.as_bytes(),
            processor: None,
            trusts_cache: false,
            path: &mut self.path,
        };
        let mut lookup = Lookup {
            search,
            is_beyond_paths: false,
            explicit_loader: false,
            catalogue: &self.catalogue,
            glibc: &mut self.glibc,
            hints: self.environment.hints(),
            drivers,
            hint: None,
        };
        ask(&mut lookup, &mut self.answer, &mut self.considered)
    }
}

impl origin::World for World {
    type Id = usize;

    fn setting(&self) -> Setting {
        Setting {
            uses_index: self.environment.library_path.is_empty(),
            has_declared: !self.environment.declared.is_empty(),
            hands_out: self.hands_out(),
            says_all: false,
        }
    }

    fn main(&self) -> Option<usize> {
        Some(0)
    }

    fn own_glibc(&self) -> Option<&[u8]> {
        split_directory(&self.objects.get(self.objects.libc()?).name).map(|(directory, _)| directory)
    }

    fn indexed(&mut self, requester: usize) -> Option<(Index<'static>, File<'static>)> {
        let indices = self.files.indices()?;
        if requester == 0 { indices.main() } else { indices.find(&self.objects.get(requester).name) }
    }

    fn ends_in(&mut self, directory: &[u8], soname: &[u8]) -> Result<bool, Unsure> {
        let mut ends = Err(Unsure::LoaderImage);
        self.look(|lookup, _, _| {
            ends = lookup.search.ends_in(directory, soname);
            Outcome::Pass(Pass::NotLast)
        });
        ends
    }

    fn set_answer(&mut self, path: &[u8]) -> Option<()> {
        self.answer.set(&[path])
    }

    fn is_declared(&mut self, soname: &[u8]) -> bool {
        self.catalogue.candidates(soname).next().is_some()
    }

    fn hint(&self, soname: &[u8]) -> Option<&'static [u8]> {
        self.files.indices().filter(|_| self.environment.hints())?.hint(soname)
    }

    fn look_up(&mut self, asked: Asked<'_>, requester: usize, known: Known) -> Outcome {
        self.look(|lookup, answer, notes| {
            lookup.is_beyond_paths = known.is_beyond_paths;
            lookup.hint = known.hint;
            lookup.at_origin(asked, requester, answer, notes)
        })
    }
}

/// What a program would be started with from here, and whether an auditor of ours takes part.
fn environment() -> (Environment<'static>, bool) {
    let entry = |(name, value): (OsString, OsString)| [name.as_bytes(), b"=", value.as_bytes()].concat();
    let block = std::env::vars_os().map(entry);
    let block: &'static [Vec<u8>] = Box::leak(block.collect());
    let environment = Environment::read(block.iter().map(Vec::as_slice));
    let auditors = std::env::var_os("LD_AUDIT").unwrap_or_default();
    let is_ours = |path: &[u8]| split_directory(path).is_some_and(|(_, name)| name == AUDITOR.as_bytes());
    let is_there = |path: &[u8]| platform::path_for(path_of(path), OWN.name).is_none_or(|path| path.exists());
    let is_audited = auditors.as_bytes().split(|&byte| byte == b':').any(|path| is_ours(path) && is_there(path));
    (environment, is_audited && !environment.disabled)
}

fn trim(directory: &[u8]) -> &[u8] {
    let slashes = directory.iter().rev().take_while(|&&byte| byte == b'/').count();
    &directory[..directory.len() - slashes]
}

/// What is said of declared files.
struct Notes(Vec<Considered>);

impl Witness for Notes {
    fn missed(&mut self, _soname: &[u8]) {}

    fn considered(&mut self, path: &[u8], verdict: Result<(), &Skip>) {
        self.0.push(Considered { path: path.to_vec(), verdict: verdict.map_err(|skip| *skip) });
    }
}

/// Whom nobody reads.
struct Nobody;

impl Sink for Nobody {
    fn level(&self) -> Level {
        Level::Off
    }

    fn write(&mut self, _pieces: &[&[u8]]) {}
}

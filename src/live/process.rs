//! This process: what is known of it, and what ld.so is answered.

use core::ffi::CStr;

use rustix::fs::{CWD, readlinkat_raw};

use super::files::LiveFiles;
use super::index_file::Indices;
use super::link_map::{LoadedObject, LoaderBase};
use super::links::Links;
use super::listing;
use super::log_file::LogFile;
use super::objects::{LiveObjects, program_origin};
use super::published::Published;
use super::start::{Room, Start, keep};
use crate::catalogue::Catalogue;
use crate::environment::{Environment, Level, split_directory};
use crate::index::{File, Index};
use crate::loader_image::LoaderImage;
use crate::log::{self, Sink};
use crate::lookup::{Asked, Lookup};
use crate::origin::{self, Known, Setting, World};
use crate::outcome::{Outcome, Pass, Unsure};
use crate::own_glibc;
use crate::path::PathBuf;
use crate::search::Search;
use crate::tokens::has_token;
use crate::views::SearchPaths;

/// At which stage of its search ld.so asks (`LA_SER_*` of link.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before any search, with the name as it is asked for: LA_SER_ORIG.
    Origin,
    /// With a path in a default directory: LA_SER_DEFAULT.
    Default,
}

impl Stage {
    /// The answer of this stage: ld.so may still read that of the one when it asks for the other.
    fn answer(self, [origin, later]: &mut [PathBuf; 2]) -> &mut PathBuf {
        if self == Self::Origin { origin } else { later }
    }
}

/// Room to work in, in static memory: a thread's stack may be small.
pub struct Buffers {
    path: PathBuf,
    /// See [`Stage::answer`].
    answers: [PathBuf; 2],
    /// The path of this process's glibc.
    glibc: PathBuf,
}

impl Buffers {
    /// Zeros.
    pub const fn new() -> Self {
        Self { path: PathBuf::new(), answers: [PathBuf::new(), PathBuf::new()], glibc: PathBuf::new() }
    }
}

/// Whether an auditor does no harm under a ld.so that speaks this version of the interface. On aarch64 before 2.35, which
/// speaks 2, the code that ld.so puts between caller and callee for any auditor clobbers x8, where a function is told to
/// leave a structure that it returns (sysdeps/aarch64/dl-trampoline.S).
fn is_safe_with(version: u32) -> bool {
    !cfg!(target_arch = "aarch64") || version >= 2
}

/// The state of the auditor. There is one, in static memory, which ld.so's lock guards.
pub struct Process {
    /// What was asked for; `None` when the auditor takes no part.
    environment: Option<Environment<'static>>,
    /// AT_PLATFORM.
    platform: Option<&'static [u8]>,
    /// Where ld.so is, and whether that had to be found out, since the program was started through it by name.
    loader: Option<LoaderBase>,
    explicit_loader: bool,
    main: Option<LoadedObject>,
    /// What `$ORIGIN` of the program means.
    origin: Result<Option<&'static [u8]>, Unsure>,
    /// The object whose lookup came last: what is opened next was loaded for it.
    requester: Option<LoadedObject>,
    /// What is opened next was asked for by dlopen: ld.so gives it no loader.
    opens_root: bool,
    links: &'static Links,
    /// What [`Links::closes`] was when what is remembered of objects was looked at last.
    closes: usize,
    /// What was not decided at [`Stage::Origin`] may be at [`Stage::Default`].
    net: bool,
    catalogue: Published<Catalogue<'static>>,
    /// AT_EXECFN.
    program: &'static [u8],
    /// Its libc.so.6, once it is loaded.
    libc: Option<LoadedObject>,
    /// The last object that was asked for its DT_RPATH.
    has_rpath: Published<(LoadedObject, bool)>,
    /// The last requester that an index has, there.
    indexed: Published<(LoadedObject, Index<'static>, File<'static>)>,
    image: Published<Option<LoaderImage<'static>>>,
    files: LiveFiles,
    log: LogFile,
}

impl Process {
    /// Nothing is known yet.
    pub const fn new(links: &'static Links) -> Self {
        Self {
            environment: None,
            platform: None,
            loader: None,
            explicit_loader: false,
            main: None,
            origin: Err(Unsure::ProgramOrigin),
            requester: None,
            opens_root: false,
            links,
            closes: 0,
            net: false,
            catalogue: Published::new(),
            program: b"",
            libc: None,
            has_rpath: Published::new(),
            indexed: Published::new(),
            image: Published::new(),
            files: LiveFiles::new(),
            log: LogFile::new(),
        }
    }

    /// Takes in what the process was started with.
    pub fn start(&mut self, start: &Start, log_path: &'static mut PathBuf) {
        // A program with more rights than its caller is none of our business, nor is the caller's environment the program's.
        if start.secure {
            return;
        }
        let environment = start.environment();
        if environment.disabled {
            return;
        }
        self.loader = start.loader;
        self.explicit_loader = start.loader.is_none();
        self.platform = Some(start.platform());
        self.program = start.program();
        self.log.configure(environment.level, environment.log_file, log_path);
        self.environment = Some(environment);
        if environment.childless {
            start.keep_from_children();
        }
        log::command_line(&mut self.log, start.arguments());
        self.log.close();
    }

    /// Whether to take part, for ld.so that speaks this version of the auditing interface. Nothing else has run yet.
    pub fn join(&mut self, version: u32, buffers: &mut Buffers, room: &'static mut Room) -> bool {
        let Some(environment) = self.environment else { return false };
        let joins = is_safe_with(version);
        log::version(&mut self.log, version);
        if joins {
            self.prepare(environment, buffers, room);
        } else {
            log::declined(&mut self.log);
        }
        self.log.close();
        joins
    }

    /// Opens the index files, and keeps of the environment what they do not have.
    fn prepare(&mut self, mut environment: Environment<'static>, buffers: &mut Buffers, room: &'static mut Room) {
        if !environment.index.is_empty() {
            self.open_indices(buffers, environment.index);
        }
        let indexed = self.files.indices().and_then(|indices| indices.declared(environment.declared));
        // Without anything to hand out or to say, nothing of it is looked at again.
        if !environment.declared.is_empty() || self.files.indices().is_some() || environment.level != Level::Off {
            let declared = environment.declared;
            let same = indexed.map(|index| index.declared()).filter(|indexed| indexed.len() == declared.len());
            if same.is_some() {
                environment.declared = b"";
            }
            environment = keep(environment, room);
            self.log.rename(environment.log_file);
            environment.declared = same.unwrap_or(environment.declared);
        }
        self.environment = Some(environment);
    }

    /// ld.so begins to add objects: the next one is what dlopen was asked for, or the first of the program's.
    pub fn begin(&mut self) {
        self.opens_root = true;
    }

    /// Whether the next object that ld.so reports in the program's namespace is itself, and is not known yet: after the program.
    pub fn expects_loader(&self) -> bool {
        self.main.is_some() && self.loader.is_none()
    }

    /// Where ld.so is, if the kernel did not say.
    pub fn found_loader(&mut self, loader: Option<LoaderBase>) {
        self.loader = loader;
    }

    /// ld.so has mapped an object, in the namespace of the program or in another. The first one in its own is the program.
    pub fn opened(&mut self, object: LoadedObject, is_main_namespace: bool) {
        let Some(main) = self.main else {
            // Before the program come the auditors behind us, with what they need: each in a namespace that may go again.
            if is_main_namespace {
                self.main = Some(object);
                self.origin = self.read_origin(object);
            }
            self.requester = None;
            return;
        };
        if is_main_namespace && self.libc.is_none() && object.is_at(own_glibc::LIBC) {
            self.libc = Some(object);
        }
        self.forget_closed();
        let is_root = core::mem::take(&mut self.opens_root);
        let requester = self.requester.take();
        self.log.forget_open();
        log::loaded(&mut self.log, object.name(), requester.map(LoadedObject::name));
        self.log.close();
        if let Some(loader) = requester {
            // The program's own RPATH is searched in any case.
            let matters = loader != main && self.links.loader(loader) != Ok(None);
            let has_rpath = loader != main && self.has_rpath(loader);
            if !is_root && (matters || has_rpath) {
                self.links.insert(object, loader);
            }
        }
    }

    /// What `$ORIGIN` of the program means, where it is said.
    fn read_origin(&self, main: LoadedObject) -> Result<Option<&'static [u8]>, Unsure> {
        let Environment { library_path, origin_path, .. } = self.environment.unwrap_or_default();
        let SearchPaths { rpath, runpath, .. } = main.search_paths();
        let is_said = [Some(library_path), rpath, runpath].into_iter().flatten().any(has_token);
        if is_said { program_origin(origin_path) } else { Err(Unsure::ProgramOrigin) }
    }

    /// Whether an object has a DT_RPATH. What one object needs is opened in a row.
    fn has_rpath(&mut self, object: LoadedObject) -> bool {
        match self.has_rpath.get() {
            Some((last, has_rpath)) if *last == object => *has_rpath,
            _ => {
                let has_rpath = object.has_rpath();
                self.has_rpath.take();
                self.has_rpath.set((object, has_rpath));
                has_rpath
            }
        }
    }

    /// Forgets what is remembered of single objects, once some have been closed: another may be in the place of one. (The libc.so.6 of
    /// the program stays to its end.)
    fn forget_closed(&mut self) {
        let closes = self.links.closes();
        if closes != self.closes {
            self.closes = closes;
            self.has_rpath.take();
            self.indexed.take();
            self.requester = None;
        }
    }

    /// What ld.so shall look for in place of `name`, with a closing NUL. `None` for the name itself.
    pub fn search<'b>(
        &mut self,
        buffers: &'b mut Buffers,
        name: &CStr,
        requester: LoadedObject,
        stage: Stage,
    ) -> Option<&'b [u8]> {
        self.forget_closed();
        self.log.forget_open();
        self.files.begin();
        let outcome = match stage {
            Stage::Origin => self.at_origin(buffers, name, requester),
            Stage::Default if self.net => self.at_default(buffers, name, requester),
            Stage::Default => return None,
        };
        self.log.close();
        let answer = stage.answer(&mut buffers.answers);
        match outcome {
            Outcome::Bare(_) => {
                let asked = Asked::new(name.to_bytes()).ok()?;
                answer.set(&[asked.soname]).map(|()| answer.with_nul())
            }
            Outcome::Pass(_) => None,
            _ => Some(answer.with_nul()),
        }
    }

    /// Opens the index files.
    fn open_indices(&mut self, buffers: &mut Buffers, list: &[u8]) {
        let complain = |path: &[u8], reason: &[u8]| log::index(&mut self.log, path, reason);
        let mut indices = Indices::open(list, &mut buffers.path, self.program, complain);
        if !indices.is_empty() && !indices.has_main() {
            indices.set_main(program(&mut buffers.path));
        }
        self.files.set_indices(indices);
    }

    fn at_origin(&mut self, buffers: &mut Buffers, name: &CStr, requester: LoadedObject) -> Outcome {
        self.requester = Some(requester);
        self.net = false;
        let outcome = origin::answer(&mut Callback { process: self, buffers }, name.to_bytes(), requester);
        self.say(buffers, name, outcome, Stage::Origin);
        outcome
    }

    /// Whether a lookup may come to something else where ld.so looks last.
    fn may_change(&self, outcome: Outcome) -> bool {
        match outcome {
            // What we took for ld.so's own business may still come to nothing.
            Outcome::Pass(Pass::Found(_) | Pass::Unsure(_)) => true,
            // A path with tokens can be handed out only there.
            Outcome::Pass(Pass::NoneFits) => has_token(self.declared()),
            _ => false,
        }
    }

    fn at_default(&mut self, buffers: &mut Buffers, candidate: &CStr, requester: LoadedObject) -> Outcome {
        let outcome = self.look_up(buffers, Stage::Default, |lookup, answer, log| {
            lookup.at_default(candidate.to_bytes(), requester, answer, log)
        });
        if matches!(outcome, Outcome::Redirect | Outcome::Driver) {
            self.say(buffers, candidate, outcome, Stage::Default);
        }
        outcome
    }

    fn say(&mut self, buffers: &mut Buffers, name: &CStr, outcome: Outcome, stage: Stage) {
        let path = match outcome {
            Outcome::Pass(_) | Outcome::Bare(_) => &mut buffers.path,
            _ => stage.answer(&mut buffers.answers),
        };
        log::outcome(&mut self.log, name.to_bytes(), outcome, path.as_bytes());
    }

    // Most names pass, and shall do so without the room that this takes on the stack.
    #[inline(never)]
    fn look_up(
        &mut self,
        buffers: &mut Buffers,
        stage: Stage,
        ask: impl FnOnce(&mut Lookup<'_, LiveObjects<'_>, LiveFiles>, &mut PathBuf, &mut LogFile) -> Outcome,
    ) -> Outcome {
        let (Some(main), Some(environment)) = (self.main, &self.environment) else {
            return Outcome::Pass(Pass::NotDeclared);
        };
        let drivers = self.hands_out();
        // For the glibc family nothing need have been read.
        let unread = Catalogue::unlisted(b"", None);
        let catalogue = self.catalogue.get().unwrap_or(&unread);
        let first = self.requester.map_or(main, LoadedObject::first);
        let objects = LiveObjects { main, first, libc: self.libc, links: self.links, origin: self.origin };
        let mut image = || {
            if self.image.get().is_none() {
                self.image.set(self.loader.and_then(LoaderBase::read_image));
            }
            self.image.get().copied().flatten().ok_or(Unsure::LoaderImage)
        };
        let search = Search {
            objects: &objects,
            files: &mut self.files,
            image: &mut image,
            library_path: environment.library_path,
            platform: self.platform.unwrap_or_default(),
            processor: None,
            trusts_cache: false,
            path: &mut buffers.path,
        };
        let (explicit_loader, hints) = (self.explicit_loader, environment.hints());
        let glibc = &mut buffers.glibc;
        let mut lookup =
            Lookup { search, is_beyond_paths: false, explicit_loader, catalogue, glibc, hints, drivers, hint: None };
        ask(&mut lookup, stage.answer(&mut buffers.answers), &mut self.log)
    }

    /// Whether there is something to be handed out.
    fn hands_out(&self) -> bool {
        !self.declared().is_empty() || self.files.indices().is_some_and(|indices| !indices.is_empty())
    }

    fn declared(&self) -> &'static [u8] {
        self.environment.map(|environment| environment.declared).unwrap_or_default()
    }
}

/// The process while ld.so waits for the answer to a name.
struct Callback<'c> {
    process: &'c mut Process,
    buffers: &'c mut Buffers,
}

impl World for Callback<'_> {
    type Id = LoadedObject;

    fn setting(&self) -> Setting {
        let environment = self.process.environment.unwrap_or_default();
        let is_plain = environment.library_path.is_empty() && !self.process.explicit_loader && !environment.is_traced;
        Setting {
            uses_index: is_plain && self.process.main.is_some(),
            has_declared: !environment.declared.is_empty(),
            hands_out: self.process.hands_out(),
            says_all: self.process.log.level() >= Level::Info,
        }
    }

    fn main(&self) -> Option<LoadedObject> {
        self.process.main
    }

    fn own_glibc(&self) -> Option<&[u8]> {
        split_directory(self.process.libc?.name()).map(|(directory, _)| directory)
    }

    /// ld.so asks for all that an object needs before it goes on to the next.
    fn indexed(&mut self, object: LoadedObject) -> Option<(Index<'static>, File<'static>)> {
        let process = &mut *self.process;
        if process.indexed.get().is_none_or(|(requester, ..)| *requester != object) {
            let indices = process.files.indices()?;
            let (index, file) =
                if Some(object) == process.main { indices.main() } else { indices.find(object.name()) }?;
            process.indexed.take();
            process.indexed.set((object, index, file));
        }
        process.indexed.get().map(|(_, index, file)| (*index, *file))
    }

    #[inline(never)]
    fn ends_in(&mut self, directory: &[u8], soname: &[u8]) -> Result<bool, Unsure> {
        let mut ends = Err(Unsure::LoaderImage);
        self.process.look_up(self.buffers, Stage::Origin, |lookup, _, _| {
            ends = lookup.search.ends_in(directory, soname);
            Outcome::Pass(Pass::NotLast)
        });
        ends
    }

    fn set_answer(&mut self, path: &[u8]) -> Option<()> {
        Stage::Origin.answer(&mut self.buffers.answers).set(&[path])
    }

    /// The directories are read on the first need.
    #[inline(never)]
    fn is_declared(&mut self, soname: &[u8]) -> bool {
        let (process, buffers) = (&mut *self.process, &mut *self.buffers);
        if process.catalogue.get().is_none() {
            let (declared, indices) = (process.declared(), process.files.indices());
            let catalogue = listing::list(declared, indices, &mut buffers.path, &mut process.log);
            process.catalogue.set(catalogue);
        }
        process.catalogue.get().is_some_and(|catalogue| catalogue.candidates(soname).next().is_some())
    }

    fn hint(&self, soname: &[u8]) -> Option<&'static [u8]> {
        let says = self.process.environment.is_some_and(|environment| environment.hints());
        self.process.files.indices().filter(|_| says)?.hint(soname)
    }

    fn look_up(&mut self, asked: Asked<'_>, requester: LoadedObject, known: Known) -> Outcome {
        let outcome = self.process.look_up(self.buffers, Stage::Origin, |lookup, answer, log| {
            lookup.is_beyond_paths = known.is_beyond_paths;
            lookup.hint = known.hint;
            lookup.at_origin(asked, requester, answer, log)
        });
        self.process.net = (known.is_declared || known.is_driver) && self.process.may_change(outcome);
        outcome
    }
}

/// The path of the program, as the kernel has it. Empty without /proc.
fn program(path: &mut PathBuf) -> &[u8] {
    path.clear();
    let readlink = |room: &mut [u8]| readlinkat_raw(CWD, c"/proc/self/exe", &mut *room).ok();
    match path.push_with(readlink) {
        Some(()) => path.as_bytes(),
        None => b"",
    }
}

//! The cases, by theme. Each is a function that makes a claim, on whatever channel and in whatever view it is given.

use std::path::Path;

use anyhow::Result;
use suite::bed::Bed;
use suite::manifest::{Channel, Manifest, View};

mod auditors;
mod both_classes;
mod brings;
mod candidates;
mod channels;
mod claims;
mod costs;
mod damaged;
mod declined;
mod drivers;
mod environment;
mod explain;
mod file;
mod found;
mod glibc;
mod hints;
mod hostile;
mod hostile_calls;
mod hygiene;
mod index;
mod index_declared;
mod index_files;
mod index_live;
mod index_oracle;
mod index_paths;
mod index_search;
mod index_start;
mod inherit;
mod log_files;
mod log_planted;
mod logging;
mod machine;
mod matrix;
mod names;
mod never_replaced;
mod old_glibc;
mod own_glibc;
mod programs;
mod property;
mod refusal;
mod requesters;
mod secure;
mod static_tls;
mod sweep;
mod users;
mod users_machine;
mod versions;
pub mod wrapper;

type Check = dyn Fn(&Bed) -> Result<()> + Send + Sync;
type Condition = dyn Fn(&Manifest, &Channel, View) -> bool + Send;

/// A claim about the auditor in a process.
pub struct Case {
    /// Whether it is a case of where the auditor declines.
    declined: bool,
    /// Its name in the trial's.
    pub name: String,
    /// What proves it.
    pub check: Box<Check>,
    applies: Vec<Box<Condition>>,
}

/// A claim about the file `rtld_loader.so` itself, or about all cases.
pub struct FileCase {
    /// Its name in the trial's.
    pub name: &'static str,
    /// What proves it.
    pub check: fn(&Manifest) -> Result<()>,
}

impl Case {
    fn new(name: impl Into<String>, check: impl Fn(&Bed) -> Result<()> + Send + Sync + 'static) -> Case {
        Case { declined: false, name: name.into(), check: Box::new(check), applies: Vec::new() }
    }

    /// A case of some views only.
    fn views(mut self, views: &'static [View]) -> Case {
        self.applies.push(Box::new(move |_, _, view| views.contains(&view)));
        self
    }

    /// A case that needs a place where no library of the machine is in ld.so's reach.
    fn store_only(mut self) -> Case {
        self.applies.push(Box::new(|_, channel, view| {
            let store = channel.default_directories.iter().all(|directory| directory.starts_with("/nix/store"));
            view == View::Nix || store
        }));
        self
    }

    /// A case of what glibc can do from this version on.
    fn since(mut self, version: (u32, u32)) -> Case {
        self.applies.push(Box::new(move |_, channel, _| channel.version() >= version));
        self
    }

    /// A case of what glibc could do before this version.
    fn before(mut self, version: (u32, u32)) -> Case {
        self.applies.push(Box::new(move |_, channel, _| channel.version() < version));
        self
    }

    /// A case of where the auditor declines. All others are of where it does not.
    fn where_the_auditor_declines(mut self) -> Case {
        self.declined = true;
        self
    }

    /// A case of one kind of machine, as Nix names it.
    fn system(mut self, system: &'static str) -> Case {
        self.applies.push(Box::new(move |_, channel, _| channel.system == system));
        self
    }

    /// A case of the machine's own programs and libraries, which have to be of the channel's kind.
    fn of_the_machine(mut self) -> Case {
        self.applies.push(Box::new(|_, channel, _| channel.is_of_this_machine()));
        self
    }

    /// A case of the distribution view in which a program finds glibc on the machine.
    fn glibc_of_the_machine(mut self) -> Case {
        self.applies.push(Box::new(|_, channel, view| view != View::Distribution || channel.is_of_this_machine()));
        self
    }

    /// A case of what several channels do together.
    fn several_channels(mut self) -> Case {
        self.applies.push(Box::new(|manifest, _, _| manifest.channels.len() > 1));
        self
    }

    /// A case of a channel with older ones beside it.
    fn beside_older_channels(mut self) -> Case {
        self.applies.push(Box::new(|manifest, channel, _| {
            manifest.channels.iter().any(|other| other.version() < channel.version())
        }));
        self
    }

    /// A case of what a channel has that not every one has.
    fn channel(mut self, has: fn(&Channel) -> bool) -> Case {
        self.applies.push(Box::new(move |_, channel, _| has(channel)));
        self
    }

    /// A case of programs of both classes.
    fn with_sibling(mut self) -> Case {
        self.applies.push(Box::new(|manifest, _, _| manifest.sibling.is_some()));
        self
    }

    /// A case that is seen only with a tool, which not every build sandbox has, and some of which an emulator is in the way of.
    fn tool(mut self, name: &'static str) -> Case {
        self.applies.push(Box::new(move |manifest, _, view| {
            let is_there = view != View::Direct && !manifest.emulated;
            is_there || manifest.tools.contains_key(name)
        }));
        self
    }

    /// A case of what the kernel itself lets a process do: an emulator is in the way of that.
    fn not_emulated(mut self) -> Case {
        self.applies.push(Box::new(|manifest, _, _| !manifest.emulated));
        self
    }

    /// Whether the case can be seen there.
    pub fn applies(&self, manifest: &Manifest, channel: &Channel, view: View) -> bool {
        let declines = channel.system == "aarch64-linux" && channel.version() < (2, 35);
        self.declined == declines && self.applies.iter().all(|condition| condition(manifest, channel, view))
    }
}

/// The cases that are tried on every channel in every view.
pub fn all() -> Vec<Case> {
    let themes = [
        found::cases(),
        never_replaced::cases(),
        machine::cases(),
        names::cases(),
        candidates::cases(),
        damaged::cases(),
        glibc::cases(),
        own_glibc::cases(),
        versions::cases(),
        brings::cases(),
        requesters::cases(),
        refusal::cases(),
        hints::cases(),
        drivers::cases(),
        old_glibc::cases(),
        declined::cases(),
        environment::cases(),
        secure::cases(),
        logging::cases(),
        log_files::cases(),
        log_planted::cases(),
        hygiene::cases(),
        hostile::cases(),
        hostile_calls::cases(),
        costs::cases(),
        index::cases(),
        index_search::cases(),
        index_start::cases(),
        index_declared::cases(),
        index_files::cases(),
        index_live::cases(),
        index_oracle::cases(),
        index_paths::cases(),
        channels::cases(),
        wrapper::cases(),
        explain::cases(),
        inherit::cases(),
        auditors::cases(),
        both_classes::cases(),
        static_tls::cases(),
        programs::cases(),
        property::cases(),
        users::cases(),
        users_machine::cases(),
        matrix::cases(),
        sweep::cases(),
    ];
    themes.into_iter().flatten().collect()
}

/// The cases about the audit library as a file, and about what is said of it.
pub fn auditor() -> Vec<FileCase> {
    [file::cases(), claims::cases()].into_iter().flatten().collect()
}

/// The line that `fixtures/open.c` prints for a library that answers `who`, and that ld.so knows as `path`.
fn line(who: &str, path: &Path) -> String {
    format!("{who} {}", path.display())
}

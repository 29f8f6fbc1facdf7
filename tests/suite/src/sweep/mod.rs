//! The transparency sweep: every program does the same with the auditor as without.
//!
//! Each dynamic program is started in a sandbox ([`sandbox`]) in four ways, without the auditor and in two environments:
//! one of plain variables, and one with an index. Both declare libraries that shadow those of the programs: all that the
//! channels have, and the glibc of each. What differs ([`compare`]) has to be explained in a file ([`known`]).

pub mod compare;
pub mod known;
pub mod programs;
pub mod report;
pub mod sandbox;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZero;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::bed::Bed;
use crate::manifest::{Manifest, View};
use crate::process;
use compare::{Verdict, What};
use programs::Program;
use sandbox::{End, Sandbox};

/// Says what a program has loaded, in its place: see the file.
const LIST: &str = include_str!("../../fixtures/list.c");
/// The variable of the index.
const INDEX: &str = "REPLIT_RTLD_INDEX";

/// A start that takes longer goes on for ever, unless the machine is busy.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// What a start gets that is to decide.
const LONG_TIME_LIMIT: Duration = Duration::from_secs(30);

/// A set of variables that has the auditor in it.
struct Environment {
    name: &'static str,
    variables: Vec<(String, OsString)>,
}

/// What came of one program.
pub struct Swept {
    /// Which one.
    pub program: Program,
    /// A library is missing without the auditor: there is nothing to compare.
    pub lacks_a_library: bool,
    /// It does not come to its constructors, so that nobody says what it has loaded.
    pub is_unseen: bool,
    /// It goes on for ever in some way to start it.
    pub goes_on: bool,
    /// It does not say the same twice without the auditor.
    pub varies: bool,
    /// What differs with the auditor.
    pub differences: Vec<Difference>,
}

/// A start that went another way with the auditor.
pub struct Difference {
    /// Which start.
    pub what: What,
    /// In which environment.
    pub environment: &'static str,
    /// What was seen without and with the auditor.
    pub text: String,
}

/// Sweeps over `programs`. `progress` hears of each one that is done.
pub fn sweep(
    manifest: &Manifest,
    programs: Vec<Program>,
    outputs: &[&Path],
    progress: &(dyn Fn(&Path) + Sync),
) -> Result<Vec<Swept>> {
    // What is built for the oldest glibc can be loaded beside any.
    let oldest = manifest.channels.iter().min_by_key(|channel| channel.version()).context("there is a channel")?;
    let bed = Bed::new(manifest, oldest, View::Distribution)?;
    let libc = oldest.glibc_lib.join("libc.so.6");
    let list = bed.library("liblist.so").source(LIST).needs(&libc).build()?;
    let environments = environments(&bed, outputs)?;
    let sandbox = Sandbox::new(manifest.tool("bwrap")?, bed.root());
    let auditor = environments[0].variables.iter().find(|(name, _)| name == "LD_AUDIT");
    let auditor = auditor.context("the environment has no auditor")?.1.to_string_lossy().into_owned();
    let sweeper = Sweeper { sandbox, list: list.into(), auditor, environments };

    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, Swept)>> {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(program) = programs.get(number) else { return Ok(done) };
            done.push((number, sweeper.one(program).with_context(|| program.path.display().to_string())?));
            progress(&program.path);
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let done = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("errors are returned")).collect::<Result<Vec<_>>>()
    })?;
    let mut all: Vec<(usize, Swept)> = done.into_iter().flatten().collect();
    all.sort_by_key(|(number, _)| *number);
    Ok(all.into_iter().map(|(_, swept)| swept).collect())
}

/// The environments: what the generator makes of all libraries of all channels, and of their glibcs.
fn environments(bed: &Bed, outputs: &[&Path]) -> Result<[Environment; 2]> {
    let out = bed.path("env");
    let mut generator = Command::new(&bed.manifest.replit_env_cli);
    generator.args(["generate", "--out"]).arg(&out).arg("--auditor").arg(&bed.manifest.auditor);
    for channel in &bed.manifest.channels {
        for library in channel.libraries.values() {
            generator.arg("--lib-of").arg(library);
        }
    }
    for channel in &bed.manifest.channels {
        generator.arg("--lib").arg(&channel.glibc_lib);
    }
    for output in outputs {
        generator.arg("--bin-of").arg(output);
    }
    process::succeed(&mut generator)?;

    let script = out.join("bin/replit-env");
    let mut printer = Command::new(&script);
    let printed = printer.arg("--print-env=json").env_clear().output()?;
    ensure!(printed.status.success(), "{} fails: {}", script.display(), String::from_utf8_lossy(&printed.stderr));
    let mut variables: BTreeMap<String, String> = serde_json::from_slice(&printed.stdout)?;
    // Programs see the same of it without the auditor.
    variables.remove("PATH");
    let list = |without: &str| {
        let some = variables.iter().filter(|(name, _)| *name != without);
        some.map(|(name, value)| (name.clone(), value.into())).collect()
    };
    ensure!(variables.contains_key(INDEX), "the environment has no index: {variables:?}");
    Ok([Environment { name: "variables", variables: list(INDEX) }, Environment { name: "index", variables: list("") }])
}

struct Sweeper {
    sandbox: Sandbox,
    list: OsString,
    auditor: String,
    environments: [Environment; 2],
}

impl Sweeper {
    fn one(&self, program: &Program) -> Result<Swept> {
        let mut swept = Swept {
            program: program.clone(),
            lacks_a_library: false,
            is_unseen: false,
            goes_on: false,
            varies: false,
            differences: Vec::new(),
        };
        for what in What::ALL {
            let plain = self.end(program, what, None, TIME_LIMIT)?;
            if compare::lacks_a_library(&plain) {
                swept.lacks_a_library = true;
                break;
            }
            swept.is_unseen |= what == What::Loaded && !plain.stdout.lines().any(|line| line == self.list);
            for environment in &self.environments {
                let audited = self.end(program, what, Some(environment), TIME_LIMIT)?;
                match self.verdict(program, what, environment, &plain, audited)? {
                    Verdict::Same => {}
                    Verdict::Varies => swept.varies = true,
                    Verdict::Differs(text) => {
                        swept.differences.push(Difference { what, environment: environment.name, text });
                    }
                }
            }
            swept.goes_on |= plain.goes_on();
        }
        Ok(swept)
    }

    /// Says how two starts differ, with more starts if they do.
    fn verdict(
        &self,
        program: &Program,
        what: What,
        environment: &Environment,
        plain: &End,
        audited: End,
    ) -> Result<Verdict> {
        if audited == *plain {
            return Ok(Verdict::Same);
        }
        let again = || self.end(program, what, None, LONG_TIME_LIMIT);
        let mut plains = vec![again()?, again()?];
        // On a busy machine a start may be slow, with or without.
        let audited = if plain.goes_on() || audited.goes_on() {
            self.end(program, what, Some(environment), LONG_TIME_LIMIT)?
        } else {
            audited
        };
        if !plain.goes_on() {
            plains.push(plain.clone());
        }
        Ok(compare::verdict(&plains, &audited))
    }

    fn end(&self, program: &Program, what: What, environment: Option<&Environment>, limit: Duration) -> Result<End> {
        let mut variables: Vec<(&str, OsString)> = Vec::new();
        for (name, value) in environment.iter().flat_map(|environment| &environment.variables) {
            variables.push((name, value.clone()));
        }
        match what {
            What::Listed => variables.push(("LD_TRACE_LOADED_OBJECTS", "1".into())),
            What::Loaded => variables.push(("LD_PRELOAD", self.list.clone())),
            What::Version | What::Help => {}
        }
        let end = self.sandbox.run(&program.path, what.arguments(), &variables, limit)?;
        Ok(what.normalised(end, &self.auditor))
    }
}

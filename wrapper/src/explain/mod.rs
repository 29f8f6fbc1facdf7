//! `replit-env --explain`: which libraries will be loaded, by which rule each is found, and why one is not.
//!
//! The process is planned as ld.so would build it up (`plan`), with an `edge` for each name, out of what files say
//! (`objects`, `image`) and by the auditor's own decisions (`world`, `files`, `processor`). `subject` finds out what is
//! asked about, `report` and `json` say what came of it, and `observe` runs the program instead and shows what happened.

mod edge;
mod files;
mod image;
mod json;
mod objects;
mod observe;
mod plan;
mod processor;
mod report;
mod subject;
mod world;

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use objects::{Object, path_of};
use report::Report;
use subject::Subject;
use world::World;

/// What the command line asks for.
#[derive(Args)]
pub struct Arguments {
    /// Says which libraries a program, a library or a soname comes to, and why one is missing
    #[arg(long)]
    pub explain: bool,

    /// With --explain: runs a program, and says what was loaded; all that follows is the program and its arguments
    #[arg(long, value_name = "PROGRAM", num_args = 1.., allow_hyphen_values = true, requires = "explain")]
    #[arg(conflicts_with_all = ["by", "what"])]
    observe: Vec<OsString>,

    /// With --explain: the program that opens the library; this helper if not given
    #[arg(long = "for", value_name = "PROGRAM", requires = "explain", id = "by")]
    by: Option<OsString>,

    /// For tools
    #[arg(long, requires = "explain")]
    json: bool,

    /// Whole paths, and each mention of a library
    #[arg(short, long, requires = "explain")]
    verbose: bool,

    /// With --explain: a program, the file of a library, or a soname
    #[arg(value_name = "PROGRAM|FILE|SONAME", hide = true, requires = "explain")]
    what: Option<OsString>,
}

/// Explains. The exit code is 0 if all is found, 1 if something is missing, and 2 if there is nothing to explain.
pub fn run(arguments: &Arguments) -> ExitCode {
    explain(arguments).unwrap_or_else(|error| {
        // Nobody may be there to read it, as behind `2>&1 | head`.
        let _ = writeln!(io::stderr(), "replit-env: {error:#}");
        ExitCode::from(2)
    })
}

fn explain(arguments: &Arguments) -> Result<ExitCode> {
    if let Some((program, rest)) = arguments.observe.split_first() {
        return observe::run(program, rest, arguments.json, arguments.verbose);
    }
    let what = arguments.what.as_ref().context("--explain what? A program, the file of a library, or a soname")?;
    let subject = Subject::find(what)?;
    let (program, script) = match (&subject, &arguments.by) {
        (Subject::Program(path, script), None) => (path.clone(), script.clone()),
        (Subject::Program(..), Some(_)) => bail!("--for is for a library or a soname: {} is a program", what.display()),
        (_, Some(by)) => match Subject::find(by)? {
            Subject::Program(path, script) => (path, script),
            _ => bail!("{} is no program", by.display()),
        },
        (_, None) => (std::env::current_exe().context("cannot tell where this program is")?, None),
    };
    let mut world = world(&program)?;
    plan::start(&mut world);
    let name = match &subject {
        Subject::Program(..) => None,
        Subject::Library(path) => Some(path.as_os_str().as_bytes()),
        Subject::Soname(name) => Some(&name[..]),
    };
    let opened: Vec<_> = name.into_iter().map(|name| plan::open(&mut world, name)).collect();
    let lacking = plan::lacking_versions(&world);
    let report = Report {
        world: &world,
        subject: what.display().to_string(),
        script: script.as_deref(),
        opened: &opened,
        lacking: &lacking,
        is_verbose: arguments.verbose,
    };
    let mut stdout = anstream::stdout().lock();
    let written = match arguments.json {
        true => writeln!(stdout, "{:#}", json::report(&report)),
        false => write!(stdout, "{report}"),
    };
    written.and_then(|()| stdout.flush()).context("cannot write to standard output")?;
    Ok(if report.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The process of a program before anything is loaded into it.
fn world(path: &Path) -> Result<World> {
    let shown = path.display();
    let program = Object::read(path, b"", None).with_context(|| format!("cannot read {shown}"))?;
    let interpreter =
        program.file.interpreter.clone().with_context(|| format!("{shown} is not started by an ld.so"))?;
    let loader = Object::read(path_of(&interpreter), &interpreter, None);
    let loader =
        loader.with_context(|| format!("{shown} is started by {}, which is not there", report::text(&interpreter)))?;
    World::new(program, loader).with_context(|| format!("cannot explain {shown}"))
}

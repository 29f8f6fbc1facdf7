//! Starting a program in a view, without and with the auditor.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use process_control::{ChildExt, Control};

use crate::bed::Bed;
use crate::manifest::View;
use crate::outcome::Outcome;
use crate::process;
use crate::trace::{self, Trace, Whose};

/// Longer than any trial takes on a busy machine; a program that waits for a FIFO would take for ever.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// The same under an emulator.
const EMULATED_TIME_LIMIT: Duration = Duration::from_secs(120);
/// The same for a start where each of many thousand calls is held up.
const DELAYED_TIME_LIMIT: Duration = Duration::from_secs(600);

/// How long a call that names a file is held up, as by a round trip to a file server.
pub const DELAY: Duration = Duration::from_millis(1);

/// One way to start a program. Its environment holds only what is said here.
#[derive(Clone)]
pub struct Run<'b> {
    bed: &'b Bed<'b>,
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    binds: Vec<(PathBuf, PathBuf)>,
    working_directory: PathBuf,
    proc: bool,
    default_directories: bool,
    tracer: Option<Tracer>,
    time_limit: Duration,
}

/// strace, and what it is told besides.
#[derive(Clone)]
struct Tracer {
    log: PathBuf,
    options: Vec<String>,
}

impl<'b> Run<'b> {
    pub(crate) fn new(bed: &'b Bed<'b>, program: PathBuf) -> Self {
        Run {
            bed,
            program,
            arguments: Vec::new(),
            environment: Vec::new(),
            binds: Vec::new(),
            working_directory: bed.root().into(),
            proc: true,
            default_directories: true,
            tracer: None,
            time_limit: if bed.manifest.emulated { EMULATED_TIME_LIMIT } else { TIME_LIMIT },
        }
    }

    /// The program that is started.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Another program, in the same environment.
    pub fn of(&self, program: impl Into<PathBuf>) -> Self {
        Run { program: program.into(), arguments: Vec::new(), ..self.clone() }
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().into());
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Self {
        arguments.into_iter().fold(self, |run, argument| run.arg(argument))
    }

    /// Sets a variable. The last of a name counts.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.retain(|(known, _)| known != name.as_ref());
        self.environment.push((name.as_ref().into(), value.as_ref().into()));
        self
    }

    /// Declares directories and files, in order.
    pub fn declare<E: AsRef<OsStr>>(self, entries: impl IntoIterator<Item = E>) -> Self {
        let entries: Vec<OsString> = entries.into_iter().map(|entry| entry.as_ref().into()).collect();
        self.env("REPLIT_LD_LIBRARY_PATH", entries.join(OsStr::new(":")))
    }

    /// Shows `source` at `target`. Not in the direct view, which has no sandbox of its own.
    pub fn bind(mut self, source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        self.binds.push((source.into(), target.into()));
        self
    }

    /// The same start that shows `source` at `target` besides, with all others over it.
    pub fn bind_first(&self, source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        let binds = [(source.into(), target.into())].into_iter().chain(self.binds.iter().cloned()).collect();
        Run { binds, ..self.clone() }
    }

    /// Hides /proc. Only in the Nix view.
    pub fn without_proc(mut self) -> Self {
        self.proc = false;
        self
    }

    /// Hides every default directory of ld.so. Only in the Nix view.
    pub fn without_default_directories(mut self) -> Self {
        self.default_directories = false;
        self
    }

    /// Starts it in another directory than the bed's.
    pub fn working_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.working_directory = directory.into();
        self
    }

    /// Runs it without the auditor.
    pub fn plain(&self) -> Result<Outcome> {
        self.outcome("without the auditor")
    }

    /// Runs it with the auditor.
    pub fn audited(&self) -> Result<Outcome> {
        self.with_auditor().outcome("with the auditor")
    }

    /// The same start with the auditor in LD_AUDIT.
    pub fn with_auditor(&self) -> Run<'b> {
        self.clone().env("LD_AUDIT", &self.bed.manifest.auditor)
    }

    /// The same start by another program, which gets `options` before it.
    pub fn through<A: AsRef<OsStr>>(&self, other: &Path, options: impl IntoIterator<Item = A>) -> Run<'b> {
        let run = Run { program: other.into(), arguments: Vec::new(), ..self.clone() };
        run.args(options).arg(&self.program).args(&self.arguments)
    }

    /// Runs it as it is and notes its system calls.
    pub fn traced(&self) -> Result<Trace> {
        self.trace(Whose::Own)
    }

    /// The same with those of its children.
    pub fn traced_with_children(&self) -> Result<Trace> {
        self.trace(Whose::Family)
    }

    fn trace(&self, whose: Whose) -> Result<Trace> {
        let log = self.bed.path("strace");
        let tracer = Some(Tracer { log: log.clone(), options: Vec::new() });
        let run = Run { tracer, ..self.clone() };
        run.outcome("traced")?;
        Trace::read(&log, &self.program, whose)
    }

    /// Runs it as it is, holds up every call that names a file by [`DELAY`], and says how long it took.
    pub fn delayed(&self) -> Result<Duration> {
        let log = self.bed.path("strace");
        let inject = format!("--inject=%file:delay_enter={}", DELAY.as_micros());
        // Other calls are not even looked at, and go at their own speed.
        let options = ["-ttt", "--seccomp-bpf", "--trace=%file", &inject].map(String::from).into();
        let tracer = Some(Tracer { log: log.clone(), options });
        let run = Run { tracer, time_limit: DELAYED_TIME_LIMIT, ..self.clone() };
        run.outcome("delayed")?.runs()?;
        trace::duration(&log, &self.program)
    }

    /// Runs it as it is, while whatever names one of these paths fails with an error.
    pub fn refused(&self, paths: &[PathBuf], error: &str) -> Result<Outcome> {
        let mut options = vec!["--trace=%file".to_owned(), format!("--inject=%file:error={error}")];
        options.extend(paths.iter().map(|path| format!("--trace-path={}", path.display())));
        let tracer = Some(Tracer { log: self.bed.path("strace"), options });
        Run { tracer, ..self.clone() }.outcome("refused")
    }

    /// Runs it as it is, and has each call of this name fail with an error that has to do with the file at `path`, by that path or by a
    /// descriptor of it. How often that was is said, too.
    pub fn failing(&self, call: &str, path: &Path, error: u32) -> Result<(Outcome, usize)> {
        let log = self.bed.path("strace");
        let inject = format!("--inject={call}:error={error}");
        // strace's own words would be the program's.
        let options = ["--quiet=all".to_owned(), inject, format!("--trace-path={}", path.display())];
        let tracer = Some(Tracer { log: log.clone(), options: options.into() });
        let outcome = Run { tracer, ..self.clone() }.outcome(&format!("with a failing {call}"))?;
        let text = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
        Ok((outcome, String::from_utf8_lossy(&text).matches(" (INJECTED)").count()))
    }

    /// Its command line and its environment, each entry ended by a NUL.
    pub(crate) fn lists(&self) -> [Vec<u8>; 2] {
        let list = |entries: &[OsString]| -> Vec<u8> {
            entries.iter().flat_map(|entry| entry.as_bytes().iter().copied().chain([0])).collect()
        };
        let words: Vec<OsString> =
            [self.program.clone().into()].into_iter().chain(self.arguments.iter().cloned()).collect();
        let environment: Vec<OsString> = self.environment.iter().map(|(name, value)| assignment(name, value)).collect();
        [list(&words), list(&environment)]
    }

    fn outcome(&self, how: &str) -> Result<Outcome> {
        let what = format!("{} {how}", self.program.display());
        let mut command = self.command()?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = process::start(&mut command)?;
        let output = child.controlled_with_output().time_limit(self.time_limit).terminate_for_timeout().wait()?;
        Ok(Outcome::new(output.with_context(|| format!("{what} hangs"))?, what))
    }

    /// The command line and environment of this start.
    pub fn command(&self) -> Result<Command> {
        let mut words = Vec::new();
        let sandbox = self.sandbox()?;
        if let Some(Tracer { log, options }) = &self.tracer {
            let strace = self.bed.manifest.tool("strace")?;
            words.extend([strace.into(), "-f".into(), "-o".into(), log.into()]);
            words.extend(options.iter().map(OsString::from));
            // strace itself is a program that the auditor must not be counted in.
            if sandbox.is_none() {
                for (name, value) in &self.environment {
                    words.extend(["-E".into(), assignment(name, value)]);
                }
            }
        }
        let clean = self.tracer.is_some() || sandbox.is_some();
        words.extend(sandbox.unwrap_or_default());
        words.push(self.program.clone().into());
        words.extend(self.arguments.iter().cloned());

        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().current_dir(&self.working_directory);
        if !clean {
            command.envs(self.environment.iter().cloned());
        }
        Ok(command)
    }

    /// bubblewrap's command line, where the view or this start needs it.
    fn sandbox(&self) -> Result<Option<Vec<OsString>>> {
        let bed = self.bed;
        let mut words: Vec<OsString> = match bed.view {
            View::Distribution if self.binds.is_empty() => return Ok(None),
            View::Direct => {
                ensure!(self.binds.is_empty(), "nothing can be bound in the direct view");
                return Ok(None);
            }
            View::Distribution => words(["--dev-bind", "/", "/"]),
            View::Nix => {
                let mut words = words(["--ro-bind", "/nix/store", "/nix/store", "--dev", "/dev", "--tmpfs", "/tmp"]);
                if self.proc {
                    words.extend(["--proc", "/proc"].map(OsString::from));
                }
                if self.default_directories {
                    let first = bed.channel.default_directories.first().context("ld.so has default directories")?;
                    words.extend(bind(&bed.channel.glibc_lib, first));
                }
                words.extend(bind(&bed.manifest.auditor, &bed.manifest.auditor));
                words.extend(["--bind".into(), bed.root().into(), bed.root().into()]);
                words
            }
        };
        for (source, target) in &self.binds {
            words.extend(bind(source, target));
        }
        for (name, value) in &self.environment {
            words.extend(["--setenv".into(), name.clone(), value.clone()]);
        }
        words.extend([
            "--chdir".into(),
            self.working_directory.clone().into(),
            "--die-with-parent".into(),
            "--".into(),
        ]);
        words.insert(0, bed.manifest.tool("bwrap")?.into());
        Ok(Some(words))
    }
}

fn words<const N: usize>(words: [&str; N]) -> Vec<OsString> {
    words.map(OsString::from).into()
}

fn bind(source: &Path, target: &Path) -> [OsString; 3] {
    ["--ro-bind".into(), source.into(), target.into()]
}

fn assignment(name: &OsStr, value: &OsStr) -> OsString {
    [name, OsStr::new("="), value].into_iter().collect()
}

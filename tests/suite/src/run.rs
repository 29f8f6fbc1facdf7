//! Starting a program in a view, without and with the auditor.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use process_control::{ChildExt, Control};

use crate::bed::Bed;
use crate::manifest::View;
use crate::outcome::Outcome;
use crate::process;
use crate::trace::Trace;

/// Longer than any trial takes on a busy machine; a program that waits for a FIFO would take for ever.
const TIME_LIMIT: Duration = Duration::from_secs(30);

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
    tracer: Option<PathBuf>,
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
        }
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

    /// Runs it as it is and notes its system calls.
    pub fn traced(&self) -> Result<Trace> {
        let log = self.bed.path("strace");
        let run = Run { tracer: Some(log.clone()), ..self.clone() };
        run.outcome("traced")?;
        Trace::read(&log, &self.program)
    }

    fn outcome(&self, how: &str) -> Result<Outcome> {
        let what = format!("{} {how}", self.program.display());
        let mut command = self.command()?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = process::start(&mut command)?;
        let output = child.controlled_with_output().time_limit(TIME_LIMIT).terminate_for_timeout().wait()?;
        Ok(Outcome::new(output.with_context(|| format!("{what} hangs"))?, what))
    }

    /// The command line and environment of this start.
    pub fn command(&self) -> Result<Command> {
        let mut words = Vec::new();
        let sandbox = self.sandbox()?;
        if let Some(log) = &self.tracer {
            let strace = self.bed.manifest.tool("strace")?;
            words.extend([strace.into(), "-f".into(), "-o".into(), log.into()]);
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
                    words.extend(bind(&bed.channel.glibc_lib, Path::new("/lib/x86_64-linux-gnu")));
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

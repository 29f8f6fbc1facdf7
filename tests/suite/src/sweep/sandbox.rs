//! Where a program is started of which nobody knows what it does: without rights, network and time.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use process_control::{ChildExt, Control};

use crate::process;

/// How much of what a program says is read. Some say the same for ever.
const SAID: u64 = 4 << 20;
/// The user that programs run as: nobody.
const USER: &str = "65534";

/// A place that shows the machine and in which nothing can be changed.
pub struct Sandbox {
    bwrap: PathBuf,
    shown: PathBuf,
}

/// The end of a start.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct End {
    /// How it ended; `None` if it did not, and had to be killed.
    pub status: Option<String>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl End {
    /// It had to be killed. Then nothing that it said counts.
    pub fn goes_on(&self) -> bool {
        self.status.is_none()
    }
}

impl Sandbox {
    /// A sandbox with an empty /tmp but for a directory that may be in it.
    pub fn new(bwrap: &Path, shown: &Path) -> Sandbox {
        Sandbox { bwrap: bwrap.into(), shown: shown.into() }
    }

    /// Starts a program with nothing on its standard input.
    pub fn run(
        &self,
        program: &Path,
        arguments: &[&str],
        variables: &[(&str, OsString)],
        limit: Duration,
    ) -> Result<End> {
        let mut command = Command::new(&self.bwrap);
        command.args(["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/run"]);
        command.arg("--ro-bind").arg(&self.shown).arg(&self.shown);
        // Setuid programs get no rights in there either, and ld.so treats them as any other.
        command.args(["--unshare-all", "--cap-drop", "ALL", "--uid", USER, "--gid", USER]);
        command.args(["--die-with-parent", "--new-session", "--chdir", "/tmp"]);
        let fixed =
            [("HOME", "/tmp"), ("LANG", "C"), ("PATH", "/usr/bin:/bin")].map(|(name, value)| (name, value.into()));
        for (name, value) in fixed.iter().chain(variables) {
            command.args(["--setenv", name]).arg(value);
        }
        command.arg("--").arg(program).args(arguments).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());

        let mut child = process::start(&mut command)?;
        let stdout = reader(child.stdout.take().context("piped above")?);
        let stderr = reader(child.stderr.take().context("piped above")?);
        let status = child.controlled().time_limit(limit).terminate_for_timeout().wait()?;
        let [stdout, stderr] = [stdout, stderr].map(|reader| reader.join().expect("errors are returned"));
        let end = End { status: status.map(|status| status.to_string()), stdout: stdout?, stderr: stderr? };
        Ok(if end.goes_on() { End { status: None, stdout: String::new(), stderr: String::new() } } else { end })
    }
}

/// Reads a pipe, and closes it at the end or where it is enough.
fn reader(pipe: impl Read + Send + 'static) -> thread::JoinHandle<io::Result<String>> {
    thread::spawn(move || {
        let mut said = Vec::new();
        pipe.take(SAID).read_to_end(&mut said)?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    })
}

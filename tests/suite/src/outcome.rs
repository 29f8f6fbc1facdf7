//! What a process said and how it ended, with the claims that trials make about it.

use anyhow::{Result, ensure};
use process_control::Output;

/// The end of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What was run, for messages.
    what: String,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    success: bool,
    /// How it ended.
    pub status: String,
}

impl Outcome {
    pub(crate) fn new(output: Output, what: String) -> Outcome {
        Outcome {
            what,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            success: output.status.success(),
            status: output.status.to_string(),
        }
    }

    /// It ended well, said exactly these lines, and nothing on standard error.
    pub fn prints<L: AsRef<str>>(&self, lines: impl IntoIterator<Item = L>) -> Result<&Outcome> {
        let expected = lines.into_iter().fold(String::new(), |text, line| text + line.as_ref() + "\n");
        ensure!(self.success && self.stdout == expected && self.stderr.is_empty(), "{self}expected:\n{expected}");
        Ok(self)
    }

    /// It failed, and its standard error says `text`.
    pub fn fails_with(&self, text: &str) -> Result<&Outcome> {
        ensure!(!self.success && self.stderr.contains(text), "{self}expected a failure that says: {text}\n");
        Ok(self)
    }

    /// It failed because ld.so found no library of this name.
    pub fn misses(&self, name: &str) -> Result<&Outcome> {
        self.fails_with(&format!("{name}: cannot open shared object file"))
    }

    /// It ended well and said nothing on standard error.
    pub fn runs(&self) -> Result<&Outcome> {
        ensure!(self.success && self.stderr.is_empty(), "{self}expected success, and silence on standard error\n");
        Ok(self)
    }

    /// It ended well, whatever it said.
    pub fn succeeds(&self) -> Result<&Outcome> {
        ensure!(self.success, "{self}expected success\n");
        Ok(self)
    }

    /// Whether a signal ended it. bubblewrap says so of what it ran as a shell would.
    pub fn is_killed(&self) -> bool {
        self.killed_by().is_some()
    }

    /// The signal that ended it.
    pub fn killed_by(&self) -> Option<u32> {
        let number = |what| {
            let number = self.status.strip_prefix(what)?.split(' ').next()?;
            number.parse::<u32>().ok()
        };
        number("signal: ").or_else(|| number("exit code: ")?.checked_sub(128))
    }

    /// What it said, with another word in the place of one.
    pub fn replace(&self, from: &str, to: &str) -> Outcome {
        Outcome {
            what: self.what.clone(),
            stdout: self.stdout.replace(from, to),
            stderr: self.stderr.replace(from, to),
            success: self.success,
            status: self.status.clone(),
        }
    }

    /// It did what another run did: the same end and the same words.
    pub fn equals(&self, other: &Outcome) -> Result<&Outcome> {
        let same = (&self.status, &self.stdout, &self.stderr) == (&other.status, &other.stdout, &other.stderr);
        ensure!(same, "{self}expected the same as\n{other}");
        Ok(self)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}: {}\nstdout:\n{}stderr:\n{}", self.what, self.status, self.stdout, self.stderr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_seen_through_bubblewrap() {
        for (status, signal) in [
            ("exit code: 0", None),
            ("exit code: 127", None),
            ("exit code: 139", Some(11)),
            ("signal: 11", Some(11)),
            ("signal: 6 (SIGABRT)", Some(6)),
        ] {
            let (what, status) = (String::new(), status.to_owned());
            let outcome = Outcome { what, stdout: String::new(), stderr: String::new(), success: false, status };
            assert_eq!((outcome.killed_by(), outcome.is_killed()), (signal, signal.is_some()), "{outcome}");
        }
    }
}

//! What can be declared, checked: nothing leaves this file that the script or ld.so would misread.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use rtld_loader::tokens::has_token;

use crate::tunables::Tunables;

/// An absolute path that can stand in a colon list and that ld.so takes as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListEntry(PathBuf);

impl ListEntry {
    /// A relative path is taken from the working directory.
    pub fn parse(path: &OsStr) -> Result<Self> {
        if path.is_empty() {
            bail!("the path is empty");
        }
        let path = std::path::absolute(path)?;
        let bytes = path.as_os_str().as_bytes();
        if bytes.contains(&b':') {
            bail!("a path with a colon cannot stand in a colon list");
        }
        if has_token(bytes) {
            bail!("ld.so would replace $ORIGIN, $LIB or $PLATFORM in a path");
        }
        Ok(Self(path))
    }

    /// The path itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path's bytes, for the script.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_os_str().as_bytes()
    }

    /// Something below it. `below` is ours, and known to be fit for a list.
    pub fn join(&self, below: &str) -> Self {
        Self(self.0.join(below))
    }
}

/// A declared library or program directory.
#[derive(Clone, Debug)]
pub enum Declared {
    /// Taken as it is, even if it does not exist yet.
    Path(ListEntry),
    /// A package's output: its `lib` or `bin` counts if it exists.
    Output(ListEntry),
}

impl Declared {
    /// The value of `--bin`, and of `--lib` for one.
    pub fn path(path: &OsStr) -> Result<Self> {
        ListEntry::parse(path).map(Self::Path)
    }

    /// The value of `--bin-of`, and of `--lib-of` for one.
    pub fn output(path: &OsStr) -> Result<Self> {
        ListEntry::parse(path).map(Self::Output)
    }

    /// The entry that it stands for, if there is one. `directory` is the one that counts of an output.
    pub fn entry(&self, directory: &str) -> Option<ListEntry> {
        match self {
            Self::Path(entry) => {
                if !entry.path().exists() {
                    eprintln!("replit-env-cli: warning: {} does not exist (yet)", entry.path().display());
                }
                Some(entry.clone())
            }
            Self::Output(output) => Some(output.join(directory)).filter(|entry| entry.path().is_dir()),
        }
    }

    /// The entries of a list, each once, where it stands first. `directory` is the one that counts of an output.
    pub fn resolve(declared: &[Self], directory: &str) -> Vec<ListEntry> {
        let mut entries = Vec::new();
        for entry in declared.iter().filter_map(|declared| declared.entry(directory)) {
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        entries
    }
}

/// Libraries as one option declares them.
#[derive(Clone, Debug)]
pub struct Libraries {
    /// The name of their channel, if they are of one.
    pub channel: Option<String>,
    /// What is declared, in order.
    pub declared: Vec<Declared>,
}

impl Libraries {
    /// The value of `--lib`.
    pub fn path(path: &OsStr) -> Result<Self> {
        Ok(Self { channel: None, declared: vec![Declared::path(path)?] })
    }

    /// The value of `--lib-of`.
    pub fn output(path: &OsStr) -> Result<Self> {
        Ok(Self { channel: None, declared: vec![Declared::output(path)?] })
    }

    /// The value of `--channel`.
    pub fn channel_paths(value: &OsStr) -> Result<Self> {
        Self::channel(value, Declared::path)
    }

    /// The value of `--channel-of`.
    pub fn channel_outputs(value: &OsStr) -> Result<Self> {
        Self::channel(value, Declared::output)
    }

    /// Reads `NAME=PATH:PATH`.
    fn channel(value: &OsStr, parse: fn(&OsStr) -> Result<Declared>) -> Result<Self> {
        let bytes = value.as_bytes();
        let Some(equals) = bytes.iter().position(|&byte| byte == b'=') else {
            bail!("expected NAME=PATH, with colons between several paths");
        };
        let (name, list) = (&bytes[..equals], &bytes[equals + 1..]);
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let name = match std::str::from_utf8(name) {
            Ok(text) if !name.is_empty() && name.iter().all(fits) => text,
            _ => bail!("a channel's name has letters, digits, `.`, `_` and `-`, and nothing else"),
        };
        let paths = list.split(|&byte| byte == b':').map(OsStr::from_bytes);
        Ok(Self { channel: Some(name.to_owned()), declared: paths.map(parse).collect::<Result<_>>()? })
    }
}

/// A variable that the script sets.
#[derive(Clone, Debug)]
pub struct Variable {
    name: String,
    value: OsString,
}

/// Read-only in one shell or another, so that the script would stop there.
const READ_ONLY: [&str; 6] = ["BASHOPTS", "BASH_VERSINFO", "EUID", "PPID", "SHELLOPTS", "UID"];

impl Variable {
    /// Reads `NAME=VALUE`.
    pub fn parse(argument: &OsStr) -> Result<Self> {
        let bytes = argument.as_bytes();
        let Some(equals) = bytes.iter().position(|&byte| byte == b'=') else {
            bail!("expected NAME=VALUE");
        };
        let (name, value) = (&bytes[..equals], &bytes[equals + 1..]);
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let name = match std::str::from_utf8(name) {
            Ok(text) if name.iter().all(word) && !name.first().is_none_or(u8::is_ascii_digit) => text,
            _ => bail!("a shell cannot set a variable of this name"),
        };
        if READ_ONLY.contains(&name) {
            bail!("{name} is read-only in some shells");
        }
        if name == "GLIBC_TUNABLES" {
            Tunables::parse(value)?;
        }
        Ok(Self { name: name.to_owned(), value: OsString::from_vec(value.to_vec()) })
    }

    /// The name, a word in the shell's sense.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value's bytes.
    pub fn value(&self) -> &[u8] {
        self.value.as_bytes()
    }

    /// Says what is lawful and yet unwise.
    pub fn warn(&self) {
        if self.name == "LD_LIBRARY_PATH" {
            eprintln!(
                "replit-env-cli: warning: LD_LIBRARY_PATH goes before every program's own libraries; \
                 declare its directories with --lib"
            );
        }
    }
}

/// The interpreter of the script's first line.
#[derive(Clone, Debug)]
pub struct Shell(OsString);

impl Shell {
    /// What the kernel can read from a first line: 255 bytes with `#!`, up to the first blank.
    pub fn parse(path: &OsStr) -> Result<Self> {
        let bytes = path.as_bytes();
        if !bytes.starts_with(b"/") {
            bail!("the path is not absolute");
        }
        if bytes.iter().any(|byte| matches!(byte, b' ' | b'\t' | b'\n')) {
            bail!("the kernel would cut it at the blank");
        }
        if bytes.len() > 250 {
            bail!("it is too long for the first line of a script");
        }
        Ok(Self(path.to_owned()))
    }

    /// The path's bytes.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str) -> Result<ListEntry> {
        ListEntry::parse(OsStr::new(path))
    }

    #[test]
    fn list_entries_are_absolute_and_without_a_colon() {
        assert_eq!(entry("/a b/$c").unwrap().path(), Path::new("/a b/$c"));
        assert_eq!(entry("x").unwrap().path(), std::env::current_dir().unwrap().join("x"));
        assert!(entry("/a:b").is_err());
        assert!(entry("").is_err());
    }

    #[test]
    fn tokens_that_ld_so_replaces_are_refused() {
        for path in ["/a/$ORIGIN", "/$LIB/x", "/${PLATFORM}", "/$$ORIGIN", "/$LIB-x", "/$x$ORIGIN"] {
            assert!(entry(path).is_err(), "{path}");
        }
        for path in ["/ORIGIN", "/$origin", "/$LIBRARY", "/${ORIGIN", "/${ORIGINS}", "/a$", "/${"] {
            assert!(entry(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn outputs_count_if_the_directory_exists_and_each_entry_once() {
        let temporary = tempfile::tempdir().unwrap();
        let root = ListEntry::parse(temporary.path().as_os_str()).unwrap();
        std::fs::create_dir_all(root.join("one/lib").path()).unwrap();
        std::fs::create_dir_all(root.join("two/bin").path()).unwrap();
        let declared = [
            Declared::Output(root.join("two")),
            Declared::Path(root.join("later")),
            Declared::Output(root.join("one")),
            Declared::Path(root.join("one/lib")),
        ];
        assert_eq!(Declared::resolve(&declared, "lib"), [root.join("later"), root.join("one/lib")]);
        assert_eq!(
            Declared::resolve(&declared, "bin"),
            [root.join("two/bin"), root.join("later"), root.join("one/lib")]
        );
    }

    #[test]
    fn channels_have_a_name_and_paths() {
        let Libraries { channel, declared } = Libraries::channel_paths(OsStr::new("a-1.b_C=/x:/y=z")).unwrap();
        assert_eq!(channel.as_deref(), Some("a-1.b_C"));
        let paths = declared.iter().map(|declared| match declared {
            Declared::Path(entry) => entry.path(),
            Declared::Output(_) => panic!("no path"),
        });
        assert!(paths.eq([Path::new("/x"), Path::new("/y=z")]));
        for bad in ["a", "=/x", "a b=/x", "a/b=/x", "\u{e9}=/x", "a=", "a=/x:", "a=:/x", "a=/x/$LIB"] {
            assert!(Libraries::channel_paths(OsStr::new(bad)).is_err(), "{bad}");
            assert!(Libraries::channel_outputs(OsStr::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn variables_are_words_that_a_shell_can_set() {
        let variable = Variable::parse(OsStr::from_bytes(b"_a1=x=\xff\n")).unwrap();
        assert_eq!((variable.name(), variable.value()), ("_a1", &b"x=\xff\n"[..]));
        assert_eq!(Variable::parse(OsStr::new("A=")).unwrap().value(), b"");
        for bad in ["A", "=x", "1a=x", "a-b=x", "a b=x", "UID=0", "\u{e9}=x"] {
            assert!(Variable::parse(OsStr::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn shells_fit_in_a_first_line() {
        assert!(Shell::parse(OsStr::new("/bin/sh")).is_ok());
        let long = format!("/{}", "x".repeat(250));
        for bad in ["sh", "", "/a b/sh", "/a\n/sh", &long] {
            assert!(Shell::parse(OsStr::new(bad)).is_err(), "{bad}");
        }
    }
}

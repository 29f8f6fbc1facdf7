//! The machine, as the checks see it: variables, files, and what Nix knows of its store.
//!
//! Every path that a check asks for is taken below `root`, and so are the targets of links: a test makes a machine of
//! its own, with devices and a store, in a directory.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rtld_loader::views::{FileStart, HEADER, Look};

use crate::rights::Caller;

/// The most links on the way to a file, as in Linux.
const LINKS: usize = 40;

/// Where Nix keeps packages.
pub const STORE: &str = "/nix/store";

/// A machine.
pub struct World {
    /// The environment.
    pub variables: BTreeMap<OsString, OsString>,
    /// Where its files are.
    pub root: PathBuf,
    /// What relative paths are taken from.
    pub working_directory: PathBuf,
    /// Who starts programs.
    pub caller: Caller,
    /// What refers to a store path, and that itself. `None` if nobody knows.
    pub referrers: fn(&Self, &Path) -> Option<Vec<PathBuf>>,
}

impl World {
    /// The machine that we run on, and who knows its store.
    pub fn live(referrers: fn(&Self, &Path) -> Option<Vec<PathBuf>>) -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            root: "/".into(),
            working_directory: std::env::current_dir().unwrap_or_else(|_| "/".into()),
            caller: Caller::current(),
            referrers,
        }
    }

    /// A variable that is set.
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// A variable's bytes; none if it is not set.
    pub fn bytes(&self, name: &str) -> &[u8] {
        self.variable(name).unwrap_or_default().as_bytes()
    }

    /// The entries of a colon list, with the empty ones. An empty list has none.
    pub fn list(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        let value = self.bytes(name);
        let entries = (!value.is_empty()).then(|| value.split(|&byte| byte == b':'));
        entries.into_iter().flatten().map(|entry| PathBuf::from(OsStr::from_bytes(entry)))
    }

    /// An absolute path.
    pub fn absolute(&self, path: &Path) -> PathBuf {
        self.working_directory.join(path)
    }

    /// Where a path leads, all links followed. Its last component need not be there.
    pub fn real(&self, path: &Path) -> Option<PathBuf> {
        let mut at = PathBuf::from("/");
        let mut rest: Vec<OsString> = reversed(&self.absolute(path));
        let mut links = 0;
        while let Some(name) = rest.pop() {
            if name == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&name);
            let Ok(target) = fs::read_link(self.below(&next)) else {
                at = next;
                continue;
            };
            links += 1;
            if links > LINKS {
                return None;
            }
            if target.is_absolute() {
                at = "/".into();
            }
            rest.extend(reversed(&target));
        }
        Some(at)
    }

    /// The file at a path, for code that opens it by itself.
    pub fn file(&self, path: &Path) -> Option<PathBuf> {
        Some(self.below(&self.real(path)?))
    }

    /// Whether there is something at a path.
    pub fn exists(&self, path: &Path) -> bool {
        self.metadata(path).is_some()
    }

    /// Whether there is a directory at a path.
    pub fn is_directory(&self, path: &Path) -> bool {
        self.metadata(path).is_some_and(|metadata| metadata.is_dir())
    }

    /// What there is at a path.
    pub fn metadata(&self, path: &Path) -> Option<Metadata> {
        fs::metadata(self.file(path)?).ok()
    }

    /// What there is at a path, be it a link.
    pub fn link_metadata(&self, path: &Path) -> Option<Metadata> {
        let directory = self.file(path.parent()?)?;
        fs::symlink_metadata(directory.join(path.file_name()?)).ok()
    }

    /// The contents of a regular file. A FIFO would wait for somebody to write.
    pub fn read(&self, path: &Path) -> Option<Vec<u8>> {
        self.metadata(path).filter(Metadata::is_file)?;
        fs::read(self.file(path)?).ok()
    }

    /// The names in a directory, in order.
    pub fn names(&self, directory: &Path) -> Vec<OsString> {
        let entries = self.file(directory).and_then(|directory| fs::read_dir(directory).ok());
        let mut names: Vec<_> = entries.into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
        names.sort_unstable();
        names
    }

    /// The beginning of a file, as the auditor looks at it.
    pub fn look(&self, path: &Path) -> Look {
        let Some(metadata) = self.metadata(path) else { return Look::Missing };
        if !metadata.is_file() {
            return Look::Irregular;
        }
        let mut start = Vec::new();
        let read = |file: PathBuf| File::open(file)?.take(HEADER as u64).read_to_end(&mut start);
        match self.file(path).map(read) {
            Some(Ok(_)) => Look::File(FileStart::new(&start, metadata.len())),
            Some(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => Look::Denied,
            _ => Look::Broken,
        }
    }

    /// The program of a name, as execvp(3) finds it; of several the first that may be executed.
    pub fn program(&self, name: &OsStr) -> Option<PathBuf> {
        if name.as_bytes().contains(&b'/') {
            return Some(self.absolute(Path::new(name))).filter(|path| self.exists(path));
        }
        let path = self.variable("PATH").unwrap_or(OsStr::new("/bin:/usr/bin"));
        let candidates = std::env::split_paths(path).map(|directory| self.absolute(&directory).join(name));
        let files = candidates.filter(|path| self.metadata(path).is_some_and(|metadata| metadata.is_file()));
        let files: Vec<_> = files.collect();
        files.iter().find(|path| self.is_executable(path)).or(files.first()).cloned()
    }

    /// Whether a file may be executed.
    pub fn is_executable(&self, path: &Path) -> bool {
        use std::os::unix::fs::PermissionsExt;
        self.metadata(path).is_some_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
    }

    /// What on the way to a path everybody can write to, and so put something else in its place. A directory with the
    /// sticky bit protects what is in it.
    pub fn writable(&self, path: &Path) -> Option<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let real = self.real(path)?;
        let is_writable = |at: &&Path| {
            self.metadata(at).is_some_and(|metadata| {
                let mode = metadata.permissions().mode();
                let is_sticky = metadata.is_dir() && mode & 0o1000 != 0 && *at != real;
                mode & 0o002 != 0 && !is_sticky
            })
        };
        real.ancestors().find(is_writable).map(Path::to_owned)
    }

    fn below(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// The components of a path, the last one first.
fn reversed(path: &Path) -> Vec<OsString> {
    let names = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    names.rev().map(|part| part.as_os_str().to_owned()).collect()
}

/// The store path that a path is in.
pub fn store_path(path: &Path) -> Option<PathBuf> {
    let name = path.strip_prefix(STORE).ok()?.components().next()?;
    Some(Path::new(STORE).join(name))
}

//! One trial's place: a directory of its own, on one channel, in one view.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::manifest::{Channel, Manifest, View};
use crate::object::Object;
use crate::run::Run;

/// A directory to build fixtures in, and the channel and view to run them on.
pub struct Bed<'m> {
    /// What there is to test.
    pub manifest: &'m Manifest,
    /// The channel whose compiler builds the fixtures.
    pub channel: &'m Channel,
    /// What the processes see.
    pub view: View,
    dir: TempDir,
}

impl<'m> Bed<'m> {
    /// Makes an empty bed. Its path is short, so that a thousand directories of it fit into one variable.
    pub fn new(manifest: &'m Manifest, channel: &'m Channel, view: View) -> Result<Bed<'m>> {
        let dir = tempfile::Builder::new().prefix("rtld-").tempdir().context("cannot make a directory for a trial")?;
        // Other users' programs run here too, in the secure mode trials.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        Ok(Bed { manifest, channel, view, dir })
    }

    /// A path in the bed.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// A directory in the bed, made if need be.
    pub fn dir(&self, relative: impl AsRef<Path>) -> Result<PathBuf> {
        let path = self.path(relative);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    /// A file in the bed, with its directory.
    pub fn file(&self, relative: impl AsRef<Path>, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.path(relative);
        self.dir(path.parent().context("a file has a directory")?)?;
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// A shared library to be built at a path in the bed. Its soname is the file's name.
    pub fn library(&self, relative: &str) -> Object<'_> {
        Object::library(self, self.path(relative))
    }

    /// A program to be built at a path in the bed. Unless told otherwise it is `fixtures/open.c`.
    pub fn program(&self, relative: &str) -> Object<'_> {
        Object::program(self, self.path(relative))
    }

    /// A start of a program, to be made without or with the auditor.
    pub fn run(&self, program: impl Into<PathBuf>) -> Run<'_> {
        Run::new(self, program.into())
    }

    /// The bed's own directory.
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// Leaves the directory where it is, to be looked at after a failure.
    pub fn keep(self) -> PathBuf {
        self.dir.keep()
    }
}

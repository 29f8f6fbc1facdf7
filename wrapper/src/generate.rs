//! Writes an environment: a few files, each replaced whole.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::declared::{ListEntry, Shell};
use crate::fish;
use crate::script::{self, AUDITOR, Changes};
use crate::variables::Variables;

/// All that an environment is made of.
pub struct Environment {
    /// Where it goes.
    pub out: ListEntry,
    /// What REPLIT_LD_LIBRARY_PATH begins with.
    pub libraries: Vec<ListEntry>,
    /// What PATH begins with.
    pub programs: Vec<ListEntry>,
    /// What is set besides.
    pub variables: Variables,
    /// What is known of the closure, for the auditor, if anything is.
    pub index: Option<Vec<u8>>,
    /// The static thread-local storage that ld.so is to keep, in bytes.
    pub static_tls: u64,
    /// The audit library, to be copied.
    pub auditor: PathBuf,
    /// What answers the script's options, by absolute path.
    pub helper: PathBuf,
    /// What runs the script.
    pub shell: Shell,
}

impl Environment {
    /// Where it has what other packages have in share.
    pub fn share(&self) -> PathBuf {
        self.out.path().join("share")
    }

    /// Writes the files. The auditor comes first: a missing one makes every process complain.
    pub fn write(&self) -> Result<()> {
        let auditor = self.out.join("lib").join(AUDITOR);
        let library =
            fs::read(&self.auditor).with_context(|| format!("cannot read the auditor {}", self.auditor.display()))?;
        let Variables { set, auditors, tunables } = &self.variables;
        let index = self.out.join("lib/rtld_loader.index");
        if let Some(bytes) = &self.index {
            replace(index.path(), bytes, 0o644)?;
        }
        let changes = Changes {
            index: self.index.as_ref().map(|_| &index),
            variables: set,
            auditor: &auditor,
            auditors,
            libraries: &self.libraries,
            programs: &self.programs,
            tunables: &tunables.others,
            static_tls: self.static_tls.max(tunables.static_tls.unwrap_or(0)),
        };
        let wrapper = script::wrapper(&self.shell, self.helper.as_os_str().as_bytes(), &changes);
        replace(auditor.path(), &library, 0o644)?;
        let script = self.out.join("bin/replit-env");
        replace(script.path(), &wrapper, 0o755)?;
        replace(self.out.join("etc/profile.d/replit-env.sh").path(), &script::profile(&changes), 0o644)?;
        replace(self.out.join("share/fish/vendor_conf.d/replit-env.fish").path(), &fish::hook(&script), 0o644)
    }
}

/// The auditor of an installation: beside the program, as in a build directory, or in `../lib`.
pub fn auditor_of(program: &Path) -> Result<PathBuf> {
    let directory = program.parent().unwrap_or(Path::new("/"));
    for candidate in [directory.join(AUDITOR), directory.join("../lib").join(AUDITOR)] {
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    bail!("there is no {AUDITOR} beside {} nor in ../lib; name it with --auditor", program.display())
}

/// Gives `path` new contents under a new inode. A library that processes have mapped, and a script that a shell is in
/// the middle of, must not change under them.
pub fn replace(path: &Path, contents: &[u8], mode: u32) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let write = || -> Result<()> {
        fs::create_dir_all(directory)?;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(contents)?;
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

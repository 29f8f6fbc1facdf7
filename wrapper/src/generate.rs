//! Writes an environment: a few files, each replaced whole.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rtld_loader::candidate::{Kind, kind};

use crate::declared::{ListEntry, Shell};
use crate::fish;
use crate::platform::{self, I386, Platform, X86_64};
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
    /// The one for 32-bit processes, if they are to have one.
    pub auditor_32: Option<PathBuf>,
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
        let library = read_own(&self.auditor)?;
        let library_32 = self.auditor_32.as_deref().map(read_32).transpose()?;
        let of_each = self.out.join(&platform::auditor_of_each());
        let Variables { set, auditors, tunables } = &self.variables;
        let index = self.out.join("lib/rtld_loader.index");
        if let Some(bytes) = &self.index {
            replace(index.path(), bytes, 0o644)?;
        }
        let changes = Changes {
            index: self.index.as_ref().map(|_| &index),
            variables: set,
            auditor: if library_32.is_some() { &of_each } else { &auditor },
            auditors,
            libraries: &self.libraries,
            programs: &self.programs,
            tunables: &tunables.others,
            static_tls: self.static_tls.max(tunables.static_tls.unwrap_or(0)),
        };
        let wrapper = script::wrapper(&self.shell, self.helper.as_os_str().as_bytes(), &changes);
        replace(auditor.path(), &library, 0o644)?;
        if let Some(library) = library_32 {
            self.write_for_each(&library)?;
        }
        let script = self.out.join("bin/replit-env");
        replace(script.path(), &wrapper, 0o755)?;
        replace(self.out.join("etc/profile.d/replit-env.sh").path(), &script::profile(&changes), 0o644)?;
        replace(self.out.join("share/fish/vendor_conf.d/replit-env.fish").path(), &fish::hook(&script), 0o644)
    }

    /// Writes a directory for each name that an ld.so may put in the place of `$PLATFORM`.
    fn write_for_each(&self, library_32: &[u8]) -> Result<()> {
        let directory = self.out.join("lib");
        replace(&directory.path().join(I386.name).join(AUDITOR), library_32, 0o644)?;
        link(&directory.path().join(X86_64.name).join(AUDITOR), &Path::new("..").join(AUDITOR))?;
        for Platform { name, others } in [X86_64, I386] {
            others.iter().try_for_each(|other| link(&directory.path().join(other), Path::new(name)))?;
        }
        Ok(())
    }
}

/// Reads an auditor.
fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read the auditor {}", path.display()))
}

/// Reads one for processes of this machine's kind.
fn read_own(path: &Path) -> Result<Vec<u8>> {
    let library = read(path)?;
    ensure!(kind(&library) == Kind::Shared, "{} is no shared object for this kind of machine", path.display());
    Ok(library)
}

/// Reads one for 32-bit processes.
fn read_32(path: &Path) -> Result<Vec<u8>> {
    ensure!(platform::OWN_32.is_some(), "--auditor-32: an environment has a 32-bit auditor on x86_64 alone");
    let library = read(path)?;
    ensure!(platform::is_i386(&library), "{} is no shared object for i386", path.display());
    Ok(library)
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
    put(path, |directory| {
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(contents)?;
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        file.persist(path)?;
        Ok(())
    })
}

/// Makes `path` a symbolic link. At any time there is one.
fn link(path: &Path, target: &Path) -> Result<()> {
    put(path, |directory| {
        tempfile::Builder::new().make_in(directory, |link| symlink(target, link))?.persist(path)?;
        Ok(())
    })
}

/// Puts something at `path`, whose directory is made if need be.
fn put(path: &Path, put: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let made = make(directory).map_err(Into::into);
    made.and_then(|()| put(directory)).with_context(|| format!("cannot write {}", path.display()))
}

/// Makes a directory and those above it, which everybody may look into, whatever the umask: so it is with the files.
fn make(directory: &Path) -> io::Result<()> {
    // Above a relative path there is one without a name.
    if directory.as_os_str().is_empty() || directory.is_dir() {
        return Ok(());
    }
    directory.parent().map_or(Ok(()), make)?;
    match fs::create_dir(directory) {
        Ok(()) => fs::set_permissions(directory, Permissions::from_mode(0o755)),
        // Somebody else makes an environment here, too.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

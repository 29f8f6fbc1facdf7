//! Starting processes and making programs, from many threads at once.
//!
//! A file that is open for writing cannot be executed (ETXTBSY), and a child holds its parent's descriptors until it has
//! executed something. So while one thread writes a program, no other starts a process.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{PoisonError, RwLock};

use anyhow::{Context, Result, ensure};

/// Held for reading by who writes programs, for writing by who starts a process.
static PROGRAMS: RwLock<()> = RwLock::new(());

/// Copies a program or a library, with the given permissions.
pub fn copy_program(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let _writing = PROGRAMS.read().unwrap_or_else(PoisonError::into_inner);
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(fs::set_permissions(to, Permissions::from_mode(mode))?)
}

/// Writes a program, with the given permissions.
pub fn write_program(bytes: &[u8], path: &Path, mode: u32) -> Result<()> {
    let _writing = PROGRAMS.read().unwrap_or_else(PoisonError::into_inner);
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
}

/// Starts a process. When this returns, it executes its program.
pub fn start(command: &mut Command) -> Result<Child> {
    let _starting = PROGRAMS.write().unwrap_or_else(PoisonError::into_inner);
    command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))
}

/// Runs a process to its end, which must be a good one.
pub fn succeed(command: &mut Command) -> Result<()> {
    let child = start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let output = child.wait_with_output()?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed: {message}", command.get_program().display());
    Ok(())
}

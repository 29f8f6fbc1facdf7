//! What the garbage collector keeps: the roots, and what they refer to.
//!
//! Nix could say it by itself (`nix-store --query --roots`), but takes stale roots away while it looks. A doctor only
//! looks: the roots are read here (`findRoots` of Nix's gc.cc), and Nix is only asked what refers to a store path.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use super::world::{World, store_path};

/// Where the roots are.
const ROOTS: [&str; 2] = ["/nix/var/nix/gcroots", "/nix/var/nix/profiles"];

/// Whether the garbage collector keeps a store path. `None` if that cannot be known.
pub fn is_kept(world: &World, path: &Path) -> Option<bool> {
    let roots = Roots::read(world);
    if roots.paths.contains(path) {
        return Some(true);
    }
    let referrers = (world.referrers)(world, path)?;
    let is_kept = referrers.iter().any(|referrer| roots.paths.contains(referrer));
    (is_kept || roots.is_complete).then_some(is_kept)
}

/// The roots.
struct Roots {
    paths: HashSet<PathBuf>,
    /// All of them could be read. Those in the homes of others cannot.
    is_complete: bool,
}

impl Roots {
    fn read(world: &World) -> Self {
        let mut roots = Self { paths: HashSet::new(), is_complete: true };
        let mut rest: Vec<PathBuf> = ROOTS.map(PathBuf::from).into();
        while let Some(directory) = rest.pop() {
            for path in world.names(&directory).into_iter().map(|name| directory.join(name)) {
                match world.link(&path) {
                    Ok(target) => roots.add(world, &target),
                    Err(_) if world.is_directory(&path) => rest.push(path),
                    Err(_) => {}
                }
            }
        }
        roots
    }

    /// Adds where a link leads: to a store path, or to another link that does.
    fn add(&mut self, world: &World, target: &Path) {
        if let Some(path) = store_path(target) {
            self.paths.insert(path);
            return;
        }
        match world.link(target) {
            Ok(target) => self.paths.extend(store_path(&target)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.is_complete = false,
            Err(_) => {}
        }
    }
}

impl World {
    /// Where the link at a path leads, as Nix reads it: `..` is taken away without a look.
    fn link(&self, path: &Path) -> io::Result<PathBuf> {
        let directory = path.parent().and_then(|directory| self.file(directory));
        let (Some(directory), Some(name)) = (directory, path.file_name()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut target = PathBuf::new();
        for part in path.with_file_name(fs::read_link(directory.join(name))?).components() {
            match part {
                Component::ParentDir => drop(target.pop()),
                part => target.push(part),
            }
        }
        Ok(target)
    }
}

/// Asks Nix for all that refers to a store path, and that itself.
pub fn referrers(world: &World, path: &Path) -> Option<Vec<PathBuf>> {
    let program = world.program(OsStr::new("nix-store"))?;
    let mut nix = Command::new(world.file(&program)?);
    // It is a link to `nix`, which knows by this name what it is to do.
    nix.arg0("nix-store").args(["--query", "--referrers-closure"]).arg(path).stdin(Stdio::null()).stderr(Stdio::null());
    // What is wrong with these is told by the checks, not by Nix.
    for variable in ["LD_AUDIT", "LD_PRELOAD", "LD_LIBRARY_PATH"] {
        nix.env_remove(variable);
    }
    let output = nix.output().ok().filter(|output| output.status.success())?;
    let paths = output.stdout.split(|&byte| byte == b'\n').filter(|path| !path.is_empty());
    Some(paths.map(|path| OsStr::from_bytes(path).into()).collect())
}

//! NVIDIA's driver: whether what belongs to the kernel's module is where it is looked for.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rtld_loader::drivers::{CACHE, DEVICES, DIRECTORY};
use rtld_loader::ld_so_cache;

use super::declared::usable;
use super::finding::Finding;
use super::message::show;
use super::report::Report;
use super::world::World;

/// The driver's library.
const CUDA: &str = "libcuda.so.1";

pub fn check(world: &World, report: &mut Report) {
    let device = DEVICES.into_iter().map(path).find(|device| world.exists(device));
    let Some(device) = device else { return report.well("drivers: there is no device of NVIDIA's") };
    match library(world) {
        Some(path) => report.well(format!("drivers: {} for {}", show(&path), show(&device))),
        None => report.find(Finding::NoCuda { device }),
    }
}

/// Where the driver's library is: where NixOS puts it, where a package of the machine has, or where it is declared.
fn library(world: &World) -> Option<PathBuf> {
    let cache = world.read(&path(CACHE)).unwrap_or_default();
    let cached = ld_so_cache::paths(&cache, CUDA.as_bytes()).map(path);
    let declared = usable(world).into_iter().map(|entry| match entry.file_name() {
        Some(name) if name == CUDA => entry,
        _ => entry.join(CUDA),
    });
    let fixed = [Path::new(OsStr::from_bytes(DIRECTORY)).join(CUDA)];
    fixed.into_iter().chain(cached).chain(declared).find(|path| world.exists(path))
}

fn path(bytes: &CStr) -> PathBuf {
    OsStr::from_bytes(bytes.to_bytes()).into()
}

//! Libraries of the machine's graphics driver: no package brings them, since they must be of the very version that the kernel's
//! module is.
//!
//! They are handed out one by one and by their names alone, where nobody else has them: from the directory where NixOS has its
//! driver; or, on another machine with a device of NVIDIA's or WSL's, from where its ld.so.cache has them. Never is a directory of
//! the machine's searched, and what a driver's library needs that is no driver's has to be found elsewhere.

use core::ffi::CStr;

use crate::ld_so_cache;
use crate::outcome::Unsure;
use crate::path::PathBuf;
use crate::views::Files;

/// Where NixOS has its driver, whichever it is.
pub const DIRECTORY: &[u8] = b"/run/opengl-driver/lib/";
/// Where there is one of these there is a driver, which its installer has made known to the machine's programs.
pub const DEVICES: [&CStr; 3] = [c"/dev/nvidiactl", c"/dev/nvidia0", c"/dev/dxg"];
/// The machine's cache. That of a store's ld.so is another one.
pub const CACHE: &CStr = c"/etc/ld.so.cache";

/// What the names of the drivers' own libraries begin with: CUDA, NVIDIA's others, and those of WSL; what libglvnd looks
/// for, by the name of a vendor.
const PREFIXES: &[&[u8]] = &[
    b"libcuda.so",
    b"libcudadebugger.so",
    b"libnvidia-",
    b"libnvcuvid.so",
    b"libnvoptix.so",
    b"libvdpau_nvidia.so",
    b"libdxcore.so",
    b"libd3d12.so",
    b"libd3d12core.so",
    b"libGLX_",
    b"libEGL_",
    b"libGLESv1_CM_",
    b"libGLESv2_",
];

/// What leads to the driver: nixpkgs has these, too, but for a driver that brings its own.
const ENTRANCES: &[&[u8]] = &[
    b"libGL.so.1",
    b"libGLX.so.0",
    b"libGLdispatch.so.0",
    b"libOpenGL.so.0",
    b"libEGL.so.1",
    b"libGLESv1_CM.so.1",
    b"libGLESv2.so.2",
    b"libvulkan.so.1",
];

/// Whether a library may come from the driver.
pub fn contains(soname: &[u8]) -> bool {
    soname.starts_with(b"lib")
        && (ENTRANCES.contains(&soname) || PREFIXES.iter().any(|prefix| soname.starts_with(prefix)))
}

/// Puts the nth place where such a library may be into `path`. `None` when there are no more.
pub fn candidate(files: &mut impl Files, soname: &[u8], nth: usize, path: &mut PathBuf) -> Result<Option<()>, Unsure> {
    let Some(nth) = nth.checked_sub(1) else { return Ok(path.set(&[DIRECTORY, soname])) };
    if !DEVICES.iter().any(|device| files.identity(device).is_some()) {
        return Ok(None);
    }
    let cached = ld_so_cache::paths(files.cache(CACHE)?, soname).nth(nth);
    Ok(cached.and_then(|cached| path.set(&[cached.to_bytes()])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_and_what_leads_to_them() {
        for soname in [
            "libcuda.so",
            "libcuda.so.1",
            "libcuda.so.550.54.14",
            "libnvidia-glcore.so.550.54.14",
            "libnvidia-ml.so.1",
            "libGLX_nvidia.so.0",
            "libEGL_mesa.so.0",
            "libGLESv2_nvidia.so.2",
            "libGL.so.1",
            "libvulkan.so.1",
            "libdxcore.so",
        ] {
            assert!(contains(soname.as_bytes()), "{soname}");
        }
        // CUDA's toolkit, libraries with GL in their names, and what the drivers need, are of packages.
        for soname in [
            "libcudart.so.12",
            "libcudnn.so.9",
            "libnvrtc.so.12",
            "libnvToolsExt.so.1",
            "libGL.so",
            "libGL.so.10",
            "libGLU.so.1",
            "libGLEW.so.2.2",
            "libOpenCL.so.1",
            "libX11.so.6",
            "libdrm.so.2",
            "libstdc++.so.6",
            "",
        ] {
            assert!(!contains(soname.as_bytes()), "{soname}");
        }
    }
}

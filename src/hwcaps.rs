//! The subdirectories for processors in which ld.so looks before a directory itself.
//!
//! Which of them it really takes depends on the processor and on tunables. We do not follow it there: a library of the
//! right name in any of them means that the lookup is ld.so's own business. Since nobody has most of these
//! directories, what a directory has of them is looked at once, and remembered.

use crate::loader_image::LoaderImage;

/// The subdirectories of glibc-hwcaps (sysdeps/*/dl-hwcaps-subdirs.c), for the architecture that this is built for.
const GLIBC_HWCAPS: &[&[u8]] = if cfg!(any(target_arch = "x86_64", target_arch = "x86")) {
    &[b"glibc-hwcaps/x86-64-v4/", b"glibc-hwcaps/x86-64-v3/", b"glibc-hwcaps/x86-64-v2/"]
} else {
    &[]
};

/// What they all begin with.
const SUBDIRECTORIES: &[u8] = b"glibc-hwcaps/";

/// The components of the older subdirectories, in the order in which ld.so joins them; any of them may be absent
/// (elf/dl-hwcaps.c, sysdeps/x86/dl-procinfo.c). The second is AT_PLATFORM or what ld.so takes for it.
const LEGACY: &[&[&[u8]]] = if cfg!(target_arch = "x86_64") {
    &[&[b"tls/"], &[b"haswell/", b"xeon_phi/", b"x86_64/"], &[b"avx512_1/"], &[b"x86_64/"]]
} else if cfg!(target_arch = "x86") {
    &[&[b"tls/"], &[b"haswell/", b"xeon_phi/", b"i686/", b"i586/"], &[b"sse2/"]]
} else if cfg!(target_arch = "aarch64") {
    &[&[b"tls/"], &[b"aarch64/"], &[b"atomics/"]]
} else {
    &[]
};

/// Every one of those components, once.
const FIRST_COMPONENTS: &[&[u8]] = if cfg!(target_arch = "x86_64") {
    &[b"tls/", b"haswell/", b"xeon_phi/", b"avx512_1/", b"x86_64/"]
} else if cfg!(target_arch = "x86") {
    &[b"tls/", b"haswell/", b"xeon_phi/", b"i686/", b"i586/", b"sse2/"]
} else if cfg!(target_arch = "aarch64") {
    &[b"tls/", b"aarch64/", b"atomics/"]
} else {
    &[]
};

/// Whether a directory of this name may be, or lead to, one for processors.
pub fn is_subdirectory(name: &[u8]) -> bool {
    name == b"glibc-hwcaps" || FIRST_COMPONENTS.iter().any(|component| component.strip_suffix(b"/") == Some(name))
}

/// The subdirectory of glibc-hwcaps that a file is in, with a closing slash.
pub fn subdirectory(path: &[u8]) -> Option<&[u8]> {
    let start = path.windows(SUBDIRECTORIES.len()).position(|window| window == SUBDIRECTORIES)?;
    let rest = path.get(start..)?;
    let known = GLIBC_HWCAPS.iter().find(|known| rest.starts_with(known))?;
    rest.get(..known.len())
}

/// How early ld.so looks into a subdirectory of glibc-hwcaps, from 0.
pub fn rank(subdirectory: &[u8]) -> Option<usize> {
    GLIBC_HWCAPS.iter().position(|known| *known == subdirectory)
}

/// The older subdirectory that a file is in, with a closing slash; empty if it is in none.
pub fn legacy_subdirectory(path: &[u8]) -> &[u8] {
    let directory =
        path.iter().rposition(|&byte| byte == b'/').and_then(|slash| path.get(..=slash)).unwrap_or_default();
    let mut len = 0usize;
    while let Some(before) = directory.get(..directory.len().saturating_sub(len))
        && let Some(component) = FIRST_COMPONENTS
            .iter()
            .find(|component| before.strip_suffix(**component).is_some_and(|parent| parent.ends_with(b"/")))
    {
        len = len.saturating_add(component.len());
    }
    directory.get(directory.len().saturating_sub(len)..).unwrap_or_default()
}

/// Which of the two kinds a directory has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roots(u8);

impl Roots {
    const GLIBC_HWCAPS: u8 = 1;
    const LEGACY: u8 = 2;

    /// What was remembered as [`Self::bits`].
    pub fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// To be remembered.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Finds what exists: `is_directory` is asked for each first component that this ld.so may search.
    pub fn find(image: &LoaderImage<'_>, mut is_directory: impl FnMut(&[u8]) -> bool) -> Self {
        let mut bits = 0;
        if !GLIBC_HWCAPS.is_empty() && image.has_glibc_hwcaps() && is_directory(b"glibc-hwcaps/") {
            bits |= Self::GLIBC_HWCAPS;
        }
        if image.has_legacy_hwcaps() && FIRST_COMPONENTS.iter().any(|component| is_directory(component)) {
            bits |= Self::LEGACY;
        }
        Self(bits)
    }

    /// Calls `visit` with each subdirectory that may exist, as the components to join, until it returns true.
    pub fn any(self, mut visit: impl FnMut(&[&[u8]]) -> bool) -> bool {
        if self.0 & Self::GLIBC_HWCAPS != 0 && GLIBC_HWCAPS.iter().any(|subdirectory| visit(&[subdirectory])) {
            return true;
        }
        self.0 & Self::LEGACY != 0 && join(LEGACY, [b""; 4], 0, &mut visit)
    }
}

/// Every way to take at most one of each group, at least one in all.
fn join(groups: &[&[&[u8]]], taken: [&[u8]; 4], depth: usize, visit: &mut impl FnMut(&[&[u8]]) -> bool) -> bool {
    let Some((group, rest)) = groups.split_first() else {
        return taken.iter().any(|component| !component.is_empty()) && visit(&taken);
    };
    let deeper = depth.saturating_add(1);
    let with = group.iter().any(|component| {
        let mut taken = taken;
        if let Some(place) = taken.get_mut(depth) {
            *place = component;
        }
        join(rest, taken, deeper, visit)
    });
    with || join(rest, taken, deeper, visit)
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use std::{string::String, vec::Vec};

    fn all(roots: Roots) -> Vec<String> {
        let mut seen = Vec::new();
        roots.any(|components| {
            seen.push(String::from_utf8(components.concat()).unwrap());
            false
        });
        seen
    }

    #[test]
    fn nothing_is_visited_where_nothing_exists() {
        assert_eq!(all(Roots(0)), [""; 0]);
        assert_eq!(all(Roots(Roots::GLIBC_HWCAPS)).len(), 3);
    }

    #[test]
    fn a_path_tells_its_subdirectory() {
        let level = b"glibc-hwcaps/x86-64-v3/".as_slice();
        assert_eq!(subdirectory(b"/lib/glibc-hwcaps/x86-64-v3/libx.so"), Some(level));
        assert_eq!(subdirectory(b"/lib/glibc-hwcaps/x86-64-v9/libx.so"), None);
        assert_eq!(subdirectory(b"/lib/libx.so"), None);
    }

    #[test]
    fn a_path_tells_its_older_subdirectory() {
        for (path, subdirectory) in [
            ("/lib/tls/x86_64/libx.so", "tls/x86_64/"),
            ("/tls/haswell/libx.so", "tls/haswell/"),
            ("/tls/lib/libx.so", ""),
            ("/lib/mytls/libx.so", ""),
            ("libx.so", ""),
        ] {
            assert_eq!(legacy_subdirectory(path.as_bytes()), subdirectory.as_bytes(), "{path}");
        }
    }

    #[test]
    fn legacy_subdirectories_are_what_glibc_2_31_tries() {
        let seen = all(Roots(Roots::LEGACY));
        assert_eq!(seen.len(), 2 * 4 * 2 * 2 - 1);
        // The order and the joining that `strace` shows of 2.31 on a Haswell with AVX-512.
        for expected in ["tls/haswell/avx512_1/x86_64/", "tls/x86_64/", "haswell/avx512_1/", "x86_64/x86_64/"] {
            assert!(seen.iter().any(|subdirectory| subdirectory == expected), "{expected}");
        }
        for subdirectory in seen {
            let first = FIRST_COMPONENTS.iter().any(|component| subdirectory.as_bytes().starts_with(component));
            assert!(first, "{subdirectory} begins with a component that is looked for");
        }
    }
}

//! The glibc family: the libraries that are one with the ld.so of a process.
//!
//! They share private symbols (GLIBC_PRIVATE) with exactly the ld.so and libc.so.6 of their own build, so a declared
//! one is never handed out. Where they come from instead: see `own_glibc`.

/// The sonames, with the version of each on Linux (shlib-versions of glibc).
const SONAMES: &[&[u8]] = &[
    b"libBrokenLocale.so.1",
    b"libanl.so.1",
    b"libc.so.6",
    b"libc_malloc_debug.so.0",
    b"libdl.so.2",
    b"libm.so.6",
    b"libmvec.so.1",
    b"libnsl.so.1",
    b"libnss_compat.so.2",
    b"libnss_db.so.2",
    b"libnss_dns.so.2",
    b"libnss_files.so.2",
    b"libnss_hesiod.so.2",
    b"libpthread.so.0",
    b"libresolv.so.2",
    b"librt.so.1",
    b"libthread_db.so.1",
    b"libutil.so.1",
];

/// Whether a soname belongs to the glibc family.
pub fn contains(soname: &[u8]) -> bool {
    is_loader(soname) || SONAMES.contains(&soname)
}

/// Whether a soname is that of an ld.so.
pub fn is_loader(soname: &[u8]) -> bool {
    soname.starts_with(b"ld-linux")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_others() {
        for member in ["libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "ld-linux.so.2", "libnss_files.so.2"] {
            assert!(contains(member.as_bytes()), "{member}");
        }
        // libnsl.so.2 and .3 are of another project, libcrypt.so.1 may be: any of them may be declared.
        for other in ["libnsl.so.3", "libcrypt.so.1", "libmount.so.1", "libc.so", "libdl.so.2.1", "libgcc_s.so.1"] {
            assert!(!contains(other.as_bytes()), "{other}");
        }
    }
}

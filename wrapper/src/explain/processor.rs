//! Which subdirectories for processors ld.so takes on this machine (sysdeps/x86_64/dl-hwcaps-subdirs.c, and
//! elf/dl-hwcaps.c up to 2.36).

/// Whether ld.so takes a subdirectory, whose path has a closing slash.
#[cfg(target_arch = "x86_64")]
pub fn takes(subdirectory: &[u8]) -> bool {
    use std::arch::is_x86_feature_detected as has;

    let second =
        has!("cmpxchg16b") && has!("popcnt") && has!("sse3") && has!("sse4.1") && has!("sse4.2") && has!("ssse3");
    let third = second
        && (has!("avx") && has!("avx2") && has!("bmi1") && has!("bmi2") && has!("f16c") && has!("fma"))
        && (has!("lzcnt") && has!("movbe"));
    let fourth =
        third && (has!("avx512f") && has!("avx512bw") && has!("avx512cd") && has!("avx512dq") && has!("avx512vl"));
    match subdirectory.strip_prefix(b"glibc-hwcaps/") {
        Some(b"x86-64-v2/") => second,
        Some(b"x86-64-v3/") => third,
        Some(b"x86-64-v4/") => fourth,
        Some(_) => false,
        // The older kind: `haswell` means what v3 has, `avx512_1` what v4 has.
        None => subdirectory.split(|&byte| byte == b'/').filter(|component| !component.is_empty()).all(|component| {
            match component {
                b"tls" | b"x86_64" => true,
                b"haswell" => third,
                b"avx512_1" => fourth,
                _ => false,
            }
        }),
    }
}

/// There are none in use for this processor.
#[cfg(not(target_arch = "x86_64"))]
pub fn takes(_subdirectory: &[u8]) -> bool {
    false
}

//! Which subdirectories for processors ld.so takes on this machine (sysdeps/x86_64/dl-hwcaps-subdirs.c, and
//! elf/dl-hwcaps.c up to 2.36), and what it takes for the platform.

#[cfg(target_arch = "x86_64")]
use std::sync::LazyLock;

use crate::platform::OWN;

/// What an ld.so that knows this name takes for the platform of an Intel processor which has what `haswell` stands for
/// (sysdeps/x86/cpu-features.c).
pub const HASWELL: &[u8] = b"haswell";

/// What `$PLATFORM` means for an ld.so, which may know of [`HASWELL`].
pub fn platform(knows_haswell: bool) -> &'static [u8] {
    if knows_haswell && takes(b"haswell/") {
        return HASWELL;
    }
    OWN.name.as_bytes()
}

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
        // The older kind: `haswell` means what v3 has, `avx512_1` what v4 has, both of Intel alone.
        None => subdirectory.split(|&byte| byte == b'/').filter(|component| !component.is_empty()).all(|component| {
            match component {
                b"tls" | b"x86_64" => true,
                b"haswell" => third && is_of_intel(),
                b"avx512_1" => fourth && is_of_intel(),
                _ => false,
            }
        }),
    }
}

/// Whether Intel has made this processor, as proc_cpuinfo(5) has it.
#[cfg(target_arch = "x86_64")]
fn is_of_intel() -> bool {
    static IS_OF_INTEL: LazyLock<bool> = LazyLock::new(|| {
        let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let mut fields = information.lines().filter_map(|line| line.split_once(':'));
        fields.any(|(name, value)| name.trim() == "vendor_id" && value.trim() == "GenuineIntel")
    });
    *IS_OF_INTEL
}

/// The same where there is only the older kind: the platform's, and that of a feature of the processor.
#[cfg(not(target_arch = "x86_64"))]
pub fn takes(subdirectory: &[u8]) -> bool {
    subdirectory
        .split(|&byte| byte == b'/')
        .filter(|component| !component.is_empty())
        .all(|component| component == b"tls" || component == OWN.name.as_bytes() || is_of_feature(component))
}

#[cfg(target_arch = "x86")]
fn is_of_feature(component: &[u8]) -> bool {
    component == b"sse2" && std::arch::is_x86_feature_detected!("sse2")
}

#[cfg(target_arch = "aarch64")]
fn is_of_feature(component: &[u8]) -> bool {
    component == b"atomics" && std::arch::is_aarch64_feature_detected!("lse")
}

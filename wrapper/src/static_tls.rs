//! How much static thread-local storage an environment asks ld.so to keep: `glibc.rtld.optional_static_tls`.
//!
//! A variable in thread-local storage is static when code reaches it at a fixed distance from the thread pointer. Its
//! object's segment then has to lie in the block that each thread begins with, and ld.so lays out that block early.
//! Without an auditor it knows all initial libraries by then. With one it knows the program alone (`init_tls` is called
//! before the libraries are mapped), and the libraries, like those that are opened later, live on a surplus: 1440 bytes
//! and this tunable, whose default is 512 (`_dl_tls_static_surplus_init` of elf/dl-tls.c, with one auditor).
//!
//! Who needs static storage:
//! - An object with DF_STATIC_TLS. Linkers set it when they meet such an access in a library.
//! - What such an object needs directly, since the variable may be another's (libGL's are in libGLdispatch), and what
//!   a program needs directly, in which no flag says so.
//! - On machines whose compilers use TLS descriptors, everything with a segment: ld.so puts descriptors' segments
//!   there, too, as long as there is room, and may do so before those come that cannot do without.
//!
//! All others allocate theirs when it is first used. To count them as well would be simpler, and each thread of each
//! program would pay for it: many libraries have hundreds of bytes, and few of them are static.
//!
//! glibc's own libraries are not counted. For each auditor ld.so adds room for a libc.so.6 and more (288 bytes), and
//! ours loads none.

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;

use rtld_loader::family;

use crate::closure::{Closure, Id, Object};

/// glibc's default, which is kept for what it is there for: libraries that are opened later.
const DEFAULT: u64 = 512;

/// The most that is asked for. Threads pay with their stack: on glibc 2.41 one that is started with 32 KiB (Node.js
/// does at each start) still starts at 24896 bytes, and fails with EINVAL beyond. librustc_driver, which has more
/// of it than any other library that we know but for sanitizers, has 23688.
const MOST: u64 = 24 << 10;

/// What a program may bring that nobody declared: jemalloc, the one library with much static storage that many
/// programs need. 6216 bytes in version 5.2.1, 2632 in 5.3.0 (PT_TLS of Debian's libjemalloc2). With this, a thread
/// with PTHREAD_STACK_MIN, 16 KiB, still starts: on glibc 2.41 up to 8512 bytes in all.
const COMMON: (&[u8], u64) = (b"libjemalloc.so.2", 6216);

/// TLS descriptors are what compilers use unless told otherwise.
const DESCRIPTORS: bool = cfg!(target_arch = "aarch64");

/// The bytes that are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticTls {
    /// By what is declared, beside glibc's default.
    declared: u64,
    /// By that, or with a program that was not declared.
    all: u64,
}

impl StaticTls {
    /// Adds up the closure.
    pub fn of(closure: &Closure<'_>) -> Self {
        let libraries = needs(closure, &closure.reach(&closure.libraries), &[]);
        let of_libraries = DEFAULT.saturating_add(sum(libraries.values().copied()));
        let beyond = |brought: HashMap<&[u8], u64>| {
            sum(brought.iter().map(|(soname, size)| size.saturating_sub(*libraries.get(soname).unwrap_or(&0))))
        };
        // All of the declared libraries may meet in one process, but only with one program.
        let of_programs = closure.programs.iter().map(|&program| {
            let direct = &closure.object(program).needed;
            beyond(needs(closure, &closure.reach(direct), direct))
        });
        let of_programs = of_programs.max().unwrap_or(0);
        let of_others = beyond(HashMap::from([COMMON]));
        Self {
            declared: of_libraries.saturating_add(of_programs),
            all: of_libraries.saturating_add(of_programs.max(of_others)),
        }
    }

    /// What to ask for.
    pub fn asked(self) -> u64 {
        self.all.min(MOST)
    }

    /// Says so if that is not enough for what is declared.
    pub fn warn(self) {
        let Self { declared, .. } = self;
        if declared > MOST {
            eprintln!(
                "replit-env-cli: warning: what is declared may need {declared} bytes of static thread-local storage; \
                 {MOST} are kept, since each thread's stack pays for them"
            );
        }
    }
}

/// The static storage of some objects, by soname: of several files of one soname a process has one. `direct` are those
/// that a program needs.
fn needs<'c>(closure: &'c Closure<'_>, objects: &HashSet<Id>, direct: &[Id]) -> HashMap<&'c [u8], u64> {
    let mut needs = HashMap::new();
    let flagged = objects.iter().filter(|&&id| DESCRIPTORS || closure.object(id).file.static_tls);
    let of_flagged = flagged.flat_map(|id| [id].into_iter().chain(&closure.object(*id).needed));
    for object in of_flagged.chain(direct).map(|&id| closure.object(id)) {
        let (soname, size) = (soname(object), size(object));
        // What alone is more than all that can be kept is not helped by keeping it: the sanitizers' runtime libraries,
        // which lie beside libstdc++ and have up to 785760 bytes.
        if size > 0 && size <= MOST && !family::contains(soname) {
            let largest: &mut u64 = needs.entry(soname).or_default();
            *largest = size.max(*largest);
        }
    }
    needs
}

/// The name by which an object is known to those who need it.
fn soname(object: &Object) -> &[u8] {
    let of_path = || object.path.file_name().unwrap_or_default().as_bytes();
    object.file.soname.as_deref().unwrap_or_else(of_path)
}

/// The most bytes that ld.so uses for an object's segment, wherever the room that is left begins
/// (`_dl_try_allocate_static_tls` of elf/dl-reloc.c).
fn size(object: &Object) -> u64 {
    match object.file.tls_size {
        0 => 0,
        size => size.saturating_add(object.file.tls_align - 1),
    }
}

fn sum(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}

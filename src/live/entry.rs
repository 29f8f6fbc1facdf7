//! The functions that ld.so calls (rtld-audit(7)), and the one that nobody may.
//!
//! # Safety
//!
//! ld.so calls them one at a time, under its lock, with pointers of its own: `name` is a C string, a link_map one of an
//! object that is loaded, and a cookie the link_map's address, since nobody here changes it. When the process ends, it calls
//! la_objclose without the lock (elf/dl-fini.c), while other threads go on: so that touches nothing but [`LINKS`]. Nor is the
//! constructor under the lock, if a program opens us by dlopen(3): it only keeps what it is given.
//!
//! On i386 ld.so calls those of `aligned`, which go on to these.

#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_long, c_uint};

use super::link_map::LoadedObject;
use super::links::Links;
use super::process::{Buffers, Process, Stage};
use super::start::{Given, Room, Start};
use crate::path::PathBuf;

/// LA_SER_ORIG and LA_SER_DEFAULT of link.h.
const LA_SER_ORIG: c_uint = 0x01;
const LA_SER_DEFAULT: c_uint = 0x40;
/// LM_ID_BASE of dlfcn.h.
const LM_ID_BASE: c_long = 0;
/// LA_ACT_ADD of link.h.
const LA_ACT_ADD: c_uint = 1;

/// Nothing is mapped below this address (vm.mmap_min_addr of proc_sys_vm(5)).
const LEAST_ADDRESS: usize = 1 << 16;

/// Something in the memory that ld.so maps with us.
struct Static<T>(UnsafeCell<T>);

// SAFETY: it is reached only from ld.so's callbacks, which ld.so makes one at a time; from the constructor before them, once.
unsafe impl<T> Sync for Static<T> {}

/// What objects are closed is taken out of.
#[unsafe(link_section = ".data")]
static LINKS: Links = Links::new();

// All of it is in the file, though most of it is zeros: ld.so would map other memory for zeros that are not, in every process.
#[unsafe(link_section = ".data")]
static PROCESS: Static<Process> = Static(UnsafeCell::new(Process::new(&LINKS)));
#[unsafe(link_section = ".data")]
static BUFFERS: Static<Buffers> = Static(UnsafeCell::new(Buffers::new()));
#[unsafe(link_section = ".data")]
static ROOM: Static<Room> = Static(UnsafeCell::new([0; size_of::<Room>()]));
#[unsafe(link_section = ".data")]
static LOG_PATH: Static<PathBuf> = Static(UnsafeCell::new(PathBuf::new()));
#[unsafe(link_section = ".data")]
static GIVEN: Static<Given> = Static(UnsafeCell::new(Given::nothing()));

/// The state, for one callback.
///
/// # Safety
///
/// Only a callback may ask, once.
unsafe fn process() -> &'static mut Process {
    // SAFETY: callbacks don't overlap, and none keeps the reference.
    unsafe { &mut *PROCESS.0.get() }
}

/// ld.so runs this before la_version, with what main gets. A program that opens us gives what it has come to, and does not go on to
/// la_version.
#[used]
#[unsafe(link_section = ".init_array")]
static INIT: unsafe extern "C" fn(c_int, *const *const c_char, *const *const c_char) = {
    unsafe extern "C" fn init(_count: c_int, arguments: *const *const c_char, environment: *const *const c_char) {
        // SAFETY: it is called once, before all callbacks.
        unsafe { *GIVEN.0.get() = Given { arguments, environment } };
    }
    init
};

/// The version of the auditing interface: ld.so's own, or 0 to be unloaded.
#[cfg_attr(not(target_arch = "x86"), unsafe(no_mangle))]
pub unsafe extern "C" fn la_version(version: c_uint) -> c_uint {
    // SAFETY: this is a callback.
    let process = unsafe { process() };
    // SAFETY: callbacks don't overlap.
    let buffers = unsafe { &mut *BUFFERS.0.get() };
    // SAFETY: this is called once, so nobody else has it.
    let room = unsafe { &mut *ROOM.0.get() };
    // SAFETY: as above.
    let log_path = unsafe { &mut *LOG_PATH.0.get() };
    // SAFETY: the constructor has run.
    let given = unsafe { &*GIVEN.0.get() };
    // SAFETY: ld.so, which starts the process, calls this right behind the constructor.
    let start = unsafe { Start::new(given) };
    process.start(&start, log_path);
    if process.join(version, buffers, room) { version } else { 0 }
}

/// ld.so begins or ends a change of its objects.
#[cfg_attr(not(target_arch = "x86"), unsafe(no_mangle))]
pub unsafe extern "C" fn la_activity(_cookie: *const usize, activity: c_uint) {
    if activity == LA_ACT_ADD {
        // SAFETY: this is a callback.
        unsafe { process() }.begin();
    }
}

/// ld.so has mapped an object. No symbol bindings are asked for.
#[cfg_attr(not(target_arch = "x86"), unsafe(no_mangle))]
pub unsafe extern "C" fn la_objopen(link_map: usize, namespace: c_long, _cookie: *const usize) -> c_uint {
    // SAFETY: this is a callback.
    let process = unsafe { process() };
    // SAFETY: it is one of ld.so's link_maps.
    let Some(object) = (unsafe { LoadedObject::new(link_map) }) else {
        return 0;
    };
    let is_main_namespace = namespace == LM_ID_BASE;
    if is_main_namespace && process.expects_loader() {
        // SAFETY: in its namespace, after the program comes ld.so itself.
        process.found_loader(unsafe { object.as_loader() });
    }
    process.opened(object, is_main_namespace);
    0
}

/// ld.so looks for an object: the name or path to look for instead.
#[cfg_attr(not(target_arch = "x86"), unsafe(no_mangle))]
pub unsafe extern "C" fn la_objsearch(name: *const c_char, cookie: *const usize, flag: c_uint) -> *const c_char {
    let stage = match flag {
        LA_SER_ORIG => Stage::Origin,
        LA_SER_DEFAULT => Stage::Default,
        _ => return name,
    };
    // Before 2.35 ld.so also asks on behalf of nobody, while it loads another auditor: then the cookie's address is but
    // its offset in a link_map.
    if cookie.addr() < LEAST_ADDRESS {
        return name;
    }
    // SAFETY: this is a callback.
    let process = unsafe { process() };
    // SAFETY: the cookie is that of the requesting object.
    let link_map = unsafe { cookie.read() };
    // SAFETY: and its value the address of that object's link_map.
    let Some(requester) = (unsafe { LoadedObject::new(link_map) }) else {
        return name;
    };
    // SAFETY: the name is a C string.
    let asked = unsafe { CStr::from_ptr(name) };
    // SAFETY: callbacks don't overlap. What is returned is read before the next one of the same stage.
    let buffers = unsafe { &mut *BUFFERS.0.get() };
    process.search(buffers, asked, requester, stage).map_or(name, |answer| answer.as_ptr().cast())
}

/// ld.so is about to unmap an object; or the process ends, and it has called the object's destructors.
#[cfg_attr(not(target_arch = "x86"), unsafe(no_mangle))]
pub unsafe extern "C" fn la_objclose(cookie: *const usize) -> c_uint {
    // SAFETY: the cookie is that of the object.
    let link_map = unsafe { cookie.read() };
    // SAFETY: and its value the address of its link_map.
    if let Some(object) = unsafe { LoadedObject::new(link_map) } {
        LINKS.remove(object);
    }
    0
}

/// Nothing here panics, but for a check in rustix that the kernel would have to be mad to fail. `cargo xtask test` looks
/// for the locations of panics in a build that has them.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    #[cfg(panic_locations)]
    core::hint::black_box(_info.location());
    loop {
        #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
        // SAFETY: an undefined instruction ends the process.
        unsafe {
            core::arch::asm!("ud2")
        };
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        unsafe {
            core::arch::asm!("udf #0")
        };
    }
}

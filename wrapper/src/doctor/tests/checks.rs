//! Each check finds what is broken, and nothing else.

use std::collections::BTreeSet;

use super::machine::{
    AUDITOR, CAIRO, Machine, ROOT, foreign_object, library, loader, object, object_32, object_with_loader,
    static_object,
};
use crate::doctor::finding::Finding;

/// What is broken: a name for it, how, the program that is asked for, and the ids of what is found then.
pub type Case = (&'static str, fn(&mut Machine), Option<&'static str>, &'static [&'static str]);

/// A library that needs GLIBC_2.34.
pub const NEW: &str = "#include <dlfcn.h>\nvoid *found(void) { return dlsym(0, \"main\"); }\n";

const AUDITORS: [Case; 14] = [
    ("no variable", |machine| machine.unset("LD_AUDIT"), None, &["no-auditor"]),
    ("others alone", |machine| machine.set("LD_AUDIT", "libother.so"), None, &["no-auditor"]),
    ("ours is gone", |machine| machine.remove(AUDITOR), None, &["auditor-gone"]),
    ("another is gone", |machine| machine.set("LD_AUDIT", &format!("{AUDITOR}:/other.so")), None, &["auditor-gone"]),
    (
        "an older one is gone",
        |machine| machine.set("LD_AUDIT", &format!("/old/rtld_loader.so:{AUDITOR}")),
        None,
        &["auditor-gone"],
    ),
    ("no ELF file", |machine| machine.file(AUDITOR, b"text"), None, &["auditor-unloadable"]),
    (
        "of the other class",
        |machine| machine.file(AUDITOR, &foreign_object(1, elf::abi::EM_386)),
        None,
        &["auditor-unloadable"],
    ),
    (
        "relative",
        |machine| machine.set("LD_AUDIT", "lib/rtld_loader.so:$PLATFORM/other.so"),
        None,
        &["auditor-relative"],
    ),
    (
        "twice",
        |machine| {
            machine.file("/old/rtld_loader.so", &object());
            machine.set("LD_AUDIT", &format!("{AUDITOR}:/old/rtld_loader.so"));
        },
        None,
        &["auditor-twice"],
    ),
    (
        "behind another",
        |machine| {
            machine.file("/other.so", &object());
            machine.set("LD_AUDIT", &format!("/other.so:{AUDITOR}"));
        },
        None,
        &["auditor-behind"],
    ),
    ("a file for everybody", |machine| machine.mode(AUDITOR, 0o666), None, &["auditor-writable"]),
    ("a directory for everybody", |machine| machine.mode("/nix/store/e-env/lib", 0o777), None, &["auditor-writable"]),
    ("not kept", |machine| machine.remove(ROOT), None, &["auditor-unprotected"]),
    ("disabled", |machine| machine.set("REPLIT_RTLD_DISABLE", "1"), None, &["disabled"]),
];

const DECLARED: [Case; 18] = [
    ("nothing", |machine| machine.unset("REPLIT_LD_LIBRARY_PATH"), None, &["nothing-declared"]),
    ("an empty entry", |machine| declare(machine, ":"), None, &["entry-empty"]),
    ("a relative entry", |machine| declare(machine, ":lib"), None, &["entry-relative"]),
    ("a token", |machine| declare(machine, ":/x/$ORIGIN"), None, &["entry-token"]),
    ("a store path that is gone", |machine| declare(machine, ":/nix/store/x/lib"), None, &["entry-collected"]),
    ("a directory that is gone", |machine| declare(machine, ":/x/lib"), None, &["entry-missing"]),
    ("no driver", |machine| declare(machine, ":/run/opengl-driver/lib"), None, &["no-driver"]),
    (
        "a driver",
        |machine| {
            machine.file("/run/opengl-driver/lib/libGL.so.1", &object());
            declare(machine, ":/run/opengl-driver/lib");
        },
        None,
        &[],
    ),
    (
        "a file that is no library",
        |machine| {
            machine.file("/nix/store/x/libx.so", b"text");
            declare(machine, ":/nix/store/x/libx.so");
        },
        None,
        &["entry-unloadable"],
    ),
    (
        "libraries of another machine alone",
        |machine| {
            machine.file("/nix/store/x/lib/libx.so", &foreign_object(2, elf::abi::EM_RISCV));
            declare(machine, ":/nix/store/x/lib");
        },
        None,
        &["entry-foreign"],
    ),
    (
        "a library behind a linker script",
        |machine| {
            machine.file("/nix/store/x/lib/liba.so", b"INPUT(liba.so.1)");
            machine.file("/nix/store/x/lib/liba.so.1", &object());
            declare(machine, ":/nix/store/x/lib");
        },
        None,
        &[],
    ),
    (
        "no library at all",
        |machine| {
            machine.file("/x/lib/python3/x.so", &object());
            declare(machine, ":/x/lib");
        },
        None,
        &["entries-barren", "entries-outside"],
    ),
    (
        "a package of programs",
        |machine| {
            machine.file("/nix/store/x/lib/python3/x.so", &object());
            declare(machine, ":/nix/store/x/lib");
        },
        None,
        &[],
    ),
    ("twice", |machine| declare(machine, &format!(":{CAIRO}/")), None, &["entries-repeated"]),
    (
        "not in the store",
        |machine| {
            machine.file("/opt/lib/libx.so", &object());
            declare(machine, ":/opt/lib");
        },
        None,
        &["entries-outside"],
    ),
    (
        "nothing of Nix",
        |machine| {
            machine.file("/opt/lib/libx.so", &object());
            machine.set("REPLIT_LD_LIBRARY_PATH", "/opt/lib/libx.so");
        },
        None,
        &[],
    ),
    ("for everybody", |machine| machine.mode(CAIRO, 0o1777), None, &["entry-writable"]),
    (
        "beside what is everybody's",
        |machine| {
            machine.file("/opt/lib/libx.so", &object());
            machine.mode("/opt/lib", 0o1777);
            machine.set("REPLIT_LD_LIBRARY_PATH", "/opt/lib/libx.so");
        },
        None,
        &["entry-writable"],
    ),
];

const VARIABLES: [Case; 21] = [
    ("no tunable", |machine| machine.unset("GLIBC_TUNABLES"), None, &["static-tls"]),
    ("too little", |machine| set_tls(machine, "512:glibc.malloc.check=1"), None, &["static-tls"]),
    ("no number", |machine| set_tls(machine, "4k"), None, &["tunables-unreadable"]),
    ("a library path", |machine| machine.set("LD_LIBRARY_PATH", "/usr/lib"), None, &["library-path"]),
    (
        "a library path with a glibc",
        |machine| {
            machine.file("/usr/lib/libc.so.6", b"");
            machine.set("LD_LIBRARY_PATH", "/nowhere;/usr/lib");
        },
        None,
        &["library-path-glibc", "library-path"],
    ),
    ("an empty library path", |machine| machine.set("LD_LIBRARY_PATH", ":"), None, &["library-path-empty-entry"]),
    ("a preload that is gone", |machine| machine.set("LD_PRELOAD", "libx.so /x/liby.so"), None, &["preload-gone"]),
    ("a preload", |machine| machine.set("LD_PRELOAD", AUDITOR), None, &[]),
    ("a preload that ld.so expands", |machine| machine.set("LD_PRELOAD", "/usr/$LIB/libx.so"), None, &[]),
    ("a misspelt level", |machine| machine.set("REPLIT_RTLD_LOG_LEVEL", "verbose"), None, &["log-level"]),
    ("no level", |machine| machine.set("REPLIT_RTLD_LOG_LEVEL", "00"), None, &[]),
    (
        "a log without a directory",
        |machine| {
            machine.set("REPLIT_RTLD_LOG_LEVEL", "info");
            machine.set("REPLIT_RTLD_LOG_FILE", "/logs/%p");
        },
        None,
        &["log-file"],
    ),
    (
        "a log in the place of a directory",
        |machine| {
            machine.directory("/logs");
            machine.set("REPLIT_RTLD_LOG_LEVEL", "1");
            machine.set("REPLIT_RTLD_LOG_FILE", "/logs");
        },
        None,
        &["log-file"],
    ),
    ("a log in no directory", |machine| machine.set("REPLIT_RTLD_LOG_LEVEL", "1"), None, &["log-file"]),
    (
        "a log that is fine",
        |machine| {
            machine.directory("/home");
            machine.set("REPLIT_RTLD_LOG_LEVEL", "1");
        },
        None,
        &[],
    ),
    (
        "a log on standard error",
        |machine| {
            machine.set("REPLIT_RTLD_LOG_LEVEL", "debug");
            machine.set("REPLIT_RTLD_LOG_FILE", "stderr");
        },
        None,
        &[],
    ),
    ("a log without a level", |machine| machine.set("REPLIT_RTLD_LOG_FILE", "/x"), None, &["log-unused"]),
    ("no hints", |machine| machine.set("REPLIT_RTLD_HINTS", "0"), None, &["hints-off"]),
    ("an index that is gone", |machine| machine.set("REPLIT_RTLD_INDEX", "/x.index"), None, &["index-gone"]),
    (
        "an index for everybody",
        |machine| {
            machine.file("/x.index", b"");
            machine.mode("/x.index", 0o666);
            machine.set("REPLIT_RTLD_INDEX", "/x.index");
        },
        None,
        &["index-writable"],
    ),
    ("an index somewhere", |machine| machine.set("REPLIT_RTLD_INDEX", "x.index"), None, &["index-relative"]),
];

const DRIVERS: [Case; 5] = [
    ("a card", |machine| machine.file("/dev/nvidiactl", b""), None, &["no-cuda"]),
    ("a card of Windows", |machine| machine.file("/dev/dxg", b""), None, &["no-cuda"]),
    (
        "a card with NixOS's driver",
        |machine| {
            machine.file("/dev/nvidia0", b"");
            machine.link("/run/opengl-driver", "/nix/store/d-driver");
            machine.file("/nix/store/d-driver/lib/libcuda.so.1", &object());
        },
        None,
        &[],
    ),
    (
        "a card with a declared driver",
        |machine| {
            machine.file("/dev/nvidia0", b"");
            machine.file(&format!("{CAIRO}/libcuda.so.1"), &object());
        },
        None,
        &[],
    ),
    (
        "a card with a driver that the cache knows",
        |machine| {
            machine.file("/dev/nvidia0", b"");
            machine.file("/usr/lib/libcuda.so.1", &object());
            machine.file("/etc/ld.so.cache", &cache("libcuda.so.1", "/usr/lib/libcuda.so.1"));
        },
        None,
        &[],
    ),
];

const VENVS: [Case; 8] = [
    ("no venv there", |machine| machine.set("VIRTUAL_ENV", "/home/venv"), None, &["venv-gone"]),
    ("of Nix", |machine| venv(machine, "/nix/store/p-python3/bin"), None, &[]),
    ("of a profile of Nix's", of_profile, None, &[]),
    ("of the machine", |machine| venv(machine, "/usr/bin"), None, &["venv-foreign"]),
    (
        "of the machine, without Nix",
        |machine| {
            venv(machine, "/usr/bin");
            machine.file("/opt/lib/libx.so", &object());
            machine.set("REPLIT_LD_LIBRARY_PATH", "/opt/lib");
        },
        None,
        &[],
    ),
    (
        "with a link to nothing",
        |machine| {
            venv(machine, "/usr/bin");
            machine.remove("/usr/bin/python3");
        },
        None,
        &["venv-python-gone"],
    ),
    (
        "with a copy of what is gone",
        |machine| {
            venv(machine, "/usr/bin");
            machine.remove("/home/venv/bin/python3");
            machine.program("/home/venv/bin/python3", &object());
            machine.remove("/usr/bin/python3");
            std::fs::remove_dir(machine.path("/usr/bin")).unwrap();
        },
        None,
        &["venv-python-gone"],
    ),
    (
        "of the program, and not active",
        |machine| {
            venv(machine, "/usr/bin");
            machine.unset("VIRTUAL_ENV");
        },
        Some("/home/venv/bin/python3"),
        &["venv-foreign"],
    ),
];

const PROGRAMS: [Case; 30] = [
    ("in order", |_| {}, Some("tool"), &[]),
    ("missing", |_| {}, Some("none"), &["program-missing"]),
    ("missing, by a path", |_| {}, Some("./tool"), &["program-missing"]),
    ("not executable", |machine| machine.mode("/bin/tool", 0o644), Some("tool"), &["program-not-executable"]),
    ("a directory", |machine| machine.directory("/bin/x"), Some("/bin/x"), &["program-unknown"]),
    ("neither", |machine| machine.program("/bin/x", b"echo"), Some("x"), &["program-unknown"]),
    ("a library", |machine| machine.file("/bin/x", &library()), Some("/bin/x"), &["program-library"]),
    ("a library to be executed", |machine| machine.program("/bin/x", &library()), Some("x"), &["program-library"]),
    ("static", |machine| machine.program("/bin/x", &static_object()), Some("x"), &["program-static"]),
    (
        "of musl",
        |machine| machine.program("/bin/x", &object_with_loader("/lib/ld-musl-x.so.1")),
        Some("x"),
        &["program-musl"],
    ),
    ("of 32 bits", |machine| program_32(machine, sibling(), "/lib/ld-linux.so.2"), Some("x"), &["program-32"]),
    (
        "of 32 bits, without its ld.so",
        |machine| {
            program_32(machine, sibling(), "/lib/ld-linux.so.2");
            machine.remove("/lib/ld-linux.so.2");
        },
        Some("x"),
        &["loader-missing"],
    ),
    (
        "of 32 bits, and static",
        |machine| machine.program("/bin/x", &object_32(sibling(), elf::abi::ET_EXEC, None)),
        Some("x"),
        &["program-static"],
    ),
    (
        "of 32 bits and musl",
        |machine| program_32(machine, sibling(), "/lib/ld-musl-i386.so.1"),
        Some("x"),
        &["program-musl"],
    ),
    (
        "of another machine",
        |machine| machine.program("/bin/x", &foreign_object(2, elf::abi::EM_RISCV)),
        Some("x"),
        &["program-of-other-machine"],
    ),
    ("with its owner's rights", |machine| machine.mode("/bin/tool", 0o4755), Some("tool"), &["program-privileged"]),
    ("with its group's rights", |machine| machine.mode("/bin/tool", 0o2755), Some("tool"), &["program-privileged"]),
    (
        "with its owner's rights, who starts it",
        |machine| {
            machine.mode("/bin/tool", 0o4755);
            machine.world.caller.user = machine.owner("/bin/tool");
        },
        Some("tool"),
        &[],
    ),
    (
        "with its owner's rights, in a container that gives none",
        |machine| {
            machine.mode("/bin/tool", 0o4755);
            machine.world.caller.keeps_rights = true;
        },
        Some("tool"),
        &[],
    ),
    ("without its ld.so", |machine| machine.remove(loader().to_str().unwrap()), Some("tool"), &["loader-missing"]),
    ("a script", |machine| machine.program("/bin/x", b"#! /bin/tool -x\n"), Some("x"), &[]),
    (
        "a script of nothing",
        |machine| machine.program("/bin/x", b"#!/bin/bash\n"),
        Some("x"),
        &["script-interpreter-missing"],
    ),
    ("a script of env", |machine| env_script(machine, "tool"), Some("x"), &[]),
    ("a script of env's options", |machine| env_script(machine, "-S A=1 tool -x"), Some("x"), &[]),
    ("a script of nothing, by env", |machine| env_script(machine, "python"), Some("x"), &["program-missing"]),
    (
        "a script of a static program",
        |machine| {
            machine.program("/bin/static", &static_object());
            machine.program("/bin/x", b"#!/bin/static");
        },
        Some("x"),
        &["program-static"],
    ),
    ("a script of itself", |machine| machine.program("/bin/x", b"#!/bin/x\n"), Some("x"), &[]),
    ("an old glibc", |machine| machine.glibc(33), Some("tool"), OLD_GLIBC),
    (
        "a glibc that is too old",
        |machine| {
            machine.glibc(31);
            machine.library(&format!("{CAIRO}/libnew.so"), NEW);
        },
        Some("tool"),
        if cfg!(target_arch = "aarch64") { &["glibc-declined"] } else { &["glibc-unsupported", "glibc-too-old"] },
    ),
    (
        "an old glibc, with another build for it",
        |machine| {
            machine.glibc(31);
            machine.library(&format!("{CAIRO}/libnew.so"), NEW);
            machine.library("/nix/store/o-old/lib/libnew.so", "int found;\n");
            declare(machine, ":/nix/store/o-old/lib");
        },
        Some("tool"),
        OLD_GLIBC,
    ),
];

const OLD_GLIBC: &[&str] = if cfg!(target_arch = "aarch64") { &["glibc-declined"] } else { &["glibc-unsupported"] };

/// Found in `both_classes`, which is for x86_64 alone.
const OF_BOTH_CLASSES: [&str; 2] = ["auditor-of-platform", "no-platform"];

/// Found by tests of real index files, in tests/environment/doctor.rs.
const OF_INDEX_FILES: [&str; 6] = [
    "index-damaged",
    "index-of-other-version",
    "index-of-other-machine",
    "index-of-other-list",
    "indexed-files-gone",
    "indexed-files-changed",
];

pub fn declare(machine: &mut Machine, more: &str) {
    machine.set("REPLIT_LD_LIBRARY_PATH", &format!("{CAIRO}{more}"));
}

fn set_tls(machine: &mut Machine, value: &str) {
    machine.set("GLIBC_TUNABLES", &format!("glibc.rtld.optional_static_tls={value}"));
}

/// The machine of the 32-bit programs that the kernel of this one starts.
fn sibling() -> u16 {
    if cfg!(target_arch = "aarch64") { elf::abi::EM_ARM } else { elf::abi::EM_386 }
}

/// A 32-bit program, and its ld.so.
pub fn program_32(machine: &Machine, of: u16, loader: &str) {
    machine.program("/bin/x", &object_32(of, elf::abi::ET_EXEC, Some(loader)));
    machine.file(loader, b"");
}

fn env_script(machine: &Machine, arguments: &str) {
    machine.program("/usr/bin/env", &object());
    machine.program("/bin/x", format!("#!/usr/bin/env {arguments}\n").as_bytes());
}

/// An active venv, of the Python in a directory.
fn venv(machine: &mut Machine, home: &str) {
    machine.program(&format!("{home}/python3"), &object());
    machine.file("/home/venv/pyvenv.cfg", format!("home = {home}\nversion = 3.13.5\n").as_bytes());
    machine.link("/home/venv/bin/python3", &format!("{home}/python3"));
    machine.set("VIRTUAL_ENV", "/home/venv");
}

fn of_profile(machine: &mut Machine) {
    machine.program("/nix/store/p-python3/bin/python3", &object());
    machine.link("/home/.nix-profile", "/nix/store/p-python3");
    machine.file("/home/venv/pyvenv.cfg", b"home=/home/.nix-profile/bin");
    machine.link("/home/venv/bin/python3", "/home/.nix-profile/bin/python3");
    machine.set("VIRTUAL_ENV", "/home/venv");
}

/// An ld.so.cache with one library for this machine.
fn cache(soname: &str, path: &str) -> Vec<u8> {
    let flags: u32 = if cfg!(target_arch = "aarch64") { 0xa03 } else { 0x303 };
    let mut bytes = b"glibc-ld.so.cache1.1".to_vec();
    bytes.extend(1u32.to_ne_bytes());
    bytes.resize(48, 0);
    for number in [flags, 72, 72 + soname.len() as u32 + 1, 0, 0, 0] {
        bytes.extend(number.to_ne_bytes());
    }
    bytes.extend([soname.as_bytes(), b"\0", path.as_bytes(), b"\0"].concat());
    bytes
}

fn cases() -> impl Iterator<Item = (&'static str, Case)> {
    let groups: [(&str, &[Case]); 6] = [
        ("auditor", &AUDITORS),
        ("declared", &DECLARED),
        ("variables", &VARIABLES),
        ("drivers", &DRIVERS),
        ("venv", &VENVS),
        ("program", &PROGRAMS),
    ];
    groups.into_iter().flat_map(|(group, cases)| cases.iter().map(move |case| (group, *case)))
}

#[test]
fn a_machine_in_order_has_no_findings() {
    let report = Machine::new().report(Some("tool"));
    assert_eq!(report.findings(), []);
    assert!(report.is_well());
}

#[test]
fn what_is_broken_is_found_and_nothing_else() {
    cases().for_each(|(group, case)| check(group, case));
}

/// Holds a machine that is broken to what is to be found.
pub fn check(group: &str, (name, break_it, program, expected): Case) {
    let mut machine = Machine::new();
    break_it(&mut machine);
    let report = machine.report(program);
    let found: Vec<_> = report.findings().iter().map(Finding::id).collect();
    assert_eq!(found, expected, "{group}: {name}: {report:?}");
}

#[test]
fn every_finding_is_found_by_some_test() {
    let of_cases = cases().flat_map(|(_, (.., expected))| expected.iter().copied());
    let others = ["callers-auditor-gone", "glibc-declined", "glibc-too-old", "glibc-unsupported"];
    let found: BTreeSet<_> = of_cases.chain(OF_INDEX_FILES).chain(OF_BOTH_CLASSES).chain(others).collect();
    assert_eq!(found, Finding::IDS.iter().copied().collect());
}

//! Environments with an auditor for 32-bit programs beside the other one, which there are on x86_64: what is right and what is
//! wrong with them.

use super::checks::{Case, check, declare, program_32};
use super::machine::{AUDITOR, AUDITOR_32, AUDITORS, Machine, object, object_32};
use crate::doctor::finding::Finding;

const CASES: [Case; 13] = [
    ("in order", Machine::with_auditor_32, Some("tool"), &[]),
    ("a 32-bit program", |machine| both(machine, elf::abi::EM_386), Some("x"), &[]),
    ("a program of x32", |machine| both(machine, elf::abi::EM_X86_64), Some("x"), &["program-32"]),
    (
        "a 32-bit program with an old glibc",
        |machine| {
            both(machine, elf::abi::EM_386);
            machine.file("/lib/libc.so.6", b"\0GNU C Library (made up) stable release version 2.31.\n");
        },
        Some("x"),
        &["glibc-unsupported"],
    ),
    (
        "32-bit libraries",
        |machine| {
            machine.with_auditor_32();
            declare_32(machine);
        },
        None,
        &[],
    ),
    ("32-bit libraries, for nobody", declare_32, None, &["entry-foreign"]),
    (
        "the 32-bit one is gone",
        |machine| {
            machine.with_auditor_32();
            machine.remove(AUDITOR_32);
        },
        None,
        &["auditor-of-platform", "auditor-of-platform"],
    ),
    (
        "the 32-bit one is 64-bit",
        |machine| {
            machine.with_auditor_32();
            machine.file(AUDITOR_32, &object());
        },
        None,
        &["auditor-of-platform", "auditor-of-platform"],
    ),
    (
        "none for an Intel processor",
        |machine| {
            machine.with_auditor_32();
            machine.remove("/nix/store/e-env/lib/haswell");
        },
        None,
        &["auditor-of-platform"],
    ),
    (
        "the 64-bit one is gone",
        |machine| {
            machine.with_auditor_32();
            machine.remove(AUDITOR);
        },
        None,
        &["auditor-gone"],
    ),
    (
        "a writable one",
        |machine| {
            machine.with_auditor_32();
            machine.mode(AUDITOR, 0o666);
        },
        None,
        &["auditor-writable"],
    ),
    (
        "nobody tells the platform",
        |machine| {
            machine.with_auditor_32();
            machine.file("/proc/self/auxv", &auxiliary(&[(6, 4096)]));
        },
        None,
        &["no-platform"],
    ),
    (
        "somebody tells the platform",
        |machine| {
            machine.with_auditor_32();
            machine.file("/proc/self/auxv", &auxiliary(&[(6, 15), (15, 4096)]));
        },
        None,
        &[],
    ),
];

#[test]
fn what_is_broken_is_found_and_nothing_else() {
    CASES.into_iter().for_each(|case| check("both classes", case));
}

#[test]
fn what_is_gone_is_named_as_it_was_looked_for() {
    let mut machine = Machine::new();
    machine.with_auditor_32();
    machine.remove(AUDITOR_32);
    let report = machine.report(None);
    let gone = |name: &str| Finding::AuditorOfPlatform {
        path: format!("/nix/store/e-env/lib/{name}/rtld_loader.so").into(),
        platform: name.to_owned(),
        reason: "there is no readable file".to_owned(),
    };
    assert_eq!(report.findings(), [gone("i686"), gone("i586")]);
    machine.set("LD_AUDIT", &format!("/gone/$PLATFORM/rtld_loader.so:{AUDITORS}"));
    let report = machine.report(None);
    let [Finding::AuditorGone { path, rest, .. }, ..] = report.findings() else { panic!("{report:?}") };
    assert_eq!(path.to_str(), Some("/gone/x86_64/rtld_loader.so"));
    assert_eq!(rest, &[std::path::PathBuf::from(AUDITORS)]);
}

/// Such an environment, and a 32-bit program of this machine.
fn both(machine: &mut Machine, of: u16) {
    machine.with_auditor_32();
    program_32(machine, of, "/lib/ld-linux.so.2");
}

/// A directory of 32-bit libraries alone.
fn declare_32(machine: &mut Machine) {
    machine.file("/nix/store/x-32/lib/libx.so", &object_32(elf::abi::EM_386, elf::abi::ET_DYN, None));
    declare(machine, ":/nix/store/x-32/lib");
}

/// An auxiliary vector of these kinds and values.
fn auxiliary(pairs: &[(usize, usize)]) -> Vec<u8> {
    pairs.iter().flat_map(|(kind, value)| [kind.to_ne_bytes(), value.to_ne_bytes()]).flatten().collect()
}

//! What a check asks of the machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::machine::{Machine, ROOT};
use crate::doctor::roots::{is_kept, referrers};
use crate::doctor::world::store_path;

#[test]
fn links_lead_on_within_the_machine() {
    let machine = Machine::new();
    machine.file("/a/b/file", b"text");
    machine.link("/c", "/a/b");
    machine.link("/a/up", "../c/./file");
    machine.link("/loop", "loop");
    let world = &machine.world;
    let real = |path: &str| world.real(Path::new(path));
    for path in ["/a/b/file", "/c/file", "/a/up", "/c/../b/file", "../a/up"] {
        assert_eq!(real(path), Some("/a/b/file".into()), "{path}");
        assert_eq!(world.read(Path::new(path)).as_deref(), Some(&b"text"[..]), "{path}");
    }
    assert_eq!(real("/c/none"), Some("/a/b/none".into()));
    assert_eq!(real("/loop"), None);
    assert!(!world.exists(Path::new("/c/none")) && !world.exists(Path::new("/loop")));
}

#[test]
fn programs_are_found_as_by_execvp() {
    let mut machine = Machine::new();
    machine.file("/first/tool", b"");
    machine.directory("/first/none");
    machine.file("/first/plain", b"");
    machine.set("PATH", "/first:/bin");
    let program = |name: &str| machine.world.program(name.as_ref());
    assert_eq!(program("tool"), Some("/bin/tool".into()), "the first one cannot be executed");
    assert_eq!(program("plain"), Some("/first/plain".into()), "nobody else has it");
    assert_eq!(program("none"), None);
    assert_eq!(program("../bin/tool"), Some("/home/../bin/tool".into()));
}

#[test]
fn a_directory_for_everybody_is_seen_above_what_lies_in_it() {
    let machine = Machine::new();
    machine.file("/a/b/c", b"");
    let writable = |path: &str| machine.world.writable(Path::new(path));
    assert_eq!(writable("/a/b/c"), None);
    machine.mode("/a", 0o777);
    assert_eq!(writable("/a/b/c"), Some(PathBuf::from("/a")));
    // Nobody can take away what is another's from a sticky one; but anybody can add to it.
    machine.mode("/a", 0o1777);
    assert_eq!(writable("/a/b/c"), None);
    assert_eq!(writable("/a"), Some(PathBuf::from("/a")));
}

#[test]
fn nix_says_what_refers_to_a_store_path() {
    let mut machine = Machine::new();
    let path = Path::new("/nix/store/e-env");
    machine.set("PATH", "/nix-bin");
    assert_eq!(referrers(&machine.world, path), None, "there is no Nix");
    for (answer, expected) in [
        (r#"echo "$3"; echo /nix/store/system"#, Some(vec![path.to_owned(), "/nix/store/system".into()])),
        (r#"[ "$*" = '--query --referrers-closure /nix/store/e-env' ]"#, Some(vec![])),
        (r#"[ -z "${LD_AUDIT+set}" ]"#, Some(vec![])),
        (r#"echo "$3"; exit 1"#, None),
    ] {
        machine.program("/nix-bin/text", format!("#!/bin/sh\n{answer}\n").as_bytes());
        // Not by us: as long as it is open for writing, in a child of another test, nobody can execute it.
        let mut copy = Command::new("cp");
        copy.arg(machine.path("/nix-bin/text")).arg(machine.path("/nix-bin/nix-store"));
        assert!(copy.status().unwrap().success());
        assert_eq!(referrers(&machine.world, path), expected, "{answer}");
    }
}

#[test]
fn nix_is_told_which_of_its_names_it_has() {
    let mut machine = Machine::new();
    machine.set("PATH", "/nix-bin");
    machine.file("/nix-bin/nix.c", b"#include <stdio.h>\nint main(int c, char **v) { return puts(v[c - c]) < 0; }\n");
    let mut cc = Command::new("cc");
    cc.arg("-o").arg(machine.path("/nix-bin/nix")).arg(machine.path("/nix-bin/nix.c"));
    assert!(cc.status().unwrap().success());
    machine.link("/nix-bin/nix-store", "nix");
    assert_eq!(referrers(&machine.world, Path::new("/nix/store/e-env")), Some(vec!["nix-store".into()]));
}

#[test]
fn what_a_root_leads_to_is_kept() {
    let path = Path::new("/nix/store/e-env");
    let kept = |root: &str, target: &str| {
        let mut machine = Machine::new();
        machine.world.referrers = |_, path| Some(vec![path.into(), "/nix/store/system".into()]);
        machine.remove(ROOT);
        machine.link("/home/result", "/nix/store/e-env");
        machine.link("/home/twice", "/home/result");
        machine.link(root, target);
        is_kept(&machine.world, path)
    };
    for (root, target) in [
        (ROOT, "/nix/store/e-env"),
        ("/nix/var/nix/profiles/system-1-link", "/nix/store/system"),
        ("/nix/var/nix/gcroots/auto/x", "/home/result"),
        ("/nix/var/nix/gcroots/deep/er/x", "/nix/store/e-env/lib"),
        ("/nix/var/nix/gcroots/relative", "../../../store/e-env"),
    ] {
        assert_eq!(kept(root, target), Some(true), "{root} -> {target}");
    }
    for (root, target) in [
        ("/nix/var/nix/gcroots/auto/x", "/home/twice"),
        ("/nix/var/nix/gcroots/auto/x", "/home/gone"),
        ("/nix/var/nix/gcroots/auto/x", "/nix/store/other"),
        ("/elsewhere/x", "/nix/store/e-env"),
    ] {
        assert_eq!(kept(root, target), Some(false), "{root} -> {target}");
    }
    let mut machine = Machine::new();
    machine.world.referrers = |_, _| None;
    assert_eq!(is_kept(&machine.world, path), Some(true), "nobody needs to be asked");
    machine.remove(ROOT);
    assert_eq!(is_kept(&machine.world, path), None);
}

#[test]
fn store_paths_have_two_components() {
    assert_eq!(store_path(Path::new("/nix/store/a/lib/x")), Some("/nix/store/a".into()));
    assert_eq!(store_path(Path::new("/nix/store")), None);
    assert_eq!(store_path(Path::new("/opt/a/lib")), None);
}

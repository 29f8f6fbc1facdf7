//! What a finding has to say of what is broken, and that what it proposes mends it.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::checks::NEW;
use super::machine::{AUDITOR, CAIRO, Machine, object};
use crate::doctor::examine;
use crate::doctor::finding::Finding;

#[test]
fn the_callers_auditor_may_be_gone_while_ours_is_there() {
    let machine = Machine::new();
    let found = |callers: &str| {
        let report = examine(&machine.world, None, Some(OsStr::new(callers)));
        report.findings().iter().map(Finding::id).collect::<Vec<_>>()
    };
    assert_eq!(found("/gone/rtld_loader.so:/gone/other.so"), ["callers-auditor-gone"]);
    for fine in ["", AUDITOR, "rtld_loader.so"] {
        assert_eq!(found(fine), [""; 0], "{fine}");
    }
    machine.remove(AUDITOR);
    // It is told once.
    assert_eq!(found(AUDITOR), ["auditor-gone"]);
}

#[test]
fn what_is_gone_is_left_out_of_the_line_that_is_proposed() {
    let mut machine = Machine::new();
    machine.set("LD_AUDIT", &format!("/old/rtld_loader.so:{AUDITOR}:/gone.so:libbare.so"));
    let report = machine.report(None);
    let gone = |path: &str| Finding::AuditorGone {
        path: path.into(),
        is_ours: false,
        rest: vec![AUDITOR.into(), "libbare.so".into()],
    };
    assert_eq!(report.findings(), [gone("/old/rtld_loader.so"), gone("/gone.so")]);
}

#[test]
fn what_is_too_new_is_named() {
    let machine = Machine::new();
    machine.glibc(33);
    machine.library(&format!("{CAIRO}/libnew.so.1"), NEW);
    machine.link(&format!("{CAIRO}/libnew.so"), "libnew.so.1");
    let report = machine.report(Some("tool"));
    let too_old = report.findings().iter().find_map(|finding| match finding {
        Finding::GlibcTooOld { minor, libraries, of, .. } => Some((*minor, libraries.clone(), *of)),
        _ => None,
    });
    if !cfg!(target_arch = "aarch64") {
        assert_eq!(too_old, Some((33, vec![("libnew.so.1".into(), 34)], 1)));
    }
}

#[test]
fn the_line_that_is_proposed_mends_the_tunables() {
    let mut machine = Machine::new();
    machine.set("GLIBC_TUNABLES", "glibc.malloc.check=1:glibc.rtld.optional_static_tls=1");
    let report = machine.report(None);
    let [Finding::StaticTls { set: 1, needed, value }] = report.findings() else { panic!("{report:?}") };
    assert_eq!(
        String::from_utf8(value.clone()).unwrap(),
        format!("glibc.malloc.check=1:glibc.rtld.optional_static_tls={needed}")
    );
    machine.set("GLIBC_TUNABLES", std::str::from_utf8(value).unwrap());
    assert_eq!(machine.report(None).findings(), []);
}

#[test]
fn a_library_path_is_turned_into_declared_directories() {
    let mut machine = Machine::new();
    machine.file("/usr/lib/libstdc++.so.6", &object());
    machine.set("LD_LIBRARY_PATH", &format!("/usr/lib:/nowhere:{CAIRO}"));
    let report = machine.report(None);
    let [Finding::LibraryPath { shadowed, declared, .. }] = report.findings() else { panic!("{report:?}") };
    assert_eq!(shadowed, &["libstdc++.so.6"]);
    assert_eq!(declared, &[CAIRO, "/usr/lib"].map(PathBuf::from));
}

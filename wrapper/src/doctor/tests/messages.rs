//! Snapshots of every message, as it is on a terminal of 80 columns and in JSON.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;

use crate::doctor::finding::Finding;
use crate::doctor::report::Report;

const COLUMNS: usize = 80;

/// One of each finding, and another where the text differs.
fn samples() -> Vec<Finding> {
    let path = |path: &str| PathBuf::from(path);
    let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
    let auditor = path("/nix/store/3v8p-replit-env/lib/rtld_loader.so");
    let other = path("/opt/trace/libtrace.so");
    let entry = path("/nix/store/9xq2-cairo-1.18.4/lib");
    let index = path("/nix/store/3v8p-replit-env/lib/rtld_loader.index");
    let venv = path("/home/runner/it's mine/venv");
    let program = path("/usr/bin/tool");
    let reason = || "it is for another kind of machine".to_owned();
    let loader = |loader: &str| path(&format!("/lib/{loader}"));
    vec![
        Finding::NoAuditor,
        Finding::AuditorGone { path: auditor.clone(), is_ours: true, rest: Vec::new() },
        Finding::AuditorGone { path: other.clone(), is_ours: false, rest: vec![auditor.clone()] },
        Finding::CallersAuditorGone { path: auditor.clone() },
        Finding::AuditorUnloadable { path: auditor.clone(), is_ours: true, reason: reason() },
        Finding::AuditorUnloadable { path: other.clone(), is_ours: false, reason: reason() },
        Finding::AuditorOfPlatform {
            path: path("/nix/store/3v8p-replit-env/lib/i686/rtld_loader.so"),
            platform: "i686".to_owned(),
            reason: reason(),
        },
        Finding::NoPlatform,
        Finding::AuditorRelative { entry: path("lib/rtld_loader.so") },
        Finding::AuditorTwice {
            first: auditor.clone(),
            second: path("/opt/env/lib/rtld_loader.so"),
            rest: vec![auditor.clone()],
        },
        Finding::AuditorBehind { other: other.clone(), ordered: vec![auditor.clone(), other] },
        Finding::AuditorWritable { path: path("/opt/env/lib/rtld_loader.so"), at: path("/opt/env") },
        Finding::AuditorUnprotected { path: auditor, store_path: path("/nix/store/3v8p-replit-env") },
        Finding::Disabled,
        Finding::NothingDeclared,
        Finding::EntryEmpty,
        Finding::EntryRelative { entry: path("lib") },
        Finding::EntryToken { entry: path("/opt/$ORIGIN/lib") },
        Finding::EntryCollected { entry: entry.clone() },
        Finding::EntryMissing { entry: path("/opt/cairo/lib") },
        Finding::NoDriver { entry: path("/run/opengl-driver/lib") },
        Finding::EntryUnloadable { entry: entry.join("libcairo.so"), reason: reason() },
        Finding::EntryForeign { entry: entry.clone(), example: entry.join("libcairo.so.2"), reason: reason() },
        Finding::EntriesBarren { entries: vec![entry.clone()] },
        Finding::EntriesBarren { entries: paths(&["/nix/store/a/lib", "/nix/store/b/lib"]) },
        Finding::EntriesRepeated { entries: vec![entry.clone()] },
        Finding::EntriesOutside { entries: paths(&["/opt/a", "/opt/b", "/opt/c", "/opt/d", "/opt/e"]) },
        Finding::EntryWritable { entry: path("/tmp/lib"), at: path("/tmp/lib") },
        Finding::IndexGone { path: index.clone() },
        Finding::IndexRelative { entry: path("rtld_loader.index") },
        Finding::IndexWritable { path: index.clone(), at: index.clone() },
        Finding::IndexDamaged { path: index.clone() },
        Finding::IndexOfOtherVersion { path: index.clone() },
        Finding::IndexOfOtherMachine { path: index.clone() },
        Finding::IndexOfOtherList { path: index.clone(), begins_with: entry.clone() },
        Finding::IndexedFilesGone { path: index.clone(), first: entry.join("libcairo.so.2"), count: 1 },
        Finding::IndexedFilesChanged { path: index, first: entry.join("libcairo.so.2"), count: 12 },
        Finding::StaticTls {
            set: 0,
            needed: 6728,
            value: b"glibc.malloc.check=1:glibc.rtld.optional_static_tls=6728".into(),
        },
        Finding::TunablesUnreadable { reason: "ld.so cannot read `x` in GLIBC_TUNABLES".into() },
        Finding::LibraryPathGlibc { libc: path("/usr/lib/x86_64-linux-gnu/libc.so.6") },
        Finding::LibraryPath {
            entries: paths(&["/usr/lib/x86_64-linux-gnu", "/opt/a/lib"]),
            shadowed: vec!["libstdc++.so.6".into(), "libz.so.1".into()],
            declared: vec![entry, path("/opt/a/lib")],
        },
        Finding::LibraryPath { entries: paths(&["/nowhere"]), shadowed: Vec::new(), declared: Vec::new() },
        Finding::LibraryPathEmptyEntry,
        Finding::PreloadGone { entry: path("/usr/lib/libjemalloc.so.2") },
        Finding::LogLevel { value: path("verb\u{1b}[31mose") },
        Finding::LogFile { path: path("/var/log/app/%p"), reason: "permission denied".into() },
        Finding::LogUnused,
        Finding::HintsOff,
        Finding::NoCuda { device: path("/dev/nvidiactl") },
        Finding::VenvGone { venv: path("/home/runner/venv") },
        Finding::VenvPythonGone { venv: venv.clone(), python: path("/nix/store/5c0d-python3-3.12.8/bin/python3") },
        Finding::VenvForeign { venv, python: path("/usr/bin/python3") },
        Finding::ProgramMissing { name: path("magick") },
        Finding::ProgramNotExecutable { path: program.clone() },
        Finding::ProgramUnknown { path: program.clone() },
        Finding::ProgramLibrary { path: path("/nix/store/5c0d-libpng/lib/libpng16.so.16") },
        Finding::ScriptInterpreterMissing { path: program.clone(), interpreter: path("/bin/bash") },
        Finding::LoaderMissing { path: program.clone(), loader: path("/lib64/ld-linux-x86-64.so.2") },
        Finding::ProgramStatic { path: program.clone() },
        Finding::ProgramMusl { path: program.clone(), loader: loader("ld-musl-x86_64.so.1") },
        Finding::Program32 { path: program.clone() },
        Finding::ProgramOfOtherMachine { path: program.clone() },
        Finding::ProgramPrivileged { path: program.clone() },
        Finding::GlibcUnsupported { path: program.clone(), minor: 31 },
        Finding::GlibcDeclined { path: program.clone(), minor: 34 },
        Finding::GlibcTooOld {
            path: program,
            minor: 36,
            libraries: [("libcairo.so.2", 38), ("libstdc++.so.6", 38), ("libX11.so.6", 41), ("libz.so.1", 38)]
                .map(|(name, needed)| (name.to_owned(), needed))
                .into(),
            of: 214,
        },
    ]
}

fn report(findings: impl IntoIterator<Item = Finding>) -> Report {
    let mut report = Report::default();
    findings.into_iter().for_each(|finding| report.find(finding));
    report
}

/// Text without colours, as on a pipe.
fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[test]
fn every_finding_has_a_sample() {
    let samples: BTreeSet<_> = samples().iter().map(Finding::id).collect();
    assert_eq!(samples, Finding::IDS.iter().copied().collect());
}

#[test]
fn messages() {
    let texts = samples().into_iter().map(|finding| {
        let text = report([finding.clone()]).text(COLUMNS, false);
        // The verdict is the same everywhere.
        let (_, text) = text.split_once("\n\n").unwrap();
        format!("[{}]\n{}", finding.id(), plain(text))
    });
    assert_snapshot!("messages", texts.collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_message_says_what_and_why_and_what_to_do() {
    for finding in samples() {
        let message = finding.message();
        for text in [&message.reason, &message.remedy] {
            assert!(text.ends_with(['.', ':']), "{}: {text}", finding.id());
        }
        // What is announced comes.
        assert_eq!(message.remedy.ends_with(':'), !message.lines.is_empty(), "{}", finding.id());
        assert!(!message.problem.is_empty() && !message.problem.ends_with('.'), "{}", finding.id());
    }
}

#[test]
fn only_what_is_to_be_copied_is_longer_than_a_line() {
    for finding in samples() {
        let text = plain(&report([finding.clone()]).text(COLUMNS, false));
        for line in text.lines().filter(|line| !line.starts_with("      ")) {
            // A path is not broken.
            let is_path = line.split(' ').filter(|word| !word.is_empty()).count() == 1;
            assert!(line.chars().count() <= COLUMNS || is_path, "{}: {line}", finding.id());
        }
    }
}

/// A broken environment, with a finding of each kind.
fn broken() -> Report {
    let mut report = report([
        Finding::EntriesOutside { entries: vec!["/opt/lib".into()] },
        Finding::LibraryPathEmptyEntry,
        Finding::AuditorGone { path: "/opt/env/lib/rtld_loader.so".into(), is_ours: true, rest: Vec::new() },
        Finding::EntryMissing { entry: "/opt/cairo/lib".into() },
    ]);
    report.well("log: off");
    report
}

#[test]
fn what_matters_most_comes_first() {
    assert_snapshot!("broken", plain(&broken().text(COLUMNS, true)));
}

#[test]
fn the_readme_shows_what_is_printed() {
    let report = report([
        Finding::CallersAuditorGone { path: "/opt/old/lib/rtld_loader.so".into() },
        Finding::LibraryPath {
            entries: vec!["/opt/tool/lib".into()],
            shadowed: vec!["libstdc++.so.6".into()],
            declared: vec!["/opt/cairo/lib".into(), "/opt/tool/lib".into()],
        },
    ]);
    let text = format!("```text\n$ replit-env --doctor\n{}```\n", plain(&report.text(COLUMNS, false)));
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    assert!(fs::read_to_string(readme).unwrap().contains(&text), "README.md lacks this:\n{text}");
}

#[test]
fn colours_are_of_the_labels() {
    assert_snapshot!("colours", broken().text(COLUMNS, true).replace('\u{1b}', "ESC"));
}

#[test]
fn tools_get_the_same() {
    assert_snapshot!("json", broken().json());
}

#[test]
fn without_a_finding_there_is_a_verdict() {
    let mut report = report([]);
    report.well("log: off");
    assert_eq!(plain(&report.text(COLUMNS, false)), "replit-env: no problem found\n");
    assert!(report.is_well());
    report.find(Finding::HintsOff);
    assert!(report.is_well());
    assert!(plain(&report.text(COLUMNS, false)).starts_with("replit-env: no problem found, 1 note\n\n"));
    report.find(Finding::Disabled);
    assert!(!report.is_well());
    assert!(plain(&report.text(COLUMNS, false)).starts_with("replit-env: 1 warning, 1 note\n\n"));
}

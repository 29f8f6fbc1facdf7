//! How trees are made up: few names and few directories, so that they meet.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{File, Kind, Object, Open, Tree};

/// The names of all libraries. The last one the machine may have, too.
pub const NAMES: &[&str] = &["liba.so", "libb.so.1", "libc1.so", "libd.so", "libz.so.1"];

/// Where libraries are.
const DIRECTORIES: &[&str] = &["a", "b", "c", "a/sub", "default"];
/// Where some are besides, for those who look there.
const OTHER_DIRECTORIES: &[&str] = &["bin", "lib", "lib/x86_64-linux-gnu", "default"];
/// Where processors have theirs. The auditor has its doubts then, so not every tree has some.
const PROCESSORS: &[&str] = &[
    "x86_64",
    "haswell",
    "a/glibc-hwcaps/x86-64-v2",
    "a/glibc-hwcaps/x86-64-v3",
    "b/glibc-hwcaps/x86-64-v2",
    "b/glibc-hwcaps/x86-64-v4",
    "default/glibc-hwcaps/x86-64-v3",
    "a/tls",
    "a/x86_64",
    "a/haswell",
    "b/tls/x86_64",
    "b/haswell/avx512_1",
    "c/tls/haswell/x86_64",
];

/// Elements of search paths that mean directories.
const ELEMENTS: &[&str] = &["@/a", "@/b", "@/c", "@/a/sub", "@/link"];
/// The same by the place of an object.
const ORIGIN: &[&str] =
    &["$ORIGIN", "${ORIGIN}", "$ORIGIN/../a", "${ORIGIN}/../b", "$ORIGIN/sub", "$ORIGIN/..", "${ORIGIN}/../link/../c"];
/// The same by the working directory, which is the tree's.
const RELATIVE: &[&str] = &["", ".", "a", "./b/"];
/// Odd ones.
const ODD: &[&str] = &[
    "@",
    "@/a/",
    "@//b//",
    "@/c/.",
    "@/a/../b",
    "@/a/sub/..",
    "@/missing",
    "@/missing/../a",
    "@/file",
    "@/loop",
    "@/loop/a",
    "@/other",
    "@/$LIB",
    "@/${LIB}/",
    "$LIB",
    "@/$PLATFORM",
    "@/${PLATFORM}/../b",
    "@/$NOTHING",
    "@/${LIB",
    "$ORIGINAL/a",
    "$ORIGIN$LIB",
    "@/a/tls",
    "@/a/glibc-hwcaps",
    "/",
];

/// What a link to a directory leads to.
const TARGETS: &[&str] = &["a", "b", "@/c", "a/sub", "other", "missing", "file", ".", "loop"];

/// Any tree.
pub fn tree() -> impl Strategy<Value = Tree> {
    let program = (vec(name(), 0..4), search_paths(2..5), rarely());
    let program = program.prop_map(|(needs, (rpath, runpath), no_default_libraries)| Object {
        soname: None,
        needs,
        rpath,
        runpath,
        no_default_libraries,
    });
    let files = prop_oneof![2 => vec(file(2, OTHER_DIRECTORIES), 0..28), 1 => vec(file(5, PROCESSORS), 0..28)];
    let library_path = option::weighted(0.3, vec((element(), select(&[":", ":", ";"][..])), 1..4).prop_map(joined));
    let preload = option::weighted(0.15, vec(asked(), 1..3).prop_map(|names| names.join(":")));
    let cached = prop_oneof![3 => Just(Vec::new()), 1 => vec(select(&ELEMENTS[..4]), 1..3)];
    let opens = vec((prop_oneof![3 => Just(0), 4 => 1..8usize], asked()), 0..5);
    (program, rarely(), files, library_path, preload, cached, opens).prop_map(
        |(program, is_linked, files, library_path, preload, cached, opens)| Tree {
            program,
            is_linked,
            files,
            library_path,
            preload,
            cached: cached.into_iter().map(str::to_owned).collect(),
            opens: opens.into_iter().map(|(who, name)| Open { who, name }).collect(),
        },
    )
}

fn rarely() -> impl Strategy<Value = bool> {
    prop_oneof![9 => Just(false), 1 => Just(true)]
}

fn name() -> impl Strategy<Value = String> {
    select(NAMES).prop_map(str::to_owned)
}

/// What is asked for: a name, or a path.
fn asked() -> impl Strategy<Value = String> {
    let path = (select(DIRECTORIES), select(NAMES)).prop_map(|(directory, name)| format!("@/{directory}/{name}"));
    prop_oneof![8 => name(), 1 => path]
}

fn element() -> impl Strategy<Value = String> {
    let odd = prop_oneof![1 => select(RELATIVE), 3 => select(ODD)];
    prop_oneof![9 => select(ELEMENTS), 5 => select(ORIGIN), 4 => odd].prop_map(str::to_owned)
}

/// A list with a separator behind each element but the last.
fn joined(elements: Vec<(String, &str)>) -> String {
    let mut list: String = elements.iter().map(|(element, separator)| element.clone() + separator).collect();
    list.pop();
    list
}

/// DT_RPATH and DT_RUNPATH, of so many elements.
fn search_paths(len: std::ops::Range<usize>) -> impl Strategy<Value = (Option<String>, Option<String>)> {
    let list = move || vec(element(), len.clone()).prop_map(|elements| elements.join(":"));
    prop_oneof![
        3 => Just((None, None)),
        4 => list().prop_map(|runpath| (None, Some(runpath))),
        4 => list().prop_map(|rpath| (Some(rpath), None)),
        1 => (list(), list()).prop_map(|(rpath, runpath)| (Some(rpath), Some(runpath))),
    ]
}

/// A file in one of the directories, or with this weight in one of these.
fn file(weight: u32, others: &'static [&'static str]) -> impl Strategy<Value = File> {
    let directory = prop_oneof![8 => select(DIRECTORIES), 1 => Just("."), weight => select(others)];
    let in_directory = (directory, select(NAMES)).prop_flat_map(|(directory, name)| {
        let path = format!("{directory}/{name}");
        kind(name).prop_map(move |kind| File { path: path.clone(), kind })
    });
    let link = (select(&["link", "other"][..]), select(TARGETS));
    let link = link.prop_map(|(path, target)| File { path: path.into(), kind: Kind::Link(target.into()) });
    prop_oneof![12 => in_directory, 1 => link]
}

fn kind(name: &'static str) -> impl Strategy<Value = Kind> {
    let target = (select(DIRECTORIES), select(NAMES)).prop_map(|(directory, name)| format!("@/{directory}/{name}"));
    let link = prop_oneof![4 => target, 1 => Just("missing".to_owned()), 1 => Just(name.to_owned())];
    prop_oneof![
        20 => library(name).prop_map(Kind::Library),
        4 => link.prop_map(Kind::Link),
        1 => Just(Kind::OtherClass),
        1 => Just(Kind::OtherMachine),
        1 => select(&[0usize, 3, 20, 63, 64, 100][..]).prop_map(Kind::Truncated),
        1 => Just(Kind::Text),
        1 => Just(Kind::Directory),
        1 => Just(Kind::Unreadable),
    ]
}

fn library(name: &'static str) -> impl Strategy<Value = Object> {
    let soname = prop_oneof![
        8 => Just(Some(name.to_owned())),
        1 => self::name().prop_map(Some),
        1 => Just(None),
    ];
    let needs = prop_oneof![1 => Just(Vec::new()), 3 => vec(self::name(), 1..3)];
    (soname, needs, search_paths(1..4), rarely()).prop_map(|(soname, needs, (rpath, runpath), no_default_libraries)| {
        Object { soname, needs, rpath, runpath, no_default_libraries }
    })
}

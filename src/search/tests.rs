//! The order and the rules of ld.so's search, in a made-up world. The suite holds the same against real ones.

use super::*;
use crate::ld_so_cache::tests::with_hwcaps;
use crate::made_up::{MadeUpFiles, MadeUpObjects, Object, image, image_of, other_class, search, text};
use std::string::String;
use std::{vec, vec::Vec};

/// Where the last of `objects` finds libx.so, and at which path.
fn find(objects: Vec<Object>, files: &mut MadeUpFiles, library_path: &str) -> Option<(Place, String)> {
    let requester = objects.len() - 1;
    let (objects, mut image, mut path) = (MadeUpObjects(objects), || Ok(image()), PathBuf::new());
    let place = search(&objects, files, &mut image, library_path, &mut path).find(b"libx.so", requester).unwrap()?;
    Some((place, String::from_utf8(path.as_bytes().to_vec()).unwrap()))
}

fn found(place: Place, path: &str) -> Option<(Place, String)> {
    Some((place, path.into()))
}

fn runpath(runpath: &'static str) -> Object {
    Object { runpath: Some(runpath), origin: Some("/app"), ..Object::default() }
}

fn rpath(rpath: &'static str) -> Object {
    Object { rpath: Some(rpath), origin: Some("/app"), ..Object::default() }
}

#[test]
fn each_place_comes_before_the_next() {
    let objects = || vec![rpath("/rpath"), Object { loader: Some(0), ..Object::default() }];
    let mut paths = vec!["/rpath/libx.so", "/llp/libx.so", "/lib/libx.so", "/usr/lib/libx.so"];
    for place in [Place::Rpath, Place::LibraryPath, Place::Default, Place::Default] {
        let mut files = MadeUpFiles::with_libraries(&paths);
        assert_eq!(find(objects(), &mut files, "/llp"), found(place, paths.remove(0)));
    }
    let mut files = MadeUpFiles::with_libraries(&["/llp/libx.so", "/runpath/libx.so"]);
    assert_eq!(find(vec![runpath("/runpath")], &mut files, "/llp"), found(Place::LibraryPath, "/llp/libx.so"));
    assert_eq!(find(vec![runpath("/runpath")], &mut files, ""), found(Place::Runpath, "/runpath/libx.so"));
    assert_eq!(find(vec![Object::default()], &mut files, ""), None);
}

#[test]
fn an_rpath_is_inherited_unless_the_requester_has_a_runpath() {
    let mut files = MadeUpFiles::with_libraries(&["/main/libx.so", "/middle/libx.so"]);
    let chain = |requester| vec![rpath("/main"), Object { loader: Some(0), ..rpath("/middle") }, requester];
    let needed = Object { loader: Some(1), ..Object::default() };
    assert_eq!(find(chain(needed), &mut files, ""), found(Place::Rpath, "/middle/libx.so"));
    // dlopened: without a loader, but the program's own RPATH counts.
    assert_eq!(find(chain(Object::default()), &mut files, ""), found(Place::Rpath, "/main/libx.so"));
    assert_eq!(find(chain(runpath("/none")), &mut files, ""), None);
    // An RPATH beside a RUNPATH counts for nobody.
    let both = Object { rpath: Some("/main"), ..runpath("/none") };
    assert_eq!(find(vec![both, Object { loader: Some(0), ..Object::default() }], &mut files, ""), None);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn with_the_processor_known_what_is_found_is_what_ld_so_opens() {
    let levels = ["/one/glibc-hwcaps/x86-64-v3/libx.so", "/one/glibc-hwcaps/x86-64-v2/libx.so"];
    let mut paths = levels.to_vec();
    paths.extend(["/one/libx.so", "/two/libx.so"]);
    for (takes, path) in [
        (None, "/one/libx.so"),
        (Some((|_| true) as fn(&[u8]) -> bool), levels[0]),
        (Some(|level| level == b"glibc-hwcaps/x86-64-v2/"), levels[1]),
        (Some(|_| false), "/one/libx.so"),
    ] {
        let mut files = MadeUpFiles::with_libraries(&paths);
        let (objects, mut image) = (MadeUpObjects(vec![runpath("/one:/two")]), || Ok(image()));
        let mut room = PathBuf::new();
        let mut search = search(&objects, &mut files, &mut image, "", &mut room);
        search.processor = takes;
        assert_eq!(search.find(b"libx.so", 0), Ok(Some(Place::Runpath)));
        assert_eq!(search.path.as_bytes(), path.as_bytes());
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn with_the_processor_known_a_platform_is_one_thing() {
    for (processor, is_found) in [(None, true), (Some((|_| true) as fn(&[u8]) -> bool), false)] {
        let mut files = MadeUpFiles::with_libraries(&["/one/haswell/libx.so"]);
        let (objects, mut image) = (MadeUpObjects(vec![runpath("/one/$PLATFORM")]), || Ok(image()));
        let mut room = PathBuf::new();
        let mut search = search(&objects, &mut files, &mut image, "", &mut room);
        search.processor = processor;
        assert_eq!(search.find(b"libx.so", 0), Ok(is_found.then_some(Place::Runpath)));
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn with_the_processor_known_the_cache_has_one_file() {
    const LEVEL: u64 = 1 << 62;
    let entries = [
        ("libx.so", "/v2/glibc-hwcaps/x86-64-v2/libx.so", LEVEL),
        ("libx.so", "/v3/glibc-hwcaps/x86-64-v3/libx.so", LEVEL),
        ("libx.so", "/a/tls/libx.so", 1 << 63),
        ("libx.so", "/a/libx.so", 0),
    ];
    let all: [fn(&[u8]) -> bool; 2] = [|_| true, |subdirectory| subdirectory == b"tls/"];
    // Of which glibc, on which processor, with which files, it finds which.
    for (minor, takes, files, path) in [
        (Some(36), Some(all[0]), &[0, 1, 2, 3][..], Some(1)),
        (Some(36), Some(all[1]), &[0, 1, 2, 3], Some(2)),
        (Some(41), Some(all[1]), &[0, 1, 2, 3], Some(3)),
        (None, Some(all[0]), &[0, 1, 2, 3], Some(2)),
        (Some(36), Some(all[0]), &[0, 2, 3], None),
        (Some(36), Some(all[1]), &[3], None),
        (Some(36), None, &[3], Some(3)),
    ] {
        let paths: Vec<_> = files.iter().map(|nth| entries[*nth].1).collect();
        let mut files = MadeUpFiles::with_libraries(&paths);
        files.cache = with_hwcaps(&entries);
        let (objects, mut room) = (MadeUpObjects(vec![Object::default()]), PathBuf::new());
        let mut image = || Ok(image_of(minor));
        let mut search = search(&objects, &mut files, &mut image, "", &mut room);
        search.processor = takes;
        assert_eq!(search.find(b"libx.so", 0), Ok(path.map(|_| Place::Cache)), "{minor:?} {paths:?}");
        if let Some(nth) = path {
            assert_eq!(search.path.as_bytes(), entries[nth].1.as_bytes());
        }
    }
}

#[test]
fn tokens_are_those_of_the_object() {
    for (list, path) in [
        ("$ORIGIN/../lib", "/app/../lib/libx.so"),
        ("/x/${LIB}", "/x/lib/libx.so"),
        ("/x/$PLATFORM/y", "/x/x86_64/y/libx.so"),
        ("/a:/b//:/c", "/b/libx.so"),
        ("/a:/", "/libx.so"),
    ] {
        let mut files = MadeUpFiles::with_libraries(&[path]);
        assert_eq!(find(vec![runpath(list)], &mut files, ""), found(Place::Runpath, path), "{list}");
    }
    for platform in OTHER_PLATFORMS {
        let path = std::format!("/x/{}/y/libx.so", platform.escape_ascii());
        let mut files = MadeUpFiles::with_libraries(&[&path]);
        assert_eq!(find(vec![runpath("/x/$PLATFORM/y")], &mut files, ""), found(Place::Runpath, &path));
    }
    let no_origin = Object { origin: None, ..runpath("$ORIGIN/x:/y") };
    let mut files = MadeUpFiles::with_libraries(&["/x/libx.so", "/y/libx.so"]);
    assert_eq!(find(vec![no_origin], &mut files, ""), found(Place::Runpath, "/y/libx.so"));
}

#[test]
fn an_empty_element_is_the_working_directory_and_an_empty_list_is_nothing() {
    let mut files = MadeUpFiles::with_libraries(&["libx.so"]);
    assert_eq!(find(vec![runpath("/a:")], &mut files, ""), found(Place::Runpath, "libx.so"));
    assert_eq!(find(vec![runpath("")], &mut files, ""), None);
    assert_eq!(find(vec![Object::default()], &mut files, "/a;"), found(Place::LibraryPath, "libx.so"));
}

#[test]
fn anything_in_a_subdirectory_for_processors_counts() {
    let subdirectories: &[&str] = if cfg!(target_arch = "x86_64") {
        &["glibc-hwcaps/x86-64-v3", "tls/haswell", "x86_64"]
    } else if cfg!(target_arch = "x86") {
        &["tls/i686", "sse2", "i586"]
    } else {
        &["tls/aarch64", "atomics", "aarch64"]
    };
    for subdirectory in subdirectories {
        let path = std::format!("/r/{subdirectory}/libx.so");
        let mut files = MadeUpFiles::with_libraries(&[&path]);
        assert_eq!(find(vec![runpath("/r")], &mut files, ""), found(Place::Runpath, &path));
    }
}

#[test]
fn a_directory_is_asked_for_once() {
    let mut files = MadeUpFiles::with_libraries(&["/r/other.so"]);
    assert_eq!(find(vec![runpath("/r:/none")], &mut files, ""), None);
    files.asked.clear();
    assert_eq!(find(vec![runpath("/r:/none")], &mut files, ""), None);
    assert_eq!(files.asked, ["/r/libx.so"]);
}

#[test]
fn nodeflib_leaves_out_the_default_directories() {
    let mut files = MadeUpFiles::with_libraries(&["/lib/libx.so"]);
    let object = Object { no_default_libraries: true, ..Object::default() };
    assert_eq!(find(vec![object], &mut files, ""), None);
}

#[test]
fn what_ld_so_refuses_ends_its_search_and_what_it_skips_does_not() {
    for (look, expected) in [
        (Look::Irregular, found(Place::Runpath, "/a/libx.so")),
        (text(), found(Place::Runpath, "/a/libx.so")),
        (other_class(), found(Place::Runpath, "/b/libx.so")),
        (Look::Missing, found(Place::Runpath, "/b/libx.so")),
        (Look::Denied, found(Place::Runpath, "/b/libx.so")),
        // ELOOP and the like end the list, not the search.
        (Look::Broken, found(Place::Default, "/lib/libx.so")),
        (Look::NotBelow, found(Place::Default, "/lib/libx.so")),
    ] {
        let mut files = MadeUpFiles::with_libraries(&["/b/libx.so", "/lib/libx.so"]);
        files.files.insert("/a/libx.so".into(), look);
        assert_eq!(find(vec![runpath("/a:/b")], &mut files, ""), expected, "{look:?}");
    }
}

#[test]
fn without_descriptors_nothing_is_known() {
    let mut files = MadeUpFiles::with_libraries(&["/lib/libx.so"]);
    files.files.insert("/lib/libx.so".into(), Look::Exhausted);
    let (objects, mut image, mut path) = (MadeUpObjects(vec![Object::default()]), || Ok(image()), PathBuf::new());
    let result = search(&objects, &mut files, &mut image, "", &mut path).find(b"libx.so", 0);
    assert_eq!(result, Err(Unsure::Exhausted));
}

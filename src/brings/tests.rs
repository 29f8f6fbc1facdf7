//! How long it takes to follow what a candidate brings. What comes of it: see the tests of lookups.

use super::*;
use crate::made_up::{MadeUpFiles, MadeUpObjects, Object, image, search};
use std::string::String;
use std::vec;

/// However many sonames a library has, and however long its search path is, it is looked at in no time.
#[test]
fn no_library_holds_up() {
    const MANY: usize = 4000;
    let leaked = |text: String| -> &'static str { text.leak() };
    // With how many paths are tried: as many as are allowed at the most, and none for a name or a directory that is none.
    for (what, soname, runpath, expected) in [
        ("sonames", leaked("x".repeat(47)), "/elsewhere", PATHS),
        ("long sonames", leaked("x".repeat(240)), "/elsewhere", 0),
        ("a long search path", "liby.so", leaked(":".repeat(200_000) + "/elsewhere"), 42),
        ("a long element", "liby.so", leaked("/".repeat(200_000)), 0),
    ] {
        let libc = Object { path: "/own/libc.so.6", ..Object::default() };
        let objects = MadeUpObjects(vec![Object::default(), libc]);
        let mut files = MadeUpFiles::with_libraries(&["/a/libx.so"]);
        files.brings.insert("/a/libx.so".into(), (vec![soname; MANY], runpath));
        let candidate = files.examine(c"/a/libx.so").unwrap().unwrap();
        let (mut path, mut directory, mut image) = (PathBuf::new(), PathBuf::new(), || Ok(image()));
        let mut search = search(&objects, &mut files, &mut image, "", &mut path);
        let before = std::time::Instant::now();
        assert_eq!(judge(&mut search, &mut directory, candidate), Ok(Ok(())));
        let taken = before.elapsed();
        assert!(taken.as_secs() < 5, "{what}: {taken:?}");
        // The first is the candidate itself.
        assert_eq!(files.asked.len() - 1, expected, "{what}");
    }
}

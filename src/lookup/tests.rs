//! The way of a lookup in a made-up world.

use super::*;
use crate::catalogue::Builder;
use crate::made_up::{MadeUpFiles, MadeUpObjects, Object, image, library, search, text};
use std::string::String;
use std::{vec, vec::Vec};

/// What was heard on the way.
#[derive(Default)]
struct Heard(Vec<String>);

impl Witness for Heard {
    fn missed(&mut self, soname: &[u8]) {
        self.0.push(String::from_utf8(soname.to_vec()).unwrap());
    }

    fn considered(&mut self, path: &[u8], verdict: Result<(), Skip>) {
        self.0.push(std::format!("{} {verdict:?}", str::from_utf8(path).unwrap()));
    }
}

/// A program whose RUNPATH is /run, with libx.so declared in /a, /b and /c$LIB.
struct World {
    files: MadeUpFiles,
    heard: Heard,
    answer: PathBuf,
}

const DECLARED: &[u8] = b"/a:/b/:/c$LIB";

impl World {
    fn new(libraries: &[&str]) -> Self {
        Self { files: MadeUpFiles::with_libraries(libraries), heard: Heard::default(), answer: PathBuf::new() }
    }

    fn look_up(
        &mut self,
        ask: impl FnOnce(&mut Lookup<'_, MadeUpObjects, MadeUpFiles>, &mut PathBuf, &mut Heard) -> Outcome,
    ) -> Outcome {
        let mut memory = vec![0; 1 << 16];
        let mut builder = Builder::new(&mut memory).unwrap();
        for at in [0, 3, 7] {
            builder.add(at, b"libx.so", Form::InDirectory).unwrap();
        }
        builder.listed_before(DECLARED.len() + 1);
        let catalogue = builder.finish(DECLARED);
        let objects = MadeUpObjects(vec![Object { runpath: Some("/run"), ..Object::default() }]);
        let (image, mut path) = (image(), PathBuf::new());
        let search = Ok(search(&objects, &mut self.files, &image, "", &mut path));
        ask(&mut Lookup { search, catalogue: &catalogue }, &mut self.answer, &mut self.heard)
    }

    fn at_origin(&mut self, name: &str) -> Outcome {
        match Asked::new(name.as_bytes()) {
            Err(pass) => Outcome::Pass(pass),
            Ok(asked) => self.look_up(|lookup, answer, heard| lookup.at_origin(asked, 0, answer, heard)),
        }
    }

    fn at_default(&mut self, candidate: &str) -> Outcome {
        self.look_up(|lookup, answer, heard| lookup.at_default(candidate.as_bytes(), answer, heard))
    }
}

#[test]
fn names_alone_tell_what_is_left_to_ld_so() {
    let mut world = World::new(&["/a/libx.so", "/a/libm.so.6"]);
    for (name, pass) in [
        ("./libx.so", Pass::Path),
        ("/opt/lib/libx.so", Pass::Path),
        ("/usr/libexec/libx.so", Pass::Path),
        ("lib/libx.so", Pass::Path),
        ("/usr/lib/$LIB/libx.so", Pass::Path),
        ("/lib/", Pass::Path),
        ("", Pass::Path),
        ("libm.so.6", Pass::GlibcFamily),
        ("/lib64/libm.so.6", Pass::GlibcFamily),
    ] {
        assert_eq!(world.at_origin(name), Outcome::Pass(pass), "{name}");
    }
    assert_eq!(world.files.asked, [""; 0], "and no file is looked at");
}

#[test]
fn a_fallback_and_never_an_override() {
    for (own, place) in [("/run/libx.so", Place::Runpath), ("/usr/lib/libx.so", Place::Default)] {
        let mut world = World::new(&["/a/libx.so", own]);
        assert_eq!(world.at_origin("libx.so"), Outcome::Pass(Pass::Found(place)));
        assert_eq!(world.heard.0, [""; 0]);
    }
    let mut world = World::new(&["/a/libx.so"]);
    assert_eq!(world.at_origin("libx.so"), Outcome::Redirect);
    assert_eq!(world.answer.as_bytes(), b"/a/libx.so");
    assert_eq!(world.heard.0, ["libx.so", "/a/libx.so Ok(())"]);
}

#[test]
fn the_first_candidate_that_fits_in_declared_order() {
    let mut world = World::new(&["/b/libx.so"]);
    world.files.files.insert("/a/libx.so".into(), text());
    assert_eq!(world.at_origin("libx.so"), Outcome::Redirect);
    assert_eq!(world.answer.as_bytes(), b"/b/libx.so");
    world.files.files.insert("/a/libx.so".into(), Look::Irregular);
    world.files.files.remove("/b/libx.so");
    world.heard.0.clear();
    assert_eq!(world.at_origin("libx.so"), Outcome::Pass(Pass::NoneFits));
    assert_eq!(
        world.heard.0,
        ["libx.so", "/a/libx.so Err(Irregular)", "/b/libx.so Err(Missing)", "/c$LIB/libx.so Err(Token)"]
    );
}

#[test]
fn what_nobody_has_is_said() {
    let mut world = World::new(&[]);
    assert_eq!(world.at_origin("liby.so"), Outcome::Pass(Pass::Missing));
    assert_eq!(world.heard.0, ["liby.so"]);
    let mut world = World::new(&["/run/liby.so"]);
    assert_eq!(world.at_origin("liby.so"), Outcome::Pass(Pass::NotDeclared));
}

#[test]
fn a_path_into_a_distribution_is_mended_if_nothing_is_there() {
    let mut world = World::new(&["/a/libx.so"]);
    assert_eq!(world.at_origin("/usr/lib64/libx.so"), Outcome::Redirect);
    assert_eq!(world.answer.as_bytes(), b"/a/libx.so");
    assert_eq!(world.at_origin("/usr/lib64/liby.so"), Outcome::Pass(Pass::Path));
    world.files.files.insert("/usr/lib64/libx.so".into(), library());
    assert_eq!(world.at_origin("/usr/lib64/libx.so"), Outcome::Pass(Pass::Path));
    // There is something, which may not be read.
    world.files.files.insert("/usr/lib64/libx.so".into(), Look::Denied);
    assert_eq!(world.at_origin("/usr/lib64/libx.so"), Outcome::Pass(Pass::Path));
    // The program's own wins here, too.
    let mut world = World::new(&["/a/libx.so", "/run/libx.so"]);
    assert_eq!(world.at_origin("/lib/x86_64-linux-gnu/libx.so"), Outcome::Bare(Place::Runpath));
}

#[test]
fn the_safety_net_acts_when_no_later_default_directory_has_it() {
    let mut world = World::new(&["/a/libx.so"]);
    assert_eq!(world.at_default("/lib/glibc-hwcaps/x86-64-v3/libx.so"), Outcome::Pass(Pass::NotLast));
    assert_eq!(world.at_default("/lib/libx.so"), Outcome::Redirect);
    assert_eq!(world.answer.as_bytes(), b"/a/libx.so");
    let mut world = World::new(&["/a/libx.so", "/usr/lib/libx.so"]);
    assert_eq!(world.at_default("/lib/libx.so"), Outcome::Pass(Pass::Found(Place::Default)));
    // ld.so did not want what this directory has for other processors; of the later ones that is not known.
    let mut world = World::new(&["/a/libx.so", "/lib/tls/libx.so"]);
    assert_eq!(world.at_default("/lib/libx.so"), Outcome::Redirect);
    let mut world = World::new(&["/a/libx.so", "/usr/lib/tls/libx.so"]);
    assert_eq!(world.at_default("/lib/libx.so"), Outcome::Pass(Pass::Found(Place::Default)));
    assert_eq!(world.at_default("/usr/lib/libx.so"), Outcome::Redirect);
    // Tokens in a path are not replaced at that stage.
    let mut world = World::new(&["/c$LIB/libx.so", "/lib/other.so"]);
    assert_eq!(world.at_default("/lib/libx.so"), Outcome::Redirect);
    assert_eq!(world.answer.as_bytes(), b"/c$LIB/libx.so");
}

#[test]
fn what_cannot_be_known_is_left_to_ld_so() {
    let mut world = World::new(&["/a/libx.so"]);
    let asked = Asked::new(b"libx.so").unwrap();
    let outcome = world.look_up(|lookup, answer, heard| {
        lookup.search = Err(Unsure::ExplicitLoader);
        lookup.at_origin(asked, 0, answer, heard)
    });
    assert_eq!(outcome, Outcome::Pass(Pass::Unsure(Unsure::ExplicitLoader)));
    world.files.files.insert("/a/libx.so".into(), Look::Exhausted);
    assert_eq!(world.at_origin("libx.so"), Outcome::Pass(Pass::Unsure(Unsure::Exhausted)));
}

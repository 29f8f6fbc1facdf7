//! The way of a lookup in a made-up world.

use super::*;
use crate::catalogue::Builder;
use crate::ld_so_cache::tests::of as cache;
use crate::library::Versioning;
use crate::made_up::{MadeUpFiles, MadeUpObjects, Object, Versions, image, library, search, text};
use std::string::String;
use std::{vec, vec::Vec};

/// What was heard on the way.
#[derive(Default)]
struct Heard(Vec<String>);

impl Witness for Heard {
    fn missed(&mut self, soname: &[u8]) {
        self.0.push(String::from_utf8(soname.to_vec()).unwrap());
    }

    fn considered(&mut self, path: &[u8], verdict: Result<(), &Skip>) {
        self.0.push(std::format!("{} {verdict:?}", str::from_utf8(path).unwrap()));
    }
}

/// A program whose RUNPATH is /run, with libx.so declared in /a, /b and /c$LIB.
struct World {
    /// The first is the program, the second asks.
    objects: MadeUpObjects,
    requester: usize,
    hints: bool,
    drivers: bool,
    hint: Option<&'static [u8]>,
    image_is_known: bool,
    declared: &'static [u8],
    files: MadeUpFiles,
    heard: Heard,
    answer: PathBuf,
}

const DECLARED: &[u8] = b"/a:/b/:/c$LIB";
const WITHOUT_TOKEN: &[u8] = b"/a:/b/:/d/lib";

impl World {
    fn new(libraries: &[&str]) -> Self {
        let main = Object { runpath: Some("/run"), ..Object::default() };
        Self {
            objects: MadeUpObjects(vec![main]),
            requester: 0,
            hints: false,
            drivers: false,
            hint: None,
            image_is_known: true,
            declared: DECLARED,
            files: MadeUpFiles::with_libraries(libraries),
            heard: Heard::default(),
            answer: PathBuf::new(),
        }
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
        builder.listed_before(self.declared.len() + 1);
        let catalogue = builder.finish(self.declared, None);
        let (mut path, mut glibc, known) = (PathBuf::new(), PathBuf::new(), self.image_is_known);
        let mut image = || if known { Ok(image()) } else { Err(Unsure::LoaderImage) };
        let search = search(&self.objects, &mut self.files, &mut image, "", &mut path);
        let (hints, glibc) = (self.hints, &mut glibc);
        let mut lookup = Lookup {
            search,
            is_beyond_paths: false,
            explicit_loader: false,
            catalogue: &catalogue,
            glibc,
            hints,
            drivers: self.drivers,
            hint: self.hint,
        };
        ask(&mut lookup, &mut self.answer, &mut self.heard)
    }

    fn at_origin(&mut self, name: &str) -> Outcome {
        match Asked::new(name.as_bytes()) {
            Err(pass) => Outcome::Pass(pass),
            Ok(asked) => {
                let requester = self.requester;
                self.look_up(|lookup, answer, heard| lookup.at_origin(asked, requester, answer, heard))
            }
        }
    }

    fn at_default(&mut self, candidate: &str) -> Outcome {
        self.look_up(|lookup, answer, heard| lookup.at_default(candidate.as_bytes(), 0, answer, heard))
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
fn what_would_bring_it_is_said_only_where_the_search_fails() {
    let hinted = |libraries: &[&str]| World { hint: Some(b"liby"), hints: true, ..World::new(libraries) };
    let mut world = hinted(&[]);
    assert_eq!(world.at_origin("liby.so"), Outcome::Hint);
    assert_eq!(world.answer.as_bytes(), b"liby.so (not among the declared dependencies; add pkgs.liby to replit.nix)");
    assert_eq!(world.heard.0, ["liby.so"]);
    for own in ["/run/liby.so", "/usr/lib/liby.so"] {
        assert_eq!(hinted(&[own]).at_origin("liby.so"), Outcome::Pass(Pass::NotDeclared));
    }
    // What the cache has is not looked at: nothing would be handed out.
    let mut world = hinted(&[]);
    world.files.cache = cache(&[("liby.so", "/lib/liby.so")]);
    assert_eq!(world.at_origin("liby.so"), Outcome::Pass(Pass::NotDeclared));
    assert_eq!(hinted(&[]).at_origin("/usr/lib/liby.so"), Outcome::Pass(Pass::Path));
    let mut world = World { image_is_known: false, ..hinted(&[]) };
    assert_eq!(world.at_origin("liby.so"), Outcome::Pass(Pass::Unsure(Unsure::LoaderImage)));
}

#[test]
fn the_driver_comes_behind_what_is_declared_and_before_the_hint() {
    let with_driver = |libraries: &[&str]| World { drivers: true, hint: Some(b"libGL"), ..World::new(libraries) };
    let driver = "/run/opengl-driver/lib/libGL.so.1";
    let mut world = with_driver(&[driver]);
    assert_eq!(world.at_origin("libGL.so.1"), Outcome::Driver);
    assert_eq!(world.answer.as_bytes(), driver.as_bytes());
    assert_eq!(world.heard.0, ["libGL.so.1", "/run/opengl-driver/lib/libGL.so.1 Ok(())"]);
    assert_eq!(world.at_origin("/usr/lib/libGL.so.1"), Outcome::Driver);
    assert_eq!(world.at_default("/lib/libGL.so.1"), Outcome::Driver);
    // The program's own wins, and a driver that cannot be loaded is none.
    let mut own = with_driver(&[driver, "/run/libGL.so.1"]);
    assert_eq!(own.at_origin("libGL.so.1"), Outcome::Pass(Pass::Found(Place::Runpath)));
    let mut world = with_driver(&[]);
    world.files.files.insert(driver.into(), text());
    assert_eq!(world.at_origin("libGL.so.1"), Outcome::Hint);
    assert_eq!(world.at_default("/lib/libGL.so.1"), Outcome::Pass(Pass::NoneFits));
    // Other names are not looked for there, and none is where nothing is handed out.
    let mut world = with_driver(&["/run/opengl-driver/lib/libX11.so.6"]);
    assert_eq!(world.at_origin("libX11.so.6"), Outcome::Hint);
    let mut world = World { drivers: false, ..with_driver(&[driver]) };
    assert_eq!(world.at_origin("libGL.so.1"), Outcome::Hint);
    assert!(!world.files.asked.iter().any(|path| path.starts_with("/run/opengl-driver")));
}

#[test]
fn the_machines_cache_counts_where_there_is_a_device() {
    // ld.so passes over what its cache has in a default directory, for this requester.
    let main = Object { no_default_libraries: true, ..Object::default() };
    let mut world = World::new(&["/usr/lib/libcuda.so.1"]);
    (world.objects, world.drivers) = (MadeUpObjects(vec![main]), true);
    world.files.cache = cache(&[("libcuda.so.1", "/usr/lib/libcuda.so.1")]);
    assert_eq!(world.at_origin("libcuda.so.1"), Outcome::Pass(Pass::Missing));
    for device in ["/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg"] {
        world.files.files.insert(device.into(), Look::Irregular);
        assert_eq!(world.at_origin("libcuda.so.1"), Outcome::Driver, "{device}");
        assert_eq!(world.answer.as_bytes(), b"/usr/lib/libcuda.so.1");
        world.files.files.remove(device);
    }
    assert_eq!(world.at_origin("libcuda.so.1"), Outcome::Pass(Pass::Missing));
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
    world.image_is_known = false;
    assert_eq!(world.at_origin("libx.so"), Outcome::Pass(Pass::Unsure(Unsure::LoaderImage)));
    world.image_is_known = true;
    let outcome = world.look_up(|lookup, answer, heard| {
        lookup.explicit_loader = true;
        lookup.at_origin(asked, 0, answer, heard)
    });
    assert_eq!(outcome, Outcome::Pass(Pass::Unsure(Unsure::ExplicitLoader)));
    world.files.files.insert("/a/libx.so".into(), Look::Exhausted);
    assert_eq!(world.at_origin("libx.so"), Outcome::Pass(Pass::Unsure(Unsure::Exhausted)));
}

/// A world with a glibc of its own in /own and another in /other, where a library asks whose RUNPATH is `runpath`.
fn two_glibcs(runpath: Option<&'static str>, libraries: &[&str]) -> World {
    let mut world = World::new(libraries);
    for path in ["/own/libc.so.6", "/own/libm.so.6", "/other/libc.so.6", "/other/libm.so.6"] {
        world.files.files.insert(path.into(), library());
    }
    let libc = Object { path: "/own/libc.so.6", defines: vec!["GLIBC_2.34", "GLIBC_2.36"], ..Object::default() };
    let requester = Object { path: "/r/libr.so", runpath, ..Object::default() };
    world.objects.0.extend([libc, requester]);
    world.requester = 2;
    world
}

#[test]
fn a_member_of_another_glibc_is_replaced() {
    for runpath in ["/other", "/none:/other/", "/none"] {
        let mut world = two_glibcs(Some(runpath), &[]);
        assert_eq!(world.at_origin("libm.so.6"), Outcome::OwnGlibc, "{runpath}");
        assert_eq!(world.answer.as_bytes(), b"/own/libm.so.6");
    }
    // It has no libdl.
    let mut world = two_glibcs(Some("/other"), &["/other/libdl.so.2"]);
    assert_eq!(world.at_origin("libdl.so.2"), Outcome::Pass(Pass::GlibcFamily));
    // A default directory of ld.so may be another glibc's.
    let mut world = two_glibcs(None, &["/lib/libc.so.6", "/lib/libm.so.6"]);
    assert_eq!(world.at_origin("libm.so.6"), Outcome::OwnGlibc);
}

#[test]
fn what_leads_to_the_own_glibc_is_not_looked_at() {
    for runpath in ["/own", "/own//", "/a:/own:/b"] {
        let mut world = two_glibcs(Some(runpath), &[]);
        assert_eq!(world.at_origin("libm.so.6"), Outcome::Pass(Pass::GlibcFamily), "{runpath}");
        assert_eq!(world.files.asked, [""; 0]);
    }
    // The program, and everything before there is a libc.so.6, too.
    let mut world = two_glibcs(Some("/other"), &[]);
    world.requester = 0;
    assert_eq!(world.at_origin("libm.so.6"), Outcome::Pass(Pass::GlibcFamily));
    world.requester = 2;
    world.objects.0[1].path = "";
    assert_eq!(world.at_origin("libm.so.6"), Outcome::Pass(Pass::GlibcFamily));
    assert_eq!(world.files.asked, [""; 0]);
    let mut world = two_glibcs(None, &[]);
    world.objects.0[1].path = "/usr/lib/libc.so.6";
    assert_eq!(world.at_origin("libm.so.6"), Outcome::Pass(Pass::GlibcFamily), "a default directory");
    assert_eq!(world.files.asked, [""; 0]);
    let mut world = two_glibcs(None, &[]);
    world.objects.0[0].runpath = None;
    world.image_is_known = false;
    assert_eq!(world.at_origin("libm.so.6"), Outcome::Pass(Pass::GlibcFamily), "nobody has a search path");
    assert_eq!(world.files.asked, [""; 0]);
}

#[test]
fn somebodys_own_choice_of_a_member_stays() {
    // Without a libc.so.6 beside it, it is not another glibc's.
    let mut world = two_glibcs(Some("/mine"), &["/mine/libm.so.6"]);
    assert_eq!(world.at_origin("libm.so.6"), Outcome::Pass(Pass::GlibcFamily));
    // A variant for some processor.
    let mut world = two_glibcs(Some("/own/sub"), &["/own/sub/libm.so.6"]);
    assert_eq!(world.at_origin("libm.so.6"), Outcome::Pass(Pass::GlibcFamily));
}

#[test]
fn a_path_of_a_member_that_is_not_there() {
    let mut world = two_glibcs(Some("/other"), &[]);
    assert_eq!(world.at_origin("/lib/x86_64-linux-gnu/libm.so.6"), Outcome::OwnGlibc);
    assert_eq!(world.answer.as_bytes(), b"/own/libm.so.6");
    world.files.files.insert("/lib/x86_64-linux-gnu/libm.so.6".into(), library());
    assert_eq!(world.at_origin("/lib/x86_64-linux-gnu/libm.so.6"), Outcome::Pass(Pass::Path));
    assert_eq!(world.at_origin("/other/libm.so.6"), Outcome::Pass(Pass::Path));
}

/// libx.so in /a and /b with these versions.
fn two_builds(a: Versions, b: Versions) -> World {
    let mut world = two_glibcs(Some("/none"), &["/a/libx.so", "/b/libx.so"]);
    world.files.versions.insert("/a/libx.so".into(), a);
    world.files.versions.insert("/b/libx.so".into(), b);
    world.hints = true;
    world
}

fn needs(member: &'static str, version: &'static str) -> Versions {
    (vec![(member, version)], Versioning::Unversioned, vec![])
}

#[test]
fn the_first_whose_needs_are_met() {
    for (member, version, fits) in [
        ("libc.so.6", "GLIBC_2.36", true),
        ("libc.so.6", "GLIBC_2.38", false),
        ("libc.so.6", "GLIBC_PRIVATE", false),
        // Read from the file, since it is not loaded.
        ("libm.so.6", "GLIBC_2.35", true),
        ("libm.so.6", "GLIBC_2.36", false),
        // Nothing brings these. ld.so takes what is there, and ends the process over what is not.
        ("!libc.so.6", "GLIBC_2.36", true),
        ("!libm.so.6", "GLIBC_2.35", false),
    ] {
        let mut world = two_builds(needs(member, version), Versions::default());
        world.files.versions.insert("/own/libm.so.6".into(), (vec![], Versioning::Defined, vec!["GLIBC_2.35"]));
        assert_eq!(world.at_origin("libx.so"), Outcome::Redirect);
        let first: &[u8] = if fits { b"/a/libx.so" } else { b"/b/libx.so" };
        assert_eq!(world.answer.as_bytes(), first, "{version} of {member}");
    }
}

#[test]
fn a_member_that_the_own_glibc_lacks_is_left_to_ld_so() {
    let lacked = || needs("libnsl.so.1", "GLIBC_2.2.5");
    let mut world = two_builds(lacked(), needs("libc.so.6", "GLIBC_2.36"));
    assert_eq!(world.at_origin("libx.so"), Outcome::Redirect);
    assert_eq!(world.answer.as_bytes(), b"/b/libx.so", "what surely fits goes before");
    let mut world = two_builds(lacked(), needs("libc.so.6", "GLIBC_2.38"));
    assert_eq!(world.at_origin("libx.so"), Outcome::Redirect);
    assert_eq!(world.answer.as_bytes(), b"/a/libx.so");
}

#[test]
fn private_symbols_are_there_in_the_own_glibc() {
    let mut world = two_builds(needs("libc.so.6", "GLIBC_PRIVATE"), Versions::default());
    world.objects.0[1].path = "/a/libc.so.6";
    assert_eq!(world.at_origin("libx.so"), Outcome::Redirect);
    assert_eq!(world.answer.as_bytes(), b"/a/libx.so");
}

#[test]
fn the_first_that_defines_what_the_requester_needs() {
    let defines = |versions: &[&'static str]| (vec![], Versioning::Defined, versions.to_vec());
    let unversioned = || (vec![], Versioning::Unversioned, vec![]);
    for (needed, a, b, expected) in [
        (vec!["X_1"], defines(&["X_1"]), defines(&["X_1", "X_2"]), "/a/libx.so"),
        (vec!["X_2"], defines(&["X_1"]), defines(&["X_1", "X_2"]), "/b/libx.so"),
        (vec!["X_1", "X_2"], defines(&["X_2"]), defines(&["X_1", "X_2"]), "/b/libx.so"),
        // One without version information does as well as it can: behind those that define what is needed.
        (vec!["X_2"], unversioned(), defines(&["X_2"]), "/b/libx.so"),
        (vec!["X_2"], unversioned(), defines(&["X_1"]), "/a/libx.so"),
        (vec![], unversioned(), defines(&["X_1"]), "/a/libx.so"),
        // One that says nothing of versions would end the process: this is glibc 2.36.
        (vec!["X_2"], Versions::default(), unversioned(), "/b/libx.so"),
        (vec![], Versions::default(), unversioned(), "/a/libx.so"),
    ] {
        let mut world = two_builds(a, b);
        world.objects.0[2].needs = needed.iter().map(|version| ("libx.so", *version)).collect();
        assert_eq!(world.at_origin("libx.so"), Outcome::Redirect);
        assert_eq!(world.answer.as_bytes(), expected.as_bytes(), "{needed:?}");
    }
}

#[test]
fn what_is_needed_of_a_library_that_is_loaded_already() {
    for (defines, expected) in [(vec!["Y_1"], "/b/libx.so"), (vec!["Y_1", "Y_2"], "/a/libx.so"), (vec![], "/a/libx.so")]
    {
        let mut world = two_builds(needs("liby.so", "Y_2"), needs("liby.so", "Y_1"));
        assert_eq!(world.at_origin("libx.so"), Outcome::Redirect);
        assert_eq!(world.answer.as_bytes(), b"/a/libx.so", "which liby.so it will be is not known yet");
        world.objects.0.push(Object { path: "/y/liby.so", defines, ..Object::default() });
        assert_eq!(world.at_origin("libx.so"), Outcome::Redirect);
        assert_eq!(world.answer.as_bytes(), expected.as_bytes());
    }
}

#[test]
fn what_a_candidate_of_another_glibc_brings_along() {
    // libx.so brings liby.so, and that libz.so, beside its own file.
    let world = |a_runpath, z_needs| {
        let mut world = two_builds(needs("libc.so.6", "GLIBC_2.34"), Versions::default());
        for file in ["/y/liby.so", "/y/z/libz.so"] {
            world.files.files.insert(file.into(), library());
        }
        world.files.brings.insert("/a/libx.so".into(), (vec!["libc.so.6", "liby.so", "libnone.so"], a_runpath));
        world.files.brings.insert("/y/liby.so".into(), (vec!["libz.so", "libx.so"], "$ORIGIN/none:$ORIGIN/z:/a"));
        world.files.versions.insert("/y/z/libz.so".into(), needs("libc.so.6", z_needs));
        world
    };
    for (a_runpath, z_needs, expected) in [
        ("/other:/y", "GLIBC_2.36", "/a/libx.so"),
        ("/other:/y", "GLIBC_2.38", "/b/libx.so"),
        // It leads here: it was built together with what it needs.
        ("/own:/y", "GLIBC_2.38", "/a/libx.so"),
        // What it looks for elsewhere is another lookup.
        ("/other", "GLIBC_2.38", "/a/libx.so"),
    ] {
        let mut world = world(a_runpath, z_needs);
        assert_eq!(world.at_origin("libx.so"), Outcome::Redirect);
        assert_eq!(world.answer.as_bytes(), expected.as_bytes(), "{a_runpath} {z_needs}");
    }
    let mut refused = world("/other:/y", "GLIBC_2.38");
    refused.declared = b"/a";
    refused.files.files.remove("/b/libx.so");
    assert!(matches!(refused.at_origin("libx.so"), Outcome::Refuse(Skip::Brings { version: Some(_), .. })));
    // What is loaded already is not loaded again.
    let mut world = world("/other:/y", "GLIBC_2.38");
    world.objects.0.push(Object { path: "/l/libz.so", ..Object::default() });
    assert_eq!(world.at_origin("libx.so"), Outcome::Redirect);
    assert_eq!(world.answer.as_bytes(), b"/a/libx.so");
    // A broken one will not be loaded.
    world.objects.0.pop();
    world.files.files.insert("/y/z/libz.so".into(), text());
    assert_eq!(world.at_origin("libx.so"), Outcome::Redirect);
    assert_eq!(world.answer.as_bytes(), b"/b/libx.so");
}

#[test]
fn ld_so_is_made_to_say_why_none_fits() {
    let refused = |world: &mut World| match world.at_origin("libx.so") {
        Outcome::Refuse(_) => String::from_utf8(world.answer.as_bytes().to_vec()).unwrap(),
        other => std::format!("{other:?}"),
    };
    let mut world = two_builds(needs("libc.so.6", "GLIBC_2.38"), needs("libc.so.6", "GLIBC_2.40"));
    let expected = "/a/libx.so (needs GLIBC_2.38, this process has glibc 2.36; \
                declare it from a channel with glibc 2.36 or older)";
    assert_eq!(refused(&mut world), "Pass(NoneFits)", "a path with a token may do at another stage");
    world.declared = WITHOUT_TOKEN;
    assert_eq!(refused(&mut world), expected);
    // A whole library says more than a broken one.
    world.files.files.insert("/a/libx.so".into(), text());
    assert_eq!(refused(&mut world), expected.replace("/a", "/b").replace("GLIBC_2.38", "GLIBC_2.40"));
    // Somebody has put something there.
    world.files.files.insert(expected.replace("/a", "/b").replace("GLIBC_2.38", "GLIBC_2.40"), library());
    assert_eq!(refused(&mut world), "Pass(NoneFits)");
    world.hints = false;
    world.files.files.retain(|path, _| !path.contains('('));
    assert_eq!(refused(&mut world), "Pass(NoneFits)");
}

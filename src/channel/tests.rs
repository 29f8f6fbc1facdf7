//! The order among channels in a made-up world: a process with glibc 2.36.

use super::*;
use crate::catalogue::{Builder, Form};
use crate::made_up::{MadeUpFiles, MadeUpObjects, Object, image, search};
use std::{vec, vec::Vec};

/// What is declared, with the glibc of its channel; none of no channel.
type Declared = (&'static str, Option<(&'static str, u32)>);

const OWN: &str = "/own/lib";
const FOUND: &[u8] = b"libfound.so";

/// A process: where its libc.so.6 is, if it is loaded; and whether its ld.so says its version.
struct World {
    libc: Option<&'static str>,
    image_is_known: bool,
}

impl World {
    fn new(libc: Option<&'static str>) -> Self {
        Self { libc, image_is_known: true }
    }

    /// The ranks of all entries, each of which has the library.
    fn ranks(&self, declared: &[Declared]) -> Result<Vec<Rank>, Unsure> {
        self.ranks_for(0, declared)
    }

    /// The same for a requester.
    fn ranks_for(&self, requester: usize, declared: &[Declared]) -> Result<Vec<Rank>, Unsure> {
        let paths: Vec<_> = declared.iter().map(|(path, _)| *path).collect();
        let list = paths.join(":");
        let mut memory = vec![0; 1 << 16];
        let mut builder = Builder::new(&mut memory).unwrap();
        let mut files = MadeUpFiles::with_libraries(&["/usr/lib/libc.so.6"]);
        let mut at = 0;
        for (path, channel) in declared {
            builder.add(at, FOUND, Form::InDirectory).unwrap();
            if let Some(channel) = channel {
                builder.of_channel(at);
                files.channels.insert(path, *channel);
            }
            at += path.len() + 1;
        }
        builder.listed_before(at);
        let catalogue = builder.finish(list.as_bytes(), None);
        let mut objects = MadeUpObjects(vec![Object::default()]);
        objects.0.extend(self.libc.map(|path| Object { path, ..Object::default() }));
        let mut image = || if self.image_is_known { Ok(image()) } else { Err(Unsure::LoaderImage) };
        let (mut path, mut directory) = (PathBuf::new(), PathBuf::new());
        let mut search = search(&objects, &mut files, &mut image, "", &mut path);
        let order = Order::new(&catalogue, &mut search, &mut directory, FOUND, requester)?;
        Ok(catalogue.candidates(FOUND).map(|candidate| order.rank(search.files, candidate.entry)).collect())
    }
}

/// A process of the glibc in [`OWN`].
fn own() -> World {
    World::new(Some("/own/lib/libc.so.6"))
}

#[test]
fn the_directory_of_a_glibc_goes_before_its_version() {
    let ranks = own().ranks(&[("/a", Some(("/same", 36))), ("/b", Some((OWN, 36))), ("/c", Some(("", 36)))]);
    assert_eq!(ranks, Ok(vec![Rank::Older(0), Rank::Own, Rank::Older(0)]));
    // Whatever version it says.
    assert_eq!(own().ranks(&[("/a", Some((OWN, 41)))]), Ok(vec![Rank::Own]));
    // A name that begins alike is another.
    let ranks = own().ranks(&[("/a", Some(("/own/lib64", 36))), ("/b", Some(("/own", 36)))]);
    assert_eq!(ranks, Ok(vec![Rank::Older(0); 2]));
}

#[test]
fn a_closing_slash_is_no_other_directory() {
    assert_eq!(own().ranks(&[("/a", Some(("/own/lib/", 36)))]), Ok(vec![Rank::Own]));
}

#[test]
fn versions_are_older_and_newer_by_so_many() {
    let ranks = own().ranks(&[
        ("/a", Some(("/x", 31))),
        ("/b", Some(("/y", 35))),
        ("/c", Some(("/z", 36))),
        ("/d", Some(("/v", 37))),
        ("/e", Some(("/w", 41))),
    ]);
    assert_eq!(ranks, Ok(vec![Rank::Older(5), Rank::Older(1), Rank::Older(0), Rank::Newer(1), Rank::Newer(5)]));
}

#[test]
fn ranks_are_in_order() {
    let order = [
        Rank::Before,
        Rank::Own,
        Rank::Older(0),
        Rank::Older(1),
        Rank::Older(u32::MAX),
        Rank::Newer(1),
        Rank::Newer(2),
        Rank::Newer(u32::MAX),
        Rank::Behind,
    ];
    assert!(order.is_sorted() && order.windows(2).all(|two| two[0] != two[1]));
}

#[test]
fn what_is_of_no_channel_is_before_the_first_or_behind_all() {
    let ranks = own().ranks(&[
        ("/first", None),
        ("/second", None),
        ("/new", Some(("/x", 41))),
        ("/between", None),
        ("/own-channel", Some((OWN, 36))),
        ("/last", None),
    ]);
    let expected = [Rank::Before, Rank::Before, Rank::Newer(5), Rank::Behind, Rank::Own, Rank::Behind];
    assert_eq!(ranks, Ok(expected.into()));
}

#[test]
fn without_channels_all_are_before() {
    assert_eq!(own().ranks(&[("/a", None), ("/b", None)]), Ok(vec![Rank::Before; 2]));
    // And nothing is asked of the process.
    let world = World { libc: None, image_is_known: false };
    assert_eq!(world.ranks(&[("/a", None)]), Ok(vec![Rank::Before]));
}

#[test]
fn before_libc_is_loaded_its_place_is_found() {
    // By its way to /usr/lib, a default directory.
    let ranks = World::new(None).ranks(&[("/a", Some(("/x", 36))), ("/b", Some(("/usr/lib", 36)))]);
    assert_eq!(ranks, Ok(vec![Rank::Older(0), Rank::Own]));
}

#[test]
fn a_directory_is_enough_where_the_version_is_not_known() {
    let world = World { image_is_known: false, ..own() };
    let ranks = world.ranks(&[("/a", Some(("/x", 41))), ("/b", Some((OWN, 36)))]).unwrap();
    assert!(ranks[1] < ranks[0], "{ranks:?}");
}

#[test]
fn what_a_channel_needs_comes_from_it() {
    // The requester is what lies in /own/lib.
    let declared = [("/a", Some((OWN, 36))), ("/own/lib", Some(("/old", 31))), ("/b", Some(("/old", 31)))];
    assert_eq!(own().ranks_for(1, &declared), Ok(vec![Rank::Own, Rank::Requester, Rank::Requester]));
    assert_eq!(own().ranks_for(0, &declared), Ok(vec![Rank::Own, Rank::Older(5), Rank::Older(5)]));
}

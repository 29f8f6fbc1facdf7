//! What ld.so is answered when it has a name and has not yet searched (`LA_SER_ORIG`).
//!
//! The questions come in the order of their cost: a path passes; a requester that the index has is answered from it; a
//! name that nobody declares passes; and only then is there a lookup.
//!
//! The auditor asks them of the process that it lives in, `replit-env --explain` of one that it plans.

use crate::drivers;
use crate::environment::split_directory;
use crate::index::{File, Index, Step};
use crate::lookup::Asked;
use crate::outcome::{Outcome, Pass, Unsure};

/// A process in which a name is asked for.
pub trait World {
    /// One of its objects.
    type Id: Copy + PartialEq;

    /// What holds for all names.
    fn setting(&self) -> Setting;

    /// The program.
    fn main(&self) -> Option<Self::Id>;

    /// The directory of the libc.so.6 that the process has; `None` before it is loaded.
    fn own_glibc(&self) -> Option<&[u8]>;

    /// The requester as an index has it.
    fn indexed(&mut self, requester: Self::Id) -> Option<(Index<'static>, File<'static>)>;

    /// Whether a directory that may change has a library, or ends the search.
    fn ends_in(&mut self, directory: &[u8], soname: &[u8]) -> Result<bool, Unsure>;

    /// Takes a path for the answer. `None` if it is too long.
    fn set_answer(&mut self, path: &[u8]) -> Option<()>;

    /// Whether a name is declared.
    fn is_declared(&mut self, soname: &[u8]) -> bool;

    /// The attribute of nixpkgs that brings a library, where that is to be said.
    fn hint(&self, soname: &[u8]) -> Option<&'static [u8]>;

    /// Steps 2 to 6 of a lookup.
    fn look_up(&mut self, asked: Asked<'_>, requester: Self::Id, known: Known) -> Outcome;
}

/// What holds for all names in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The index counts. What is found by LD_LIBRARY_PATH, or by an option of an explicit ld.so, would go before it. And
    /// ldd(1) shows what was asked for beside what was found: it would show one path twice, as one.
    pub uses_index: bool,
    /// Something is declared. Without that, nothing is replaced either.
    pub has_declared: bool,
    /// Something is declared, or there is an index: an environment, with the machine's drivers.
    pub hands_out: bool,
    /// Libraries that nobody has are told of, too, at the price of searching for them.
    pub says_all: bool,
}

/// What is known of a name before its lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// It is declared.
    pub is_declared: bool,
    /// It may be the machine's graphics driver that has it.
    pub is_driver: bool,
    /// The attribute of nixpkgs that brings it, if it is not declared.
    pub hint: Option<&'static [u8]>,
    /// The requester's own search path does not have it.
    pub is_beyond_paths: bool,
}

/// Answers for a name. The path is the world's answer where there is one.
pub fn answer<W: World>(world: &mut W, name: &[u8], requester: W::Id) -> Outcome {
    let asked = match Asked::new(name) {
        Ok(asked) => asked,
        Err(pass) => return Outcome::Pass(pass),
    };
    let indexed = find_in_index(world, asked, requester);
    if indexed == Indexed::Found {
        return Outcome::Indexed;
    }
    let Setting { has_declared, hands_out, says_all, .. } = world.setting();
    if asked.is_family && !has_declared {
        return Outcome::Pass(Pass::GlibcFamily);
    }
    let is_declared = has_declared && !asked.is_family && world.is_declared(asked.soname);
    let is_driver = hands_out && drivers::contains(asked.soname);
    let hint = if is_declared || asked.is_family || asked.is_path() { None } else { world.hint(asked.soname) };
    if !is_declared && !is_driver && !asked.is_family && !says_all && hint.is_none() {
        return Outcome::Pass(Pass::NotDeclared);
    }
    let is_beyond_paths = indexed == Indexed::Nowhere;
    world.look_up(asked, requester, Known { is_declared, is_driver, hint, is_beyond_paths })
}

/// What is known from the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Indexed {
    /// The file that ld.so finds.
    Found,
    /// The requester's own search finds nothing.
    Nowhere,
    /// Nothing.
    Unknown,
}

/// What the index says that ld.so finds: the path is put into the answer then.
// A path passes without the room that this takes on the stack.
#[inline(never)]
fn find_in_index<W: World>(world: &mut W, asked: Asked<'_>, requester: W::Id) -> Indexed {
    if !world.setting().uses_index || asked.is_path() {
        return Indexed::Unknown;
    }
    let Some((index, file)) = world.indexed(requester) else { return Indexed::Unknown };
    for step in index.search(file, asked.soname) {
        let file = match step {
            Step::File(file) => file,
            Step::Unknown => return Indexed::Unknown,
            Step::Live(directory) => match world.ends_in(directory.path(), asked.soname) {
                Ok(false) => continue,
                _ => return Indexed::Unknown,
            },
        };
        // A library of another glibc's build leads to that glibc.
        let directory = split_directory(file.path()).map(|(directory, _)| directory);
        if asked.is_family && Some(requester) != world.main() && world.own_glibc() != directory {
            return Indexed::Unknown;
        }
        return if world.set_answer(file.path()).is_some() { Indexed::Found } else { Indexed::Unknown };
    }
    Indexed::Nowhere
}

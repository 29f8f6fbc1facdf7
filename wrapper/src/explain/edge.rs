//! What becomes of a name that an object asks for: another object, or nothing.

use rtld_loader::outcome::{Place, Unsure};
use rtld_loader::skip::Skip;

use super::files::Seen;

/// By which rule a library is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// ld.so has it already, by that name.
    Loaded,
    /// It is asked for by its path.
    Path,
    /// ld.so searches, and finds it.
    Search(Place),
    /// The index knows what ld.so would find.
    Index,
    /// The declared entry of this number, from 1.
    Declared(usize),
    /// The machine's graphics driver has it.
    Driver,
    /// The process's own member of the glibc family, in place of another glibc's.
    OwnGlibc,
}

/// What became of a name.
pub struct Edge {
    /// The name.
    pub name: Vec<u8>,
    /// The object, or why there is none.
    pub end: Result<Hit, Box<Miss>>,
}

/// A name that is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The object's number.
    pub object: usize,
    /// How it was found.
    pub rule: Rule,
    /// It was not there before.
    pub is_new: bool,
}

/// A name that is not found.
#[derive(Debug)]
pub struct Miss {
    /// Why.
    pub reason: Reason,
    /// What ld.so says, up to the colon behind the name.
    pub message: Vec<u8>,
    /// Where ld.so looks, in order, and what it sees there.
    pub places: Vec<(Place, Vec<Seen>)>,
    /// The declared files that could have been it.
    pub considered: Vec<Considered>,
}

/// Why a name is not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is no such file.
    NoFile,
    /// ld.so finds a file that it does not load.
    Unloadable,
    /// The index has a file that is not there any more.
    Stale,
    /// Nobody declares it.
    NotDeclared,
    /// It is declared, and this is why the best of the candidates cannot be loaded; `None` where there is none after all.
    NoneFits(Option<Skip>),
    /// It is declared. The auditor took it for found, or could not tell, and left it to ld.so, which comes to no default directory where
    /// it would be asked again.
    Doubted,
    /// It cannot be told.
    Unsure(Unsure),
}

/// A declared file that was looked at.
#[derive(Clone, Debug)]
pub struct Considered {
    /// Its path.
    pub path: Vec<u8>,
    /// Why it is skipped, if it is.
    pub verdict: Result<(), Skip>,
}

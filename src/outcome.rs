//! What a lookup comes to: one value, from which ld.so's answer, the log and every explanation derive.

use crate::skip::Skip;

/// A step of ld.so's own search (ld.so(8)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The DT_RPATH of the requester, of its loaders, or of the program.
    Rpath,
    /// LD_LIBRARY_PATH.
    LibraryPath,
    /// The DT_RUNPATH of the requester.
    Runpath,
    /// ld.so.cache.
    Cache,
    /// The default directories.
    Default,
}

impl Place {
    /// All of them, in ld.so's order.
    pub const ALL: [Self; 5] = [Self::Rpath, Self::LibraryPath, Self::Runpath, Self::Cache, Self::Default];

    /// For people.
    pub const fn text(self) -> &'static [u8] {
        match self {
            Self::Rpath => b"RPATH",
            Self::LibraryPath => b"LD_LIBRARY_PATH",
            Self::Runpath => b"RUNPATH",
            Self::Cache => b"ld.so.cache",
            Self::Default => b"a default directory",
        }
    }
}

/// Why it cannot be known whether ld.so finds a library. The lookup is left to ld.so then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsure {
    /// The program was started through an explicit ld.so, whose options nobody tells us.
    ExplicitLoader,
    /// The default directories could not be read from the running ld.so.
    LoaderImage,
    /// The process has more objects with an inherited RPATH than are remembered.
    LoaderForgotten,
    /// `$ORIGIN` of an object that was opened by a relative path: the working directory may be another by now.
    RelativeOrigin,
    /// `$ORIGIN` of the program: it could not be asked for, or there was no memory to keep it in.
    ProgramOrigin,
    /// ld.so.cache could not be read, or has been replaced since it was.
    Cache,
    /// No descriptor or no memory is left to look at files.
    Exhausted,
    /// It is not known yet where the glibc of this process is.
    Glibc,
    /// ld.so does not find it. But what would be handed out is loaded already by another name, and ld.so takes this one for
    /// that object's only where it searches itself.
    OtherName,
}

impl Unsure {
    /// For people.
    pub const fn text(self) -> &'static [u8] {
        match self {
            Self::ExplicitLoader => b"the program was started through ld.so",
            Self::LoaderImage => b"the default directories of ld.so are not known",
            Self::LoaderForgotten => b"there are too many objects with an inherited RPATH",
            Self::RelativeOrigin => b"$ORIGIN is relative to a former working directory",
            Self::ProgramOrigin => b"$ORIGIN of the program could not be read or kept",
            Self::Cache => b"ld.so.cache cannot be read, or has changed",
            Self::Exhausted => b"there are no file descriptors left, or there is no memory",
            Self::Glibc => b"it is not known where this process's glibc is",
            Self::OtherName => b"the declared file is loaded already by another name",
        }
    }
}

/// Why the name goes back to ld.so as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// It is a path, and not one that we try to mend.
    Path,
    /// It belongs to the glibc family.
    GlibcFamily,
    /// Nobody declares it.
    NotDeclared,
    /// ld.so finds it by itself.
    Found(Place),
    /// Neither ld.so nor anybody who declared something has it.
    Missing,
    /// It is declared, and none of the candidates can be loaded.
    NoneFits,
    /// ld.so has other default directories to look into yet.
    NotLast,
    /// It is not known whether ld.so finds it.
    Unsure(Unsure),
}

/// The answer to ld.so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The name as it came.
    Pass(Pass),
    /// The bare soname in place of a path that does not exist: ld.so finds that by itself.
    Bare(Place),
    /// The path of an object that is loaded and has the soname, in place of a path that does not exist.
    Loaded,
    /// The path that ld.so would find, from the index.
    Indexed,
    /// The path of a declared library.
    Redirect,
    /// The path of a library of the machine's graphics driver.
    Driver,
    /// The path of this process's own member of the glibc family, in place of another glibc's.
    OwnGlibc,
    /// What ld.so shall complain of: the path of a declared library that cannot be loaded, with the reason.
    Refuse(Skip),
    /// What ld.so shall complain of: the soname of a library that nobody has, with what would bring it.
    Hint,
}

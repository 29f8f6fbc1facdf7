//! Trees of objects for property tests: what ld.so comes to in one is compared with what the auditor and `--explain` come to.
//!
//! A tree is data, so that one that was found to matter can be kept (`fixtures/trees`). `strategy` makes them up, `template`
//! makes their objects without a compiler, and `plant` puts them on the disk.

use std::fmt::{self, Display, Formatter};
use std::ops::Not;

use serde::{Deserialize, Serialize};

pub mod plant;
pub mod strategy;
pub mod template;

/// What stands for the directory of the tree in search paths.
pub const ROOT: char = '@';

/// The program, in the tree.
pub const PROGRAM: &str = "bin/program";
/// A link to it, in another directory.
pub const LINK: &str = "links/program";

/// A program, libraries, and how it is started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// The program; it has no soname.
    pub program: Object,
    /// The program is started through a link.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub is_linked: bool,
    /// All else, in order. Where two are at the same place, the first counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<File>,
    /// LD_LIBRARY_PATH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library_path: Option<String>,
    /// LD_PRELOAD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preload: Option<String>,
    /// The directories that ld.so.cache is made of, where there is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cached: Vec<String>,
    /// What is opened when the program runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opens: Vec<Open>,
}

/// Something at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Where it is, from the directory of the tree.
    pub path: String,
    /// What it is.
    pub kind: Kind,
}

/// What there is at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A library.
    Library(Object),
    /// A link.
    Link(String),
    /// A library of the other class.
    OtherClass,
    /// A library for another machine.
    OtherMachine,
    /// So much of the start of a library, in bytes.
    Truncated(usize),
    /// A linker script.
    Text,
    /// A directory.
    Directory,
    /// A library that may not be read. (Who is root reads it all the same.)
    Unreadable,
}

/// What an object's dynamic section says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// DT_SONAME.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soname: Option<String>,
    /// DT_NEEDED.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// DT_RPATH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpath: Option<String>,
    /// DT_RUNPATH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runpath: Option<String>,
    /// DF_1_NODEFLIB.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub no_default_libraries: bool,
}

/// A call of dlopen(3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Who calls: 0 is the program, 1 the library that was ready first. They are gone through again from the start.
    pub who: usize,
    /// What it asks for.
    pub name: String,
}

/// Subdirectories in which ld.so looks for libraries of a processor: those of x86_64.
const PROCESSORS: [&str; 5] = ["glibc-hwcaps", "tls", "x86_64", "haswell", "avx512_1"];

impl Tree {
    /// The program and the libraries.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        let libraries = self.files.iter().filter_map(|file| match &file.kind {
            Kind::Library(object) => Some(object),
            _ => None,
        });
        [&self.program].into_iter().chain(libraries)
    }

    /// Whether ldconfig has to know the subdirectories for processors, too.
    pub fn caches_processors(&self) -> bool {
        !self.cached.is_empty() && self.has_processors()
    }

    fn has_processors(&self) -> bool {
        self.files.iter().any(|file| file.path.split('/').any(|component| PROCESSORS.contains(&component)))
    }

    /// Whether the auditor may take ld.so's search for successful where it is not: it does not ask which subdirectories this processor
    /// has, what `$PLATFORM` is, and where an object with a relative path was found. Then the declared library is found at the last
    /// moment, under the name of the file that ld.so was about to try.
    pub fn has_doubts(&self) -> bool {
        let lists = self.objects().flat_map(|object| [&object.rpath, &object.runpath]).chain([&self.library_path]);
        let lists: Vec<&String> = lists.flatten().collect();
        let is_relative = |list: &&String| list.split([':', ';']).any(|element| !element.starts_with(['@', '$', '/']));
        let mut origins = self.objects().skip(1).flat_map(|object| [&object.rpath, &object.runpath]).flatten();
        self.has_processors()
            || lists.iter().any(|list| list.contains("PLATFORM"))
            || (origins.any(|list| list.contains("ORIGIN")) && lists.iter().any(is_relative))
    }
}

impl Display for Tree {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let link = if self.is_linked { format!(", started as {LINK}") } else { String::new() };
        writeln!(f, "{PROGRAM}{}{link}", self.program)?;
        for File { path, kind } in &self.files {
            match kind {
                Kind::Library(object) => writeln!(f, "{path}{object}")?,
                Kind::Link(target) => writeln!(f, "{path} -> {target}")?,
                other => writeln!(f, "{path}: {other:?}")?,
            }
        }
        let variables = [("LD_LIBRARY_PATH", &self.library_path), ("LD_PRELOAD", &self.preload)];
        for (name, value) in variables {
            value.iter().try_for_each(|value| writeln!(f, "{name}={value}"))?;
        }
        if !self.cached.is_empty() {
            writeln!(f, "ld.so.cache of {}", self.cached.join(", "))?;
        }
        self.opens.iter().try_for_each(|Open { who, name }| match who {
            0 => writeln!(f, "the program opens {name}"),
            who => writeln!(f, "library {who} opens {name}"),
        })
    }
}

impl Display for Object {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let strings = [("soname", &self.soname), ("RPATH", &self.rpath), ("RUNPATH", &self.runpath)];
        let mut parts: Vec<String> = Vec::new();
        parts.extend((!self.needs.is_empty()).then(|| format!("needs {}", self.needs.join(" "))));
        parts.extend(strings.iter().filter_map(|(name, value)| Some(format!("{name} {:?}", value.as_ref()?))));
        parts.extend(self.no_default_libraries.then(|| "NODEFLIB".to_owned()));
        if parts.is_empty() { Ok(()) } else { write!(f, ": {}", parts.join(", ")) }
    }
}

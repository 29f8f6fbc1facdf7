//! Fixtures: small C sources, built by the channel's compiler.

use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::NamedTempFile;

use crate::bed::Bed;
use crate::dynamic::Dynamic;
use crate::manifest::Channel;
use crate::process;

/// The program that most trials run: see the file.
const OPEN: &str = include_str!("../fixtures/open.c");

/// A library or a program to be built.
pub struct Object<'b> {
    bed: &'b Bed<'b>,
    channel: &'b Channel,
    path: PathBuf,
    library: bool,
    /// DT_SONAME, if it has one.
    soname: Option<String>,
    source: String,
    versions: String,
    needs: Vec<PathBuf>,
    search: Search,
    flags: Vec<String>,
}

/// The function that stands for a version. Its name does not end as the version's does: a linker would keep only one of
/// them.
fn function(version: &str) -> String {
    format!("version_{}_", version.replace(|byte: char| !byte.is_ascii_alphanumeric(), "_"))
}

/// The directories that an object brings along for its own dependencies.
enum Search {
    None,
    Runpath(String),
    Rpath(String),
}

impl<'b> Object<'b> {
    pub(crate) fn library(bed: &'b Bed<'b>, path: PathBuf) -> Self {
        let soname = path.file_name().map(|name| name.to_string_lossy().into_owned());
        Object { library: true, soname, source: String::new(), ..Object::program(bed, path) }
    }

    pub(crate) fn program(bed: &'b Bed<'b>, path: PathBuf) -> Self {
        let (soname, versions, needs, flags) = (None, String::new(), Vec::new(), Vec::new());
        let (channel, source, search) = (bed.channel, OPEN.into(), Search::None);
        Object { bed, channel, path, library: false, soname, source, versions, needs, search, flags }
    }

    /// Has it built for another channel than the bed's.
    pub fn channel(mut self, channel: &'b Channel) -> Self {
        self.channel = channel;
        self
    }

    /// Gives a library another soname than its file's name, or none.
    pub fn soname(mut self, soname: Option<&str>) -> Self {
        self.soname = soname.map(String::from);
        self
    }

    /// Sets the C source.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = source.into();
        self
    }

    /// Lets the library answer `who` with `text`.
    pub fn says(self, text: &str) -> Self {
        self.source(format!("const char *who(void) {{ return \"{text}\"; }}\n"))
    }

    /// Adds symbol versions, each with a function of its own and following the one before. Comes after the source.
    pub fn defines(mut self, versions: &[&str]) -> Self {
        let mut before = "";
        for version in versions {
            self.versions += &format!("{version} {{ {}; }} {before};\n", function(version));
            before = version;
        }
        self.has_functions_of(versions)
    }

    /// Adds the functions that [`Object::defines`] would, without any version.
    pub fn has_functions_of(mut self, versions: &[&str]) -> Self {
        for version in versions {
            self.source += &format!("int {}(void) {{ return 0; }}\n", function(version));
        }
        self
    }

    /// Lets it need these versions of the libraries with a DT_NEEDED on them that define them. It can do without the
    /// functions, but not without the versions. Comes after the source.
    pub fn uses(mut self, versions: &[&str]) -> Self {
        for version in versions {
            let name = function(version);
            self.source +=
                &format!("int {name}(void) __attribute__((weak));\nint (*volatile use_{name})(void) = {name};\n");
        }
        self
    }

    /// Adds a DT_NEEDED on the soname of a library that was built before.
    pub fn needs(mut self, library: &Path) -> Self {
        self.needs.push(library.into());
        self
    }

    /// Gives it a DT_RUNPATH.
    pub fn runpath(mut self, directories: &str) -> Self {
        self.search = Search::Runpath(directories.into());
        self
    }

    /// Gives it a DT_RPATH, which its dependencies inherit.
    pub fn rpath(mut self, directories: &str) -> Self {
        self.search = Search::Rpath(directories.into());
        self
    }

    /// Adds a word to the compiler's command line.
    pub fn flag(mut self, flag: impl Into<String>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// Builds it, or takes what an earlier run built from the same things.
    pub fn build(self) -> Result<PathBuf> {
        let kept = self.bed.manifest.objects.join(format!("{:016x}", self.key()?));
        if !kept.exists() {
            self.compile(&kept)?;
        }
        let dir = self.path.parent().context("an object has a directory")?;
        fs::create_dir_all(dir)?;
        process::copy_program(&kept, &self.path, 0o755)?;
        if self.library {
            self.assure_search()?;
        }
        Ok(self.path)
    }

    /// Stands for everything that the result depends on.
    fn key(&self) -> Result<u64> {
        let mut hasher = DefaultHasher::new();
        (&self.channel.cc, fs::canonicalize(&self.channel.cc)?, &self.source, &self.versions).hash(&mut hasher);
        (self.arguments(), self.runpath_variable()).hash(&mut hasher);
        for library in &self.needs {
            fs::read(library).with_context(|| format!("cannot read {}", library.display()))?.hash(&mut hasher);
        }
        Ok(hasher.finish())
    }

    /// What the compiler is told, but for the paths of this trial.
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["-O1".to_string(), "-fno-builtin".into()];
        if self.library {
            // Nothing of libc: a library that needs it would be searched for by the very rules that are on trial.
            arguments.extend(["-shared", "-fPIC", "-nostdlib", "-fno-stack-protector"].map(String::from));
            arguments.extend(self.soname.iter().map(|soname| format!("-Wl,-soname,{soname}")));
        } else {
            // A Nix compiler adds the directory of each library that gcc names, needed or not. Beside libgcc_s.so.1 there is
            // libstdc++.so.6, which a program is to find by declaration alone.
            arguments.push("-static-libgcc".into());
        }
        match &self.search {
            Search::None => arguments.push("-Wl,--enable-new-dtags".into()),
            Search::Runpath(path) => {
                arguments.extend(["-Wl,--enable-new-dtags".into(), format!("-Wl,-rpath,{path}")]);
            }
            Search::Rpath(path) => arguments.extend(["-Wl,--disable-new-dtags".into(), format!("-Wl,-rpath,{path}")]),
        }
        arguments.extend(self.flags.iter().cloned());
        arguments
    }

    /// What has a Nix compiler add no RUNPATH to a library. By its plain name the variable would be read only where the
    /// compiler is an input of a build.
    fn runpath_variable(&self) -> Option<String> {
        self.library.then(|| format!("NIX_DONT_SET_RPATH_{}", self.channel.suffix_salt))
    }

    fn compile(&self, kept: &Path) -> Result<()> {
        let objects = &self.bed.manifest.objects;
        fs::create_dir_all(objects)?;
        let source = tempfile::Builder::new().suffix(".c").tempfile()?;
        fs::write(&source, &self.source)?;
        // Trials run side by side: the finished object appears under its name whole or not at all.
        let made = NamedTempFile::new_in(objects)?.into_temp_path();

        let mut cc = Command::new(&self.channel.cc);
        cc.args(self.arguments()).arg("-o").arg(&made).arg(source.path()).arg("-Wl,--no-as-needed").args(&self.needs);
        cc.arg("-Wl,--allow-shlib-undefined");
        let script = NamedTempFile::new()?;
        if !self.versions.is_empty() {
            fs::write(&script, &self.versions)?;
            cc.arg(format!("-Wl,--version-script={}", script.path().display()));
        }
        match self.runpath_variable() {
            Some(variable) => cc.env(variable, "1"),
            // Libraries of their own before glibc 2.34.
            None => cc.args(["-Wl,--as-needed", "-ldl", "-lpthread"]),
        };
        for variable in ["LD_AUDIT", "REPLIT_LD_LIBRARY_PATH"] {
            ensure!(env::var_os(variable).is_none(), "{variable} is set: the trials would be on themselves");
        }
        process::succeed(&mut cc).with_context(|| format!("cannot build {}", self.path.display()))?;
        made.persist(kept)?;
        Ok(())
    }

    /// A compiler that adds directories on its own would turn the trial into another one.
    fn assure_search(&self) -> Result<()> {
        let dynamic = Dynamic::read(&self.path)?;
        let (runpath, rpath) = match &self.search {
            Search::None => (None, None),
            Search::Runpath(path) => (Some(path.clone()), None),
            Search::Rpath(path) => (None, Some(path.clone())),
        };
        ensure!(
            dynamic.runpath == runpath && dynamic.rpath == rpath,
            "{} was built with RUNPATH {:?} and RPATH {:?}",
            self.path.display(),
            dynamic.runpath,
            dynamic.rpath
        );
        Ok(())
    }
}

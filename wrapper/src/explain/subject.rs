//! What is to be explained: a program, a library's file or a soname.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rtld_loader::candidate::{Kind, kind};

use crate::first_line::FirstLine;
use crate::object_file::ObjectFile;
use crate::platform;

/// The most interpreters in a row that the kernel follows (`BINPRM_MAX_RECURSION` of fs/exec.c; execve(2)).
const MOST_INTERPRETERS: usize = 4;
/// The longest first line of a script that the kernel reads, in bytes.
const FIRST_LINE: u64 = 255;

/// What is to be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A program that ld.so starts, by the path that execve(2) gets, and the script that it runs, if that was named.
    Program(PathBuf, Option<PathBuf>),
    /// A library's file.
    Library(PathBuf),
    /// A name that a program may hand to dlopen(3).
    Soname(Vec<u8>),
}

impl Subject {
    /// What an argument means: what has a slash is a file, what PATH has is a program, and what else looks like one is a
    /// soname.
    pub fn find(argument: &OsStr) -> Result<Self> {
        if argument.as_bytes().contains(&b'/') {
            let path = std::path::absolute(argument)?;
            let file = open(&path)?;
            // Some libraries can be started, too: they say which version they are.
            let is_library = ObjectFile::read(&file).is_some_and(|file| {
                file.shared && !file.is_program && (file.interpreter.is_none() || file.soname.is_some())
            });
            return if is_library { Ok(Self::Library(path)) } else { program(path) };
        }
        if let Some(path) = in_path(argument) {
            return program(path);
        }
        if argument.as_bytes().windows(3).any(|three| three == b".so") {
            return Ok(Self::Soname(argument.as_bytes().to_vec()));
        }
        bail!("{} is neither a program in PATH, nor a file, nor the name of a library", argument.display())
    }
}

/// The program that the kernel starts for a path: a script's interpreter, and where that is env(1), the one that it finds.
fn program(mut path: PathBuf) -> Result<Subject> {
    let given = path.clone();
    for _ in 0..=MOST_INTERPRETERS {
        let file = open(&path)?;
        let mut start = Vec::new();
        file.take(FIRST_LINE).read_to_end(&mut start)?;
        let Some(line) = FirstLine::read(&start) else {
            check(&path)?;
            let script = (path != given).then_some(given);
            return Ok(Subject::Program(path, script));
        };
        path = interpreter(line).with_context(|| format!("cannot tell what runs {}", path.display()))?;
    }
    bail!("{} is a script of a script, and so on", path.display())
}

/// Opens a regular file: a FIFO would wait for somebody to write.
fn open(path: &Path) -> Result<File> {
    let shown = path.display();
    let metadata = fs::metadata(path).with_context(|| format!("cannot open {shown}"))?;
    ensure!(metadata.is_file(), "{shown} is neither a program nor a library: it is no regular file");
    File::open(path).with_context(|| format!("cannot open {shown}"))
}

/// What a first line leads to.
fn interpreter(line: FirstLine<'_>) -> Option<PathBuf> {
    if line.is_env() { in_path(line.named_to_env()?) } else { Some(line.interpreter.into()) }
}

/// The executable of this name that execvp(3) would take.
fn in_path(name: &OsStr) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/bin:/usr/bin"));
    let is_executable = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(is_executable)
}

/// Whether glibc's ld.so starts a program on this kind of machine.
fn check(path: &Path) -> Result<()> {
    let mut start = Vec::new();
    File::open(path)?.take(64).read_to_end(&mut start)?;
    let shown = path.display();
    match kind(&start) {
        Kind::NotElf => bail!("{shown} is no program: neither an ELF file of this byte order nor a script"),
        Kind::OtherMachine if platform::OWN_32.is_some() && platform::i386_type(&start).is_some() => {
            let auditors = std::env::var_os("LD_AUDIT").unwrap_or_default();
            match platform::auditor_32(std::env::split_paths(&auditors), Path::exists) {
                Some(auditor) => bail!(
                    "{shown} is 32-bit, and can only be observed: its auditor is {}, and what that does \
                     `--explain --observe PROGRAM` says",
                    auditor.display()
                ),
                None => bail!(
                    "{shown} is 32-bit, and LD_AUDIT has no 32-bit auditor (`enable32Bit` of mkReplitEnv, --auditor-32 of \
                     replit-env-cli): ld.so prints `wrong ELF class` once, and nothing that is declared is found"
                ),
            }
        }
        Kind::OtherMachine => bail!("{shown} is for another kind of machine: it needs an auditor of that kind"),
        Kind::Shared | Kind::NotShared => {}
    }
    let file = ObjectFile::read(&File::open(path)?).with_context(|| format!("{shown} is damaged"))?;
    let Some(interpreter) = file.interpreter else {
        bail!("{shown} is a static program: nothing is loaded into it, and no auditor can help it");
    };
    let name = interpreter.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    ensure!(!name.starts_with(b"ld-musl"), "{shown} is a program for musl, whose ld.so knows no auditor");
    Ok(())
}

//! What the kernel makes of a file that is executed. It may be of any machine.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use elf::abi::{EI_NIDENT, EM_386, EM_AARCH64, EM_ARM, EM_X86_64, PT_INTERP};
use elf::endian::{AnyEndian, EndianParse};
use elf::file::{Class, FileHeader, parse_ident};
use elf::parse::ParseAt;
use elf::segment::{ProgramHeader, SegmentTable};
use rtld_loader::candidate::TARGET;

use super::world::World;
use crate::first_line::FirstLine;
use crate::object_file::read_some;

/// The bytes that are read: the kernel wants the program headers in the first page, and a script's first line, too.
const START: usize = 4096;

/// A file to be executed.
#[derive(Debug, PartialEq, Eq)]
pub enum ProgramFile {
    /// A script, with what its first line says: the interpreter, and the program that env(1) goes on to.
    Script { interpreter: PathBuf, named_to_env: Option<OsString> },
    /// An ELF program for this machine, with the ld.so that it asks for, if it asks for one.
    Elf { loader: Option<PathBuf> },
    /// An ELF program for this machine's 32-bit sibling, likewise, and whether that is i386.
    Elf32 { loader: Option<PathBuf>, is_i386: bool },
    /// An ELF program for another machine.
    OtherMachine,
    /// Anything else.
    Unknown,
}

impl ProgramFile {
    /// Reads the program at a path. `None` if it cannot be read.
    pub fn read(world: &World, path: &Path) -> Option<Self> {
        world.metadata(path).filter(std::fs::Metadata::is_file)?;
        let file = File::open(world.file(path)?).ok()?;
        let mut start = vec![0; START];
        let len = read_some(&file, 0, &mut start)?;
        start.truncate(len);
        Some(script(&start).or_else(|| elf(&file, &start)).unwrap_or(Self::Unknown))
    }
}

fn script(start: &[u8]) -> Option<ProgramFile> {
    let line = FirstLine::read(start)?;
    let named_to_env = line.is_env().then(|| line.named_to_env()).flatten().map(OsString::from);
    Some(ProgramFile::Script { interpreter: line.interpreter.into(), named_to_env })
}

fn elf(file: &File, start: &[u8]) -> Option<ProgramFile> {
    let (ident, tail) = start.split_at_checked(EI_NIDENT)?;
    let header = FileHeader::parse_tail(parse_ident::<AnyEndian>(ident).ok()?, tail).ok()?;
    let class = if header.class == Class::ELF64 { 2 } else { 1 };
    let target = u32::from(header.e_machine) | class << 16;
    if target != TARGET || header.endianness.is_little() != cfg!(target_endian = "little") {
        if !is_sibling(target) || !header.endianness.is_little() {
            return Some(ProgramFile::OtherMachine);
        }
        let is_i386 = header.e_machine == EM_386;
        return Some(ProgramFile::Elf32 { loader: loader(file, start, &header)?, is_i386 });
    }
    Some(ProgramFile::Elf { loader: loader(file, start, &header)? })
}

/// The ld.so that a program asks for. `None` if that cannot be read.
fn loader(file: &File, start: &[u8], header: &FileHeader<AnyEndian>) -> Option<Option<PathBuf>> {
    let at = usize::try_from(header.e_phoff).ok()?;
    let len = usize::from(header.e_phnum).checked_mul(ProgramHeader::size_for(header.class))?;
    let segments = SegmentTable::new(header.endianness, header.class, start.get(at..at.checked_add(len)?)?);
    match segments.iter().find(|segment| segment.p_type == PT_INTERP) {
        Some(segment) => Some(Some(interpreter(file, &segment)?)),
        None => Some(None),
    }
}

fn interpreter(file: &File, segment: &ProgramHeader) -> Option<PathBuf> {
    let mut path = vec![0; usize::try_from(segment.p_filesz).ok().filter(|&len| len <= START)?];
    file.read_exact_at(&mut path, segment.p_offset).ok()?;
    path.truncate(path.iter().position(|&byte| byte == 0)?);
    Some(OsString::from_vec(path).into())
}

/// Whether the kernel starts a program of another class or machine beside those of this one: i386 and x32 beside
/// x86_64, arm beside aarch64.
fn is_sibling(target: u32) -> bool {
    let sibling = |machine: u16| target == u32::from(machine) | 1 << 16;
    match TARGET as u16 {
        EM_X86_64 => sibling(EM_386) || sibling(EM_X86_64),
        EM_AARCH64 => sibling(EM_ARM),
        _ => false,
    }
}

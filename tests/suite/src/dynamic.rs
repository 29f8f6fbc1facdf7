//! What an ELF file's headers and dynamic section say.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use goblin::elf::Elf;
use goblin::elf::dynamic::{DF_1_NOW, DF_BIND_NOW, DT_BIND_NOW, DT_FLAGS, DT_FLAGS_1};
use goblin::elf::program_header::{PF_X, PT_GNU_STACK, PT_TLS};
use goblin::elf::section_header::SHN_UNDEF;
use goblin::elf::symver::{VER_FLG_BASE, VerdefSection};

/// The tag of packed relative relocations, which glibc knows from 2.36 on. goblin has no name for it.
const DT_RELR: u64 = 36;

/// The parts of an object that trials ask about.
#[derive(Debug)]
pub struct Dynamic {
    /// DT_RUNPATH, if there is one.
    pub runpath: Option<String>,
    /// DT_RPATH, if there is one.
    pub rpath: Option<String>,
    /// The sonames of DT_NEEDED.
    pub needed: Vec<String>,
    /// Names of the dynamic symbols that it defines.
    pub defined: Vec<String>,
    /// Names of the dynamic symbols that others must define.
    pub undefined: Vec<String>,
    /// The versions that it defines, in order, but for its own soname.
    pub versions: Vec<String>,
    /// All relocations are made at load time.
    pub bind_now: bool,
    /// It has a PT_TLS segment.
    pub tls: bool,
    /// It has packed relative relocations.
    pub relr: bool,
    /// The PT_GNU_STACK header's verdict, if there is one.
    pub executable_stack: Option<bool>,
}

impl Dynamic {
    /// Reads the object at `path`.
    pub fn read(path: &Path) -> Result<Dynamic> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let elf = Elf::parse(&bytes).with_context(|| format!("{} is no ELF file", path.display()))?;
        let tags = elf.dynamic.as_ref().map(|dynamic| dynamic.dyns.as_slice()).unwrap_or_default();
        let has = |tag: u64, bits: u64| tags.iter().any(|entry| entry.d_tag == tag && entry.d_val & bits != 0);
        let names = |undefined: bool| {
            let symbols = elf.dynsyms.iter().filter(|symbol| symbol.st_name != 0);
            let wanted = symbols.filter(|symbol| (symbol.st_shndx == SHN_UNDEF as usize) == undefined);
            wanted.filter_map(|symbol| elf.dynstrtab.get_at(symbol.st_name).map(String::from)).collect()
        };
        Ok(Dynamic {
            runpath: elf.runpaths.first().map(|path| path.to_string()),
            rpath: elf.rpaths.first().map(|path| path.to_string()),
            needed: elf.libraries.iter().map(|soname| soname.to_string()).collect(),
            defined: names(false),
            undefined: names(true),
            versions: elf.verdef.as_ref().map(|table| versions(&elf, table)).unwrap_or_default(),
            bind_now: tags.iter().any(|entry| entry.d_tag == DT_BIND_NOW)
                || has(DT_FLAGS, DF_BIND_NOW)
                || has(DT_FLAGS_1, DF_1_NOW),
            tls: elf.program_headers.iter().any(|header| header.p_type == PT_TLS),
            relr: tags.iter().any(|entry| entry.d_tag == DT_RELR),
            executable_stack: elf
                .program_headers
                .iter()
                .find(|header| header.p_type == PT_GNU_STACK)
                .map(|header| header.p_flags & PF_X != 0),
        })
    }
}

fn versions(elf: &Elf, table: &VerdefSection) -> Vec<String> {
    let own = table.iter().filter(|version| version.vd_flags & VER_FLG_BASE == 0);
    let names = own.filter_map(|version| elf.dynstrtab.get_at(version.iter().next()?.vda_name));
    names.map(String::from).collect()
}

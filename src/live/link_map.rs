//! Objects that ld.so has loaded, as it shows them: `struct link_map` of link.h, and their dynamic sections.
//!
//! # Safety
//!
//! A [`LoadedObject`] is made only of a pointer that ld.so gave to a callback. ld.so keeps a link_map, the object's
//! memory and its name in place until la_objclose, after which nobody here keeps the object (see `links`).

#![allow(unsafe_code)]

use core::ffi::{CStr, c_char};
use core::num::NonZeroUsize;
use core::slice;
use core::sync::atomic::{AtomicUsize, Ordering};

use elf::abi::{
    DF_1_NODEFLIB, DT_FLAGS_1, DT_NULL, DT_RPATH, DT_RUNPATH, DT_SONAME, DT_STRSZ, DT_STRTAB, DT_VERDEF, DT_VERNEED,
    DT_VERSYM, EI_NIDENT, PF_R, PF_X, PT_LOAD,
};
use elf::dynamic::Dyn;
use elf::endian::NativeEndian;
use elf::file::{FileHeader, parse_ident};
use elf::parse::ParseAt;
use elf::segment::{ProgramHeader, SegmentTable};

use crate::candidate::{CLASS, DYN, HEADER_TAIL};
use crate::library::Versioning;
use crate::loader_image::{LoaderImage, libc_minor};
use crate::versions::{Image, each_definition, each_need};
use crate::views::SearchPaths;

/// The public part of ld.so's `struct link_map` (link.h), as far as it is needed.
#[repr(C)]
struct LinkMap {
    l_addr: usize,
    l_name: *const c_char,
    l_ld: *const u8,
    l_next: usize,
    l_prev: usize,
}

/// An object in this process. It may be compared, and used while it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct LoadedObject(NonZeroUsize);

/// A place for an object, which threads may share. Zero is no object.
#[repr(transparent)]
pub struct ObjectCell(AtomicUsize);

impl ObjectCell {
    /// The object.
    pub fn get(&self) -> Option<LoadedObject> {
        NonZeroUsize::new(self.0.load(Ordering::Relaxed)).map(LoadedObject)
    }

    /// Puts an object there.
    pub fn set(&self, object: Option<LoadedObject>) {
        self.0.store(object.map_or(0, |object| object.0.get()), Ordering::Relaxed);
    }
}

impl LoadedObject {
    /// The object of a link_map's address, as la_objopen gets it or as a cookie that nobody changed says it. `None`
    /// for 0.
    ///
    /// # Safety
    ///
    /// `link_map` is the address of one of ld.so's, and the object is not used after its la_objclose.
    pub unsafe fn new(link_map: usize) -> Option<Self> {
        NonZeroUsize::new(link_map).map(Self)
    }

    /// Where ld.so is, if this is ld.so.
    ///
    /// # Safety
    ///
    /// It is: the second object that ld.so reports when it starts (elf/rtld.c).
    pub unsafe fn as_loader(self) -> Option<LoaderBase> {
        // SAFETY: as promised.
        unsafe { LoaderBase::new(self.link_map().l_addr) }
    }

    /// What is borrowed from an object lives until its la_objclose: nothing of it is kept past a callback.
    fn link_map(self) -> &'static LinkMap {
        // SAFETY: the address is that of a link_map that is there (see the top), and its public part starts so.
        unsafe { &*(self.0.get() as *const LinkMap) }
    }

    /// The path from which it was loaded; empty for the program.
    pub fn name(self) -> &'static [u8] {
        let name = self.link_map().l_name;
        if name.is_null() {
            return b"";
        }
        // SAFETY: ld.so's names are C strings that live as long as the link_map.
        unsafe { CStr::from_ptr(name) }.to_bytes()
    }

    /// Whether this is the name of the file from which it was loaded.
    pub fn is_at(self, name: &[u8]) -> bool {
        self.name().strip_suffix(name).is_some_and(|rest| matches!(rest.last(), None | Some(b'/')))
    }

    /// This object and those that ld.so keeps behind it.
    pub fn and_behind(self) -> impl Iterator<Item = Self> {
        core::iter::successors(Some(self), |object| {
            // SAFETY: ld.so's own list; it does not change while ld.so waits for us.
            unsafe { Self::new(object.link_map().l_next) }
        })
    }

    /// The first object of its namespace.
    pub fn first(self) -> Self {
        // SAFETY: as above.
        let before = |object: &Self| unsafe { Self::new(object.link_map().l_prev) };
        core::iter::successors(Some(self), before).last().unwrap_or(self)
    }

    /// The one of this soname among this one and those behind it.
    pub fn find(self, soname: &[u8]) -> Option<Self> {
        self.and_behind().find(|object| object.is_at(soname) || object.soname() == Some(soname))
    }

    /// Its DT_SONAME.
    pub fn soname(self) -> Option<&'static [u8]> {
        let offset = self.dynamic().find(|entry| entry.d_tag == DT_SONAME)?.d_val() as usize;
        self.strings().get(offset)
    }

    /// Whether it has a DT_RPATH.
    pub fn has_rpath(self) -> bool {
        self.dynamic().any(|entry| entry.d_tag == DT_RPATH)
    }

    /// What its dynamic section says of searching.
    pub fn search_paths(self) -> SearchPaths<'static> {
        let mut paths = SearchPaths::default();
        let strings = self.strings();
        for entry in self.dynamic() {
            let value = entry.d_val() as usize;
            match entry.d_tag {
                DT_RPATH => paths.rpath = strings.get(value),
                DT_RUNPATH => paths.runpath = strings.get(value),
                DT_FLAGS_1 => paths.no_default_libraries = value & DF_1_NODEFLIB as usize != 0,
                _ => {}
            }
        }
        paths
    }

    /// Visits the versions that it needs of a library, until `visit` says `false`. Without weak ones.
    pub fn needs(self, soname: &[u8], mut visit: impl FnMut(&'static [u8]) -> bool) {
        let (strings, mapped) = (self.strings(), Mapped(self.link_map().l_addr));
        if let Some(table) = self.table(DT_VERNEED) {
            // A table that is damaged is ld.so's to complain of.
            let _ = each_need(&mapped, table, |need| {
                need.weak || strings.get(need.file) != Some(soname) || strings.get(need.version).is_none_or(&mut visit)
            });
        }
    }

    /// What it says of its own symbols' versions.
    pub fn versioning(self) -> Versioning {
        Versioning::new(self.table(DT_VERSYM).is_some(), self.table(DT_VERDEF).is_some())
    }

    /// Whether it defines a version.
    pub fn defines(self, version: &[u8]) -> bool {
        let (strings, mapped) = (self.strings(), Mapped(self.link_map().l_addr));
        let mut found = false;
        if let Some(table) = self.table(DT_VERDEF) {
            let _ = each_definition(&mapped, table, |definition| {
                found = strings.get(definition.version) == Some(version);
                !found
            });
        }
        found
    }

    /// The offset of a table from the object's base. ld.so never relocates these.
    fn table(self, tag: i64) -> Option<usize> {
        self.dynamic().filter(|entry| entry.d_tag == tag).last().map(|entry| entry.d_val() as usize)
    }

    fn strings(self) -> Strings {
        let mut strings = Strings { start: 0, len: usize::MAX };
        for entry in self.dynamic() {
            match entry.d_tag {
                DT_STRTAB => strings.start = entry.d_val() as usize,
                DT_STRSZ => strings.len = entry.d_val() as usize,
                _ => {}
            }
        }
        // ld.so has relocated the address, except in objects whose dynamic section is read-only. Which one it is tells the
        // section itself, which is in the same object. (The base may be "negative", if the object was linked for a higher
        // address: it cannot tell.)
        let section = self.link_map().l_ld as usize;
        let relocated = self.link_map().l_addr.wrapping_add(strings.start);
        if relocated.abs_diff(section) < strings.start.abs_diff(section) {
            strings.start = relocated;
        }
        strings
    }

    /// The N of glibc 2.N, if this is the libc.so.6 of one.
    pub fn minor(self) -> Option<u32> {
        // SAFETY: glibc's libraries are linked at 0: where this one is loaded is its ELF header.
        let base = unsafe { LoaderBase::new(self.link_map().l_addr) }?;
        let headers = base.program_headers()?;
        [PF_R, PF_R | PF_X].into_iter().find_map(|flags| libc_minor(base.segments(&headers, flags)))
    }

    fn dynamic(self) -> impl Iterator<Item = Dyn> {
        let mut next = self.link_map().l_ld;
        core::iter::from_fn(move || {
            if next.is_null() {
                return None;
            }
            // SAFETY: the dynamic section of a loaded object ends with DT_NULL, and no entry behind that is read.
            let entry = unsafe { slice::from_raw_parts(next, DYN) };
            next = next.wrapping_add(DYN);
            Dyn::parse_at(NativeEndian, CLASS, &mut 0, entry).ok().filter(|entry| entry.d_tag != DT_NULL)
        })
    }
}

/// The string table of an object.
#[derive(Clone, Copy)]
struct Strings {
    start: usize,
    len: usize,
}

impl Strings {
    fn get(self, offset: usize) -> Option<&'static [u8]> {
        // SAFETY: ld.so itself takes these for C strings in the object's string table.
        (offset < self.len)
            .then(|| unsafe { CStr::from_ptr(self.start.wrapping_add(offset) as *const c_char) }.to_bytes())
    }
}

/// An object in memory, by the address that its own are relative to.
struct Mapped(usize);

impl Image for Mapped {
    fn bytes(&self, address: usize, len: usize) -> Option<&[u8]> {
        let start = self.0.wrapping_add(address) as *const u8;
        // SAFETY: only what ld.so itself reads, or is about to read, is asked for: the entries of tables, one after the other.
        Some(unsafe { slice::from_raw_parts(start, len) })
    }
}

/// Where the running ld.so, or another library of its glibc, is: the address of its ELF header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoaderBase(NonZeroUsize);

impl LoaderBase {
    /// The base that the kernel says in AT_BASE. `None` for 0, which it says when ld.so itself is the program.
    ///
    /// # Safety
    ///
    /// It is that value, or the load address in the link_map of ld.so or of libc.so.6.
    pub unsafe fn new(base: usize) -> Option<Self> {
        NonZeroUsize::new(base).map(Self)
    }

    /// What is compiled into it. Most have their constants in segments of their own; only if the strings are not there
    /// are those with code read, too.
    pub fn read_image(self) -> Option<LoaderImage<'static>> {
        let headers = self.program_headers()?;
        [PF_R, PF_R | PF_X].into_iter().find_map(|flags| LoaderImage::read(|| self.segments(&headers, flags)))
    }

    /// The segments with these permissions, which do not include that to write.
    fn segments(
        self,
        headers: &SegmentTable<'static, NativeEndian>,
        flags: u32,
    ) -> impl Iterator<Item = &'static [u8]> {
        let wanted = move |header: &ProgramHeader| header.p_type == PT_LOAD && header.p_flags == flags;
        headers.iter().filter(wanted).map(move |header| {
            // SAFETY: the segment is mapped, and nobody unmaps these libraries or writes what is not writable.
            unsafe { self.bytes(header.p_vaddr as usize, header.p_filesz as usize) }
        })
    }

    fn program_headers(self) -> Option<SegmentTable<'static, NativeEndian>> {
        // SAFETY: the first segment of a shared object begins with its ELF header.
        let header = unsafe { self.bytes(0, EI_NIDENT + HEADER_TAIL) };
        let (ident, tail) = header.split_first_chunk::<EI_NIDENT>()?;
        let header = FileHeader::parse_tail(parse_ident::<NativeEndian>(ident).ok()?, tail).ok()?;
        let len = usize::from(header.e_phnum).checked_mul(ProgramHeader::size_for(CLASS))?;
        // SAFETY: the program headers are in it too: the kernel and ld.so itself read them there.
        let headers = unsafe { self.bytes(header.e_phoff as usize, len) };
        Some(SegmentTable::new(NativeEndian, CLASS, headers))
    }

    /// Bytes of the image.
    ///
    /// # Safety
    ///
    /// They are mapped, and nobody writes or unmaps them.
    unsafe fn bytes(self, offset: usize, len: usize) -> &'static [u8] {
        let start = self.0.get().wrapping_add(offset) as *const u8;
        // SAFETY: as promised.
        unsafe { slice::from_raw_parts(start, len) }
    }
}

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

use elf::abi::{DF_1_NODEFLIB, DT_FLAGS_1, DT_NULL, DT_RPATH, DT_RUNPATH, DT_STRTAB, EI_NIDENT, PF_R, PF_X, PT_LOAD};
use elf::dynamic::Dyn;
use elf::endian::NativeEndian;
use elf::file::{FileHeader, parse_ident};
use elf::parse::ParseAt;
use elf::segment::{ProgramHeader, SegmentTable};

use crate::candidate::{CLASS, HEADER_TAIL};
use crate::loader_image::LoaderImage;
use crate::views::SearchPaths;

/// The bytes of an entry of a dynamic section.
const DYN: usize = 2 * size_of::<usize>();

/// The public part of ld.so's `struct link_map` (link.h), as far as it is needed.
#[repr(C)]
struct LinkMap {
    l_addr: usize,
    l_name: *const c_char,
    l_ld: *const u8,
}

/// An object in this process. It may be compared, and used while it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct LoadedObject(NonZeroUsize);

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

    /// What its dynamic section says of searching.
    pub fn search_paths(self) -> SearchPaths<'static> {
        let mut strings = 0;
        let mut rpath = None;
        let mut runpath = None;
        let mut no_default_libraries = false;
        for entry in self.dynamic() {
            let value = entry.d_val() as usize;
            match entry.d_tag {
                DT_STRTAB => strings = value,
                DT_RPATH => rpath = Some(value),
                DT_RUNPATH => runpath = Some(value),
                DT_FLAGS_1 => no_default_libraries = value & DF_1_NODEFLIB as usize != 0,
                _ => {}
            }
        }
        // ld.so has relocated the address, except in objects whose dynamic section is read-only.
        let base = self.link_map().l_addr;
        let strings = if strings < base { base.wrapping_add(strings) } else { strings };
        let string = |offset: usize| {
            // SAFETY: ld.so itself takes these for C strings in the object's string table.
            unsafe { CStr::from_ptr(strings.wrapping_add(offset) as *const c_char) }.to_bytes()
        };
        SearchPaths { rpath: rpath.map(string), runpath: runpath.map(string), no_default_libraries }
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

/// Where the running ld.so is: the address of its ELF header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoaderBase(NonZeroUsize);

impl LoaderBase {
    /// The base that the kernel says in AT_BASE. `None` for 0, which it says when ld.so itself is the program.
    ///
    /// # Safety
    ///
    /// It is that value, or the load address of ld.so's own link_map.
    pub unsafe fn new(base: usize) -> Option<Self> {
        NonZeroUsize::new(base).map(Self)
    }

    /// What is compiled into it. Most have their constants in segments of their own; only if the strings are not there
    /// are those with code read, too.
    pub fn read_image(self) -> Option<LoaderImage<'static>> {
        let headers = self.program_headers()?;
        let segments = |flags: u32| {
            let wanted = move |header: &ProgramHeader| header.p_type == PT_LOAD && header.p_flags == flags;
            headers.iter().filter(wanted).map(move |header| {
                // SAFETY: the kernel has mapped the segment, and nobody unmaps ld.so or writes what is not writable.
                unsafe { self.bytes(header.p_vaddr as usize, header.p_filesz as usize) }
            })
        };
        [PF_R, PF_R | PF_X].into_iter().find_map(|flags| LoaderImage::read(|| segments(flags)))
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

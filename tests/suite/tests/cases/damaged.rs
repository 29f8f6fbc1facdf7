//! Libraries whose tables are damaged, or laid out as no linker does it. They are read before ld.so reads them, and
//! what would end the process there must not end it here.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use goblin::elf::dynamic::{DT_VERDEF, DT_VERNEED, DT_VERSYM};
use suite::bed::Bed;
use suite::damage::{Damage, field};

use super::versions::passes_over;
use super::{Case, line};

/// Does something to a library.
type Make = fn(&mut Damage) -> Result<()>;

/// Farther than any of these files goes.
const BEYOND: u32 = 0x0100_0000;
/// So far that an address with it wraps around.
const FAR: u32 = 0xffff_fff0;

/// The flag of a version that is needed weakly.
const VER_FLG_WEAK: u16 = 2;

const VERSIONS: &str = "its symbol versions are damaged";
const CUT: &str = "it is cut short, or of another ABI";

pub fn cases() -> Vec<Case> {
    let kinds: [(&str, &'static str, Make); 30] = [
        ("vn-version", VERSIONS, |file| set_half(file, file.needs + field::VN_VERSION, 2)),
        ("vn-file-beyond", VERSIONS, |file| set(file, file.needs + field::VN_FILE, BEYOND)),
        ("vn-file-far", VERSIONS, |file| set(file, file.needs + field::VN_FILE, FAR)),
        // The name of a symbol, as it happens: no library that is needed.
        ("vn-file-of-no-needed-library", "needs a version of who, which it does not bring itself", |file| {
            set(file, file.needs + field::VN_FILE, 1)
        }),
        ("vn-aux-beyond", VERSIONS, |file| set(file, file.needs + field::VN_AUX, BEYOND)),
        ("vn-aux-far", VERSIONS, |file| set(file, file.needs + field::VN_AUX, FAR)),
        ("vn-next-beyond", VERSIONS, |file| set(file, file.needs + field::VN_NEXT, BEYOND)),
        ("vn-next-far", VERSIONS, |file| set(file, file.needs + field::VN_NEXT, FAR)),
        ("vn-next-odd", VERSIONS, |file| set(file, file.needs + field::VN_NEXT, 1)),
        ("vna-hash", VERSIONS, |file| set(file, file.first_need() + field::VNA_HASH, 7)),
        ("vna-name-beyond", VERSIONS, |file| set(file, file.first_need() + field::VNA_NAME, BEYOND)),
        ("vna-name-far", VERSIONS, |file| set(file, file.first_need() + field::VNA_NAME, FAR)),
        ("vna-next-beyond", VERSIONS, |file| set(file, file.first_need() + field::VNA_NEXT, BEYOND)),
        ("vna-next-far", VERSIONS, |file| set(file, file.first_need() + field::VNA_NEXT, FAR)),
        ("verneed-beyond", VERSIONS, |file| set(file, file.entry(DT_VERNEED)?, BEYOND)),
        ("verneed-overlaps", VERSIONS, |file| set(file, file.entry(DT_VERNEED)?, file.symbol("overlapping")?)),
        ("vd-version", VERSIONS, |file| set_half(file, file.definitions + field::VD_VERSION, 2)),
        ("vd-hash", VERSIONS, |file| set(file, file.definitions + field::VD_HASH, 7)),
        ("vd-aux-beyond", VERSIONS, |file| set(file, file.definitions + field::VD_AUX, BEYOND)),
        ("vd-aux-far", VERSIONS, |file| set(file, file.definitions + field::VD_AUX, FAR)),
        ("vd-next-beyond", VERSIONS, |file| set(file, file.definitions + field::VD_NEXT, BEYOND)),
        ("vd-next-far", VERSIONS, |file| set(file, file.definitions + field::VD_NEXT, FAR)),
        ("vda-name-beyond", VERSIONS, |file| set(file, file.first_name() + field::VDA_NAME, BEYOND)),
        ("vda-name-far", VERSIONS, |file| set(file, file.first_name() + field::VDA_NAME, FAR)),
        ("verdef-beyond", VERSIONS, |file| set(file, file.entry(DT_VERDEF)?, BEYOND)),
        ("verdef-overlaps", VERSIONS, |file| set(file, file.entry(DT_VERDEF)?, file.symbol("overlapping")?)),
        ("cut-at-needs", CUT, |file| truncate(file, file.needs)),
        ("cut-at-definitions", CUT, |file| truncate(file, file.definitions)),
        ("no-dynamic-section", CUT, Damage::without_dynamic_section),
        ("nothing-to-load", CUT, Damage::without_loaded_segments),
    ];
    let mut cases = Vec::new();
    for (name, reason, make) in kinds {
        cases.push(Case::new(format!("damaged/{name}"), move |bed| damaged(bed, reason, make)));
    }
    cases.extend([
        Case::new("damaged/cut-at-data", cut_at_data),
        Case::new("damaged/member-not-needed", member_not_needed),
        Case::new("damaged/member-not-needed-weakly", member_not_needed_weakly),
        Case::new("damaged/needs-without-indices", |bed| without_indices(bed, DT_VERDEF)),
        Case::new("damaged/definitions-without-indices", |bed| without_indices(bed, DT_VERNEED)),
        Case::new("odd/member-not-needed-and-loaded", member_not_needed_and_loaded),
        Case::new("damaged/program", program),
        Case::new("odd/program-headers-last", program_headers_last),
        Case::new("odd/section-headers-cut", section_headers_cut),
        Case::new("odd/many-versions", many_versions),
        Case::new("odd/large-string-table", large_string_table),
    ]);
    cases
}

fn set(file: &mut Damage, offset: usize, value: u32) -> Result<()> {
    file.set(offset, value);
    Ok(())
}

fn set_half(file: &mut Damage, offset: usize, value: u16) -> Result<()> {
    file.set_half(offset, value);
    Ok(())
}

fn truncate(file: &mut Damage, len: usize) -> Result<()> {
    file.truncate(len);
    Ok(())
}

/// Builds a library that is whole, with both tables of versions. It also has a table in which each entry is followed by
/// all others and has all that follow as its parts: read to the end it takes hours.
fn whole(bed: &Bed, place: &str) -> Result<PathBuf> {
    let source = r#"
        int getpid(void);
        int (*volatile used)(void) = getpid;
        const char *who(void) { return "whole"; }
        const unsigned overlapping[1 << 18] = { [0 ... (1 << 18) - 1] = 0x00010001 };
    "#;
    let libc = bed.channel.glibc_lib.join("libc.so.6");
    bed.library(place).source(source).defines(&["X_1", "X_2"]).needs(&libc).build()
}

/// A damaged library before a good one changes nothing. Alone it is what the error is about.
fn damaged(bed: &Bed, reason: &str, make: Make) -> Result<()> {
    let library = whole(bed, "whole/libfound.so")?;
    let main = bed.program("main").build()?;
    let run = bed.run(main).arg("libfound.so");
    run.plain()?.misses("libfound.so")?;
    run.clone().declare([bed.path("whole")]).audited()?.prints([line("whole", &library)])?;
    let mut file = Damage::read(&library)?;
    make(&mut file)?;
    let bad = bed.path("bad/libfound.so");
    file.write(&bad)?;
    is_refused(bed, &bad, reason)
}

fn is_refused(bed: &Bed, bad: &Path, reason: &str) -> Result<()> {
    bed.library("good/libfound.so").says("good").build()?;
    passes_over(bed)?;
    let alone = bed.run(bed.program("main").build()?).arg("libfound.so").declare([bed.path("bad")]);
    alone.plain()?.misses("libfound.so")?;
    let audited = alone.audited()?;
    audited.misses(&format!("{} ({reason}; declare a whole one)", bad.display()))?;
    ensure!(audited.status == alone.plain()?.status, "{audited}");
    Ok(())
}

/// All tables are there, and of the data behind them only a part: what is left of a copy when the disk is full. It is
/// the end of a process that has it loaded.
fn cut_at_data(bed: &Bed) -> Result<()> {
    let source = r#"
        const char *data[1 << 14] = { [0 ... (1 << 14) - 1] = "" };
        int getpid(void);
        int (*used)(void) = getpid;"#;
    let libc = bed.channel.glibc_lib.join("libc.so.6");
    let bad = bed.library("bad/libfound.so").source(source).defines(&["X_1"]).needs(&libc).build()?;
    let mut file = Damage::read(&bad)?;
    file.truncate(file.loaded_end()? - (1 << 16));
    file.write(&bad)?;
    let plain = bed.run(bed.program("main").build()?).arg(&bad).plain()?;
    ensure!(plain.runs().is_err() && !plain.stderr.contains("libfound.so"), "ld.so notices: {plain}");
    is_refused(bed, &bad, CUT)
}

/// patchelf takes a library from what is needed, and leaves the versions that are needed of it.
fn without_libm(bed: &Bed, change: Make) -> Result<PathBuf> {
    let source = r#"
        double cos(double);
        double (*volatile used)(double) = cos;
        const char *who(void) { return "bad"; }"#;
    let libm = bed.channel.glibc_lib.join("libm.so.6");
    let bad = bed.library("bad/libfound.so").source(source).defines(&["X_1"]).needs(&libm).build()?;
    let mut file = Damage::read(&bad)?;
    file.without_first_needed()?;
    change(&mut file)?;
    file.write(&bad)?;
    Ok(bad)
}

/// ld.so aborts the process over one that nobody has loaded.
fn is_deadly(bed: &Bed, bad: &Path) -> Result<()> {
    let plain = bed.run(bed.program("main").build()?).arg(bad).plain()?;
    plain.fails_with("Inconsistency detected by ld.so")?;
    is_refused(bed, bad, "needs a version of libm.so.6, which it does not bring itself")
}

fn member_not_needed(bed: &Bed) -> Result<()> {
    is_deadly(bed, &without_libm(bed, |_| Ok(()))?)
}

/// ld.so can do without the version then, but not without the library.
fn member_not_needed_weakly(bed: &Bed) -> Result<()> {
    is_deadly(bed, &without_libm(bed, |file| set_half(file, file.first_need() + field::VNA_FLAGS, VER_FLG_WEAK))?)
}

/// Where somebody has loaded it, nothing is wrong.
fn member_not_needed_and_loaded(bed: &Bed) -> Result<()> {
    let odd = without_libm(bed, |_| Ok(()))?;
    bed.library("good/libfound.so").says("good").build()?;
    let libm = bed.channel.glibc_lib.join("libm.so.6");
    let main = bed.program("main").needs(&libm).build()?;
    let expected = [line("bad", &odd)];
    bed.run(&main).arg(&odd).plain()?.prints(&expected)?;
    let run = bed.run(main).arg("libfound.so").declare([bed.path("bad"), bed.path("good")]);
    run.plain()?.misses("libfound.so")?;
    run.audited()?.prints(&expected)?;
    Ok(())
}

/// A table of versions, and none of which symbol has which: ld.so takes it for granted, and reads at no address.
fn without_indices(bed: &Bed, other: u64) -> Result<()> {
    let bad = whole(bed, "bad/libfound.so")?;
    let mut file = Damage::read(&bad)?;
    file.without_entry(DT_VERSYM)?;
    file.without_entry(other)?;
    file.write(&bad)?;
    let plain = bed.run(bed.program("main").build()?).arg(&bad).plain()?;
    ensure!(plain.runs().is_err() && !plain.stderr.contains("libfound.so"), "ld.so notices: {plain}");
    is_refused(bed, &bad, VERSIONS)
}

/// A position-independent program has the type of a shared object, and ld.so opens none.
fn program(bed: &Bed) -> Result<()> {
    let bad = bed.program("bad/libfound.so").flag("-fPIE").flag("-pie").build()?;
    let plain = bed.run(bed.program("main").build()?).arg(&bad).plain()?;
    plain.fails_with("cannot dynamically load position-independent executable")?;
    is_refused(bed, &bad, "it is not a shared object")
}

/// What is laid out oddly and whole is handed out.
fn is_found(bed: &Bed, make: Make) -> Result<()> {
    let library = whole(bed, "declared/libfound.so")?;
    let mut file = Damage::read(&library)?;
    make(&mut file)?;
    file.write(&library)?;
    is_handed_out(bed, &library)
}

/// ld.so loads the declared library, and so it is found.
fn is_handed_out(bed: &Bed, library: &Path) -> Result<()> {
    let main = bed.program("main").build()?;
    bed.run(&main).arg(library).plain()?.prints([line("whole", library)])?;
    let run = bed.run(main).arg("libfound.so").declare([bed.path("declared")]);
    run.plain()?.misses("libfound.so")?;
    run.audited()?.prints([line("whole", library)])?;
    Ok(())
}

/// As patchelf leaves them, when there are more than there were.
fn program_headers_last(bed: &Bed) -> Result<()> {
    is_found(bed, Damage::program_headers_last)
}

/// Nothing that is needed to load a library is in the section headers.
fn section_headers_cut(bed: &Bed) -> Result<()> {
    is_found(bed, Damage::without_section_headers)
}

/// As many versions as the largest libraries have, and more.
fn many_versions(bed: &Bed) -> Result<()> {
    let names: Vec<String> = (0..800).map(|number| format!("LIBFOUND_WITH_A_RATHER_LONG_NAME_3.4.{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let library = bed.library("first/libfound.so").says("first").defines(&names).build()?;
    ensure!(fs::metadata(&library)?.len() > 64 << 10, "it is no large library");
    bed.library("second/libfound.so").says("second").defines(&names[..799]).build()?;
    let plugin = super::versions::wheel(bed, "own/libplugin.so", "libfound.so", &[names[799]])?;
    let run = bed.run(bed.program("main").build()?).arg(&plugin).arg("libfound.so");
    let run = run.declare([bed.path("second"), bed.path("first")]);
    run.plain()?.misses("libfound.so")?;
    run.audited()?.prints([line("wheel", &plugin), line("first", &library)])?;
    Ok(())
}

/// The names of all symbols, some megabytes, stand between those that count, as they do in libLLVM.
fn large_string_table(bed: &Bed) -> Result<()> {
    let name = "a_rather_long_name_that_fills_the_table_of_strings_and_that_nobody_asks_for_";
    let source = format!(
        r#"
        int getpid(void);
        int (*volatile used)(void) = getpid;
        const char *who(void) {{ return "whole"; }}
        __asm__(".altmacro\n.macro name number\n.globl {name}\\number\n.set {name}\\number, who\n.endm\n"
                ".set last, 0\n.rept 50000\nname %last\n.set last, last + 1\n.endr\n");"#
    );
    let libc = bed.channel.glibc_lib.join("libc.so.6");
    let library = bed.library("declared/libfound.so").source(source).defines(&["X_1"]).needs(&libc).build()?;
    let mut file = Damage::read(&library)?;
    file.move_first_needed(name)?;
    let apart = file.number(file.first_need() + field::VNA_NAME).abs_diff(file.number(file.needs + field::VN_FILE));
    ensure!(apart > 3 << 20, "they are close to each other");
    file.write(&library)?;
    is_handed_out(bed, &library)
}

//! A declared glibc is never handed out: the process's own goes with its ld.so, and no other does.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use suite::bed::Bed;

use super::{Case, line};

/// What makes up a glibc, by soname. Not every version has each.
const FAMILY: &[&str] = &[
    "libc.so.6",
    "libm.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "libutil.so.1",
    "libresolv.so.2",
    "libanl.so.1",
    "libnsl.so.1",
    "libmvec.so.1",
    "libnss_compat.so.2",
    "libnss_db.so.2",
    "libnss_dns.so.2",
    "libnss_files.so.2",
    "libnss_hesiod.so.2",
    "libthread_db.so.1",
    "libBrokenLocale.so.1",
    "libc_malloc_debug.so.0",
    "ld-linux-x86-64.so.2",
];

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("glibc/declared", declared),
        Case::new("glibc/declared-as-files", declared_as_files),
        Case::new("glibc/where-ld-so-does-not-look", where_ld_so_does_not_look),
        Case::new("glibc/declared-impostors", declared_impostors),
    ]
}

/// The directories of every channel's glibc, this one's last.
fn glibcs(bed: &Bed) -> Vec<PathBuf> {
    let mut channels: Vec<_> = bed.manifest.channels.iter().collect();
    channels.sort_by_key(|channel| channel.name == bed.channel.name);
    channels.iter().map(|channel| channel.glibc_lib.clone()).collect()
}

/// Every member of the family comes from where it comes from without us, or not at all. Other names still resolve.
fn declared(bed: &Bed) -> Result<()> {
    same_family(bed, glibcs(bed))
}

/// The same with single files declared.
fn declared_as_files(bed: &Bed) -> Result<()> {
    let files = glibcs(bed).into_iter().flat_map(|glibc| FAMILY.iter().map(move |soname| glibc.join(soname)));
    same_family(bed, files.collect())
}

/// The same with libraries that only have the names.
fn declared_impostors(bed: &Bed) -> Result<()> {
    for soname in FAMILY {
        bed.library(&format!("impostors/{soname}")).says("impostor").build()?;
    }
    same_family(bed, vec![bed.path("impostors")])
}

fn same_family(bed: &Bed, mut entries: Vec<PathBuf>) -> Result<()> {
    let only = bed.library("declared/libonly.so").says("declared").build()?;
    entries.push(bed.path("declared"));
    let run = bed.run(bed.program("main").build()?).args(FAMILY).arg("libonly.so").declare(entries);
    let plain = run.plain()?;
    plain.misses("libonly.so")?;
    let audited = run.audited()?;
    let missing =
        |text: &str| text.lines().filter(|row| !row.starts_with("libonly.so")).map(String::from).collect::<Vec<_>>();
    let expected = format!("{}{}\n", plain.stdout, line("declared", &only));
    ensure!(audited.stdout == expected && missing(&audited.stderr) == missing(&plain.stderr), "{plain}{audited}");
    Ok(())
}

/// A library that searches nowhere misses libm without us. It gets the process's own, rather than a declared one.
fn where_ld_so_does_not_look(bed: &Bed) -> Result<()> {
    let libm = bed.channel.glibc_lib.join("libm.so.6");
    let source =
        "double cos(double); double (*volatile used)(double) = cos; const char *who(void) { return \"plugin\"; }";
    let plugin = bed.library("own/libplugin.so").source(source).needs(&libm).flag("-Wl,-z,nodefaultlib").build()?;
    let only = bed.library("declared/libonly.so").says("declared").build()?;
    let mut entries: Vec<_> = glibcs(bed).into_iter().filter(|glibc| *glibc != bed.channel.glibc_lib).collect();
    entries.push(bed.path("declared"));
    let main = bed.program("main").build()?;
    let run = bed.run(main).arg(&plugin).args(["libm.so.6", "libonly.so"]).declare(entries);
    run.plain()?.misses("libm.so.6")?;
    run.audited()?.prints([line("plugin", &plugin), line("somebody", &libm), line("declared", &only)])?;
    Ok(())
}

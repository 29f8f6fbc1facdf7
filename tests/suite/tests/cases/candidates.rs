//! A declared file that cannot be loaded here is passed over, and the next entry has its turn.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::process;

use super::{Case, line};

/// Puts something at a path. A whole library lies at the second one.
type Make = fn(&Bed, &Path, &Path) -> Result<()>;

/// What is said of a file that cannot be loaded.
const NOT_ELF: &str = "it is not an ELF file of this byte order; declare a whole one";
const OTHER_MACHINE: &str = "is for another kind of machine; declare it for MACHINE";
const DAMAGED: &str = "it is cut short, or of another ABI; declare a whole one";
const NOT_SHARED: &str = "it is not a shared object; declare a whole one";
/// There is no file that could be a library.
const NOTHING: &str = "";

pub fn cases() -> Vec<Case> {
    let kinds: [(&str, &'static str, Make); 21] = [
        ("directory", NOTHING, |_, path, _| Ok(fs::create_dir(path)?)),
        ("fifo", NOTHING, fifo),
        ("linker-script", NOT_ELF, |_, path, _| Ok(fs::write(path, "/* GNU ld script */\nINPUT(libfound.so.1)\n")?)),
        ("empty-file", NOT_ELF, |_, path, _| Ok(fs::write(path, "")?)),
        ("truncated-ident", NOT_ELF, |_, path, good| Ok(fs::write(path, &fs::read(good)?[..15])?)),
        ("truncated-program-headers", DAMAGED, |_, path, good| Ok(fs::write(path, &fs::read(good)?[..70])?)),
        ("truncated-header", NOT_ELF, |_, path, good| Ok(fs::write(path, &fs::read(good)?[..40])?)),
        ("wrong-class", OTHER_MACHINE, |bed, path, good| patch(path, good, 4, bed.channel.other_class())),
        ("wrong-byte-order", NOT_ELF, |_, path, good| patch(path, good, 5, 2)),
        ("wrong-machine", OTHER_MACHINE, |_, path, good| patch(path, good, 18, 40)),
        ("wrong-osabi", DAMAGED, |_, path, good| patch(path, good, 7, 9)),
        ("wrong-abi-version", DAMAGED, |_, path, good| patch(path, good, 8, 1)),
        ("wrong-size-of-program-headers", DAMAGED, long_program_headers),
        ("wrong-magic", NOT_ELF, |_, path, good| patch(path, good, 3, b'G')),
        ("executable-type", NOT_SHARED, |_, path, good| patch(path, good, 16, 2)),
        ("relocatable", NOT_SHARED, relocatable),
        ("core-type", NOT_SHARED, |_, path, good| patch(path, good, 16, 4)),
        ("broken-symlink", NOTHING, |_, path, _| Ok(symlink("nowhere.so", path)?)),
        ("symlink-loop", "it cannot be opened; declare a whole one", |_, path, _| Ok(symlink("libfound.so", path)?)),
        ("device", "it is not a regular file; declare a whole one", |_, path, _| Ok(symlink("/dev/zero", path)?)),
        ("socket", NOTHING, |_, path, _| {
            std::os::unix::net::UnixListener::bind(path).map(drop).context("cannot make a socket")
        }),
    ];
    let mut cases = Vec::new();
    for (name, reason, make) in kinds {
        cases.push(Case::new(format!("skipped/{name}"), move |bed| skipped(bed, reason, make)));
    }
    cases.push(Case::new("skipped/single-file-of-another-name", other_name));
    cases
}

/// Before a good one it changes nothing; alone it is what the error is about, if it is a file at all.
fn skipped(bed: &Bed, reason: &str, make: Make) -> Result<()> {
    let good = bed.library("good/libfound.so").says("good").build()?;
    let bad = bed.dir("bad")?.join("libfound.so");
    make(bed, &bad, &good)?;
    let run = bed.run(bed.program("main").build()?).arg("libfound.so");
    let both = run.clone().declare([bed.path("bad"), bed.path("good")]);
    both.plain()?.misses("libfound.so")?;
    both.audited()?.prints([line("good", &good)])?;
    let file = run.clone().declare([&bad, &good]);
    file.audited()?.prints([line("good", &good)])?;
    let alone = run.declare([bed.path("bad")]);
    let plain = alone.plain()?;
    plain.misses("libfound.so")?;
    let audited = alone.audited()?;
    match reason {
        NOTHING => audited.equals(&plain)?,
        reason => {
            let machine = bed.channel.system.split('-').next().unwrap_or_default();
            audited.misses(&format!("{} ({})", bad.display(), reason.replace("MACHINE", machine)))?
        }
    };
    ensure!(audited.status == plain.status, "{plain}{audited}");
    Ok(())
}

fn patch(path: &Path, good: &Path, offset: usize, value: u8) -> Result<()> {
    let mut bytes = fs::read(good)?;
    ensure!(bytes[offset] != value, "nothing would be wrong with it");
    bytes[offset] = value;
    Ok(fs::write(path, bytes)?)
}

/// e_phentsize is that of the class, or ld.so refuses the file.
fn long_program_headers(bed: &Bed, path: &Path, good: &Path) -> Result<()> {
    let (offset, size) = if bed.channel.class() == 1 { (42, 32) } else { (54, 56) };
    ensure!(fs::read(good)?[offset] == size, "that is not the size of a program header");
    patch(path, good, offset, size + 1)
}

fn fifo(_: &Bed, path: &Path, _: &Path) -> Result<()> {
    process::succeed(Command::new("mkfifo").arg(path))
}

fn relocatable(bed: &Bed, path: &Path, _: &Path) -> Result<()> {
    let source = bed.file("unit.c", "const char *who(void) { return \"unit\"; }\n")?;
    process::succeed(Command::new(&bed.channel.cc).args(["-c", "-o"]).arg(path).arg(source))
}

/// A single file answers to its own name only, whatever its soname is.
fn other_name(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let renamed = bed.path("declared/librenamed.so");
    fs::copy(&library, &renamed)?;
    let run = bed.run(bed.program("main").build()?).declare([&renamed]);
    run.clone().arg("libfound.so").plain()?.misses("libfound.so")?;
    run.clone().arg("libfound.so").audited()?.misses("libfound.so")?;
    run.arg("librenamed.so").audited()?.prints([line("declared", &renamed)])?;
    Ok(())
}

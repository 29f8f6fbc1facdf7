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

pub fn cases() -> Vec<Case> {
    let kinds: [(&str, Make); 21] = [
        ("directory", |_, path, _| Ok(fs::create_dir(path)?)),
        ("fifo", fifo),
        ("linker-script", |_, path, _| Ok(fs::write(path, "/* GNU ld script */\nINPUT(libfound.so.1)\n")?)),
        ("empty-file", |_, path, _| Ok(fs::write(path, "")?)),
        ("truncated-ident", |_, path, good| Ok(fs::write(path, &fs::read(good)?[..15])?)),
        ("truncated-program-headers", |_, path, good| Ok(fs::write(path, &fs::read(good)?[..70])?)),
        ("truncated-header", |_, path, good| Ok(fs::write(path, &fs::read(good)?[..40])?)),
        ("wrong-class", |_, path, good| patch(path, good, 4, 1)),
        ("wrong-byte-order", |_, path, good| patch(path, good, 5, 2)),
        ("wrong-machine", |_, path, good| patch(path, good, 18, 40)),
        ("wrong-osabi", |_, path, good| patch(path, good, 7, 9)),
        ("wrong-abi-version", |_, path, good| patch(path, good, 8, 1)),
        ("wrong-size-of-program-headers", |_, path, good| patch(path, good, 54, 57)),
        ("wrong-magic", |_, path, good| patch(path, good, 3, b'G')),
        ("executable-type", |_, path, good| patch(path, good, 16, 2)),
        ("relocatable", relocatable),
        ("core-type", |_, path, good| patch(path, good, 16, 4)),
        ("broken-symlink", |_, path, _| Ok(symlink("nowhere.so", path)?)),
        ("symlink-loop", |_, path, _| Ok(symlink("libfound.so", path)?)),
        ("device", |_, path, _| Ok(symlink("/dev/zero", path)?)),
        ("socket", |_, path, _| std::os::unix::net::UnixListener::bind(path).map(drop).context("cannot make a socket")),
    ];
    let mut cases = Vec::new();
    for (name, make) in kinds {
        cases.push(Case::new(format!("skipped/{name}"), move |bed| skipped(bed, make)));
    }
    cases.push(Case::new("skipped/single-file-of-another-name", other_name));
    cases
}

/// Before a good one it changes nothing; alone it leaves ld.so's own error.
fn skipped(bed: &Bed, make: Make) -> Result<()> {
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
    alone.audited()?.equals(&plain)?;
    Ok(())
}

fn patch(path: &Path, good: &Path, offset: usize, value: u8) -> Result<()> {
    let mut bytes = fs::read(good)?;
    ensure!(bytes[offset] != value, "nothing would be wrong with it");
    bytes[offset] = value;
    Ok(fs::write(path, bytes)?)
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

//! `rtld_loader.so` as a file: what a library must be that enters every process.

use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use suite::dynamic::Dynamic;
use suite::manifest::Manifest;

use super::FileCase;

pub fn cases() -> Vec<FileCase> {
    vec![
        FileCase { name: "exports-only-la-functions", check: exports },
        FileCase { name: "needs-nothing", check: needs_nothing },
        FileCase { name: "brings-nothing-along", check: brings_nothing_along },
        FileCase { name: "is-small", check: is_small },
        FileCase { name: "names-no-machine", check: names_no_machine },
    ]
}

/// Anything else that it exported could take the place of a program's own function.
fn exports(manifest: &Manifest) -> Result<()> {
    let dynamic = Dynamic::read(&manifest.auditor)?;
    let mut names = dynamic.defined;
    names.sort();
    ensure!(names.iter().all(|name| name.starts_with("la_")), "{names:?}");
    ensure!(["la_version", "la_objsearch"].iter().all(|name| names.iter().any(|own| own == name)), "{names:?}");
    Ok(())
}

/// A library that it needed would be searched for, by itself, in every process; an undefined symbol would end it.
fn needs_nothing(manifest: &Manifest) -> Result<()> {
    let dynamic = Dynamic::read(&manifest.auditor)?;
    let searches = (&dynamic.runpath, &dynamic.rpath);
    ensure!(dynamic.needed.is_empty() && searches == (&None, &None), "{dynamic:?}");
    ensure!(dynamic.undefined.is_empty(), "{:?}", dynamic.undefined);
    Ok(())
}

/// No TLS (it would take of the static surplus), no packed relocations (glibc before 2.36 does not know them), no executable
/// stack (glibc from 2.41 on refuses it, as it does a file that says nothing of it), no lazy binding.
fn brings_nothing_along(manifest: &Manifest) -> Result<()> {
    let dynamic = Dynamic::read(&manifest.auditor)?;
    ensure!(!dynamic.tls && !dynamic.relr && dynamic.bind_now, "{dynamic:?}");
    ensure!(dynamic.executable_stack == Some(false), "{dynamic:?}");
    Ok(())
}

/// At most 160 KiB, of which a process touches what it uses. A quarter of it are zeros, room to work in: were they not in the
/// file, ld.so would map memory for them in every process. (On aarch64 as many lie between the segments, whose pages may be
/// of 64 KiB.)
fn is_small(manifest: &Manifest) -> Result<()> {
    let bytes = fs::read(&manifest.auditor)?;
    ensure!(bytes.len() <= 160 << 10, "{} bytes", bytes.len());
    let zeros = bytes.split(|&byte| byte != 0).map(<[u8]>::len);
    let room: usize = zeros.filter(|&len| len >= 512).sum();
    // Code of 32-bit x86 has to work out where its data is.
    let is_32_bit = manifest.channels.iter().any(|channel| channel.class() == 1);
    let most = if is_32_bit { 120 << 10 } else { 112 << 10 };
    ensure!(bytes.len() - room <= most, "{} bytes, {room} of them room", bytes.len());
    Ok(())
}

/// It is the same wherever it is built: no path of the place is in it.
fn names_no_machine(manifest: &Manifest) -> Result<()> {
    let bytes = fs::read(&manifest.auditor)?;
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("the suite is two directories deep")?;
    let crates = env::var("CARGO_HOME").ok().filter(|path| path.len() > 1);
    let places = ["/.cargo/", "/rustc/", "/home/", "/root/", "/build/", tree.to_str().context("its path is no text")?];
    for path in places.into_iter().chain(crates.as_deref()) {
        ensure!(!bytes.windows(path.len()).any(|window| window == path.as_bytes()), "{path} is in it");
    }
    Ok(())
}

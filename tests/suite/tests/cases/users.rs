//! What users bring along from elsewhere: wheels in a venv, an addon for Node.js, a gem. Each first fails for want of a
//! library, in its own words, and works once the library is declared.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::manifest::View;
use suite::outcome::Outcome;
use suite::run::Run;
use suite::server::Server;

use super::Case;
use super::wrapper::generate;

/// Where no library of the machine helps.
const NIX: &[View] = &[View::Nix];
/// The glibc that is supported.
const SUPPORTED: (u32, u32) = (2, 34);

/// Opens a library by its soname.
const OPEN: &str = r#"
    #include <dlfcn.h>
    #include <stdio.h>
    int main(void) {
        void *library = dlopen("libfound.so", RTLD_NOW);
        if (library)
            puts("opened");
        else
            fprintf(stderr, "%s\n", dlerror());
        return !library;
    }"#;

/// What a PNG file begins with.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A library of others.
#[derive(Clone, Copy)]
struct Library {
    soname: &'static str,
    /// The channel's name for it.
    channel: &'static str,
    /// What replit.nix calls it.
    nix: &'static str,
}

const STDCXX: Library = Library { soname: "libstdc++.so.6", channel: "libstdcxx", nix: "pkgs.stdenv.cc.cc.lib" };
const LIBGL: Library = Library { soname: "libGL.so.1", channel: "libGL", nix: "pkgs.libGL" };
const GTHREAD: Library = Library { soname: "libgthread-2.0.so.0", channel: "glib", nix: "pkgs.glib" };
const GLIB: Library = Library { soname: "libglib-2.0.so.0", ..GTHREAD };
const CAIRO: Library = Library { soname: "libcairo.so.2", channel: "cairo", nix: "pkgs.cairo" };
const CURL: Library = Library { soname: "libcurl.so.4", channel: "curl", nix: "pkgs.curl" };

pub fn cases() -> Vec<Case> {
    let wheel = |name, check: fn(&Bed) -> Result<()>| {
        Case::new(name, check).views(NIX).channel(|channel| channel.wheels.is_some())
    };
    vec![
        wheel("users/python-opencv", opencv),
        wheel("users/python-cairocffi", cairocffi),
        wheel("users/python-zmq", zmq),
        Case::new("users/python-find-library", find_library).views(NIX),
        // As in hygiene.rs.
        Case::new("users/static-program", static_program).since((2, 35)).views(&[View::Nix, View::Distribution]),
        Case::new("users/node-koffi", koffi)
            .views(NIX)
            .since(SUPPORTED)
            .channel(|channel| channel.node_modules.is_some()),
        Case::new("users/ruby-ethon", ethon).views(NIX).since(SUPPORTED).channel(|channel| channel.gems.is_some()),
    ]
}

/// numpy and OpenCV: libstdc++, then libGL, then glib.
fn opencv(bed: &Bed) -> Result<()> {
    let picture = bed.path("picture.png");
    let wanted = [STDCXX, LIBGL, GTHREAD, GLIB];
    let run = script(bed, "picture.py", include_str!("../../fixtures/opencv.py"))?.arg(&picture);
    let run = run.args(wanted.map(|library| library.soname));
    let mut lines = vec!["picture (48, 64, 3) True [0, 128, 255]".to_owned(), "inverse True".to_owned()];
    for library in wanted {
        lines.push(format!("{} {}", library.soname, output(bed, library)?.join("lib").display()));
    }
    works_with(bed, &run, &wanted[..3])?.prints(lines)?;
    is_png(&picture)
}

/// A package without compiled code, which has cffi open the library by each of its names.
fn cairocffi(bed: &Bed) -> Result<()> {
    let picture = bed.path("picture.png");
    let run = script(bed, "picture.py", include_str!("../../fixtures/cairocffi.py"))?.arg(&picture);
    works_with(bed, &run, &[CAIRO])?.prints(["32 16 0080ff"])?;
    is_png(&picture)
}

/// A wheel that has all it needs but for libstdc++.
fn zmq(bed: &Bed) -> Result<()> {
    let run = script(bed, "zeromq.py", include_str!("../../fixtures/zmq.py"))?;
    works_with(bed, &run, &[STDCXX])?.prints(["a question", "an answer"])?;
    Ok(())
}

/// `ctypes.util.find_library` asks gcc and ldconfig, not ld.so. What the README says helps, in each of the two places.
fn find_library(bed: &Bed) -> Result<()> {
    let answers = include_str!("../../fixtures/find_library.py");
    let asks = "import ctypes.util\n\
                print(ctypes.CDLL(ctypes.util.find_library('cairo')).cairo_version() > 0)\n\
                print(ctypes.util.find_library('nothing'))\n";
    let (python, site_packages) = venv(bed)?;
    let replit_env = generate(bed, "env", &[("--lib-of", output(bed, CAIRO)?.as_os_str())])?;
    let without = bed.run(&python).arg(bed.file("without.py", asks)?);
    without.plain()?.fails_with("undefined symbol: cairo_version")?;
    let without = without.through(&replit_env, [] as [&str; 0]);
    without.plain()?.fails_with("undefined symbol: cairo_version")?;

    let at_the_top = bed.run(&python).arg(bed.file("with.py", format!("{answers}{asks}"))?);
    at_the_top.plain()?.misses(CAIRO.soname)?;
    at_the_top.through(&replit_env, [] as [&str; 0]).plain()?.prints(["True", "None"])?;
    fs::write(site_packages.join("answers.py"), answers)?;
    fs::write(site_packages.join("answers.pth"), "import answers\n")?;
    without.plain()?.prints(["True", "None"])?;
    Ok(())
}

/// A static program opens libraries by itself. What the README says helps, and so does a dynamic build.
fn static_program(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let build = |name: &str, flag: &str| bed.program(name).source(OPEN).flag(flag).build();
    let run = bed.run(build("static", "-static")?);
    run.plain()?.misses("libfound.so")?;
    let replit_env = generate(bed, "env", &[("--lib", library.as_os_str())])?;
    run.through(&replit_env, [] as [&str; 0]).plain()?.misses("libfound.so")?;
    run.env("LD_LIBRARY_PATH", bed.path("declared")).plain()?.prints(["opened"])?;
    let dynamic = bed.run(build("dynamic", "-O1")?);
    dynamic.plain()?.misses("libfound.so")?;
    dynamic.through(&replit_env, [] as [&str; 0]).plain()?.prints(["opened"])?;
    Ok(())
}

/// An addon that opens what it is told to.
fn koffi(bed: &Bed) -> Result<()> {
    let picture = bed.path("picture.png");
    let script = bed.file("koffi.js", include_str!("../../fixtures/koffi.js"))?;
    let node = bed.channel.programs.get("nodejs").context("the channel has no Node.js")?.join("bin/node");
    let node_modules = bed.channel.node_modules.as_ref().context("there are no addons")?;
    let run = bed.run(node).arg(script).arg(&picture).bind(node_modules, bed.path("node_modules"));
    run.plain()?.fails_with("Failed to load shared library: cannot open shared object file")?;
    let replit_env = generate(bed, "env", &[("--lib-of", output(bed, CAIRO)?.as_os_str())])?;
    run.through(&replit_env, [] as [&str; 0]).plain()?.prints(["0 32 ff8000"])?;
    is_png(&picture)
}

/// A gem that has ffi open libcurl when it is loaded.
fn ethon(bed: &Bed) -> Result<()> {
    let server = Server::start("from a server\n")?;
    let script = bed.file("ethon.rb", include_str!("../../fixtures/ethon.rb"))?;
    let ruby = bed.channel.programs.get("ruby").context("the channel has no Ruby")?.join("bin/ruby");
    let gems = bed.channel.gems.as_ref().context("there are no gems")?;
    let run = bed.run(ruby).arg(script).arg(server.url()).env("GEM_HOME", gems).env("GEM_PATH", gems);
    works_with(bed, &run, &[CURL])?.prints(["ok", "200", "from a server"])?;
    Ok(())
}

/// The Python of a new venv, which has the wheels, with a script of this content.
fn script<'b>(bed: &'b Bed, name: &str, content: &str) -> Result<Run<'b>> {
    let (python, site_packages) = venv(bed)?;
    let wheels = bed.channel.wheels.as_ref().context("there are no wheels")?;
    Ok(bed.run(python).arg(bed.file(name, content)?).bind(wheels, site_packages))
}

/// A new venv: its Python and its site-packages.
fn venv(bed: &Bed) -> Result<(PathBuf, PathBuf)> {
    let venv = bed.path("venv");
    // Not every Python has what installs packages, and none are to be installed.
    bed.run(&bed.channel.python).args(["-m", "venv", "--without-pip"]).arg(&venv).plain()?.runs()?;
    let lib = fs::read_dir(venv.join("lib"))?.next().context("the venv is empty")??;
    Ok((venv.join("bin/python3"), lib.path().join("site-packages")))
}

/// It misses each of these libraries in turn, is told what to declare, and that is declared. Returns what came of the last
/// start.
fn works_with(bed: &Bed, run: &Run, libraries: &[Library]) -> Result<Outcome> {
    let first = libraries.first().context("there is nothing to miss")?;
    run.plain()?.misses(first.soname)?;
    let mut declared: Vec<(&str, &OsStr)> = Vec::new();
    let start = |nth: usize, declared: &[(&str, &OsStr)]| {
        let replit_env = generate(bed, &format!("env-{nth}"), declared)?;
        run.through(&replit_env, [] as [&str; 0]).plain()
    };
    for (nth, library) in libraries.iter().enumerate() {
        let Library { soname, nix, .. } = library;
        let hint = format!("{soname} (not among the declared dependencies; add {nix} to replit.nix)");
        start(nth, &declared)?.misses(&hint)?;
        declared.push(("--lib-of", output(bed, *library)?.as_os_str()));
    }
    start(libraries.len(), &declared)
}

/// A library of the channel, as one declares it.
fn output<'b>(bed: &'b Bed, library: Library) -> Result<&'b Path> {
    let output = bed.channel.libraries.get(library.channel);
    let output = output.with_context(|| format!("the channel has no {}", library.channel))?;
    Ok(output)
}

fn is_png(picture: &Path) -> Result<()> {
    ensure!(fs::read(picture)?.starts_with(PNG), "{} is no PNG file", picture.display());
    Ok(())
}

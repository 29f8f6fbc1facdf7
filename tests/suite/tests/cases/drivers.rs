//! Libraries of the machine's graphics driver, which no package brings: single files, by their names, where nobody else has
//! them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::manifest::View;
use suite::run::Run;

use super::index::with_index;
use super::logging::{FILE, LEVEL, read};
use super::machine::cache_of;
use super::versions::{NEVER, needing};
use super::wrapper::generate;
use super::{Case, line};

const CUDA: &str = "libcuda.so.1";
/// Where NixOS has its driver.
const DIRECTORY: &str = "/run/opengl-driver/lib";

pub fn cases() -> Vec<Case> {
    let cases = vec![
        Case::new("drivers/directory", directory),
        Case::new("drivers/start", start),
        Case::new("drivers/cache", cache),
        Case::new("drivers/names", names),
        Case::new("drivers/what-they-need", what_they_need),
        Case::new("drivers/others-go-before", others_go_before),
        Case::new("drivers/unfit", unfit),
        Case::new("drivers/without-an-environment", without_an_environment),
        Case::new("drivers/with-an-index-alone", with_an_index_alone),
        Case::new("drivers/of-another-glibc", of_another_glibc).several_channels(),
        Case::new("drivers/distribution-path", distribution_path),
        Case::new("drivers/explicit-ld-so", explicit),
        Case::new("drivers/hint", hint),
        Case::new("drivers/log", log),
        Case::new("drivers/other-names-cost-nothing", other_names).tool("strace"),
    ];
    // Elsewhere there would be the machine's own.
    cases.into_iter().map(|case| case.views(&[View::Nix])).collect()
}

/// A library of the driver in the directory of the bed that is to be seen there.
fn library(bed: &Bed, name: &str) -> Result<PathBuf> {
    bed.library(&format!("driver/{name}")).says("driver").build()
}

/// A start with NixOS's directory and something declared.
fn on_nixos<'b>(bed: &'b Bed<'b>, run: Run<'b>) -> Result<Run<'b>> {
    Ok(run.bind(bed.dir("driver")?, DIRECTORY).declare([bed.dir("declared")?]))
}

/// What is printed of the driver's library.
fn says(name: &str) -> String {
    line("driver", &Path::new(DIRECTORY).join(name))
}

fn directory(bed: &Bed) -> Result<()> {
    library(bed, CUDA)?;
    let run = on_nixos(bed, bed.run(bed.program("main").build()?).arg(CUDA))?;
    run.plain()?.misses(CUDA)?;
    run.audited()?.prints([says(CUDA)])?;
    Ok(())
}

/// A program, or a library of it, needs it.
fn start(bed: &Bed) -> Result<()> {
    let driver = library(bed, CUDA)?;
    let through = bed.library("own/libthrough.so").source("").needs(&driver).build()?;
    for (name, needed) in [("needs", &driver), ("through", &through)] {
        let run = on_nixos(bed, bed.run(bed.program(name).needs(needed).runpath("$ORIGIN/own").build()?))?;
        run.plain()?.misses(CUDA)?;
        run.audited()?.prints(["driver"])?;
    }
    Ok(())
}

/// A program as Nix builds it, whose ld.so does not look into the machine's directories.
fn nix_program(bed: &Bed) -> Result<PathBuf> {
    let program = bed.program("main").flag("-Wl,-z,nodefaultlib");
    program.runpath(&bed.channel.glibc_lib.display().to_string()).build()
}

/// Where another machine has its driver: in a directory of ld.so's, below /usr.
fn machines<'b>(bed: &Bed<'b>) -> Result<&'b Path> {
    let mut directories = bed.channel.default_directories.iter();
    Ok(directories.find(|directory| directory.starts_with("/usr")).context("ld.so has a directory below /usr")?)
}

/// The machine's cache says where it is, if there is a device.
fn cache(bed: &Bed) -> Result<()> {
    let machines = machines(bed)?.display().to_string();
    let names = [CUDA, "libX11.so.6"];
    for name in names {
        bed.library(&format!("root{machines}/{name}")).says("machine").flag("-Wl,-z,nodefaultlib").build()?;
    }
    let (cache, directory) = cache_of(bed, &machines, "new")?;
    let run = bed.run(nix_program(bed)?).declare([bed.dir("declared")?]);
    let run = run.bind(cache, "/etc/ld.so.cache").bind(directory, &machines);
    let cuda = run.clone().arg(CUDA);
    let plain = cuda.plain()?;
    plain.misses(CUDA)?;
    cuda.audited()?.equals(&plain)?;
    let device = bed.file("device", "")?;
    for name in ["nvidiactl", "nvidia0", "dxg"] {
        let there = |run: &Run<'_>| run.clone().bind(&device, Path::new("/dev").join(name)).audited();
        there(&cuda)?.prints([line("machine", &Path::new(&machines).join(CUDA))])?;
        // The machine has others, too, which are none of the driver's.
        there(&run.clone().arg("libX11.so.6"))?.misses("libX11.so.6")?;
    }
    // NixOS's goes before.
    library(bed, CUDA)?;
    let both = on_nixos(bed, cuda)?.bind(&device, "/dev/nvidiactl");
    both.audited()?.prints([says(CUDA)])?;
    Ok(())
}

/// Of what is there, only the driver's own is handed out.
fn names(bed: &Bed) -> Result<()> {
    let drivers = ["libcuda.so.550.54.14", "libnvidia-ml.so.1", "libGLX_mesa.so.0", "libGL.so.1", "libvulkan.so.1"];
    let others = ["libcudart.so.12", "libLLVM.so.18.1", "libdrm.so.2", "libstdc++.so.6.0.99"];
    let main = bed.program("main").build()?;
    for name in drivers.iter().chain(&others) {
        library(bed, name)?;
        let run = on_nixos(bed, bed.run(&main).arg(name))?;
        let plain = run.plain()?;
        plain.misses(name)?;
        match drivers.contains(name) {
            true => run.audited()?.prints([says(name)])?,
            false => run.audited()?.equals(&plain)?,
        };
    }
    Ok(())
}

/// What it needs of the driver goes the same way, and what it opens; the rest has to be declared.
fn what_they_need(bed: &Bed) -> Result<()> {
    library(bed, "libnvidia-ptxjitcompiler.so.1")?;
    let source = r#"
        void *dlopen(const char *, int);
        const char *who(void) { return dlopen("libnvidia-ptxjitcompiler.so.1", 2) ? "whole" : "alone"; }"#;
    let core = library(bed, "libnvidia-glcore.so.550.54.14")?;
    let extra = library(bed, "libX11.so.6")?;
    bed.library(&format!("driver/{CUDA}")).source(source).needs(&core).build()?;
    let main = bed.program("main").build()?;
    let run = on_nixos(bed, bed.run(&main).arg(CUDA))?;
    run.plain()?.misses(CUDA)?;
    run.audited()?.prints([line("whole", &Path::new(DIRECTORY).join(CUDA))])?;
    bed.library("driver/libGL.so.1").says("driver").needs(&core).needs(&extra).build()?;
    let run = on_nixos(bed, bed.run(&main).arg("libGL.so.1"))?;
    run.audited()?.misses("libX11.so.6")?;
    fs::copy(&extra, bed.dir("declared")?.join("libX11.so.6"))?;
    run.audited()?.prints([says("libGL.so.1")])?;
    Ok(())
}

/// The program's own, and what is declared.
fn others_go_before(bed: &Bed) -> Result<()> {
    library(bed, CUDA)?;
    let own = bed.library(&format!("own/{CUDA}")).says("own").build()?;
    let run = on_nixos(bed, bed.run(bed.program("finds").runpath("$ORIGIN/own").build()?).arg(CUDA))?;
    let plain = run.plain()?;
    plain.prints([line("own", &own)])?;
    run.audited()?.equals(&plain)?;
    let run = on_nixos(bed, bed.run(bed.program("main").build()?).arg(CUDA))?;
    run.plain()?.misses(CUDA)?;
    let declared = bed.library(&format!("declared/{CUDA}")).says("declared").build()?;
    run.audited()?.prints([line("declared", &declared)])?;
    // One that cannot be loaded does not.
    needing(bed, &format!("declared/{CUDA}"), "declared", "libc.so.6", NEVER)?;
    run.audited()?.prints([says(CUDA)])?;
    Ok(())
}

/// One that cannot be loaded is none.
fn unfit(bed: &Bed) -> Result<()> {
    let run = on_nixos(bed, bed.run(bed.program("main").build()?).arg(CUDA))?;
    let plain = run.plain()?;
    plain.misses(CUDA)?;
    needing(bed, &format!("driver/{CUDA}"), "driver", "libc.so.6", NEVER)?;
    run.audited()?.equals(&plain)?;
    bed.file(format!("driver/{CUDA}"), "/* GNU ld script */\n")?;
    run.audited()?.equals(&plain)?;
    // Of what is declared there is more to say.
    needing(bed, &format!("declared/{CUDA}"), "declared", "libc.so.6", NEVER)?;
    run.audited()?.fails_with(&format!("{} (needs {NEVER}", bed.path("declared").join(CUDA).display()))?;
    Ok(())
}

/// The auditor by itself hands out nothing.
fn without_an_environment(bed: &Bed) -> Result<()> {
    library(bed, CUDA)?;
    let run = bed.run(bed.program("main").build()?).arg(CUDA).bind(bed.path("driver"), DIRECTORY);
    let plain = run.plain()?;
    plain.misses(CUDA)?;
    run.audited()?.equals(&plain)?;
    // Nor for its log.
    run.env(LEVEL, "3").env(FILE, bed.path("log")).audited()?.equals(&plain)?;
    Ok(())
}

/// An environment that declares nothing is one.
fn with_an_index_alone(bed: &Bed) -> Result<()> {
    generate(bed, "env", &[])?;
    let index = bed.path("env/lib/rtld_loader.index");
    let main = bed.program("main").build()?;
    library(bed, CUDA)?;
    let run = bed.run(&main).arg(CUDA).bind(bed.path("driver"), DIRECTORY);
    run.plain()?.misses(CUDA)?;
    with_index(&run, &index).plain()?.prints([says(CUDA)])?;
    Ok(())
}

/// NixOS has a glibc of its own, which its driver's libraries lead to: it stays out of this process.
fn of_another_glibc(bed: &Bed) -> Result<()> {
    let main = bed.program("main").source(include_str!("../../fixtures/loaded.c")).build()?;
    for other in bed.manifest.channels.iter().filter(|channel| channel.glibc != bed.channel.glibc) {
        let libm = other.glibc_lib.join("libm.so.6");
        let source = "int cos(void) __attribute__((weak)); int (*volatile used)(void) = cos;\n";
        let library = bed.library(&format!("driver/{CUDA}")).channel(other).source(source).needs(&libm);
        library.runpath(&other.glibc_lib.display().to_string()).build()?;
        let run = on_nixos(bed, bed.run(&main).arg(CUDA))?;
        run.plain()?.misses(CUDA)?;
        let loaded = run.audited()?;
        let members: Vec<&str> = loaded.runs()?.stdout.lines().filter(|file| file.contains("/libm.so.6")).collect();
        ensure!(members == [bed.channel.glibc_lib.join("libm.so.6").display().to_string()], "{loaded}");
    }
    Ok(())
}

/// A program knows the machine's directory by heart, and it is not there.
fn distribution_path(bed: &Bed) -> Result<()> {
    library(bed, CUDA)?;
    let path = machines(bed)?.join(CUDA);
    let run = on_nixos(bed, bed.run(bed.program("main").build()?).arg(&path))?;
    run.plain()?.misses(&path.display().to_string())?;
    run.audited()?.prints([says(CUDA)])?;
    Ok(())
}

/// What cannot be known beforehand is taken up at the end of the search, under ld.so's own idea of its name.
fn explicit(bed: &Bed) -> Result<()> {
    library(bed, CUDA)?;
    let run = on_nixos(bed, bed.run(&bed.channel.interpreter).arg(bed.program("main").build()?).arg(CUDA))?;
    run.plain()?.misses(CUDA)?;
    let audited = run.audited()?;
    ensure!(audited.runs()?.stdout.starts_with("driver "), "{audited}");
    Ok(())
}

/// Where there is no driver the package is named.
fn hint(bed: &Bed) -> Result<()> {
    generate(bed, "env", &[("--lib", bed.dir("declared")?.as_os_str())])?;
    let index = bed.path("env/lib/rtld_loader.index");
    let run = on_nixos(bed, bed.run(bed.program("main").build()?).arg("libGL.so.1"))?;
    run.plain()?.misses("libGL.so.1")?;
    with_index(&run, &index).plain()?.fails_with("libGL.so.1 (not among the declared dependencies; add pkgs.libGL ")?;
    library(bed, "libGL.so.1")?;
    with_index(&run, &index).plain()?.prints([says("libGL.so.1")])?;
    Ok(())
}

fn log(bed: &Bed) -> Result<()> {
    library(bed, CUDA)?;
    let log = bed.path("log");
    let run = on_nixos(bed, bed.run(bed.program("main").build()?).arg(CUDA))?.env(LEVEL, "2").env(FILE, &log);
    run.audited()?.prints([says(CUDA)])?;
    let log = read(&log)?;
    let expected = format!("ld library miss for {CUDA}\nsearching...\nfound dynamically: {DIRECTORY}/{CUDA}\n");
    let expected = expected + &format!("of the graphics driver: {CUDA}\n");
    ensure!(log.contains(&expected), "{log}");
    Ok(())
}

/// The driver is not looked for where it is not asked for, and is not looked for long.
fn other_names(bed: &Bed) -> Result<()> {
    library(bed, CUDA)?;
    bed.library("declared/libfound.so").says("declared").build()?;
    let run = on_nixos(bed, bed.run(bed.program("main").build()?))?.with_auditor();
    let places = [DIRECTORY, "/dev/nvidia", "/dev/dxg"];
    let looks = |name: &str| -> Result<Vec<String>> {
        let calls = run.clone().arg(name).traced()?.calls.into_iter();
        // The program says where it is, too.
        let looks = calls.filter(|call| !call.starts_with("write("));
        Ok(looks.filter(|call| places.iter().any(|place| call.contains(place))).collect())
    };
    for name in ["libfound.so", "libnowhere.so", "libX11.so.6"] {
        let calls = looks(name)?;
        ensure!(calls.is_empty(), "{name}: {calls:#?}");
    }
    // Opened, then mapped by ld.so.
    let calls = looks(CUDA)?;
    ensure!(!calls.is_empty() && calls.iter().all(|call| call.contains(CUDA)), "{calls:#?}");
    // The directory's file, and each device.
    let calls = looks("libnvcuvid.so.1")?;
    ensure!(calls.len() == 1 + 3, "{calls:#?}");
    let first = calls.first().context("there is one")?;
    ensure!(first.contains(&format!("{DIRECTORY}/libnvcuvid.so.1")), "{calls:#?}");
    Ok(())
}

//! Where a library is declared and none can be loaded, the program's own error says which, why, and what to do. Nothing
//! else comes of it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::damage::Damage;
use suite::instructions::IDLE;
use suite::manifest::View;
use suite::outcome::Outcome;

use super::Case;
use super::logging::{FILE, LEVEL, read};
use super::versions::{NEVER, defining, needing, wheel};

/// What ld.so says behind the name of a file that is not there.
const NO_FILE: &str = "cannot open shared object file: No such file or directory";

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("refusal/needs", needs),
        Case::new("refusal/private", private),
        Case::new("refusal/lacks", lacks),
        Case::new("refusal/program-needs", program_needs),
        Case::new("refusal/other-machine", other_machine),
        Case::new("refusal/no-elf-file", no_elf_file),
        Case::new("refusal/hints", hints),
        Case::new("refusal/other-auditor", other_auditor),
        Case::new("refusal/first-whole-one", first_whole_one),
        Case::new("refusal/missing-is-plain", missing_is_plain),
        Case::new("refusal/planted-in-working-directory", planted_in_working_directory),
        Case::new("refusal/planted-in-declared-directory", planted_in_declared_directory),
        Case::new("refusal/planted-beside-a-file", planted_beside_a_file),
        Case::new("refusal/long-version", long_version),
        Case::new("refusal/long-soname", long_soname),
        Case::new("refusal/requester-with-odd-name", requester_with_odd_name),
        Case::new("refusal/goes-on", goes_on),
        Case::new("refusal/python", python),
        Case::new("refusal/missing-distribution-path", missing_distribution_path).views(&[View::Nix]),
        Case::new("refusal/ldd", ldd),
        Case::new("refusal/ldd-of-versions", ldd_of_versions),
        Case::new("refusal/log", log),
    ];
    // Each as long as the name that it takes the place of.
    let names: [(&str, &[u8], &str); 6] = [
        ("slashes", b"GLIBC/../../a", "GLIBC?..?..?a"),
        ("absolute", b"/etc/passwd/x", "?etc?passwd?x"),
        ("origin", b"$ORIGIN_9.999", "?ORIGIN_9.999"),
        ("braces", b"${ORIGIN}/x.y", "?{ORIGIN}?x.y"),
        ("terminal", b"\x1b[2J\x1b]0;x\x07\r\n", "?[2J?]0;x???"),
        ("no-text", b"\xff\xfe\x80\xc3(GLIBC_9", "????(GLIBC_9"),
    ];
    for (name, bytes, shown) in names {
        cases.push(Case::new(format!("refusal/version-with-{name}"), move |bed| odd_version(bed, bytes, shown)));
    }
    cases
}

/// The text for a candidate, as ld.so prints it.
fn text(candidate: &Path, reason: &str) -> String {
    format!("{} ({reason}): {NO_FILE}", candidate.display())
}

/// The reason for a version of glibc that is not here.
fn needs_version(bed: &Bed, version: &str) -> String {
    let glibc = &bed.channel.glibc;
    format!("needs {version}, this process has glibc {glibc}; declare it from a channel with glibc {glibc} or older")
}

/// `libfound.so` is declared in the directory `declared`. Its refusal is told when the program opens it, and when it
/// needs it from its start.
fn is_told(bed: &Bed, reason: &str) -> Result<()> {
    let declared = bed.path("declared/libfound.so");
    let run = bed.run(bed.program("main").build()?).arg("libfound.so").declare([bed.path("declared")]);
    let plain = run.plain()?;
    ensure!(plain.stderr == format!("libfound.so: {NO_FILE}\n"), "{plain}");
    let audited = run.audited()?;
    let expected = text(&declared, reason) + "\n";
    ensure!(audited.stderr == expected && audited.status == plain.status, "{audited}expected:\n{expected}");

    let reference = bed.library("reference/libfound.so").says("reference").build()?;
    let opener = bed.library("own/libopener.so").source("").needs(&reference).build()?;
    // By then libc.so.6 is loaded.
    let main = bed.program("starts").needs(&opener).runpath("$ORIGIN/own").build()?;
    let run = bed.run(&main).declare([bed.path("declared")]);
    let start = format!("{}: error while loading shared libraries: ", main.display());
    let plain = run.plain()?;
    ensure!(plain.stderr == format!("{start}libfound.so: {NO_FILE}\n"), "{plain}");
    let audited = run.audited()?;
    ensure!(audited.stderr == start + &expected && audited.status == plain.status, "{audited}expected:\n{expected}");
    Ok(())
}

/// Builds `libfound.so` with a need that no glibc meets.
fn never(bed: &Bed, directory: &str) -> Result<PathBuf> {
    needing(bed, &format!("{directory}/libfound.so"), directory, "libc.so.6", NEVER)
}

fn needs(bed: &Bed) -> Result<()> {
    never(bed, "declared")?;
    is_told(bed, &needs_version(bed, NEVER))
}

fn private(bed: &Bed) -> Result<()> {
    needing(bed, "declared/libfound.so", "private", "libc.so.6", "GLIBC_PRIVATE")?;
    let glibc = &bed.channel.glibc;
    let process = format!("this process has glibc {glibc}; declare it from a channel with glibc {glibc}");
    is_told(bed, &format!("needs GLIBC_PRIVATE of another glibc, {process}"))
}

fn other_machine(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let mut bytes = fs::read(&library)?;
    // EM_ARM.
    bytes[18] = 40;
    fs::write(library, bytes)?;
    let machine = bed.channel.system.split('-').next().unwrap_or_default();
    is_told(bed, &format!("is for another kind of machine; declare it for {machine}"))
}

fn no_elf_file(bed: &Bed) -> Result<()> {
    bed.file("declared/libfound.so", "/* GNU ld script */\nINPUT(libfound.so.1)\n")?;
    is_told(bed, "it is not an ELF file of this byte order; declare a whole one")
}

/// A library needs a version that the declared one does not define.
fn lacks(bed: &Bed) -> Result<()> {
    let declared = defining(bed, "declared/libx.so.1", "declared", &["X_1"])?;
    let requester = wheel(bed, "own/librequester.so", "libx.so.1", &["X_1", "X_2"])?;
    let reason = "does not define X_2, which librequester.so needs; declare a newer build of it";
    let run = bed.run(bed.program("main").build()?).arg(&requester).declare([bed.path("declared")]);
    run.plain()?.misses("libx.so.1")?;
    let audited = run.audited()?;
    ensure!(audited.stderr == text(&declared, reason) + "\n", "{audited}");
    let main = bed.program("starts").needs(&requester).runpath("$ORIGIN/own").build()?;
    bed.run(main).declare([bed.path("declared")]).audited()?.fails_with(&text(&declared, reason))?;
    Ok(())
}

/// The program itself does.
fn program_needs(bed: &Bed) -> Result<()> {
    let declared = defining(bed, "declared/libx.so.1", "declared", &["X_1"])?;
    let reference = bed.library("reference/libx.so.1").says("reference").defines(&["X_2"]).build()?;
    let main = bed.program("main").uses(&["X_2"]).needs(&reference).build()?;
    let run = bed.run(&main).declare([bed.path("declared")]);
    run.plain()?.misses("libx.so.1")?;
    let reason = "does not define X_2, which the program needs; declare a newer build of it";
    let audited = run.audited()?;
    let start = format!("{}: error while loading shared libraries: ", main.display());
    ensure!(audited.stderr == start + &text(&declared, reason) + "\n", "{audited}");
    Ok(())
}

/// Who does not want to be told gets ld.so's own words.
fn hints(bed: &Bed) -> Result<()> {
    let declared = never(bed, "declared")?;
    let run = bed.run(bed.program("main").build()?).arg("libfound.so").declare([bed.path("declared")]);
    let plain = run.plain()?;
    plain.misses("libfound.so")?;
    run.clone().env("REPLIT_RTLD_HINTS", "0").audited()?.equals(&plain)?;
    for value in ["1", "", "on"] {
        let told = run.clone().env("REPLIT_RTLD_HINTS", value).audited()?;
        told.fails_with(&text(&declared, &needs_version(bed, NEVER)))?;
    }
    Ok(())
}

/// Another auditor may find it.
fn other_auditor(bed: &Bed) -> Result<()> {
    let declared = never(bed, "declared")?;
    let other = bed.library("libidle.so").source(IDLE).build()?;
    let run = bed.run(bed.program("main").build()?).arg("libfound.so").declare([bed.path("declared")]);
    let plain = run.plain()?;
    plain.misses("libfound.so")?;
    run.audited()?.fails_with(&text(&declared, &needs_version(bed, NEVER)))?;
    let both = format!("{}:{}", bed.manifest.auditor.display(), other.display());
    run.env("LD_AUDIT", both).plain()?.equals(&plain)?;
    Ok(())
}

/// A whole library that is the wrong build says more than a broken file, and the first one most of all.
fn first_whole_one(bed: &Bed) -> Result<()> {
    let broken = bed.file("broken/libfound.so", "no library")?;
    let first = never(bed, "first")?;
    needing(bed, "second/libfound.so", "second", "libm.so.6", "GLIBC_9.98")?;
    symlink("nowhere.so", bed.dir("dangling")?.join("libfound.so"))?;
    let run = bed.run(bed.program("main").build()?).arg("libfound.so");
    run.plain()?.misses("libfound.so")?;
    let declare = |names: &[&str]| run.clone().declare(names.iter().map(|name| bed.path(name)));
    let told = declare(&["dangling", "broken", "first", "second", "broken"]).audited()?;
    told.fails_with(&text(&first, &needs_version(bed, NEVER)))?;
    let other = declare(&["dangling", "broken"]).audited()?;
    other.fails_with(&text(&broken, "it is not an ELF file of this byte order; declare a whole one"))?;
    Ok(())
}

/// What is not there, or no longer, is as good as not declared.
fn missing_is_plain(bed: &Bed) -> Result<()> {
    symlink("nowhere.so", bed.dir("declared")?.join("libfound.so"))?;
    let run = bed.run(bed.program("main").build()?).arg("libfound.so");
    let plain = run.plain()?;
    plain.misses("libfound.so")?;
    run.clone().declare([bed.path("declared")]).audited()?.equals(&plain)?;
    run.declare([bed.path("declared/libfound.so")]).audited()?.equals(&plain)?;
    Ok(())
}

/// The name of the file that a refusal would be.
fn refusal_name(bed: &Bed) -> String {
    format!("libfound.so ({})", needs_version(bed, NEVER))
}

/// A library that lies in the working directory under the name of a refusal, and under all of its path.
fn planted_in_working_directory(bed: &Bed) -> Result<()> {
    let declared = never(bed, "declared")?;
    let planted = bed.library("libplanted.so").says("planted").build()?;
    let name = refusal_name(bed);
    let path = bed.path("declared").join(&name);
    let below = bed.path("cwd").join(path.strip_prefix("/")?);
    fs::create_dir_all(below.parent().unwrap_or(&below))?;
    for place in [bed.path("cwd").join(&name), below, bed.path("cwd/libfound.so")] {
        fs::copy(&planted, place)?;
    }
    let main = bed.program("main").build()?;
    let run = bed.run(&main).working_directory(bed.path("cwd"));
    // It would be opened under such a name.
    let loaded = run.clone().arg(format!("./{name}")).plain()?;
    loaded.prints([format!("planted ./{name}")])?;
    let run = run.arg("libfound.so").declare([bed.path("declared")]);
    run.plain()?.misses("libfound.so")?;
    let audited = run.audited()?;
    let expected = text(&declared, &needs_version(bed, NEVER)) + "\n";
    ensure!(audited.stderr == expected && audited.stdout.is_empty(), "{audited}");
    Ok(())
}

/// One that lies in the declared directory: then nothing is told.
fn planted_in_declared_directory(bed: &Bed) -> Result<()> {
    never(bed, "declared")?;
    let run = bed.run(bed.program("main").build()?).arg("libfound.so").declare([bed.path("declared")]);
    let plain = run.plain()?;
    plain.misses("libfound.so")?;
    run.audited()?.fails_with(&refusal_name(bed))?;
    let planted = bed.path("declared").join(refusal_name(bed));
    fs::copy(bed.library("libplanted.so").says("planted").build()?, &planted)?;
    run.audited()?.equals(&plain)?;
    fs::remove_file(&planted)?;
    symlink("nowhere.so", &planted)?;
    run.audited()?.fails_with("libfound.so")?.fails_with(NO_FILE)?;
    Ok(())
}

/// Others may put a file with the refusal's name beside a single file that is declared: it is ignored then.
fn planted_beside_a_file(bed: &Bed) -> Result<()> {
    let unfit = never(bed, "shared")?;
    let run = bed.run(bed.program("main").build()?).arg("libfound.so").declare([&unfit]);
    let plain = run.plain()?;
    plain.misses("libfound.so")?;
    run.audited()?.fails_with(&refusal_name(bed))?;
    fs::set_permissions(bed.path("shared"), fs::Permissions::from_mode(0o1777))?;
    run.audited()?.equals(&plain)?;
    Ok(())
}

/// A foreign file may call its versions what it likes.
fn odd_version(bed: &Bed, bytes: &[u8], shown: &str) -> Result<()> {
    let name = format!("GLIBC_{}", "9".repeat(bytes.len() - "GLIBC_".len()));
    let stub = bed.library("stubs/libc.so.6").defines(&[&name]).build()?;
    let declared = bed.library("declared/libfound.so").uses(&[&name]).needs(&stub).defines(&["X_1"]).build()?;
    let mut file = Damage::read(&declared)?;
    file.rename(&name, bytes)?;
    file.write(&declared)?;
    is_told(bed, &needs_version(bed, shown))
}

/// A name that no version has.
fn long_version(bed: &Bed) -> Result<()> {
    let name = format!("GLIBC_{}", "9".repeat(300));
    let stub = bed.library("stubs/libc.so.6").defines(&[&name]).build()?;
    bed.library("declared/libfound.so").says("declared").uses(&[&name]).needs(&stub).build()?;
    is_told(bed, "its symbol versions are damaged; declare a whole one")
}

/// A file name that leaves no room for a reason.
fn long_soname(bed: &Bed) -> Result<()> {
    let soname = format!("lib{}.so", "x".repeat(244));
    needing(bed, &format!("declared/{soname}"), "declared", "libc.so.6", NEVER)?;
    let run = bed.run(bed.program("main").build()?).arg(&soname).declare([bed.path("declared")]);
    let plain = run.plain()?;
    plain.misses(&soname)?;
    run.audited()?.equals(&plain)?;
    Ok(())
}

/// The file name of a requester is foreign, too. (`$x` is no token: ld.so leaves it in a path.)
fn requester_with_odd_name(bed: &Bed) -> Result<()> {
    let declared = defining(bed, "declared/libx.so.1", "declared", &["X_1"])?;
    let odd = bed.path("own/lib$x\x1b[2J.so");
    fs::rename(wheel(bed, "own/lib.so", "libx.so.1", &["X_2"])?, &odd)?;
    let run = bed.run(bed.program("main").build()?).arg(odd).declare([bed.path("declared")]);
    run.plain()?.misses("libx.so.1")?;
    let reason = "does not define X_2, which lib?x?[2J.so needs; declare a newer build of it";
    run.audited()?.fails_with(&text(&declared, reason))?;
    Ok(())
}

/// A program that can do without it goes on as ever: errno and dlerror are what they are, and later libraries are
/// found.
fn goes_on(bed: &Bed) -> Result<()> {
    let declared = never(bed, "declared")?;
    bed.library("declared/libother.so").says("other").build()?;
    let own = bed.library("own/libown.so").says("own").build()?;
    let main = bed.program("main").source(include_str!("../../fixtures/goes_on.c")).build()?;
    let run = bed.run(main).args(["libfound.so", "libfound.so"]).arg(&own).declare([bed.path("declared")]);
    let plain = run.plain()?;
    // dlopen leaves errno as it was, or says what went wrong there, too.
    let said: Vec<&str> = plain.stdout.lines().collect();
    let error = *said.get(1).context("it says nothing")?;
    let twice = |name: &str| format!("{name}: {NO_FILE}\n{error}\nonce\n").repeat(2);
    ensure!(plain.stdout == twice("libfound.so") + "own\n", "{plain}");
    let audited = run.arg("libother.so").audited()?;
    let reason = needs_version(bed, NEVER);
    let name = format!("{} ({reason})", declared.display());
    ensure!(audited.runs()?.stdout == twice(&name) + "own\nother\n", "{audited}");
    Ok(())
}

/// Python shows it, and can go on.
fn python(bed: &Bed) -> Result<()> {
    let declared = never(bed, "declared")?;
    bed.library("declared/libother.so").source("int answer(void) { return 42; }").build()?;
    let code = "import ctypes
try:
    ctypes.CDLL('libfound.so')
except OSError as error:
    print(error)
print(ctypes.CDLL('libother.so').answer())";
    let run = bed.run(&bed.channel.python).args(["-c", code]).declare([bed.path("declared")]);
    run.plain()?.fails_with("libother.so")?;
    run.audited()?.prints([text(&declared, &needs_version(bed, NEVER)), "42".into()])?;
    Ok(())
}

/// A path that does not exist is looked up by its name: what is told is what is declared.
fn missing_distribution_path(bed: &Bed) -> Result<()> {
    let declared = never(bed, "declared")?;
    let path = "/usr/lib/x86_64-linux-gnu/libfound.so";
    let run = bed.run(bed.program("main").build()?).arg(path).declare([bed.path("declared")]);
    run.plain()?.misses(path)?;
    run.audited()?.fails_with(&text(&declared, &needs_version(bed, NEVER)))?;
    Ok(())
}

/// ldd lists what is not found, and goes on.
fn ldd(bed: &Bed) -> Result<()> {
    let declared = never(bed, "declared")?;
    let good = bed.library("declared/libother.so").says("other").build()?;
    let main = bed.program("main").needs(&declared).needs(&good).build()?;
    let run = bed.run(main).env("LD_TRACE_LOADED_OBJECTS", "1").declare([bed.path("declared")]);
    let plain = run.plain()?;
    ensure!(plain.stdout.contains("libfound.so => not found\n"), "{plain}");
    let audited = run.audited()?;
    let found = format!("\t{} (0x", good.display());
    ensure!(audited.stdout.contains("\tlibfound.so => not found\n") && audited.stdout.contains(&found), "{audited}");
    ensure!(audited.stdout.contains("libc.so.6 => ") && audited.status == plain.status, "{audited}");
    // With what `ldd -v -r` sets, it goes into versions and symbols.
    let verbose = run.env("LD_VERBOSE", "1").env("LD_WARN", "yes").env("LD_BIND_NOW", "yes");
    let (plain, audited) = (verbose.plain()?, verbose.audited()?);
    ensure!(audited.stdout.contains("=> not found") && audited.status == plain.status, "{plain}{audited}");
    Ok(())
}

/// What ld.so does not find it looks for once more, by its soname, where versions of it are needed. It goes by whether
/// the variable is there, whatever it says.
fn ldd_of_versions(bed: &Bed) -> Result<()> {
    defining(bed, "declared/libx.so.1", "declared", &["X_1"])?;
    let plugin = wheel(bed, "own/libplugin.so", "libx.so.1", &["X_2"])?;
    let reference = bed.library("reference/libx.so.1").says("reference").defines(&["X_2"]).build()?;
    let main = bed.program("main").uses(&["X_2"]).needs(&reference).build()?;
    let through = bed.program("through").needs(&plugin).runpath("$ORIGIN/own").build()?;
    for program in [main, through] {
        let run = bed.run(program).declare([bed.path("declared")]);
        run.audited()?.fails_with("(does not define X_2, ")?;
        for value in ["1", ""] {
            let run = run.clone().env("LD_TRACE_LOADED_OBJECTS", value);
            let verbose = run.clone().env("LD_VERBOSE", "1").env("LD_WARN", "yes").env("LD_BIND_NOW", "yes");
            for run in [run, verbose] {
                let (plain, audited) = (run.plain()?, run.audited()?);
                ensure!(plain.stdout.contains("\tlibx.so.1 => not found\n"), "{plain}");
                let lines =
                    |outcome: &Outcome| outcome.stdout.lines().map(without_address).collect::<Vec<_>>().join("\n");
                ensure!(lines(&plain) == lines(&audited) && plain.stderr == audited.stderr, "{plain}{audited}");
                ensure!(plain.status == audited.status, "{plain}{audited}");
            }
        }
    }
    Ok(())
}

/// A line of ldd's without the address, which is another one each time.
fn without_address(line: &str) -> &str {
    line.split_once(" (0x").map_or(line, |(line, _)| line)
}

/// The log says what was refused, and at level 3 why each candidate was.
fn log(bed: &Bed) -> Result<()> {
    let declared = never(bed, "declared")?;
    let broken = bed.file("broken/libfound.so", "no library")?;
    let run = bed.run(bed.program("main").build()?).arg("libfound.so");
    let run = run.declare([bed.path("broken"), bed.path("declared")]);
    run.plain()?.misses("libfound.so")?;
    let refused = format!("not found.\nrefused: {} ({})\n", declared.display(), needs_version(bed, NEVER));
    let each = [
        format!("  {}: it is not an ELF file of this byte order\n", broken.display()),
        format!("  {}: it needs {NEVER}, which this glibc does not define\n", declared.display()),
    ];
    for level in ["1", "2", "3"] {
        let log = bed.path(format!("log.{level}"));
        run.clone().env(LEVEL, level).env(FILE, &log).audited()?.fails_with(NEVER)?;
        let log = if log.exists() { read(&log)? } else { String::new() };
        ensure!(log.contains(&refused) == (level != "1"), "level {level}:\n{log}");
        ensure!(each.iter().all(|line| log.contains(line) == (level == "3")), "level {level}:\n{log}");
    }
    // Without the text there is still the log.
    let quiet = bed.path("log.quiet");
    run.env("REPLIT_RTLD_HINTS", "0").env(LEVEL, "2").env(FILE, &quiet).audited()?.misses("libfound.so")?;
    let log = read(&quiet)?;
    ensure!(log.contains("not found.\n") && !log.contains("refused: "), "{log}");
    Ok(())
}

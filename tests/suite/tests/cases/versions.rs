//! A declared library is handed out only if all versions are there: those that it needs of this process's glibc, and
//! those that are needed of it. A name is not enough.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::damage::{Damage, field};
use suite::dynamic::Dynamic;
use suite::manifest::Channel;
use suite::object::Object;

use super::{Case, line};

/// A version that no glibc has.
pub const NEVER: &str = "GLIBC_9.99";

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("versions/of-another-member", of_another_member),
        Case::new("versions/packed-relocations", packed_relocations),
        // Debian's linker does not pack them on aarch64.
        Case::new("versions/packed-relocations-unsaid", packed_relocations_unsaid)
            .channel(|channel| channel.system != "aarch64-linux")
            .since((2, 36)),
        Case::new("versions/packed-relocations-untold", packed_relocations_untold)
            .channel(|channel| channel.system != "aarch64-linux"),
        Case::new("versions/executable-stack", executable_stack),
        Case::new("versions/real-glibc", real_glibc),
        Case::new("versions/weak-need", weak_need),
        Case::new("versions/first-that-fits", first_that_fits),
        Case::new("versions/needed-of-it", needed_of_it),
        Case::new("versions/conflicts-with-loaded", conflicts_with_loaded),
        Case::new("versions/loaded-in-another-namespace", loaded_in_another_namespace).since((2, 35)),
        Case::new("versions/unversioned-for-nobody", unversioned_for_nobody),
        Case::new("versions/unversioned-alone", unversioned_alone),
        Case::new("versions/without-any-table", without_any_table),
        Case::new("versions/two-names-of-one-file", two_names_of_one_file),
        Case::new("versions/two-names-nowhere-to-go", two_names_nowhere_to_go),
        Case::new("versions/path-of-what-is-loaded", path_of_what_is_loaded),
        Case::new("versions/unversioned-before-versioned", unversioned_before_versioned),
        Case::new("versions/versioned-before-unversioned", versioned_before_unversioned),
        Case::new("versions/old-before-unversioned", old_before_unversioned),
        Case::new("versions/real-libstdcxx", real_libstdcxx).store_only().several_channels(),
        Case::new("versions/real-libstdcxx-of-two-wheels", real_libstdcxx_of_two_wheels)
            .store_only()
            .several_channels(),
    ];
    for member in ["libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1"] {
        let case = Case::new(format!("versions/unmet/{member}"), move |bed| unmet(bed, member, NEVER));
        cases.push(if member == "libc.so.6" { case } else { case.glibc_of_the_machine() });
    }
    for member in ["libc.so.6", "libm.so.6"] {
        let case = Case::new(format!("versions/private/{member}"), move |bed| unmet(bed, member, "GLIBC_PRIVATE"));
        cases.push(if member == "libc.so.6" { case } else { case.glibc_of_the_machine() });
    }
    for soname in [STDCXX, LIBGCC, "libgomp.so.1", "libgfortran.so.5"] {
        let case =
            Case::new(format!("versions/defines-most/{soname}"), move |bed| defines_most(bed, soname)).store_only();
        // nixpkgs' ld.so looks by default where its own is: in the glibc, or beside it since that has it no more.
        cases.push(if soname == LIBGCC { case.channel(|channel| !is_by_default(channel, LIBGCC)) } else { case });
    }
    cases
}

/// Builds a library that needs a version of a member of the glibc family, whether there is such a thing or not.
pub fn needing(bed: &Bed, place: &str, says: &str, member: &str, version: &str) -> Result<PathBuf> {
    let stub = bed.library(&format!("stubs/{version}/{member}")).defines(&[version]).build()?;
    bed.library(place).says(says).uses(&[version]).needs(&stub).build()
}

/// Builds a library that defines versions, all the same but for them.
pub fn defining(bed: &Bed, place: &str, says: &str, versions: &[&str]) -> Result<PathBuf> {
    bed.library(place).says(says).defines(versions).build()
}

/// Builds a library that defines no versions, but needs some, as most without do.
fn unversioned(bed: &Bed, place: &str, says: &str) -> Result<PathBuf> {
    let source = format!(
        "int getpid(void); int (*volatile used)(void) = getpid;\nconst char *who(void) {{ return \"{says}\"; }}\n"
    );
    let libc = bed.channel.glibc_lib.join("libc.so.6");
    bed.library(place).source(source).has_functions_of(&["X_2"]).needs(&libc).build()
}

/// Builds a library that needs versions of the one with this soname.
pub fn wheel(bed: &Bed, place: &str, soname: &str, versions: &[&str]) -> Result<PathBuf> {
    let reference = bed.library(&format!("reference/{place}/{soname}")).says("reference").defines(versions).build()?;
    bed.library(place).says("wheel").uses(versions).needs(&reference).build()
}

/// The program opens `libfound.so`, which is declared twice: the one in `good` is handed out, and not the one in `bad`.
pub fn passes_over(bed: &Bed) -> Result<()> {
    let run = bed.run(bed.program("main").build()?).arg("libfound.so").declare([bed.path("bad"), bed.path("good")]);
    run.plain()?.misses("libfound.so")?;
    run.audited()?.prints([line("good", &bed.path("good/libfound.so"))])?;
    Ok(())
}

/// What counts in a namespace of its own (dlmopen(3)) is what that has. The program has an old library, and what the plugin needs gets
/// the new one that it needs.
fn loaded_in_another_namespace(bed: &Bed) -> Result<()> {
    let old = defining(bed, "own/libdep.so.1", "old", &["X_1"])?;
    defining(bed, "declared/libdep.so.1", "new", &["X_1", "X_2"])?;
    let reference = defining(bed, "reference/libdep.so.1", "reference", &["X_2"])?;
    let middle = bed.library("declared/libmiddle.so").says("middle").uses(&["X_2"]).needs(&reference).build()?;
    let plugin = bed.library("libplugin.so").says("plugin").needs(&middle).build()?;
    let main = bed.program("main").source(include_str!("../../fixtures/dlmopen.c")).flag("-Wl,--no-as-needed");
    let main = main.needs(&old).runpath("$ORIGIN/own").build()?;
    let run = bed.run(main).arg(plugin).declare([bed.path("declared")]);
    run.plain()?.misses("libmiddle.so")?;
    run.audited()?.prints(["plugin"])?;
    Ok(())
}

/// A library that needs a version of each of two, which are one file. (So it is with ncurses in nixpkgs, where libtinfo.so.6 is
/// libncursesw.so.6.) ld.so ends a process that knows the second name not as the name of that file.
fn needs_two_names<'b>(bed: &'b Bed, real: &str, alias: &str) -> Result<Object<'b>> {
    defining(bed, &format!("declared/{real}"), "both", &["X_1", "Y_1"])?;
    symlink(real, bed.path("declared").join(alias))?;
    let first = defining(bed, &format!("reference/{real}"), "reference", &["X_1"])?;
    let second = defining(bed, &format!("reference/{alias}"), "reference", &["Y_1"])?;
    Ok(bed.library("libplugin.so").says("plugin").uses(&["X_1", "Y_1"]).needs(&first).needs(&second))
}

fn two_names_of_one_file(bed: &Bed) -> Result<()> {
    // As the real one is called first, and last.
    for (real, alias) in [("libone.so.1", "libtwo.so.1"), ("libtwo.so.2", "libone.so.2")] {
        let plugin = needs_two_names(bed, real, alias)?.build()?;
        let run = bed.run(bed.program("main").build()?).arg(&plugin);
        run.plain()?.misses(real)?;
        let expected = line("plugin", &plugin);
        run.clone().env("LD_LIBRARY_PATH", bed.path("declared")).plain()?.prints([&expected])?;
        run.declare([bed.path("declared")]).audited()?.prints([&expected])?;
    }
    Ok(())
}

/// Where ld.so comes to no default directory, there is nothing to be done: the library is missing, as it is without us.
fn two_names_nowhere_to_go(bed: &Bed) -> Result<()> {
    let plugin = needs_two_names(bed, "libone.so.1", "libtwo.so.1")?.flag("-Wl,-z,nodefaultlib").build()?;
    let run = bed.run(bed.program("main").build()?).arg(&plugin).declare([bed.path("declared")]);
    run.plain()?.misses("libone.so.1")?;
    run.audited()?.misses("libtwo.so.1")?;
    Ok(())
}

/// A version is needed by a path where nothing is, and the file of that name is loaded already: by ld.so itself, or from what is
/// declared. Nobody is asked again for a path: it is missing, as it is without us.
fn path_of_what_is_loaded(bed: &Bed) -> Result<()> {
    let path = "/usr/lib/libgone.so.1";
    let reference = bed.library("reference/libgone.so.1").soname(Some(path)).says("reference").defines(&["X_1"]);
    let plugin = bed.library("libplugin.so").says("plugin").uses(&["X_1"]).needs(&reference.build()?);
    let plugin = plugin.runpath(&bed.path("own").display().to_string()).build()?;
    let main = bed.program("main").build()?;
    for place in ["own/libgone.so.1", "declared/libgone.so.1"] {
        let library = defining(bed, place, "gone", &["X_1"])?;
        let run = bed.run(&main).args([&library, &plugin]).declare([bed.path("declared")]);
        run.plain()?.misses(path)?;
        let audited = run.audited()?;
        audited.misses(path)?;
        ensure!(audited.stdout.lines().eq([line("gone", &library)]), "{audited}");
        std::fs::remove_file(library)?;
    }
    Ok(())
}

/// A version that this glibc does not define, or that it shares with nobody.
fn unmet(bed: &Bed, member: &str, version: &str) -> Result<()> {
    let bad = needing(bed, "bad/libfound.so", "bad", member, version)?;
    bed.library("good/libfound.so").says("good").build()?;
    if version == NEVER {
        let run = bed.run(bed.program("main").build()?).arg(bad);
        run.plain()?.fails_with(&format!("version `{NEVER}' not found"))?;
    }
    passes_over(bed)
}

/// A version that libc defines is needed of libm, which does not. And the reverse, where there is such a version.
fn of_another_member(bed: &Bed) -> Result<()> {
    let versions = |member: &str| Dynamic::read(&bed.channel.glibc_lib.join(member)).map(|dynamic| dynamic.versions);
    let (libc, libm) = (versions("libc.so.6")?, versions("libm.so.6")?);
    let only = |these: &[String], those: &[String]| {
        these.iter().rfind(|version| version.starts_with("GLIBC_2.") && !those.contains(version)).cloned()
    };
    let of_libc = only(&libc, &libm).context("libm defines all that libc does")?;
    let mut pairs = vec![("libm.so.6", "libc.so.6", of_libc)];
    pairs.extend(only(&libm, &libc).map(|of_libm| ("libc.so.6", "libm.so.6", of_libm)));
    for (wrong, right, version) in pairs {
        bed.library("good/libfound.so").says("good").build()?;
        needing(bed, "bad/libfound.so", "bad", wrong, &version)?;
        passes_over(bed)?;
        // It is there all the same.
        needing(bed, "good/libfound.so", "good", right, &version)?;
        passes_over(bed)?;
    }
    Ok(())
}

/// The packed relocations of newer linkers, which glibc knows from 2.36 on.
fn packed_relocations(bed: &Bed) -> Result<()> {
    let packed = needing(bed, "first/libfound.so", "first", "libc.so.6", "GLIBC_ABI_DT_RELR")?;
    let good = bed.library("second/libfound.so").says("second").build()?;
    let run = bed.run(bed.program("main").build()?).arg("libfound.so");
    let run = run.declare([bed.path("first"), bed.path("second")]);
    run.plain()?.misses("libfound.so")?;
    let expected = if bed.channel.version() >= (2, 36) { line("first", &packed) } else { line("second", &good) };
    run.audited()?.prints([expected])?;
    Ok(())
}

/// Some linkers don't say that they packed them. An older glibc leaves such pointers as they are.
fn packed_relocations_untold(bed: &Bed) -> Result<()> {
    let newest = bed.manifest.channels.iter().max_by_key(|channel| channel.version()).context("there is no channel")?;
    let source = "const char *volatile text = \"first\";\nconst char *who(void) { return text; }\n";
    let packed = bed.library("first/libfound.so").channel(newest).source(source);
    let packed = packed.flag("-Wl,-z,pack-relative-relocs").build()?;
    ensure!(Dynamic::read(&packed)?.relr, "nothing is packed");
    let good = bed.library("second/libfound.so").says("second").build()?;
    let main = bed.program("main").build()?;
    let run = |directories: &[&str]| {
        let run = bed.run(&main).arg("libfound.so");
        run.declare(directories.iter().map(|directory| bed.path(directory)))
    };
    let plain = bed.run(&main).arg(&packed).plain()?;
    run(&["first"]).plain()?.misses("libfound.so")?;
    if bed.channel.version() >= (2, 36) {
        plain.prints([line("first", &packed)])?;
        run(&["first", "second"]).audited()?.prints([line("first", &packed)])?;
    } else {
        ensure!(plain.runs().is_err() && plain.stderr.is_empty(), "ld.so notices: {plain}");
        run(&["first", "second"]).audited()?.prints([line("second", &good)])?;
        run(&["first"]).audited()?.fails_with(&format!("{} (needs GLIBC_ABI_DT_RELR, ", packed.display()))?;
    }
    Ok(())
}

/// Other linkers pack them in what needs versions of glibc, and do not say so: ld.so refuses that.
fn packed_relocations_unsaid(bed: &Bed) -> Result<()> {
    const HASH: u32 = 0xfd_0e42;
    let stub = bed.library("stubs/libc.so.6").defines(&["GLIBC_2.17"]).build()?;
    let source = "const char *volatile text = \"first\";\nconst char *who(void) { return text; }\n";
    let packed = bed.library("first/libfound.so").source(source).uses(&["GLIBC_2.17"]).defines(&["X_1"]).needs(&stub);
    let packed = packed.flag("-Wl,-z,pack-relative-relocs").build()?;
    ensure!(Dynamic::read(&packed)?.relr, "nothing is packed");
    // The other version is needed once more, in the place of this one.
    let mut file = Damage::read(&packed)?;
    let first = file.first_need();
    let second = first + file.number(first + field::VNA_NEXT) as usize;
    let (said, other) = if file.number(first) == HASH { (first, second) } else { (second, first) };
    ensure!(file.number(said) == HASH, "it does not say so");
    for part in [0, field::VNA_NAME] {
        file.set(said + part, file.number(other + part));
    }
    file.write(&packed)?;
    let good = bed.library("second/libfound.so").says("second").build()?;
    let main = bed.program("main").build()?;
    let refused = bed.run(&main).arg(&packed).plain()?;
    refused.fails_with("DT_RELR without GLIBC_ABI_DT_RELR dependency")?;
    let run = bed.run(&main).arg("libfound.so").declare([bed.path("first"), bed.path("second")]);
    run.plain()?.misses("libfound.so")?;
    run.audited()?.prints([line("second", &good)])?;
    let alone = bed.run(&main).arg("libfound.so").declare([bed.path("first")]).audited()?;
    alone.fails_with(&format!("{} (has DT_RELR without GLIBC_ABI_DT_RELR; ", packed.display()))?;
    Ok(())
}

/// From 2.41 on glibc makes the stack executable for what the program needs when it starts, and for nobody later.
fn executable_stack(bed: &Bed) -> Result<()> {
    let library = |place: &str| {
        let libc = bed.channel.glibc_lib.join("libc.so.6");
        let source = "int getpid(void); int (*volatile used)(void) = getpid;\n";
        let source = format!("{source}const char *who(void) {{ return \"{place}\"; }}\n");
        bed.library(&format!("{place}/libfound.so")).source(source).defines(&["X_1"]).needs(&libc)
    };
    let second = library("second").build()?;
    let said = library("said").flag("-Wl,-z,execstack").build()?;
    ensure!(Dynamic::read(&said)?.executable_stack == Some(true), "it needs no executable stack");
    // As old assemblers leave it: what that means is another thing on each kind of machine.
    let unsaid = library("unsaid").build()?;
    let mut without = Damage::read(&unsaid)?;
    without.without_stack()?;
    without.write(&unsaid)?;
    let main = bed.program("main").build()?;
    for (name, first) in [("said", &said), ("unsaid", &unsaid)] {
        let run = |program: &PathBuf, directories: &[&str]| {
            bed.run(program).declare(directories.iter().map(|directory| bed.path(directory)))
        };
        let by_path = bed.run(&main).arg(first).plain()?;
        let alone = run(&main, &[name]).arg("libfound.so");
        alone.plain()?.misses("libfound.so")?;
        alone.audited()?.equals(&by_path)?;
        let expected = if by_path.runs().is_ok() { line(name, first) } else { line("second", &second) };
        run(&main, &[name, "second"]).arg("libfound.so").audited()?.prints([expected])?;
        if name == "said" {
            let since = bed.channel.version() >= (2, 41);
            let refuses = by_path.stderr.contains("cannot enable executable stack as shared object requires");
            ensure!(refuses == since, "{by_path}");
        }
        let starts = bed.program("starts").needs(first).build()?;
        run(&starts, &[name]).plain()?.misses("libfound.so")?;
        run(&starts, &[name]).audited()?.prints([name])?;
    }
    Ok(())
}

/// What this glibc really defines is met.
fn real_glibc(bed: &Bed) -> Result<()> {
    let first = unversioned(bed, "first/libfound.so", "first")?;
    bed.library("second/libfound.so").says("second").build()?;
    let run = bed.run(bed.program("main").build()?).arg("libfound.so");
    let run = run.declare([bed.path("first"), bed.path("second")]);
    run.plain()?.misses("libfound.so")?;
    run.audited()?.prints([line("first", &first)])?;
    Ok(())
}

/// ld.so does without a version that is needed weakly.
fn weak_need(bed: &Bed) -> Result<()> {
    let stub = bed.library(&format!("stubs/{NEVER}/libc.so.6")).defines(&[NEVER]).build()?;
    let first = bed.library("first/libfound.so").says("first").uses(&[NEVER]).needs(&stub);
    let first = first.defines(&["X_1"]).build()?;
    let mut weak = Damage::read(&first)?;
    let flags = weak.first_need() + field::VNA_FLAGS;
    weak.set_half(flags, 2);
    weak.write(&first)?;
    bed.library("second/libfound.so").says("second").build()?;
    let main = bed.program("main").build()?;
    bed.run(&main).arg(&first).plain()?.prints([line("first", &first)])?;
    let run = bed.run(main).arg("libfound.so").declare([bed.path("first"), bed.path("second")]);
    run.plain()?.misses("libfound.so")?;
    run.audited()?.prints([line("first", &first)])?;
    Ok(())
}

/// Of ordinary libraries the first one that fits is taken, however much a later one defines.
fn first_that_fits(bed: &Bed) -> Result<()> {
    let first = defining(bed, "first/libx.so.1", "first", &["X_1"])?;
    defining(bed, "second/libx.so.1", "second", &["X_1", "X_2"])?;
    let plugin = wheel(bed, "own/libplugin.so", "libx.so.1", &["X_1"])?;
    let run = bed.run(bed.program("main").build()?).arg(plugin).arg("libx.so.1");
    let run = run.declare([bed.path("first"), bed.path("second")]);
    run.plain()?.misses("libx.so.1")?;
    run.audited()?.prints([line("wheel", &bed.path("own/libplugin.so")), line("first", &first)])?;
    Ok(())
}

/// The plugin needs X_2 of it: what the process gets is the second.
fn serves_plugin(bed: &Bed, expected: &str) -> Result<()> {
    let plugin = wheel(bed, "own/libplugin.so", "libx.so.1", &["X_2"])?;
    let run = bed.run(bed.program("main").build()?).arg(&plugin).arg("libx.so.1");
    let run = run.declare([bed.path("first"), bed.path("second")]);
    run.plain()?.misses("libx.so.1")?;
    let found = bed.path(expected).join("libx.so.1");
    run.audited()?.prints([line("wheel", &plugin), line(expected, &found)])?;
    Ok(())
}

/// An older build stands before the one that the plugin needs.
fn needed_of_it(bed: &Bed) -> Result<()> {
    let old = defining(bed, "first/libx.so.1", "first", &["X_1"])?;
    defining(bed, "second/libx.so.1", "second", &["X_1", "X_2"])?;
    let plugin = wheel(bed, "own/libplugin.so", "libx.so.1", &["X_2"])?;
    let old = old.parent().context("it is in a directory")?.display().to_string();
    let run = bed.run(bed.program("main").build()?).arg(plugin).env("LD_LIBRARY_PATH", old);
    run.plain()?.fails_with("version `X_2' not found")?;
    serves_plugin(bed, "second")
}

/// A library of which a version is needed is loaded already, in another build: that one counts, wherever the newer one
/// is.
fn conflicts_with_loaded(bed: &Bed) -> Result<()> {
    let old = defining(bed, "own/libinner.so.1", "old", &["X_1"])?;
    defining(bed, "inner/libinner.so.1", "new", &["X_1", "X_2"])?;
    let bad = wheel(bed, "bad/libfound.so", "libinner.so.1", &["X_2"])?;
    let good = wheel(bed, "good/libfound.so", "libinner.so.1", &["X_1"])?;
    let main = bed.program("main").build()?;
    let declare = |entries: &[&str]| bed.run(&main).declare(entries.iter().map(|entry| bed.path(entry)));
    // It is not in the way where nothing is loaded yet.
    declare(&["bad", "good", "inner"]).arg("libfound.so").audited()?.prints([line("wheel", &bad)])?;
    bed.run(&main).arg(&old).arg(&bad).plain()?.fails_with("version `X_2' not found")?;
    let run = |entries: &[&str]| declare(entries).arg(&old).arg("libfound.so");
    run(&["bad", "good"]).plain()?.misses("libfound.so")?;
    run(&["bad", "good", "inner"]).audited()?.prints([line("old", &old), line("wheel", &good)])?;
    let reason = "needs X_2, which the libinner.so.1 that is loaded does not define; declare an older build of it";
    run(&["bad", "inner"]).audited()?.misses(&format!("{} ({reason})", bad.display()))?;
    Ok(())
}

/// A library without versions, of which none are needed.
fn unversioned_for_nobody(bed: &Bed) -> Result<()> {
    let first = unversioned(bed, "first/libx.so.1", "first")?;
    defining(bed, "second/libx.so.1", "second", &["X_2"])?;
    let run = bed.run(bed.program("main").build()?).arg("libx.so.1");
    let run = run.declare([bed.path("first"), bed.path("second")]);
    run.plain()?.misses("libx.so.1")?;
    run.audited()?.prints([line("first", &first)])?;
    Ok(())
}

/// ld.so takes a library without versions for one that has them all, and warns of it when the program is started.
fn unversioned_alone(bed: &Bed) -> Result<()> {
    let only = unversioned(bed, "first/libx.so.1", "first")?;
    let plugin = wheel(bed, "own/libplugin.so", "libx.so.1", &["X_2"])?;
    let run = bed.run(bed.program("main").build()?).arg(&plugin).arg("libx.so.1").declare([bed.path("first")]);
    run.plain()?.misses("libx.so.1")?;
    run.audited()?.prints([line("wheel", &plugin), line("first", &only)])?;

    let reference = bed.library("reference/libx.so.1").says("reference").defines(&["X_2"]).build()?;
    let main = bed.program("needs").uses(&["X_2"]).needs(&reference).build()?;
    let run = bed.run(main).declare([bed.path("first")]);
    let beside = run.clone().env("LD_LIBRARY_PATH", bed.path("first")).plain()?;
    ensure!(beside.stdout == "first\n" && beside.stderr.contains("no version information available"), "{beside}");
    run.plain()?.misses("libx.so.1")?;
    run.audited()?.equals(&beside)?;
    Ok(())
}

/// A library without any table of versions at all. Of such a one, too, ld.so says nothing until a symbol is looked up
/// in it: then it aborts the process, up to some glibc after 2.36.
fn without_any_table(bed: &Bed) -> Result<()> {
    let only = bed.library("first/libx.so.1").says("first").has_functions_of(&["X_2"]).build()?;
    let plugin = wheel(bed, "own/libplugin.so", "libx.so.1", &["X_2"])?;
    let run = bed.run(bed.program("main").build()?).arg(&plugin);
    let beside = run.clone().env("LD_LIBRARY_PATH", bed.path("first")).plain()?;
    let run = run.declare([bed.path("first")]);
    run.plain()?.misses("libx.so.1")?;
    let audited = run.audited()?;
    match beside.stderr.contains("Inconsistency detected by ld.so") {
        true => audited.fails_with(&format!("{} (does not define X_2, ", only.display()))?,
        false => audited.equals(&beside)?,
    };
    defining(bed, "second/libx.so.1", "second", &["X_2"])?;
    serves_plugin(bed, "second")
}

/// One that says that it has what is needed goes before one that says nothing.
fn unversioned_before_versioned(bed: &Bed) -> Result<()> {
    unversioned(bed, "first/libx.so.1", "first")?;
    defining(bed, "second/libx.so.1", "second", &["X_2"])?;
    serves_plugin(bed, "second")
}

fn versioned_before_unversioned(bed: &Bed) -> Result<()> {
    defining(bed, "first/libx.so.1", "first", &["X_2"])?;
    unversioned(bed, "second/libx.so.1", "second")?;
    serves_plugin(bed, "first")
}

/// One that says nothing goes before one that says that it lacks what is needed.
fn old_before_unversioned(bed: &Bed) -> Result<()> {
    defining(bed, "first/libx.so.1", "first", &["X_1"])?;
    unversioned(bed, "second/libx.so.1", "second")?;
    serves_plugin(bed, "second")
}

/// Whether ld.so finds it without any RUNPATH. Of the default directories outside of the store nothing is to be seen in these cases.
fn is_by_default(channel: &Channel, soname: &str) -> bool {
    let mut directories = channel.default_directories.iter().filter(|directory| directory.starts_with("/nix/store"));
    directories.any(|directory| directory.join(soname).exists())
}

/// The first wheel would be served by either of the compiler's runtime libraries, the second only by the newer one.
fn defines_most(bed: &Bed, soname: &str) -> Result<()> {
    defining(bed, &format!("first/{soname}"), "first", &["X_1"])?;
    let newer = defining(bed, &format!("second/{soname}"), "second", &["X_1", "X_2"])?;
    defining(bed, &format!("third/{soname}"), "third", &["X_1"])?;
    let wheels =
        [wheel(bed, "own/libone.so", soname, &["X_1"])?, wheel(bed, "own/libtwo.so", soname, &["X_1", "X_2"])?];
    let run = bed.run(bed.program("main").build()?).args(&wheels).arg(soname);
    run.clone().env("LD_LIBRARY_PATH", bed.path("first")).plain()?.fails_with("version `X_2' not found")?;
    let run = run.declare(["first", "second", "third"].map(|directory| bed.path(directory)));
    run.plain()?.misses(soname)?;
    run.audited()?.prints(
        [line("wheel", &wheels[0]), line("wheel", &wheels[1]), line("somebody", &newer)]
            .map(|line| line.replace("somebody", "second")),
    )?;
    Ok(())
}

pub const STDCXX: &str = "libstdc++.so.6";

const LIBGCC: &str = "libgcc_s.so.1";

/// libstdc++ of every channel, this one's last: the directories, and the newest version of each.
pub fn libstdcxx(bed: &Bed) -> Result<Vec<(PathBuf, String)>> {
    let mut channels: Vec<_> = bed.manifest.channels.iter().collect();
    channels.sort_by_key(|channel| channel.name == bed.channel.name);
    let newest = |directory: PathBuf| {
        let versions = Dynamic::read(&directory.join(STDCXX))?.versions;
        let numbered = versions.into_iter().filter(|version| version.starts_with("GLIBCXX_3.4."));
        let last = numbered.max_by_key(|version| version["GLIBCXX_3.4.".len()..].parse::<u32>().unwrap_or(0));
        Ok((directory, last.context("libstdc++ defines no version")?))
    };
    channels.iter().map(|channel| newest(channel.libraries.get("libstdcxx").context(STDCXX)?.join("lib"))).collect()
}

/// A wheel that was built for this channel needs its newest version, and there are older ones and ones for newer glibcs
/// before it.
fn real_libstdcxx(bed: &Bed) -> Result<()> {
    let libraries = libstdcxx(bed)?;
    let (own, newest) = libraries.last().context("there is no channel")?;
    let plugin = wheel(bed, "own/libwheel.so", STDCXX, &[newest])?;
    let run = bed.run(bed.program("main").build()?).arg(&plugin).arg(STDCXX);
    let run = run.declare(libraries.iter().map(|(directory, _)| directory));
    run.plain()?.misses(STDCXX)?;
    run.audited()?.prints([line("wheel", &plugin), line("somebody", &own.join(STDCXX))])?;
    Ok(())
}

/// The first wheel needs only what all of them have.
fn real_libstdcxx_of_two_wheels(bed: &Bed) -> Result<()> {
    let libraries = libstdcxx(bed)?;
    let (own, newest) = libraries.last().context("there is no channel")?;
    let first = wheel(bed, "own/libfirst.so", STDCXX, &["GLIBCXX_3.4.21"])?;
    let second = wheel(bed, "own/libsecond.so", STDCXX, &["GLIBCXX_3.4.21", newest])?;
    let run = bed.run(bed.program("main").build()?).arg(&first).arg(&second).arg(STDCXX);
    let run = run.declare(libraries.iter().map(|(directory, _)| directory));
    run.plain()?.misses(STDCXX)?;
    run.audited()?.prints([line("wheel", &first), line("wheel", &second), line("somebody", &own.join(STDCXX))])?;
    Ok(())
}

//! A library that ld.so cannot find comes from what was declared, whoever asks for it and however.

use std::path::Path;

use anyhow::Result;
use suite::bed::Bed;

use super::{Case, line};

/// A library that another one passes on the answer of.
const INNER: &str = "const char *inner(void) { return \"inner\"; }";
const RELAY: &str = "const char *inner(void); const char *who(void) { return inner(); }";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("found/needed-by-main", needed_by_main),
        Case::new("found/needed-by-library", needed_by_library),
        Case::new("found/opened-by-main", opened_by_main),
        Case::new("found/opened-by-library", opened_by_library),
        Case::new("found/preloaded-by-name", preloaded_by_name),
        Case::new("found/chain", chain),
        Case::new("found/single-file", single_file),
        Case::new("found/through-symlinks", through_symlinks),
        Case::new("found/first-declared", first_declared),
        Case::new("found/opened-again", opened_again),
        Case::new("found/nodeflib", nodeflib),
        Case::new("found/missing-distribution-path", missing_distribution_path),
        Case::new("found/missing-path-of-own-library", missing_path_of_own_library),
        Case::new("found/missing-path-of-loaded-library", missing_path_of_loaded_library),
        Case::new("found/stack-of-four-bytes", stack_of_four_bytes).system("i686-linux"),
        Case::new("found/other-missing-path", other_missing_path),
        Case::new("found/relative-path", relative_path),
        Case::new("found/undeclared", undeclared),
    ]
}

/// DT_NEEDED of the program.
fn needed_by_main(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let main = bed.program("main").needs(&library).build()?;
    let run = bed.run(main).declare([bed.path("declared")]);
    run.plain()?.misses("libfound.so")?;
    run.audited()?.prints(["declared"])?;
    Ok(())
}

/// DT_NEEDED of a library that ld.so finds itself.
fn needed_by_library(bed: &Bed) -> Result<()> {
    let inner = bed.library("declared/libinner.so").source(INNER).build()?;
    let outer = bed.library("own/libouter.so").source(RELAY).needs(&inner).build()?;
    let main = bed.program("main").needs(&outer).runpath("$ORIGIN/own").build()?;
    let run = bed.run(main).declare([bed.path("declared")]);
    run.plain()?.misses("libinner.so")?;
    run.audited()?.prints(["inner"])?;
    Ok(())
}

/// dlopen by the program.
fn opened_by_main(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let run = bed.run(bed.program("main").build()?).arg("libfound.so").declare([bed.path("declared")]);
    run.plain()?.misses("libfound.so")?;
    run.audited()?.prints([line("declared", &library)])?;
    Ok(())
}

/// dlopen by a library: the search is that library's, and so is the fallback.
fn opened_by_library(bed: &Bed) -> Result<()> {
    bed.library("declared/libfound.so").says("declared").build()?;
    let opener = r#"
        void *dlopen(const char *, int);
        void *dlsym(void *, const char *);
        const char *who(void) {
            void *handle = dlopen("libfound.so", 2);
            const char *(*answer)(void) = handle ? (const char *(*)(void))dlsym(handle, "who") : 0;
            return answer ? answer() : "nobody";
        }"#;
    let opener = bed.library("own/libopener.so").source(opener).build()?;
    let main = bed.program("main").needs(&opener).runpath("$ORIGIN/own").build()?;
    let run = bed.run(main).declare([bed.path("declared")]);
    run.plain()?.prints(["nobody"])?;
    run.audited()?.prints(["declared"])?;
    Ok(())
}

/// LD_PRELOAD by bare name. Plain ld.so complains and goes on without it.
fn preloaded_by_name(bed: &Bed) -> Result<()> {
    bed.library("declared/libpreload.so").says("preloaded").build()?;
    let run = bed.run(bed.program("main").build()?).env("LD_PRELOAD", "libpreload.so").declare([bed.path("declared")]);
    let plain = run.plain()?;
    anyhow::ensure!(plain.stdout.is_empty() && plain.stderr.contains("cannot be preloaded"), "{plain}");
    run.audited()?.prints(["preloaded"])?;
    Ok(())
}

/// What was handed out needs more of what is declared, five deep, in two directories.
fn chain(bed: &Bed) -> Result<()> {
    let mut library = bed.library("even/libchain0.so").source("const char *link0(void) { return \"end\"; }").build()?;
    for depth in 1..5 {
        let place = ["even", "odd"][depth % 2];
        let below = depth - 1;
        let source =
            format!("const char *link{below}(void); const char *link{depth}(void) {{ return link{below}(); }}");
        library = bed.library(&format!("{place}/libchain{depth}.so")).source(source).needs(&library).build()?;
    }
    let source = "#include <stdio.h>\nconst char *link4(void);\nint main(void) { puts(link4()); return 0; }";
    let main = bed.program("main").source(source).needs(&library).build()?;
    let run = bed.run(main).declare([bed.path("even"), bed.path("odd")]);
    run.plain()?.misses("libchain4.so")?;
    run.audited()?.prints(["end"])?;
    Ok(())
}

/// An entry may be a file: its directory's other libraries stay undeclared.
fn single_file(bed: &Bed) -> Result<()> {
    let library = bed.library("driver/libfound.so.1").says("driver").build()?;
    bed.library("driver/libother.so.1").says("not declared").build()?;
    let run = bed.run(bed.program("main").build()?).declare([&library]);
    run.clone().arg("libfound.so.1").plain()?.misses("libfound.so.1")?;
    run.clone().arg("libfound.so.1").audited()?.prints([line("driver", &library)])?;
    run.arg("libother.so.1").audited()?.misses("libother.so.1")?;
    Ok(())
}

/// Libraries are mostly symlinks to a versioned file; ld.so keeps the name that it was given.
fn through_symlinks(bed: &Bed) -> Result<()> {
    bed.library("real/libfound.so.1.2.3").says("declared").build()?;
    let name = bed.dir("declared")?.join("libfound.so.1");
    std::os::unix::fs::symlink("../real/libfound.so.1.2.3", &name)?;
    let linked = bed.path("linked");
    std::os::unix::fs::symlink("declared", &linked)?;
    let run = bed.run(bed.program("main").build()?).arg("libfound.so.1").declare([&linked]);
    run.plain()?.misses("libfound.so.1")?;
    run.audited()?.prints([line("declared", &linked.join("libfound.so.1"))])?;
    Ok(())
}

/// Two declare it: the first in order is taken, also where the first entry lacks it.
fn first_declared(bed: &Bed) -> Result<()> {
    bed.library("empty/libelse.so").says("else").build()?;
    let first = bed.library("first/libfound.so").says("first").build()?;
    bed.library("second/libfound.so").says("second").build()?;
    let entries = ["empty", "first", "second"].map(|entry| bed.path(entry));
    let run = bed.run(bed.program("main").build()?).arg("libfound.so").declare(entries);
    run.plain()?.misses("libfound.so")?;
    run.audited()?.prints([line("first", &first)])?;
    Ok(())
}

/// The name that was redirected is ld.so's own name for the library from then on: one mapping, one handle.
fn opened_again(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let main = bed.program("main").needs(&library).build()?;
    let run = bed.run(main).arg("libfound.so").arg(&library).declare([bed.path("declared")]);
    run.plain()?.misses("libfound.so")?;
    let same = line("declared", &library);
    run.audited()?.prints(["declared", &same, &same])?;
    Ok(())
}

/// An object with DF_1_NODEFLIB does not search the default directories, and ld.so calls no auditor there.
fn nodeflib(bed: &Bed) -> Result<()> {
    let inner = bed.library("declared/libinner.so").source(INNER).build()?;
    let outer = bed.library("own/libouter.so").source(RELAY).needs(&inner).flag("-Wl,-z,nodefaultlib").build()?;
    let main = bed.program("main").needs(&outer).runpath("$ORIGIN/own").build()?;
    let run = bed.run(main).declare([bed.path("declared")]);
    run.plain()?.misses("libinner.so")?;
    run.audited()?.prints(["inner"])?;
    Ok(())
}

/// Programs of a distribution ask for /usr/lib/…: where that file does not exist, its name is looked up.
fn missing_distribution_path(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let main = bed.program("main").build()?;
    for directory in ["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib", "/lib", "/usr/lib64", "/lib64"]
    {
        let name = format!("{directory}/libfound.so");
        let run = bed.run(&main).arg(&name).declare([bed.path("declared")]);
        run.plain()?.misses(&name)?;
        run.audited()?.prints([line("declared", &library)])?;
    }
    Ok(())
}

/// The name of a distribution's path that does not exist is looked up as ever: first where ld.so looks.
fn missing_path_of_own_library(bed: &Bed) -> Result<()> {
    let own = bed.library("own/libfound.so").says("own").build()?;
    bed.library("declared/libfound.so").says("declared").build()?;
    let name = "/usr/lib/x86_64-linux-gnu/libfound.so";
    let main = bed.program("main").runpath("$ORIGIN/own").build()?;
    let run = bed.run(main).arg(name).declare([bed.path("declared")]);
    run.plain()?.misses(name)?;
    run.audited()?.prints([line("own", &own)])?;
    Ok(())
}

/// A distribution's path that does not exist, of a library that is loaded: by its name ld.so would take that one.
fn missing_path_of_loaded_library(bed: &Bed) -> Result<()> {
    let own = bed.library("elsewhere/libfound.so").says("own").build()?;
    bed.library("declared/libfound.so").says("declared").build()?;
    let main = bed.program("main").build()?;
    let missing = "/usr/lib/x86_64-linux-gnu/libfound.so";
    let run = bed.run(&main).declare([bed.path("declared")]);
    let twice = run.clone().arg(&own).arg("libfound.so");
    twice.plain()?.prints([line("own", &own), line("own", &own)])?;
    let path = run.clone().arg(&own).arg(missing);
    path.plain()?.misses(missing)?;
    path.audited()?.prints([line("own", &own), line("own", &own)])?;
    // By the name of its file alone ld.so would not take it, nor do we.
    let plugin = bed.library("plugins/libfound.so").soname(Some("plugin.so")).says("plugin").build()?;
    let declared = bed.path("declared/libfound.so");
    run.clone().arg(&plugin).arg(missing).audited()?.prints([line("plugin", &plugin), line("declared", &declared)])?;
    // Of one that was opened by a relative path it is not known where it is now.
    let run = run.working_directory(bed.path("elsewhere")).arg("./libfound.so").arg(missing);
    run.audited()?.prints([line("own", Path::new("./libfound.so")), line("declared", &declared)])?;
    Ok(())
}

/// Old compilers' programs keep their stack aligned to four bytes, wherever it is then.
fn stack_of_four_bytes(bed: &Bed) -> Result<()> {
    const OPENS: &str = r#"
        #include <alloca.h>
        #include <dlfcn.h>
        #include <stdio.h>
        static int opens(int more, const char *name) {
            volatile char *room = alloca(4 + 4 * more);
            *room = 0;
            register int stack asm("esp");
            int offset = stack & 15;
            void *handle = dlopen(name, RTLD_NOW);
            if (!handle || dlclose(handle))
                return puts(dlerror()), -1;
            return 1 << offset / 4;
        }
        int main(int argc, char **argv) {
            int tried = 0;
            for (int more = 0; more < 8; more++)
                tried |= opens(more, argv[1]);
            return !(printf("%x\n", tried) > 0);
        }"#;
    bed.library("declared/libfound.so").says("declared").build()?;
    let main = bed.program("main").source(OPENS).flag("-mpreferred-stack-boundary=2").build()?;
    let run = bed.run(&main).arg("libfound.so").declare([bed.path("declared")]);
    let own =
        bed.program("own").source(OPENS).flag("-mpreferred-stack-boundary=2").runpath("$ORIGIN/declared").build()?;
    // At each of the four places.
    bed.run(&own).arg("libfound.so").plain()?.prints(["f"])?;
    run.audited()?.prints(["f"])?;
    Ok(())
}

/// Any other path is somebody's own: it fails as it does without us.
fn other_missing_path(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let main = bed.program("main").build()?;
    let elsewhere = bed.path("elsewhere/libfound.so").display().to_string();
    for name in [&elsewhere, "/opt/libfound.so", "/usr/libexec/libfound.so", "/library/libfound.so"] {
        let run = bed.run(&main).arg(name).declare([bed.path("declared")]);
        run.plain()?.misses(name)?;
        run.audited()?.misses(name)?;
        // The auditor is at work there all the same.
        let both = run.arg("libfound.so").audited()?;
        anyhow::ensure!(both.stdout == line("declared", &library) + "\n", "{both}");
    }
    Ok(())
}

/// A relative name with a slash is a path from the working directory.
fn relative_path(bed: &Bed) -> Result<()> {
    bed.library("sub/libhere.so").says("here").build()?;
    bed.library("declared/libhere.so").says("declared").build()?;
    bed.library("declared/libfound.so").says("declared").build()?;
    let run = bed.run(bed.program("main").build()?).declare([bed.path("declared")]);
    let run = run.args(["sub/libhere.so", "sub/libfound.so", "libfound.so"]);
    let plain = run.plain()?;
    plain.misses("sub/libfound.so")?.misses("libfound.so")?;
    let audited = run.audited()?;
    audited.misses("sub/libfound.so")?;
    let found = line("declared", &bed.path("declared/libfound.so"));
    anyhow::ensure!(audited.stdout == format!("{}{found}\n", plain.stdout), "{plain}{audited}");
    Ok(())
}

/// What nobody declares fails with ld.so's own words.
fn undeclared(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let run = bed.run(bed.program("main").build()?).arg("libnowhere.so").declare([bed.path("declared")]);
    let plain = run.plain()?;
    plain.misses("libnowhere.so")?;
    run.audited()?.equals(&plain)?;
    let both = run.arg("libfound.so").audited()?;
    anyhow::ensure!(both.stdout == line("declared", &library) + "\n", "{both}");
    Ok(())
}

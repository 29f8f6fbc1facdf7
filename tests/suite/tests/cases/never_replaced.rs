//! A library that ld.so finds itself is never replaced, although another of its name is declared. And its reverse: where
//! ld.so does not look, a library that lies there is none.
//!
//! Each run also opens a library that only the declared directory has, so that no case passes without us at work.

use std::path::Path;

use anyhow::{Result, ensure};
use suite::bed::Bed;
use suite::manifest::View;
use suite::outcome::Outcome;
use suite::run::Run;

use super::{Case, line};

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("kept/rpath-inherited-from-loader", rpath_inherited_from_loader),
        Case::new("kept/rpath-of-main-for-opened", rpath_of_main_for_opened),
        Case::new("kept/rpath-through-runpath", rpath_through_runpath),
        Case::new("kept/runpath-of-opening-library", runpath_of_opening_library),
        Case::new("kept/ld-library-path", |bed| ld_library_path(bed, ":")),
        Case::new("kept/ld-library-path-semicolon", |bed| ld_library_path(bed, ";")),
        Case::new("kept/ld-library-path-relative", |bed| in_path_list(bed, "own")),
        Case::new("kept/ld-library-path-origin", |bed| in_path_list(bed, "$ORIGIN/own")),
        Case::new("kept/ld-library-path-empty-element", ld_library_path_empty_element),
        Case::new("kept/preload-in-ld-library-path", preload_in_ld_library_path),
        Case::new("kept/absolute-path", absolute_path),
        Case::new("kept/explicit-loader", explicit_loader),
        Case::new("kept/broken-file-in-runpath", broken_file_in_runpath),
        Case::new("kept/behind-what-is-no-directory", behind_no_directory).since((2, 39)),
        Case::new("kept/behind-what-does-not-answer", behind_dead_server).not_emulated().tool("strace"),
        Case::new("kept/leased", leased).not_emulated(),
        Case::new("kept/program-that-moves-away", |bed| program_that_moves_away(bed, None)),
        Case::new("kept/program-that-moves-away-from-path", |bed| program_that_moves_away(bed, Some("$ORIGIN/own"))),
        Case::new("fallback/runpath-is-not-inherited", runpath_is_not_inherited),
        Case::new("fallback/rpath-ends-at-own-runpath", rpath_ends_at_own_runpath),
        Case::new("fallback/nodeflib-ignores-default", nodeflib_ignores_default).views(&[View::Distribution]),
        Case::new("fallback/wrong-class-in-runpath", |bed| {
            foreign_file_in_runpath(bed, &[(4, bed.channel.other_class())])
        }),
        Case::new("fallback/wrong-class-and-byte-order-in-runpath", |bed| {
            foreign_file_in_runpath(bed, &[(4, bed.channel.other_class()), (5, 2)])
        }),
        Case::new("fallback/wrong-machine-in-runpath", |bed| foreign_file_in_runpath(bed, &[(18, 40)])),
    ];
    // RUNPATH and RPATH in every way of writing. $LIB and $PLATFORM are ld.so's own words: one of these will be right.
    let paths = [
        ("plain", "$ORIGIN/own"),
        ("second-element", "$ORIGIN/nowhere:$ORIGIN/own"),
        ("trailing-slashes", "$ORIGIN/own//"),
        ("braces", "${ORIGIN}/own"),
        ("lib", "$ORIGIN/$LIB/own"),
        ("lib-braces", "$ORIGIN/${LIB}/own"),
        ("platform", "$ORIGIN/$PLATFORM/own"),
        ("platform-braces", "$ORIGIN/${PLATFORM}/own"),
        ("relative", "nowhere:own"),
        ("empty-element", "nowhere::nowhere"),
    ];
    for (name, path) in paths {
        cases.push(Case::new(format!("kept/runpath-{name}"), move |bed| own_path(bed, path, false)));
        cases.push(Case::new(format!("kept/rpath-{name}"), move |bed| own_path(bed, path, true)));
    }
    cases
}

/// From 2.39 on ld.so passes over a relative directory that is a file.
fn behind_no_directory(bed: &Bed) -> Result<()> {
    let own = bed.library("own/libtwin.so").says("own").build()?;
    bed.library("declared/libtwin.so").says("declared").build()?;
    bed.file("no-directory", "")?;
    let main = bed.program("main").build()?;
    let path = format!("no-directory:{}", bed.path("own").display());
    let run = bed.run(main).arg("libtwin.so").declare([bed.path("declared")]).env("LD_LIBRARY_PATH", path);
    let run = run.working_directory(bed.root());
    run.plain()?.prints([line("own", &own)])?;
    run.audited()?.prints([line("own", &own)])?;
    Ok(())
}

/// A directory whose server is gone: neither files nor the directory itself can be asked for, and ld.so passes over it.
fn behind_dead_server(bed: &Bed) -> Result<()> {
    let own = bed.library("own/libtwin.so").says("own").build()?;
    bed.library("declared/libtwin.so").says("declared").build()?;
    let dead = bed.dir("dead")?;
    let main = bed.program("main").build()?;
    let path = [&dead, &bed.path("own")].map(|directory| directory.display().to_string()).join(":");
    let run = bed.run(main).arg("libtwin.so").declare([bed.path("declared")]).env("LD_LIBRARY_PATH", path);
    // ld.so asks for the directory without the closing slash.
    let paths = [dead.join("libtwin.so"), dead.join(""), dead];
    for run in [run.clone(), run.with_auditor()] {
        // strace may have something to say, too.
        let outcome = run.refused(&paths, "ENOTCONN")?;
        ensure!(outcome.stdout == line("own", &own) + "\n", "{outcome}");
    }
    Ok(())
}

/// Somebody has a lease to write the program's own library (fcntl(2)): ld.so waits until it is given back.
fn leased(bed: &Bed) -> Result<()> {
    const LEASES: &str = r#"
        #define _GNU_SOURCE
        #include <fcntl.h>
        #include <poll.h>
        #include <signal.h>
        #include <sys/wait.h>
        #include <unistd.h>
        static int file;
        static void give_back(int number) { fcntl(file, F_SETLEASE, F_UNLCK); }
        int main(int argc, char **argv) {
            int ready[2];
            if (pipe2(ready, O_CLOEXEC))
                return 101;
            pid_t child = fork();
            if (!child) {
                file = open(argv[1], O_RDWR);
                signal(SIGIO, give_back);
                if (file < 0 || fcntl(file, F_SETLEASE, F_WRLCK) || write(ready[1], "", 1) != 1)
                    _exit(102);
                alarm(20);
                for (;;)
                    pause();
            }
            char byte;
            close(ready[1]);
            if (read(ready[0], &byte, 1) != 1)
                return 103;
            pid_t other = fork();
            if (!other) {
                execv(argv[2], argv + 2);
                _exit(104);
            }
            int status;
            waitpid(other, &status, 0);
            kill(child, SIGKILL);
            return WIFEXITED(status) ? WEXITSTATUS(status) : 105;
        }"#;
    let own = bed.library("own/libtwin.so").says("own").build()?;
    bed.library("declared/libtwin.so").says("declared").build()?;
    let leases = bed.program("leases").source(LEASES).build()?;
    let main = bed.program("main").runpath("$ORIGIN/own").build()?;
    let run = bed.run(leases).arg(&own).arg(main).arg("libtwin.so").declare([bed.path("declared")]);
    run.plain()?.prints([line("own", &own)])?;
    run.audited()?.prints([line("own", &own)])?;
    Ok(())
}

/// `$ORIGIN` of a program is where it was started, though it renames its own file, as programs do that replace themselves by a newer
/// one. Here it comes back in the end.
fn program_that_moves_away(bed: &Bed, library_path: Option<&str>) -> Result<()> {
    let own = bed.library("own/libtwin.so").says("own").build()?;
    bed.library("declared/libtwin.so").says("declared").build()?;
    let only = bed.library("declared/libonly.so").says("only").build()?;
    let main = bed.program("main").source(include_str!("../../fixtures/renames.c"));
    let main = if library_path.is_some() { main } else { main.runpath("$ORIGIN/own") }.build()?;
    let (here, there) = (main.display().to_string(), bed.dir("moved")?.join("main").display().to_string());
    let [away, back] = [format!("{here}={there}"), format!("{there}={here}")];
    let run = bed.run(main).args([away.as_str(), "libtwin.so", "libonly.so", &back]).declare([bed.path("declared")]);
    let run = library_path.into_iter().fold(run, |run, path| run.env("LD_LIBRARY_PATH", path));
    let has = |outcome: &Outcome, library: &Path| outcome.stdout.lines().any(|file| Path::new(file) == library);
    let plain = run.plain()?;
    plain.misses("libonly.so")?;
    ensure!(has(&plain, &own), "{plain}");
    let audited = run.audited()?;
    audited.runs()?;
    ensure!(has(&audited, &own) && has(&audited, &only), "{audited}");
    Ok(())
}

/// `run` gets `libtwin.so` from ld.so, and `libonly.so` from us. Returns what it said of the twin.
pub fn keeps(bed: &Bed, run: Run) -> Result<()> {
    bed.library("declared/libtwin.so").says("declared").build()?;
    let only = bed.library("declared/libonly.so").says("declared").build()?;
    let run = run.arg("libonly.so").declare([bed.path("declared")]);
    let plain = run.plain()?;
    plain.misses("libonly.so")?;
    ensure!(plain.stdout.starts_with("own") && plain.stdout.lines().count() == 1, "{plain}");
    run.audited()?.prints([plain.stdout.trim_end(), &line("declared", &only)])?;
    Ok(())
}

/// `run` gets no `libtwin.so` from ld.so: it is one that we find.
pub fn falls_back(bed: &Bed, run: Run) -> Result<()> {
    let twin = bed.library("declared/libtwin.so").says("declared").build()?;
    let run = run.declare([bed.path("declared")]);
    run.plain()?.misses("libtwin.so")?;
    let audited = run.audited()?;
    audited.runs()?;
    let said = audited.stdout.trim_end();
    ensure!(said == "declared" || said == line("declared", &twin), "{audited}");
    Ok(())
}

/// The directories of the object itself.
fn own_path(bed: &Bed, path: &str, inherited: bool) -> Result<()> {
    let platforms = ["x86_64", "haswell", "xeon_phi", "i686", "i586", "aarch64"];
    let triplets = ["x86_64-linux-gnu", "i386-linux-gnu", "aarch64-linux-gnu"].map(|triplet| format!("lib/{triplet}"));
    let libs = ["lib".to_owned(), "lib64".to_owned()].into_iter().chain(triplets);
    for word in platforms.map(String::from).into_iter().chain(libs) {
        bed.library(&format!("{word}/own/libtwin.so")).says("own").build()?;
    }
    bed.library("own/libtwin.so").says("own").build()?;
    if path.contains("::") {
        bed.library("libtwin.so").says("own").build()?;
    }
    let main = bed.program("main");
    let main = if inherited { main.rpath(path) } else { main.runpath(path) }.build()?;
    keeps(bed, bed.run(main).arg("libtwin.so"))
}

/// The requester has neither path; the library that loaded it has a RPATH.
fn rpath_inherited_from_loader(bed: &Bed) -> Result<()> {
    let twin = bed.library("own/deep/libtwin.so").says("own").build()?;
    let relay = "const char *who(void); const char *relay(void) { return who(); }";
    let middle = bed.library("own/libmiddle.so").source(relay).needs(&twin).build()?;
    let outer = "const char *relay(void); const char *outer(void) { return relay(); }";
    let outer = bed.library("own/libouter.so").source(outer).needs(&middle).rpath("$ORIGIN:$ORIGIN/deep").build()?;
    let main = bed.program("main").source(CALLS_OUTER).needs(&outer).runpath("$ORIGIN/own").build()?;
    keeps(bed, bed.run(main))
}

/// The program's RPATH serves what it opens, too.
fn rpath_of_main_for_opened(bed: &Bed) -> Result<()> {
    let twin = bed.library("own/libtwin.so").says("own").build()?;
    let source = "const char *who(void); const char *plugin(void) { return who(); }";
    let plugin = bed.library("plugins/libplugin.so").source(source).needs(&twin).build()?;
    let main = bed.program("main").rpath("$ORIGIN/own").build()?;
    keeps(bed, bed.run(main).arg(plugin))
}

/// A library with a RUNPATH stands between: the program's RPATH still serves a requester that has no path of its own.
fn rpath_through_runpath(bed: &Bed) -> Result<()> {
    let twin = bed.library("own/libtwin.so").says("own").build()?;
    let relay = "const char *who(void); const char *relay(void) { return who(); }";
    let middle = bed.library("middle/libmiddle.so").source(relay).needs(&twin).build()?;
    let outer = "const char *relay(void); const char *outer(void) { return relay(); }";
    let outer = bed.library("own/libouter.so").source(outer).needs(&middle).runpath("$ORIGIN/../middle").build()?;
    let main = bed.program("main").source(CALLS_OUTER).needs(&outer).rpath("$ORIGIN/own").build()?;
    keeps(bed, bed.run(main))
}

/// What a library opens is searched for in that library's RUNPATH.
fn runpath_of_opening_library(bed: &Bed) -> Result<()> {
    bed.library("own/libtwin.so").says("own").build()?;
    let opener = bed.library("own/libopener.so").source(OPENER).runpath("$ORIGIN").build()?;
    let main = bed.program("main").source(CALLS_OUTER).needs(&opener).runpath("$ORIGIN/own").build()?;
    keeps(bed, bed.run(main))
}

fn ld_library_path(bed: &Bed, separator: &str) -> Result<()> {
    let [nowhere, own] = ["nowhere", "own"].map(|name| bed.path(name).display().to_string());
    in_path_list(bed, &[nowhere, own].join(separator))
}

fn in_path_list(bed: &Bed, list: &str) -> Result<()> {
    bed.library("own/libtwin.so").says("own").build()?;
    let main = bed.program("main").build()?;
    keeps(bed, bed.run(main).arg("libtwin.so").env("LD_LIBRARY_PATH", list))
}

/// An empty element of LD_LIBRARY_PATH means the working directory.
fn ld_library_path_empty_element(bed: &Bed) -> Result<()> {
    bed.library("libtwin.so").says("own").build()?;
    let main = bed.program("main").build()?;
    keeps(bed, bed.run(main).arg("libtwin.so").env("LD_LIBRARY_PATH", "/nowhere:"))
}

fn preload_in_ld_library_path(bed: &Bed) -> Result<()> {
    bed.library("own/libtwin.so").says("own").build()?;
    let main = bed.program("main").build()?;
    keeps(bed, bed.run(main).env("LD_PRELOAD", "libtwin.so").env("LD_LIBRARY_PATH", bed.path("own")))
}

/// A path is that file.
fn absolute_path(bed: &Bed) -> Result<()> {
    let own = bed.library("own/libtwin.so").says("own").build()?;
    let main = bed.program("main").build()?;
    keeps(bed, bed.run(main).arg(own))
}

/// A program started through ld.so itself, with options that the auditor cannot see: it keeps what they lead to. What nobody
/// else has is still found, at the last moment and under ld.so's own idea of its name.
fn explicit_loader(bed: &Bed) -> Result<()> {
    bed.library("own/libtwin.so").says("own").build()?;
    bed.library("declared/libtwin.so").says("declared").build()?;
    bed.library("declared/libonly.so").says("declared").build()?;
    let main = bed.program("main").build()?;
    let run = bed.run(&bed.channel.interpreter).arg("--library-path").arg(bed.path("own")).arg(main);
    let run = run.args(["libtwin.so", "libonly.so"]).declare([bed.path("declared")]);
    let plain = run.plain()?;
    plain.misses("libonly.so")?;
    ensure!(plain.stdout.starts_with("own "), "{plain}");
    let audited = run.audited()?;
    ensure!(audited.runs()?.stdout.starts_with(&(plain.stdout + "declared ")), "{audited}");
    Ok(())
}

/// ld.so stops at a file that is no library, and says so. That is the program's own business.
fn broken_file_in_runpath(bed: &Bed) -> Result<()> {
    bed.file("own/libtwin.so", "no library, but a line of text that is as long as an ELF header would be, and longer")?;
    bed.library("declared/libtwin.so").says("declared").build()?;
    let only = bed.library("declared/libonly.so").says("declared").build()?;
    let main = bed.program("main").runpath("$ORIGIN/own").build()?;
    let run = bed.run(main).arg("libtwin.so").declare([bed.path("declared")]);
    let plain = run.plain()?;
    plain.fails_with("own/libtwin.so: invalid ELF header")?;
    run.audited()?.equals(&plain)?;
    let both = run.arg("libonly.so").audited()?;
    ensure!(both.stdout == line("declared", &only) + "\n", "{both}");
    Ok(())
}

/// The program's RUNPATH serves the program alone.
fn runpath_is_not_inherited(bed: &Bed) -> Result<()> {
    let twin = bed.library("own/libtwin.so").says("not looked for here").build()?;
    let outer = "const char *who(void); const char *outer(void) { return who(); }";
    let outer = bed.library("own/libouter.so").source(outer).needs(&twin).build()?;
    let main = bed.program("main").source(CALLS_OUTER).needs(&outer).runpath("$ORIGIN/own").build()?;
    falls_back(bed, bed.run(main))
}

/// A requester with a RUNPATH inherits no RPATH.
fn rpath_ends_at_own_runpath(bed: &Bed) -> Result<()> {
    let twin = bed.library("own/libtwin.so").says("not looked for here").build()?;
    let outer = "const char *who(void); const char *outer(void) { return who(); }";
    let outer = bed.library("own/libouter.so").source(outer).needs(&twin).runpath("$ORIGIN/nowhere").build()?;
    let main = bed.program("main").source(CALLS_OUTER).needs(&outer).rpath("$ORIGIN/own").build()?;
    falls_back(bed, bed.run(main))
}

/// With DF_1_NODEFLIB neither a default directory counts nor what the cache says of one.
fn nodeflib_ignores_default(bed: &Bed) -> Result<()> {
    let zlib = bed.library("declared/libz.so.1").says("declared").build()?;
    let outer = "const char *who(void); const char *outer(void) { return who(); }";
    let outer = bed.library("own/libouter.so").source(outer).needs(&zlib).flag("-Wl,-z,nodefaultlib").build()?;
    let main = bed.program("main").source(CALLS_OUTER).needs(&outer).runpath("$ORIGIN/own").build()?;
    let run = bed.run(main).declare([bed.path("declared")]);
    run.plain()?.misses("libz.so.1")?;
    run.audited()?.prints(["declared"])?;
    Ok(())
}

/// ld.so passes over a file that is for another machine, one byte of its header says.
fn foreign_file_in_runpath(bed: &Bed, changes: &[(usize, u8)]) -> Result<()> {
    let twin = bed.library("own/libtwin.so").says("foreign").build()?;
    let mut bytes = std::fs::read(&twin)?;
    for &(offset, value) in changes {
        bytes[offset] = value;
    }
    std::fs::write(&twin, bytes)?;
    let main = bed.program("main").runpath("$ORIGIN/own").build()?;
    let twin = bed.library("declared/libtwin.so").says("declared").build()?;
    let run = bed.run(main).arg("libtwin.so").declare([bed.path("declared")]);
    run.plain()?.fails_with("libtwin.so: ")?;
    run.audited()?.prints([line("declared", &twin)])?;
    Ok(())
}

/// Calls a library's `outer`, then opens its arguments, each with a `who`.
const CALLS_OUTER: &str = r#"
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <link.h>
    #include <stdio.h>
    const char *outer(void);
    int main(int argc, char **argv) {
        puts(outer());
        for (int i = 1; i < argc; i++) {
            void *handle = dlopen(argv[i], RTLD_NOW);
            if (!handle) { fprintf(stderr, "%s\n", dlerror()); return 1; }
            struct link_map *map;
            dlinfo(handle, RTLD_DI_LINKMAP, &map);
            printf("%s %s\n", ((const char *(*)(void))dlsym(handle, "who"))(), map->l_name);
        }
        return 0;
    }"#;

/// A library that opens its twin by name.
const OPENER: &str = r#"
    void *dlopen(const char *, int);
    void *dlsym(void *, const char *);
    const char *outer(void) {
        void *handle = dlopen("libtwin.so", 2);
        return handle ? ((const char *(*)(void))dlsym(handle, "who"))() : "nobody";
    }"#;

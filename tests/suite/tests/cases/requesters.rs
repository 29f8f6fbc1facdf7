//! Whoever needs a library: what it needs of it counts. And whatever becomes of the file meanwhile.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use suite::bed::Bed;
use suite::damage::Damage;
use suite::dynamic::Dynamic;
use suite::run::Run;

use super::logging::{FILE, LEVEL};
use super::versions::{NEVER, defining, needing, wheel};
use super::{Case, line};

/// The oldest version that libc.so.6 has on every kind of machine.
const ANY: &str = "GLIBC_2.17";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("requester/main", main),
        Case::new("requester/needed-by-main", needed_by_main),
        Case::new("requester/opening-library", opening_library),
        Case::new("requester/opened-library", opened_library),
        Case::new("requester/preload", preload),
        Case::new("requester/redirected", redirected),
        Case::new("requester/needed-by-redirected", needed_by_redirected),
        Case::new("requester/before-libc", before_libc),
        Case::new("requester/before-libc-of-another-member", before_libc_of_another_member).glibc_of_the_machine(),
        Case::new("requester/before-libc-of-ld-so", before_libc_of_ld_so),
        Case::new("requester/explicit-loader", explicit_loader),
        Case::new("requester/preload-that-does-not-fit", preload_that_does_not_fit),
        Case::new("requester/linked-above-its-place", linked_above),
        Case::new("file/replaced-by-a-better-one", replaced_by_better),
        Case::new("file/replaced-by-a-worse-one", replaced_by_worse),
        Case::new("file/written-over", written_over),
        Case::new("file/changes-for-ever", changes_for_ever),
        Case::new("file/shrinks-before-a-start", shrinks_before_start),
        Case::new("file/shrinks-while-it-is-read", shrinks),
    ]
}

/// Builds what declares two builds of libx.so.1: one that lacks X_2, and then one that has it.
fn declared(bed: &Bed) -> Result<[PathBuf; 2]> {
    defining(bed, "old/libx.so.1", "old", &["X_1"])?;
    defining(bed, "new/libx.so.1", "new", &["X_1", "X_2"])?;
    Ok([bed.path("old"), bed.path("new")])
}

/// The reference that says who needs what of libx.so.1.
fn reference(bed: &Bed) -> Result<PathBuf> {
    bed.library("reference/libx.so.1").says("reference").defines(&["X_1", "X_2"]).build()
}

/// The first build does not do, the second one does.
fn gets_new<L: AsRef<str>>(bed: &Bed, run: Run, lines: impl IntoIterator<Item = L>) -> Result<()> {
    let declared = declared(bed)?;
    run.plain()?.misses("libx.so.1")?;
    run.clone().env("LD_LIBRARY_PATH", bed.path("old")).plain()?.fails_with("version `X_2' not found")?;
    run.declare(declared).audited()?.prints(lines)?;
    Ok(())
}

/// The program itself, when it starts.
fn main(bed: &Bed) -> Result<()> {
    let main = bed.program("main").uses(&["X_2"]).needs(&reference(bed)?).build()?;
    gets_new(bed, bed.run(main), ["new"])
}

/// A library that the program needs when it starts.
fn needed_by_main(bed: &Bed) -> Result<()> {
    let relay = "const char *who(void); const char *relay(void) { return who(); }\n";
    let outer = bed.library("own/libouter.so").source(relay).uses(&["X_2"]).needs(&reference(bed)?).build()?;
    let main = "#include <stdio.h>\nconst char *relay(void); int main(void) { return puts(relay()) < 0; }";
    let main = bed.program("main").source(main).needs(&outer).runpath("$ORIGIN/own").build()?;
    gets_new(bed, bed.run(main), ["new"])
}

/// A library that opens it by name. It needs no version of it: that the glibc has what it needs itself is what counts.
fn opening_library(bed: &Bed) -> Result<()> {
    let opener = r#"
        void *dlopen(const char *, int);
        void *dlsym(void *, const char *);
        const char *who(void) {
            void *handle = dlopen("libx.so.1", 2);
            return handle ? ((const char *(*)(void))dlsym(handle, "who"))() : "nobody";
        }"#;
    let opener = bed.library("own/libopener.so").source(opener).build()?;
    needing(bed, "old/libx.so.1", "old", "libc.so.6", NEVER)?;
    defining(bed, "new/libx.so.1", "new", &["X_1"])?;
    let run = bed.run(bed.program("main").needs(&opener).runpath("$ORIGIN/own").build()?);
    run.plain()?.prints(["nobody"])?;
    run.clone().env("LD_LIBRARY_PATH", bed.path("old")).plain()?.prints(["nobody"])?;
    run.declare([bed.path("old"), bed.path("new")]).audited()?.prints(["new"])?;
    Ok(())
}

/// A library that the program opens.
fn opened_library(bed: &Bed) -> Result<()> {
    let plugin = wheel(bed, "own/libplugin.so", "libx.so.1", &["X_2"])?;
    gets_new(bed, bed.run(bed.program("main").build()?).arg(&plugin), [line("wheel", &plugin)])
}

/// A library in LD_PRELOAD.
fn preload(bed: &Bed) -> Result<()> {
    let source = "const char *other(void) { return \"preload\"; }\n";
    let preload = bed.library("own/libpreload.so").source(source).uses(&["X_2"]).needs(&reference(bed)?).build()?;
    let run = bed.run(bed.program("main").build()?).env("LD_PRELOAD", preload);
    let declared = declared(bed)?;
    run.plain()?.misses("libx.so.1")?;
    run.clone().env("LD_LIBRARY_PATH", bed.path("old")).plain()?.fails_with("version `X_2' not found")?;
    run.declare(declared).audited()?.prints(["new"])?;
    Ok(())
}

/// A library that we found, too.
fn redirected(bed: &Bed) -> Result<()> {
    let plugin = wheel(bed, "plugins/libplugin.so", "libx.so.1", &["X_2"])?;
    let [old, new] = declared(bed)?;
    let run = bed.run(bed.program("main").build()?).arg("libplugin.so");
    run.clone().declare([&bed.path("plugins")]).plain()?.misses("libplugin.so")?;
    run.declare([old, new, bed.path("plugins")]).audited()?.prints([line("wheel", &plugin)])?;
    Ok(())
}

/// A library beside one that we found.
fn needed_by_redirected(bed: &Bed) -> Result<()> {
    let inner = wheel(bed, "plugins/private/libinner.so", "libx.so.1", &["X_2"])?;
    let outer = bed.library("plugins/libouter.so").says("outer").needs(&inner).runpath("$ORIGIN/private").build()?;
    let [old, new] = declared(bed)?;
    let run = bed.run(bed.program("main").build()?).args(["libouter.so", "libx.so.1"]);
    run.plain()?.misses("libouter.so")?;
    let found = line("new", &new.join("libx.so.1"));
    run.declare([old, new, bed.path("plugins")]).audited()?.prints([line("outer", &outer), found])?;
    Ok(())
}

/// What the program needs first is looked for when its libc.so.6 has not been.
fn before_libc(bed: &Bed) -> Result<()> {
    first_of_all(bed, "libc.so.6", ANY)
}

/// The same for a member of the family that is not even loaded.
fn before_libc_of_another_member(bed: &Bed) -> Result<()> {
    first_of_all(bed, "libm.so.6", "GLIBC_2.29")
}

/// ld.so is a member, too, and is there before all others.
fn before_libc_of_ld_so(bed: &Bed) -> Result<()> {
    let name = bed.channel.interpreter.file_name().context("ld.so has a name")?.to_string_lossy();
    let versions = Dynamic::read(&bed.channel.interpreter)?.versions;
    first_of_all(bed, &name, versions.first().context("ld.so defines no version")?)
}

fn first_of_all(bed: &Bed, member: &str, version: &str) -> Result<()> {
    let bad = needing(bed, "bad/libfound.so", "bad", member, NEVER)?;
    needing(bed, "good/libfound.so", "good", member, version)?;
    let main = bed.program("main").needs(&bad).build()?;
    let needed = Dynamic::read(&main)?.needed;
    let place = |name: &str| needed.iter().position(|needed| needed == name).context("it is not needed");
    ensure!(place("libfound.so")? < place("libc.so.6")?, "{needed:?}");
    let run = bed.run(main);
    run.plain()?.misses("libfound.so")?;
    run.clone().env("LD_LIBRARY_PATH", bed.path("bad")).plain()?.fails_with(&format!("`{NEVER}' not found"))?;
    run.clone().declare([bed.path("bad"), bed.path("good")]).audited()?.prints(["good"])?;
    // Which glibc it is ld.so says from 2.33 on (its option --version), and libc.so.6 once it is loaded.
    let process = match bed.channel.version() >= (2, 33) {
        true => format!(", this process has glibc {};", bed.channel.glibc),
        false => "; declare it from the channel that the program comes from)".into(),
    };
    let reason = format!("{} (needs {NEVER}{process}", bad.display());
    run.declare([bed.path("bad")]).audited()?.fails_with(&reason)?;
    Ok(())
}

/// A program that is started through ld.so by name: what fits is found where ld.so looks last.
fn explicit_loader(bed: &Bed) -> Result<()> {
    needing(bed, "bad/libfound.so", "bad", "libc.so.6", NEVER)?;
    bed.library("good/libfound.so").says("good").build()?;
    let main = bed.program("main").build()?;
    let run = bed.run(&bed.channel.interpreter).arg(main).arg("libfound.so");
    let plain = run.plain()?;
    plain.misses("libfound.so")?;
    let audited = run.clone().declare([bed.path("bad"), bed.path("good")]).audited()?;
    ensure!(audited.runs()?.stdout.starts_with("good "), "{audited}");
    run.declare([bed.path("bad")]).audited()?.equals(&plain)?;
    Ok(())
}

/// ld.so goes on without a preload that it does not find.
fn preload_that_does_not_fit(bed: &Bed) -> Result<()> {
    needing(bed, "bad/libfound.so", "bad", "libc.so.6", NEVER)?;
    let own = bed.library("own/libown.so").says("own").build()?;
    let run = bed.run(bed.program("main").build()?).arg(&own).env("LD_PRELOAD", "libfound.so");
    let run = run.declare([bed.path("bad")]);
    for outcome in [run.plain()?, run.audited()?] {
        let warns = outcome.stderr.contains("cannot be preloaded") && outcome.stderr.lines().count() == 1;
        ensure!(outcome.stdout == line("own", &own) + "\n" && warns, "{outcome}");
    }
    bed.library("good/libfound.so").says("good").build()?;
    let both = run.declare([bed.path("bad"), bed.path("good")]);
    both.audited()?.prints(["good".into(), line("own", &own)])?;
    Ok(())
}

/// A library that was linked for an address at which nothing can be: the base of its addresses is above all of them. It
/// is among those that are looked through, and asks for a library itself.
fn linked_above(bed: &Bed) -> Result<()> {
    let libm = bed.channel.glibc_lib.join("libm.so.6");
    let source = r#"
        double cos(double);
        double (*volatile used)(double) = cos;
        const char *who(void) { return "found"; }"#;
    let found = bed.library("declared/libfound.so").source(source).defines(&["X_1"]).needs(&libm).build()?;
    // Of 32-bit processes little is beyond reach: there it needs what would end behind the last page that one may have.
    let (address, room) = match bed.channel.class() {
        1 => ("0xfff00000", "char room[0xfb000];\n"),
        _ => ("0xffff800000000000", ""),
    };
    let high = |name: &str, source: &str| {
        let library = bed.library(&format!("own/{name}")).source(format!("{room}{source}"));
        library.flag(format!("-Wl,-Ttext-segment={address}"))
    };
    let only = high("libonly.so", "const char *who(void) { return \"only\"; }\n").build()?;
    let asking = "const char *who(void); const char *ask(void) { return who(); }\n";
    let asking = high("libasking.so", asking).uses(&["X_1"]).needs(&found).build()?;
    let main = r#"
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <link.h>
        #include <stdint.h>
        #include <stdio.h>
        int main(int argc, char **argv) {
          for (int i = 1; i < argc; i++) {
            struct link_map *map = dlopen(argv[i], RTLD_NOW);
            if (!map) {
              fprintf(stderr, "%s\n", dlerror());
              return 1;
            }
            puts(map->l_addr > (uintptr_t)map->l_ld ? "above" : "below");
          }
          return 0;
        }"#;
    let run = bed.run(bed.program("main").source(main).build()?);
    run.clone().arg(&only).plain()?.prints(["above"])?;
    for (high, name) in [(&only, Some("libfound.so")), (&asking, None)] {
        let run = run.clone().arg(high).args(name).declare([bed.path("declared")]);
        run.plain()?.misses("libfound.so")?;
        run.audited()?.prints(["above"].into_iter().chain(name.map(|_| "below")))?;
    }
    Ok(())
}

/// A build that does not fit is replaced by one that does while the process runs.
fn replaced_by_better(bed: &Bed) -> Result<()> {
    let place = needing(bed, "declared/libfound.so", "bad", "libc.so.6", NEVER)?;
    let better = bed.library("better/libfound.so").says("better").build()?;
    let run = twice(bed)?.arg(better).arg(place).declare([bed.path("declared")]);
    let audited = run.audited()?;
    audited.runs()?;
    let lines: Vec<&str> = audited.stdout.lines().collect();
    let needs = format!("(needs {NEVER}, ");
    ensure!(lines.len() == 2 && lines[0].contains(&needs) && lines[1] == "better", "{audited}");
    Ok(())
}

/// And the other way round.
fn replaced_by_worse(bed: &Bed) -> Result<()> {
    let place = bed.library("declared/libfound.so").says("first").build()?;
    let worse = needing(bed, "worse/libfound.so", "worse", "libc.so.6", NEVER)?;
    bed.library("second/libfound.so").says("second").build()?;
    let run = twice(bed)?.arg(worse).arg(place).declare([bed.path("declared"), bed.path("second")]);
    run.audited()?.prints(["first", "second"])?;
    Ok(())
}

/// A program that looks for libfound.so twice. ld.so itself finds none.
fn twice<'b>(bed: &'b Bed<'b>) -> Result<Run<'b>> {
    let run = bed.run(bed.program("twice").source(include_str!("../../fixtures/twice.c")).build()?).arg("libfound.so");
    let plain = run.clone().arg(bed.file("spare", "")?).arg(bed.path("replaced")).plain()?;
    ensure!(plain.stdout.matches("libfound.so: cannot open shared object file").count() == 2, "{plain}");
    Ok(run)
}

/// Another build is written over one that does not fit, and nothing tells so but the time of the change itself.
fn written_over(bed: &Bed) -> Result<()> {
    let stub = bed.library("stubs/libc.so.6").defines(&[NEVER]).build()?;
    let place = bed.library("declared/libfound.so").says("found").uses(&[NEVER]).needs(&stub);
    let place = place.defines(&["X_1"]).build()?;
    let mut better = Damage::read(&place)?;
    better.rename(NEVER, ANY.as_bytes())?;
    let other = bed.path("other/libfound.so");
    better.write(&other)?;
    let main = bed.program("main").build()?;
    bed.run(&main).arg(&place).plain()?.fails_with(&format!("version `{NEVER}' not found"))?;
    bed.run(main).arg(&other).plain()?.prints([line("found", &other)])?;
    let program = bed.program("in_place").source(include_str!("../../fixtures/in_place.c")).build()?;
    let run = bed.run(program).arg("libfound.so").arg(other).arg(&place).declare([bed.path("declared")]);
    let audited = run.audited()?;
    let lines: Vec<&str> = audited.runs()?.stdout.lines().collect();
    let needs = format!("{} (needs {NEVER}, ", place.display());
    ensure!(lines.len() == 2 && lines[0].starts_with(&needs) && lines[1] == "found", "{audited}");
    Ok(())
}

/// A file that changes more often than there is room to remember it.
fn changes_for_ever(bed: &Bed) -> Result<()> {
    let main = bed.program("changes").source(include_str!("../../fixtures/changes.c")).build()?;
    let run = bed.run(main).arg("libfound.so");
    let bad = needing(bed, "bad/libfound.so", "bad", "libc.so.6", NEVER)?;
    bed.library("good/libfound.so").says("good").build()?;
    let run = run.arg(bad).declare([bed.path("bad"), bed.path("good")]);
    run.plain()?.misses("libfound.so")?;
    run.audited()?.prints(["found"])?;
    Ok(())
}

/// Makes a file of other lengths, again and again, until a piece of work is done.
fn while_it_shrinks<T>(file: &PathBuf, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let whole = fs::read(file)?;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let shrink = scope.spawn(|| -> Result<()> {
            let open = OpenOptions::new().write(true).open(file)?;
            for step in (0..).take_while(|_| !done.load(Ordering::Relaxed)) {
                open.set_len((step * 509) % whole.len() as u64)?;
                fs::write(file, &whole)?;
            }
            Ok(())
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        shrink.join().map_err(|_| anyhow::anyhow!("the file could not be written"))??;
        result
    })
}

/// A file that somebody is writing is judged by what is there, and is never the end of a process.
fn shrinks_before_start(bed: &Bed) -> Result<()> {
    let bad = needing(bed, "bad/libfound.so", "bad", "libc.so.6", NEVER)?;
    bed.library("good/libfound.so").says("good").build()?;
    let main = bed.program("main").needs(&bad).build()?;
    let run = bed.run(main).declare([bed.path("bad"), bed.path("good")]);
    run.plain()?.misses("libfound.so")?;
    let run = run.with_auditor();
    while_it_shrinks(&bad, || {
        for _ in 0..100 {
            run.plain()?.prints(["good"])?;
        }
        Ok(())
    })
}

/// The same in a process that opens it all the time.
fn shrinks(bed: &Bed) -> Result<()> {
    let bad = needing(bed, "bad/libfound.so", "bad", "libc.so.6", NEVER)?;
    bed.library("good/libfound.so").says("good").build()?;
    let main = bed.program("often").source(include_str!("../../fixtures/often.c")).build()?;
    let (end, log) = (bed.path("end"), bed.path("log"));
    let run = bed.run(main).arg("libfound.so").arg(&end).declare([bed.path("bad"), bed.path("good")]);
    run.plain()?.misses("libfound.so")?;
    let run = run.with_auditor().env(LEVEL, "3").env(FILE, &log);
    // It ends when the file was seen both whole and cut short.
    let seen = || fs::read_to_string(&log).is_ok_and(|log| log.contains(NEVER) && log.contains("it is cut short"));
    let outcome = while_it_shrinks(&bad, || {
        thread::scope(|scope| {
            let running = scope.spawn(|| run.plain());
            while !seen() && !running.is_finished() {
                thread::sleep(Duration::from_millis(5));
            }
            fs::write(&end, "")?;
            running.join().map_err(|_| anyhow::anyhow!("it was not run"))?
        })
    })?;
    outcome.runs()?;
    ensure!(seen() && outcome.stdout.lines().all(|who| who == "good"), "{outcome}");
    Ok(())
}

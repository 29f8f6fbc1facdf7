//! The auditor is a guest in the process: what the program may do without it, it may do with it.

use anyhow::{Result, ensure};
use suite::bed::Bed;
use suite::manifest::View;

use super::{Case, line};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("guest/small-thread-stack", small_thread_stack),
        Case::new("guest/errno", errno),
        Case::new("guest/traced-objects", traced_objects),
        Case::new("guest/namespace", namespace).since((2, 35)),
        Case::new("guest/threads-and-forks", threads_and_forks),
        // The machine's libgcc asks a static program's glibc for _dl_find_object. nixpkgs' compiler has no libc.a.
        Case::new("guest/static-child", static_child).since((2, 35)).views(&[View::Nix, View::Distribution]),
        // On aarch64 the auditor declines in what the oldest channel has.
        Case::new("guest/child-of-another-glibc", child_of_another_glibc)
            .channel(|channel| channel.system != "aarch64-linux"),
        Case::new("guest/machine-child", machine_child).views(&[View::Distribution]).of_the_machine(),
        Case::new("guest/few-descriptors", few_descriptors),
        Case::new("guest/long-name", long_name),
    ]
}

/// A dlopen needs no more of a thread's stack than without us, but for a page.
fn small_thread_stack(bed: &Bed) -> Result<()> {
    bed.library("own/libtwin.so").says("own").build()?;
    bed.library("declared/libtwin.so").says("declared").build()?;
    bed.library("declared/libfound.so").says("declared").build()?;
    let main = bed.program("main").source(include_str!("../../fixtures/thread.c")).runpath("$ORIGIN/own").build()?;
    let run = bed.run(main).declare([bed.path("declared")]);
    let start = |size: u32, name: &str| run.clone().arg(size.to_string()).arg(name);
    // The smallest stack that this ld.so gets by with, in pages.
    let size = (4..64)
        .map(|pages| pages * 4096)
        .find(|&size| start(size, "libtwin.so").plain().is_ok_and(|plain| plain.prints(["own"]).is_ok()));
    let Some(size) = size else { anyhow::bail!("no stack is large enough") };
    start(size, "libfound.so").plain()?.prints(["cannot open"])?;
    start(size + 4096, "libtwin.so").audited()?.prints(["own"])?;
    start(size + 4096, "libfound.so").audited()?.prints(["declared"])?;
    Ok(())
}

/// What a dlopen leaves in errno is ld.so's.
fn errno(bed: &Bed) -> Result<()> {
    bed.library("own/libtwin.so").says("own").build()?;
    bed.library("declared/libfound.so").says("declared").build()?;
    let source = r#"
        #include <dlfcn.h>
        #include <errno.h>
        #include <stdio.h>
        int main(int argc, char **argv) {
            for (int i = 1; i < argc; i++) {
                errno = 77;
                void *handle = dlopen(argv[i], RTLD_NOW);
                int left = errno;
                printf("%s %d\n", handle ? "opened" : "cannot open", left);
            }
            return 0;
        }"#;
    let main = bed.program("main").source(source).runpath("$ORIGIN/own").build()?;
    let run = bed.run(main).declare([bed.path("declared")]);
    let names = run.clone().args(["libtwin.so", "libnowhere.so"]);
    names.audited()?.equals(&names.plain()?)?;
    // What is found leaves what a library found by ld.so leaves.
    let plain = run.clone().arg("libfound.so").env("LD_LIBRARY_PATH", bed.path("declared")).plain()?;
    run.arg("libfound.so").audited()?.equals(&plain)?;
    Ok(())
}

/// `ldd` shows what would be loaded, and what is missing.
fn traced_objects(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let absent = bed.library("absent/libnowhere.so").source("int absent;").build()?;
    let main = bed.program("main").needs(&library).needs(&absent).build()?;
    let run = bed.run(main).declare([bed.path("declared")]).env("LD_TRACE_LOADED_OBJECTS", "1");
    let plain = run.plain()?;
    ensure!(plain.stdout.contains("libfound.so => not found"), "{plain}");
    let audited = run.audited()?;
    ensure!(audited.stdout.contains(&format!("{} (0x", library.display())), "{audited}");
    ensure!(audited.stdout.contains("libnowhere.so => not found") && audited.stderr.is_empty(), "{audited}");
    Ok(())
}

/// dlmopen into a namespace of its own.
fn namespace(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let source = r#"
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <link.h>
        #include <stdio.h>
        int main(void) {
            void *handle = dlmopen(LM_ID_NEWLM, "libfound.so", RTLD_NOW);
            if (!handle) { fprintf(stderr, "%s\n", dlerror()); return 1; }
            struct link_map *map;
            dlinfo(handle, RTLD_DI_LINKMAP, &map);
            printf("%s %s\n", ((const char *(*)(void))dlsym(handle, "who"))(), map->l_name);
            return 0;
        }"#;
    let run = bed.run(bed.program("main").source(source).build()?).declare([bed.path("declared")]);
    run.plain()?.misses("libfound.so")?;
    run.audited()?.prints([line("declared", &library)])?;
    Ok(())
}

/// Threads that open libraries while others fork, vfork and exec.
fn threads_and_forks(bed: &Bed) -> Result<()> {
    let names = ["liba.so", "libb.so", "libc1.so"];
    for name in names {
        bed.library(&format!("declared/{name}")).says(name).build()?;
    }
    let main = bed.program("main").source(include_str!("../../fixtures/busy.c")).build()?;
    let run = bed.run(main).args(names).declare([bed.path("declared")]);
    run.plain()?.prints(["failures"])?;
    run.audited()?.prints(["none"])?;
    Ok(())
}

/// A program that starts its arguments.
const STARTER: &str = r#"
    #include <dlfcn.h>
    #include <stdio.h>
    #include <unistd.h>
    int main(int argc, char **argv) {
        puts(dlopen("libfound.so", RTLD_NOW) ? "found" : "missed");
        fflush(stdout);
        execv(argv[1], argv + 1);
        perror(argv[1]);
        return 126;
    }"#;

/// A static program has no ld.so: LD_AUDIT means nothing to it.
fn static_child(bed: &Bed) -> Result<()> {
    bed.library("declared/libfound.so").says("declared").build()?;
    let starter = bed.program("starter").source(STARTER).build()?;
    let source = "#include <stdio.h>\nint main(void) { puts(\"static\"); return 0; }";
    let child = bed.program("static").source(source).flag("-static").build()?;
    let run = bed.run(starter).arg(child).declare([bed.path("declared")]);
    run.plain()?.prints(["missed", "static"])?;
    run.audited()?.prints(["found", "static"])?;
    Ok(())
}

/// The variables are inherited by programs of every other glibc, and serve there.
fn child_of_another_glibc(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let starter = bed.program("starter").source(STARTER).build()?;
    for channel in &bed.manifest.channels {
        let child = bed.program(&format!("child-{}", channel.name)).channel(channel).build()?;
        let run = bed.run(&starter).arg(child).arg("libfound.so").declare([bed.path("declared")]);
        let plain = run.plain()?;
        plain.misses("libfound.so")?;
        ensure!(plain.stdout == "missed\n", "{plain}");
        run.audited()?.prints(["found", &line("declared", &library)])?;
    }
    Ok(())
}

/// The machine's own programs run as ever, with libraries of every channel declared.
fn machine_child(bed: &Bed) -> Result<()> {
    bed.library("declared/libfound.so").says("declared").build()?;
    let starter = bed.program("starter").source(STARTER).build()?;
    let mut declared = vec![bed.path("declared")];
    declared.extend(bed.manifest.channels.iter().map(|channel| channel.glibc_lib.clone()));
    let libraries = bed.manifest.channels.iter().flat_map(|channel| channel.libraries.values());
    declared.extend(libraries.map(|output| output.join("lib")));
    for program in
        ["/bin/sh", "/bin/ls", "/usr/bin/env", "/usr/bin/awk", "/bin/tar", "/usr/bin/perl", "/usr/bin/apt-get"]
    {
        let run = bed.run(&starter).args([program, "--version"]).declare(&declared);
        let plain = run.plain()?;
        let audited = run.audited()?;
        ensure!(plain.stdout.starts_with("missed\n") && audited.stdout.starts_with("found\n"), "{plain}{audited}");
        let same = plain.stdout.strip_prefix("missed\n") == audited.stdout.strip_prefix("found\n");
        ensure!(same && plain.stderr == audited.stderr, "{plain}{audited}");
    }
    Ok(())
}

/// A process with no descriptor to spare but the one that ld.so opens the library through.
fn few_descriptors(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let source = r#"
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <fcntl.h>
        #include <link.h>
        #include <stdio.h>
        int main(int argc, char **argv) {
            int last = 0, fd;
            while ((fd = open("/dev/null", O_RDONLY)) >= 0) last = fd;
            (void)close(last);
            void *handle = dlopen(argv[1], RTLD_NOW);
            if (!handle) { fprintf(stderr, "%s\n", dlerror()); return 1; }
            struct link_map *map;
            dlinfo(handle, RTLD_DI_LINKMAP, &map);
            printf("%s %s\n", ((const char *(*)(void))dlsym(handle, "who"))(), map->l_name);
            return 0;
        }"#;
    let source = source.replace("#include <stdio.h>", "#include <stdio.h>\n#include <unistd.h>");
    let main = bed.program("main").source(source).build()?;
    let run = bed.run(main).declare([bed.path("declared")]);
    run.clone().arg(&library).plain()?.prints([line("declared", &library)])?;
    run.clone().arg("libfound.so").plain()?.misses("libfound.so")?;
    run.arg("libfound.so").audited()?.prints([line("declared", &library)])?;
    Ok(())
}

/// Names as long as a path may be, and longer.
fn long_name(bed: &Bed) -> Result<()> {
    let library = bed.library("declared/libfound.so").says("declared").build()?;
    let main = bed.program("main").build()?;
    for length in [254, 255, 256, 4095, 4096, 5000, 70000] {
        let run = bed.run(&main).arg("x".repeat(length)).declare([bed.path("declared")]);
        let plain = run.plain()?;
        plain.fails_with("xxx: ")?;
        run.audited()?.equals(&plain)?;
        let both = run.arg("libfound.so").audited()?;
        ensure!(both.stdout == line("declared", &library) + "\n", "{both}");
    }
    Ok(())
}

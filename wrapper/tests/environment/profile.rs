//! The file `etc/profile.d/replit-env.sh`, sourced.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use crate::bench::{AS_SH, Bench, LOGIN, ODD_NAME, assignment, list, odd_bytes, run, shell, value, variables};

#[test]
fn sourced_twice_under_strict_options_it_is_as_the_script() {
    let bench = Bench::new();
    let odd = OsStr::from_bytes(ODD_NAME);
    let out = bench.environment(
        odd,
        &[
            OsStr::new("--lib=/usr/lib"),
            OsStr::new("--lib=/usr/share"),
            OsStr::new("--bin=/usr/sbin"),
            OsStr::new("--env"),
            &assignment("ODD", &odd_bytes()),
        ],
    );
    let profile = out.join("etc/profile.d/replit-env.sh");
    let source = bench.path("source");
    fs::write(&source, "set -eu\nIFS=/:r\n. \"$1\"\n. \"$1\"\nexec /usr/bin/env -0\n").unwrap();
    for sh in LOGIN {
        let mut command = shell(sh, &[], &source, &[&profile]);
        let after = variables(command.env("REPLIT_LD_LIBRARY_PATH", "/mine:/usr/share"));
        assert_eq!(value(&after, "LD_AUDIT"), list(&[out.join("lib/rtld_loader.so")]), "{sh:?}");
        assert_eq!(value(&after, "REPLIT_LD_LIBRARY_PATH").as_deref(), Some("/usr/lib:/usr/share:/mine"), "{sh:?}");
        assert_eq!(value(&after, "PATH").as_deref(), Some("/usr/sbin:/usr/bin:/bin"), "{sh:?}");
        assert_eq!(value(&after, "ODD"), Some(odd_bytes().escape_ascii().to_string()), "{sh:?}");
    }
}

#[test]
fn with_no_path_it_keeps_the_default_one() {
    let bench = Bench::new();
    let out = bench.environment("e", &["--bin=/usr/sbin"]);
    let profile = out.join("etc/profile.d/replit-env.sh");
    let source = bench.path("source");
    fs::write(&source, "set -eu\nunset PATH\n. \"$1\"\nexec /usr/bin/env -0\n").unwrap();
    for sh in LOGIN {
        let after = variables(&mut shell(sh, &[], &source, &[&profile]));
        assert_eq!(value(&after, "PATH").as_deref(), Some("/usr/sbin:/bin:/usr/bin"), "{sh:?}");
    }
}

#[test]
fn it_leaves_no_helper_and_no_option_behind() {
    let bench = Bench::new();
    let out = bench.environment("e", &["--lib=/usr/lib", "--bin=/usr/sbin"]);
    let profile = out.join("etc/profile.d/replit-env.sh");
    let source = bench.path("source");
    fs::write(&source, "set -o\n. \"$1\"\necho status $?\necho ---\nset -o\necho ---\n:\nset\n").unwrap();
    for sh in LOGIN {
        let output = run(shell(sh, &[], &source, &[&profile]).env("REPLIT_LD_LIBRARY_PATH", "/mine"));
        assert!(output.stderr.is_empty(), "{sh:?}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let [before, after, state] = text.split("---\n").collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert_eq!(before.strip_suffix("status 0\n"), Some(after), "{sh:?}");
        assert!(state.contains("REPLIT_LD_LIBRARY_PATH"), "{sh:?}: `set` lists the variables");
        assert!(!state.contains("__replit_env"), "{sh:?}: {state}");
    }
}

#[test]
fn zsh_with_its_oddest_options() {
    let bench = Bench::new();
    let out = bench.environment("e", &["--lib=/usr/lib", "--bin=/usr/sbin", "--env=A=it's '' \\'"]);
    let profile = out.join("etc/profile.d/replit-env.sh");
    let source = bench.path("source");
    fs::write(
        &source,
        "setopt warn_create_global warn_nested_var extended_glob rc_quotes glob_subst ksh_arrays sh_word_split \
         null_glob no_unset err_exit no_clobber magic_equal_subst ksh_glob no_equals\n\
         . \"$1\"\n. \"$1\"\nexec /usr/bin/env -0\n",
    )
    .unwrap();
    let mut command = shell(&["zsh"], &[], &source, &[&profile]);
    let after = variables(command.env("REPLIT_LD_LIBRARY_PATH", "/(x)#y:/^a~b"));
    assert_eq!(value(&after, "REPLIT_LD_LIBRARY_PATH").as_deref(), Some("/usr/lib:/(x)#y:/^a~b"));
    assert_eq!(value(&after, "A"), Some(b"it's '' \\'".escape_ascii().to_string()));
}

#[test]
fn a_child_of_the_shell_and_the_script_inside_it_agree() {
    let bench = Bench::new();
    let out = bench.environment("e", &["--lib=/usr/lib", "--bin=/usr/sbin"]);
    let source = bench.path("source");
    fs::write(&source, ". \"$1/etc/profile.d/replit-env.sh\"\nexec replit-env /usr/bin/env -0\n").unwrap();
    for sh in AS_SH {
        let mut command = shell(sh, &[], &source, &[&out]);
        let path = std::env::join_paths([out.join("bin"), "/usr/bin".into()]).unwrap();
        let after = variables(command.env("PATH", &path));
        assert_eq!(
            value(&after, "PATH"),
            list(&["/usr/sbin".as_ref(), out.join("bin").as_path(), "/usr/bin".as_ref()])
        );
        assert_eq!(value(&after, "REPLIT_LD_LIBRARY_PATH").as_deref(), Some("/usr/lib"), "{sh:?}");
    }
}

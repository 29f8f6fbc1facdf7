//! GLIBC_TUNABLES in the script and in the hook: merged, with static TLS raised and never lowered.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::bench::{AS_SH, Bench, LOGIN, parse, run, script, shell, value, variables};
use crate::static_tls::asked;

const SHOW: [&str; 2] = ["/usr/bin/env", "-0"];
const NAME: &str = "glibc.rtld.optional_static_tls";

/// What GLIBC_TUNABLES becomes, in the script under each shell and in the hook under each shell's own name.
fn each(bench: &Bench, out: &Path, users: Option<&str>, expected: &str) {
    for sh in AS_SH {
        let mut command = shell(sh, &["-e", "-u"], &script(out), &SHOW);
        if let Some(users) = users {
            command.env("GLIBC_TUNABLES", users);
        }
        becomes(&mut command, expected);
    }
    each_hook(bench, out, users, expected);
}

/// The same in the hook alone: with some values no shell starts.
fn each_hook(bench: &Bench, out: &Path, users: Option<&str>, expected: &str) {
    let source = bench.path("source");
    let set = "if [ $# -gt 1 ]; then export GLIBC_TUNABLES=\"$2\"; fi";
    fs::write(&source, format!("set -eu\nIFS=/:r0\n{set}\n. \"$1\"\n. \"$1\"\nexec /usr/bin/env -0\n")).unwrap();
    let profile = out.join("etc/profile.d/replit-env.sh");
    let arguments: Vec<&OsStr> = [profile.as_os_str()].into_iter().chain(users.map(OsStr::new)).collect();
    for sh in LOGIN {
        becomes(&mut shell(sh, &[], &source, &arguments), expected);
    }
}

fn becomes(command: &mut Command, expected: &str) {
    // Since glibc 2.38 ld.so complains on stderr of what it cannot read.
    let after = parse(&run(command).stdout);
    assert_eq!(value(&after, "GLIBC_TUNABLES"), Some(expected.escape_default().to_string()), "{command:?}");
}

#[test]
fn the_users_settings_stay_in_order() {
    let bench = Bench::new();
    let out = bench.environment::<&str>("e", &[]);
    let ours = format!("{NAME}={}", asked(&out));
    each(&bench, &out, None, &ours);
    each(&bench, &out, Some(""), &ours);
    each(&bench, &out, Some("glibc.malloc.check=0"), &format!("glibc.malloc.check=0:{ours}"));
    let odd = "b.b=* [a]:a.a=it's $x:a.a=\\:c.c=";
    each(&bench, &out, Some(odd), &format!("{odd}:{ours}"));
    let around = format!("b.b=1::{NAME}=1:a.a=2:{NAME}s=3:x{NAME}=4:");
    each(&bench, &out, Some(&around), &format!("b.b=1:a.a=2:{NAME}s=3:x{NAME}=4:{ours}"));
    // What ld.so cannot read is no reason to drop it, and in front of ours it costs nothing.
    each(&bench, &out, Some("a.a=1:junk"), &format!("a.a=1:junk:{ours}"));
}

#[test]
fn static_tls_is_raised_and_never_lowered() {
    let bench = Bench::new();
    let out = bench.environment::<&str>("e", &[]);
    let asked = asked(&out);
    let less = [
        "0".into(),
        "".into(),
        "512".into(),
        format!("{}", asked - 1),
        format!("0{:o}", asked - 1),
        format!("0x{:x}", asked - 1),
        // Octal: as a decimal it would be more.
        format!("0{asked}").replace(['8', '9'], "7"),
        "0x".into(),
        "\t  +7".into(),
    ];
    // What ld.so does not read as a number.
    let none = [
        "99999k",
        "99999 ",
        "+-99999",
        "++99999",
        "+ 99999",
        "099999",
        "0xfffg",
        "1e9",
        "$((99999))",
        "a[0]",
        "99999.5",
        "*",
    ];
    for value in less.into_iter().chain(none.map(String::from)) {
        each(&bench, &out, Some(&format!("{NAME}={value}")), &format!("{NAME}={asked}"));
    }
    // What it reckons into a negative number, or refuses as too large for any.
    for value in ["-99999", "- 99999", "1073741825", "0x80000000", "0xffffffffffffffff", "99999999999999999999999999"] {
        each_hook(&bench, &out, Some(&format!("{NAME}={value}")), &format!("{NAME}={asked}"));
    }
    let more = [
        format!("{asked}"),
        format!("{}", asked + 1),
        format!("0{:o}", asked + 1),
        format!("0x{:x}", asked + 1),
        format!("0X{:X}", asked + 171),
        format!(" \t+000{:o}", asked),
        "0x00000000000000000000abcdef".into(),
    ];
    for value in more {
        each(&bench, &out, Some(&format!("{NAME}={value}")), &format!("{NAME}={value}"));
    }
}

#[test]
fn of_several_values_the_last_counts_as_in_ld_so() {
    let bench = Bench::new();
    let out = bench.environment::<&str>("e", &[]);
    let asked = asked(&out);
    each(&bench, &out, Some(&format!("{NAME}=99999:a.a=1:{NAME}=1")), &format!("a.a=1:{NAME}={asked}"));
    each(&bench, &out, Some(&format!("{NAME}=99999:a.a=1:{NAME}=junk")), &format!("a.a=1:{NAME}={asked}"));
    each(&bench, &out, Some(&format!("{NAME}=1:a.a=1:{NAME}=99999")), &format!("a.a=1:{NAME}=99999"));
}

#[test]
fn declared_settings_go_before_the_users_and_give_way_to_them() {
    let bench = Bench::new();
    let declared = format!("--env=GLIBC_TUNABLES=a.a=1:{NAME}=9999:b.b=it's $x:a.aa=2");
    let out = bench.environment("e", &["--env=GLIBC_TUNABLES=z.z=9", &declared]);
    assert_eq!(asked(&out), 9999);
    each(&bench, &out, None, &format!("a.a=1:b.b=it's $x:a.aa=2:{NAME}=9999"));
    each(&bench, &out, Some("c.c=3:a.a=4"), &format!("b.b=it's $x:a.aa=2:c.c=3:a.a=4:{NAME}=9999"));
    let users = format!("a.aa=5:{NAME}=10000");
    each(&bench, &out, Some(&users), &format!("a.a=1:b.b=it's $x:a.aa=5:{NAME}=10000"));
    let less = bench.environment("less", &[format!("--env=GLIBC_TUNABLES={NAME}=1")]);
    each(&bench, &less, None, &format!("{NAME}={}", asked(&bench.environment::<&str>("plain", &[]))));
}

#[test]
fn nested_environments_do_not_grow_the_list() {
    let bench = Bench::new();
    let outer = bench.environment("outer", &[format!("--env=GLIBC_TUNABLES=a.a=1:b.b=2:{NAME}=9999")]);
    let inner = bench.environment("inner", &["--env=GLIBC_TUNABLES=c.c=3:a.a=4"]);
    for sh in AS_SH {
        let inside = [script(&inner), script(&outer), script(&inner), SHOW[0].into(), SHOW[1].into()];
        let after = variables(&mut shell(sh, &[], &script(&outer), &inside));
        let expected = format!("c.c=3:a.a=1:b.b=2:{NAME}=9999");
        assert_eq!(value(&after, "GLIBC_TUNABLES"), Some(expected), "{sh:?}");
    }
}

//! The man pages: replit-env(1), whose options clap knows, and rtld_loader(7), which is written by hand.

use anyhow::Result;
use clap::Command;
use roff::{Inline, Roff, bold, italic, roman};

use crate::help::{EXAMPLES, VARIABLES};

/// rtld_loader(7).
pub const AUDITOR: &str = include_str!("../../docs/rtld_loader.7");

const FILES: [(&str, &str); 7] = [
    ("bin/replit-env", "this command, a shell script"),
    ("lib/rtld_loader.so", "the audit library"),
    ("lib/rtld_loader.index", "what is known of the programs and libraries that are declared"),
    ("etc/profile.d/replit-env.sh", "to be sourced: the same variables for a POSIX shell"),
    ("share/fish/vendor_conf.d/replit-env.fish", "the same for fish, which finds it by XDG_DATA_DIRS"),
    ("share/man", "this page, and rtld_loader(7)"),
    ("./rtld_loader.log.N", "the log, where REPLIT_RTLD_LOG_FILE does not say otherwise"),
];

const EXITS: [(&str, &str); 5] = [
    (
        "0, 1",
        "With --explain: all is found, or something is missing. With --doctor: all is well, or something is wrong.",
    ),
    ("2", "The command line is wrong. With --explain also: it cannot be explained."),
    ("126", "The program cannot be executed."),
    ("127", "There is no such program."),
    ("other", "That of the program."),
];

const BUGS: [&str; 3] = [
    "What ld.so does not load is not helped: static programs, programs with musl, and Python's ctypes.util.find_library().",
    "With --no-inherit, what is behind a script is a child of that script: name the program itself.",
    "In the shells dash and busybox variables are lost whose names a shell cannot set, such as those of exported functions \
     of bash.",
];

/// replit-env(1), with the options of this command.
pub fn page(command: &Command, usage: &str) -> Result<Vec<u8>> {
    let man = clap_mangen::Man::new(command.clone());
    // No date: the same source makes the same page. Names are not to be taken apart, nor words to be spread.
    let title =
        concat!(".TH replit-env 1 \"\" \"replit-env ", env!("CARGO_PKG_VERSION"), "\" \"User Commands\"\n.nh\n.ad l\n");
    let mut page =
        format!("{title}.SH NAME\nreplit\\-env \\- run a program with the declared dependencies\n").into_bytes();
    let mut synopsis = Roff::new();
    synopsis.control("SH", ["SYNOPSIS"]).control("nf", []);
    for line in usage.lines() {
        synopsis.text([roman(line.trim())]);
    }
    synopsis.control("fi", []);
    page.extend(synopsis.to_roff().into_bytes());
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    page.extend(rest().to_roff().into_bytes());
    Ok(page)
}

/// What clap does not know.
fn rest() -> Roff {
    let mut page = Roff::new();
    let variables = VARIABLES.map(|(name, meaning)| (bold(name), meaning));
    list(&mut page, "ENVIRONMENT", &variables);
    page.control("SH", ["FILES"]).text([roman("In the directory of an environment:")]);
    entries(&mut page, &FILES.map(|(name, meaning)| (italic(name), meaning)));
    list(&mut page, "EXIT STATUS", &EXITS.map(|(code, meaning)| (bold(code), meaning)));
    page.control("SH", ["EXAMPLES"]);
    for (title, command) in EXAMPLES {
        page.control("PP", []).text([roman(format!("{title}:"))]);
        page.control("RS", []).control("nf", []).text([bold(command)]).control("fi", []).control("RE", []);
    }
    page.control("SH", ["BUGS"]);
    for bug in BUGS {
        page.control("PP", []).text([roman(bug)]);
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("rtld_loader"), roman("(7), "), bold("rtld-audit"), roman("(7), "), bold("ld.so"), roman("(8)")]);
    page
}

fn list(page: &mut Roff, title: &str, list: &[(Inline, &str)]) {
    page.control("SH", [title]);
    entries(page, list);
}

fn entries(page: &mut Roff, list: &[(Inline, &str)]) {
    for (term, meaning) in list {
        page.control("TP", []).text([term.clone()]).text([roman(*meaning)]);
    }
}

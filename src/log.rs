//! What is said of a lookup: lines, derived from its outcome.
//!
//! People grep these logs, and have done so since the loader that this one follows: `ld library miss for NAME`,
//! `searching...`, `found dynamically: PATH`, `not found.` and `RTLD: la_version(N)` are each a line of their own.

use crate::decimal::Decimal;
use crate::environment::Level;
use crate::lookup::Witness;
use crate::outcome::{Outcome, Pass, Place};
use crate::skip::Skip;

/// Where lines go.
pub trait Sink {
    /// What is wanted.
    fn level(&self) -> Level;
    /// Takes some bytes of the log, as pieces to be joined.
    fn write(&mut self, pieces: &[&[u8]]);
}

/// ld.so's question at the start: the version of its auditing interface.
pub fn version(sink: &mut impl Sink, version: u32) {
    if sink.level() >= Level::Info {
        sink.write(&[b"RTLD: la_version(", Decimal::new(version).as_bytes(), b")\n"]);
    }
}

/// That the auditor keeps out of a process of this glibc.
pub fn declined(sink: &mut impl Sink) {
    if sink.level() >= Level::Warn {
        sink.write(&[b"left to ld.so: everything: on this machine any auditor breaks calls before glibc 2.35\n"]);
    }
}

/// The command line of the process.
pub fn command_line<'a>(sink: &mut impl Sink, arguments: impl Iterator<Item = &'a [u8]>) {
    if sink.level() >= Level::Info {
        sink.write(&[b"cmdline:"]);
        arguments.for_each(|argument| sink.write(&[b" ", argument]));
        sink.write(&[b"\n"]);
    }
}

/// An entry of REPLIT_LD_LIBRARY_PATH that is ignored.
pub fn ignored(sink: &mut impl Sink, entry: &[u8], reason: &[u8]) {
    if sink.level() >= Level::Warn {
        sink.write(&[b"REPLIT_LD_LIBRARY_PATH: ignored \"", entry, b"\": ", reason, b"\n"]);
    }
}

/// An index file that is not used.
pub fn index(sink: &mut impl Sink, path: &[u8], reason: &[u8]) {
    if sink.level() >= Level::Warn {
        sink.write(&[b"REPLIT_RTLD_INDEX: ignored \"", path, b"\": ", reason, b"\n"]);
    }
}

/// What a lookup came to. `path` is what was handed out, or where ld.so finds the library.
pub fn outcome(sink: &mut impl Sink, name: &[u8], outcome: Outcome, path: &[u8]) {
    let level = sink.level();
    match outcome {
        Outcome::Redirect if level >= Level::Info => sink.write(&[b"found dynamically: ", path, b"\n"]),
        Outcome::Driver if level >= Level::Info => {
            sink.write(&[b"found dynamically: ", path, b"\nof the graphics driver: ", name, b"\n"]);
        }
        Outcome::Indexed if level >= Level::Debug => {
            sink.write(&[b"answered from the index: ", name, b": ", path, b"\n"]);
        }
        Outcome::OwnGlibc if level >= Level::Info => {
            sink.write(&[b"this process's own glibc has ", name, b": ", path, b"\n"]);
        }
        Outcome::Hint if level >= Level::Info => sink.write(&[b"not found.\nhint: ", path, b"\n"]),
        Outcome::Refuse(_) if level >= Level::Info => sink.write(&[b"not found.\nrefused: ", path, b"\n"]),
        Outcome::Pass(Pass::Missing | Pass::NoneFits) if level >= Level::Info => sink.write(&[b"not found.\n"]),
        Outcome::Pass(Pass::Unsure(reason)) if level >= Level::Warn => {
            sink.write(&[b"left to ld.so: ", name, b": ", reason.text(), b"\n"]);
        }
        Outcome::Loaded if level >= Level::Debug => {
            sink.write(&[b"no such file: ", name, b": its name is loaded: ", path, b"\n"]);
        }
        Outcome::Bare(place) if level >= Level::Debug => {
            sink.write(&[b"no such file: ", name, b": instead"]);
            found(sink, place, path);
        }
        Outcome::Pass(Pass::Found(place)) if level >= Level::Debug => {
            sink.write(&[b"left to ld.so: ", name]);
            found(sink, place, path);
        }
        Outcome::Pass(Pass::Path) if level >= Level::Debug => pass(sink, name, b"it is a path"),
        Outcome::Pass(Pass::GlibcFamily) if level >= Level::Debug => pass(sink, name, b"it is of the glibc family"),
        Outcome::Pass(Pass::NotDeclared) if level >= Level::Debug => pass(sink, name, b"it is not declared"),
        _ => {}
    }
}

/// An object that ld.so has mapped, for the requester that asked for it last; the program has no name.
pub fn loaded(sink: &mut impl Sink, path: &[u8], requester: Option<&[u8]>) {
    if sink.level() < Level::Debug {
        return;
    }
    sink.write(&[b"loaded: ", path]);
    match requester {
        Some(b"") => sink.write(&[b", for the program\n"]),
        Some(requester) => sink.write(&[b", for ", requester, b"\n"]),
        None => sink.write(&[b"\n"]),
    }
}

fn pass(sink: &mut impl Sink, name: &[u8], reason: &[u8]) {
    sink.write(&[b"left to ld.so: ", name, b": ", reason, b"\n"]);
}

fn found(sink: &mut impl Sink, place: Place, path: &[u8]) {
    sink.write(&[b": it is found by ", place.text(), b": ", path, b"\n"]);
}

/// A sink hears of what happens on the way.
impl<S: Sink> Witness for S {
    fn missed(&mut self, soname: &[u8]) {
        if self.level() >= Level::Info {
            self.write(&[b"ld library miss for ", soname, b"\nsearching...\n"]);
        }
    }

    fn considered(&mut self, path: &[u8], verdict: Result<(), &Skip>) {
        if self.level() >= Level::Debug {
            let text = verdict.map_or_else(Skip::text, |()| [b"it fits", b"", b"", b"", b""]);
            self.write(&[b"  ", path, b": "]);
            self.write(&text);
            self.write(&[b"\n"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared::Problem;
    use crate::outcome::Unsure;
    use std::{string::String, vec::Vec};

    struct Lines(Level, Vec<u8>);

    impl Sink for Lines {
        fn level(&self) -> Level {
            self.0
        }
        fn write(&mut self, pieces: &[&[u8]]) {
            self.1.extend(pieces.concat());
        }
    }

    fn lines(level: Level) -> String {
        let mut sink = Lines(level, Vec::new());
        version(&mut sink, 2);
        declined(&mut sink);
        command_line(&mut sink, [b"python3".as_slice(), b"main.py"].into_iter());
        ignored(&mut sink, b"lib", Problem::Relative.text());
        sink.missed(b"libx.so");
        sink.considered(b"/a/libx.so", Err(&Skip::NotElf));
        sink.considered(b"/b/libx.so", Ok(()));
        outcome(&mut sink, b"libx.so", Outcome::Redirect, b"/b/libx.so");
        outcome(&mut sink, b"liby.so", Outcome::Pass(Pass::NoneFits), b"");
        outcome(&mut sink, b"libz.so", Outcome::Pass(Pass::Found(Place::Cache)), b"/lib/libz.so");
        outcome(&mut sink, b"libu.so", Outcome::Pass(Pass::Unsure(Unsure::ExplicitLoader)), b"");
        outcome(&mut sink, b"/lib/libb.so", Outcome::Bare(Place::Runpath), b"/r/libb.so");
        outcome(&mut sink, b"/lib/libl.so", Outcome::Loaded, b"/o/libl.so");
        outcome(&mut sink, b"libc.so.6", Outcome::Pass(Pass::GlibcFamily), b"");
        loaded(&mut sink, b"/b/libx.so", Some(b""));
        loaded(&mut sink, b"/b/liby.so", Some(b"/b/libx.so"));
        loaded(&mut sink, b"linux-vdso.so.1", None);
        String::from_utf8(sink.1).unwrap()
    }

    #[test]
    fn a_hint_is_said_with_the_miss_and_a_driver_with_the_hit() {
        for (said, expected) in [
            (Outcome::Hint, "not found.\nhint: libx.so (text)\n"),
            (Outcome::Driver, "found dynamically: libx.so (text)\nof the graphics driver: libx.so\n"),
        ] {
            for (level, expected) in [(Level::Warn, ""), (Level::Info, expected)] {
                let mut sink = Lines(level, Vec::new());
                outcome(&mut sink, b"libx.so", said, b"libx.so (text)");
                assert_eq!(sink.1, expected.as_bytes());
            }
        }
    }

    #[test]
    fn each_level_adds_to_the_one_below() {
        assert_eq!(lines(Level::Off), "");
        assert_eq!(
            lines(Level::Warn),
            "left to ld.so: everything: on this machine any auditor breaks calls before glibc 2.35\n\
             REPLIT_LD_LIBRARY_PATH: ignored \"lib\": it is not an absolute path\n\
             left to ld.so: libu.so: the program was started through ld.so\n"
        );
        assert_eq!(
            lines(Level::Info),
            "RTLD: la_version(2)\n\
             left to ld.so: everything: on this machine any auditor breaks calls before glibc 2.35\n\
             cmdline: python3 main.py\n\
             REPLIT_LD_LIBRARY_PATH: ignored \"lib\": it is not an absolute path\n\
             ld library miss for libx.so\n\
             searching...\n\
             found dynamically: /b/libx.so\n\
             not found.\n\
             left to ld.so: libu.so: the program was started through ld.so\n"
        );
        assert_eq!(
            lines(Level::Debug),
            "RTLD: la_version(2)\n\
             left to ld.so: everything: on this machine any auditor breaks calls before glibc 2.35\n\
             cmdline: python3 main.py\n\
             REPLIT_LD_LIBRARY_PATH: ignored \"lib\": it is not an absolute path\n\
             ld library miss for libx.so\n\
             searching...\n\
             \x20 /a/libx.so: it is not an ELF file of this byte order\n\
             \x20 /b/libx.so: it fits\n\
             found dynamically: /b/libx.so\n\
             not found.\n\
             left to ld.so: libz.so: it is found by ld.so.cache: /lib/libz.so\n\
             left to ld.so: libu.so: the program was started through ld.so\n\
             no such file: /lib/libb.so: instead: it is found by RUNPATH: /r/libb.so\n\
             no such file: /lib/libl.so: its name is loaded: /o/libl.so\n\
             left to ld.so: libc.so.6: it is of the glibc family\n\
             loaded: /b/libx.so, for the program\n\
             loaded: /b/liby.so, for /b/libx.so\n\
             loaded: linux-vdso.so.1\n"
        );
    }
}

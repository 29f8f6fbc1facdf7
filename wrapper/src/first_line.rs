//! The first line of a script: what the kernel runs for it (fs/binfmt_script.c), and what env(1) makes of its part.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// What a first line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstLine<'l> {
    /// The path of the interpreter.
    pub interpreter: &'l OsStr,
    /// All that follows it: one argument.
    pub argument: &'l [u8],
}

impl<'l> FirstLine<'l> {
    /// Reads what a file begins with. `None` if it is no script. A carriage return is part of the line, as for the kernel.
    pub fn read(start: &'l [u8]) -> Option<Self> {
        let line = trim(start.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?);
        let end = line.iter().position(is_blank).unwrap_or(line.len());
        let (interpreter, argument) = line.split_at(end);
        let interpreter = (!interpreter.is_empty()).then(|| OsStr::from_bytes(interpreter))?;
        Some(Self { interpreter, argument: trim(argument) })
    }

    /// Whether it is env(1) that goes on to the program.
    pub fn is_env(&self) -> bool {
        self.interpreter.as_bytes().rsplit(|&byte| byte == b'/').next() == Some(b"env")
    }

    /// The program that env(1) runs: without -S all of the argument is one word.
    pub fn named_to_env(&self) -> Option<&'l OsStr> {
        let rest = match self.argument {
            b"" => return None,
            argument if !argument.starts_with(b"-") => return Some(OsStr::from_bytes(argument)),
            argument => {
                let split = argument.strip_prefix(b"--split-string").or_else(|| {
                    let options = argument.split(is_blank).next()?;
                    argument.get(options.iter().position(|&byte| byte == b'S')? + 1..)
                })?;
                split.strip_prefix(b"=").unwrap_or(split)
            }
        };
        let mut words = rest.split(is_blank).filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            match word {
                // These have a word of their own behind them.
                b"-u" | b"--unset" | b"-C" | b"--chdir" | b"-a" | b"--argv0" => drop(words.next()),
                word if word.starts_with(b"-") || word.contains(&b'=') => {}
                word => return plain(word).map(OsStr::from_bytes),
            }
        }
        None
    }
}

/// A word of -S without the quotes around it. `None` where there is more to be replaced: escapes, variables, a quoted blank.
fn plain(word: &[u8]) -> Option<&[u8]> {
    let plain = match word {
        [quote @ (b'"' | b'\''), inner @ .., end] if quote == end => inner,
        word => word,
    };
    (!plain.iter().any(|byte| b"\"'\\$".contains(byte))).then_some(plain)
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Without the blanks around it.
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_and_its_one_argument() {
        let line = |start: &'static str| {
            let line = FirstLine::read(start.as_bytes())?;
            Some((line.interpreter.to_str().unwrap(), std::str::from_utf8(line.argument).unwrap()))
        };
        assert_eq!(line("#!/bin/sh\necho"), Some(("/bin/sh", "")));
        assert_eq!(line("#! \t/bin/sh  -e -u \t\n"), Some(("/bin/sh", "-e -u")));
        assert_eq!(line("#!/bin/sh\r\n"), Some(("/bin/sh\r", "")));
        assert_eq!(line("#!/bin/sh"), Some(("/bin/sh", "")));
        for none in ["", "#!", "#!\n/bin/sh", "# !/bin/sh", "\x7fELF"] {
            assert_eq!(line(none), None);
        }
    }

    #[test]
    fn what_env_runs() {
        let named = |argument: &'static str| {
            let line = FirstLine { interpreter: OsStr::new("/usr/bin/env"), argument: argument.as_bytes() };
            assert!(line.is_env());
            line.named_to_env().map(|name| name.to_str().unwrap())
        };
        for argument in ["python3", "-S python3 -x", "-Spython3", "-vS A=b python3", "-S -i -u A -C / python3"] {
            assert_eq!(named(argument), Some("python3"), "{argument}");
        }
        assert_eq!(named("--split-string=python3 -x"), Some("python3"));
        assert_eq!(named("python3 -x"), Some("python3 -x"), "one word");
        for quoted in ["-S \"python3\" -u", "-S 'python3'", "-S -i \"python3\""] {
            assert_eq!(named(quoted), Some("python3"), "{quoted}");
        }
        for none in ["", "-S", "-S -u A", "-i python3", "-S ${HOME}/x", "-S \"my python\" -u", "-S python\\_3", "-S \""]
        {
            assert_eq!(named(none), None, "{none}");
        }
        let line = FirstLine { interpreter: OsStr::new("/bin/envy"), argument: b"" };
        assert!(!line.is_env());
    }
}

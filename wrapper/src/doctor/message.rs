//! What is said of a finding: what is wrong, why it matters, what to do.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::finding::{Finding, Severity};
use crate::script;

/// What is said of a finding.
pub struct Message {
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong.
    pub problem: String,
    /// Why it matters.
    pub reason: String,
    /// What to do.
    pub remedy: String,
    /// Lines for a shell, or to be written into a file.
    pub lines: Vec<String>,
}

const AGAIN: &str = "Make the environment again (`nix build`, or `replit-env-cli generate`).";
const AGAIN_AND_SHELL: &str =
    "Make the environment again (`nix build`, or `replit-env-cli generate`) and start a new shell. Until then:";
const UNSTARTED: &str = "Every process prints an ERROR line, and finds no declared library.";
const ABSOLUTE: &str = "Write the whole path.";
const SEARCHED_AGAIN: &str = "Programs start more slowly: ld.so searches, and each declared directory is read.";

impl Finding {
    /// What is said of it.
    pub fn message(&self) -> Message {
        use Severity::{Error, Note, Warning};
        match self {
            Self::NoAuditor => Message::new(Error, "LD_AUDIT does not name rtld_loader.so")
                .reason("What ld.so does not find stays missing in every process.")
                .remedy("Start programs with `replit-env PROGRAM`, or set the variables in this shell:")
                .line(r#"eval "$(replit-env --print-env)""#),
            Self::AuditorGone { path, is_ours: true, .. } => {
                Message::new(Error, format!("the auditor in LD_AUDIT is gone: {}", show(path)))
                    .reason(UNSTARTED)
                    .remedy(AGAIN_AND_SHELL)
                    .line("unset LD_AUDIT")
            }
            Self::AuditorGone { path, is_ours: false, rest } => {
                Message::new(Warning, format!("another auditor in LD_AUDIT is gone: {}", show(path)))
                    .reason("Every process prints an ERROR line.")
                    .remedy("Leave it out:")
                    .line(export("LD_AUDIT", rest))
            }
            Self::CallersAuditorGone { path } => {
                Message::new(Error, format!("in the calling shell, the auditor in LD_AUDIT is gone: {}", show(path)))
                    .reason("Every process there that replit-env does not start prints an ERROR line.")
                    .remedy("Take it out of the profile that sets it, and out of the shell:")
                    .line("unset LD_AUDIT")
            }
            Self::AuditorUnloadable { path, is_ours, reason } => {
                let severity = if *is_ours { Error } else { Warning };
                Message::new(severity, format!("ld.so cannot load the auditor {}: {reason}", show(path)))
                    .reason(if *is_ours { UNSTARTED } else { "Every process prints an ERROR line." })
                    .remedy(AGAIN_AND_SHELL)
                    .line("unset LD_AUDIT")
            }
            Self::AuditorOfPlatform { path, platform, reason } => {
                let problem = format!("where $PLATFORM is {platform}, ld.so cannot load the auditor: {reason}");
                Message::new(Warning, format!("{problem}: {}", show(path)))
                    .reason("Each process whose ld.so says so prints an ERROR line, and finds no declared library.")
                    .remedy(AGAIN)
            }
            Self::NoPlatform => {
                Message::new(Warning, "LD_AUDIT has $PLATFORM, and the kernel does not tell what that is (AT_PLATFORM)")
                    .reason("Where ld.so does not know the processor itself, processes print an ERROR line and are not helped.")
                    .remedy("Make the environment for one kind of programs: without `enable32Bit`, or --auditor-32.")
            }
            Self::AuditorRelative { entry } => {
                Message::new(Warning, format!("an auditor in LD_AUDIT has no absolute path: {}", show(entry)))
                    .reason("Where a process does not find it from its working directory, it prints an ERROR line.")
                    .remedy(ABSOLUTE)
            }
            Self::AuditorTwice { first, second, rest } => {
                Message::new(Warning, format!("LD_AUDIT has two of our auditors: {} and {}", show(first), show(second)))
                    .reason("Each process loads both, and the second one judges what the first one has answered.")
                    .remedy("Keep the first:")
                    .line(export("LD_AUDIT", rest))
            }
            Self::AuditorBehind { other, ordered } => {
                Message::new(Note, format!("another auditor stands before ours in LD_AUDIT: {}", show(other)))
                    .reason("Where that one answers with a path, ours does not get to see the name.")
                    .remedy("If that is not meant, put ours first:")
                    .line(export("LD_AUDIT", ordered))
            }
            Self::AuditorWritable { path, at } => {
                Message::new(Warning, format!("everybody can replace the auditor {}", show(path)))
                    .reason("Who does so has code of theirs run in each of your processes.")
                    .remedy("Take the right to write away:")
                    .line(format!("chmod o-w {}", word(at)))
            }
            Self::AuditorUnprotected { path, store_path } => {
                Message::new(Note, format!("nothing keeps the auditor from garbage collection: {}", show(path)))
                    .reason("Nix keeps it while processes use it. Once it is collected, each that has it in LD_AUDIT prints an ERROR.")
                    .remedy("Install the environment in a profile, or keep it with a link of its own:")
                    .line(format!(r#"nix-store --realise {} --add-root "$HOME/.replit-env""#, word(store_path)))
            }
            Self::Disabled => Message::new(Warning, "REPLIT_RTLD_DISABLE is set")
                .reason("The auditor keeps out of every process: no declared library is found.")
                .remedy("If that is not meant:")
                .line("unset REPLIT_RTLD_DISABLE"),

            Self::NothingDeclared => Message::new(Note, "no library is declared: REPLIT_LD_LIBRARY_PATH is empty")
                .reason("The auditor has nothing to hand out.")
                .remedy("Declare packages under `deps` in replit.nix, or directories with `--lib` of replit-env-cli."),
            Self::EntryEmpty => Message::new(Warning, "REPLIT_LD_LIBRARY_PATH has an empty entry")
                .reason("It is ignored. In LD_LIBRARY_PATH it would be the working directory; here it is nothing.")
                .remedy("Take one of the two colons away, or the one at the end."),
            Self::EntryRelative { entry } => {
                Message::new(Warning, format!("REPLIT_LD_LIBRARY_PATH has a relative entry: {}", show(entry)))
                    .reason("It is ignored: it would be another place in each working directory.")
                    .remedy(ABSOLUTE)
            }
            Self::EntryToken { entry } => {
                Message::new(Warning, format!("a declared path has $ORIGIN, $LIB or $PLATFORM in it: {}", show(entry)))
                    .reason("Nothing is taken from it: ld.so would replace that in each path from there.")
                    .remedy("Declare it by a path without, such as one through a symbolic link.")
            }
            Self::EntryCollected { entry } => {
                Message::new(Error, format!("a declared store path is gone: {}", show(entry)))
                    .reason("Its libraries are found no more; the garbage collector may have taken it.")
                    .remedy(AGAIN)
            }
            Self::EntryMissing { entry } => {
                Message::new(Warning, format!("a declared path does not exist: {}", show(entry)))
                    .reason("Nothing is found there.")
                    .remedy("Make it, or declare another one: it counts as soon as it is there.")
            }
            Self::NoDriver { entry } => Message::new(Note, format!("no graphics driver is installed: {}", show(entry)))
                .reason("Programs draw without the processor of the graphics card.")
                .remedy("On NixOS, if there is a card, in configuration.nix:")
                .line("hardware.graphics.enable = true;"),
            Self::EntryUnloadable { entry, reason } => {
                Message::new(Warning, format!("a declared library cannot be loaded: {}: {reason}", show(entry)))
                    .reason("It is passed over.")
                    .remedy("Declare one that was built for this machine, or its directory.")
            }
            Self::EntryForeign { entry, example, reason } => {
                let library = example.file_name().map(Path::new).unwrap_or(example);
                let problem = "no library of a declared directory can be loaded:";
                Message::new(Warning, format!("{problem} {} ({}: {reason})", show(entry), show(library)))
                    .reason("All of them are passed over.")
                    .remedy("Declare a directory with libraries for this machine.")
            }
            Self::EntriesBarren { entries } => {
                Message::new(Note, format!("there is no library in {}", listed(entries)))
                    .reason("Only what lies in a declared directory itself is found, nothing below it.")
                    .remedy("If libraries are meant to be there, declare the directory that has the .so files.")
            }
            Self::EntriesRepeated { entries } => {
                Message::new(Note, format!("declared more than once: {}", listed(entries)))
                    .reason("Only the first of equal entries counts.")
                    .remedy("Take the others out of REPLIT_LD_LIBRARY_PATH, if it is to be short.")
            }
            Self::EntriesOutside { entries } => {
                Message::new(Note, format!("declared, but not in the store: {}", listed(entries)))
                    .reason("Another machine may have other libraries there, or none.")
                    .remedy("Nothing is to be done if they are this machine's own, such as drivers.")
            }
            Self::EntryWritable { entry, at } => {
                Message::new(Warning, format!("everybody can put libraries into a declared path: {}", show(entry)))
                    .reason(
                        "The auditor ignores what everybody can write to. Where it is a directory above, who does so has code \
                         of theirs run in your processes.",
                    )
                    .remedy("Take the right to write away:")
                    .line(format!("chmod o-w {}", word(at)))
            }

            Self::IndexGone { path } => {
                Message::new(Warning, format!("the index is gone: {}", show(path))).reason(SEARCHED_AGAIN).remedy(AGAIN)
            }
            Self::IndexRelative { entry } => {
                Message::new(Warning, format!("REPLIT_RTLD_INDEX has a relative entry: {}", show(entry)))
                    .reason("It is ignored.")
                    .remedy(ABSOLUTE)
            }
            Self::IndexWritable { path, at } => {
                Message::new(Warning, format!("everybody can replace the index {}", show(path)))
                    .reason("Who does so chooses the libraries that your processes load.")
                    .remedy("Take the right to write away:")
                    .line(format!("chmod o-w {}", word(at)))
            }
            Self::IndexDamaged { path } => Message::new(Warning, format!("the index is damaged: {}", show(path)))
                .reason(SEARCHED_AGAIN)
                .remedy(AGAIN),
            Self::IndexOfOtherVersion { path } => {
                Message::new(Warning, format!("the index is of another version of replit-env: {}", show(path)))
                    .reason(SEARCHED_AGAIN)
                    .remedy(AGAIN)
            }
            Self::IndexOfOtherMachine { path } => {
                Message::new(Warning, format!("the index is for another kind of machine: {}", show(path)))
                    .reason(SEARCHED_AGAIN)
                    .remedy("Make the environment on this kind of machine (`nix build`, or `replit-env-cli generate`).")
            }
            Self::IndexOfOtherList { path, begins_with } => {
                let problem = "REPLIT_LD_LIBRARY_PATH does not begin with what the index was made for:";
                Message::new(Note, format!("{problem} {}", show(path)))
                    .reason("Lookups are slower, and right all the same.")
                    .remedy(format!("Put other entries behind those that begin with {}.", show(begins_with)))
            }
            Self::IndexedFilesGone { path, first, count } => {
                let problem = format!("the index names {}, which is gone: {}", counted(first, *count), show(path));
                Message::new(Error, problem)
                    .reason("ld.so is told to open it, and the program that needs it fails.")
                    .remedy(AGAIN)
            }
            Self::IndexedFilesChanged { path, first, count } => {
                let problem = format!("{} changed after the index was made: {}", counted(first, *count), show(path));
                Message::new(Warning, problem)
                    .reason("A program may get another library than ld.so would find, or one that it cannot load.")
                    .remedy("Make the environment again, and declare with --store only where nothing changes.")
            }

            Self::StaticTls { set, needed, value } => {
                let problem = format!("static thread-local storage: {set} bytes are asked for, {needed} may be needed");
                Message::new(Warning, problem)
                    .reason("Libraries such as jemalloc fail with `cannot allocate memory in static TLS block`.")
                    .remedy("Start programs with replit-env, which asks for enough, or (glibc 2.32 and later):")
                    .line(assignment("GLIBC_TUNABLES", value))
            }
            Self::TunablesUnreadable { reason } => Message::new(Warning, reason.clone())
                .reason("Since glibc 2.38 ld.so ignores all that follows it, static TLS among it.")
                .remedy("Take it out; an entry is `name=value`, with colons between several."),

            Self::LibraryPathGlibc { libc } => {
                Message::new(Error, format!("LD_LIBRARY_PATH leads to a glibc: {}", show(libc)))
                    .reason("Programs of any other glibc crash or do not start.")
                    .remedy("Never declare it there; a program has its own:")
                    .line("unset LD_LIBRARY_PATH")
            }
            Self::LibraryPath { entries, shadowed, declared } => {
                let mut problem = format!("LD_LIBRARY_PATH is set: {}", joined(entries));
                if !shadowed.is_empty() {
                    problem += &format!(", and has {}", shadowed.join(", "));
                }
                let message = Message::new(Warning, problem)
                    .reason("It goes before every program's own libraries, whatever glibc those are for.");
                match declared[..] {
                    [] => message
                        .remedy("Declare packages in replit.nix instead, whose libraries come last, and take it away:")
                        .line("unset LD_LIBRARY_PATH"),
                    _ => message
                        .remedy("Declare its directories instead, which come last then:")
                        .line("unset LD_LIBRARY_PATH")
                        .line(export("REPLIT_LD_LIBRARY_PATH", declared)),
                }
            }
            Self::LibraryPathEmptyEntry => Message::new(Warning, "LD_LIBRARY_PATH has an empty entry")
                .reason("It is the working directory: whoever can write there has code run in your processes.")
                .remedy("Take one of the two colons away, or:")
                .line("unset LD_LIBRARY_PATH"),
            Self::PreloadGone { entry } => {
                Message::new(Warning, format!("a library in LD_PRELOAD is gone: {}", show(entry)))
                    .reason("Every process prints an ERROR line.")
                    .remedy("Take it out, or if it is the only one:")
                    .line("unset LD_PRELOAD")
            }

            Self::LogLevel { value } => {
                Message::new(Warning, format!("REPLIT_RTLD_LOG_LEVEL is no level: {}", show(value)))
                    .reason("Nothing is logged.")
                    .remedy("The levels are off, warn, info and debug, or 0 to 3:")
                    .line("export REPLIT_RTLD_LOG_LEVEL=info")
            }
            Self::LogFile { path, reason } => {
                Message::new(Warning, format!("no log can be written to {}: {reason}", show(path)))
                    .reason("Each process says so on standard error, and logs nothing.")
                    .remedy("Name a place that can be written:")
                    .line("export REPLIT_RTLD_LOG_FILE=stderr")
            }
            Self::LogUnused => Message::new(Note, "REPLIT_RTLD_LOG_FILE is set, but the level is `off`")
                .reason("Nothing is logged.")
                .remedy("If there is to be a log:")
                .line("export REPLIT_RTLD_LOG_LEVEL=info"),
            Self::HintsOff => Message::new(Note, "REPLIT_RTLD_HINTS is 0")
                .reason("Error messages do not say why a library is not found.")
                .remedy("If that is not meant:")
                .line("unset REPLIT_RTLD_HINTS"),

            Self::NoCuda { device } => Message::new(Warning, format!("there is {}, but no libcuda.so.1", show(device)))
                .reason("CUDA finds no driver. Its library belongs to the kernel's module, and is not Nix's to bring.")
                .remedy(
                    "Install the driver's libraries beside the module (Debian: libcuda1; in a container: \
                         `--gpus all`; on WSL: /usr/lib/wsl/lib in /etc/ld.so.conf.d), and run `ldconfig`. On NixOS, \
                         in configuration.nix:",
                )
                .line("hardware.graphics.enable = true;")
                .line(r#"services.xserver.videoDrivers = [ "nvidia" ];"#),

            Self::VenvGone { venv } => Message::new(Warning, format!("VIRTUAL_ENV is no venv: {}", show(venv)))
                .reason("Python and pip are not those that the prompt promises.")
                .remedy("Leave it, or make it again:")
                .line("unset VIRTUAL_ENV")
                .line(format!("replit-env python3 -m venv {}", word(venv))),
            Self::VenvPythonGone { venv, python } => {
                Message::new(Error, format!("the Python of the venv {} is gone: {}", show(venv), show(python)))
                    .reason("No program of the venv starts; the garbage collector may have taken it.")
                    .remedy("Make the venv again, and install its packages again:")
                    .line(format!("replit-env python3 -m venv --clear {}", word(venv)))
            }
            Self::VenvForeign { venv, python } => {
                let problem = format!("the Python of the venv {} is not from Nix: {}", show(venv), show(python));
                Message::new(Warning, problem)
                    .reason("It has the machine's glibc: declared libraries that need a newer one cannot be loaded.")
                    .remedy("Make the venv again with the declared Python, and install its packages again:")
                    .line(format!("replit-env python3 -m venv --clear {}", word(venv)))
            }

            Self::ProgramMissing { name } => Message::new(Error, format!("there is no program {}", show(name)))
                .reason("replit-env would exit with 127.")
                .remedy("Add its package to `deps` in replit.nix, its directory with --bin, or find it:")
                .line(format!("nix-locate --minimal --whole-name --at-root /bin/{}", word(base(name)))),
            Self::ProgramNotExecutable { path } => Message::new(Error, format!("{} may not be executed", show(path)))
                .reason("replit-env would exit with 126.")
                .remedy("If it is a program:")
                .line(format!("chmod +x {}", word(path))),
            Self::ProgramUnknown { path } => {
                Message::new(Warning, format!("{} is neither an ELF program nor a script with a `#!` line", show(path)))
                    .reason("The kernel does not start it; a shell takes it for a script of its own.")
                    .remedy("If it is a script, let its first line name its interpreter:")
                    .line("#!/usr/bin/env bash")
            }
            Self::ScriptInterpreterMissing { path, interpreter } => {
                let (path, missing) = (show(path), show(interpreter));
                Message::new(Error, format!("the interpreter of the script {path} is not there: {missing}"))
                    .reason("The shell says `No such file or directory`, and means the interpreter.")
                    .remedy("Have it looked up in PATH, by the script's first line:")
                    .line(format!("#!/usr/bin/env {}", show(base(interpreter))))
            }
            Self::ProgramLibrary { path } => Message::new(Error, format!("{} is a library, no program", show(path)))
                .reason("What becomes of it depends on the program that loads it.")
                .remedy("To see what it comes to in a program:")
                .line(format!("replit-env --explain --for PROGRAM {}", word(path))),
            Self::LoaderMissing { path, loader } => {
                Message::new(Error, format!("the ld.so that {} asks for is not there: {}", show(path), show(loader)))
                    .reason("The shell says `No such file or directory` of the program. Without ld.so, no auditor.")
                    .remedy("It was built for another system. Take it from Nix, enable nix-ld, or in a nix-shell:")
                    .line(format!(
                        r#"patchelf --set-interpreter "$(cat "$NIX_CC/nix-support/dynamic-linker")" {}"#,
                        word(path)
                    ))
            }
            Self::ProgramStatic { path } => Message::new(Note, format!("{} is a static program", show(path)))
                .reason("ld.so does not load it, nor any library of it: it is not helped, and does not need it.")
                .remedy("Nothing is to be done, unless it is to load libraries: then take a dynamic build."),
            Self::ProgramMusl { path, loader } => {
                Message::new(Warning, format!("{} is built with musl: {}", show(path), show(loader)))
                    .reason("musl's ld.so knows no auditors: no declared library is found.")
                    .remedy("Take a build for glibc (of a wheel manylinux, not musllinux).")
            }
            Self::Program32 { path } => Message::new(Warning, format!("{} is a 32-bit program", show(path)))
                .reason("LD_AUDIT has no auditor for it: it prints `wrong ELF class` once, runs, and gets no library.")
                .remedy(
                    "On x86_64, make the environment with one (`enable32Bit` of mkReplitEnv, --auditor-32 of the generator). \
                     Or take a 64-bit build, or start it without the auditor:",
                )
                .line(format!("env --unset=LD_AUDIT {}", word(path))),
            Self::ProgramOfOtherMachine { path } => {
                Message::new(Error, format!("{} is for another kind of machine", show(path)))
                    .reason("The kernel does not start it, unless an emulator is registered.")
                    .remedy("Take a build for this machine; its kind is:")
                    .line("uname -m")
            }
            Self::ProgramPrivileged { path } => {
                Message::new(Note, format!("{} runs with more rights than its caller", show(path)))
                    .reason("ld.so takes neither auditor nor libraries from the environment of such a program.")
                    .remedy("Nothing is to be done: it has to bring its own libraries.")
            }
            Self::GlibcUnsupported { path, minor } => {
                Message::new(Warning, format!("{} has glibc 2.{minor}; 2.34 and later is supported", show(path)))
                    .reason("Lookups work, but before 2.35 any auditor slows down calls and breaks dlmopen(3).")
                    .remedy("Take the program from a newer channel, or if its calls are too slow (docs/old-glibc.md):")
                    .line("export LD_BIND_NOW=1")
            }
            Self::GlibcDeclined { path, minor } => {
                Message::new(Warning, format!("{} has glibc 2.{minor}, too old on aarch64", show(path)))
                    .reason("Before 2.35 any auditor breaks functions that return structures, so ours keeps out.")
                    .remedy("Take the program from a channel with glibc 2.35 or later.")
            }
            Self::GlibcTooOld { path, minor, libraries, of } => {
                let newest = libraries.iter().map(|(_, needed)| needed).max().unwrap_or(minor);
                let count = libraries.len();
                let path = show(path);
                let problem = format!("{path} has glibc 2.{minor}, too old for {count} of {of} declared libraries");
                let named = libraries.iter().take(3).map(|(name, needed)| format!("{name} needs 2.{needed}"));
                let named = named.chain((count > 3).then(|| "and others".into())).collect::<Vec<_>>().join(", ");
                Message::new(Warning, problem)
                    .reason(format!("Those are not handed out to it: {named}."))
                    .remedy(format!(
                        "Take the program from a channel with glibc 2.{newest} or later, or declare the libraries \
                         also from one with 2.{minor} or older (`channels` of mkReplitEnv, or):"
                    ))
                    .line("replit-env-cli generate --channel-of old=OUTPUT[:OUTPUT…] …")
            }
        }
    }
}

impl Message {
    fn new(severity: Severity, problem: impl Into<String>) -> Self {
        Self { severity, problem: problem.into(), reason: String::new(), remedy: String::new(), lines: Vec::new() }
    }

    fn reason(self, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..self }
    }

    fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }

    fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }
}

/// A path for people: nothing in it moves the cursor.
pub fn show(path: &Path) -> String {
    show_bytes(path.as_os_str().as_bytes())
}

/// Other text of the environment, likewise.
pub fn show_bytes(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let shown = |character: char| match character {
        _ if character.is_control() => character.escape_default().collect(),
        _ => character.to_string(),
    };
    text.chars().map(shown).collect()
}

/// What a path is called without its directory.
fn base(path: &Path) -> &Path {
    path.file_name().map_or(path, Path::new)
}

/// Several paths: all of them if they are few.
fn listed(paths: &[PathBuf]) -> String {
    match paths {
        [first, rest @ ..] if rest.len() > 2 => counted(first, paths.len()),
        _ => joined(paths),
    }
}

fn joined(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| show(path)).collect::<Vec<_>>().join(", ")
}

/// A file, and how many more there are.
fn counted(first: &Path, count: usize) -> String {
    match count {
        0 | 1 => show(first),
        more => format!("{} (and {} more)", show(first), more - 1),
    }
}

/// A line that sets a list.
fn export(name: &str, entries: &[PathBuf]) -> String {
    if entries.is_empty() {
        return format!("unset {name}");
    }
    let entries: Vec<_> = entries.iter().map(|entry| entry.as_os_str().as_bytes()).collect();
    assignment(name, &entries.join(&b':'))
}

fn assignment(name: &str, value: &[u8]) -> String {
    format!("export {name}={}", quoted(value))
}

fn word(path: &Path) -> String {
    quoted(path.as_os_str().as_bytes())
}

/// A word of the shell: as it is if it can be.
fn quoted(bytes: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+:,=@%".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(is_plain) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    show_bytes(&script::quoted(bytes))
}

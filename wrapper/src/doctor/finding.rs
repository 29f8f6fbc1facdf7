//! What can be wrong with an environment: each thing is one value. What is said of it is in `message`.

use std::path::PathBuf;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something that is declared does not work.
    Error,
    /// Something may not work, or may be abused.
    Warning,
    /// It is fine, and yet good to know.
    Note,
}

/// Writes the enum: its variants, each behind the `id` that it has in JSON.
macro_rules! findings {
    ($($(#[$doc:meta])* $id:literal => $name:ident $({ $($field:ident: $kind:ty),* })?,)*) => {
        /// A finding.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Finding {
            $($(#[$doc])* $name $({ $($field: $kind),* })?,)*
        }

        impl Finding {
            /// The ids of all variants.
            #[cfg(test)]
            pub const IDS: &[&str] = &[$($id),*];

            /// Its name, for tools.
            pub fn id(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => $id,)*
                }
            }
        }
    };
}

findings! {
    /// LD_AUDIT has no auditor of ours.
    "no-auditor" => NoAuditor,
    /// An auditor's file is not there. `rest` is LD_AUDIT without it.
    "auditor-gone" => AuditorGone { path: PathBuf, is_ours: bool, rest: Vec<PathBuf> },
    /// The same in the shell that called the script, which has put the right one in its place.
    "callers-auditor-gone" => CallersAuditorGone { path: PathBuf },
    /// ld.so cannot load an auditor.
    "auditor-unloadable" => AuditorUnloadable { path: PathBuf, is_ours: bool, reason: String },
    /// ld.so cannot load the auditor of ours that it gets where `$PLATFORM` is this.
    "auditor-of-platform" => AuditorOfPlatform { path: PathBuf, platform: String, reason: String },
    /// LD_AUDIT has `$PLATFORM`, and the kernel does not say what that is.
    "no-platform" => NoPlatform,
    /// An auditor without an absolute path.
    "auditor-relative" => AuditorRelative { entry: PathBuf },
    /// Two auditors of ours. `rest` is LD_AUDIT without the second.
    "auditor-twice" => AuditorTwice { first: PathBuf, second: PathBuf, rest: Vec<PathBuf> },
    /// Another auditor stands before ours. `ordered` is LD_AUDIT with ours first.
    "auditor-behind" => AuditorBehind { other: PathBuf, ordered: Vec<PathBuf> },
    /// Everybody can write to `at`, the auditor's file or a directory on the way to it.
    "auditor-writable" => AuditorWritable { path: PathBuf, at: PathBuf },
    /// Nix may delete the auditor.
    "auditor-unprotected" => AuditorUnprotected { path: PathBuf, store_path: PathBuf },
    /// REPLIT_RTLD_DISABLE is set.
    "disabled" => Disabled,

    /// REPLIT_LD_LIBRARY_PATH has no entry.
    "nothing-declared" => NothingDeclared,
    /// It has an empty entry.
    "entry-empty" => EntryEmpty,
    /// An entry without an absolute path.
    "entry-relative" => EntryRelative { entry: PathBuf },
    /// An entry in which ld.so would replace something.
    "entry-token" => EntryToken { entry: PathBuf },
    /// A store path that is not there.
    "entry-collected" => EntryCollected { entry: PathBuf },
    /// Another path that is not there.
    "entry-missing" => EntryMissing { entry: PathBuf },
    /// The place of a driver, where none is installed.
    "no-driver" => NoDriver { entry: PathBuf },
    /// A single file that is no library for this machine.
    "entry-unloadable" => EntryUnloadable { entry: PathBuf, reason: String },
    /// A directory with libraries of which ld.so loads none.
    "entry-foreign" => EntryForeign { entry: PathBuf, example: PathBuf, reason: String },
    /// Directories without any library.
    "entries-barren" => EntriesBarren { entries: Vec<PathBuf> },
    /// Entries that stand there more than once.
    "entries-repeated" => EntriesRepeated { entries: Vec<PathBuf> },
    /// Entries that are not in the store, where others are.
    "entries-outside" => EntriesOutside { entries: Vec<PathBuf> },
    /// Everybody can write to `at`, an entry or a directory on the way to it.
    "entry-writable" => EntryWritable { entry: PathBuf, at: PathBuf },

    /// An index file is not there.
    "index-gone" => IndexGone { path: PathBuf },
    /// An index without an absolute path.
    "index-relative" => IndexRelative { entry: PathBuf },
    /// Everybody can write to `at`, the index or a directory on the way to it.
    "index-writable" => IndexWritable { path: PathBuf, at: PathBuf },
    /// It is no index, or not whole.
    "index-damaged" => IndexDamaged { path: PathBuf },
    /// It has another format.
    "index-of-other-version" => IndexOfOtherVersion { path: PathBuf },
    /// It is for other objects.
    "index-of-other-machine" => IndexOfOtherMachine { path: PathBuf },
    /// No index has what REPLIT_LD_LIBRARY_PATH begins with.
    "index-of-other-list" => IndexOfOtherList { path: PathBuf, begins_with: PathBuf },
    /// Files that the index has are not there.
    "indexed-files-gone" => IndexedFilesGone { path: PathBuf, first: PathBuf, count: usize },
    /// Files are newer than the index, or not in it.
    "indexed-files-changed" => IndexedFilesChanged { path: PathBuf, first: PathBuf, count: usize },

    /// glibc.rtld.optional_static_tls is less than the declared libraries may need. `value` is what GLIBC_TUNABLES
    /// should be.
    "static-tls" => StaticTls { set: u64, needed: u64, value: Vec<u8> },
    /// GLIBC_TUNABLES has something that ld.so cannot read.
    "tunables-unreadable" => TunablesUnreadable { reason: String },

    /// LD_LIBRARY_PATH has a glibc.
    "library-path-glibc" => LibraryPathGlibc { libc: PathBuf },
    /// LD_LIBRARY_PATH is set. `shadowed` are libraries there that most programs bring themselves; `declared` is what
    /// REPLIT_LD_LIBRARY_PATH would be with its directories.
    "library-path" => LibraryPath { entries: Vec<PathBuf>, shadowed: Vec<String>, declared: Vec<PathBuf> },
    /// LD_LIBRARY_PATH has an empty entry.
    "library-path-empty-entry" => LibraryPathEmptyEntry,
    /// A library of LD_PRELOAD is not there.
    "preload-gone" => PreloadGone { entry: PathBuf },

    /// REPLIT_RTLD_LOG_LEVEL is no level.
    "log-level" => LogLevel { value: PathBuf },
    /// No log can be written.
    "log-file" => LogFile { path: PathBuf, reason: String },
    /// There is a place for logs, but nothing is logged.
    "log-unused" => LogUnused,
    /// REPLIT_RTLD_HINTS is `0`.
    "hints-off" => HintsOff,

    /// There is an NVIDIA device, and nowhere its driver's library.
    "no-cuda" => NoCuda { device: PathBuf },

    /// VIRTUAL_ENV is no venv.
    "venv-gone" => VenvGone { venv: PathBuf },
    /// A venv's Python is not there.
    "venv-python-gone" => VenvPythonGone { venv: PathBuf, python: PathBuf },
    /// A venv's Python is not from Nix, in an environment that is.
    "venv-foreign" => VenvForeign { venv: PathBuf, python: PathBuf },

    /// There is no such program.
    "program-missing" => ProgramMissing { name: PathBuf },
    /// It may not be executed.
    "program-not-executable" => ProgramNotExecutable { path: PathBuf },
    /// It is neither an ELF file nor a script.
    "program-unknown" => ProgramUnknown { path: PathBuf },
    /// It is a library.
    "program-library" => ProgramLibrary { path: PathBuf },
    /// A script's interpreter is not there.
    "script-interpreter-missing" => ScriptInterpreterMissing { path: PathBuf, interpreter: PathBuf },
    /// A program's ld.so is not there.
    "loader-missing" => LoaderMissing { path: PathBuf, loader: PathBuf },
    /// ld.so has nothing to do with it.
    "program-static" => ProgramStatic { path: PathBuf },
    /// Its ld.so is musl's.
    "program-musl" => ProgramMusl { path: PathBuf, loader: PathBuf },
    /// It is 32-bit, and there is no auditor for it.
    "program-32" => Program32 { path: PathBuf },
    /// It is for another machine.
    "program-of-other-machine" => ProgramOfOtherMachine { path: PathBuf },
    /// It runs with more rights than its caller.
    "program-privileged" => ProgramPrivileged { path: PathBuf },
    /// Its glibc is before 2.34.
    "glibc-unsupported" => GlibcUnsupported { path: PathBuf, minor: u32 },
    /// Its glibc is one with which the auditor declines on this machine.
    "glibc-declined" => GlibcDeclined { path: PathBuf, minor: u32 },
    /// Its glibc is too old for some of the declared libraries: which, and the N of glibc 2.N that they need.
    "glibc-too-old" => GlibcTooOld { path: PathBuf, minor: u32, libraries: Vec<(String, u32)>, of: usize },
}

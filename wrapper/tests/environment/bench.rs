//! What the tests share: making environments in odd places, running them under a shell, reading what came out.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

/// Shells as `sh`: each runs the script as if it were the machine's /bin/sh.
pub const AS_SH: [&[&str]; 4] = [&["dash"], &["bash", "--posix"], &["busybox", "sh"], &["zsh", "--emulate", "sh"]];

/// Shells in which somebody logs in: as themselves too, not only as `sh`.
pub const LOGIN: [&[&str]; 6] =
    [&["dash"], &["bash"], &["bash", "--posix"], &["busybox", "sh"], &["zsh"], &["zsh", "--emulate", "sh"]];

/// Every byte that an environment can hold, without a colon.
pub fn odd_bytes() -> Vec<u8> {
    (1..=255).filter(|&byte| byte != b':').collect()
}

/// A file name of the bytes that shells trip over: blanks, quotes, patterns, bytes that some shells use inside.
pub const ODD_NAME: &[u8] = b" it's \"$HOME\" `id` \\ *[a]? \n\t~ #!;&|<>(){}= \x01\x81\x88\xff end";

/// A temporary directory in which environments are made.
pub struct Bench {
    root: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self { root: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap() }
    }

    /// A path below the bench.
    pub fn path(&self, below: impl AsRef<OsStr>) -> PathBuf {
        self.root.path().join(below.as_ref())
    }

    /// A directory below the bench, made.
    pub fn directory(&self, below: impl AsRef<OsStr>) -> PathBuf {
        let path = self.path(below);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// `replit-env-cli generate --out OUT --auditor …`, to be given more arguments.
    pub fn generator(&self, out: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(cli());
        command.args(["generate", "--auditor"]).arg(auditor()).arg("--out").arg(out.as_ref());
        command.current_dir(self.root.path());
        command
    }

    /// Makes an environment that must succeed without a word, and returns its directory.
    pub fn environment<S: AsRef<OsStr>>(&self, name: impl AsRef<OsStr>, arguments: &[S]) -> PathBuf {
        let out = self.path(name);
        let output = self.generator(&out).args(arguments).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        out
    }
}

/// The program under test, under another name as well. Not a copy: as long as one is open for writing, in a child that
/// another test is about to start as well, nobody can execute it.
pub fn link_cli(name: &Path) {
    fs::hard_link(cli(), name).unwrap();
}

/// The program under test.
pub fn cli() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_replit-env-cli"))
}

/// A real auditor that does nothing. With any other file ld.so would print an ERROR line in every process.
pub fn auditor() -> &'static Path {
    static AUDITOR: OnceLock<PathBuf> = OnceLock::new();
    AUDITOR.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let source = directory.join("auditor.c");
        let library = directory.join("auditor.so");
        fs::write(&source, "unsigned la_version(unsigned version) { return version; }\n").unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-nostdlib", "-o"]).arg(&library).arg(source);
        assert!(cc.status().expect("cc runs").success());
        library
    })
}

/// `SHELL OPTION… SCRIPT ARGUMENT…` with a clean environment.
pub fn shell<S: AsRef<OsStr>>(shell: &[&str], options: &[&str], script: &Path, arguments: &[S]) -> Command {
    // By absolute path, since the tests play with PATH.
    let mut command = Command::new(which(shell[0]));
    command.args(&shell[1..]).args(options).arg(script).args(arguments);
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command
}

/// The script of an environment.
pub fn script(environment: &Path) -> PathBuf {
    environment.join("bin/replit-env")
}

/// Where a program is. The shells are required: a test that skips one would not notice that it breaks.
pub fn which(program: &str) -> PathBuf {
    ["/usr/bin", "/bin", "/usr/local/bin"]
        .iter()
        .map(|directory| Path::new(directory).join(program))
        .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap()).map(|directory| directory.join(program)))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{program} is not installed; `cargo xtask test` installs it"))
}

/// Runs, expects success and silence on stderr, and reads the output of `env -0`.
pub fn variables(command: &mut Command) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let output = run(command);
    assert!(output.stderr.is_empty(), "{command:?}: {}", output.stderr.escape_ascii());
    parse(&output.stdout)
}

/// Runs and expects success, whatever ld.so says of auditors that do not exist.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

/// The variables in the output of `env -0`.
pub fn parse(output: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let entries = output.split(|&byte| byte == 0).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let equals = entry.iter().position(|&byte| byte == b'=').unwrap();
            (entry[..equals].to_vec(), entry[equals + 1..].to_vec())
        })
        .collect()
}

/// A readable view of one variable: the value, escaped, or `None` if it is not set.
pub fn value(variables: &BTreeMap<Vec<u8>, Vec<u8>>, name: &str) -> Option<String> {
    variables.get(name.as_bytes()).map(|value| value.escape_ascii().to_string())
}

/// A colon list of paths, in the form of `value`.
pub fn list<P: AsRef<Path>>(entries: &[P]) -> Option<String> {
    let entries: Vec<_> = entries.iter().map(|entry| entry.as_ref().as_os_str().as_bytes()).collect();
    Some(entries.join(&b':').escape_ascii().to_string())
}

/// `NAME=VALUE` as an argument.
pub fn assignment(name: &str, value: &[u8]) -> OsString {
    OsString::from_vec([name.as_bytes(), b"=", value].concat())
}

/// A link to a program under another name.
pub fn link(program: &str, name: &Path) {
    symlink(which(program), name).unwrap();
}

/// Set by some shell on its own account.
const OF_SHELLS: [&str; 5] = ["LOGNAME", "OLDPWD", "PWD", "SHLVL", "_"];

/// An environment with all that can be declared, as odd as it may be.
pub fn odd_environment(bench: &Bench) -> PathBuf {
    let odd = OsStr::from_bytes(ODD_NAME);
    let libraries = bench.directory("libraries").join(odd);
    let programs = bench.directory("programs").join(odd);
    fs::create_dir(&libraries).unwrap();
    fs::create_dir(&programs).unwrap();
    bench.environment(
        odd,
        &[
            OsStr::new("--lib"),
            libraries.as_os_str(),
            OsStr::new("--bin"),
            programs.as_os_str(),
            OsStr::new("--env"),
            &assignment("ODD", &odd_bytes()),
            OsStr::new("--env=LINES_=\n a\n\n"),
            OsStr::new("--env=EMPTY="),
            OsStr::new("--env=A=first"),
            OsStr::new("--env=A=it's last \\"),
            OsStr::new("--env=LD_AUDIT=/declared.so"),
            OsStr::new("--env=GLIBC_TUNABLES=a.a=it's $x"),
        ],
    )
}

/// What a user may have set who runs it.
pub fn inherit(command: &mut Command) -> &mut Command {
    command
        .env("REPLIT_LD_LIBRARY_PATH", OsStr::from_bytes(&[&odd_bytes()[..], b":/second"].concat()))
        .env("LD_AUDIT", "/old/rtld_loader.so:/users own.so")
        .env("GLIBC_TUNABLES", "b.b=2")
        .env("A", "mine")
        .env("HOME", "/home")
}

/// What a program gets under the script.
pub fn of_a_program(sh: &[&str], out: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    parse(&run(inherit(&mut shell(sh, &[], &script(out), &["/usr/bin/env", "-0"]))).stdout)
}

/// Readable, and without what shells add.
pub fn comparable(variables: &BTreeMap<Vec<u8>, Vec<u8>>) -> BTreeMap<String, String> {
    let readable =
        variables.iter().map(|(name, value)| (name.escape_ascii().to_string(), value.escape_ascii().to_string()));
    readable.filter(|(name, _)| !OF_SHELLS.contains(&name.as_str())).collect()
}

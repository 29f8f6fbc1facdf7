//! The command line.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use rtld_loader::candidate::TARGET;

use crate::channels::{self, Channel};
use crate::closure::Closure;
use crate::completions;
use crate::declared::{Declared, Libraries, ListEntry, Shell, Variable};
use crate::doctor::{self, Doctor};
use crate::explain;
use crate::generate::{self, Environment};
use crate::help::{self, WIDTH};
use crate::hints::{Release, Table};
use crate::index;
use crate::print_env::{self, Format};
use crate::script::USAGE;
use crate::share::{self, HELPER};
use crate::static_tls::StaticTls;
use crate::variables::Variables;

/// Makes environments in which ld.so finds the libraries that you declare.
#[derive(Parser)]
#[command(name = HELPER, version, term_width = WIDTH)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Generate(Box<Generate>),
    Doctor(Doctor),

    /// Writes the shell completions of this program and rtld_loader(7) to DIR, as packages install them in share
    Share {
        /// Where they go
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },

    // What the script hands over to us: its name is all that the user has typed.
    /// Runs PROGRAM so that the libraries which ld.so does not find come from the declared dependencies.
    ///
    /// Everything that ld.so finds by itself stays as it is. PROGRAM is looked up in the declared bin directories, then
    /// in PATH. Exit codes are PROGRAM's own, 127 when it is not found, 126 when it cannot be executed.
    #[command(
        name = "replit-env",
        bin_name = "replit-env",
        display_name = "replit-env",
        override_usage = USAGE,
        after_help = help::after(),
        term_width = WIDTH,
        version,
        hide = true
    )]
    ReplitEnv(ReplitEnv),
}

#[derive(Args)]
struct ReplitEnv {
    // The script answers this itself.
    /// Logs what is looked up, on standard error unless REPLIT_RTLD_LOG_FILE is set: off, warn, info or debug
    #[arg(long, value_name = "LEVEL", value_parser = ["off", "warn", "info", "debug"], hide_possible_values = true)]
    log: Option<String>,

    // Nor does this get here.
    /// Keeps it to PROGRAM: the programs that it starts get the variables from before
    #[arg(long)]
    no_inherit: bool,

    /// Prints the variables that are set for PROGRAM
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "sh")]
    print_env: Option<Format>,

    // The script asks `doctor` in its stead.
    /// Checks the environment, and a program, and says what to do; see --doctor --help
    #[arg(long)]
    doctor: bool,

    #[command(flatten)]
    explain: explain::Arguments,

    /// Prints the completions for a shell: bash, zsh or fish
    #[arg(long, value_name = "SHELL", require_equals = true, hide_possible_values = true)]
    completions: Option<completions::Shell>,

    // From the script: the names of what it sets, with commas between them.
    #[arg(long, hide = true)]
    variables: Option<String>,
}

/// Writes DIR/bin/replit-env, DIR/lib/rtld_loader.so and hooks for shells: DIR/etc/profile.d/replit-env.sh, and one for fish in
/// DIR/share/fish/vendor_conf.d.
///
/// Libraries and bin directories are searched in the order of the command line, but for channels: of those each process
/// prefers the one that was built with its own glibc. DIR may be in use: each file is
/// replaced whole.
#[derive(Args)]
struct Generate {
    /// Where the environment goes; it stays there, since the script names its own files absolutely
    #[arg(long, value_name = "DIR", value_parser = checked(ListEntry::parse))]
    out: ListEntry,

    /// A directory of libraries, or a single library; it may appear later
    #[arg(long, value_name = "DIR-OR-FILE", value_parser = checked(Libraries::path))]
    lib: Vec<Libraries>,

    /// A package's output: its lib directory, if it has one
    #[arg(long, value_name = "OUTPUT", value_parser = checked(Libraries::output))]
    lib_of: Vec<Libraries>,

    /// Libraries of a channel: directories or single libraries that were built together, with one glibc
    ///
    /// A process gets libraries from the channel of its own glibc, else from the newest one whose glibc is not newer,
    /// and from others only what that one lacks. The same NAME again adds to a channel.
    #[arg(long, value_name = "NAME=DIR[:DIR]...", value_parser = checked(Libraries::channel_paths))]
    channel: Vec<Libraries>,

    /// The same of packages' outputs: the lib directory of each that has one
    #[arg(long, value_name = "NAME=OUTPUT[:OUTPUT]...", value_parser = checked(Libraries::channel_outputs))]
    channel_of: Vec<Libraries>,

    /// A directory of programs, put first in PATH
    #[arg(long, value_name = "DIR", value_parser = checked(Declared::path))]
    bin: Vec<Declared>,

    /// A package's output: its bin directory, if it has one
    #[arg(long, value_name = "OUTPUT", value_parser = checked(Declared::output))]
    bin_of: Vec<Declared>,

    /// A variable to set
    #[arg(long, value_name = "NAME=VALUE", value_parser = checked(Variable::parse))]
    env: Vec<Variable>,

    /// The audit library; if not given, rtld_loader.so beside this program or in ../lib
    #[arg(long, value_name = "FILE")]
    auditor: Option<PathBuf>,

    /// The audit library for 32-bit programs, on x86_64: each program gets the one of its own kind, and LD_AUDIT has $PLATFORM
    ///
    /// Without it 32-bit programs print `wrong ELF class` once, and find no declared library.
    #[arg(long, value_name = "FILE")]
    auditor_32: Option<PathBuf>,

    /// What answers the script's options; if not given, this program
    #[arg(long, value_name = "FILE")]
    helper: Option<PathBuf>,

    /// Where files never change: libraries and programs below it are indexed; several may be given
    #[arg(long, value_name = "DIR", default_value = "/nix/store")]
    store: Vec<PathBuf>,

    /// Store paths, one a line, as of a package's closure: what is in them is indexed, too
    #[arg(long, value_name = "FILE")]
    closure: Vec<PathBuf>,

    /// A release of nixpkgs, such as 24.05, whose packages the programs' errors are to name for libraries that are not declared;
    /// if not given, the newest
    ///
    /// Of several, what all of them have is named.
    #[arg(long, value_name = "RELEASE")]
    nixpkgs: Vec<Release>,

    /// The shell that runs the script
    ///
    /// dash and busybox do not pass on variables whose names a shell cannot set, such as those of exported bash
    /// functions; bash does.
    #[arg(long, value_name = "FILE", default_value = "/bin/sh", value_parser = checked(Shell::parse))]
    shell: Shell,
}

/// Reads the command line and does what it says.
pub fn run() -> Result<ExitCode> {
    let matches = Cli::command().get_matches();
    match Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()).command {
        Command::Generate(arguments) => {
            // clap knows the order among different options only by their indices.
            let (_, matches) = matches.subcommand().expect("clap has just parsed a subcommand");
            let environment = environment(*arguments, matches)?;
            environment.write()?;
            share::of_script(&environment.share(), script_options())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Share { out } => {
            share::of_helper(&out, &Cli::command())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::ReplitEnv(ReplitEnv { completions: Some(shell), .. }) => {
            print_env::write(shell.of_script(script_options()).as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::ReplitEnv(ReplitEnv { print_env: Some(format), variables: Some(names), .. }) => {
            print_env::print(format, names.split(','))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::ReplitEnv(ReplitEnv { explain, .. }) if explain.explain => Ok(explain::run(&explain)),
        Command::ReplitEnv(_) => {
            eprintln!("Usage: {USAGE}");
            Ok(ExitCode::from(2))
        }
    }
}

/// The script's options, as clap knows them.
fn script_options() -> clap::Command {
    let cli = Cli::command();
    cli.find_subcommand("replit-env").expect("it is declared above").clone()
}

fn environment(arguments: Generate, matches: &ArgMatches) -> Result<Environment> {
    let (libraries, channels) = channels::resolve(&in_order(matches, ["lib", "lib_of", "channel", "channel_of"]));
    let programs = Declared::resolve(&in_order(matches, ["bin", "bin_of"]), "bin");
    for variable in &arguments.env {
        variable.warn();
    }
    let closure = Closure::read(&libraries, &programs);
    let static_tls = StaticTls::of(&closure);
    static_tls.warn();
    let channels: Vec<_> = channels.into_iter().map(|channel| Channel::read(channel, &closure)).collect();
    channels.iter().for_each(Channel::warn);
    let directories: Vec<_> = libraries.iter().chain(&programs).map(|entry| entry.path().to_owned()).collect();
    let roots = arguments.closure.iter().map(|file| paths(file)).collect::<Result<Vec<_>>>()?.concat();
    let index = index::write(
        &closure,
        &index::Input {
            libraries: &libraries,
            declared: &directories,
            roots: &roots,
            channels: &channels,
            stores: &arguments.store,
            hints: &Table::read().hints(&arguments.nixpkgs),
            machine: TARGET,
        },
    );
    let this = std::env::current_exe().context("cannot tell where this program is")?;
    Ok(Environment {
        out: arguments.out,
        libraries,
        programs,
        variables: Variables::sort(arguments.env)?,
        index,
        static_tls: static_tls.asked(),
        auditor: match arguments.auditor {
            Some(auditor) => auditor,
            None => generate::auditor_of(&this)?,
        },
        auditor_32: arguments.auditor_32,
        helper: std::path::absolute(arguments.helper.unwrap_or(this))?,
        shell: arguments.shell,
    })
}

/// The values of several options in the order in which they stand on the command line.
fn in_order<T: Clone + Send + Sync + 'static, const N: usize>(matches: &ArgMatches, options: [&str; N]) -> Vec<T> {
    let mut values: Vec<(usize, T)> = Vec::new();
    for option in options {
        let indices = matches.indices_of(option).into_iter().flatten();
        let declared = matches.get_many(option).into_iter().flatten().cloned();
        values.extend(indices.zip(declared));
    }
    values.sort_by_key(|(index, _)| *index);
    values.into_iter().map(|(_, declared)| declared).collect()
}

/// The absolute paths in a file, one a line.
fn paths(file: &Path) -> Result<Vec<PathBuf>> {
    let text = fs::read(file).with_context(|| format!("cannot read the closure {}", file.display()))?;
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let path = |line| {
        let path = PathBuf::from(OsStr::from_bytes(line));
        ensure!(path.is_absolute(), "{} has a line that is no absolute path: {}", file.display(), path.display());
        Ok(path)
    };
    lines.map(path).collect()
}

/// A value parser for arguments that are any bytes, checked by `parse`.
fn checked<T: Clone + Send + Sync + 'static>(parse: fn(&OsStr) -> Result<T>) -> impl TypedValueParser<Value = T> {
    OsStringValueParser::new().try_map(move |value| parse(&value))
}

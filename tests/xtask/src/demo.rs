//! `cargo xtask run`: a program without replit-env, then through `nix run .#replit-env`.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use xshell::Shell;

use crate::channels::{Channel, Set};
use crate::flake::Flake;
use crate::{channels, setup};

/// Runs `command` twice in `directory` and returns the second one's exit code.
pub fn run(sh: &Shell, directory: &Path, command: &[String]) -> Result<ExitCode> {
    setup::run(sh)?;
    let bed = channels::make(sh, Set::Tests)?;
    let name = &bed.channels.first().context("there is a channel")?.name;
    let channel = bed.channel(name)?;
    let flake = Flake::new(sh, &bed, name)?;
    flake.build(sh, "replit-env")?;

    let (shown, command) = (command.join(" "), in_view(&channel, command)?);
    let without = Command::new(&command[0])
        .args(&command[1..])
        .env("PATH", path_with(&channel)?)
        .current_dir(directory)
        .output()
        .with_context(|| command[0].display().to_string())?;
    let outcome = match String::from_utf8_lossy(&without.stderr).trim_end().lines().last() {
        _ if without.status.success() => "succeeds".to_owned(),
        Some(error) => format!("fails: {error}"),
        None => format!("fails: {}", without.status),
    };
    println!("Without replit-env, `{shown}` {outcome}");
    println!("With it, `nix run .#replit-env -- {shown}`:");
    let mut with: Command =
        flake.command(sh, "run --quiet --quiet --quiet", "replit-env").arg("--").args(&command).into();
    let status = with.current_dir(directory).status()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The command, started where a program of the channel sees what a Nix program does. Debian's ld.so looks into the
/// machine's own directory of libraries; with the channel's glibc in its place it finds nothing else there. What
/// ld.so.cache knows of that directory leads nowhere then.
pub fn in_view(channel: &Channel, command: &[String]) -> Result<Vec<OsString>> {
    let libraries = channel.default_directories.first().context("ld.so has default directories")?;
    let view = ["bwrap", "--dev-bind", "/", "/", "--ro-bind"].map(OsString::from);
    let cover = [channel.glibc_lib.clone().into(), libraries.clone().into(), "--".into()];
    Ok(view.into_iter().chain(cover).chain(command.iter().map(OsString::from)).collect())
}

/// The search path with the channel's Python first: what is without replit-env is to differ in that alone.
fn path_with(channel: &Channel) -> Result<OsString> {
    let mut path: OsString = channel.python.parent().context("a program is in a directory")?.into();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    Ok(path)
}

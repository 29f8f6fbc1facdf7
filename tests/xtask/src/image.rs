//! The image, entered as a container would be.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use xshell::{Cmd, Shell, cmd};

use crate::flake::Flake;
use crate::step;

/// What manifest.json says of an image.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    config: String,
    layers: Vec<String>,
}

/// What image.json says of the process.
#[derive(Deserialize)]
struct Configured {
    config: Process,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Process {
    entrypoint: Vec<String>,
    env: Vec<String>,
}

/// A program runs by the image's entry, in nothing but the image; it is the hook of the login shell that lets it.
pub fn check(sh: &Shell, flake: &Flake) -> Result<()> {
    let program = flake.build(sh, &format!("checks.{}-linux.image", std::env::consts::ARCH))?;
    let directory = sh.create_temp_dir()?;
    let root = directory.path().join("root");
    let process = unpack(sh, &program, directory.path(), &root)?;
    sh.copy_file(flake.source.join("tests/consumer/main.py"), root.join("main.py"))?;

    let run = |entry: &[&str], script: &str| -> Cmd {
        let view = ["--clearenv", "--proc", "/proc", "--dev", "/dev"];
        let variables = process.env.iter().filter_map(|variable| variable.split_once('='));
        let variables = variables.flat_map(|(name, value)| ["--setenv", name, value]);
        cmd!(sh, "bwrap --bind {root} / {view...} {variables...} {entry...} -c {script}")
    };
    let login: Vec<&str> = process.entrypoint.iter().map(String::as_str).collect();
    let output = step::run("a login shell of the image", run(&login, "python3 /main.py"))?;
    ensure!(output == "hello: it's you, $HOME\n", "its program printed {output}");
    let error = flake.failure(run(&login, "unset LD_AUDIT; python3 /main.py"))?;
    ensure!(error.contains("libgreeting.so.1: cannot open shared object file"), "without the auditor: {error}");
    let error = flake.failure(run(&login[..1], "python3 /main.py"))?;
    ensure!(error.contains("python3: "), "without a login: {error}");
    Ok(())
}

/// Makes a root directory of the image that `program` writes.
fn unpack(sh: &Shell, program: &Path, directory: &Path, root: &Path) -> Result<Process> {
    let archive = directory.join("image.tar");
    let written = r#""$0" >"$1""#;
    step::run("the image", cmd!(sh, "sh -c {written} {program} {archive}"))?;
    cmd!(sh, "tar --extract --file {archive} --directory {directory}").quiet().run()?;
    let images: Vec<Image> = serde_json::from_slice(&sh.read_binary_file(directory.join("manifest.json"))?)?;
    let image = images.into_iter().next().context("manifest.json names an image")?;
    for place in ["proc", "dev"] {
        sh.create_dir(root.join(place))?;
    }
    for layer in image.layers {
        let layer = directory.join(layer);
        cmd!(sh, "tar --extract --file {layer} --directory {root}").quiet().run()?;
    }
    let configured: Configured = serde_json::from_slice(&sh.read_binary_file(directory.join(image.config))?)?;
    Ok(configured.config)
}

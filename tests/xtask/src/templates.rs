//! The flake's templates, entered as users do: `nix flake init`, `nix develop`, `nix run`.

use std::ffi::OsString;

use anyhow::{Context, Result, ensure};
use xshell::{Cmd, Shell, cmd};

use crate::channels::TestBed;
use crate::flake::Flake;
use crate::{demo, setup, step};

/// The templates, and how the program of each is run.
const TEMPLATES: &[(&str, [&str; 2])] =
    &[("python", ["python", "main.py"]), ("node", ["node", "main.js"]), ("ruby", ["ruby", "main.rb"])];

/// What a program says where the library is not to be found.
const MISSING: &str = "cannot open shared object file";

/// Makes a project of each template; its program fails as it is, and runs in the project's shell and by `nix run`.
pub fn check(sh: &Shell, bed: &TestBed, flake: &Flake) -> Result<()> {
    let newest = &bed.channels.first().context("there is a channel")?.name;
    let channel = bed.channel(newest)?;
    let project = format!("path:{}", flake.source.display());
    // nix develop leaves a directory behind each time.
    let temporary = sh.create_temp_dir()?;
    for (name, program) in TEMPLATES {
        let directory = bed.directory.join("templates").join(name);
        sh.remove_path(&directory)?;
        sh.create_dir(&directory)?;
        let _inside = sh.push_dir(&directory);
        step::run(&format!("nix flake init --template .#{name}"), flake.init(sh, name))?;
        let nix = |words: &str, command: &[OsString]| {
            let nix = flake.command_in(sh, words, &format!("path:{}", directory.display()));
            let nix = nix.env("TMPDIR", temporary.path());
            flake.with_channels(nix.args(["--override-input", "replit-env", &project]), "replit-env/").args(command)
        };
        let develop = |command: &[OsString]| nix("develop", &[&["--command".into()], command].concat());
        let said = |title: &str, command: Cmd| -> Result<()> {
            let output = step::run(title, command)?;
            ensure!(output.starts_with("cairo 1"), "{title}: it said {output}");
            Ok(())
        };

        if *name == "node" {
            let install = ["npm", "install", "--no-audit", "--no-fund"].map(OsString::from);
            step::run("npm install in a project of it", setup::trusting(develop(&install)))?;
        }
        let in_view = demo::in_view(&channel, &program.map(str::to_owned))?;
        said(&format!("nix develop .#{name}"), develop(&in_view))?;
        let run = [&["--".into()], in_view.as_slice()].concat();
        said(&format!("nix run .#{name}"), nix("run", &run))?;

        // The same program, from outside of the shell.
        let which = ["bash".into(), "-c".into(), format!("type -P {}", program[0]).into()];
        let found = step::run(&format!("{name}: which program it is"), develop(&which))?;
        let plain = demo::in_view(&channel, &[found.trim().to_owned(), program[1].to_owned()])?;
        let error = flake.failure(cmd!(sh, "env {plain...}"))?;
        ensure!(error.contains(MISSING), "{name} without replit-env: {error}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_differ_in_what_they_declare_alone() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates");
        let text = |name: &str, file: &str| std::fs::read_to_string(root.join(name).join(file)).unwrap();
        for (name, _) in TEMPLATES {
            for file in ["flake.nix", ".envrc"] {
                assert_eq!(text(name, file), text(TEMPLATES[0].0, file), "{name}/{file}");
            }
        }
    }
}

//! The root directory of the image, entered as a container would be.

use anyhow::{Result, ensure};
use xshell::{Cmd, Shell, cmd};

use crate::flake::Flake;
use crate::step;

/// A login shell has the environment of the image, by the hook that it reads and not otherwise.
pub fn check(sh: &Shell, flake: &Flake) -> Result<()> {
    let image = flake.build(sh, &format!("checks.{}-linux.image", std::env::consts::ARCH))?;
    let root = image.join("root");
    let (bin, etc) = (root.join("bin"), root.join("etc"));
    let program = flake.source.join("tests/consumer/main.py");
    let shell = |login: &str, script: &str| -> Cmd {
        let view = ["--clearenv", "--ro-bind", "/nix/store", "/nix/store", "--proc", "/proc", "--dev", "/dev"];
        let files = cmd!(sh, "bwrap {view...} --ro-bind {bin} /bin --ro-bind {etc} /etc --ro-bind {program} /main.py");
        files.args(["/bin/sh", login, script])
    };
    let output = step::run("a login shell of the image", shell("-lc", "python3 /main.py"))?;
    ensure!(output == "hello: it's you, $HOME\n", "its program printed {output}");
    let error = flake.failure(shell("-lc", "unset LD_AUDIT; python3 /main.py"))?;
    ensure!(error.contains("libgreeting.so.1: cannot open shared object file"), "without the auditor: {error}");
    let error = flake.failure(shell("-c", "python3 /main.py"))?;
    ensure!(error.contains("python3: "), "without a login: {error}");
    Ok(())
}

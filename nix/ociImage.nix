/**
  An OCI image whose login shells have an environment.

  # Inputs
  - `pkgs`: a nixpkgs.
  - `environment`: what mkReplitEnv returned.
  - `contents`: more packages, whose files go to the image's root.
  - `name`: of the image.

  # Output
  A derivation: a program that writes the image to its standard output, for `docker load` or `podman load`.
*/
{
  pkgs,
  environment,
  contents ? [ ],
  name ? "replit-env",
}:
pkgs.dockerTools.streamLayeredImage {
  inherit name;
  tag = "latest";
  contents = [ (pkgs.callPackage ./imageRoot.nix { inherit environment; }) ] ++ contents;
  extraCommands = "mkdir -m 1777 tmp";
  config = {
    Entrypoint = [
      "/bin/bash"
      "--login"
    ];
    # For the files of `contents`; the environment's hook puts its own programs first.
    Env = [ "PATH=/bin" ];
    WorkingDir = "/root";
  };
}

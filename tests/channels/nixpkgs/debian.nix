/**
  One store path for each Debian package, or for packages that belong together.

  # Inputs
  `lock`: what `cargo xtask channels` found out. `system`: the packages'.

  # Output
  Derivations, by the names of the packages.
*/
{
  lock,
  system,
}:
let
  /**
    A downloaded package. `cargo xtask channels` has put the file into the store, under the path that follows from its
    name and hash; nothing is ever built here.

    # Inputs
    `file`: its name. `sha256`: of its content.

    # Output
    The store path.
  */
  downloaded =
    { file, sha256 }:
    derivation {
      name = file;
      system = "builtin";
      builder = "builtin:fetchurl";
      url = "file:///run-cargo-xtask-channels/${file}";
      outputHashMode = "flat";
      outputHashAlgo = "sha256";
      outputHash = sha256;
    };

  paths = builtins.mapAttrs (
    name: package:
    derivation {
      name = "${name}-${package.version}";
      inherit system;
      inherit (package) links;
      inherit (lock) triplet;
      builder = "/bin/bash";
      args = [ "-c" (builtins.readFile ./unpack.sh) ];
      debs = map downloaded package.debs;
      # What this package's files need: where their interpreter, RUNPATH and links may lead.
      needed = map (other: paths.${other}) package.needs;
    }
    // {
      inherit (package) version;
      meta.description = "Debian's ${name}, ${package.version}";
    }
  ) lock.packages;
in
paths

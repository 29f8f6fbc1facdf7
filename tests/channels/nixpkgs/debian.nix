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
  paths = builtins.mapAttrs (
    name: package:
    derivation {
      name = "${name}-${package.version}";
      inherit system;
      inherit (package) links;
      inherit (lock) triplet;
      builder = "/bin/bash";
      args = [
        "-c"
        (builtins.readFile ./unpack.sh)
      ];
      debs = map (import ./downloaded.nix) package.debs;
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

/**
  The checks: every other file here is one.

  # Inputs
  - `pkgs`: a nixpkgs with the overlay.
  - `compiler`: the same one, or a newer one, as in packages.nix.

  # Output
  A set of derivations, named as the files.
*/
inputs:
let
  files = builtins.filter (name: name != "default.nix") (builtins.attrNames (builtins.readDir ./.));
in
builtins.listToAttrs (
  map (file: {
    name = builtins.head (builtins.split "\\.nix" file);
    value = import (./. + "/${file}") inputs;
  }) files
)

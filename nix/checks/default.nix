/**
  The checks: every other file here is one.

  # Inputs
  A nixpkgs with the overlay.

  # Output
  A set of derivations, named as the files.
*/
pkgs:
let
  files = builtins.filter (name: name != "default.nix") (builtins.attrNames (builtins.readDir ./.));
in
builtins.listToAttrs (
  map (file: {
    name = builtins.head (builtins.split "\\.nix" file);
    value = import (./. + "/${file}") pkgs;
  }) files
)

/**
  The project without flakes: `nix-build -A replit-env`.

  # Inputs
  - `pkgs`: a nixpkgs; the one that flake.lock pins, if not given.
  - `compiler`: the nixpkgs that rustc comes from; `pkgs`, if not given.

  # Output
  What the overlay adds to nixpkgs, and `devShell`.
*/
{
  pkgs ? import (
    let
      inherit (builtins.fromJSON (builtins.readFile ./flake.lock)) nodes;
      # It follows the input of a channel.
      inherit (nodes.${builtins.head nodes.root.inputs.nixpkgs}) locked;
    in
    fetchTarball {
      url = "https://github.com/${locked.owner}/${locked.repo}/archive/${locked.rev}.tar.gz";
      sha256 = locked.narHash;
    }
  ) { },
  compiler ? pkgs,
}:
let
  # nixpkgs is taken as it is and not instantiated once more, which is slow.
  project = import ./nix/packages.nix {
    pkgs = pkgs // project;
    inherit compiler;
  };
in
project // { devShell = pkgs.callPackage ./nix/devShell.nix { inherit (project) rtld-loader; }; }

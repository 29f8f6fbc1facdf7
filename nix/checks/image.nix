/**
  The image can be made, where this nixpkgs has what it takes. `cargo xtask test` enters its root directory.

  # Inputs
  `pkgs`: a nixpkgs with the overlay.

  # Output
  A derivation with a link to the root directory.
*/
{ pkgs, ... }:
let
  environment = pkgs.mkReplitEnv { replitNix = ../../tests/consumer/replit.nix; };
  root = pkgs.callPackage ../imageRoot.nix { inherit environment; };
  image = import ../ociImage.nix { inherit pkgs environment; };
  written = ''
    ${image} >image
    tar --list --file image | grep --quiet '^manifest.json$'
  '';
in
pkgs.runCommandLocal "check-image" { } ''
  ${if pkgs ? dockerTools then written else ""}
  mkdir $out
  ln --symbolic ${root} $out/root
''

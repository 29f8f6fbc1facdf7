/**
  The image can be made, and has what a login shell reads. `cargo xtask test` enters it.

  # Inputs
  `pkgs`: a nixpkgs with the overlay.

  # Output
  The program that writes the image.
*/
{ pkgs, ... }:
let
  environment = pkgs.mkReplitEnv { replitNix = ../../tests/consumer/replit.nix; };
  image = import ../ociImage.nix { inherit pkgs environment; };
in
pkgs.runCommandLocal "check-image" { } ''
  ${image} | tar --extract
  for layer in $(grep --only-matching '[^"]*layer\.tar' manifest.json); do
    tar --list --file "$layer" >>files
  done
  grep --quiet 'etc/profile$' files
  grep --quiet 'etc/profile.d/replit-env.sh$' files
  grep --quiet '${builtins.substring 1 (-1) "${environment}"}/lib/rtld_loader.so$' files
  ln --symbolic ${image} $out
''

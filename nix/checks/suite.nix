/**
  The integration tests on this nixpkgs' own glibc.

  # Inputs
  `pkgs`: a nixpkgs with the overlay.

  # Output
  A derivation: the tests' output.
*/
{ pkgs, ... }:
pkgs.runCommandLocal "check-suite"
  {
    RTLD_MANIFEST = import ../manifest.nix pkgs;
    nativeBuildInputs = [ pkgs.strace ];
  }
  ''
    export RTLD_OBJECTS=$PWD/objects
    ${pkgs.rtld-loader.suite}/bin/integration | tee "$out"
  ''

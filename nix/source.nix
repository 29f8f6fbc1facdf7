/**
  What the Rust workspace is made of: a change elsewhere builds nothing again.

  # Inputs
  nixpkgs' `lib`.

  # Output
  A store path.
*/
{ lib }:
lib.fileset.toSource {
  root = ../.;
  fileset = lib.fileset.unions [
    ../.cargo
    ../Cargo.lock
    ../Cargo.toml
    ../docs/rtld_loader.7
    ../docs/old-glibc.md
    ../docs/reliability.md
    ../docs/security.md
    ../src
    ../tests/fuzz
    ../tests/suite
    ../tests/xtask
    ../wrapper
  ];
}

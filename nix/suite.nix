/**
  The integration tests as a program, for any channel: what it tests, the manifest says.

  # Inputs
  nixpkgs' `lib` and `rustPlatform`.

  # Output
  A derivation with bin/integration.
*/
{ lib, rustPlatform }:
rustPlatform.buildRustPackage {
  pname = "rtld-loader-suite";
  inherit ((builtins.fromTOML (builtins.readFile ../Cargo.toml)).workspace.package) version;
  src = import ./source.nix { inherit lib; };
  cargoLock.lockFile = ../Cargo.lock;
  strictDeps = true;
  auditable = false;

  # Cargo says where it has left the program.
  buildPhase = ''
    runHook preBuild
    cargo test --package suite --test integration --no-run 2>&1 | tee built
    runHook postBuild
  '';
  doCheck = false;
  installPhase = ''
    runHook preInstall
    install -D "$(sed --quiet 's/^ *Executable .*(\(.*\))$/\1/p' built)" "$out/bin/integration"
    runHook postInstall
  '';
}

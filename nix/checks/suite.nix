/**
  The integration tests on this nixpkgs' own glibc.

  # Inputs
  A nixpkgs with the overlay.

  # Output
  A derivation: the tests' output.
*/
pkgs:
pkgs.rustPlatform.buildRustPackage {
  pname = "check-suite";
  inherit (pkgs.rtld-loader) version;
  src = import ../source.nix { inherit (pkgs) lib; };
  cargoLock.lockFile = ../../Cargo.lock;
  strictDeps = true;

  RTLD_MANIFEST = import ../manifest.nix pkgs;
  nativeBuildInputs = [ pkgs.strace ];

  buildPhase = ''
    runHook preBuild
    cargo test --package suite --test integration | tee report
    runHook postBuild
  '';
  doCheck = false;
  installPhase = ''
    runHook preInstall
    mv report "$out"
    runHook postInstall
  '';
}

/**
  The audit library, and the host program that makes environments with it: for programs of the `stdenv` that it is given.

  # Inputs
  - nixpkgs' `lib`, `rustPlatform` and `stdenv`.
  - `cc`: the compiler that links, of the nixpkgs whose programs this is for.
  - `tests` and `suite`: what `passthru` is to have beside.

  # Output
  A derivation: `out` has the library, at `rtld_loader.so` too, and refers to nothing, for it is loaded into programs of
  every glibc. `cli` has `bin/replit-env-cli`, its completions, and rtld_loader(7).
*/
{
  lib,
  rustPlatform,
  stdenv,
  cc ? stdenv.cc,
  tests ? { },
  suite ? null,
}:
rustPlatform.buildRustPackage {
  pname = "rtld-loader";
  inherit ((builtins.fromTOML (builtins.readFile ../Cargo.toml)).workspace.package) version;
  src = import ./source.nix { inherit lib; };
  cargoLock.lockFile = ../Cargo.lock;
  strictDeps = true;

  outputs = [
    "out"
    "cli"
  ];
  # The manual, too, which stdenv would move to `out`.
  outputMan = "cli";

  # An auditor has no RUNPATH, and no section that a wrapper of cargo's adds.
  NIX_NO_SELF_RPATH = "1";
  auditable = false;

  "CARGO_TARGET_${stdenv.hostPlatform.rust.cargoEnvVarTarget}_LINKER" = "${cc}/bin/cc";

  buildPhase = ''
    runHook preBuild
    cargo xtask build --target ${stdenv.hostPlatform.rust.rustcTarget} --out "$PWD/dist"
    runHook postBuild
  '';

  checkPhase = ''
    runHook preCheck
    cargo test --package rtld_loader
    runHook postCheck
  '';
  doCheck = true;

  installPhase = ''
    runHook preInstall
    install -D --mode=644 dist/rtld_loader.so --target-directory="$out/lib"
    ln --symbolic lib/rtld_loader.so "$out/rtld_loader.so"
    install -D --mode=755 dist/replit-env-cli --target-directory="$cli/bin"
    dist/replit-env-cli share --out "$cli/share"
    runHook postInstall
  '';

  passthru = { inherit suite tests; };

  meta = {
    description = "LD_AUDIT library that finds the libraries ld.so cannot";
    homepage = "https://github.com/replit/replit-env";
    license = [
      lib.licenses.mit
      lib.licenses.asl20
    ];
    platforms = lib.platforms.linux;
  };
}

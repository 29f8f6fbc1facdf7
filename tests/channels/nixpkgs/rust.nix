/**
  nixpkgs' rustPlatform: the machine's toolchain, which the sandbox shows, and the crates of a Cargo.lock.

  # Inputs
  `lock` and `pkgs`.

  # Output
  The functions.
*/
{ lock, pkgs }:
let
  /**
    A directory of the crates that a Cargo.lock names, in the form of `cargo vendor`. `cargo xtask` has put each
    downloaded .crate file into the store, as it does with Debian's packages.

    # Inputs
    `lockFile`: a Cargo.lock.

    # Output
    A derivation.
  */
  importCargoLock =
    { lockFile }:
    let
      crates =
        builtins.filter (crate: crate ? checksum)
          (builtins.fromTOML (builtins.readFile lockFile)).package;
      downloaded =
        {
          name,
          version,
          checksum,
          ...
        }:
        import ./downloaded.nix {
          file = "${name}-${version}.crate";
          sha256 = checksum;
        };
    in
    pkgs.runCommandLocal "vendored-crates"
      {
        crates = map (crate: "${downloaded crate}=${crate.checksum}") crates;
      }
      ''
        mkdir $out
        cd $out
        for crate in $crates; do
          tar --extract --gzip --file ''${crate%=*}
          directory=''${crate#*-}
          directory=''${directory%.crate=*}
          printf '{"files":{},"package":"%s"}' ''${crate##*=} >$directory/.cargo-checksum.json
        done
      '';
in
{
  inherit importCargoLock;

  /**
    # Inputs
    As nixpkgs' `buildRustPackage`, with `cargoLock.lockFile` and with phases of the package's own.

    # Output
    A derivation.
  */
  buildRustPackage =
    {
      cargoLock,
      nativeBuildInputs ? [ ],
      ...
    }@attributes:
    pkgs.stdenv.mkDerivation (
      attributes
      // {
        nativeBuildInputs = nativeBuildInputs ++ [
          pkgs.cargo
          pkgs.rustc
        ];
        cargoDeps = importCargoLock cargoLock;
        # Builds again when the machine's toolchain changes.
        toolchain = lock.toolchain.version;
        CARGO_NET_OFFLINE = "true";
        configurePhase = ''
          export CARGO_HOME=$NIX_BUILD_TOP/cargo
          mkdir $CARGO_HOME
          printf '[source.crates-io]\nreplace-with = "vendored"\n[source.vendored]\ndirectory = "%s"\n' \
            $cargoDeps >$CARGO_HOME/config.toml
        '';
      }
    );
}

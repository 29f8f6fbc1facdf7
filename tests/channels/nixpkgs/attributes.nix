/**
  Everything that this nixpkgs offers: the functions here, the packages as channels.toml lists them.

  # Inputs
  `lib`, the `system` of the packages, and `pkgs`: the set with its overlays.

  # Output
  A set.
*/
{
  lib,
  system,
  pkgs,
}:
let
  lock = builtins.fromJSON (builtins.readFile ./lock.json);
  paths = import ./debian.nix { inherit lock system; };
  host = import ./host.nix { inherit pkgs; };

  /**
    A package of several outputs, the way that a derivation of nixpkgs shows them.

    # Inputs
    `outputs`: a list of sets, each with one name of an output and its Debian package; the default output comes first.

    # Output
    The default output, with an attribute for each output.
  */
  package =
    outputs:
    let
      names = lib.concatMap builtins.attrNames outputs;
      all = builtins.foldl' (
        set: output: set // builtins.mapAttrs (_: name: paths.${name}) output
      ) { } outputs;
    in
    all.${builtins.head names}
    // builtins.mapAttrs (name: path: path // { outputName = name; }) all
    // {
      outputs = names;
      outputName = builtins.head names;
    };

  callPackageWith =
    set: function: arguments:
    let
      f = if builtins.isFunction function then function else import function;
    in
    f (builtins.intersectAttrs (builtins.functionArgs f) set // arguments);

  packages = builtins.mapAttrs (_: package) lock.attributes;

  build = import ./build.nix { inherit lib pkgs; };
in
packages
// {
  inherit lib;
  inherit (build)
    closureInfo
    mkShell
    runCommandLocal
    writeText
    ;

  inherit callPackageWith;
  callPackage = callPackageWith pkgs;

  # Upstream's version, as nixpkgs has it.
  glibc = packages.glibc // {
    version = lock.glibc;
  };

  stdenv = {
    inherit (build) mkDerivation;
    cc = import ./cc.nix { inherit lock pkgs; };
    hostPlatform = {
      inherit system;
      rust.rustcTarget = builtins.replaceStrings [ "-linux" ] [ "-unknown-linux-gnu" ] system;
      rust.cargoEnvVarTarget =
        {
          x86_64-linux = "X86_64_UNKNOWN_LINUX_GNU";
          aarch64-linux = "AARCH64_UNKNOWN_LINUX_GNU";
          i686-linux = "I686_UNKNOWN_LINUX_GNU";
        }
        .${system};
    };
  };

  pkgsi686Linux = import ./i686.nix { inherit lib pkgs; };

  runtimeShell = "${packages.bash}/bin/bash";

  gems = import ./gems.nix {
    inherit pkgs;
    inherit (packages) ethon;
  };

  nodejs = import ./nodejs.nix { inherit lock pkgs; };

  ruby = import ./ruby.nix {
    inherit pkgs;
    inherit (packages) ruby;
  };

  dockerTools = import ./dockerTools.nix { inherit lib pkgs; };

  # What `nix develop` starts.
  bashInteractive = packages.bash;

  # The channel as the integration tests see it; roots every store path of it.
  channel = import ./channel.nix { inherit lib lock pkgs; };

  rustPlatform = import ./rust.nix { inherit lock pkgs; };

  # Debian has no nixfmt. This evaluates, which is all that `nix flake check` asks of a formatter.
  nixfmt-tree = build.runCommandLocal "nixfmt-tree" { } "echo Debian has no nixfmt >&2; exit 1";

  # Tools of the machine, which the sandbox shows.
  dash = host "dash" [ "/usr/bin/dash" ];
  fish = host "fish" [ "/usr/bin/fish" ];
  patchelf = host "patchelf" [ "/usr/bin/patchelf" ];
  strace = host "strace" [ "/usr/bin/strace" ];
  zsh = host "zsh" [ "/usr/bin/zsh" ];
  cargo = host "cargo" [ "${lock.toolchain.path}/bin/cargo" ];
  clippy = host "clippy" [
    "${lock.toolchain.path}/bin/cargo-clippy"
    "${lock.toolchain.path}/bin/clippy-driver"
  ];
  rustc = host "rustc" [ "${lock.toolchain.path}/bin/rustc" ];
  rustfmt = host "rustfmt" [
    "${lock.toolchain.path}/bin/cargo-fmt"
    "${lock.toolchain.path}/bin/rustfmt"
  ];
}

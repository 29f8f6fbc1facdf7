/**
  What mkReplitEnv makes of packages: outputs, order, and what is dropped.

  # Inputs
  `pkgs`: a nixpkgs with the overlay.

  # Output
  A derivation.
*/
{ pkgs, ... }:
let
  # A package with the given outputs, the default one first; `directories` are made in each.
  package =
    name: outputs: directories:
    pkgs.runCommandLocal name { inherit outputs directories; } ''
      for output in $outputs; do
        mkdir -p ''${!output}
        for directory in $directories; do mkdir -p ''${!output}/$directory; done
      done
    '';

  plain = package "plain" [ "out" ] [ "lib" "bin" ];
  split = package "split" [ "bin" "dev" "lib" "out" ] [ "lib" "bin" ];
  # Its default output is dev.
  development = package "development" [ "dev" "out" ] [ "lib" "bin" ];
  without = package "without" [ "out" ] [ "share" ];
  named = package "named" [ "out" "extra" ] [ "lib" "bin" ];

  specified =
    output: package:
    package.${output}
    // {
      outputSpecified = true;
      outputName = output;
    };

  environment = pkgs.mkReplitEnv {
    name = "check-dependencies-environment";
    replitNix =
      { pkgs }:
      {
        deps = [
          split
          without
          plain
          development
        ];
        env = {
          KEPT = "it's \"kept\" $HOME";
          REPLACED = "replit.nix";
        };
      };
    deps = [
      (specified "extra" named)
      (specified "dev" split)
      plain
    ];
    env.REPLACED = "argument";
    libraries = [ "/run/opengl-driver/lib" ];
  };

  # As much of a nixpkgs as mkReplitEnv needs of a channel.
  channel = version: package: {
    inherit package;
    inherit (pkgs) lib;
    glibc = { inherit version; };
  };
  ofChannels = pkgs.mkReplitEnv {
    name = "check-dependencies-channels";
    pkgs = pkgs // {
      package = named;
    };
    channels = {
      same-1 = channel "2.36-9" plain;
      same-2 = channel "2.36-9" development;
      fonts = channel "2.37" without;
      new = channel "2.38" split;
    };
    replitNix =
      { pkgs }:
      {
        deps = [ pkgs.package ];
      };
    deps = [ (specified "extra" named) ];
    libraries = [ "/run/opengl-driver/lib" ];
  };
  ofFunction = pkgs.mkReplitEnv {
    name = "check-dependencies-function";
    deps = set: [
      (specified "extra" named)
      set.greeting
    ];
    pkgs = pkgs // {
      greeting = plain;
    };
  };

  libraries = [
    "${split.lib}/lib"
    "${plain}/lib"
    "${development.out}/lib"
    "${named.extra}/lib"
    "/run/opengl-driver/lib"
  ];
  programs = [
    "${split.bin}/bin"
    "${plain}/bin"
    "${development.out}/bin"
    "${named.extra}/bin"
    "/inherited"
  ];
in
pkgs.runCommandLocal "check-dependencies"
  {
    libraries = builtins.concatStringsSep ":" libraries;
    programs = builtins.concatStringsSep ":" programs;
    # Of the newest glibc first, then by name; behind them what is of no channel.
    channels = builtins.concatStringsSep ":" [
      "${split.lib}/lib"
      "${development.out}/lib"
      "${plain}/lib"
      "${named.extra}/lib"
      "/run/opengl-driver/lib"
    ];
    KEPT = "it's \"kept\" $HOME";
  }
  ''
    shown=$(type -P env)
    environment=${environment}
    show() { env --ignore-environment PATH=/inherited $environment/bin/replit-env "$shown" | sed --quiet "s|^$1=||p"; }
    expect() {
      if [ "$(show "$1")" != "$2" ]; then
        printf '%s: expected %s\nbut it is %s\n' "$1" "$2" "$(show "$1")"
        exit 1
      fi
    }
    expect REPLIT_LD_LIBRARY_PATH "$libraries"
    expect PATH "$programs"
    expect LD_AUDIT ${environment}/lib/rtld_loader.so
    expect LD_LIBRARY_PATH ""
    expect KEPT "$KEPT"
    expect REPLACED argument

    environment=${ofChannels}
    expect REPLIT_LD_LIBRARY_PATH "$channels"
    expect PATH ${named.out}/bin:${named.extra}/bin:/inherited

    environment=${ofFunction}
    expect REPLIT_LD_LIBRARY_PATH ${named.extra}/lib:${plain}/lib
    expect PATH ${named.extra}/bin:${plain}/bin:/inherited
    touch $out
  ''

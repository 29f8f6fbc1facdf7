/**
  An environment indexes all that the declared packages refer to, as Nix knows it: not only what their RUNPATHs lead to.

  # Inputs
  `pkgs`: a nixpkgs with the overlay.

  # Output
  A derivation.
*/
{ pkgs, ... }:
let
  # A plugin, which a file of another package names.
  plugin = pkgs.callPackage ../../tests/consumer/greeting.nix { };
  host = pkgs.runCommandLocal "host" { } ''
    mkdir -p $out/bin $out/etc
    echo ${plugin}/lib/libgreeting.so.1 >$out/etc/plugins
  '';
  environment = pkgs.mkReplitEnv {
    name = "check-closure-environment";
    deps = [
      host
      pkgs.zlib
    ];
  };
in
pkgs.runCommandLocal "check-closure" { } ''
  grep --quiet --text ${pkgs.zlib}/lib/libz.so.1 ${environment}/lib/rtld_loader.index
  grep --quiet --text ${plugin}/lib/libgreeting.so.1 ${environment}/lib/rtld_loader.index
  touch $out
''

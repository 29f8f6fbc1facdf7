/**
  nixpkgs' pkgsi686Linux, as far as what is compiled in Rust goes. In nixpkgs the compiler is a 32-bit program itself; here the
  machine's own one compiles for another machine, which `cargo xtask build --target` is told.

  # Inputs
  `lib` and `pkgs`.

  # Output
  A set.
*/
{ lib, pkgs }:
let
  set = pkgs // {
    stdenv = pkgs.stdenv // {
      hostPlatform = {
        system = "i686-linux";
        rust = {
          rustcTarget = "i686-unknown-linux-gnu";
          cargoEnvVarTarget = "I686_UNKNOWN_LINUX_GNU";
        };
      };
    };
  };
in
if lib.hasPrefix "x86_64-" pkgs.stdenv.hostPlatform.system then
  { callPackage = pkgs.callPackageWith set; }
else
  throw "i686 Linux package set can only be used with the x86 family."

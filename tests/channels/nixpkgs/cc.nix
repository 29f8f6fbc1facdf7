/**
  The channel's C compiler: the gcc that this machine has for it, with the channel's headers, start files, libraries and ld.so.

  # Inputs
  `lock` and `pkgs`.

  # Output
  A derivation with bin/cc, and the attributes that `stdenv.cc` has in nixpkgs.
*/
{ lock, pkgs }:
let
  inherit (pkgs) glibc gcc-unwrapped;
  dynamicLinker = "${glibc.out}/lib/${lock.interpreter}";
  suffixSalt =
    builtins.replaceStrings [ "-linux" ] [ "_unknown_linux_gnu" ]
      pkgs.stdenv.hostPlatform.system;
in
pkgs.runCommandLocal "cc-${lock.channel}"
  {
    inherit dynamicLinker suffixSalt;
    inherit (lock) triplet compiler;
    libc = glibc.out;
    dev = glibc.dev;
    libgcc = gcc-unwrapped.lib;
    script = builtins.readFile ./cc.sh;
    PATH = "/usr/bin";
    passthru = {
      inherit suffixSalt;
      cc = gcc-unwrapped;
      libc = glibc;
      bintools = { inherit dynamicLinker; };
    };
  }
  ''
    mkdir -p $out/bin
    headers=$($compiler -print-file-name=include)
    for name in headers compiler triplet dynamicLinker libc dev libgcc suffixSalt out; do
      script=''${script//@$name@/''${!name}}
    done
    printf %s "$script" >$out/bin/cc
    chmod +x $out/bin/cc
    ln --symbolic cc $out/bin/gcc
  ''

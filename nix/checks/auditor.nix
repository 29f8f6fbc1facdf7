/**
  The auditor can be loaded into a program of any glibc: it refers to no store path and needs no library. Under this
  nixpkgs' ld.so, whose toolchain linked it, it is silent, and finds what ld.so does not.

  # Inputs
  `pkgs`: a nixpkgs with the overlay.

  # Output
  A derivation.
*/
{ pkgs, ... }:
let
  # No library of a real package: a build sandbox may show those of the machine.
  greeting = pkgs.callPackage ../../tests/consumer/greeting.nix { };
  program = pkgs.writeText "program.py" ''
    import ctypes
    try:
        print(ctypes.CDLL("libgreeting.so.1")._name)
    except OSError as error:
        print(error)
  '';
in
pkgs.runCommandLocal "check-auditor"
  {
    # By the name and in the place that the C loader's flake had.
    auditor = "${pkgs.replit-rtld-loader}/rtld_loader.so";
    nativeBuildInputs = [ pkgs.patchelf ];
    exportReferencesGraph = [
      "graph"
      pkgs.rtld-loader
    ];
  }
  ''
    if [ "$(grep --count "^$NIX_STORE/" graph)" != 1 ]; then
      echo "the auditor refers to other store paths:"
      cat graph
      exit 1
    fi
    test -z "$(patchelf --print-needed "$auditor")"
    test -z "$(patchelf --print-rpath "$auditor")"

    # What is linked along with it starts with this ld.so.
    interpreter=$(patchelf --print-interpreter ${pkgs.rtld-loader.cli}/bin/replit-env-cli)
    if [ "$interpreter" != ${pkgs.stdenv.cc.bintools.dynamicLinker} ]; then
      echo "another toolchain linked it, that of $interpreter"
      exit 1
    fi

    # ld.so says on stderr when it cannot load an auditor.
    run() { ${pkgs.python3}/bin/python3 ${program} 2>>complaints; }
    missing='libgreeting.so.1: cannot open shared object file: No such file or directory'
    export REPLIT_LD_LIBRARY_PATH=${greeting}/lib
    test "$(run)" = "$missing"
    export LD_AUDIT=$auditor
    test "$(run)" = libgreeting.so.1
    unset REPLIT_LD_LIBRARY_PATH
    test "$(run)" = "$missing"
    test ! -s complaints
    touch $out
  ''

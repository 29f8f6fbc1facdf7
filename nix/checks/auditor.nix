/**
  The auditor can be loaded into a program of any glibc: it refers to no store path and needs no library.

  # Inputs
  A nixpkgs with the overlay.

  # Output
  A derivation.
*/
pkgs:
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

    # ld.so says on stderr when it cannot load an auditor.
    LD_AUDIT=$auditor ${pkgs.python3}/bin/python3 -c 'print("runs")' >$out 2>complaints
    grep --quiet runs $out
    test ! -s complaints
  ''

/**
  The build of an environment sees the closure of what is declared, and has ld.so keep room for its static thread-local
  storage.

  # Inputs
  `pkgs`: a nixpkgs with the overlay.

  # Output
  A derivation.
*/
{ pkgs, ... }:
let
  library =
    name: flags: source:
    pkgs.runCommandLocal name { inherit source; } ''
      mkdir -p $out/lib
      printf '%s\n' "$source" >${name}.c
      ${pkgs.stdenv.cc}/bin/cc -shared -fPIC -o $out/lib/lib${name}.so.1 -Wl,-soname,lib${name}.so.1 ${name}.c ${flags}
    '';

  # More than there is room for otherwise.
  inner = library "inner" "-ftls-model=initial-exec" ''
    static __thread char block[20000];
    char *inner(void) { return block; }
  '';
  outer = library "outer" "${inner}/lib/libinner.so.1 -Wl,-rpath,${inner}/lib" ''
    char *inner(void);
    char *outer(void) { return inner(); }
  '';

  environment = pkgs.mkReplitEnv { deps = [ outer ]; };
  program = pkgs.writeText "program.py" ''
    import ctypes, sys
    print(ctypes.CDLL(sys.argv[1])._name)
  '';
in
pkgs.runCommandLocal "check-static-tls" { } ''
  if ${pkgs.python3}/bin/python ${program} ${outer}/lib/libouter.so.1 2>complaints; then
    echo "it runs without replit-env"
    exit 1
  fi
  grep --quiet 'cannot allocate memory in static TLS block' complaints

  ${environment}/bin/replit-env ${pkgs.python3}/bin/python ${program} libouter.so.1 >$out
''

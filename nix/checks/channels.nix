/**
  An environment of two channels: a program of either gets the library of its own channel, whichever comes first. Where both
  are the same nixpkgs there is one channel.

  # Inputs
  `pkgs`: a nixpkgs with the overlay. `compiler`: the same one, or a newer one.

  # Output
  A derivation.
*/
{ pkgs, compiler }:
let
  # No library of a real package: a build sandbox may show those of the machine.
  greeting = set: set.callPackage ../../tests/consumer/greeting.nix { };
  declared = set: [
    set.python3
    (greeting set)
  ];
  environment = pkgs.mkReplitEnv {
    name = "check-channels-environment";
    channels = {
      own = pkgs;
      newest = compiler;
    };
    deps = declared;
  };
  program = pkgs.writeText "program.py" ''
    import ctypes
    ctypes.CDLL("libgreeting.so.1")
    print(*{line.split()[-1] for line in open("/proc/self/maps") if "/libgreeting.so.1" in line})
  '';
in
pkgs.runCommandLocal "check-channels" { } ''
  expect() {
    loaded=$(${environment}/bin/replit-env "$1" ${program})
    if [ "$loaded" != "$2/lib/libgreeting.so.1" ]; then
      echo "$1 loads $loaded instead of $2/lib/libgreeting.so.1"
      exit 1
    fi
  }
  expect ${compiler.python3}/bin/python3 ${greeting compiler}
  expect ${pkgs.python3}/bin/python3 ${greeting pkgs}
  # Programs are those of `pkgs`.
  expect python3 ${greeting pkgs}
  touch $out
''

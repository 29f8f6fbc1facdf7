/**
  Environments with a 32-bit auditor beside the 64-bit one: it can be built, both are where ld.so looks for them, programs of
  either class start without a word, and each finds its own. Elsewhere than on x86_64-linux there are none, and that is said.

  # Inputs
  `pkgs`: a nixpkgs with the overlay.

  # Output
  A derivation.
*/
{ pkgs, ... }:
let
  greeting = pkgs.callPackage ../../tests/consumer/greeting.nix { };
  environmentWith =
    arguments:
    pkgs.mkReplitEnv (
      {
        name = "check-both-classes-environment";
        deps = [ greeting ];
      }
      // arguments
    );
  one = environmentWith { };
  both = environmentWith { enable32Bit = true; };

  # A 32-bit program.
  inherit (pkgs) rtld-loader-i686;
  helper = "${rtld-loader-i686.cli}/bin/replit-env-cli";

  program = pkgs.writeText "program.py" ''
    import ctypes
    print(ctypes.CDLL("libgreeting.so.1")._name)
  '';
in
if pkgs.stdenv.hostPlatform.system != "x86_64-linux" then
  assert !(builtins.tryEval both.drvPath).success;
  pkgs.writeText "check-both-classes" ""
else
  pkgs.runCommandLocal "check-both-classes"
    {
      nativeBuildInputs = [ pkgs.patchelf ];
      exportReferencesGraph = [
        "graph"
        rtld-loader-i686
      ];
    }
    ''
      class() { od --address-radix=n --skip-bytes=4 --read-bytes=1 --format=u1 "$1" | tr --delete ' '; }
      test "$(class ${rtld-loader-i686}/lib/rtld_loader.so)" = 1
      test "$(class ${helper})" = 1
      # It is the same for every nixpkgs.
      test "$(grep --count "^$NIX_STORE/" graph)" = 1
      test -z "$(patchelf --print-needed ${rtld-loader-i686}/lib/rtld_loader.so)"

      expect() {
        if [ "$1" != "$2" ]; then
          printf 'expected %s\nbut it is %s\n' "$2" "$1"
          exit 1
        fi
      }
      auditors=${both}/lib/'$PLATFORM'/rtld_loader.so
      expect "$(${both}/bin/replit-env printenv LD_AUDIT)" "$auditors"
      # Nor does a shell that sources the hook take that for a variable of its own.
      expect "$(PLATFORM=x bash -c '. ${both}/etc/profile.d/replit-env.sh; printenv LD_AUDIT')" "$auditors"
      for platform in x86_64 haswell xeon_phi; do
        cmp ${both}/lib/$platform/rtld_loader.so ${pkgs.rtld-loader}/lib/rtld_loader.so
      done
      for platform in i686 i586; do
        cmp ${both}/lib/$platform/rtld_loader.so ${rtld-loader-i686}/lib/rtld_loader.so
      done

      expect "$(${both}/bin/replit-env ${pkgs.python3}/bin/python3 ${program} 2>&1)" libgreeting.so.1
      version="replit-env-cli ${pkgs.rtld-loader.version}"
      expect "$(${both}/bin/replit-env ${helper} --version 2>&1)" "$version"
      # Where its ld.so has to load an auditor, it cannot be the 64-bit one.
      if patchelf --print-interpreter ${helper} 2>/dev/null; then
        ${one}/bin/replit-env ${helper} --version 2>&1 | grep --quiet 'wrong ELF class: ELFCLASS64'
      fi
      touch $out
    ''

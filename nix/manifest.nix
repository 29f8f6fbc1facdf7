/**
  The integration tests' manifest for one nixpkgs: its glibc is the only channel, and programs run as they are.

  # Inputs
  A nixpkgs with the overlay.

  # Output
  A JSON file.
*/
pkgs:
let
  output = package: package.lib or package.out;

  manifest = {
    auditor = "${pkgs.rtld-loader}/lib/rtld_loader.so";
    replit_env_cli = "${pkgs.rtld-loader.cli}/bin/replit-env-cli";
    tools.strace = "${pkgs.strace}/bin/strace";
    views = [ "direct" ];
    channels = [
      {
        name = "nixpkgs";
        glibc = import ./glibc.nix pkgs;
        system = pkgs.stdenv.hostPlatform.system;
        interpreter = pkgs.stdenv.cc.bintools.dynamicLinker;
        glibc_lib = dirOf pkgs.stdenv.cc.bintools.dynamicLinker;
        cc = "${pkgs.stdenv.cc}/bin/cc";
        suffix_salt = pkgs.stdenv.cc.suffixSalt;
        python = "${pkgs.python3}/bin/python3";
        programs = {
          bash = "${pkgs.bash}";
          curl = "${pkgs.curl.bin}";
          dnsutils = "${pkgs.dnsutils}";
          openssl = "${pkgs.openssl.bin}";
          redis = "${pkgs.redis}";
        };
        fonts = "${pkgs.dejavu_fonts}/share/fonts";
        libraries = {
          cairo = "${output pkgs.cairo}";
          zlib = "${output pkgs.zlib}";
          libstdcxx = "${pkgs.stdenv.cc.cc.lib}";
          libgcc = "${pkgs.stdenv.cc.cc.lib}";
          openssl = "${output pkgs.openssl}";
          curl = "${output pkgs.curl}";
        };
      }
    ];
  };

  # Where an ld.so looks is written nowhere but in itself; from glibc 2.33 on it says so.
  complete = pkgs.writeText "complete.py" ''
    import json, os, re, subprocess

    manifest = json.loads(os.environ["manifest"])
    for channel in manifest["channels"]:
        asked = [channel["interpreter"], "--list-diagnostics"]
        answer = subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True).stdout
        directories = re.findall(r'^path\.system_dirs\[\w+\]="(.*?)/?"$', answer, re.MULTILINE)
        channel["default_directories"] = directories
        channel["cache"] = re.search(r'^path\.sysconfdir="(.*)"$', answer, re.MULTILINE)[1] + "/ld.so.cache"
    with open(os.environ["out"], "w") as file:
        json.dump(manifest, file, indent=2)
  '';
in
pkgs.runCommandLocal "manifest.json" { manifest = builtins.toJSON manifest; } ''
  ${pkgs.python3}/bin/python3 ${complete}
''

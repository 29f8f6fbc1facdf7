/**
  What the integration tests' manifest says about this channel.

  # Inputs
  `lib`, `lock` and `pkgs`.

  # Output
  A JSON file. It refers to all of the channel's store paths: building it builds them, and a link to it keeps them.
*/
{
  lib,
  lock,
  pkgs,
}:
let
  output = package: package.lib or package.out;
  others = [
    "bash"
    "dejavu_fonts"
    "dnsutils"
    "ethon"
    "gcc-unwrapped"
    "glibc"
    "python3"
    "redis"
    "ruby"
  ]
  ++ lock.bench;
  libraries = lib.filter (name: !(lib.elem name others)) (builtins.attrNames lock.attributes);
in
pkgs.writeText "channel-${lock.channel}.json" (
  builtins.toJSON {
    name = lock.channel;
    inherit (lock) glibc cache;
    default_directories = lock.defaultDirectories;
    system = pkgs.stdenv.hostPlatform.system;
    interpreter = pkgs.stdenv.cc.bintools.dynamicLinker;
    glibc_lib = "${pkgs.glibc.out}/lib";
    cc = "${pkgs.stdenv.cc}/bin/cc";
    suffix_salt = pkgs.stdenv.cc.suffixSalt;
    python = "${pkgs.python3}/bin/python3";
    programs = {
      bash = "${pkgs.bash}";
      curl = "${pkgs.curl.bin}";
      dnsutils = "${pkgs.dnsutils}";
      glibc = "${pkgs.glibc.bin}";
      openssl = "${pkgs.openssl.bin}";
      redis = "${pkgs.redis}";
      ruby = "${pkgs.ruby}";
    }
    // lib.optionalAttrs (lock.nodejs != null) { nodejs = "${pkgs.nodejs}"; }
    // lib.genAttrs lock.bench (name: "${pkgs.${name}}");
    fonts = "${pkgs.dejavu_fonts}/share/fonts";
    gems = "${pkgs.gems}";
    libraries = lib.genAttrs libraries (name: "${output pkgs.${name}}") // {
      libstdcxx = "${pkgs.stdenv.cc.cc.lib}";
      libgcc = "${pkgs.stdenv.cc.cc.lib}";
    };
  }
)

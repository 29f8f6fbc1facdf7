/**
  The options `programs.replit-env`, which the modules for NixOS and for home-manager have in common.

  # Inputs
  `mkReplitEnv`: the flake's `lib.mkReplitEnv`.

  # Output
  A module.
*/
{ mkReplitEnv }:
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) literalExpression mkOption types;
  cfg = config.programs.replit-env;

  # A list is of no channel; a function is called with each of them.
  packages = types.listOf types.package;
  declaration = types.either packages (types.functionTo packages);
  given = [
    cfg.libraries
    cfg.extraLibraries
  ];
  lists = builtins.filter (declared: !lib.isFunction declared) given;
  functions = builtins.filter lib.isFunction given;
in
{
  options.programs.replit-env = {
    enable = lib.mkEnableOption "libraries for programs that do not come from Nix, in every login shell";

    libraries = mkOption {
      type = declaration;
      default = import ./libraries.nix;
      defaultText = literalExpression "pkgs: [ pkgs.stdenv.cc.cc.lib pkgs.zlib … ]";
      example = literalExpression "[ pkgs.stdenv.cc.cc.lib pkgs.zlib ]";
      description = ''
        The libraries that programs find, in the order of the search: packages, or a function of a nixpkgs that returns
        them. By default those that the manylinux platforms promise, and a few that wheels leave out all the same.
      '';
    };

    extraLibraries = mkOption {
      type = declaration;
      default = [ ];
      example = literalExpression "[ pkgs.portaudio ]";
      description = "More libraries beside `programs.replit-env.libraries`.";
    };

    channels = mkOption {
      type = types.attrsOf types.raw;
      default = { };
      example = literalExpression "{ old = inputs.nixpkgs-old.legacyPackages.\${system}; }";
      description = ''
        Several nixpkgs that libraries come from in place of the system's, by names of your own. Each process prefers
        the one that was built with its own glibc. A list of libraries is of no channel, and searched behind them.
      '';
    };

    enable32Bit = lib.mkEnableOption "libraries for 32-bit programs, on x86_64-linux: declare some of `pkgs.pkgsi686Linux`";

    package = mkOption {
      type = types.package;
      default = mkReplitEnv {
        inherit pkgs;
        inherit (cfg) channels enable32Bit;
        replitNix =
          { pkgs }:
          {
            deps = builtins.concatMap (function: function pkgs) functions;
          };
        deps = builtins.concatLists lists;
        # A whole system's PATH is for its user to order.
        programsOnPath = false;
      };
      defaultText = literalExpression "mkReplitEnv { … } of the other options";
      description = "The environment, as `mkReplitEnv` makes it. With one of your own the other options say nothing.";
    };
  };
}

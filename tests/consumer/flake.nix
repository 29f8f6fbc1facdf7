{
  description = "A project of its own that takes mkReplitEnv from this one";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    replit-env.url = "github:replit/replit-env";
    replit-env.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs =
    {
      self,
      nixpkgs,
      replit-env,
    }:
    let
      perSystem = nixpkgs.lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
      ];
    in
    {
      packages = perSystem (system: {
        default = replit-env.lib.mkReplitEnv {
          pkgs = nixpkgs.legacyPackages.${system};
          replitNix = ./replit.nix;
        };
      });

      checks = perSystem (system: {
        # A nixpkgs with an older rustc than this project takes makes the same: that of `replit-env` compiles.
        old =
          let
            pkgs = import nixpkgs {
              inherit system;
              overlays = [ (final: prev: { rustPlatform = throw "its rustc is too old"; }) ];
            };
            environment = replit-env.lib.mkReplitEnv {
              inherit pkgs;
              replitNix = ./replit.nix;
            };
          in
          pkgs.runCommandLocal "old" { } ''
            test ${environment} = ${self.packages.${system}.default}
            touch $out
          '';

        default = nixpkgs.legacyPackages.${system}.runCommandLocal "consumer" { } ''
          ${self.packages.${system}.default}/bin/replit-env python ${./main.py} >$out
        '';
      });
    };
}

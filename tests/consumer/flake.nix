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
        default = nixpkgs.legacyPackages.${system}.runCommandLocal "consumer" { } ''
          ${self.packages.${system}.default}/bin/replit-env python ${./main.py} >$out
        '';
      });
    };
}

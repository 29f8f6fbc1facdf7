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
      old = system: replit-env.inputs.nixpkgs-stable-23_11.legacyPackages.${system};
      environment =
        pkgs:
        replit-env.lib.mkReplitEnv {
          inherit pkgs;
          replitNix = ./replit.nix;
        };
      # The environment of a module, with just as much around it as it asks for.
      ofModule =
        pkgs: module:
        let
          some = pkgs.lib.mkOption { type = pkgs.lib.types.raw; };
          evaluated = pkgs.lib.evalModules {
            specialArgs = { inherit pkgs; };
            modules = [
              module
              {
                options = pkgs.lib.genAttrs [ "environment" "home" ] (_: some) // {
                  programs = pkgs.lib.genAttrs [ "bash" "fish" "zsh" ] (_: some);
                };
              }
              { programs.replit-env.libraries = set: [ (set.callPackage ./greeting.nix { }) ]; }
            ];
          };
        in
        evaluated.config.programs.replit-env.package;
    in
    {
      packages = perSystem (system: {
        default = environment nixpkgs.legacyPackages.${system};
        # Of a channel that replit-env pins.
        channel = environment (old system);
        # Of both.
        channels = replit-env.lib.mkReplitEnv {
          pkgs = nixpkgs.legacyPackages.${system};
          channels = {
            new = nixpkgs.legacyPackages.${system};
            old = old system;
          };
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
          in
          pkgs.runCommandLocal "old" { } ''
            test ${environment pkgs} = ${self.packages.${system}.default}
            touch $out
          '';

        default = nixpkgs.legacyPackages.${system}.runCommandLocal "consumer" { } ''
          ${self.packages.${system}.default}/bin/replit-env python ${./main.py} >$out
        '';

        channel = nixpkgs.legacyPackages.${system}.runCommandLocal "channel" { } ''
          test ${self.packages.${system}.channel} != ${self.packages.${system}.default}
          ${self.packages.${system}.channel}/bin/replit-env python ${./main.py} >$out
        '';

        channels = nixpkgs.legacyPackages.${system}.runCommandLocal "channels" { } ''
          environment=${self.packages.${system}.channels}
          $environment/bin/replit-env python ${./main.py} >$out
          $environment/bin/replit-env ${(old system).python3}/bin/python3 ${./main.py} >>$out
        '';

        modules =
          let
            pkgs = nixpkgs.legacyPackages.${system};
          in
          pkgs.runCommandLocal "modules" { GREETED = "it's you, $HOME"; } ''
            test ${ofModule pkgs replit-env.nixosModules.default} = ${ofModule pkgs replit-env.homeModules.default}
            ${ofModule pkgs replit-env.homeModules.default}/bin/replit-env ${pkgs.python3}/bin/python ${./main.py} >$out
          '';
      });
    };
}

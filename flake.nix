{
  description = "Finds the libraries that ld.so cannot: an LD_AUDIT library and a wrapper that declares what it may use";

  # nix/channels.toml lists the channels. What is not asked for is not fetched.
  inputs = {
    nixpkgs.follows = "nixpkgs-stable-26_05";
    nixpkgs-stable-22_05.url = "github:NixOS/nixpkgs/nixos-22.05";
    nixpkgs-stable-22_11.url = "github:NixOS/nixpkgs/nixos-22.11";
    nixpkgs-stable-23_05.url = "github:NixOS/nixpkgs/nixos-23.05";
    nixpkgs-stable-23_11.url = "github:NixOS/nixpkgs/nixos-23.11";
    nixpkgs-stable-24_05.url = "github:NixOS/nixpkgs/nixos-24.05";
    nixpkgs-stable-24_11.url = "github:NixOS/nixpkgs/nixos-24.11";
    nixpkgs-stable-25_05.url = "github:NixOS/nixpkgs/nixos-25.05";
    nixpkgs-stable-25_11.url = "github:NixOS/nixpkgs/nixos-25.11";
    nixpkgs-stable-26_05.url = "github:NixOS/nixpkgs/nixos-26.05";
    nixpkgs-unstable.url = "github:NixOS/nixpkgs/nixos-unstable";
  };

  outputs =
    { self, nixpkgs, ... }@inputs:
    let
      perSystem = nixpkgs.lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
      ];
      projectWith =
        pkgs:
        import ./. {
          inherit pkgs;
          compiler = nixpkgs.legacyPackages.${pkgs.stdenv.hostPlatform.system};
        };
      project = system: projectWith nixpkgs.legacyPackages.${system};
      perChannel = import ./nix/perChannel.nix {
        inherit (nixpkgs) lib;
        project = system: channel: projectWith inputs."nixpkgs-${channel}".legacyPackages.${system};
      };
    in
    {
      packages = perSystem (
        system:
        let
          attributes = { inherit (project system) rtld-loader replit-env; };
        in
        attributes
        // perChannel system (project: project) attributes
        // {
          default = attributes.replit-env;
        }
        // nixpkgs.lib.optionalAttrs (system == "x86_64-linux") {
          inherit (project system) rtld-loader-i686;
        }
      );

      apps = perSystem (system: rec {
        replit-env = {
          type = "app";
          program = "${(project system).replit-env}/bin/replit-env";
          meta = { inherit ((project system).replit-env.meta) description; };
        };
        default = replit-env;
      });

      lib.mkReplitEnv = arguments: (projectWith arguments.pkgs).mkReplitEnv arguments;

      lib.mkReplitImage = import ./nix/ociImage.nix;

      overlays.default = import ./nix/overlay.nix;

      nixosModules.default = import ./nix/nixosModule.nix { inherit (self.lib) mkReplitEnv; };
      homeModules.default = import ./nix/homeModule.nix { inherit (self.lib) mkReplitEnv; };

      templates = import ./nix/templates.nix;

      # nixfmt for the whole tree. `cargo xtask test` holds the files to it, by a nixfmt that needs no nixpkgs.
      formatter = perSystem (system: nixpkgs.legacyPackages.${system}.nixfmt-tree);

      devShells = perSystem (system: {
        default = (project system).devShell;
      });

      checks = perSystem (
        system:
        let
          inherit ((project system).rtld-loader) tests;
        in
        tests
        // perChannel system (project: project.rtld-loader.tests) tests
        // {
          glibcs = import ./nix/glibcs.nix {
            inherit inputs;
            pkgs = nixpkgs.legacyPackages.${system};
          };
        }
      );
    };
}

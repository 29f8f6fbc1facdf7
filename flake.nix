{
  description = "Finds the libraries that ld.so cannot: an LD_AUDIT library and a wrapper that declares what it may use";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      perSystem =
        f: nixpkgs.lib.genAttrs systems (system: f (import ./. { pkgs = nixpkgs.legacyPackages.${system}; }));
    in
    {
      packages = perSystem (project: {
        inherit (project) rtld-loader replit-env;
        default = project.replit-env;
      });

      apps = perSystem (project: rec {
        replit-env = {
          type = "app";
          program = "${project.replit-env}/bin/replit-env";
          meta = { inherit (project.replit-env.meta) description; };
        };
        default = replit-env;
      });

      lib.mkReplitEnv = import ./nix/mkReplitEnv.nix;

      overlays.default = import ./nix/overlay.nix;

      devShells = perSystem (project: {
        default = project.devShell;
      });

      checks = perSystem (project: project.rtld-loader.tests);
    };
}

{
  description = "A project whose programs find the libraries that replit.nix declares";

  inputs = {
    replit-env.url = "github:replit/replit-env";
    # Or a nixpkgs of your own.
    nixpkgs.follows = "replit-env/nixpkgs";
  };

  outputs =
    { nixpkgs, replit-env, ... }:
    let
      perSystem =
        function:
        nixpkgs.lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (
          system: function nixpkgs.legacyPackages.${system}
        );
      environment =
        pkgs:
        replit-env.lib.mkReplitEnv {
          inherit pkgs;
          replitNix = ./replit.nix;
        };
    in
    {
      # `nix run . -- PROGRAM`
      packages = perSystem (pkgs: {
        default = environment pkgs;
      });

      # `nix develop`, and `use flake` of direnv
      devShells = perSystem (pkgs: {
        default = pkgs.mkShell {
          shellHook = ". ${environment pkgs}/etc/profile.d/replit-env.sh";
        };
      });
    };
}

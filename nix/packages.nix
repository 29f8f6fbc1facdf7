/**
  The packages of this project, for programs of one nixpkgs.

  # Inputs
  - `pkgs`: that nixpkgs, with this very set.
  - `compiler`: the same one, or a newer one, whose rustc is new enough. What it compiles for programs of `pkgs`, the
    `stdenv.cc` of `pkgs` links.

  # Output
  A set.
*/
{ pkgs, compiler }:
{
  rtld-loader = compiler.callPackage ./package.nix {
    inherit (pkgs.stdenv) cc;
    suite = compiler.callPackage ./suite.nix { };
    tests = import ./checks { inherit pkgs compiler; };
  };

  # The name that the C loader's flake had.
  replit-rtld-loader = pkgs.rtld-loader;

  mkReplitEnv =
    arguments:
    import ./mkReplitEnv.nix (
      {
        inherit pkgs;
        inherit (pkgs) rtld-loader;
      }
      // arguments
    );

  replit-env = pkgs.mkReplitEnv { replitNix = ../replit.nix; };
}

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

  # For 32-bit programs, on x86_64. It needs no library and refers to nothing, so it is the same for those of every nixpkgs.
  # The compiler is a 32-bit program, too: nixpkgs' own ones have a standard library for themselves alone, and one that cross-
  # compiles would have to be built, where this one is among what nixpkgs' 32-bit Mesa was built with.
  rtld-loader-i686 = compiler.pkgsi686Linux.callPackage ./package.nix { tests = { }; };

  # The name that the C loader's flake had.
  replit-rtld-loader = pkgs.rtld-loader;

  mkReplitEnv =
    arguments:
    import ./mkReplitEnv.nix (
      {
        inherit pkgs;
        inherit (pkgs) rtld-loader rtld-loader-i686;
      }
      // arguments
    );

  replit-env = pkgs.mkReplitEnv { replitNix = ../replit.nix; };
}

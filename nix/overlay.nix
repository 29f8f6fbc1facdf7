/**
  # Inputs
  As every overlay: the final package set, and the one before.

  # Output
  The packages of this project.
*/
final: prev: {
  rtld-loader = final.callPackage ./package.nix {
    tests = import ./checks final;
  };

  # The name that the C loader's flake had.
  replit-rtld-loader = final.rtld-loader;

  mkReplitEnv =
    arguments:
    import ./mkReplitEnv.nix (
      {
        pkgs = final;
        inherit (final) rtld-loader;
      }
      // arguments
    );

  replit-env = final.mkReplitEnv { replitNix = ../replit.nix; };
}

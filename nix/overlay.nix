/**
  # Inputs
  As every overlay: the final package set, and the one before.

  # Output
  The packages of this project.
*/
final: prev:
import ./packages.nix {
  pkgs = final;
  compiler = final;
}

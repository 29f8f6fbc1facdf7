/**
  The package set, as nixpkgs' default.nix makes it.

  # Inputs
  `system`: the packages'. `overlays`: to extend the set with. `config`: for nixpkgs alone.

  # Output
  The set.
*/
{
  system ? builtins.currentSystem,
  overlays ? [ ],
  config ? { },
}:
let
  lib = import ./lib.nix;
  base =
    final:
    import ./attributes.nix {
      inherit lib system;
      pkgs = final;
    };
  extend =
    previous: overlay: final:
    let
      set = previous final;
    in
    set // overlay final set;
  fix =
    f:
    let
      self = f self;
    in
    self;
in
fix (builtins.foldl' extend base overlays)

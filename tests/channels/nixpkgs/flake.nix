# Stands in for nixpkgs: `nix build --override-input nixpkgs path:DIRECTORY`, where `cargo xtask channels` made the
# directory from these files and the lock of one Debian release.
{
  description = "A Debian release in the shape of nixpkgs, as far as this project uses it";

  outputs =
    { self }:
    let
      lib = import ./lib.nix;
    in
    {
      inherit lib;
      # The machine's own system can be built. The other one evaluates, which is what `nix flake check` asks of it.
      legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (
        system: import ./. { inherit system; }
      );
    };
}

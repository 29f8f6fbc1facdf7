/**
  What building, linting and the SBOM take. The tests set a Debian up for themselves: `cargo xtask test`.

  # Inputs
  `rtld-loader`: package.nix, built. The others: packages, by their names in nixpkgs.

  # Output
  A derivation for `nix develop`.
*/
{
  mkShell,
  rtld-loader,
  cargo,
  clippy,
  rustc,
  rustfmt,
}:
mkShell {
  inputsFrom = [ rtld-loader ];
  packages = [
    cargo
    clippy
    rustc
    rustfmt
  ];
}

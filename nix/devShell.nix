/**
  What building and testing by hand takes.

  # Inputs
  `rtld-loader`: package.nix, built. The others: packages, by their names in nixpkgs.

  # Output
  A derivation for `nix develop`.
*/
{
  mkShell,
  rtld-loader,
  bubblewrap,
  busybox,
  cargo,
  clippy,
  dash,
  patchelf,
  rustc,
  rustfmt,
  strace,
  valgrind,
  zsh,
}:
mkShell {
  inputsFrom = [ rtld-loader ];
  packages = [
    bubblewrap
    busybox
    cargo
    clippy
    dash
    patchelf
    rustc
    rustfmt
    strace
    valgrind
    zsh
  ];
}

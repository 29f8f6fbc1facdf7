/**
  Tools of the machine itself, as packages: links to files that the build sandbox shows.

  # Inputs
  `pkgs`; then `name`, the package's; then `programs`, absolute paths.

  # Output
  A derivation with the programs in bin.
*/
{ pkgs }:
name: programs:
pkgs.runCommandLocal name { inherit programs; } ''
  mkdir -p $out/bin
  ln --symbolic $programs $out/bin/
''

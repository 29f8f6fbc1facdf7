/**
  The version of a glibc, without the number of the patches that nixpkgs adds.

  # Inputs
  A nixpkgs.

  # Output
  A string, as in "2.40".
*/
pkgs: builtins.head (builtins.split "-" pkgs.glibc.version)

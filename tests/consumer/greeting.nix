/**
  A library that no machine has.

  # Inputs
  nixpkgs' `runCommandLocal` and `stdenv`.

  # Output
  A derivation with lib/libgreeting.so.1.
*/
{ runCommandLocal, stdenv }:
runCommandLocal "greeting" { } ''
  mkdir -p $out/lib
  ${stdenv.cc}/bin/cc -shared -fPIC -o $out/lib/libgreeting.so.1 ${./greeting.c}
''

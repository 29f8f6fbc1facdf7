/**
  An environment: `bin/replit-env PROGRAM` runs PROGRAM with the declared dependencies.

  # Inputs
  - `pkgs`: a nixpkgs.
  - `deps`: packages, in the order of the search. Of each the `lib` output counts, else `out`, and never `dev`; an output
    that is named (`stdenv.cc.cc.lib`) counts itself. A package without /lib is dropped. /bin goes to PATH.
  - `env`: variables to set.
  - `replitNix`: a `replit.nix`, or its function: `{ pkgs }: { deps = [ … ]; env = { … }; }`. `deps` and `env` add to it.
  - `libraries`: directories or single files outside the store, searched last, such as `/run/opengl-driver/lib`.
  - `name`: of the derivation.
  - `rtld-loader`: package.nix, built.

  # Output
  A derivation.
*/
{
  pkgs,
  deps ? [ ],
  env ? { },
  replitNix ? null,
  libraries ? [ ],
  name ? "replit-env",
  rtld-loader ? pkgs.callPackage ./package.nix { },
}:
let
  inherit (pkgs) lib;

  function = if builtins.isFunction replitNix then replitNix else import replitNix;
  declared = if replitNix == null then { } else function { inherit pkgs; };

  allDeps = declared.deps or [ ] ++ deps;
  allEnv = declared.env or { } // env;

  output =
    wanted: dep:
    if dep.outputSpecified or false && dep.outputName != "dev" then dep else dep.${wanted} or dep.out or dep;

  option = name: values: lib.concatMap (value: [ "--${name}" "${value}" ]) values;

  # Whether a directory is there, and what that means, is for the generator to say.
  arguments =
    option "lib-of" (map (output "lib") allDeps)
    ++ option "lib" libraries
    ++ option "bin-of" (map (output "bin") allDeps)
    ++ option "env" (lib.mapAttrsToList (variable: value: "${variable}=${toString value}") allEnv);
in
pkgs.runCommandLocal name
  {
    passthru = { inherit rtld-loader; };
    meta = {
      description = "Runs programs with the declared dependencies, without LD_LIBRARY_PATH";
      mainProgram = "replit-env";
      platforms = lib.platforms.linux;
    };
  }
  ''
    ${rtld-loader.cli}/bin/replit-env-cli generate --out "$out" \
      --auditor ${rtld-loader}/lib/rtld_loader.so --shell ${dirOf pkgs.runtimeShell}/sh --store ${builtins.storeDir} \
      ${lib.escapeShellArgs arguments}
  ''

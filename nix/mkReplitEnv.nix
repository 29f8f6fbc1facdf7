/**
  An environment: `bin/replit-env PROGRAM` runs PROGRAM with the declared dependencies.

  # Inputs
  - `pkgs`: a nixpkgs.
  - `channels`: a set of nixpkgs, by names of your own. Libraries then come from these alone, and each process prefers the
    channel that was built with its own glibc; programs and variables still come from `pkgs`.
  - `deps`: packages, in the order of the search, or a function of a nixpkgs that returns them, which is called with
    each channel. Of each the `lib` output counts, else `out`, and never `dev`; an output that is named
    (`stdenv.cc.cc.lib`) counts itself. A package without /lib is dropped. /bin goes to PATH. A list beside `channels` is of
    no channel, and searched behind them.
  - `env`: variables to set.
  - `replitNix`: a `replit.nix`, or its function: `{ pkgs }: { deps = [ … ]; env = { … }; }`. It is called with each
    channel, too. `deps` and `env` add to it.
  - `libraries`: directories or single files outside the store, searched last, such as `/opt/vendor/lib`.
  - `enable32Bit`: whether 32-bit programs get an auditor of their own, on x86_64-linux. They do not, if not given: it is compiled by
    a 32-bit rustc. Declare libraries for them as any others, such as `pkgs.pkgsi686Linux.zlib`.
  - `programsOnPath`: whether /bin of the packages goes to PATH. It does, if not given.
  - `name`: of the derivation.
  - `rtld-loader` and `rtld-loader-i686`: package.nix, built for each kind of programs.

  # Output
  A derivation.
*/
{
  pkgs,
  channels ? { },
  deps ? [ ],
  env ? { },
  replitNix ? null,
  libraries ? [ ],
  enable32Bit ? false,
  programsOnPath ? true,
  name ? "replit-env",
  rtld-loader ? pkgs.callPackage ./package.nix { },
  rtld-loader-i686 ? pkgs.pkgsi686Linux.callPackage ./package.nix { },
}:
let
  inherit (pkgs) lib;

  function = if builtins.isFunction replitNix then replitNix else import replitNix;
  declared = set: if replitNix == null then { } else function { pkgs = set; };
  isOfChannels = builtins.isFunction deps;

  # What each nixpkgs is asked for, and what is declared once.
  depsOf = set: (declared set).deps or [ ] ++ (if isOfChannels then deps set else [ ]);
  others = if isOfChannels then [ ] else deps;
  allEnv = (declared pkgs).env or { } // env;

  output =
    wanted: dep:
    if dep.outputSpecified or false && dep.outputName != "dev" then
      dep
    else
      dep.${wanted} or dep.out or dep;
  lists = lib.mapAttrsToList (channel: set: {
    inherit channel;
    glibc = import ./glibc.nix set;
    outputs = map (output "lib") (depsOf set);
  }) channels;

  # Where the auditor has no preference, the newest comes first.
  isNewer =
    a: b:
    let
      compared = builtins.compareVersions a.glibc b.glibc;
    in
    if compared != 0 then compared > 0 else builtins.compareVersions a.channel b.channel > 0;
  newestFirst = builtins.sort isNewer lists;

  ofNoChannel = map (output "lib") ((if channels == { } then depsOf pkgs else [ ]) ++ others);
  programs = lib.optionals programsOnPath (map (output "bin") (depsOf pkgs ++ others));

  option =
    name: values:
    lib.concatMap (value: [
      "--${name}"
      "${value}"
    ]) values;
  ofChannel =
    { channel, outputs, ... }:
    "${channel}=${builtins.concatStringsSep ":" (map (output: "${output}") outputs)}";

  # What the index is to have: all that the declared packages lead to.
  roots = lib.concatMap (list: list.outputs) newestFirst ++ ofNoChannel ++ programs;
  closure = "${pkgs.closureInfo { rootPaths = roots; }}/store-paths";

  # What is declared is declared in all of them.
  releases = map (set: set.lib.trivial.release) ([ pkgs ] ++ builtins.attrValues channels);

  inherit (pkgs.stdenv.hostPlatform) system;
  auditor32 =
    if system == "x86_64-linux" then
      "${rtld-loader-i686}/lib/rtld_loader.so"
    else
      throw "mkReplitEnv: enable32Bit is for x86_64-linux; ${system} has no 32-bit auditor";

  # Whether a directory is there, and what that means, is for the generator to say.
  arguments =
    option "channel-of" (map ofChannel (lib.filter (list: list.outputs != [ ]) newestFirst))
    ++ option "lib-of" ofNoChannel
    ++ option "lib" libraries
    ++ option "bin-of" programs
    ++ option "env" (lib.mapAttrsToList (variable: value: "${variable}=${toString value}") allEnv)
    ++ option "nixpkgs" releases
    ++ option "auditor-32" (lib.optionals enable32Bit [ auditor32 ])
    # Older channels know no closure of nothing.
    ++ (if roots == [ ] then [ ] else option "closure" [ closure ]);
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

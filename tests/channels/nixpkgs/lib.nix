# The functions of nixpkgs' lib that this project uses, with the same meaning.
let
  inherit (builtins)
    concatMap
    elem
    filter
    isAttrs
    listToAttrs
    replaceStrings
    stringLength
    substring
    ;

  hasPrefix = prefix: string: substring 0 (stringLength prefix) string == prefix;

  /**
    The paths below which a fileset has everything.

    # Inputs
    `fileset`: a path, or what `fileset.unions` returned.

    # Output
    A list of strings.
  */
  pathsOf = fileset: if isAttrs fileset then fileset.paths else [ (toString fileset) ];

  modules = import ./modules.nix { inherit lib; };

  lib = modules // {
    inherit
      concatMap
      elem
      filter
      hasPrefix
      ;

    optionals = condition: list: if condition then list else [ ];
    optionalAttrs = condition: set: if condition then set else { };

    genAttrs =
      names: f:
      listToAttrs (
        map (name: {
          inherit name;
          value = f name;
        }) names
      );

    mapAttrsToList = f: set: map (name: f name set.${name}) (builtins.attrNames set);

    escapeShellArgs =
      let
        escape = argument: "'${replaceStrings [ "'" ] [ "'\\''" ] (toString argument)}'";
      in
      arguments: builtins.concatStringsSep " " (map escape arguments);

    fileset = {
      unions = filesets: { paths = concatMap pathsOf filesets; };

      toSource =
        { root, fileset }:
        let
          paths = pathsOf fileset;
          holds = directory: path: path == directory || hasPrefix "${directory}/" path;
        in
        {
          outPath = builtins.path {
            path = root;
            name = "source";
            filter =
              path: type:
              builtins.any (wanted: holds wanted path || (type == "directory" && holds path wanted)) paths;
          };
        };
    };

    licenses = {
      mit = {
        spdxId = "MIT";
      };
      asl20 = {
        spdxId = "Apache-2.0";
      };
    };

    # The packages have the names that they have in this release.
    trivial.release = "26.05";

    platforms.linux = [
      "x86_64-linux"
      "aarch64-linux"
    ];
  };
in
lib

/**
  The packages that programs' errors name for libraries which nobody declares: wrapper/data/sonames.toml, held to this nixpkgs.

  Every attribute that the table has for this release is a package. The test bed's stand-in for nixpkgs has few of them, and its
  packages are Debian's, cut otherwise: there, what the table has of their libraries is named by their attributes.

  # Inputs
  `pkgs`: a nixpkgs with the overlay.

  # Output
  A derivation.
*/
{ pkgs, ... }:
let
  inherit (builtins)
    attrNames
    compareVersions
    concatMap
    filter
    isAttrs
    isString
    ;
  inherit (builtins.fromTOML (builtins.readFile ../../wrapper/data/sonames.toml)) sonames;
  inherit (pkgs.lib.trivial) release;

  isOfRelease =
    soname: attribute:
    compareVersions (soname.since.${attribute} or release) release <= 0
    && compareVersions release (soname.until.${attribute} or release) <= 0;

  # Each attribute once.
  attributesOf =
    isWanted:
    attrNames (
      builtins.listToAttrs (
        map (name: {
          inherit name;
          value = null;
        }) (concatMap (soname: filter (isWanted soname) soname.attributes) (builtins.attrValues sonames))
      )
    );

  # What is not there is null; what is there no more may throw, as an alias.
  find =
    attribute:
    builtins.foldl' (set: name: if isAttrs set then set.${name} or null else null) pkgs (
      filter isString (builtins.split "\\." attribute)
    );
  isPackage =
    attribute:
    let
      evaluated = builtins.tryEval (
        let
          found = find attribute;
        in
        isAttrs found && isString found.name
      );
    in
    evaluated.success && evaluated.value;

  # The stand-in is not a tree of packages.
  isWhole = pkgs ? path;
  missing = filter (attribute: !(isPackage attribute)) (attributesOf isOfRelease);

  known = filter isPackage (attributesOf (_: _: true));
  output =
    package:
    if package.outputSpecified or false then package else package.lib or package.out or package;
  # Errors in an environment name packages as its nixpkgs does.
  indexOf =
    release:
    let
      lib = pkgs.lib // {
        trivial = pkgs.lib.trivial // {
          inherit release;
        };
      };
      environment = pkgs.mkReplitEnv {
        name = "check-hints-environment";
        pkgs = pkgs // {
          inherit lib;
        };
      };
    in
    "${environment}/lib/rtld_loader.index";

  line = words: builtins.concatStringsSep " " words + "\n";
in
assert !isWhole || missing == [ ] || throw "nixpkgs ${release} has no ${toString missing}";
pkgs.runCommandLocal "check-hints"
  {
    table = builtins.concatStringsSep "" (
      map (soname: line ([ soname ] ++ sonames.${soname}.attributes)) (attrNames sonames)
    );
    packages =
      if isWhole then
        ""
      else
        builtins.concatStringsSep "" (
          map (
            attribute:
            line [
              attribute
              "${output (find attribute)}"
            ]
          ) known
        );
  }
  ''
    declare -A attributes
    while read -r soname names; do attributes[$soname]=" $names "; done <<<"''${table%$'\n'}"
    checked=0
    while read -r attribute path; do
      for file in "$path"/lib/*.so*; do
        names=''${attributes[''${file##*/}]-}
        if [ -n "$names" ]; then
          checked=$((checked + 1))
          if [[ $names != *" $attribute "* ]]; then
            echo "''${file##*/} is in $attribute, not in$names"
            exit 1
          fi
        fi
      done
    done <<<"''${packages%$'\n'}"
    if [ -n "$packages" ] && [ "$checked" -lt 20 ]; then
      echo "only $checked libraries are there"
      exit 1
    fi
    grep --quiet --text xorg.libXres ${indexOf "23.11"}
    if grep --quiet --text xorg.libXres ${indexOf "26.05"}; then
      echo "an environment of 26.05 says xorg.libXres"
      exit 1
    fi
    touch $out
  ''

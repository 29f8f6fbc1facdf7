/**
  Derivations built with the machine's tools and the channel's compiler: what this project uses of nixpkgs' stdenv and
  trivial builders.

  # Inputs
  `lib` and `pkgs`.

  # Output
  The functions, which take what those of nixpkgs take.
*/
{ lib, pkgs }:
let
  system = pkgs.stdenv.hostPlatform.system;

  # Attributes that are for Nix alone, not for the builder.
  notForBuilder = [
    "meta"
    "passthru"
    "strictDeps"
    "auditable"
    "cargoLock"
  ];

  # Of nixpkgs' phases: configurePhase, buildPhase, checkPhase and installPhase.
  mkDerivation =
    attributes:
    let
      arguments = removeAttrs attributes notForBuilder // {
        inherit system;
        name = attributes.name or "${attributes.pname}-${attributes.version}";
        outputs = attributes.outputs or [ "out" ];
        builder = "/bin/bash";
        args = [
          "-c"
          (builtins.readFile ./phases.sh)
        ];
        PATH =
          attributes.PATH or (builtins.concatStringsSep ":" (
            map (input: "${input.bin or input}/bin") (
              attributes.nativeBuildInputs or [ ] ++ attributes.nativeCheckInputs or [ ] ++ [ pkgs.stdenv.cc ]
            )
            ++ [ "/usr/bin" ]
          ));
      };
    in
    derivation arguments
    // attributes.passthru or { }
    // {
      inherit (arguments) outputs;
      meta = attributes.meta or { };
      passthru = attributes.passthru or { };
    }
    // (if attributes ? version then { inherit (attributes) pname version; } else { });

  runCommandLocal =
    name: attributes: script:
    mkDerivation (
      {
        inherit name;
        buildCommand = script;
      }
      // attributes
    );
in
{
  inherit mkDerivation runCommandLocal;

  writeText = name: text: runCommandLocal name { inherit text; } "printf %s \"$text\" >$out";

  # Nix writes a graph for each root: every store path, and each of those that it refers to, on a line of its own.
  closureInfo =
    { rootPaths }:
    runCommandLocal "closure-info"
      {
        exportReferencesGraph = lib.concatMap (nth: [
          "graph-${toString nth}"
          (builtins.elemAt rootPaths nth)
        ]) (builtins.genList (nth: nth) (builtins.length rootPaths));
      }
      ''
        mkdir $out
        grep --no-filename "^$NIX_STORE/" graph-* | sort --unique >$out/store-paths
      '';

  mkShell =
    {
      packages ? [ ],
      inputsFrom ? [ ],
      name ? "shell",
      ...
    }@attributes:
    runCommandLocal name (
      removeAttrs attributes [
        "packages"
        "inputsFrom"
        "name"
      ]
      // {
        nativeBuildInputs = packages ++ lib.concatMap (input: input.nativeBuildInputs or [ ]) inputsFrom;
      }
    ) "export >$out";
}

/**
  The attributes of every channel, each as `NAME-CHANNEL`. Their names are known without a look at the channels, so that Nix
  fetches those alone whose attributes it builds.

  # Inputs
  - `lib`: nixpkgs'.
  - `project`: a function of a system and a channel's name that returns default.nix's set.

  Then `system`; `select`, a function of that set; and `attributes`, a set with the names that `select` returns.

  # Output
  A set.
*/
{ lib, project }:
let
  inherit (builtins.fromTOML (builtins.readFile ./channels.toml)) channels;
  isFor = system: channel: lib.elem system (channel.systems or [ system ]);
in
system: select: attributes:
builtins.listToAttrs (
  lib.concatMap (
    channel:
    map (attribute: {
      name = "${attribute}-${channel.name}";
      value = (select (project system channel.name)).${attribute};
    }) (builtins.attrNames attributes)
  ) (lib.filter (isFor system) channels)
)

/**
  Holds channels.toml to the glibc that each channel has. An input without a commit is no channel, but stands in for one.

  # Inputs
  `pkgs`: a nixpkgs. `inputs`: the flake's.

  # Output
  A derivation, if it is so.
*/
{ pkgs, inputs }:
let
  inherit (builtins.fromTOML (builtins.readFile ./channels.toml)) channels;
  inherit (pkgs) lib;

  input = channel: inputs."nixpkgs-${channel.name}";
  glibc =
    channel: import ./glibc.nix (input channel).legacyPackages.${pkgs.stdenv.hostPlatform.system};
  differs = channel: input channel ? rev && glibc channel != channel.glibc;
  complaint =
    channel: "${channel.name} has glibc ${glibc channel}, and channels.toml says ${channel.glibc}";
  complaints = map complaint (lib.filter differs channels);
in
if complaints == [ ] then
  pkgs.writeText "check-glibcs" ""
else
  throw (builtins.concatStringsSep "; " complaints)

/**
  `programs.replit-env` for NixOS: every login shell has the environment.

  # Inputs
  `mkReplitEnv`: the flake's `lib.mkReplitEnv`.

  # Output
  A module.
*/
{ mkReplitEnv }:
{ config, lib, ... }:
let
  cfg = config.programs.replit-env;
in
{
  key = "replit-env/nix/nixosModule.nix";
  imports = [ (import ./moduleOptions.nix { inherit mkReplitEnv; }) ];

  config = lib.mkIf cfg.enable {
    # fish finds share/fish/vendor_conf.d in the system's profile by itself: `programs.fish` of NixOS links it there.
    environment.systemPackages = [ cfg.package ];

    # NixOS has an /etc/profile of its own and no profile.d. This goes to its set-environment, which bash, zsh and desktop
    # sessions read, once a session. For fish it is run by bash, or translated (`programs.fish.useBabelfish`) in a way that
    # leads to a second translation, of the hook, whenever a fish starts: there it is left to fish's own hook.
    environment.extraInit = ''
      if [ -z "''${FISH_VERSION-}" ]; then . ${cfg.package}/etc/profile.d/replit-env.sh; fi
    '';
  };
}

/**
  `programs.replit-env` for home-manager: every login shell of this user has the environment, if home-manager writes the
  shell's configuration (`programs.bash.enable` and the like).

  # Inputs
  `mkReplitEnv`: the flake's `lib.mkReplitEnv`.

  # Output
  A module.
*/
{ mkReplitEnv }:
{ config, lib, ... }:
let
  cfg = config.programs.replit-env;
  source = ". ${cfg.package}/etc/profile.d/replit-env.sh";
in
{
  key = "replit-env/nix/homeModule.nix";
  imports = [ (import ./moduleOptions.nix { inherit mkReplitEnv; }) ];

  config = lib.mkIf cfg.enable {
    home.packages = [ cfg.package ];

    # Not `home.sessionVariablesExtra`: home-manager translates that for fish, and what it sources at each start of fish.
    programs.bash.profileExtra = source;
    programs.zsh.profileExtra = source;

    # A user's profile is not where every fish looks for vendor_conf.d.
    programs.fish.shellInit = "source ${cfg.package}/share/fish/vendor_conf.d/replit-env.fish";
  };
}

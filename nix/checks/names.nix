/**
  The root's replit.nix declares the same by the names that packages had in older channels.

  # Inputs
  `pkgs`: a nixpkgs with the overlay.

  # Output
  A derivation.
*/
{ pkgs, ... }:
let
  moved = {
    libice = "libICE";
    libsm = "libSM";
    libx11 = "libX11";
    libxcb = "libxcb";
    libxext = "libXext";
    libxi = "libXi";
    libxrender = "libXrender";
  };
  names = builtins.attrNames moved;
  declared = pkgs: (import ../../replit.nix { inherit pkgs; }).deps;

  # Names stand for packages.
  now =
    builtins.listToAttrs (
      map (name: {
        inherit name;
        value = name;
      }) names
    )
    // {
      libxcrypt-legacy = "libcrypt";
    };
  before = {
    xorg = builtins.listToAttrs (
      map (name: {
        name = moved.${name};
        value = name;
      }) names
    );
    libxcrypt = "libcrypt";
  };
in
assert declared (pkgs // now) == declared (removeAttrs pkgs (builtins.attrNames now) // before);
pkgs.writeText "check-names" ""

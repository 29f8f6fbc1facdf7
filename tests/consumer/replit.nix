{ pkgs }:
{
  deps = [
    pkgs.python3
    (pkgs.callPackage ./greeting.nix { })
  ];
  env.GREETED = "it's you, \$HOME";
}

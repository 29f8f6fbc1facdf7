# Python, and what programs from elsewhere expect of any machine.
{ pkgs }:
{
  deps = [ pkgs.python3 ] ++ import ./nix/libraries.nix pkgs;
}

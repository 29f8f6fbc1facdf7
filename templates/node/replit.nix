{ pkgs }:
{
  deps = [
    pkgs.nodejs
    # What many addons ask for: libstdc++.so.6.
    pkgs.stdenv.cc.cc.lib
    # For main.js.
    pkgs.cairo
  ];
}

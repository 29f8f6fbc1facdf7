{ pkgs }:
{
  deps = [
    pkgs.python3
    # What many wheels ask for: libstdc++.so.6 and libz.so.1.
    pkgs.stdenv.cc.cc.lib
    pkgs.zlib
    # For main.py.
    pkgs.cairo
  ];
}

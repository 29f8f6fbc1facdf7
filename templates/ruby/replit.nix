{ pkgs }:
{
  deps = [
    pkgs.ruby
    # What many gems ask for: libstdc++.so.6 and libz.so.1.
    pkgs.stdenv.cc.cc.lib
    pkgs.zlib
    # For main.rb.
    pkgs.cairo
  ];
}

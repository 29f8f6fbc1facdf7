# Python, and what programs from elsewhere expect of any machine: wheels, addons, `ctypes.CDLL`.
{ pkgs }:
{
  deps = [
    pkgs.python3

    # libstdc++, libgcc_s, libgomp, libatomic
    pkgs.stdenv.cc.cc.lib
    pkgs.zlib

    # The libraries that the manylinux platforms promise (PEP 513, 571, 599, 600), beside glibc's own.
    pkgs.glib
    pkgs.libGL
    pkgs.libx11
    pkgs.libxext
    pkgs.libxrender
    pkgs.libice
    pkgs.libsm
    pkgs.expat
    pkgs.libxcrypt-legacy

    # What wheels leave out all the same.
    pkgs.cairo
    pkgs.fontconfig
    pkgs.freetype
    pkgs.libxcb
    pkgs.libxi
    pkgs.libuuid
    pkgs.bzip2
    pkgs.xz
    pkgs.zstd
  ];
}

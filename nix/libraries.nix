/**
  What programs from elsewhere expect of any machine: wheels, addons, `ctypes.CDLL`.

  # Inputs
  A nixpkgs. Older channels have other names for a few packages.

  # Output
  A list of packages.
*/
pkgs: [
  # libstdc++, libgcc_s, libgomp, libatomic
  pkgs.stdenv.cc.cc.lib
  pkgs.zlib

  # The libraries that the manylinux platforms promise (PEP 513, 571, 599, 600), beside glibc's own.
  pkgs.glib
  pkgs.libGL
  (pkgs.libx11 or pkgs.xorg.libX11)
  (pkgs.libxext or pkgs.xorg.libXext)
  (pkgs.libxrender or pkgs.xorg.libXrender)
  (pkgs.libice or pkgs.xorg.libICE)
  (pkgs.libsm or pkgs.xorg.libSM)
  pkgs.expat
  (pkgs.libxcrypt-legacy or pkgs.libxcrypt)

  # What wheels leave out all the same.
  pkgs.cairo
  pkgs.fontconfig
  pkgs.freetype
  (pkgs.libxcb or pkgs.xorg.libxcb)
  (pkgs.libxi or pkgs.xorg.libXi)
  pkgs.libuuid
  pkgs.bzip2
  pkgs.xz
  pkgs.zstd
]

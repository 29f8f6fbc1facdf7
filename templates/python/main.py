"""Asks a library of the system for its version: `replit.nix` declares it."""

import ctypes

cairo = ctypes.CDLL("libcairo.so.2")
cairo.cairo_version_string.restype = ctypes.c_char_p
print("cairo", cairo.cairo_version_string().decode())

# Asks a library of the system for its version: `replit.nix` declares it.

require "fiddle"

cairo = Fiddle.dlopen("libcairo.so.2")
version = Fiddle::Function.new(cairo["cairo_version_string"], [], Fiddle::TYPE_VOIDP)
puts "cairo #{version.call}"

/**
  The gem ethon, which calls libcurl through the gem ffi, and both in one directory, as `gem install` leaves them in GEM_HOME.

  # Inputs
  `pkgs`, and `ethon`: the files of Debian's packages.

  # Output
  A derivation.
*/
{ pkgs, ethon }:
pkgs.runCommandLocal "gems-${ethon.version}" { inherit ethon; } ''
  mkdir $out
  shopt -s nullglob
  # What is written in Ruby is below share, what is compiled below lib.
  for directory in $ethon/share/rubygems-integration/* $ethon/lib/rubygems-integration/*; do
    cp --recursive --symbolic-link --no-preserve=mode $directory/. $out/
  done
''

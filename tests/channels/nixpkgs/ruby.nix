/**
  Debian's Ruby, told where it lies: its own idea of its standard library is a path below /usr.

  # Inputs
  `pkgs`, and `ruby`: the package's files.

  # Output
  A derivation with bin/ruby.
*/
{ pkgs, ruby }:
pkgs.runCommandLocal "ruby-wrapped-${ruby.version}"
  {
    inherit ruby;
    inherit (pkgs) runtimeShell;
  }
  ''
    mkdir -p $out/bin
    shopt -s nullglob
    directories=($ruby/lib/ruby/vendor_ruby $ruby/lib/ruby/vendor_ruby/[0-9]* $ruby/lib/ruby/[0-9]*)
    path=$(IFS=:; printf %s "''${directories[*]}")
    printf '#!%s\nexport RUBYLIB="''${RUBYLIB:+$RUBYLIB:}%s"\nexec %s "$@"\n' \
      $runtimeShell "$path" $ruby/bin/ruby >$out/bin/ruby
    chmod +x $out/bin/ruby
  ''

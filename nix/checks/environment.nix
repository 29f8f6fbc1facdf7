/**
  The environment of the root's replit.nix: a program that loads a library by its bare name fails without and runs with it.

  # Inputs
  `pkgs`: a nixpkgs with the overlay.

  # Output
  A derivation.
*/
{ pkgs, ... }:
let
  # No library of a real package: a build sandbox may show those of the machine.
  greeting = pkgs.callPackage ../../tests/consumer/greeting.nix { };
  environment = pkgs.mkReplitEnv {
    replitNix = ../../replit.nix;
    deps = [ greeting ];
  };
  program = pkgs.writeText "program.py" ''
    import ctypes
    print(ctypes.CDLL("libgreeting.so.1")._name)
  '';
  # The sonames that a manylinux wheel may ask for, and those that wheels ask for all the same.
  sonames = pkgs.writeText "sonames.py" ''
    import ctypes
    for soname in """
        libstdc++.so.6 libgcc_s.so.1 libz.so.1 libglib-2.0.so.0 libgobject-2.0.so.0 libgthread-2.0.so.0 libGL.so.1
        libX11.so.6 libX11-xcb.so.1 libXext.so.6 libXrender.so.1 libICE.so.6 libSM.so.6 libexpat.so.1 libcrypt.so.1
        libcairo.so.2 libfontconfig.so.1 libfreetype.so.6 libxcb.so.1 libXi.so.6 libuuid.so.1 libbz2.so.1 liblzma.so.5
        libzstd.so.1
    """.split():
        print(ctypes.CDLL(soname)._name)
  '';
in
pkgs.runCommandLocal "check-environment" { } ''
  if ${pkgs.python3}/bin/python ${program} 2>complaints; then
    echo "it runs without replit-env"
    exit 1
  fi
  grep --quiet 'libgreeting.so.1: cannot open shared object file' complaints

  # `python` comes from the declared dependencies.
  test "$(${environment}/bin/replit-env python ${program})" = libgreeting.so.1
  ${pkgs.replit-env}/bin/replit-env python3 ${sonames} >$out

  # A shell with what is printed can do without it.
  test "$(eval "$(${environment}/bin/replit-env --print-env)"; python ${program})" = libgreeting.so.1

  # Shells and man find what comes along. No patterns: one that nothing matches would be no word at all, and nothing tested.
  for file in \
    bash-completion/completions/replit-env zsh/site-functions/_replit-env \
    fish/vendor_completions.d/replit-env.fish fish/vendor_conf.d/replit-env.fish \
    man/man1/replit-env.1 man/man7/rtld_loader.7
  do
    test -s "${environment}/share/$file"
  done

  # What answers is in the environment's closure.
  ${pkgs.replit-env}/bin/replit-env --version | grep --quiet '^replit-env ${pkgs.rtld-loader.version}$'
''

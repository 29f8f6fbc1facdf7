/**
  The modules for NixOS and for home-manager: what they set is read by real shells, where a program then loads a library that
  it does not find otherwise. Nothing is set unless they are enabled.

  # Inputs
  - `pkgs`: a nixpkgs with the overlay.
  - `compiler`: the same one, or a newer one.

  # Output
  A derivation.
*/
{ pkgs, compiler }:
let
  inherit (pkgs) lib;

  # No library of a real package: a build sandbox may show those of the machine.
  greeting = set: set.callPackage ../../tests/consumer/greeting.nix { };
  program = pkgs.writeText "program.py" ''
    import ctypes
    ctypes.CDLL("libgreeting.so.1")
    print(*{line.split()[-1] for line in open("/proc/self/maps") if "/libgreeting.so.1" in line})
  '';

  # As much of NixOS and of home-manager as the modules know.
  list = lib.mkOption {
    type = lib.types.listOf lib.types.package;
    default = [ ];
  };
  lines = lib.mkOption {
    type = lib.types.lines;
    default = "";
  };
  system.options.environment = {
    systemPackages = list;
    extraInit = lines;
  };
  home.options = {
    home.packages = list;
    programs.bash.profileExtra = lines;
    programs.zsh.profileExtra = lines;
    programs.fish.shellInit = lines;
  };

  evaluate =
    stub: module: settings:
    let
      configured = import module { inherit (pkgs) mkReplitEnv; };
      evaluated = lib.evalModules {
        specialArgs = { inherit pkgs; };
        modules = [
          stub
          # Put together from several configurations, it may be there twice.
          configured
          configured
        ]
        ++ map (replit-env: { programs = { inherit replit-env; }; }) settings;
      };
    in
    evaluated.config;
  onSystem = evaluate system ../nixosModule.nix;
  atHome = evaluate home ../homeModule.nix;

  enabled = {
    enable = true;
    extraLibraries = [ (greeting pkgs) ];
  };
  own = pkgs.mkReplitEnv { deps = [ (greeting pkgs) ]; };
  ofChannels = onSystem [
    enabled
    {
      libraries = set: [ (greeting set) ];
      channels = {
        own = pkgs;
        newest = compiler;
      };
    }
  ];
  few = onSystem [
    enabled
    { libraries = [ pkgs.zlib ]; }
  ];
  nixos = onSystem [
    enabled
    { extraLibraries = [ pkgs.curl ]; }
  ];
  user = atHome [ enabled ];
  # On the one system where there are two auditors.
  forBoth = lib.optionals (pkgs.stdenv.hostPlatform.system == "x86_64-linux") [
    (onSystem [
      enabled
      { enable32Bit = true; }
    ])
  ];
  directory = package: "${package.lib or package.out}/lib";
in
assert
  (onSystem [ (removeAttrs enabled [ "enable" ]) ]).environment == {
    systemPackages = [ ];
    extraInit = "";
  };
assert (atHome [ ]).home.packages == [ ] && (atHome [ ]).programs.fish.shellInit == "";
assert
  (onSystem [
    enabled
    { package = own; }
  ]).environment.systemPackages == [ own ];
pkgs.runCommandLocal "check-modules"
  {
    nativeBuildInputs = [
      pkgs.dash
      pkgs.fish
      pkgs.zsh
    ];
  }
  ''
    export HOME=$PWD
    expect() {
      if [ "$1" != "$2" ]; then
        printf 'expected %s\nbut it is %s\n' "$2" "$1"
        exit 1
      fi
    }
    python='${pkgs.python3}/bin/python3 ${program}'
    library=${directory (greeting pkgs)}/libgreeting.so.1

    # As NixOS and home-manager have them read.
    system=${pkgs.writeText "set-environment" nixos.environment.extraInit}
    for shell in bash dash zsh; do
      if $shell -c "$python" 2>complaints; then
        echo "it runs without replit-env in $shell"
        exit 1
      fi
      grep --quiet 'libgreeting.so.1: cannot open shared object file' complaints
      expect "$($shell -c ". $system; $python")" "$library"
    done
    expect "$(bash -c '. ${pkgs.writeText "profile" user.programs.bash.profileExtra}; '"$python")" "$library"
    expect "$(zsh -c '. ${pkgs.writeText "zprofile" user.programs.zsh.profileExtra}; '"$python")" "$library"
    expect "$(fish -c 'source ${pkgs.writeText "config.fish" user.programs.fish.shellInit}; '"$python")" "$library"
    if fish -c "$python" 2>complaints; then
      echo "it runs without replit-env in fish"
      exit 1
    fi
    profile=${builtins.head nixos.environment.systemPackages}
    expect "$(XDG_DATA_DIRS=$profile/share fish -c "$python")" "$library"
    # Where that is translated for fish, it has nothing to say.
    expect "$(FISH_VERSION=3.7 bash -c ". $system; "'echo "$LD_AUDIT"')" ""

    # No shell takes what is for ld.so for a variable of its own.
    for both in ${
      toString (map (set: pkgs.writeText "set-environment" set.environment.extraInit) forBoth)
    }; do
      for shell in bash dash zsh; do
        case $(PLATFORM=x $shell -c ". $both; printenv LD_AUDIT") in
          *'/lib/$PLATFORM/rtld_loader.so') ;;
          *) expect "$(PLATFORM=x $shell -c ". $both; printenv LD_AUDIT")" 'a path with $PLATFORM' ;;
        esac
        expect "$($shell -c ". $both; $python" 2>&1)" "$library"
      done
    done

    # The default libraries are there, without their programs.
    searched() { bash -c ". $1/etc/profile.d/replit-env.sh; "'echo "$REPLIT_LD_LIBRARY_PATH"'; }
    for package in ${directory pkgs.zlib} ${directory pkgs.curl} ${directory (greeting pkgs)}; do
      case :$(searched $profile): in
        *:$package:*) ;;
        *) expect "$(searched $profile)" "a list with $package" ;;
      esac
    done
    expect "$(bash -c ". $system; "'echo "$PATH"')" "$PATH"
    expect "$(searched ${few.programs.replit-env.package})" ${directory pkgs.zlib}:${directory (greeting pkgs)}

    # Of channels, each program gets the library of its own.
    channels=${ofChannels.programs.replit-env.package}
    expect "$($channels/bin/replit-env $python)" "$library"
    expect "$($channels/bin/replit-env ${compiler.python3}/bin/python3 ${program})" \
      ${directory (greeting compiler)}/libgreeting.so.1
    touch $out
  ''

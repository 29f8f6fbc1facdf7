/**
  The templates: one for each directory of `templates`.

  # Inputs
  None.

  # Output
  A set, as `nix flake init` takes it.
*/
let
  template = name: description: steps: {
    path = ../templates + "/${name}";
    inherit description;
    welcomeText = ''
      # ${description}

      `replit.nix` declares the libraries that programs find.

      ${steps}
      With direnv, `direnv allow` does what `nix develop` does.
    '';
  };
in
rec {
  python = template "python" "Python whose packages find their libraries" ''
    - `nix run . -- python main.py` runs a program with them.
    - `nix develop` opens a shell; there `python -m venv .venv` and `.venv/bin/pip install …` work as anywhere.
  '';
  node = template "node" "Node.js whose addons find their libraries" ''
    - `nix develop` opens a shell; there `npm install` and `node main.js` work as anywhere.
    - `nix run . -- node main.js` runs a program without the shell.
  '';
  ruby = template "ruby" "Ruby whose gems find their libraries" ''
    - `nix run . -- ruby main.rb` runs a program with them.
    - `nix develop` opens a shell; there `bundle install` works as anywhere.
  '';
  default = python;
}

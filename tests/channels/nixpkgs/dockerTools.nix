/**
  nixpkgs' dockerTools, as far as this project's image goes: with one layer.

  # Inputs
  `lib` and `pkgs`.

  # Output
  The functions, which take what those of nixpkgs take.
*/
{ lib, pkgs }:
{
  streamLayeredImage =
    {
      name,
      tag,
      contents,
      config,
      extraCommands ? "",
    }:
    let
      architectures = {
        x86_64-linux = "amd64";
        aarch64-linux = "arm64";
      };
      image = {
        architecture = architectures.${pkgs.stdenv.hostPlatform.system};
        os = "linux";
        inherit config;
        rootfs = {
          type = "layers";
          diff_ids = [ "sha256:SHA256" ];
        };
      };
      manifest = [
        {
          Config = "image.json";
          RepoTags = [ "${name}:${tag}" ];
          Layers = [ "layer.tar" ];
        }
      ];

      # As it is to be in the image: the store keeps no such modes.
      root = pkgs.runCommandLocal "root" { inherit contents extraCommands; } ''
        mkdir root $out
        for content in $contents; do
          cp --recursive --no-dereference --no-preserve=mode "$content/." root
        done
        (cd root && eval "$extraCommands")
        tar --create --file $out/root.tar --directory root .
      '';
    in
    pkgs.runCommandLocal "stream-${name}"
      {
        closure = "${pkgs.closureInfo { rootPaths = contents; }}/store-paths";
        image = builtins.toJSON image;
        manifest = builtins.toJSON manifest;
        script = ''
          #!/bin/sh
          # Writes the image to standard output.
          set -eu
          work=$(mktemp --directory)
          trap 'rm -r "$work"' EXIT
          cat ${root}/root.tar >"$work/layer.tar"
          sed 's|^/||' @closure@ | tar --append --file "$work/layer.tar" --directory / --files-from -
          sum=$(sha256sum "$work/layer.tar")
          printf %s '@image@' | sed "s/SHA256/''${sum%% *}/" >"$work/image.json"
          printf %s '@manifest@' >"$work/manifest.json"
          tar --create --directory "$work" manifest.json image.json layer.tar
        '';
      }
      ''
        for name in closure image manifest; do script=''${script//@$name@/''${!name}}; done
        printf %s "$script" >$out
        chmod +x $out
      '';
}

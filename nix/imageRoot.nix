/**
  What an image has beside packages: a shell, and the files that a login shell reads. The environment's hook is in
  /etc/profile.d, as in the image of a Repl.

  # Inputs
  - nixpkgs' `runCommandLocal` and `bashInteractive`.
  - `environment`: what mkReplitEnv returned.

  # Output
  A derivation: the root directory.
*/
{
  runCommandLocal,
  bashInteractive,
  environment,
}:
runCommandLocal "image-root"
  {
    profile = ''
      # For login shells.
      for hook in /etc/profile.d/*.sh; do
        . "$hook"
      done
      unset hook
    '';
  }
  ''
    mkdir -p $out/bin $out/etc/profile.d $out/root
    ln --symbolic ${bashInteractive}/bin/bash $out/bin/bash
    ln --symbolic bash $out/bin/sh
    ln --symbolic ${environment}/etc/profile.d/replit-env.sh $out/etc/profile.d/
    printf %s "$profile" >$out/etc/profile
    echo root:x:0:0:root:/root:/bin/bash >$out/etc/passwd
    echo root:x:0: >$out/etc/group
  ''

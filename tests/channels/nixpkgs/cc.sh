#!/bin/sh
# This machine's gcc for one channel. `--sysroot` leads nowhere, so that nothing of the machine's own glibc is used.
# Like nixpkgs' wrapper it gives a RUNPATH only to what is linked against a library, after the caller's own, and none
# when NIX_DONT_SET_RPATH is set.
runpath=-Wl,-rpath,@libc@/lib
for argument do
  case $argument in
    -nostdlib) NIX_DONT_SET_RPATH=1 ;;
    -lgcc_s) runpath=-Wl,-rpath,@libc@/lib:@libgcc@/lib ;;
  esac
done
[ -z "${NIX_DONT_SET_RPATH:-}" ] || runpath=
exec /usr/bin/@compiler@ --sysroot=@out@/sysroot -nostdinc -isystem @headers@ -isystem @dev@/include \
  -isystem @dev@/include/@triplet@ -B@dev@/lib -Wl,--dynamic-linker=@dynamicLinker@ -Wl,--enable-new-dtags "$@" \
  -L@dev@/lib -L@libc@/lib -L@libgcc@/lib ${runpath:+"$runpath"}

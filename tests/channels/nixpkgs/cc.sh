#!/bin/sh
# This machine's gcc for one channel. `--sysroot` leads nowhere, so that nothing of the machine's own glibc is used.
# The RUNPATH is as nixpkgs' wrapper makes it: after the caller's own come the directories of all libraries that the linker is
# told of, needed or not. gcc itself names libc and libgcc_s; files of the store count with -nostdlib, too. There is none when
# NIX_DONT_SET_RPATH is set, by the name that it has for this target: by the plain name it is read only in the build of a
# package whose stdenv has a compiler.
default=1 libgcc_s=1 libc= libgcc= files=
for argument do
  case $argument in
    -nostdlib | -nodefaultlibs) default= ;;
    -static-libgcc) libgcc_s= ;;
    -lc) libc=1 ;;
    -lgcc_s) libgcc=1 ;;
    /nix/store/*.so | /nix/store/*.so.*) files="$files ${argument%/*}" ;;
  esac
done
runpath=
add() {
  case :$runpath: in
    *:"$1":*) ;;
    *) runpath=${runpath:+$runpath:}$1 ;;
  esac
}
[ -z "$default$libc" ] || add @libc@/lib
[ -z "${default:+$libgcc_s}$libgcc" ] || add @libgcc@/lib
for directory in $files; do add "$directory"; done
[ -z "${NIX_DONT_SET_RPATH_@suffixSalt@:-}" ] || runpath=
exec /usr/bin/@compiler@ --sysroot=@out@/sysroot -nostdinc -isystem @headers@ -isystem @dev@/include \
  -isystem @dev@/include/@triplet@ -B@dev@/lib -Wl,--dynamic-linker=@dynamicLinker@ -Wl,--enable-new-dtags "$@" \
  -L@dev@/lib -L@libc@/lib -L@libgcc@/lib ${runpath:+"-Wl,-rpath,$runpath"}

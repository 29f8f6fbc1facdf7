# Makes a store path of Debian packages: the files where nixpkgs has them, and programs and libraries that find what
# they need through their own interpreter and RUNPATH.
set -eu
shopt -s nullglob dotglob
export PATH=/usr/bin LC_ALL=C

for deb in $debs; do dpkg-deb --extract "$deb" "$PWD/root"; done

# Says where a path of Debian's is in the store path, relative to it.
place() {
  local path=${1#/}
  path=${path#usr/}
  case $path in
    lib/"$triplet"/*) place=lib/${path#lib/"$triplet"/} ;;
    lib64/*) place=lib/${path#lib64/} ;;
    sbin/*) place=bin/${path#sbin/} ;;
    *) place=$path ;;
  esac
}

# Copies a directory's content, if there is one, and leaves what is there already.
merge() {
  [ -d "root/$1" ] || return 0
  mkdir -p "$out/$2"
  cp --archive --no-clobber "root/$1/." "$out/$2/"
}

mkdir -p "$out"
for prefix in "" usr/; do
  merge "${prefix}lib/$triplet" lib
  rm -rf "root/${prefix}lib/$triplet"
  merge "${prefix}lib" lib
  merge "${prefix}lib64" lib
  merge "${prefix}bin" bin
  merge "${prefix}sbin" bin
done
merge usr/include include
merge usr/share share
merge etc etc
rm -rf "$out"/share/{doc,info,lintian,locale,man}
find "$out" -mindepth 1 -depth -type d -empty -delete

# Links that lead elsewhere in Debian's tree follow the file, into another store path if need be; a link to what no
# package of ours has is left out. Links that still work stay as they are.
relink() {
  local link=$1 target directory
  [ ! -e "$link" ] || case $(readlink "$link") in /*) ;; *) return 0 ;; esac
  target=$(readlink "$link")
  case $target in
    /*) ;;
    # The directory that the link had in Debian's tree counts; lib/<triplet> and lib differ in depth alone.
    *) target=${target##*../} ;;
  esac
  place "$target"
  for directory in "$out" $needed; do
    if [ -e "$directory/$place" ] && [ "$directory/$place" != "$link" ]; then
      ln --symbolic --force --no-dereference "$directory/$place" "$link"
      return 0
    fi
    if [ -e "$directory/lib/${place##*/}" ] && [ "$directory/lib/${place##*/}" != "$link" ]; then
      ln --symbolic --force --no-dereference "$directory/lib/${place##*/}" "$link"
      return 0
    fi
  done
  rm "$link"
}
while IFS= read -r -d "" link; do relink "$link"; done < <(find "$out" -type l -print0)

for link in $links; do ln --symbolic "${link#*=}" "$out/${link%%=*}"; done

# Linker scripts (libc.so, libm.a) name files by Debian's paths.
for script in "$out"/lib/*.so "$out"/lib/*.a; do
  [ "$(head --bytes=16 "$script" | tr --delete '\0')" = "/* GNU ld script" ] || continue
  for path in $(grep --only-matching '/[^ )]*/lib[^ )]*\|/lib[^ )]*' "$script"); do
    place "$path"
    for directory in "$out" $needed; do
      [ ! -e "$directory/$place" ] || { sed --in-place "s|\\([ (]\\)$path|\\1$directory/$place|" "$script"; break; }
    done
  done
done

# Says which directory has a library that a file here needs.
directory_of() {
  for directory in "$out/lib" ${needed:+$(printf '%s/lib ' $needed)}; do
    [ ! -e "$directory/$1" ] || return 0
  done
  return 1
}

# patchelf moves the note that PT_GNU_PROPERTY leads to, and leaves that header as it is. On aarch64 the kernel would then not
# start the program, so the header is made one that nobody reads (PT_NULL; offsets are those of the 64-bit class).
forget_property() {
  local at end
  end=$((64 + 56 * $(od --address-radix=n --format=u2 --skip-bytes=56 --read-bytes=2 "$1")))
  for ((at = 64; at < end; at += 56)); do
    case $(od --address-radix=n --format=x4 --skip-bytes=$at --read-bytes=4 "$1") in
      *6474e553) printf '\0\0\0\0' | dd of="$1" bs=1 seek=$at conv=notrunc status=none ;;
    esac
  done
}

chmod --recursive u+w "$out"
while IFS= read -r -d "" file; do
  [ "$(head --bytes=4 "$file" | tr --delete '\0')" = $'\177ELF' ] || continue
  # ld.so loads glibc's own files before it knows of a RUNPATH; nixpkgs leaves them without one, too.
  case $file in "$out"/lib/*) [ ! -e "$out/lib/libc.so.6" ] || continue ;; esac
  # A static program, or an object file, has nothing to patch.
  libraries=$(patchelf --print-needed "$file" 2>/dev/null) && [ -n "$libraries" ] || continue
  if program=$(patchelf --print-interpreter "$file" 2>/dev/null) && directory_of "${program##*/}"; then
    patchelf --set-interpreter "$directory/${program##*/}" "$file"
  fi
  runpath=
  for library in $libraries; do
    directory_of "$library" || continue
    case :$runpath: in *:"$directory":*) ;; *) runpath=$runpath${runpath:+:}$directory ;; esac
  done
  patchelf --set-rpath "$runpath" "$file"
  case $triplet in aarch64-*) forget_property "$file" ;; esac
done < <(find "$out" -type f -print0)

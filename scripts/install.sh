#!/bin/sh
# scripts/install.sh BUILD DIR: installs into DIR/bin and DIR/share. The tapset's files get times of whole seconds, which
# every archiver keeps: the index is only used while it knows the times of all files.
set -eu
build=$1 dir=$2

install -D -m 755 "$build/stap" "$dir/bin/stap"
for page in docs/man/*.[1-9]*; do
  section=${page##*.}
  install -D -m 644 "$page" "$dir/share/man/man${section%%[!0-9]*}/${page##*/}"
done
for tree in tapset examples; do
  [ -d $tree ] || continue
  find $tree -name '*.stp' -o -name '*.stpm' | while read -r f; do
    install -D -m 644 "$f" "$dir/share/stap/$f"
  done
done
if [ -d "$dir/share/stap/tapset" ]; then
  now=$(date +%s)
  find "$dir/share/stap/tapset" -type f -exec touch -d "@$now" {} +
  find "$dir/share/stap/tapset" -type d | while read -r d; do
    "$build/mkindex" "$d" >"$d/index.tmp"
    mv "$d/index.tmp" "$d/index"
  done
fi

#!/bin/bash
# flags: quick
# Every function and alias of the library passes pass 2 on this kernel, with and without -u.
set -u
data=$(cd "$(dirname "$0")/../data" && pwd)
failed=0
for script in tapset_all tapset_aliases; do
  for options in "" -u; do
    # shellcheck disable=SC2086
    if ! $STAP -p2 $options "$data/$script.stp" >"$TMPDIR/out" 2>"$TMPDIR/err" || [ -s "$TMPDIR/err" ]; then
      echo "$script $options:"
      head "$TMPDIR/err"
      failed=1
    fi
    grep -q '^# probes' "$TMPDIR/out" || failed=1
  done
done
exit $failed

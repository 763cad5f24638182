#!/bin/bash
# Every example script that SystemTap's documentation comes with passes pass 1, and what -p1 prints is a script that
# -p1 prints in the same words.
# flags: quick host
# timeout: 300
set -u
dirs=()
for d in /usr/share/systemtap/examples /usr/share/doc/systemtap/examples; do
  [ -d "$d" ] && dirs+=("$d")
done
if [ ${#dirs[@]} = 0 ]; then
  echo "the examples of the package systemtap-doc"
  exit 77
fi

# Scripts that can't pass: name, why
exceptions() {
  cat <<'END'
security-bandaid-template.stp  a template: has "{...}" for a body
END
}

# The script's arguments: the words behind its name in the .meta file's "test_check: stap -p4 script args", if they are plain.
arguments() {
  case ${1##*/} in
  inode-watch.stp) echo 8 3 100 ;;
  pyexample.stp) echo python3 ;;
  sizeof.stp) echo task_struct kernel ;;
  whythefail.stp) echo kernel do_sys_open 1 ;;
  hw_watch_addr.stp) echo 0x1000 ;;
  graphcall.stp) echo kernel vfs_read ;;
  *) meta_arguments "$1" ;;
  esac
}
meta_arguments() {
  sed -n "s/^test_check:.* [^ ]*${1##*/}\"* *//p" "${1%.stp}.meta" 2>/dev/null | head -1 | sed 's/[<>|;&].*//'
}

# Some have `which stap` for an argument.
PATH=${STAP%/*}:$PATH

failed=0 count=0
complain() {
  echo "$1"
  failed=$((failed + 1))
}
while read -r f; do
  [ -n "$(exceptions | awk -v n="${f##*/}" '$1 == n')" ] && continue
  count=$((count + 1))
  args=()
  eval "args=($(arguments "$f"))"
  # -g for those with embedded C
  "$STAP" -g -w -p1 "$f" "${args[@]}" >"$TMPDIR/1" 2>"$TMPDIR/err" || { complain "$f: $(cat "$TMPDIR/err")"; continue; }
  cp "$TMPDIR/1" "$TMPDIR/again.stp"
  "$STAP" -g -w -p1 "$TMPDIR/again.stp" >"$TMPDIR/2" 2>"$TMPDIR/err" || { complain "$f, printed: $(cat "$TMPDIR/err")"; continue; }
  diff <(grep -v '^# file' "$TMPDIR/1") <(grep -v '^# file' "$TMPDIR/2") >"$TMPDIR/diff" ||
    complain "$f, printed twice: $(head -20 "$TMPDIR/diff")"
done < <(find "${dirs[@]}" -name '*.stp' | sort)
echo "$((count - failed)) of $count example scripts"
[ "$count" -gt 100 ] && [ "$failed" = 0 ]

#!/bin/bash
# flags: quick
# timeout: 150
# -l and -L: one line a probe, variables with their types, exit status 1 when nothing matches.
set -u
dir=$(cd "$(dirname "$0")/.." && pwd)
failed=0
fail() { echo "$*"; failed=1; }

want='syscall.open filename:string mode:long __nr:long name:string flags:long argstr:string $filename:long int $flags:long int $mode:long int'
[ "$($STAP -L syscall.open)" = "$want" ] || fail "-L syscall.open: $($STAP -L syscall.open)"
want='syscall.read.return __nr:long name:string retval:long retstr:string $return:long int $fd:long int $buf:long int $count:long int'
[ "$($STAP -L syscall.read.return)" = "$want" ] || fail "-L syscall.read.return"
[ "$($STAP -l 'syscall.{read,write,nosuch}')" = $'syscall.read\nsyscall.write' ] || fail "-l with braces"
[ "$($STAP -l 'timer.s(3)')" = 'timer.s(3)' ] || fail "-l timer"
[ "$($STAP -l 'timer.*')" = timer.profile ] || fail "-l 'timer.*'"

# every system call, with the variables that its users know
$STAP -L 'syscall.*' >"$TMPDIR/calls" || fail "-L 'syscall.*': status $?"
[ "$(wc -l <"$TMPDIR/calls")" -gt 300 ] || fail "$(wc -l <"$TMPDIR/calls") system calls"
[ "$($STAP -l 'syscall.*' | wc -l)" = "$(wc -l <"$TMPDIR/calls")" ] || fail "-l and -L differ"
sed -n 's/^syscall\.//p' "$dir/data/syscall_signatures.txt" | grep -v '^[a-z0-9_]*\.return' >"$TMPDIR/known"
while read -r name vars; do
  line=$(grep "^syscall\.$name " "$TMPDIR/calls") || continue # not in this kernel
  for v in $vars; do
    [[ " $line " == *" $v "* ]] || fail "syscall.$name lacks $v"
  done
done <"$TMPDIR/known"

# every tracepoint
$STAP -L 'kernel.trace("*")' >"$TMPDIR/trace" || fail "-L 'kernel.trace(\"*\")': status $?"
[ "$($STAP -l 'kernel.trace("*")' | wc -l)" = "$(wc -l <"$TMPDIR/trace")" ] || fail "-l and -L of tracepoints differ"
grep -q '^kernel.trace("sched:sched_switch") .*\$prev:struct task_struct\* \$next:struct task_struct\*' "$TMPDIR/trace" ||
  fail "sched_switch: $(grep 'sched_switch"' "$TMPDIR/trace")"

# the whole library is parsed for these
for what in functions probe-aliases probe-types; do
  out=$($STAP --dump-$what 2>"$TMPDIR/err") || fail "--dump-$what: status $?"
  [ -s "$TMPDIR/err" ] && fail "--dump-$what: $(head -3 "$TMPDIR/err")"
  [ "$(wc -l <<<"$out")" -gt 20 ] || fail "--dump-$what: $out"
done
$STAP --dump-functions >"$TMPDIR/functions"
for f in 'substr:string ([a-z0-9]*:string, [a-z0-9]*:long, [a-z0-9]*:long)' 'thread_indent:string (delta:long)' \
  'tokenize:string ([a-z0-9]*:string)' 'ansi_set_color:unknown (fg:long, bg:long)' 'task_pid:long (task:long)'; do
  grep -qx "$f" "$TMPDIR/functions" || fail "no $f"
done

for nothing in syscall.nosuch 'syscall.nosuch*' 'kernel.trace("nosuch")' 'nosuch.*' begin.x; do
  out=$($STAP -l "$nothing" 2>&1) && fail "-l $nothing: status 0"
  [ -z "$out" ] || fail "-l $nothing: $out"
done
exit $failed

#!/bin/bash
# A reader that stands still: the ring fills, events' records are dropped and counted, each one; nothing of the end
# probe is lost, and what was counted in a global isn't.
set -u
cat >"$TMPDIR/calls.c" <<'END'
#include <unistd.h>
int main(void) { for (int i = 0; i < 100000; i++) getppid(); return getpgid(0) < 0; }
END
cc -O1 -o "$TMPDIR/calls" "$TMPDIR/calls.c" || exit 1
$STAP -s 1 -DMAXACTION=100000 -e 'global n
  probe syscall.getppid { n++ printf("call %d\n", n) }
  probe syscall.getpgid { if (execname() == "calls") exit() }
  probe begin { println("ready") }
  probe end { for (i = 0; i < 20000; i++) println("report") printf("total %d\n", n) }' >"$TMPDIR/out" 2>"$TMPDIR/err" &
pid=$!
for _ in $(seq 100); do grep -q ready "$TMPDIR/out" && break; sleep 0.1; done
kill -STOP $pid
"$TMPDIR/calls"
kill -CONT $pid
wait $pid || { cat "$TMPDIR/err"; exit 1; }
printed=$(grep -c '^call ' "$TMPDIR/out")
lost=$(sed -n 's/^WARNING: There were \([0-9]*\) transport failures.*/\1/p' "$TMPDIR/err")
total=$(sed -n 's/^total //p' "$TMPDIR/out")
reports=$(grep -c '^report$' "$TMPDIR/out")
echo "printed $printed, lost ${lost:-none}, total ${total:-none}, reports $reports"
[ "${lost:-0}" -gt 0 ] && [ $((printed + lost)) = "${total:-0}" ] && [ "$total" -ge 100000 ] && [ "$reports" = 20000 ]

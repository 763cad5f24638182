#!/bin/bash
# flags: quick
# A stap that is killed leaves no BPF program behind.
set -u

programs_of() { # ids of the programs that process $1 holds
    cat /proc/"$1"/fdinfo/* 2>/dev/null | sed -n 's/^prog_id:\t//p' | sort -un
}
there() { # is program $1 in the kernel? asks by a helper of its own: bpftool may not be there
    python3 - "$1" <<'END'
import ctypes, sys
attr = (ctypes.c_uint32 * 32)(int(sys.argv[1]))
fd = ctypes.CDLL(None).syscall(321, 13, attr, ctypes.sizeof(attr))  # BPF_PROG_GET_FD_BY_ID
sys.exit(fd < 0)
END
}

"$STAP" -e 'global n probe kernel.trace("sched_switch"), syscall.openat, timer.ms(50) { n <<< 1 } probe begin { println("ready") } probe end { println(@count(n)) }' \
    >"$TMPDIR/out" 2>"$TMPDIR/err" &
stap=$!
for _ in $(seq 200); do
    grep -q ready "$TMPDIR/out" && break
    sleep 0.1
done
sleep 0.3
ids=$(programs_of $stap)
kill -9 $stap
wait $stap 2>/dev/null
[ "$(wc -w <<<"$ids")" -ge 3 ] || { echo "held only: $ids"; cat "$TMPDIR/err"; exit 1; }
for _ in $(seq 50); do
    left=
    for id in $ids; do there "$id" && left="$left $id"; done
    [ -z "$left" ] && exit 0
    sleep 0.1
done
echo "left behind: programs$left"
exit 1

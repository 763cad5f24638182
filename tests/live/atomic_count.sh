#!/bin/bash
# flags: serial
# timeout: 240
# Single read-modify-writes on every CPU at once lose nothing: scalars, elements and statistics agree with the number of handlers that ran.
set -u
calls=$([ -n "${STAP_VM-}" ] && echo 5000 || echo 100000)

cat >"$TMPDIR/load" <<END
for cpu in 0 0 $(($(nproc) - 1)) $(($(nproc) - 1)); do
    taskset -c "\$cpu" python3 -c "
import os, ctypes
ctypes.CDLL(None).prctl(15, b'atomic_load')
for i in range($calls): os.getppid()" &
done
wait
END
timeout 200 "$STAP" -c "bash $TMPDIR/load" -e '
global n, up, down, el, st
probe kernel.trace("sys_enter") { if (execname() == "atomic_load") n++ }
probe kernel.trace("sys_enter") { if (execname() == "atomic_load") up += 3 }
probe kernel.trace("sys_enter") { if (execname() == "atomic_load") down-- }
probe kernel.trace("sys_enter") { if (execname() == "atomic_load") el["all"]++ }
probe kernel.trace("sys_enter") { if (execname() == "atomic_load") st <<< 2 }
probe end { printf("%d %d %d %d %d %d\n", n, up / 3, -down, el["all"], @count(st), @sum(st) / 2) }
' >"$TMPDIR/out" 2>"$TMPDIR/err"
cat "$TMPDIR/out" "$TMPDIR/err"
read -r -a counts < <(tail -n 1 "$TMPDIR/out")
[ "${#counts[@]}" = 6 ] || exit 1
[ "${counts[0]}" -ge $((4 * calls)) ] || { echo "events are missing"; exit 1; }
for c in "${counts[@]}"; do
    [ "$c" = "${counts[0]}" ] || { echo "updates were lost"; exit 1; }
done
[ ! -s "$TMPDIR/err" ]

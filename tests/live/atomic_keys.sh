#!/bin/bash
# Elements that several CPUs add at once: one of them does, the others find it there.  Nothing is lost, and it is no overflow.
# timeout: 60
set -u
calls=20000
cat >"$TMPDIR/load" <<END
for cpu in 0 0 $(($(nproc) - 1)) $(($(nproc) - 1)); do
    taskset -c "\$cpu" python3 -c "
import os, ctypes
ctypes.CDLL(None).prctl(15, b'atomic_load')
for i in range($calls): os.getppid()" &
done
wait
END
"$STAP" -DMAXMAPENTRIES=200000 -DMAXACTION=1000000 -c "bash $TMPDIR/load" -e '
global at, seen, last, n
probe kernel.trace("sys_enter") { if (execname() == "atomic_load") at[gettimeofday_us() / 200]++ }
probe kernel.trace("sys_enter") { if (execname() == "atomic_load") seen[gettimeofday_us() / 200] <<< 1 }
probe kernel.trace("sys_enter") { if (execname() == "atomic_load") last[gettimeofday_us() / 200] = 1 }
probe kernel.trace("sys_enter") { if (execname() == "atomic_load") n++ }
probe end {
  foreach (k in at) a += at[k]
  foreach (k in seen) s += @count(seen[k])
  foreach (k in last) l += last[k]
  printf("%d %d %d %d\n", n, a, s, l > 0)
}' >"$TMPDIR/out" 2>"$TMPDIR/err"
cat "$TMPDIR/out" "$TMPDIR/err"
read -r n a s l <"$TMPDIR/out"
[ "$n" -ge $((4 * calls)) ] && [ "$a" = "$n" ] && [ "$s" = "$n" ] && [ "$l" = 1 ] && [ ! -s "$TMPDIR/err" ]

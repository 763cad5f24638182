#!/bin/bash
# flags: serial
# timeout: 60
# A hundred thousand entries, sorted by value, limit 10: within a second of the end.
set -u

"$STAP" -g -DMAXMAPENTRIES=100000 --suppress-time-limits -DMAXACTION=10000000 -e '
global a, t
probe begin {
  for (i = 0; i < 100000; i++) a[i] = (i * 7919) % 100003
  t = gettimeofday_us()
  exit()
}
probe end { foreach (k in a- limit 10) println(k, " ", a[k]) }
probe end(1) { printf("took %d\n", gettimeofday_us() - t) }' >"$TMPDIR/out" 2>"$TMPDIR/err"
cat "$TMPDIR/err" "$TMPDIR/out"
python3 - >"$TMPDIR/want" <<'END'
a = {i: i * 7919 % 100003 for i in range(100000)}
for k in sorted(a, key=lambda k: -a[k])[:10]:
    print(k, a[k])
END
grep -v took "$TMPDIR/out" | diff - "$TMPDIR/want" || exit 1
took=$(sed -n 's/^took //p' "$TMPDIR/out")
[ "$took" -lt $([ -n "${STAP_VM-}" ] && echo 20000000 || echo 1000000) ]

#!/bin/bash
# timeout: 120
# An end probe that prints a million lines to a slowly read pipe loses none.
set -u

slow='import os, sys, time
want = 0
rest = b""
while chunk := os.read(0, 8192):
    lines = (rest + chunk).split(b"\n")
    rest = lines.pop()
    for line in lines:
        if line != b"line %d" % want: sys.exit(f"{line} where line {want} was to come")
        want += 1
    time.sleep(0.001)
print(want, repr(rest))'

"$STAP" -DMAXACTION=10000000 --suppress-time-limits -g -e 'probe begin { exit() }
probe end { for (i = 0; i < 1000000; i++) printf("line %d\n", i) }' 2>"$TMPDIR/err" | python3 -c "$slow" >"$TMPDIR/out"
cat "$TMPDIR/err" "$TMPDIR/out"
[ ! -s "$TMPDIR/err" ] && [ "$(cat "$TMPDIR/out")" = "1000000 b''" ]

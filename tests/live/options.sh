#!/bin/bash
# Options of stap(1), as far as they show from outside.
# flags: quick
. tests/lib/live.sh

try() { run --runtime=user "$@"; }

try -e 'probe begin { println("one") } probe end { println("bye") } probe timer.ms(50) { exit() }' -E 'probe begin(1) { println("two") }'
check "-E" $'one\ntwo\nbye' "$out"

try -G n=7 -G s=foo -e 'global n = 1, s = "x" probe begin { printf("%d %s\n", n, s) exit() }'
check "-G" "7 foo" "$out"
try -G nope=7 -e 'probe begin { exit() }'
check "-G of no global" 1 "$status"
try -G n=x -e 'global n = 1 probe begin { println(n) exit() }'
check "-G of no number" 1 "$status"

echo 'probe begin { printf("%d %s\n", $1, @2) exit() }' >"$TMPDIR/args.stp"
check "standard input" "3 four" "$("$STAP" --runtime=user - 3 four <"$TMPDIR/args.stp")"
try "$TMPDIR/args.stp" 3 "two words"
check "arguments" "3 two words" "$out"
try "$TMPDIR/args.stp" -- 3 -x
check "arguments like options" "3 -x" "$out"

ln -s "$STAP" "$TMPDIR/stap"
printf '#!%s --runtime=user\nprobe begin { printf("%%d %%s\\n", $1, @2) exit() }\n' "$TMPDIR/stap" >"$TMPDIR/script"
chmod +x "$TMPDIR/script"
check "#! script" "5 six" "$("$TMPDIR/script" 5 six 2>&1)"

began=$(date +%s%N)
try -T 1 -e 'probe end { println("end") }'
ms=$((($(date +%s%N) - began) / 1000000))
check "-T" end "$out"
{ [ $ms -ge 950 ] && [ $ms -lt $((5000 * ${STAP_TEST_PACE:-1})) ]; } || fail "-T 1 took $ms ms"

try -v -e 'probe begin { exit() }'
for n in 1 2 3 4 5; do has "-v" "^Pass $n: .* in [0-9]+usr/[0-9]+sys/[0-9]+real ms\.$" "$err"; done
try --vp 01 -e 'probe begin { exit() }'
check "--vp" 1 "$(grep -c '^Pass' <<<"$err")"

try -k -m name -s 4 -t -p 4 -e 'probe begin { exit() }'
check "-k -m -s -t" 0 "$status"
for n in 1 2 3; do
  try -p $n -e 'probe begin { exit() }'
  check "-p $n" 0 "$status"
  [ -n "$out" ] || fail "-p $n prints nothing"
done
try -p 9 -e 'probe begin { exit() }'
check "-p 9" 1 "$status"

try -p 1 --dump=build -e 'probe begin { exit() }'
has "--dump" 'FN EXIT' "$out"

try -t -e 'probe begin { exit() }'
has "-t" 'begin.*hits: 1' "$out$err"

try -x $$ -e 'probe begin { println(target()) exit() }'
check "-x" $$ "$out"
try -x 4194304 -e 'probe begin { exit() }'
check "-x of no process" 1 "$status"

try -u -w -e 'global unused probe begin { x = 3 exit() }'
check "-w" "" "$err"
try -W -e 'probe begin { x = 3 exit() }'
check "-W" 1 "$status"

mkdir "$TMPDIR/lib"
echo 'function from_library() { return 42 }' >"$TMPDIR/lib/lib.stp"
echo '@define from_macro %( 43 %)' >"$TMPDIR/lib/lib.stpm"
try -I "$TMPDIR/lib" -e 'probe begin { printf("%d %d\n", from_library(), @from_macro) exit() }'
check "-I" "42 43" "$out"

echo "-w" >"$TMPDIR/rc"
try -e 'probe begin { x = 3 exit() }'
check "rc file" "" "$err"
rm "$TMPDIR/rc"

try --no-global-var-display -e 'global n probe begin { n = 1 exit() }'
check "--no-global-var-display" "" "$out"

try --compatible=1.0 -e 'probe begin { println(%( systemtap_v <= "1.0" %? "old" %: "new" %)) exit() }'
check "--compatible" old "$out"

try -l 'begin'; check "-l" begin "$out"
try -l 'nothing.here'; check "-l without a match" 1 "$status"
run -L 'syscall.open'
check "-L" 'syscall.open filename:string mode:long __nr:long name:string flags:long argstr:string $filename:long int $flags:long int $mode:long int' "$out"
try --dump-probe-types; has "--dump-probe-types" '^timer\.ms\(number\)' "$out"
try --dump-functions; has "--dump-functions" '^strlen:long \(' "$out"
try --dump-probe-aliases; check "--dump-probe-aliases" 0 "$status"

run -V; has "-V" 'version' "$out$err"
run -h; has "-h" '^Usage: stap' "$out$err"
run --nonsense; check "unknown option" 1 "$status"
run; check "no script" 1 "$status"
run "$TMPDIR/missing.stp"; has "no file" 'missing' "$err"
: >"$TMPDIR/empty.stp"
run "$TMPDIR/empty.stp"; has "empty file" 'is empty' "$err"
run "$TMPDIR"; check "a folder" 1 "$status"
finish

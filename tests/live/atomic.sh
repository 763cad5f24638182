#!/bin/bash
# flags: serial
# timeout: 60
# Handlers are atomic: two busy processes, one on each CPU, set off handlers that keep invariants between globals, and handlers that
# check them. None may ever see one broken, whatever locks were elided; skipped handlers are allowed.
set -u

busy='import os
while True: os.getppid()'
pids=()
trap 'kill "${pids[@]}" 2>/dev/null' EXIT
for cpu in 0 $(($(nproc) - 1)); do
    taskset -c "$cpu" python3 -c "$busy" &
    pids+=($!)
done

timeout 200 "$STAP" --suppress-handler-errors -DMAXSKIPPED=1000000000 -e '
global a, b                     # two scalars, two statements
global p = 1000, q              # a transfer: p + q stays
global m                        # two elements of an array
global s = "0", t = "0"         # strings: t follows s
global n                        # one read-modify-write: needs no lock of its own
global torn, seen, counted, done

probe kernel.trace("sys_enter") {
  a++
  b++
  if (p > 0) { p--; q++ } else { q -= 1000; p += 1000 }
  m["x"]++
  m["y"]++
  s = sprint(a % 1000)
  t = s
  done <<< 1
}
probe kernel.trace("sys_enter") { n++ }
probe kernel.trace("sys_exit") {
  seen <<< 1
  if (a != b) torn["scalars"]++
  if (p + q != 1000) torn["transfer"]++
  if (m["x"] != m["y"]) torn["array"]++
  if (s != t) torn["strings"]++
  was = n
  for (i = 0; i < 20; i++) x += i
  if (n != was) torn["counter"]++
}
probe timer.s(4) { exit() }
probe end {
  printf("%d %d\n", @count(done), @count(seen))
  foreach (k in torn) printf("torn: %s %d times\n", k, torn[k])
  if (@count(done) != a) printf("%d counted, %d done\n", a, @count(done))
}' >"$TMPDIR/out" 2>"$TMPDIR/err"
status=$?
cat "$TMPDIR/out" "$TMPDIR/err"
[ $status = 0 ] || exit 1
read -r done seen <"$TMPDIR/out"
[ "$(wc -l <"$TMPDIR/out")" = 1 ] || exit 1
# it must have been put to the test
least=$([ -n "${STAP_VM-}" ] && echo 2000 || echo 50000)
[ "$done" -ge "$least" ] && [ "$seen" -ge "$least" ] || { echo "too few events"; exit 1; }

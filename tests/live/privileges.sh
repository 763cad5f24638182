#!/bin/bash
# An ordinary user: what is missing is named, and --runtime=user works.
# flags: quick
. tests/lib/live.sh

[ "$(id -u)" = 0 ] || skip "root, to become another user"
command -v setpriv >/dev/null || skip "setpriv"
mkdir "$TMPDIR/pub"
cp "$STAP" "$TMPDIR/pub/stap"
chmod 755 "$TMPDIR" "$TMPDIR/pub"
as_nobody() {
  setpriv --reuid=65534 --regid=65534 --clear-groups timeout 20 "$TMPDIR/pub/stap" "$@" >"$TMPDIR/out" 2>"$TMPDIR/err" </dev/null
  status=$?
  out=$(cat "$TMPDIR/out") err=$(cat "$TMPDIR/err")
}

as_nobody -e 'probe begin { exit() }'
check "status" 1 "$status"
has "capabilities" 'CAP_BPF and CAP_PERFMON' "$err"
has "the way out" '--runtime=user' "$err"
has "pass" '^Pass 4: compilation failed' "$err"

as_nobody --runtime=user -e 'global n probe begin { n = 41 exit() } probe end { println(n + 1) }'
check "user runtime" 42 "$out"
check "its status" 0 "$status"

as_nobody --runtime=user -e 'probe syscall.open { }'
check "a kernel probe there" 1 "$status"
has "says so" '--runtime=user' "$err"

for cap in bpf perfmon; do
  setpriv --bounding-set=-sys_admin,-$cap --inh-caps=-all "$STAP" -e 'probe begin { exit() }' >/dev/null 2>"$TMPDIR/err"
  check "status without cap_$cap" 1 $?
  has "without cap_$cap" "needs privileges: CAP_${cap^^} missing" "$(cat "$TMPDIR/err")"
done

# a kernel that doesn't describe its types
if unshare -m true 2>/dev/null; then
  hidden() { unshare -m sh -c 'mount -t tmpfs none /sys/kernel/btf && exec "$@"' sh "$STAP" "$@" 2>&1; }
  has "tracepoints without BTF" 'kernel doesn.t describe its types: /sys/kernel/btf/vmlinux is missing' \
    "$(hidden -e 'probe kernel.trace("sched_switch") { exit() }')"
  check "begin without BTF" 1 "$(hidden -e 'probe begin { println(1) exit() }')"
fi

as_nobody -l 'syscall.openat'
check "listing" syscall.openat "$out"
finish

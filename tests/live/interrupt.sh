#!/bin/bash
# ^C ends a run as exit() does; a second one ends it at once; SIGKILL leaves nothing behind in the kernel.
# flags: quick
. tests/lib/live.sh

# Starts stap in the background and waits until it has printed a line.
start() {
  : >"$TMPDIR/out"
  "$STAP" "$@" >"$TMPDIR/out" 2>"$TMPDIR/err" </dev/null &
  pid=$!
  for _ in $(seq 100); do
    [ -s "$TMPDIR/out" ] && return
    sleep 0.1
  done
  fail "nothing printed by: $*: $(cat "$TMPDIR/err")"
}

for rt in $(runtimes); do
  for signal in INT TERM HUP; do
    start --runtime="$rt" -e 'probe begin { println("begin") } probe end { println("end") }'
    kill -$signal $pid
    wait $pid
    check "$rt: status after SIG$signal" 0 $?
    check "$rt: output with SIG$signal" $'begin\nend' "$(cat "$TMPDIR/out")"
  done

  start --runtime="$rt" -DMAXACTION=2000000000 --suppress-time-limits -g -e \
    'probe begin { println("begin") } probe end { for (i = 0; i < 1000000000; i++) { if (i % 1000000 == 0) println(i) } }'
  kill -INT $pid
  sleep 0.3
  kill -INT $pid 2>/dev/null
  began=$SECONDS
  wait $pid
  [ $((SECONDS - began)) -lt 10 ] || fail "$rt: the second interrupt was waited for"
done

if [ "$(id -u)" = 0 ]; then
  start -e 'global n probe begin { println("begin") } probe kernel.trace("sched_switch") { n++ }'
  # one of its file descriptors is a program: its id
  ids=$(grep -h '^prog_id:' /proc/$pid/fdinfo/* 2>/dev/null | awk '{ print $2 }' | sort -u)
  [ -n "$ids" ] || fail "no programs seen"
  kill -KILL $pid
  wait $pid 2>/dev/null
  if command -v bpftool >/dev/null; then
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      left=$(for i in $ids; do bpftool prog show id "$i" 2>/dev/null; done)
      [ -z "$left" ] && break
      sleep 0.2
    done
    check "programs left after SIGKILL" "" "$left"
  fi
fi
finish

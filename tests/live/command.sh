#!/bin/bash
# -c: the command starts when the probes are attached, target() is its process, its end ends the run.
# flags: quick
. tests/lib/live.sh

for rt in $(runtimes); do
  run --runtime="$rt" -c 'echo "from the shell" | cat' -e 'probe begin { println("begin") } probe end { println("end") }'
  check "$rt: order" $'begin\nfrom the shell\nend' "$out"
  check "$rt: status" 0 "$status"

  run --runtime="$rt" -c '(exit 3)' -e 'probe end { println("end") }'
  check "$rt: end of a command that fails" end "$out"
  check "$rt: its status" 1 "$status"
  has "$rt: is told" '^WARNING: Child process exited with status 3$' "$err"

  run --runtime="$rt" -c 'kill -9 $$' -e 'probe end { println("end") }'
  has "$rt: a signal is told" '^WARNING: Child process exited with signal 9' "$err"
  check "$rt: status then" 1 "$status"

  run --runtime="$rt" -c "$TMPDIR/nothing" -e 'probe end { println("end") }'
  check "$rt: no such command" 1 "$status"
  has "$rt: no such command" "nothing.*No such file" "$err"

  # the script may end first: the command gets SIGTERM
  start=$SECONDS
  run --runtime="$rt" -c 'exec sleep 15' -e 'probe timer.ms(200) { exit() }'
  [ $((SECONDS - start)) -lt 8 ] || fail "$rt: exit() waited for the command"

  run --runtime="$rt" -c 'echo $PPID' -e 'probe begin { println(target() > 1) }'
  has "$rt: target()" '^1$' "$out"
done

if [ "$(id -u)" = 0 ]; then
  run -c 'cat /etc/hostname' -e 'probe syscall.openat { if (pid() == target()) println(argstr) }'
  has "calls of the command alone" '^AT_FDCWD, "/etc/hostname", O_RDONLY' "$out"
fi
finish

#!/bin/bash
# Events whose probes share a handler: each is counted, also where two probes stand at one place.
set -e
script='global n, one, two
probe syscall.chdir, syscall.chdir, syscall.fchdir { if (pid() == target()) n++ }
probe syscall.chdir { if (pid() == target()) n++ }
probe syscall.chdir, syscall.chdir.return { if (pid() == target()) one++ }
probe kernel.trace("sys_enter"), kernel.trace("sys_enter"), kernel.trace("sys_exit") {
  if (pid() == target() && execname() == "sh") two++ }
probe end { println(n, " ", one, " ", two > 100) }'
for options in "" -u -t; do
  got=$("$STAP" $options -e "$script" \
    -c 'sh -c "i=0; while [ \$i -lt 20 ]; do cd / ; i=\$((i+1)); done; ls / >/dev/null; exit 0"' | grep '^[0-9]* [0-9]* [01]$')
  [ "$got" = "60 40 1" ] || { echo "with '$options': $got"; exit 1; }
done

#!/bin/sh
# make demo: hello world, then every file that any process opens, for four seconds.
set -eu
stap=${STAP:-build/stap}

say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; }

say "stap -e 'probe begin { print(\"hello world!\\n\") exit() }'"
$stap -e 'probe begin { print("hello world!\n") exit() }'

say stap examples/strace-open.stp
# something to see: a process that opens a file every half second
(i=0; while [ $i -lt 9 ]; do cat /etc/hostname >/dev/null; sleep 0.5; i=$((i + 1)); done) &
$stap examples/strace-open.stp
wait

#!/bin/bash
# Example scripts of SystemTap's documentation that need nothing but what stap has: each loads and runs for a second.
# flags: slow
# timeout: 400
set -u
dirs=()
for d in /usr/share/systemtap/examples /usr/share/doc/systemtap/examples; do
  [ -d "$d" ] && dirs+=("$d")
done
if [ ${#dirs[@]} = 0 ]; then
  echo "the examples of the package systemtap-doc"
  exit 77
fi
names="
accept2close-nd alias_suffixes ansi_colors ansi_colors2 biolatency-nd bitesize-nd connect_stat
container_check cycle_thief errsnoop execsnoop-nd forktracker func_time_stats futexes helloworld
interrupts-by-dev iostats iotime killsnoop-nd kvm_service_time lifegame migrate mmfilepage mmreclaim nettop
nfs_func_users opensnoop-nd proctop qemu_count qemu_io regex rwtime-nd sched-latency sched_switch
schedtimes semop-watch sig_by_pid sig_by_proc sigkill sigmon sleeptime spawn_seeker stopwatches strace
syscallbypid-nd syscalls_by_pid syscalls_by_proc tcp_connections thread-business thread-times traceaio
wait4time
"
failed=0 count=0 limit=$((30 * ${STAP_TEST_PACE:-1}))
for name in $names; do
  script=$(find "${dirs[@]}" -name "$name.stp" | head -1)
  [ -n "$script" ] || continue
  count=$((count + 1))
  if [ "$name" = kvm_service_time ] && ! "$STAP" -l 'kernel.trace("kvm_exit")' >/dev/null 2>&1; then
    continue # of a module that isn't loaded
  fi
  case $name in # arguments, as the .meta files have them
  func_time_stats) args=syscall.read ;;
  connect_stat) args=127.0.0.1 ;;
  migrate) args=bash ;;
  sigmon) args=SIGKILL ;;
  *) args= ;;
  esac
  # shellcheck disable=SC2086
  timeout -s INT "$limit" "$STAP" -w -DMAXMAPENTRIES=50000 -DMAXACTION=1000000 -DMAXACTION_INTERRUPTIBLE=1000000 -T 1 "$script" $args </dev/null >"$TMPDIR/out" 2>"$TMPDIR/err"
  status=$?
  if [ $status != 0 ] || [ -s "$TMPDIR/err" ]; then
    echo "$name: status $status: $(head -3 "$TMPDIR/err")"
    failed=1
  fi
done
[ $count -gt 40 ] || { echo "only $count scripts found"; failed=1; }
exit $failed

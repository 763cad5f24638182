#!/bin/bash
# flags: serial
# Timers and clocks of processors run about as often as they say.
set -u
failed=0
slack=${STAP_VM:+8}
slack=${slack:-3}
# counts within a factor of what is expected: upwards little, downwards what a busy machine costs
near() { # name count expected
  if [ "$2" -gt $(($3 * 5 / 4 + 2)) ] || [ "$2" -lt $(($3 / slack)) ]; then
    echo "$1: $2 times, not $3"
    failed=1
  fi
}
cpus=$(nproc) hz=$($STAP -e 'probe begin { println(HZ()) exit() }')
while read -r name count; do
  case $name in
  s) near timer.s "$count" 2 ;;
  ms) near timer.ms "$count" 40 ;;
  us) near timer.us "$count" 400 ;;
  ns) near timer.ns "$count" 200 ;;
  hz) near timer.hz "$count" 200 ;;
  jiffies) near timer.jiffies "$count" $((hz / 5)) ;;
  random) near timer.randomize "$count" 40 ;;
  profile) [ "$count" -ge $((cpus * 2 * 20)) ] && [ "$count" -le $((cpus * 2 * 1300)) ] || { echo "timer.profile: $count"; failed=1; } ;;
  perf) near perf.hz "$count" $((cpus * 2 * 50)) ;;
  faults) [ "$count" -gt 50 ] || { echo "perf.sw.page_faults: $count"; failed=1; } ;;
  modes) [ "$count" = 11 ] || { echo "user_mode(): $count"; failed=1; } ;;
  *) echo "$name $count"; failed=1 ;;
  esac
done < <($STAP -e '
  global s, ms, us, ns, hz, j, r, p, e, f, m
  probe timer.s(1) { s++ }
  probe timer.ms(50) { ms++ }
  probe timer.us(5000) { us++ }
  probe timer.ns(10000000) { ns++ }
  probe timer.hz(100) { hz++ }
  probe timer.jiffies(10) { j++ }
  probe timer.ms(50).randomize(40) { r++ }
  probe timer.profile { p++ m[user_mode()] = 1 }
  probe perf.sw.cpu_clock.hz(50) { e++ }
  probe perf.sw.page_faults.sample(1) { f++ }
  probe end {
    printf("s %d\nms %d\nus %d\nns %d\nhz %d\njiffies %d\nrandom %d\nprofile %d\nperf %d\nfaults %d\nmodes %d%d\n",
      s, ms, us, ns, hz, j, r, p, e, f, m[0], m[1])
  }' -c "bash -c 'end=\$((SECONDS + 2)); while [ \$SECONDS -lt \$end ]; do /bin/true; done'" 2>&1)
exit $failed

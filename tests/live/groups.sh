#!/bin/bash
# flags: quick
# Handlers of many system calls share a program and the functions in it: what they store, fail with and count is the same as
# when each has its own.
set -u
cat >"$TMPDIR/calls.c" <<'END'
#define _GNU_SOURCE
#include <unistd.h>
#include <sys/types.h>
int main(void)
{
  for (int i = 0; i < 3; i++) {
    getppid(); getuid(); geteuid(); getgid(); getegid(); getpgid(i); getsid(i); getpriority(0, i); umask(022 + i); dup(-1 - i);
  }
  return 0;
}
END
sed -i '1i #include <sys/resource.h>\n#include <sys/stat.h>' "$TMPDIR/calls.c"
cc -O1 -w -o "$TMPDIR/calls" "$TMPDIR/calls.c" || exit 1
calls='{getppid,getuid,geteuid,getgid,getegid,getpgid,getsid,getpriority,umask,dup}'
script='
  global args, number[40], order%[3], few[2], count, twice, errors, text[40], stats, off, deep%[3]
  probe syscall.'$calls' {
    if (pid() != target()) next
    args[name] = argstr
    number[name, 1] = __nr
    order[name] = count
    text[name, argstr] = name . "(" . argstr . ")"
    stats[name] <<< count
    count++
    twice = twice + 2
    if (twice != 2 * count) printf("%d is not twice %d\n", twice, count)
    try { few[name] = count } catch (e) { errors[substr(e, 0, 14)]++ }
  }
  probe syscall.'$calls'.return {
    if (pid() != target()) next
    number[name, 2] = retval
    text[name, ""] .= sprintf("=%d", retval < 0)
  }
  probe syscall.{getuid,getsid,dup} { if (pid() == target()) number["of three", 0] += 10 / (2 - number["of three", 0] / 20) }
  probe syscall.{getuid,geteuid,getgid,getegid,umask} {
    if (pid() == target())
      for (i = 0; i < 2; i++) for (j = 0; j < 2; j++) for (k = 0; k < 2; k++) for (l = 0; l < 2; l++) for (m = 0; m < 2; m++)
        for (o = 0; o < 2; o++) deep[name, (i + j + k) % 2]++
  }
  probe syscall.{getppid,umask} if (off) { number["off", 0] = 1 }
  probe end {
    foreach ([n+, k] in number) if (k != 2) printf("%s %d: %d\n", n, k, number[n, k])
    foreach (n+ in args) printf("%s(%s) %s %d\n", n, args[n], text[n, ""], @count(stats[n]))
    foreach ([n, a+] in text) if (a != "") printf("%s\n", text[n, a])
    foreach (n in order) printf("last: %s %d\n", n, order[n])
    foreach (n+ in few) printf("few: %s %d\n", n, few[n])
    foreach ([n, k] in deep) printf("deep: %s %d %d\n", n, k, deep[n, k])
    foreach (e in errors) printf("%s: %d\n", e, errors[e])
    printf("%d calls, %d\n", count, twice)
  }'
for options in "" -t; do
  $STAP $options -w -D MAXERRORS=100 -D MAXACTION=10000 -c "$TMPDIR/calls" -e "$script" >"$TMPDIR/all" 2>"$TMPDIR/err$options"
  sed '/^----- probe hit report/,$d' "$TMPDIR/all" >"$TMPDIR/out$options"
done
cat "$TMPDIR/out" "$TMPDIR/err"
diff "$TMPDIR/out" "$TMPDIR/out-t" && diff "$TMPDIR/err" "$TMPDIR/err-t" || exit 1
while read -r line; do
  grep -qxF "$line" "$TMPDIR/out" "$TMPDIR/err" || { echo "missing: $line"; exit 1; }
done <<'END'
of three 0: 40
dup(-3) =1=1=1 3
getegid() getegid()=0 3
getpriority(PRIO_PROCESS, 1)
last: dup 29
few: getuid 22
deep: umask 1 32
Array overflow: 24
30 calls, 60
END

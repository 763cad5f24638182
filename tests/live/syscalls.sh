#!/bin/bash
# flags: quick
# System calls with known arguments: argstr, retstr, named variables, raw arguments, values at entry.
set -u
data=$(cd "$(dirname "$0")/../data" && pwd)
failed=0
cc -O1 -w -o "$TMPDIR/calls" "$data/calls.c" || exit 1

# differs: what is printed but for addresses, process numbers and descriptors' numbers
check() {
  sed -i '/^WARNING: Child/d; /^Pass 5: run failed/d' "$TMPDIR/out"
  sed -E 's/0x[0-9a-f]{5,}/ADDR/g; s/\b'"$(cat "$TMPDIR/pid")"'\b/PID/g' "$TMPDIR/out" >"$TMPDIR/got"
  if ! diff -u "$data/$1" "$TMPDIR/got"; then
    head -5 "$TMPDIR/err"
    failed=1
  fi
}

run() { # script
  $STAP -c "$TMPDIR/calls" -e "$1" >"$TMPDIR/all" 2>"$TMPDIR/err"
  sed -n 's/^pid //p' "$TMPDIR/all" >"$TMPDIR/pid"
  sed '0,/^pid /d' "$TMPDIR/all" >"$TMPDIR/out" # without what the dynamic linker does
}

calls='{open,openat,write,read,pread,lseek,mkdir,access,mmap2,mprotect,munmap,kill,dup2,close,socket,connect,umask,pipe,execve,fcntl,madvise,exit_group}'
start='global on
  probe syscall.open { if (pid() == target() && !on && user_string($filename, "") == "/etc/hostname") {
    printf("pid %d\n", pid()) on = 1 } }'

run "$start"'
  probe syscall.'"$calls"' { if (on && pid() == target()) printf("%s(%s)\n", name, argstr) }
  probe syscall.'"$calls"'.return { if (on && pid() == target()) printf(" = %s\n", retstr) }'
check calls.out

run "$start"'
  probe syscall.open { if (on && pid() == target())
    printf("%s %s %d %d %s %d\n", filename, filename_unquoted, flags, mode, flags_str, __nr) }
  probe syscall.open.return { if (on && pid() == target())
    printf("%s %d %s %s %d %s\n", name, retval, $$return, user_string($filename), @entry($flags), @entry(filename)) }
  probe syscall.read { if (on && pid() == target()) printf("%d %d %s\n", fd, count, $$parms) }
  probe syscall.write { if (on && pid() == target()) printf("%d %s %d\n", fd, buf_str, $count) }
  probe syscall.mmap2 { if (on && pid() == target()) printf("%d %s %s %d\n", length, prot_str, flags_str, fd) }
  probe syscall.connect { if (on && pid() == target()) printf("%s|%s|%s|%s\n", uaddr_af, uaddr_ip, uaddr_ip_port, uaddr_ipv6_flowinfo) }
  probe syscall.execve.return { if (on && pid() == target()) printf("%s %s\n", user_string($filename), retstr) }
  probe syscall.kill { if (on && pid() == target()) printf("%d %s %d\n", pid, sig_name, sig) }'
check calls_vars.out

# a 32-bit program's call isn't the 64-bit one of the same number
cat >"$TMPDIR/compat.c" <<'END'
void _start(void)
{
  long r;
  __asm__ volatile("int $0x80" : "=a"(r) : "a"(20 /* getpid; writev */) : "memory");
  __asm__ volatile("int $0x80" : : "a"(1 /* exit */), "b"(r <= 0));
}
END
if cc -m32 -nostdlib -static -ffreestanding -fno-pie -no-pie -o "$TMPDIR/compat" "$TMPDIR/compat.c" &&
  "$TMPDIR/compat"; then
  $STAP -c "$TMPDIR/compat" -e 'probe syscall.writev, syscall.writev.return {
    if (pid() == target()) println("misread") }' >"$TMPDIR/out" 2>&1
  [ -s "$TMPDIR/out" ] && { cat "$TMPDIR/out"; failed=1; }
fi
exit $failed

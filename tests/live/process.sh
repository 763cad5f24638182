#!/bin/bash
# flags: quick
# Functions of the library that read the kernel's structures: what they say of a known process.
set -u
cat >"$TMPDIR/prog.c" <<'END'
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
  struct rlimit l = {64, 100};
  setrlimit(RLIMIT_NOFILE, &l);
  sigset_t s;
  sigemptyset(&s);
  sigaddset(&s, SIGUSR1);
  sigprocmask(SIG_BLOCK, &s, 0);
  dup2(open("/etc/hostname", O_RDONLY), 42);
  setpriority(PRIO_PROCESS, 0, 5);
  syscall(SYS_getpriority, 77, getppid());
  return 0;
}
END
cc -O1 -w -o "$TMPDIR/prog" "$TMPDIR/prog.c" || exit 1
cat >"$TMPDIR/t.stp" <<'END'
function yes(what, is) { printf("%s %s\n", what, is ? "ok" : "WRONG") }
probe syscall.getpriority {
  if (pid() != target() || $which != 77) next
  t = task_current()
  yes("pid", task_pid(t) == pid())
  yes("tid", task_tid(t) == tid())
  yes("execname", task_execname(t) == "prog" && execname() == "prog")
  yes("parent", task_pid(task_parent(t)) == ppid() && ppid() == $who)
  yes("uid", task_uid(t) == uid() && task_euid(t) == euid())
  yes("gid", task_gid(t) == gid() && task_egid(t) == egid())
  yes("state", task_state(t) == 0)
  yes("nice", task_nice(t) == 5)
  yes("prio", task_prio(t) == 25)
  yes("cpu", task_cpu(t) == cpu())
  yes("rlimit", task_rlimit(t, "RLIMIT_NOFILE") == 64 && task_rlimit_nofile(t) == 64)
  yes("unlimited", task_rlimit_cpu(t) == -1)
  yes("blocked", is_sig_blocked(t, 10) && !is_sig_blocked(t, 12) && !is_sig_blocked(t, 0))
  file = task_fd_lookup(t, 42)
  yes("fd", file && !task_fd_lookup(t, 41) && !task_fd_lookup(t, -1) && !task_fd_lookup(t, 1 << 20))
  yes("path", fullpath_struct_file(t, file) == "/etc/hostname")
  yes("name", d_name(@cast(file, "file")->f_path->dentry) == "hostname")
  yes("inode", inode_name(@cast(file, "file")->f_inode) == "hostname")
  yes("exe", fullpath_struct_file(t, current_exe_file()) == @1)
  yes("cwd", fullpath_struct_path(task_cwd_path(t)) == @2)
  yes("handles", task_open_file_handles(t) >= 5 && task_open_file_handles(t) <= task_max_file_handles(t))
  yes("ancestry", task_ancestry(t, 0) =~ "=>prog$" && task_ancestry(t, 1) =~ "=>prog\\([0-9]+\\)$")
  yes("arguments", cmdline_str() == @1 . " one two three" && cmdline_arg(2) == "two")
  yes("some arguments", cmdline_args(1, 2, "+") == "one+two" && cmdline_args(2, -1, ",") == "two,three" && cmdline_arg(9) == "")
  yes("environment", env_var("STAP_TEST_X") == "y z" && env_var("STAP_TEST") == "")
  yes("memory", proc_mem_size() > proc_mem_rss() && proc_mem_rss() >= proc_mem_shr() && proc_mem_rss() > 10 &&
      proc_mem_txt() > 0 && proc_mem_txt() < 10 && proc_mem_data() > 0)
  yes("memory text", proc_mem_string() =~ "^size: [0-9]+[kmg], rss: [0-9]+[kmg], shr: [0-9]+k, txt: [0-9]+k, data: [0-9]+k$")
  yes("time", task_time_string() =~ "^usr: 0m0\\.[0-9]*s, sys: 0m0\\.[0-9]*s$")
  yes("pid2task", pid2task(pid()) == t && pid2task(ppid()) == task_parent(t) && pid2task(1 << 30) == 0 && pid2task(0) == 0 && pid2task(-5) == 0)
  yes("pid2execname", pid2execname(tid()) == "prog" && pid2execname(ppid()) == "stap" && pid2execname(1 << 22) == "")
  yes("by pid", proc_mem_string(pid()) == proc_mem_string() && proc_mem_size(1 << 30) == 0 && proc_mem_size(ppid()) > 100)
  yes("start", task_start_time(tid()) > task_start_time(ppid()) && task_start_time(ppid()) > 1000 && task_utime(tid()) == task_utime())
  yes("64 bits", !probing_32bit_app())
  yes("kernel text", kernel_string(@cast(t, "task_struct")->comm) == "prog" && kernel_string_n(@cast(t, "task_struct")->comm, 2) == "pr")
  yes("kernel buffer", kernel_buffer_quoted(@cast(t, "task_struct")->comm, 6, 100) == "\"prog\\000\\000\"")
  yes("kernel integers", kernel_int(&@cast(t, "task_struct")->pid) == tid() && kernel_uint8(@cast(t, "task_struct")->comm) == 112)
  yes("fault", kernel_string(1, "bad") == "bad" && user_int(1) == 0 && user_string_quoted(1) == "0x1" && user_buffer_quoted(1, 2, 9) == "0x1")
  try { println(kernel_int(8)) } catch (m) { yes("kernel fault", m =~ "0x.*8") }
  try { println(user_long_error(16)) } catch (m) { yes("user fault", m =~ "0x.*10") }
  yes("pretty", @cast(t, "task_struct")->thread_pid$ =~ "^\\{\\.count=\\{\\.\\.\\.\\}, \\.level=" && @cast(t, "task_struct")->comm$ == "\"prog\"")
}
END
cd /
STAP_TEST_X="y z" $STAP -DMAXACTION=20000 -c "$TMPDIR/prog one two three" "$TMPDIR/t.stp" "$(realpath "$TMPDIR/prog")" / >"$TMPDIR/out" 2>"$TMPDIR/err"
if grep -q WRONG "$TMPDIR/out" || [ "$(wc -l <"$TMPDIR/out")" != 39 ] || [ -s "$TMPDIR/err" ]; then
  grep -n WRONG "$TMPDIR/out"
  wc -l "$TMPDIR/out"
  head -20 "$TMPDIR/err"
  exit 1
fi

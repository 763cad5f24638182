#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* Calls with known arguments.  Strings are written to, so that their pages are there. */
static char path[] = "/etc/hostname", missing[] = "/nonexistent-dir/ \"x\"\n",
            text[] = "hi\n\"\\\001\377end";
static char dir[] = "/nonexistent-dir/x", other[] = "xy", device[] = "/dev/null";

int main(void)
{
  path[0] = missing[0] = dir[0] = device[0] = 47;
  text[0] = 'h';
  other[0] = (char)(other[1] - 1);
  syscall(SYS_open, path, O_RDONLY, 0);
  syscall(SYS_open, missing, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_NONBLOCK);
  syscall(SYS_openat, -1, other, O_WRONLY | O_TRUNC | O_DIRECTORY);
  int null = open(device, O_WRONLY);
  syscall(SYS_write, null, text, sizeof(text) - 1);
  syscall(SYS_read, -1, text, 3);
  syscall(SYS_pread64, -1, text, 3, -5);
  syscall(SYS_lseek, null, 7, SEEK_END);
  syscall(SYS_mkdir, dir, 01777);
  syscall(SYS_access, dir, R_OK | X_OK);
  syscall(SYS_access, dir, F_OK);
  void *p =
      mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  mprotect(p, 4096, PROT_NONE);
  munmap(p, 8192);
  syscall(SYS_kill, getpid(), 0);
  syscall(SYS_kill, 0x7ffffffe, SIGTERM);
  syscall(SYS_dup2, -1, 5);
  syscall(SYS_close, 12345);
  syscall(SYS_close, -1);
  int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in in = {
      .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(0x7f000001)}};
  connect(s, (struct sockaddr *)&in, sizeof(in));
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
  inet_pton(AF_INET6, "2001:db8::1:0:0:5", &in6.sin6_addr);
  connect(s, (struct sockaddr *)&in6, sizeof(in6));
  struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/nonexistent.sock"};
  connect(s, (struct sockaddr *)&un, sizeof(un));
  syscall(SYS_umask, 022);
  syscall(SYS_getpriority, PRIO_PROCESS, 0);
  int fds[2];
  pipe2(fds, O_CLOEXEC);
  char *argv[] = {missing, NULL};
  execve(missing, argv, NULL);
  syscall(SYS_fcntl, null, F_GETFD, 0);
  syscall(SYS_madvise, 0, 0, MADV_DONTNEED);
  syscall(SYS_exit_group, 3);
}

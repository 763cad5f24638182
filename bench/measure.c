// measure COMMAND...: runs the command and writes "NANOSECONDS KILOBYTES STATUS" to descriptor 3: its wall time, peak resident
// memory and exit status.
//
// A program of its own because the peak that wait4() tells includes that of the process which called exec: starting
// from a large parent would hide what is measured.
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv) {
  pid_t pid;
  int status;
  struct rusage use;
  long long start = now();
  if (argc < 2 || posix_spawnp(&pid, argv[1], NULL, NULL, argv + 1, environ) != 0 || wait4(pid, &status, 0, &use) != pid) {
    perror("measure");
    return 1;
  }
  dprintf(3, "%lld %ld %d\n", now() - start, use.ru_maxrss, WIFEXITED(status) ? WEXITSTATUS(status) : 128);
  return 0;
}

// load N: calls getppid() N times, then getpgid(0) once, as a mark of the end. Prints the nanoseconds that it took.
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv) {
  long n = argc > 1 ? atol(argv[1]) : 1000000;
  long long start = now();
  for (long i = 0; i < n; i++)
    syscall(SYS_getppid);
  long long end = now();
  syscall(SYS_getpgid, 0);
  printf("%lld\n", end - start);
  return 0;
}

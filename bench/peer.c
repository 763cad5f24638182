// peer OBJECT PROGRAM [ROUNDS]: the hand-written side of a comparison.
//
// An event's program is attached, "ready" printed, and it stays so until standard input ends. A program of type syscall is run
// once with ROUNDS and the nanoseconds that it took are printed.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int die(const char *what) {
  perror(what);
  return 1;
}

static int run(struct bpf_program *prog, const char *rounds) {
  unsigned long long n = strtoull(rounds, NULL, 0);
  LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &n, .ctx_size_in = sizeof n);
  if (bpf_prog_test_run_opts(bpf_program__fd(prog), &opts) != 0 || opts.retval != 0)
    return die("peer: run");
  printf("%llu\n", n);
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 3)
    return fprintf(stderr, "usage: peer OBJECT PROGRAM [ROUNDS]\n"), 2;
  libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
  struct bpf_object *obj = bpf_object__open_file(argv[1], NULL);
  if (!obj)
    return die("peer: open");
  struct bpf_program *prog, *wanted = NULL;
  bpf_object__for_each_program(prog, obj) {
    bool it = strcmp(bpf_program__name(prog), argv[2]) == 0;
    bpf_program__set_autoload(prog, it);
    if (it)
      wanted = prog;
  }
  if (!wanted)
    return fprintf(stderr, "peer: no program %s\n", argv[2]), 1;
  if (bpf_object__load(obj) != 0)
    return die("peer: load");
  if (argc > 3)
    return run(wanted, argv[3]);
  if (!bpf_program__attach(wanted))
    return die("peer: attach");
  puts("ready");
  fflush(stdout);
  while (getchar() != EOF)
    ;
  return 0;
}

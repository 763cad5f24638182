/* The session with an executor made of C functions: order of probes, errors and their limits,
 * timers, -c, signals, output files, and an output that nobody reads.
 * Built from: src/session src/base */
#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "elaborate/program.h"
#include "runtime/format.h"
#include "session/exec.h"

#define CHECK(cond)                                                                                \
  do {                                                                                             \
    if (!(cond)) {                                                                                 \
      fprintf(stderr, "%s:%d: %s: not so: %s\nstderr was: %s\nfile: %s\n", __FILE__, __LINE__,     \
              __func__, #cond, t.err, t.text);                                                     \
      exit(1);                                                                                     \
    }                                                                                              \
  } while (0)

/* ---- what the session links against ---- */

bool fmt_record(struct strbuf *out, const struct rt_site *site, const void *items, u32 len)
{
  (void)site;
  u64 n;
  if (len != sizeof(n))
    return false;
  memcpy(&n, items, sizeof(n));
  char digits[24], *p = digits + sizeof(digits);
  *--p = '\n';
  do
    *--p = (char)('0' + n % 10);
  while (n /= 10);
  sb_add(out, p, (size_t)(digits + sizeof(digits) - p));
  return true;
}

void ast_print_point(struct strbuf *b, const struct probe_point *p)
{
  (void)p;
  sb_puts(b, "point");
}

/* ---- the test's script, executor and results ---- */

struct test {
  struct arena *a;
  struct ir_module *m;
  struct executor *x;
  struct run_options o;
  struct diag d;
  struct rt_state state;
  struct rt_site site;
  struct session *s;
  void (*handler)(struct test *t, struct ir_probe *p);
  int attached, status;
  bool interrupted;
  char *err, *text;
  size_t errlen;
  char out[64];
};
static struct test t;
static char dir[] = "/tmp/session_test.XXXXXX";

static void put(u64 n)
{
  session_record(t.s, 0, &n, sizeof(n));
}

static void raise_error(u32 err, u64 arg, const char *text)
{
  struct rt_ctl *c = calloc(1, sizeof(*c) + strlen(text));
  c->kind = RT_CTL_ERROR;
  c->err = err;
  c->err_arg = arg;
  c->len = (u32)strlen(text);
  memcpy(c->text, text, c->len);
  __atomic_fetch_add(&t.state.errors, 1, __ATOMIC_RELAXED);
  session_control(t.s, c);
  free(c);
}

static int fake_load(struct executor *x, struct ir_module *m, const struct run_options *o,
                     struct diag *d, struct session *s)
{
  (void)m, (void)o, (void)d;
  t.s = s;
  x->state = &t.state;
  x->sites = &t.site;
  x->nsites = 1;
  return 0;
}

static int fake_attach(struct executor *x, struct diag *d)
{
  (void)x, (void)d;
  t.attached = 1;
  return 0;
}

static void fake_detach(struct executor *x)
{
  (void)x;
  t.attached = 0;
}

static int fake_run(struct executor *x, struct ir_probe *p)
{
  (void)x;
  t.handler(&t, p);
  return 0;
}

static int fake_read_global(struct executor *x, const struct ir_global *g, void *arg,
                            void (*visit)(void *, const struct ir_val *, const struct ir_val *,
                                          const struct rt_stat *))
{
  (void)x;
  struct ir_val keys[2] = {{.kind = V_STR, .str = "a\"\n\001", .len = 4},
                           {.kind = V_INT, .num = -7}};
  struct ir_val num = {.kind = V_INT, .num = 5}, str = {.kind = V_STR, .str = "foo", .len = 3};
  struct rt_stat st = {.count = 2, .sum = -5, .min = -4, .max = -1}, none = {0};
  if (g->type == TY_STATS) {
    visit(arg, keys, NULL, g->nkeys ? &st : &none);
  } else {
    visit(arg, g->nkeys ? keys : NULL, g->type == TY_STRING ? &str : &num, NULL);
    if (g->nkeys) {
      keys[1].num = 8;
      visit(arg, keys, g->type == TY_STRING ? &str : &num, NULL);
    }
  }
  return 0;
}

static void begin_test(void)
{
  memset(&t, 0, sizeof(t));
  t.a = arena_new();
  t.m = NEW(t.a, struct ir_module);
  t.m->a = t.a;
  t.x = NEW(t.a, struct executor);
  *t.x = (struct executor){.name = "fake",
                           .load = fake_load,
                           .attach = fake_attach,
                           .detach = fake_detach,
                           .run = fake_run,
                           .read_global = fake_read_global};
  snprintf(t.out, sizeof(t.out), "%s/out", dir);
  t.o = (struct run_options){.maxskipped = 100, .output = t.out};
  t.err = strdup("");
  t.text = t.err;
}

static struct ir_probe *probe(enum session_when when, s64 order)
{
  struct probe_inst *pi = NEW(t.a, struct probe_inst);
  *pi = (struct probe_inst){.kind = PROG_SESSION, .when = when, .order = order, .pp = "p"};
  struct ir_probe *p = NEW(t.a, struct ir_probe);
  p->id = t.m->probes.n;
  p->inst = pi;
  vec_push(t.a, &t.m->probes, p);
  return p;
}

static void global(const char *name, enum type type, u32 nkeys)
{
  struct ir_global *g = NEW(t.a, struct ir_global);
  *g = (struct ir_global){.name = name, .type = type, .nkeys = nkeys, .show_at_exit = true};
  vec_push(t.a, &t.m->globals, g);
}

static void run(void (*handler)(struct test *, struct ir_probe *))
{
  t.handler = handler;
  free(t.err);
  FILE *err = open_memstream(&t.err, &t.errlen);
  diag_init(&t.d, t.a, err);
  struct session *s = session_load(t.a, t.m, t.x, &t.o, &t.d);
  CHECK(s);
  t.status = session_run(s);
  session_free(s);
  fclose(err);
  CHECK(!t.attached);
  char *text = file_read(t.a, t.out, NULL);
  t.text = text ? text : "";
}

static void end_test(void)
{
  free(t.err);
  arena_free(t.a);
}

/* ---- tests ---- */

static void print_id(struct test *tt, struct ir_probe *p)
{
  put(p->id);
  if (p->inst->when == RUN_BEGIN && p->inst->order == 10)
    tt->state.exit_requested = 1;
}

static void test_order(void)
{
  begin_test();
  probe(RUN_END, 0);
  probe(RUN_BEGIN, 10); /* exits: the one of order 11 isn't run */
  probe(RUN_BEGIN, -5);
  probe(RUN_BEGIN, 0);
  probe(RUN_BEGIN, 0);
  probe(RUN_BEGIN, 11);
  probe(RUN_END, 7);
  probe(RUN_END, -1);
  probe(RUN_ERROR, 0);
  t.o.show_globals_at_exit = true;
  global("n", TY_LONG, 0);
  global("s", TY_STRING, 0);
  global("a", TY_LONG, 2);
  global("st", TY_STATS, 0);
  global("sa", TY_STATS, 2);
  run(print_id);
  CHECK(t.status == 0);
  CHECK(!strcmp(t.text, "2\n3\n4\n1\n7\n0\n"
                        "n=5\ns=\"foo\"\na[\"a\\\"\\n\\001\",-7]=5\na[\"a\\\"\\n\\001\",8]=5\n"
                        "st @count=0x0\n"
                        "sa[\"a\\\"\\n\\001\",-7] @count=2 @min=-4 @max=-1 @sum=-5 @avg=-2\n"
                        "6\n"));
  CHECK(!strcmp(t.err, ""));
  end_test();
}

static void fail_twice(struct test *tt, struct ir_probe *p)
{
  (void)tt;
  put(p->id);
  if (p->inst->when == RUN_BEGIN && p->id == 0)
    raise_error(1, 0x10, "");
  if (p->inst->when == RUN_BEGIN && p->id == 1)
    raise_error(RT_ERR_DYNAMIC, 2, "my own");
}

static void add_errors(void)
{
  static struct src_file f = {.name = "x.stp"};
  vec_push(t.a, &t.m->errors, (struct ir_error){0});
  vec_push(t.a, &t.m->errors,
           (struct ir_error){.text = "read fault [addr=0x%x]",
                             .what = "operator",
                             .token = "->",
                             .loc = {.file = &f, .line = 3, .col = 7}});
  vec_push(
      t.a, &t.m->errors,
      (struct ir_error){.text = "", .token = "error", .loc = {.file = &f, .line = 4, .col = 1}});
}

static void test_errors(u32 maxerrors, bool suppress, const char *err, const char *text, int status)
{
  begin_test();
  add_errors();
  probe(RUN_BEGIN, 0);
  probe(RUN_BEGIN, 0);
  probe(RUN_END, 0);
  probe(RUN_ERROR, 0);
  t.o.maxerrors = maxerrors;
  t.o.suppress_handler_errors = suppress;
  t.o.timeout_ns = 1;
  run(fail_twice);
  CHECK(!strcmp(t.err, err));
  CHECK(!strcmp(t.text, text));
  CHECK(t.status == status);
  end_test();
}

static u64 now_ns(void)
{
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (u64)ts.tv_sec * 1000000000 + (u64)ts.tv_nsec;
}

/* Runs two timers for 205 ms; true when they ran as often as they should. They run less often on a
 * busy machine. */
static bool timers_on_time(void)
{
  begin_test();
  probe(RUN_TIMER, 0)->inst->period_ns = 10000000;
  probe(RUN_TIMER, 0)->inst->period_ns = 25000000;
  t.m->probes.v[1]->inst->random_ns = 5000000;
  t.o.timeout_ns = 205000000;
  t.o.timing = true;
  u64 from = now_ns();
  run(print_id);
  u64 took = now_ns() - from;
  CHECK(took >= 205000000);
  u32 n[2] = {0};
  for (const char *p = t.text; *p == '0' || *p == '1'; p += 2)
    n[*p - '0']++;
  CHECK(n[0] >= 1 && n[0] <= took / 10000000);
  CHECK(n[1] <= took / 20000000 + 1);
  CHECK(strstr(t.text, "----- probe hit report: \np, (-:0:0), hits: "));
  end_test();
  return n[0] >= 10 && n[1] >= 4;
}

static void test_timers(void)
{
  bool ok = false;
  for (u32 i = 0; i < 20 && !ok; i++)
    ok = timers_on_time();
  CHECK(ok);
}

static void note_target(struct test *tt, struct ir_probe *p)
{
  put(p->inst->when == RUN_BEGIN ? tt->state.target_pid != 0 : 99);
}

static void test_command(const char *cmd, const char *err, int status)
{
  begin_test();
  probe(RUN_BEGIN, 0);
  probe(RUN_END, 0);
  t.o.command = cmd;
  run(note_target);
  CHECK(!strcmp(t.err, err));
  CHECK(t.status == status);
  CHECK(!strcmp(t.text, "1\n99\n"));
  end_test();
}

/* A command never starts when begin calls exit(). */
static void test_command_held(void)
{
  begin_test();
  probe(RUN_BEGIN, 10);
  char cmd[100], mark[80];
  snprintf(mark, sizeof(mark), "%s/mark", dir);
  snprintf(cmd, sizeof(cmd), "touch %s", mark);
  t.o.command = cmd;
  run(print_id);
  CHECK(t.status == 0);
  CHECK(access(mark, F_OK) < 0);
  CHECK(waitpid(-1, NULL, WNOHANG) < 0);
  end_test();
}

static void interrupt(struct test *tt, struct ir_probe *p)
{
  put(p->id);
  if (p->inst->when == RUN_TIMER && !tt->interrupted) /* a second one would leave at once */
    kill(getpid(), SIGINT);
  tt->interrupted = true;
}

static void test_interrupt(void)
{
  begin_test();
  probe(RUN_TIMER, 0)->inst->period_ns = 1000000;
  probe(RUN_END, 0);
  run(interrupt);
  CHECK(t.status == 0);
  CHECK(!strcmp(strrchr(t.text, '\0') - 2, "1\n"));
  end_test();
}

static void print_many(struct test *tt, struct ir_probe *p)
{
  (void)p;
  for (u64 i = 0; i < 300000; i++)
    put(1000000 + i); /* 8 bytes each */
  tt->state.exit_requested = 1;
}

static void test_second_interrupt(void)
{
  begin_test();
  int p[2]; /* an output that isn't read on: the end can't be reached */
  CHECK(!pipe(p));
  pid_t pid = fork();
  if (pid == 0) {
    if (dup2(p[1], 1) < 0)
      _exit(99);
    t.o.output = NULL;
    probe(RUN_BEGIN, 0);
    run(print_many);
    _exit(98);
  }
  char c;
  CHECK(read(p[0], &c, 1) == 1);
  for (int full = 0, before = -1; full != before; usleep(100000)) { /* the writer waits */
    before = full;
    ioctl(p[0], FIONREAD, &full);
  }
  kill(pid, SIGINT);
  usleep(50000);
  CHECK(waitpid(pid, NULL, WNOHANG) == 0);
  int status;
  while (waitpid(pid, &status, WNOHANG) == 0) { /* one that finds the first still pending is none */
    kill(pid, SIGINT);
    usleep(10000);
  }
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
  end_test();
}

static void test_full_disk(void)
{
  begin_test();
  probe(RUN_TIMER, 0)->inst->period_ns = 1000000;
  t.o.output = "/dev/full";
  run(print_id);
  CHECK(t.status == 1);
  CHECK(!strcmp(t.err, "ERROR: Couldn't write /dev/full: No space left on device\n"));
  end_test();
}

static void test_rotation(void)
{
  begin_test();
  probe(RUN_BEGIN, 0);
  t.o.rotate_mb = 1;
  t.o.rotate_n = 2;
  run(print_many);
  CHECK(t.status == 0);
  char name[80];
  struct stat st;
  snprintf(name, sizeof(name), "%s/out.0", dir);
  CHECK(stat(name, &st) < 0);
  snprintf(name, sizeof(name), "%s/out.1", dir);
  CHECK(stat(name, &st) == 0 && st.st_size == 1048576);
  snprintf(name, sizeof(name), "%s/out.2", dir);
  CHECK(stat(name, &st) == 0 && st.st_size == 2400000 - 2 * 1048576);
  char *text = file_read(t.a, name, NULL);
  CHECK(!strncmp(text, "1262144\n", 8));
  end_test();
}

static void test_strftime(void)
{
  begin_test();
  probe(RUN_BEGIN, 10);
  snprintf(t.out, sizeof(t.out), "%s/%%Y%%%%x", dir);
  run(print_id);
  time_t now = time(NULL);
  char name[80];
  snprintf(name, sizeof(name), "%s/%d%%x", dir, localtime(&now)->tm_year + 1900);
  char *text = file_read(t.a, name, NULL);
  CHECK(text && !strcmp(text, "0\n"));
  end_test();
}

static void skip(struct test *tt, struct ir_probe *p)
{
  put(p->id);
  tt->state.skipped_lock += 60;
  tt->state.lost = 3;
}

static void test_skipped(void)
{
  begin_test();
  probe(RUN_TIMER, 0)->inst->period_ns = 1000000;
  probe(RUN_ERROR, 0);
  run(skip);
  CHECK(t.status == 1);
  CHECK(!strcmp(t.text, "0\n0\n1\n"));
  CHECK(strstr(t.err, "ERROR: Skipped too many probes, check MAXSKIPPED"));
  CHECK(strstr(t.err, "WARNING: Number of errors: 0, skipped probes: 180\n"));
  CHECK(strstr(t.err, "WARNING: There were 3 transport failures."));
  end_test();
}

/* An executor with a ring: a producer that never waits, and a reader of stdout that starts
 * only when all has been produced.  */
enum { MANY = 1000000 };
static u64 produced;
static int drain_many(struct executor *x, int timeout)
{
  (void)x;
  if (t.state.phase != RT_RUNNING || produced == MANY) {
    if (timeout)
      usleep(1000);
    return 0;
  }
  for (u32 i = 0; i < 1000; i++)
    put(produced++);
  if (produced == MANY) {
    struct rt_ctl c = {.kind = RT_CTL_EXIT};
    session_control(t.s, &c);
  }
  return 1000;
}

static void nothing(struct test *tt, struct ir_probe *p)
{
  (void)tt, (void)p;
}

static void test_slow_reader(void)
{
  begin_test();
  int data[2], done[2];
  CHECK(!pipe(data) && !pipe(done));
  pid_t pid = fork();
  if (pid == 0) {
    close(data[0]);
    if (dup2(data[1], 1) < 0)
      _exit(99);
    close(data[1]);
    t.o.output = NULL;
    t.x->drain = drain_many;
    /* An end probe runs once the drain is through, while the pipe is still full. */
    probe(RUN_END, 0);
    run(nothing);
    _exit(t.status);
  }
  close(data[1]);
  usleep(700000);
  FILE *f = fdopen(data[0], "r");
  char line[64];
  u64 n = 0;
  while (fgets(line, sizeof(line), f))
    CHECK(strtoull(line, NULL, 10) == n++);
  CHECK(n == MANY);
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  fclose(f);
  end_test();
}

static void test_rate(void)
{
  begin_test();
  t.x->drain = drain_many;
  produced = 0;
  u64 from = now_ns();
  run(nothing);
  u64 took = now_ns() - from;
  CHECK(t.status == 0);
  CHECK(strlen(t.text) == 6888890);
  printf("%d records in %llu ms\n", MANY, (unsigned long long)took / 1000000);
  end_test();
}

int main(void)
{
  CHECK(mkdtemp(dir));
  test_order();
  test_errors(0, false,
              "ERROR: read fault [addr=0x10] near operator '->' at x.stp:3:7\n"
              "WARNING: Number of errors: 1, skipped probes: 0\n",
              "0\n3\n", 1);
  test_errors(1, false,
              "ERROR: read fault [addr=0x10] near operator '->' at x.stp:3:7\n"
              "ERROR: my own near identifier 'error' at x.stp:4:1\n"
              "WARNING: Number of errors: 2, skipped probes: 0\n",
              "0\n1\n3\n", 1);
  test_errors(2, false,
              "ERROR: read fault [addr=0x10] near operator '->' at x.stp:3:7\n"
              "ERROR: my own near identifier 'error' at x.stp:4:1\n"
              "WARNING: Number of errors: 2, skipped probes: 0\n",
              "0\n1\n2\n", 1);
  test_errors(0, true, "WARNING: Number of errors: 2, skipped probes: 0\n", "0\n1\n2\n", 0);
  test_timers();
  test_command("true", "", 0);
  test_command("sh -c 'exit 3'", "WARNING: Child process exited with status 3\n", 1);
  test_command("kill -9 $$ | cat >/dev/null; kill -9 $$",
               "WARNING: Child process exited with signal 9 (Killed)\n", 1);
  test_command("/nonexistent/x",
               "ERROR: Couldn't run '/nonexistent/x': No such file or directory\n"
               "WARNING: Child process exited with status 127\n",
               1);
  test_command_held();
  test_interrupt();
  test_second_interrupt();
  test_full_disk();
  test_rotation();
  test_strftime();
  test_skipped();
  test_slow_reader();
  test_rate();
  char cmd[64];
  snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
  return system(cmd) != 0;
}

/* Built-in functions that need no kernel.  What tells of the current task tells of `stap` itself,
 * which is the task that handlers run in.  */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__) || defined(__i386__)
#include <x86intrin.h>
#endif

#include "target/target.h"
#include "user/user.h"

/* A call: its operands and where its result goes. */
struct fncall {
  struct user *u;
  const struct insn *i;
  const u32 *args;
  s64 *r;
  u64 sb;
};

static s64 num(const struct fncall *c, u32 k)
{
  return c->r[c->args[k]];
}

static u64 off(const struct fncall *c, u32 k)
{
  u32 x = c->args[k];
  return x & RT_LIT ? x : c->sb + x;
}

static const char *str(const struct fncall *c, u32 k)
{
  return str_at(c->u, off(c, k));
}

static void put(const struct fncall *c, const char *s)
{
  frame_put(c->u, c->sb + c->i->dst, s, strlen(s));
}

/* ---- time ----------------------------------------------------------------------- */

static s64 clock_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (s64)t.tv_sec * 1000000000 + t.tv_nsec;
}

static s64 cycles(void)
{
#if defined(__x86_64__) || defined(__i386__)
  return (s64)__rdtsc();
#else
  return clock_ns();
#endif
}

static s64 hz(struct user *u)
{
  if (!u->hz) {
    struct target *t = target_new(u->a);
    u->hz = target_hz(t);
    target_free(t);
  }
  return u->hz;
}

/* The kernel starts its count five minutes before it wraps at 32 bits. */
static s64 jiffies(struct user *u)
{
  return (s64)(u32)(-300 * hz(u)) + (s64)((__int128)clock_ns() * hz(u) / 1000000000);
}

static bool time_fn(const struct fncall *c, enum ir_fn_id fn, s64 *res)
{
  s64 wall = clock_ns() + (s64)c->u->state->boot_to_wall_ns;
  switch (fn) {
  case FN_GET_CYCLES:
    *res = cycles();
    return true;
  case FN_TIME_S:
    *res = wall / 1000000000;
    return true;
  case FN_TIME_MS:
    *res = wall / 1000000;
    return true;
  case FN_TIME_US:
    *res = wall / 1000;
    return true;
  case FN_TIME_NS:
    *res = wall;
    return true;
  case FN_CLOCK_S:
    *res = clock_ns() / 1000000000;
    return true;
  case FN_CLOCK_MS:
    *res = clock_ns() / 1000000;
    return true;
  case FN_CLOCK_US:
    *res = clock_ns() / 1000;
    return true;
  case FN_CLOCK_NS:
    *res = clock_ns();
    return true;
  case FN_JIFFIES:
    *res = jiffies(c->u);
    return true;
  case FN_HZ:
    *res = hz(c->u);
    return true;
  default:
    return false;
  }
}

/* ---- who and where ------------------------------------------------------------------ */

/* xorshift64*: good enough for samples. */
static s64 random_below(struct user *u, s64 n)
{
  u->random ^= u->random >> 12;
  u->random ^= u->random << 25;
  u->random ^= u->random >> 27;
  u32 x = (u32)(u->random * 0x2545f4914f6cdd1dull >> 32);
  return n ? (s64)((u64)x % (u64)n) : x;
}

static bool task_fn(const struct fncall *c, enum ir_fn_id fn, s64 *res)
{
  struct user *u = c->u;
  switch (fn) {
  case FN_TID:
    *res = gettid();
    return true;
  case FN_PID:
    *res = getpid();
    return true;
  case FN_PPID:
    *res = getppid();
    return true;
  case FN_PGRP:
    *res = getpgrp();
    return true;
  case FN_SID:
    *res = getsid(0);
    return true;
  case FN_UID:
    *res = getuid();
    return true;
  case FN_EUID:
    *res = geteuid();
    return true;
  case FN_GID:
    *res = getgid();
    return true;
  case FN_EGID:
    *res = getegid();
    return true;
  case FN_CPU:
    *res = sched_getcpu();
    return true;
  case FN_TARGET:
    *res = (s64)u->state->target_pid;
    return true;
  case FN_STP_PID:
    *res = (s64)u->state->stp_pid;
    return true;
  case FN_USER_MODE:
    *res = 0;
    return true;
  case FN_NGROUPS:
    *res = u->f->match_n;
    return true;
  case FN_RANDINT:
    *res = random_below(u, num(c, 0));
    return true;
  default:
    return false;
  }
}

/* ---- strings ------------------------------------------------------------------------- */

static bool number_of_string(const struct fncall *c, enum ir_fn_id fn, s64 *res)
{
  struct rt_mem *f = c->u->mem;
  switch (fn) {
  case FN_STRLEN:
    *res = (s64)rt_strlen(f, off(c, 0));
    return true;
  case FN_STRINGAT:
    *res = rt_stringat(f, off(c, 0), num(c, 1));
    return true;
  case FN_ISINSTR:
    *res = (s64)rt_isinstr(f, off(c, 0), off(c, 1));
    return true;
  case FN_STRPOS:
    *res = rt_strpos(f, off(c, 0), off(c, 1));
    return true;
  case FN_STRTOL:
    *res = rt_strtol(f, off(c, 0), num(c, 1));
    return true;
  case FN_ISDIGIT:
    *res = (s64)rt_isdigit(f, off(c, 0));
    return true;
  default:
    return false;
  }
}

static bool string_fn(const struct fncall *c, enum ir_fn_id fn)
{
  struct rt_mem *f = c->u->mem;
  u64 dst = c->sb + c->i->dst;
  char comm[16] = "";
  switch (fn) {
  case FN_SUBSTR:
    rt_substr(f, dst, off(c, 0), num(c, 1), num(c, 2));
    return true;
  case FN_STR_REPLACE:
    rt_str_replace(f, dst, off(c, 0), off(c, 1), off(c, 2));
    return true;
  case FN_TEXT_STR:
    rt_text_str(f, dst, off(c, 0));
    return true;
  case FN_TEXT_STRN:
    rt_text_strn(f, dst, off(c, 0), num(c, 1), (u64)num(c, 2));
    return true;
  case FN_STRING_QUOTED:
    rt_string_quoted(f, dst, off(c, 0));
    return true;
  case FN_TOKENIZE:
    rt_tokenize(f, dst, off(c, 0), off(c, 1));
    return true;
  case FN_TOKENIZE_NEXT:
    rt_tokenize_next(f, dst, off(c, 0));
    return true;
  case FN_TOUPPER:
    rt_toupper(f, dst, off(c, 0));
    return true;
  case FN_TOLOWER:
    rt_tolower(f, dst, off(c, 0));
    return true;
  case FN_CTIME:
    rt_ctime(f, dst, num(c, 0));
    return true;
  case FN_FLAGS_STR:
    rt_flags_str(f, dst, (u64)num(c, 0), c->i->aux);
    return true;
  case FN_ENUM_STR:
    rt_enum_str(f, dst, (u64)num(c, 0), c->i->aux);
    return true;
  case FN_ERRNO_STR:
    rt_errno_str(f, dst, num(c, 0), c->u->errno_tab);
    return true;
  case FN_RETSTR:
    rt_returnstr(f, dst, num(c, 0), (u64)num(c, 1), c->u->errno_tab);
    return true;
  case FN_EXECNAME:
    prctl(PR_GET_NAME, comm);
    put(c, comm);
    return true;
  case FN_PP:
    put(c, c->u->probe->inst->pp);
    return true;
  case FN_PN:
    put(c, c->u->probe->inst->name ? c->u->probe->inst->name : c->u->probe->inst->pp);
    return true;
  default:
    return false;
  }
}

/* ---- effects ------------------------------------------------------------------------------ */

static void request_exit(struct user *u)
{
  struct rt_ctl c = {.kind = RT_CTL_EXIT, .probe_id = u->probe->id};
  u->state->exit_requested = 1;
  session_control(u->session, &c);
}

static void warn(struct user *u, const char *s)
{
  size_t n = strlen(s);
  sb_reset(&u->out);
  struct rt_ctl head = {.kind = RT_CTL_WARN, .probe_id = u->probe->id, .len = (u32)n};
  sb_add(&u->out, (const char *)&head, sizeof(head));
  sb_add(&u->out, s, n);
  session_control(u->session, (const struct rt_ctl *)u->out.s);
}

static void log_line(struct user *u, const char *s)
{
  sb_reset(&u->out);
  sb_puts(&u->out, s);
  if (!u->out.n || u->out.s[u->out.n - 1] != '\n')
    sb_putc(&u->out, '\n');
  session_text(u->session, u->out.s, (u32)u->out.n);
}

bool fn_call(struct user *u, const struct code *code, const struct insn *i, s64 *r, u64 sb)
{
  struct fncall c = {.u = u, .i = i, .args = code->args.v + i->args, .r = r, .sb = sb};
  enum ir_fn_id fn = i->ir->builtin->fn;
  if (i->ir->builtin->result == 'S') {
    if (fn == FN_MATCHED) {
      if (rt_matched(u->mem, sb + i->dst, num(&c, 0)) >= 0)
        return true;
      u->f->err = i->ir->err;
      return false;
    }
    return string_fn(&c, fn);
  }
  s64 res = 0;
  if (i->ir->builtin->result == 'I') {
    if (!number_of_string(&c, fn, &res) && !task_fn(&c, fn, &res))
      time_fn(&c, fn, &res);
    r[i->dst] = res;
    return true;
  }
  switch (fn) {
  case FN_EXIT:
    request_exit(u);
    return true;
  case FN_ABORT:
    request_exit(u);
    u->aborting = true;
    return false;
  case FN_WARN:
    warn(u, str(&c, 0));
    return true;
  case FN_LOG:
    log_line(u, str(&c, 0));
    return true;
  default:
    return true;
  }
}

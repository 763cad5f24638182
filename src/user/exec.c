/* The user executor: runs the session's own probes (begin, end, error, timers) in this process,
 * with no privileges.  Records are delivered as they are made.  */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "user/user.h"

enum {
  MAX_STRINGS = 1 << 30, /* bytes of the frame */
  MAX_WORDS = 1 << 25,   /* integers of all activations */
};

/* ---- what needs the kernel ------------------------------------------------------ */

static bool refuse(struct user *u, const struct ir_fn *fn, const char *kind, const char *what)
{
  const struct loc *loc = fn->probe ? &fn->probe->loc : NULL;
  const char *fmt = "%s %s needs the kernel, which --runtime=user doesn't have";
  if (loc && loc->file)
    diag_at(u->diag, DIAG_ERROR, loc, "probe", fn->probe->pp, fmt, kind, what);
  else
    diag_msg(u->diag, DIAG_ERROR, fmt, kind, what);
  return false;
}

static bool check_fn(struct user *u, const struct ir_fn *fn)
{
  for (u32 b = 0; b < fn->blocks.n; b++)
    for (u32 k = 0; k < fn->blocks.v[b]->ins.n; k++) {
      const struct ir_ins *i = &fn->blocks.v[b]->ins.v[k];
      if (i->op == IR_FN && i->builtin->fn == FN_MEM_CHECK)
        return refuse(u, fn, "conversion", "%m");
      if (i->op == IR_FN && i->builtin->flags & BI_KERNEL)
        return refuse(u, fn, "function", i->builtin->name ? i->builtin->name : i->builtin->id);
    }
  return true;
}

static bool check_module(struct user *u)
{
  bool ok = true;
  for (u32 i = 0; i < u->m->probes.n; i++) {
    const struct ir_probe *p = u->m->probes.v[i];
    if (p->inst->kind != PROG_SESSION && p->inst->kind != PROG_NEVER)
      ok = refuse(u, p->handler, "probe", p->inst->pp);
    else if (p->inst->kind == PROG_SESSION)
      ok = check_fn(u, p->handler) && ok;
  }
  for (u32 i = 0; i < u->m->fns.n; i++)
    ok = check_fn(u, u->m->fns.v[i]) && ok;
  return ok;
}

/* ---- memory ------------------------------------------------------------------------- */

/* Address space that costs nothing until it is touched. */
static void *reserve(size_t n)
{
  void *p =
      mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

/* Bounds of what nested activations take: each function once, the recursive ones as often as
 * MAXNESTING lets them.  */
static void measure(const struct user *u, u64 *strings, u64 *words)
{
  u64 s = 0, w = 0;
  for (u32 i = 0; i < u->m->probes.n; i++) {
    const struct code *c[] = {u->handlers[u->m->probes.v[i]->id], u->conds[u->m->probes.v[i]->id]};
    for (u32 k = 0; k < ARRAY_SIZE(c); k++)
      if (c[k]) {
        s = MAX(s, c[k]->str_bytes);
        w = MAX(w, c[k]->nints + c[k]->consts.n);
      }
  }
  for (u32 i = 0; i < u->m->fns.n; i++) {
    const struct code *c = u->fns[u->m->fns.v[i]->id];
    u64 times = c->fn->recursive ? (u64)u->m->maxnesting + 1 : 1;
    s += times * c->str_bytes;
    w += times * (c->nints + c->consts.n);
  }
  *strings = MIN(s, (u64)MAX_STRINGS);
  *words = MIN(w, (u64)MAX_WORDS);
}

static int make_frame(struct user *u)
{
  u64 strings, words;
  measure(u, &strings, &words);
  u->stat_off = RT_OFF_VARS(u->M);
  u->str_first = u->stat_off + sizeof(struct rt_stat);
  u->str_end = u->str_first + strings;
  u->mem_size = u->str_end + RT_SLACK(u->M) + u->M;
  u->nints = words;
  u->mem = reserve(u->mem_size);
  size_t ints_size = (words + 1) * sizeof(*u->ints);
  u->ints = reserve(ints_size);
  if (!u->mem || !u->ints) {
    diag_msg(u->diag, DIAG_ERROR, "Couldn't get %zu bytes of memory: %s", u->mem_size + ints_size,
             strerror(errno));
    return -1;
  }
  u->f = (struct rt_frame *)u->mem;
  return 0;
}

/* Read-only data is complete: tells the runtime of it, and of the frame. */
static void publish(struct user *u)
{
  static const char zeroes[64];
  size_t size = 64;
  while (size < u->rodata.n + 2 * u->M + 64)
    size *= 2;
  while (u->rodata.n < size)
    sb_add(&u->rodata, zeroes, MIN(sizeof(zeroes), size - u->rodata.n));
  rt_L = u->L;
  rt_M = u->M;
  rt_F = (u32)u->mem_size;
  rt_R = (u32)size;
  rt_rodata = (const u8 *)u->rodata.s;
}

static void make_globals(struct user *u)
{
  u32 top = 0;
  for (u32 i = 0; i < u->m->globals.n; i++)
    top = MAX(top, u->m->globals.v[i]->id + 1);
  u->globals = NEW_ARRAY(u->a, struct global, top);
  for (u32 i = 0; i < u->m->globals.n; i++)
    global_init(u, &u->globals[u->m->globals.v[i]->id], u->m->globals.v[i]);
}

/* ---- the executor's functions ----------------------------------------------------------- */

static int user_load(struct executor *x, struct ir_module *m, const struct run_options *o,
                     struct diag *d, struct session *s)
{
  (void)o;
  struct user *u = x->priv;
  u32 nargs = 0;
  u->m = m;
  u->diag = d;
  u->session = s;
  u->L = m->maxstringlen;
  u->M = RT_BUFFER(u->L);
  if (!check_module(u))
    return -1;
  code_build(u);
  for (u32 i = 0; i < m->fmts.n; i++)
    nargs = MAX(nargs, m->fmts.v[i]->nargs);
  u->print_args = NEW_ARRAY(u->a, struct fmt_arg, nargs + 1);
  if (make_frame(u))
    return -1;
  publish(u);
  make_globals(u);
  x->sites = u->sites.v;
  x->nsites = u->sites.n;
  if (getrandom(&u->random, sizeof(u->random), GRND_NONBLOCK) < 0 || !u->random)
    u->random = 0x9e3779b97f4a7c15ull;
  return 0;
}

static void report_error(struct user *u)
{
  struct strbuf b = {0};
  struct rt_ctl head = {
      .kind = RT_CTL_ERROR, .probe_id = u->f->probe_id, .err = u->f->err, .err_arg = u->f->err_arg};
  const char *text = (const char *)u->mem + RT_OFF_ERRMSG;
  if (head.err == RT_ERR_DYNAMIC)
    head.len = (u32)strlen(text);
  sb_add(&b, (const char *)&head, sizeof(head));
  sb_add(&b, text, head.len);
  __atomic_fetch_add(&u->state->errors, 1, __ATOMIC_RELAXED);
  session_control(u->session, (const struct rt_ctl *)b.s);
  sb_free(&b);
}

/* "if (…)" of a probe point: what it reads can't have changed since. */
static bool disarmed(struct user *u, const struct ir_probe *p)
{
  const struct code *cond = u->conds[p->id];
  return cond && (interp_run(u, p, cond) == LEFT_FAILED || !u->ret);
}

static int user_run(struct executor *x, struct ir_probe *p)
{
  struct user *u = x->priv;
  if (disarmed(u, p))
    return 0;
  if (interp_run(u, p, u->handlers[p->id]) == LEFT_FAILED && !u->aborting)
    report_error(u);
  return 0;
}

static void show(const struct ir_global *g, const union uval *keys, const union uval *val,
                 void *arg,
                 void (*visit)(void *arg, const struct ir_val *keys, const struct ir_val *val,
                               const struct rt_stat *stat))
{
  struct ir_val k[9], v = {.kind = V_INT};
  for (u32 i = 0; i < g->nkeys; i++)
    if (g->key_type[i] == TY_STRING)
      k[i] = (struct ir_val){.kind = V_STR, .str = keys[i].str, .len = (u32)strlen(keys[i].str)};
    else
      k[i] = (struct ir_val){.kind = V_INT, .num = keys[i].num};
  if (g->type == TY_STRING)
    v = (struct ir_val){.kind = V_STR, .str = val->str, .len = (u32)strlen(val->str)};
  else if (g->type == TY_LONG)
    v.num = val->num;
  visit(arg, k, &v, g->type == TY_STATS ? val->stat : NULL);
}

static int user_read_global(struct executor *x, const struct ir_global *ir, void *arg,
                            void (*visit)(void *arg, const struct ir_val *keys,
                                          const struct ir_val *val, const struct rt_stat *stat))
{
  struct user *u = x->priv;
  const struct global *g = &u->globals[ir->id];
  if (!ir->nkeys) {
    show(ir, NULL, &g->val, arg, visit);
    return 0;
  }
  struct ir_iter by_value = {.map = (struct ir_global *)ir, .sort_dir = -1, .sort_stat = STAT_NONE};
  struct iter *it = iter_new(u, g, &by_value, NULL, NULL);
  for (u32 i = 0; i < it->n; i++)
    show(ir, it->v[i].e->key, &it->v[i].e->val, arg, visit);
  iter_free(it);
  return 0;
}

static void user_free(struct executor *x)
{
  struct user *u = x->priv;
  for (u32 i = 0; u->globals && i < u->m->globals.n; i++)
    global_free(&u->globals[u->m->globals.v[i]->id]);
  if (u->mem)
    munmap(u->mem, u->mem_size);
  if (u->ints)
    munmap(u->ints, (u->nints + 1) * sizeof(*u->ints));
  sb_free(&u->rodata);
  sb_free(&u->out);
}

struct executor *user_executor_new(struct arena *a)
{
  struct executor *x = NEW(a, struct executor);
  struct user *u = NEW(a, struct user);
  u->a = a;
  u->state = NEW(a, struct rt_state);
  x->name = "user";
  x->state = u->state;
  x->priv = u;
  x->load = user_load;
  x->run = user_run;
  x->read_global = user_read_global;
  x->free = user_free;
  return x;
}

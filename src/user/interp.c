/* The interpreter's loop.  A function of the script is a call of run(): its words are a slice of
 * user.ints, its strings a slice of the frame.  What fails stores the error in the frame and goes
 * on at the block's handler; without one the function has failed, and so has its caller's CALL.  */
#include <stdlib.h>
#include <string.h>

#include "runtime/format.h"
#include "user/user.h"

enum { MAX_DEPTH = 20000, MAX_KEYS = 9 };

/* An activation. */
struct act {
  const struct code *c;
  s64 *r;
  u64 sb;
  struct iter **iters;
};

/* ---- strings ------------------------------------------------------------------------ */

const char *str_at(const struct user *u, u64 off)
{
  if (off & RT_LIT)
    return u->rodata.s + (off & (RT_LIT - 1));
  return (const char *)u->mem + off;
}

void frame_put(struct user *u, u64 off, const char *s, size_t n)
{
  n = strnlen(s, MIN(n, (size_t)u->L - 1));
  char *to = (char *)u->mem + off;
  memmove(to, s, n);
  to[n] = 0;
}

static u64 str_off(const struct act *a, u32 x)
{
  return x & RT_LIT ? x : a->sb + x;
}

static const char *str(const struct user *u, const struct act *a, u32 x)
{
  return str_at(u, str_off(a, x));
}

/* ---- errors ------------------------------------------------------------------------------ */

void error_text(struct user *u, struct strbuf *b)
{
  u32 err = u->f->err;
  if (err == RT_ERR_DYNAMIC) {
    sb_puts(b, (const char *)u->mem + RT_OFF_ERRMSG);
    return;
  }
  const char *text = err < u->m->errors.n ? u->m->errors.v[err].text : NULL;
  if (!text)
    text = "unknown error";
  const char *x = strstr(text, "%x");
  if (x)
    sb_printf(b, "%.*s%llx%s", (int)(x - text), text, (unsigned long long)u->f->err_arg, x + 2);
  else
    sb_puts(b, text);
}

static void catch_error(struct user *u, u64 dst)
{
  sb_reset(&u->out);
  error_text(u, &u->out);
  frame_put(u, dst, u->out.s ? u->out.s : "", u->out.n);
  u->f->err = 0;
  u->f->err_arg = 0;
}

static bool fail(struct user *u, const struct insn *i)
{
  u->f->err = i->ir->err == IR_NO ? 0 : i->ir->err;
  u->f->err_arg = 0;
  return false;
}

static bool raise_text(struct user *u, const struct act *a, const struct insn *i)
{
  const char *s = str(u, a, i->a);
  frame_put(u, RT_OFF_ERRMSG, s, strlen(s));
  u->f->err = RT_ERR_DYNAMIC;
  u->f->err_arg = i->ir->err == IR_NO ? 0 : i->ir->err;
  return false;
}

/* ---- arithmetic --------------------------------------------------------------------------- */

/* The divisor is not 0. */
static s64 divide(s64 x, s64 y)
{
  return y == -1 ? (s64) - (u64)x : x / y;
}

static s64 modulo(s64 x, s64 y)
{
  return y == -1 ? 0 : x % y;
}

/* The update of a read-modify-write; divisors are not 0. */
static s64 update(enum ir_op op, s64 x, s64 y)
{
  switch (op) {
  case IR_ADD:
    return (s64)((u64)x + (u64)y);
  case IR_SUB:
    return (s64)((u64)x - (u64)y);
  case IR_MUL:
    return (s64)((u64)x * (u64)y);
  case IR_DIV:
    return divide(x, y);
  case IR_MOD:
    return modulo(x, y);
  case IR_AND:
    return x & y;
  case IR_OR:
    return x | y;
  case IR_XOR:
    return x ^ y;
  case IR_SHL:
    return (s64)((u64)x << (y & 63));
  case IR_SHR:
    return x >> (y & 63);
  case IR_USHR:
    return (s64)((u64)x >> (y & 63));
  default:
    return y;
  }
}

static bool rmw(struct user *u, const struct act *a, const struct insn *i, s64 *at, s64 y)
{
  enum ir_op op = (enum ir_op)(i->ir->imm & 0xff);
  if ((op == IR_DIV || op == IR_MOD) && !y)
    return fail(u, i);
  s64 old = *at;
  *at = update(op, old, y);
  a->r[i->dst] = i->ir->imm & IR_RMW_OLD ? old : *at;
  return true;
}

/* ---- arrays --------------------------------------------------------------------------------- */

/* Values of the key columns in `mask`; returns how many operands they were. */
static u32 get_keys(const struct user *u, const struct act *a, const struct insn *i,
                    const struct ir_global *g, u64 mask, union uval *key)
{
  u32 n = 0;
  for (u32 c = 0; c < g->nkeys; c++) {
    if (!(mask >> c & 1))
      continue;
    u32 x = a->c->args.v[i->args + n];
    if (g->key_type[c] == TY_STRING)
      key[n].str = (char *)str(u, a, x);
    else
      key[n].num = a->r[x];
    n++;
  }
  return n;
}

static void give(struct user *u, const struct act *a, const struct insn *i, enum type type,
                 const union uval *v)
{
  if (type == TY_STRING) {
    const char *s = v ? v->str : "";
    frame_put(u, a->sb + i->dst, s, strlen(s));
  } else {
    a->r[i->dst] = v ? v->num : 0;
  }
}

/* Operations on an existing or new element: MSET, MRMW, MCAT, STATADD. */
static bool map_write(struct user *u, const struct act *a, const struct insn *i)
{
  struct global *g = &u->globals[i->ir->global->id];
  union uval key[MAX_KEYS];
  u32 n = get_keys(u, a, i, g->g, ~0ull, key);
  u32 x = a->c->args.v[i->args + n];
  struct elem *e = NULL;
  if (g->g->nkeys) {
    e = map_make(g, key);
    if (!e)
      return fail(u, i);
  }
  union uval *v = e ? &e->val : &g->val;
  switch (i->op) {
  case IR_MSET:
    if (g->g->type == TY_STRING)
      elem_set_str(e, str(u, a, x));
    else
      v->num = a->r[x];
    return true;
  case IR_MRMW:
    return rmw(u, a, i, &v->num, a->r[x]);
  case IR_MCAT:
    sb_reset(&u->out);
    sb_puts(&u->out, v->str);
    sb_puts(&u->out, str(u, a, x)); /* which may be where the result goes */
    frame_put(u, a->sb + i->dst, u->out.s ? u->out.s : "", u->out.n);
    elem_set_str(e, str_at(u, a->sb + i->dst));
    return true;
  default:
    stat_add(u, g, v->stat, a->r[x]);
    return true;
  }
}

/* MGET, MIN_, MDEL */
static void map_read(struct user *u, const struct act *a, const struct insn *i)
{
  struct global *g = &u->globals[i->ir->global->id];
  union uval key[MAX_KEYS];
  get_keys(u, a, i, g->g, ~0ull, key);
  if (i->op == IR_MDEL) {
    map_delete(g, key);
    return;
  }
  struct elem *e = map_find(g, key);
  if (i->op == IR_MIN_)
    a->r[i->dst] = e != NULL;
  else
    give(u, a, i, g->g->type, e ? &e->val : NULL);
}

static void map_slice(struct user *u, const struct act *a, const struct insn *i)
{
  struct global *g = &u->globals[i->ir->global->id];
  union uval key[MAX_KEYS];
  u64 mask = (u64)i->ir->imm;
  get_keys(u, a, i, g->g, mask, key);
  if (i->op == IR_MDEL_SLICE)
    map_delete_slice(g, mask, key);
  else
    a->r[i->dst] = map_has_slice(g, mask, key);
}

/* ---- statistics --------------------------------------------------------------------------------
 */

/* The text of the buckets in u->out. */
static void hist_string(struct user *u, u64 dst, const struct hist *h)
{
  struct strbuf text = {0};
  hist_render(&text, h, (const s64 *)(const void *)u->out.s);
  frame_put(u, dst, text.s, text.n);
  sb_free(&text);
}

static bool stat_read(struct user *u, const struct act *a, const struct insn *i)
{
  struct global *g = &u->globals[i->ir->global->id];
  union uval key[MAX_KEYS];
  u32 n = get_keys(u, a, i, g->g, ~0ull, key);
  const struct rt_stat *st = NULL;
  if (!g->g->nkeys) {
    st = g->val.stat;
  } else {
    const struct elem *e = map_find(g, key);
    st = e ? e->val.stat : NULL;
  }
  bool empty = !st || !st->count;
  const __s64 *bucket = NULL;
  const struct hist *h = NULL;
  if (i->op != IR_STATGET) {
    h = &g->g->hists.v[i->ir->imm];
    bucket = st ? st->bucket + g->hist_first[i->ir->imm] : NULL;
  }
  if (i->op == IR_HISTGET) {
    u64 b = (u64)a->r[a->c->args.v[i->args + n]];
    a->r[i->dst] = bucket && b < hist_buckets(h) ? bucket[b] : 0;
    return true;
  }
  if (empty && !(i->op == IR_STATGET && i->ir->imm <= STAT_SUM))
    return fail(u, i);
  if (i->op == IR_STATGET) {
    a->r[i->dst] = empty ? 0 : stat_get(u, st, (enum stat_op)i->ir->imm, i->ir->imm2);
    return true;
  }
  sb_reset(&u->out);
  for (u32 k = 0; k < hist_buckets(h); k++) {
    s64 v = bucket ? bucket[k] : 0;
    sb_add(&u->out, (const char *)&v, sizeof(v));
  }
  if (i->op == IR_HISTPRINT)
    session_record(u->session, i->aux, u->out.s, (u32)u->out.n);
  else
    hist_string(u, a->sb + i->dst, h);
  return true;
}

/* ---- foreach ----------------------------------------------------------------------------------
 */

static void iter_begin(struct user *u, const struct act *a, const struct insn *i)
{
  const struct ir_iter *it = i->ir->iter;
  struct global *g = &u->globals[it->map->id];
  union uval key[MAX_KEYS];
  u32 n = get_keys(u, a, i, it->map, it->slice_mask, key);
  const s64 *limit = it->has_limit ? &a->r[a->c->args.v[i->args + n]] : NULL;
  iter_free(a->iters[i->aux]);
  a->iters[i->aux] = iter_new(u, g, it, key, limit);
}

static void iter_get(struct user *u, const struct act *a, const struct insn *i)
{
  const struct ir_iter *it = i->ir->iter;
  const struct iter *x = a->iters[i->aux];
  const struct elem *e = x && x->pos ? x->v[x->pos - 1].e : NULL;
  if (i->op == IR_ITER_KEY)
    give(u, a, i, it->map->key_type[i->ir->imm], e ? &e->key[i->ir->imm] : NULL);
  else
    give(u, a, i, it->map->type, e ? &e->val : NULL);
}

static void iter_end(const struct act *a, const struct insn *i)
{
  iter_free(a->iters[i->aux]);
  a->iters[i->aux] = NULL;
}

/* ---- output ---------------------------------------------------------------------------------- */

static void print_record(struct user *u, const struct act *a, const struct insn *i)
{
  const struct ir_fmt *fmt = i->ir->fmt;
  sb_reset(&u->out);
  for (u32 k = 0; k < i->nargs; k++) {
    u32 x = a->c->args.v[i->args + k];
    if (fmt->arg_type[k] == IR_INT) {
      sb_add(&u->out, (const char *)&a->r[x], 8);
      continue;
    }
    const char *s = str(u, a, x);
    u32 len = (u32)strlen(s);
    sb_add(&u->out, (const char *)&len, sizeof(len));
    sb_add(&u->out, s, len);
    while (u->out.n % 8)
      sb_putc(&u->out, 0);
  }
  session_record(u->session, i->aux, u->out.s, (u32)u->out.n);
}

static void print_string(struct user *u, const struct act *a, const struct insn *i)
{
  const struct ir_fmt *fmt = i->ir->fmt;
  struct fmt_arg *arg = u->print_args;
  for (u32 k = 0; k < i->nargs; k++) {
    u32 x = a->c->args.v[i->args + k];
    if (fmt->arg_type[k] == IR_INT) {
      arg[k].num = a->r[x];
    } else {
      arg[k].str = str(u, a, x);
      arg[k].len = (u32)strlen(arg[k].str);
    }
  }
  sb_reset(&u->out);
  fmt_render(&u->out, fmt, arg);
  frame_put(u, a->sb + i->dst, u->out.s ? u->out.s : "", u->out.n);
}

/* ---- calls --------------------------------------------------------------------------------------
 */

static enum left run(struct user *u, const struct code *c, s64 *r, u64 sb, u64 ret);

/* Words and strings of a new activation behind `a`'s; false: there is no room. */
static bool enter(struct user *u, const struct code *c, s64 *r, u64 sb)
{
  if (u->depth >= MAX_DEPTH || sb + c->str_bytes > u->str_end ||
      (size_t)(r - u->ints) + c->nints + c->consts.n > u->nints)
    return false;
  memset(r, 0, c->nints * sizeof(*r));
  if (c->consts.n)
    memcpy(r + c->nints, c->consts.v, c->consts.n * sizeof(*r));
  for (u32 off = 0; off < c->str_bytes; off += u->M)
    ((char *)u->mem)[sb + off] = 0;
  return true;
}

static bool call(struct user *u, const struct act *a, const struct insn *i)
{
  const struct ir_fn *fn = i->ir->fn;
  const struct code *c = u->fns[fn->id];
  s64 *r = a->r + a->c->nints + a->c->consts.n;
  u64 sb = a->sb + a->c->str_bytes;
  if (fn->recursive && u->f->nesting >= u->m->maxnesting)
    return fail(u, i);
  if (!enter(u, c, r, sb))
    return fail(u, i);
  for (u32 k = 0; k < i->nargs; k++) {
    u32 to = c->place[fn->params.v[k]], x = a->c->args.v[i->args + k];
    if (fn->regs.v[fn->params.v[k]].type == IR_STR)
      rt_copy(u->mem, sb + to, str_off(a, x), u->M);
    else
      r[to] = a->r[x];
  }
  u->f->nesting += fn->recursive;
  u->depth++;
  u64 ret = fn->result == IR_STR ? a->sb + i->dst : 0;
  enum left left = run(u, c, r, sb, ret);
  u->depth--;
  u->f->nesting -= fn->recursive;
  if (left == LEFT_FAILED)
    return false;
  if (fn->result == IR_INT)
    a->r[i->dst] = u->ret;
  return true;
}

/* ---- the rest
 * ------------------------------------------------------------------------------------ */

/* What the loop doesn't do itself. False: it failed, and the frame has the error. */
static bool other(struct user *u, const struct act *a, const struct insn *i)
{
  struct rt_mem *f = u->mem;
  u64 dst = a->sb + i->dst;
  struct global *g;
  switch (i->op) {
  case IR_CONCAT:
    rt_concat(f, dst, str_off(a, i->a), str_off(a, i->b));
    return true;
  case IR_MATCH:
    a->r[i->dst] =
        (s64)(i->ir->regex->groups ? rt_match_groups : rt_match)(f, str_off(a, i->a), i->aux);
    return true;
  case IR_STRTAB:
    rt_strtab(f, dst, i->aux, a->r[i->a]);
    return true;
  case IR_GGET:
    g = &u->globals[i->ir->global->id];
    give(u, a, i, g->g->type, &g->val);
    return true;
  case IR_GSET:
    g = &u->globals[i->ir->global->id];
    if (g->g->type == TY_STRING)
      scalar_set(g, str(u, a, i->a));
    else
      g->val.num = a->r[i->a];
    return true;
  case IR_GRMW:
    return rmw(u, a, i, &u->globals[i->ir->global->id].val.num, a->r[i->a]);
  case IR_MGET:
  case IR_MIN_:
  case IR_MDEL:
    map_read(u, a, i);
    return true;
  case IR_MSET:
  case IR_MRMW:
  case IR_MCAT:
  case IR_STATADD:
    return map_write(u, a, i);
  case IR_MCLEAR:
    map_clear(&u->globals[i->ir->global->id]);
    return true;
  case IR_STATGET:
  case IR_HISTGET:
  case IR_HISTPRINT:
  case IR_HISTSTR:
    return stat_read(u, a, i);
  case IR_MIN_SLICE:
  case IR_MDEL_SLICE:
    map_slice(u, a, i);
    return true;
  case IR_ITER_BEGIN:
    iter_begin(u, a, i);
    return true;
  case IR_ITER_KEY:
  case IR_ITER_VALUE:
    iter_get(u, a, i);
    return true;
  case IR_ITER_END:
    iter_end(a, i);
    return true;
  case IR_PRINT:
    print_record(u, a, i);
    return true;
  case IR_SPRINT:
    print_string(u, a, i);
    return true;
  case IR_CALL:
    return call(u, a, i);
  case IR_ERROR:
    return raise_text(u, a, i);
  case IR_FN:
    return fn_call(u, a->c, i, a->r, a->sb);
  default: /* LOCK, UNLOCK: one handler runs at a time */
    return true;
  }
}

#define BINARY(name, expr)                                                                         \
  case IR_##name: {                                                                                \
    s64 x = r[i->a], y = r[i->b];                                                                  \
    r[i->dst] = (s64)(expr);                                                                       \
    break;                                                                                         \
  }

static enum left run_code(struct user *u, const struct act *a, u64 ret)
{
  s64 *r = a->r;
  const struct insn *code = a->c->ins.v, *i = code;
  for (;; i++) {
    switch (i->op) {
    case IR_MOV:
      r[i->dst] = r[i->a];
      break;
    case U_MOV_STR:
      rt_copy(u->mem, a->sb + i->dst, str_off(a, i->a), u->M);
      break;
      BINARY(ADD, (u64)x + (u64)y)
      BINARY(SUB, (u64)x - (u64)y)
      BINARY(MUL, (u64)x * (u64)y)
      BINARY(AND, x & y)
      BINARY(OR, x | y)
      BINARY(XOR, x ^ y)
      BINARY(SHL, (u64)x << (y & 63))
      BINARY(SHR, x >> (y & 63))
      BINARY(USHR, (u64)x >> (y & 63))
      BINARY(EQ, x == y)
      BINARY(NE, x != y)
      BINARY(LT, x < y)
      BINARY(LE, x <= y)
      BINARY(GT, x > y)
      BINARY(GE, x >= y)
    case IR_DIV:
    case IR_MOD:
      if (!r[i->b]) {
        fail(u, i);
        goto failed;
      }
      r[i->dst] = i->op == IR_DIV ? divide(r[i->a], r[i->b]) : modulo(r[i->a], r[i->b]);
      break;
    case IR_NEG:
      r[i->dst] = (s64) - (u64)r[i->a];
      break;
    case IR_NOT:
      r[i->dst] = ~r[i->a];
      break;
    case IR_SCMP:
      r[i->dst] = rt_strcmp(u->mem, str_off(a, i->a), str_off(a, i->b));
      break;
    case IR_ITER_NEXT: {
      struct iter *it = a->iters[i->aux];
      bool more = it && it->pos < it->n;
      if (more)
        it->pos++;
      r[i->dst] = more;
      break;
    }
    case IR_BUDGET:
      if (u->m->no_budget)
        break;
      u->f->budget -= i->ir->imm;
      if (u->f->budget < 0) {
        fail(u, i);
        goto failed;
      }
      break;
    case IR_CATCH:
      catch_error(u, a->sb + i->dst);
      break;
    case U_JMP:
      i = code + i->dst - 1;
      break;
    case U_BR:
      i = code + (r[i->a] ? i->b : i->dst) - 1;
      break;
    case U_RET_STR:
      rt_copy(u->mem, ret, str_off(a, i->a), u->M);
      return LEFT_DONE;
    case U_RET_INT:
      u->ret = r[i->a];
      return LEFT_DONE;
    case U_RET:
      u->ret = 0;
      if (ret)
        frame_put(u, ret, "", 0);
      return LEFT_DONE;
    default:
      if (!other(u, a, i))
        goto failed;
    }
    continue;
  failed:
    if (u->aborting || i->handler == IR_NO)
      return LEFT_FAILED;
    i = code + i->handler - 1;
  }
}

/* Runs entered code.  ret: where a string result goes. */
static enum left run(struct user *u, const struct code *c, s64 *r, u64 sb, u64 ret)
{
  struct iter *few[4] = {0};
  struct act a = {.c = c, .r = r, .sb = sb, .iters = few};
  if (c->niters > ARRAY_SIZE(few))
    a.iters = user_alloc(c->niters, sizeof(*a.iters));
  enum left left = run_code(u, &a, ret);
  for (u32 i = 0; i < c->niters; i++) /* loops left by an error or a return */
    iter_free(a.iters[i]);
  if (a.iters != few)
    free(a.iters);
  return left;
}

/* ---- handlers ---------------------------------------------------------------------------------
 */

enum left interp_run(struct user *u, const struct ir_probe *p, const struct code *c)
{
  *u->f = (struct rt_frame){
      .probe_id = p->id,
      .budget = ir_max_statements(u->m, p->inst),
  };
  u->probe = p;
  u->depth = 0;
  u->ret = 0;
  u->aborting = false;
  if (!enter(u, c, u->ints, u->str_first))
    return LEFT_FAILED;
  return run(u, c, u->ints, u->str_first, 0);
}

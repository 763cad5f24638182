/* The IR's invariants, checked: those that ir.h states and the operand types of ops.def.  The first
 * violation ends the check; its text names the function, block and instruction.  */
#include "ir/ir.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct check {
  const struct ir_module *m;
  const struct ir_fn *f;
  const struct ir_block *k;
  const struct ir_ins *ins; /* of k */
  struct strbuf *why;
};

static void explain(const struct check *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void explain(const struct check *c, const char *fmt, ...)
{
  va_list ap;
  if (c->f)
    sb_printf(c->why, "%s: ", c->f->name ? c->f->name : "?");
  if (c->k)
    sb_printf(c->why, "@%u: ", c->k->id);
  if (c->k && c->ins)
    sb_printf(c->why, "instruction %u, %s: ", (u32)(c->ins - c->k->ins.v),
              c->ins->op < IR_NOPS ? ir_ops[c->ins->op].name : "?");
  va_start(ap, fmt);
  sb_vprintf(c->why, fmt, ap);
  va_end(ap);
}

/* What a check returns when it has found a violation. */
#define fail(c, ...) (explain(c, __VA_ARGS__), false)

/* ---- operands ------------------------------------------------------------------------------- */

static bool val_is(const struct check *c, const struct ir_val *v, enum ir_type *type)
{
  switch (v->kind) {
  case V_REG:
    if (v->reg >= c->f->regs.n)
      return fail(c, "there is no register %u", v->reg);
    *type = c->f->regs.v[v->reg].type;
    return true;
  case V_INT:
    *type = IR_INT;
    return true;
  case V_STR:
    *type = IR_STR;
    if (!v->str || memchr(v->str, 0, v->len))
      return fail(c, "a constant string holds NUL");
    return true;
  }
  return fail(c, "an operand has kind %u", (u32)v->kind);
}

static bool arg_is(const struct check *c, u32 i, enum ir_type want)
{
  enum ir_type type;
  if (i >= c->ins->nargs)
    return fail(c, "operand %u is missing", i);
  if (!val_is(c, &c->ins->args[i], &type))
    return false;
  return type == want || fail(c, "operand %u has the wrong type", i);
}

static bool nargs_is(const struct check *c, u32 n)
{
  return c->ins->nargs == n || fail(c, "%u operands instead of %u", c->ins->nargs, n);
}

static bool dst_is(const struct check *c, enum ir_type want)
{
  u32 dst = c->ins->dst;
  if (dst == IR_NO)
    return true;
  if (dst >= c->f->regs.n)
    return fail(c, "there is no register %u", dst);
  if (want == IR_VOID)
    return fail(c, "there is no result to put into a register");
  return c->f->regs.v[dst].type == want || fail(c, "the result has the wrong type");
}

static bool letters(const struct check *c, const char *args)
{
  if (!nargs_is(c, (u32)strlen(args)))
    return false;
  for (u32 i = 0; args[i]; i++)
    if (!arg_is(c, i, args[i] == 'S' ? IR_STR : IR_INT))
      return false;
  return true;
}

static enum ir_type letter_type(char r)
{
  return r == 'S' ? IR_STR : r == 'I' ? IR_INT : IR_VOID;
}

static enum ir_type of(enum type t)
{
  return t == TY_STRING ? IR_STR : t == TY_LONG ? IR_INT : IR_VOID;
}

/* ---- globals -------------------------------------------------------------------------------- */

/* The keys, then so many more operands. */
static bool keys(const struct check *c, u32 more)
{
  const struct ir_global *g = c->ins->global;
  if (!nargs_is(c, g->nkeys + more))
    return false;
  for (u32 i = 0; i < g->nkeys; i++)
    if (!arg_is(c, i, of(g->key_type[i])))
      return false;
  return true;
}

static bool slice_keys(const struct check *c)
{
  const struct ir_global *g = c->ins->global;
  u32 n = 0;
  if (c->ins->imm < 0 || c->ins->imm >> g->nkeys)
    return fail(c, "the slice names a key that the array doesn't have");
  for (u32 i = 0; i < g->nkeys; i++)
    if (c->ins->imm >> i & 1 && !arg_is(c, n++, of(g->key_type[i])))
      return false;
  return nargs_is(c, n);
}

static bool rmw(const struct check *c, u32 nkeys)
{
  static const u64 allowed = 1ull << IR_ADD | 1ull << IR_SUB | 1ull << IR_MUL | 1ull << IR_AND |
                             1ull << IR_OR | 1ull << IR_XOR | 1ull << IR_SHL | 1ull << IR_SHR |
                             1ull << IR_USHR;
  s64 op = c->ins->imm & ~(s64)IR_RMW_OLD;
  if (op < 0 || op > 63 || !(allowed >> op & 1))
    return fail(c, "not an update: %lld", (long long)c->ins->imm);
  if (c->ins->global->type != TY_LONG)
    return fail(c, "the variable is no integer");
  return keys(c, 1) && arg_is(c, nkeys, IR_INT) && dst_is(c, IR_INT);
}

static bool stat_ins(const struct check *c)
{
  const struct ir_ins *ins = c->ins;
  u32 nkeys = ins->global->nkeys;
  if (ins->global->type != TY_STATS)
    return fail(c, "the variable is no statistic");
  if (ins->op == IR_STATADD)
    return keys(c, 1) && arg_is(c, nkeys, IR_INT) && dst_is(c, IR_VOID);
  if (ins->op == IR_STATGET) {
    if (ins->imm < 0 || ins->imm > STAT_VARIANCE)
      return fail(c, "no such statistic");
    if (!(ins->global->stat_ops >> ins->imm & 1))
      return fail(c, "the statistic isn't kept");
    return keys(c, 0) && dst_is(c, IR_INT);
  }
  if (ins->imm < 0 || ins->imm >= ins->global->hists.n)
    return fail(c, "no such histogram");
  if (ins->op == IR_HISTPRINT)
    return keys(c, 0) && dst_is(c, IR_VOID);
  if (ins->op == IR_HISTSTR)
    return keys(c, 0) && dst_is(c, IR_STR);
  return keys(c, 1) && arg_is(c, nkeys, IR_INT) && dst_is(c, IR_INT);
}

static bool global_ins(const struct check *c)
{
  const struct ir_ins *ins = c->ins;
  const struct ir_global *g = ins->global;
  if (!g || g->id >= c->m->globals.n || c->m->globals.v[g->id] != g)
    return fail(c, "no such global");
  u32 nkeys = g->nkeys;
  enum ir_type type = of(g->type);
  bool scalar_op = ins->op == IR_GGET || ins->op == IR_GSET || ins->op == IR_GRMW;
  bool either = ins->op == IR_MCLEAR || (ins->op >= IR_STATADD && ins->op <= IR_HISTSTR);
  if (!either && scalar_op != (nkeys == 0))
    return fail(c, "%s is %s", g->name, nkeys ? "an array" : "a scalar");
  switch (ins->op) {
  case IR_GGET:
  case IR_MGET:
    return type != IR_VOID ? keys(c, 0) && dst_is(c, type) : fail(c, "a statistic has no value");
  case IR_GSET:
  case IR_MSET:
    if (type == IR_VOID)
      return fail(c, "a statistic has no value");
    return keys(c, 1) && arg_is(c, nkeys, type) && dst_is(c, IR_VOID);
  case IR_GRMW:
  case IR_MRMW:
    return rmw(c, nkeys);
  case IR_MCAT:
    if (type != IR_STR)
      return fail(c, "the array holds no strings");
    return keys(c, 1) && arg_is(c, nkeys, IR_STR) && dst_is(c, IR_STR);
  case IR_MIN_:
    return keys(c, 0) && dst_is(c, IR_INT);
  case IR_MDEL:
    return keys(c, 0) && dst_is(c, IR_VOID);
  case IR_MCLEAR:
    return nargs_is(c, 0) && dst_is(c, IR_VOID);
  case IR_MIN_SLICE:
    return slice_keys(c) && dst_is(c, IR_INT);
  case IR_MDEL_SLICE:
    return slice_keys(c) && dst_is(c, IR_VOID);
  default:
    return stat_ins(c);
  }
}

/* ---- foreach -------------------------------------------------------------------------------- */

static bool iter_begin(const struct check *c)
{
  const struct ir_iter *it = c->ins->iter;
  u32 n = 0;
  if (it->sort_col > it->map->nkeys || it->slice_mask >> it->map->nkeys)
    return fail(c, "the array has no such key");
  if (it->sort_stat != STAT_NONE &&
      (it->map->type != TY_STATS || !(it->map->stat_ops >> it->sort_stat & 1)))
    return fail(c, "sorted by a statistic that isn't kept");
  for (u32 i = 0; i < it->map->nkeys; i++)
    if (it->slice_mask >> i & 1 && !arg_is(c, n++, of(it->map->key_type[i])))
      return false;
  if (it->has_limit && !arg_is(c, n++, IR_INT))
    return false;
  return nargs_is(c, n) && dst_is(c, IR_VOID);
}

static bool iter_ins(const struct check *c)
{
  const struct ir_iter *it = c->ins->iter;
  if (!it || it->id >= c->m->iters.n || c->m->iters.v[it->id] != it)
    return fail(c, "no such foreach");
  if (!it->map || !it->map->nkeys || !it->map->ordered)
    return fail(c, "foreach over what is no ordered array");
  if (c->ins->op == IR_ITER_BEGIN)
    return iter_begin(c);
  if (!nargs_is(c, 0))
    return false;
  switch (c->ins->op) {
  case IR_ITER_NEXT:
    return dst_is(c, IR_INT);
  case IR_ITER_KEY:
    if (c->ins->imm < 0 || c->ins->imm >= it->map->nkeys)
      return fail(c, "the array has no such key");
    return dst_is(c, of(it->map->key_type[c->ins->imm]));
  case IR_ITER_VALUE:
    return it->map->type != TY_STATS ? dst_is(c, of(it->map->type))
                                     : fail(c, "a statistic has no value");
  default:
    return dst_is(c, IR_VOID);
  }
}

/* ---- other operations ----------------------------------------------------------------------- */

static bool call_ins(const struct check *c)
{
  const struct ir_fn *f = c->ins->fn;
  if (!f || f->id >= c->m->fns.n || c->m->fns.v[f->id] != f)
    return fail(c, "no such function");
  if (!nargs_is(c, f->params.n))
    return false;
  for (u32 i = 0; i < f->params.n; i++)
    if (!arg_is(c, i, f->regs.v[f->params.v[i]].type))
      return false;
  return dst_is(c, f->result);
}

/* The pieces take every argument, conversions of strings a string. */
static bool pieces(const struct check *c, const struct ir_fmt *f)
{
  u32 n = 0;
  for (u32 i = 0; i < f->print->fmt.n; i++) {
    const struct fmt_piece *p = &f->print->fmt.v[i];
    if (p->conv == CONV_LITERAL)
      continue;
    n += (p->width_kind == FMT_DYNAMIC) + (p->prec_kind == FMT_DYNAMIC);
    if (n < f->nargs && (f->arg_type[n] == IR_STR) != (p->conv == CONV_S))
      return fail(c, "argument %u isn't what its conversion shows", n);
    n++;
  }
  return n == f->nargs || fail(c, "the format takes %u arguments", n);
}

static bool print_ins(const struct check *c)
{
  const struct ir_fmt *f = c->ins->fmt;
  if (!f || f->id >= c->m->fmts.n || c->m->fmts.v[f->id] != f)
    return fail(c, "no such format");
  if (!nargs_is(c, f->nargs))
    return false;
  for (u32 i = 0; i < f->nargs; i++)
    if (!arg_is(c, i, f->arg_type[i]))
      return false;
  if (!pieces(c, f))
    return false;
  if (f->print->to_string != (c->ins->op == IR_SPRINT))
    return fail(c, "the format is one of %s", f->print->to_string ? "SPRINT" : "PRINT");
  return dst_is(c, c->ins->op == IR_SPRINT ? IR_STR : IR_VOID);
}

static bool fn_ins(const struct check *c)
{
  const struct builtin *bi = c->ins->builtin;
  const struct ir_flags *fl = c->ins->flags;
  if (!bi || bi->fn >= IR_NFNS || &ir_builtins[bi->fn] != bi || bi->fn == FN_ERROR)
    return fail(c, "no such built-in function");
  bool wants = bi->fn == FN_FLAGS_STR || bi->fn == FN_ENUM_STR;
  if (wants != (fl != NULL) || (fl && (fl->id >= c->m->flags.n || c->m->flags.v[fl->id] != fl)))
    return fail(c, "the table of flags is wrong");
  return letters(c, bi->args) && dst_is(c, letter_type(bi->result));
}

static bool mov_ins(const struct check *c)
{
  enum ir_type type;
  return nargs_is(c, 1) && val_is(c, &c->ins->args[0], &type) && dst_is(c, type);
}

static bool lock_ins(const struct check *c)
{
  const struct ir_lockset *l = c->ins->lock;
  if (!l || !l->n)
    return fail(c, "nothing to lock");
  for (u32 i = 0; i < l->n; i++)
    if (i && l->g[i]->id <= l->g[i - 1]->id)
      return fail(c, "the locks aren't in order");
  return nargs_is(c, 0) && dst_is(c, IR_VOID);
}

static bool strtab_ins(const struct check *c)
{
  const struct ir_strtab *t = c->ins->strtab;
  if (!t || t->id >= c->m->strtabs.n || c->m->strtabs.v[t->id] != t)
    return fail(c, "no such table");
  return letters(c, "I") && dst_is(c, IR_STR);
}

static bool plain_ins(const struct check *c)
{
  const struct op_info *o = &ir_ops[c->ins->op];
  return letters(c, o->args) && dst_is(c, letter_type(o->result));
}

static bool check_ins(const struct check *c)
{
  const struct ir_ins *ins = c->ins;
  if (ins->op >= IR_NOPS)
    return fail(c, "no such operation");
  if (ins->op == IR_FN && !ins->builtin)
    return fail(c, "no built-in function");
  if (ir_can_fail(ins) ? ins->err == 0 || ins->err >= c->m->errors.n : ins->err != IR_NO)
    return fail(c, "error number %d", (s32)ins->err);
  if (ins->op == IR_CATCH && ins != c->k->ins.v)
    return fail(c, "not the first of its block");
  if (ir_has_global(ins->op))
    return global_ins(c);
  if (ir_has_iter(ins->op))
    return iter_ins(c);
  switch (ins->op) {
  case IR_MOV:
    return mov_ins(c);
  case IR_CALL:
    return call_ins(c);
  case IR_PRINT:
  case IR_SPRINT:
    return print_ins(c);
  case IR_FN:
    return fn_ins(c);
  case IR_STRTAB:
    return strtab_ins(c);
  case IR_LOCK:
  case IR_UNLOCK:
    return lock_ins(c);
  case IR_MATCH:
    return ins->regex ? plain_ins(c) : fail(c, "no regular expression");
  case IR_BUDGET:
    return ins->imm > 0 ? plain_ins(c) : fail(c, "counts no statement");
  default:
    return plain_ins(c);
  }
}

/* ---- blocks --------------------------------------------------------------------------------- */

static bool loop_holds(const struct ir_fn *f, u32 outer, u32 inner)
{
  while (inner != outer && inner != IR_NO)
    inner = f->loops.v[inner].parent;
  return inner == outer;
}

static bool starts_handler(const struct ir_block *k)
{
  return k->ins.n && k->ins.v[0].op == IR_CATCH;
}

/* Control may pass from the block to `to`: inside the same loops, out of some, or into one by its
 * header.  */
static bool check_edge(const struct check *c, u32 to)
{
  if (to >= c->f->blocks.n)
    return fail(c, "there is no block %u", to);
  const struct ir_block *t = c->f->blocks.v[to];
  if (starts_handler(t))
    return fail(c, "a jump to the handler @%u", to);
  if (loop_holds(c->f, t->loop, c->k->loop))
    return true;
  const struct ir_loop *l = &c->f->loops.v[t->loop];
  return (l->header == to && loop_holds(c->f, l->parent, c->k->loop)) ||
         fail(c, "@%u is entered from outside its loop", to);
}

static bool check_handler(const struct check *c)
{
  u32 h = c->k->handler;
  if (h == IR_NO)
    return true;
  if (h >= c->f->blocks.n)
    return fail(c, "there is no block %u", h);
  if (!starts_handler(c->f->blocks.v[h]))
    return fail(c, "the handler @%u doesn't begin with CATCH", h);
  return loop_holds(c->f, c->f->blocks.v[h]->loop, c->k->loop) ||
         fail(c, "the handler @%u is in a loop that the block isn't in", h);
}

static bool check_ret(const struct check *c)
{
  enum ir_type type;
  const struct ir_block *k = c->k;
  if (k->has_val != (c->f->result != IR_VOID))
    return fail(c, "%s", k->has_val ? "returns a value" : "returns no value");
  if (!k->has_val)
    return true;
  if (!val_is(c, &k->val, &type))
    return false;
  return type == c->f->result || fail(c, "returns the wrong type");
}

static bool check_term(const struct check *c)
{
  enum ir_type type;
  switch (c->k->term) {
  case T_JMP:
    return check_edge(c, c->k->to[0]);
  case T_BR:
    if (!val_is(c, &c->k->val, &type))
      return false;
    if (type != IR_INT)
      return fail(c, "the condition is no integer");
    return check_edge(c, c->k->to[0]) && check_edge(c, c->k->to[1]);
  case T_RET:
    return check_ret(c);
  }
  return fail(c, "the block has no end");
}

static bool check_block(struct check *c)
{
  for (u32 i = 0; i < c->k->ins.n; i++) {
    c->ins = &c->k->ins.v[i];
    if (!check_ins(c))
      return false;
  }
  c->ins = NULL;
  return check_handler(c) && check_term(c);
}

/* ---- paths: reachability and assignment before use ------------------------------------------ */

/* Only registers that some block reads before it assigns them are followed from block to block. */
struct flow {
  struct check *c;
  u32 *slot; /* of each register: its bit, or IR_NO */
  u32 words;
  u64 *in, *now; /* assigned on every path: at each block's start; here */
  bool *seen, *queued;
  u32 *stack, n;
};

static void number_read(struct flow *w, const struct ir_val *v, const u32 *assigned, u32 block,
                        u32 *n)
{
  if (v->kind == V_REG && assigned[v->reg] != block + 1 && w->slot[v->reg] == IR_NO)
    w->slot[v->reg] = (*n)++;
}

static u32 number_slots(struct flow *w)
{
  const struct ir_fn *f = w->c->f;
  u32 *assigned = calloc(f->regs.n + 1, sizeof(u32)), n = 0; /* the last block + 1 that did */
  memset(w->slot, 0xff, f->regs.n * sizeof(u32));
  for (u32 i = 0; i < f->blocks.n; i++) {
    const struct ir_block *k = f->blocks.v[i];
    for (u32 m = 0; m < k->ins.n; m++) {
      for (u32 a = 0; a < k->ins.v[m].nargs; a++)
        number_read(w, &k->ins.v[m].args[a], assigned, i, &n);
      if (k->ins.v[m].dst != IR_NO)
        assigned[k->ins.v[m].dst] = i + 1;
    }
    if (k->term == T_BR || (k->term == T_RET && k->has_val))
      number_read(w, &k->val, assigned, i, &n);
  }
  free(assigned);
  return n;
}

static void assign(struct flow *w, u32 reg)
{
  u32 bit = reg == IR_NO ? IR_NO : w->slot[reg];
  if (bit != IR_NO)
    w->now[bit / 64] |= 1ull << bit % 64;
}

static void flow_to(struct flow *w, u32 to)
{
  u64 *in = w->in + (size_t)to * w->words;
  bool changed = !w->seen[to];
  for (u32 i = 0; i < w->words; i++) {
    u64 v = w->seen[to] ? in[i] & w->now[i] : w->now[i];
    changed |= v != in[i];
    in[i] = v;
  }
  w->seen[to] = true;
  if (changed && !w->queued[to]) {
    w->queued[to] = true;
    w->stack[w->n++] = to;
  }
}

static void flow_block(struct flow *w, u32 id)
{
  const struct ir_block *k = w->c->f->blocks.v[id];
  memcpy(w->now, w->in + (size_t)id * w->words, w->words * sizeof(u64));
  for (u32 i = 0; i < k->ins.n; i++) {
    const struct ir_ins *ins = &k->ins.v[i];
    if (k->handler != IR_NO && ir_can_fail(ins))
      flow_to(w, k->handler);
    assign(w, ins->dst);
  }
  if (k->term != T_RET)
    flow_to(w, k->to[0]);
  if (k->term == T_BR)
    flow_to(w, k->to[1]);
}

/* Registers without a slot are assigned in the block that reads them. */
static bool is_assigned(struct flow *w, const struct ir_val *v)
{
  u32 bit = v->kind == V_REG ? w->slot[v->reg] : IR_NO;
  if (bit == IR_NO || w->now[bit / 64] >> bit % 64 & 1)
    return true;
  return fail(w->c, "register %u is read before it is assigned", v->reg);
}

static bool reads_block(struct flow *w, u32 id)
{
  struct check *c = w->c;
  c->k = c->f->blocks.v[id];
  memcpy(w->now, w->in + (size_t)id * w->words, w->words * sizeof(u64));
  for (u32 i = 0; i < c->k->ins.n; i++) {
    c->ins = &c->k->ins.v[i];
    for (u32 n = 0; n < c->ins->nargs; n++)
      if (!is_assigned(w, &c->ins->args[n]))
        return false;
    assign(w, c->ins->dst);
  }
  c->ins = NULL;
  if (c->k->term == T_BR || (c->k->term == T_RET && c->k->has_val))
    return is_assigned(w, &c->k->val);
  return true;
}

static bool flow_run(struct flow *w)
{
  const struct ir_fn *f = w->c->f;
  for (u32 i = 0; i < f->params.n; i++)
    assign(w, f->params.v[i]);
  flow_to(w, 0);
  while (w->n) {
    u32 id = w->stack[--w->n];
    w->queued[id] = false;
    flow_block(w, id);
  }
  for (u32 i = 0; i < f->blocks.n; i++) {
    if (!w->seen[i]) {
      w->c->k = f->blocks.v[i];
      return fail(w->c, "nothing leads to the block");
    }
    if (!reads_block(w, i))
      return false;
  }
  w->c->k = NULL;
  return true;
}

static bool check_flow(struct check *c)
{
  u32 nb = c->f->blocks.n;
  struct flow w = {.c = c};
  assert(nb); /* check_fn() refuses a function without */
  w.slot = calloc(c->f->regs.n + 1, sizeof(u32));
  w.words = number_slots(&w) / 64 + 1;
  w.in = calloc((size_t)nb * w.words, sizeof(u64));
  w.now = calloc(w.words, sizeof(u64));
  w.seen = calloc(nb, sizeof(bool));
  w.queued = calloc(nb, sizeof(bool));
  w.stack = calloc(nb, sizeof(u32));
  bool ok = flow_run(&w);
  free(w.slot);
  free(w.in);
  free(w.now);
  free(w.seen);
  free(w.queued);
  free(w.stack);
  return ok;
}

/* ---- functions and the module --------------------------------------------------------------- */

static bool check_loops(const struct check *c)
{
  const struct ir_fn *f = c->f;
  for (u32 i = 0; i < f->blocks.n; i++)
    if (f->blocks.v[i]->loop != IR_NO && f->blocks.v[i]->loop >= f->loops.n)
      return fail(c, "@%u is in no loop %u", i, f->blocks.v[i]->loop);
  for (u32 i = 0; i < f->loops.n; i++) {
    u32 up = i, depth = 0;
    if (f->loops.v[i].header >= f->blocks.n || f->blocks.v[f->loops.v[i].header]->loop != i)
      return fail(c, "loop %u has no header", i);
    while (up != IR_NO && depth++ <= f->loops.n) {
      up = f->loops.v[up].parent;
      if (up != IR_NO && up >= f->loops.n)
        return fail(c, "loop %u is inside no loop %u", i, up);
    }
    if (up != IR_NO)
      return fail(c, "loop %u is inside itself", i);
  }
  return true;
}

static bool check_fn(struct check *c, const struct ir_fn *f)
{
  c->f = f;
  if (!f->blocks.n)
    return fail(c, "no blocks");
  for (u32 i = 0; i < f->regs.n; i++)
    if (f->regs.v[i].type != IR_INT && f->regs.v[i].type != IR_STR)
      return fail(c, "register %u has no type", i);
  for (u32 i = 0; i < f->params.n; i++)
    if (f->params.v[i] >= f->regs.n)
      return fail(c, "parameter %u is no register", i);
  for (u32 i = 0; i < f->blocks.n; i++)
    if (f->blocks.v[i]->id != i)
      return fail(c, "block %u is numbered %u", i, f->blocks.v[i]->id);
  if (!check_loops(c))
    return false;
  if (f->blocks.v[0]->loop != IR_NO || starts_handler(f->blocks.v[0]))
    return fail(c, "the entry is in a loop or a handler");
  for (u32 i = 0; i < f->blocks.n; i++) {
    c->k = f->blocks.v[i];
    if (!check_block(c))
      return false;
  }
  c->k = NULL;
  return check_flow(c);
}

static bool check_probe(struct check *c, const struct ir_probe *p)
{
  c->f = NULL;
  if (!p->handler || p->handler->result != IR_VOID || p->handler->params.n ||
      !p->handler->is_handler)
    return fail(c, "probe %u has no handler", p->id);
  const struct ir_probe *s = p->same;
  if (s && (s->id >= p->id || s->same || s->handler != p->handler || s->cond != p->cond))
    return fail(c, "probe %u has not the handler of the one it is the same as", p->id);
  if (s)
    return true;
  if (!check_fn(c, p->handler))
    return false;
  if (!p->cond)
    return true;
  if (p->cond->result != IR_INT || p->cond->params.n || !p->cond_globals)
    return fail(c, "probe %u has a condition that is none", p->id);
  return check_fn(c, p->cond);
}

#define CHECK_IDS(vec, text)                                                                       \
  for (u32 i = 0; i < (vec).n; i++)                                                                \
    if ((vec).v[i]->id != i)                                                                       \
  return fail(&c, "%s %u is numbered %u", text, i, (vec).v[i]->id)

bool ir_check(const struct ir_module *m, struct strbuf *why)
{
  struct check c = {.m = m, .why = why};
  CHECK_IDS(m->globals, "global");
  CHECK_IDS(m->fns, "function");
  CHECK_IDS(m->probes, "probe");
  CHECK_IDS(m->fmts, "format");
  CHECK_IDS(m->iters, "foreach");
  CHECK_IDS(m->flags, "table of flags");
  CHECK_IDS(m->strtabs, "table");
  for (u32 i = 0; i < m->fns.n; i++)
    if (!check_fn(&c, m->fns.v[i]))
      return false;
  for (u32 i = 0; i < m->probes.n; i++)
    if (!check_probe(&c, m->probes.v[i]))
      return false;
  return true;
}

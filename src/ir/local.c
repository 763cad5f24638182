/* Patterns of a few instructions:
 *
 *   an operation that was made before, with the same operands        its result is used again
 *   t = g; u = t + v; g = u                                           one read-modify-write
 *   t = op …; x = t                                                   x = op …
 *   c = x != 0; branch on c                                           branch on x
 */
#include "ir/simplify.h"

#include <stdlib.h>
#include <string.h>

static bool same_val(const struct ir_val *a, const struct ir_val *b)
{
  if (a->kind != b->kind)
    return false;
  if (a->kind == V_REG)
    return a->reg == b->reg;
  if (a->kind == V_INT)
    return a->num == b->num;
  return a->len == b->len && !memcmp(a->str, b->str, a->len);
}

static bool same_args(const struct ir_ins *a, const struct ir_ins *b, u32 n)
{
  for (u32 k = 0; k < n; k++)
    if (!same_val(&a->args[k], &b->args[k]))
      return false;
  return true;
}

static bool reads(const struct ir_ins *i, u32 reg)
{
  for (u32 k = 0; k < i->nargs; k++)
    if (i->args[k].kind == V_REG && i->args[k].reg == reg)
      return true;
  return false;
}

static bool mentions(const struct ir_ins *i, u32 reg)
{
  return i->dst == reg || reads(i, reg);
}

static void remove_ins(struct ir_block *b, u32 at)
{
  memmove(&b->ins.v[at], &b->ins.v[at + 1], (b->ins.n - 1 - at) * sizeof(b->ins.v[0]));
  b->ins.n--;
}

/* ---- the same operation again ------------------------------------------------------------------
 */

/* What doesn't change while a handler runs. */
static bool stable(enum ir_fn_id fn)
{
  switch (fn) {
  case FN_TID:
  case FN_PID:
  case FN_PPID:
  case FN_PGRP:
  case FN_SID:
  case FN_UID:
  case FN_EUID:
  case FN_GID:
  case FN_EGID:
  case FN_EXECNAME:
  case FN_PEXECNAME:
  case FN_CPU:
  case FN_TASK_CURRENT:
  case FN_TARGET:
  case FN_STP_PID:
  case FN_PP:
  case FN_PN:
  case FN_USER_MODE:
  case FN_HZ:
  case FN_CTX_ARG:
  case FN_CTX_REG:
    return true;
  default:
    return false;
  }
}

static bool repeatable(const struct ir_ins *i)
{
  if (i->dst == IR_NO || i->op == IR_MOV)
    return false;
  if (i->op == IR_FN)
    return i->builtin->flags & BI_PURE || stable(i->builtin->fn);
  if (i->op == IR_GGET || i->op == IR_MGET || i->op == IR_MIN_)
    return true; /* handlers see globals as if they ran alone */
  return ir_ops[i->op].flags & BI_PURE || i->op == IR_DIV || i->op == IR_MOD;
}

static bool same_op(const struct ir_ins *a, const struct ir_ins *b)
{
  return a->op == b->op && a->nargs == b->nargs && a->imm == b->imm && a->imm2 == b->imm2 &&
         (a->op != IR_FN || (a->builtin == b->builtin && a->flags == b->flags)) &&
         (a->op != IR_STRTAB || a->strtab == b->strtab) && flow_global(a) == flow_global(b) &&
         same_args(a, b, a->nargs);
}

/* Results at hand; a list is never changed, a block's begins with its predecessor's. */
struct avail {
  const struct avail *next;
  struct ir_ins ins;
};

struct again {
  struct ir_module *m;
  struct ir_fn *f;
  u32 *before; /* per block: the one block before it, or IR_NO */
  const struct avail **at_end;
  bool *done;
  bool changed;
};

/* Does `i` make it unknown what the earlier instruction would yield now? */
static bool spoils(const struct ir_ins *i, const struct ir_ins *earlier)
{
  const struct ir_global *g = flow_global(earlier);
  return (i->dst != IR_NO && mentions(earlier, i->dst)) ||
         (g && (i->op == IR_CALL || (flow_writes(i) && flow_global(i) == g)));
}

static const struct avail *without(struct again *g, const struct avail *list,
                                   const struct ir_ins *i)
{
  struct avail *first = NULL, **end = &first;
  bool stays = true;
  for (const struct avail *v = list; v; v = v->next)
    stays = stays && !spoils(i, &v->ins);
  if (stays)
    return list;
  for (const struct avail *v = list; v; v = v->next) {
    if (spoils(i, &v->ins))
      continue;
    *end = NEW(g->m->a, struct avail);
    (*end)->ins = v->ins;
    end = (struct avail **)&(*end)->next;
  }
  return first;
}

static const struct avail *again_ins(struct again *g, const struct avail *list, struct ir_ins *i)
{
  bool candidate = repeatable(i);
  for (const struct avail *v = list; v && candidate; v = v->next)
    if (same_op(&v->ins, i) && v->ins.dst != i->dst) {
      struct ir_val *arg = NEW(g->m->a, struct ir_val);
      *arg = (struct ir_val){.kind = V_REG, .reg = v->ins.dst};
      *i = (struct ir_ins){.op = IR_MOV, .dst = i->dst, .nargs = 1, .args = arg, .err = IR_NO};
      g->changed = true;
      candidate = false;
    }
  list = without(g, list, i);
  if (candidate && !reads(i, i->dst)) {
    struct avail *v = NEW(g->m->a, struct avail);
    v->next = list;
    v->ins = *i;
    list = v;
  }
  return list;
}

static void again_block(struct again *g, u32 n)
{
  struct ir_block *b = g->f->blocks.v[n];
  if (g->done[n])
    return;
  g->done[n] = true;
  const struct avail *list = NULL;
  if (g->before[n] != IR_NO) {
    again_block(g, g->before[n]);
    list = g->at_end[g->before[n]];
  }
  for (u32 k = 0; k < b->ins.n; k++)
    list = again_ins(g, list, &b->ins.v[k]);
  g->at_end[n] = list;
}

static bool find_again(struct ir_module *m, struct ir_fn *f)
{
  u32 nblocks = f->blocks.n;
  struct again g = {.m = m, .f = f};
  u32 *ways = calloc(nblocks, sizeof(u32));
  g.before = calloc(nblocks, sizeof(u32));
  g.at_end = calloc(nblocks, sizeof(*g.at_end));
  g.done = calloc(nblocks, sizeof(bool));
  ways[0] = 2;
  for (u32 n = 0; n < nblocks; n++) {
    const struct ir_block *b = f->blocks.v[n];
    u32 to[2], nto = flow_succ(b, to);
    for (u32 s = 0; s < nto; s++) {
      ways[to[s]]++;
      g.before[to[s]] = n;
    }
    if (b->handler != IR_NO)
      ways[b->handler] = 2;
  }
  for (u32 n = 0; n < nblocks; n++)
    if (ways[n] != 1)
      g.before[n] = IR_NO;
  for (u32 n = 0; n < nblocks; n++)
    again_block(&g, n);
  free(ways);
  free(g.before);
  free(g.at_end);
  free(g.done);
  return g.changed;
}

/* ---- patterns within a block --------------------------------------------------------------------
 */

struct local {
  struct ir_module *m;
  struct ir_fn *f;
  struct flow_live live;
  struct ir_block *b;
};

static bool live_in_handler(const struct local *l, u32 reg)
{
  u32 h = l->b->handler;
  return h != IR_NO && flow_bit(l->live.in + (size_t)h * l->live.words, reg);
}

/* Is the register's value after instruction `at` of no use? */
static bool dead_after(const struct local *l, u32 at, u32 reg)
{
  const struct ir_block *b = l->b;
  if (live_in_handler(l, reg))
    return false;
  for (u32 k = at + 1; k < b->ins.n; k++) {
    if (reads(&b->ins.v[k], reg))
      return false;
    if (b->ins.v[k].dst == reg)
      return true;
  }
  if (flow_uses_val(b) && b->val.kind == V_REG && b->val.reg == reg)
    return false;
  return !flow_bit(l->live.out + (size_t)b->id * l->live.words, reg);
}

/* The last instruction before `at` that mentions the register; IR_NO: none does. */
static u32 last_mention(const struct ir_block *b, u32 at, u32 reg)
{
  while (at--)
    if (mentions(&b->ins.v[at], reg))
      return at;
  return IR_NO;
}

static bool assigned_between(const struct ir_block *b, u32 from, u32 to, const struct ir_ins *i)
{
  for (u32 k = from + 1; k < to; k++)
    if (b->ins.v[k].dst != IR_NO && reads(i, b->ins.v[k].dst))
      return true;
  return false;
}

static bool has_rmw(enum ir_op op, enum type type)
{
  if (type == TY_STRING)
    return op == IR_CONCAT;
  return op == IR_ADD || op == IR_SUB || op == IR_MUL || op == IR_AND || op == IR_OR ||
         op == IR_XOR || op == IR_SHL || op == IR_SHR || op == IR_USHR;
}

static bool commutes(enum ir_op op)
{
  return op == IR_ADD || op == IR_MUL || op == IR_AND || op == IR_OR || op == IR_XOR;
}

/* Where the global is read for the update that instruction `op` makes of register `t`. */
static u32 find_get(const struct local *l, const struct ir_ins *set, u32 op, u32 at, u32 t)
{
  const struct ir_block *b = l->b;
  const struct ir_global *g = set->global;
  u32 get = last_mention(b, op, t);
  if (get == IR_NO || b->ins.v[get].dst != t)
    return IR_NO;
  const struct ir_ins *i = &b->ins.v[get];
  if ((i->op != IR_GGET && i->op != IR_MGET) || i->global != g || !same_args(i, set, g->nkeys) ||
      assigned_between(b, get - 1, at, i))
    return IR_NO;
  for (u32 k = get + 1; k < at; k++)
    if (b->ins.v[k].op == IR_CALL || flow_global(&b->ins.v[k]) == g)
      return IR_NO;
  return get;
}

/* Makes the store at `at` a read-modify-write, if it is one in three instructions. */
static bool make_rmw(struct local *l, u32 at)
{
  struct ir_block *b = l->b;
  struct ir_ins *set = &b->ins.v[at];
  const struct ir_global *g = set->global;
  if ((set->op != IR_GSET && set->op != IR_MSET) || set->args[g->nkeys].kind != V_REG)
    return false;
  u32 u = set->args[g->nkeys].reg, op = last_mention(b, at, u);
  if (op == IR_NO || b->ins.v[op].dst != u || !has_rmw(b->ins.v[op].op, g->type) ||
      (g->type == TY_STRING && !g->nkeys))
    return false;
  const struct ir_ins *o = &b->ins.v[op];
  u32 side = o->args[0].kind != V_REG ||
             (commutes(o->op) && find_get(l, set, op, at, o->args[0].reg) == IR_NO);
  if (o->args[side].kind != V_REG || (side && !commutes(o->op)))
    return false;
  u32 t = o->args[side].reg, get = find_get(l, set, op, at, t);
  struct ir_val v = o->args[!side];
  if (get == IR_NO || (v.kind == V_REG && (v.reg == t || v.reg == u)) ||
      assigned_between(b, op, at, o) || (t != u && !dead_after(l, op, t)) ||
      live_in_handler(l, u) || live_in_handler(l, t))
    return false;
  for (u32 k = 0; k < g->nkeys; k++) /* keys must not be what is replaced */
    if (set->args[k].kind == V_REG && (set->args[k].reg == u || set->args[k].reg == t))
      return false;
  set->args[g->nkeys] = v;
  set->dst = u;
  set->imm = g->type == TY_STRING ? 0 : o->op;
  set->op = g->type == TY_STRING ? IR_MCAT : g->nkeys ? IR_MRMW : IR_GRMW;
  remove_ins(b, op);
  remove_ins(b, get);
  return true;
}

/* x = t at `at`, where t comes from an instruction before and goes nowhere else. */
static bool join_move(struct local *l, u32 at)
{
  struct ir_block *b = l->b;
  const struct ir_ins *mov = &b->ins.v[at];
  if (mov->op != IR_MOV || mov->args[0].kind != V_REG || mov->dst == mov->args[0].reg)
    return false;
  u32 x = mov->dst, t = mov->args[0].reg, from = last_mention(b, at, t);
  if (from == IR_NO || b->ins.v[from].dst != t || !dead_after(l, at, t) || live_in_handler(l, x))
    return false;
  struct ir_ins *i = &b->ins.v[from];
  if (reads(i, x) && l->f->regs.v[x].type == IR_STR)
    return false;
  for (u32 k = from + 1; k < at; k++)
    if (mentions(&b->ins.v[k], x))
      return false;
  i->dst = x;
  remove_ins(b, at);
  return true;
}

/* A branch on a comparison with 0 is one on what is compared. */
static bool join_branch(struct local *l)
{
  struct ir_block *b = l->b;
  if (b->term != T_BR || b->val.kind != V_REG)
    return false;
  u32 at = last_mention(b, b->ins.n, b->val.reg);
  if (at == IR_NO || b->ins.v[at].dst != b->val.reg)
    return false;
  const struct ir_ins *i = &b->ins.v[at];
  bool zero = (i->op == IR_EQ || i->op == IR_NE) && i->args[0].kind == V_REG &&
              i->args[1].kind == V_INT && i->args[1].num == 0;
  if (!zero || i->dst == i->args[0].reg || assigned_between(b, at, b->ins.n, i))
    return false;
  b->val = i->args[0];
  if (i->op == IR_EQ) {
    u32 yes = b->to[0];
    b->to[0] = b->to[1];
    b->to[1] = yes;
  }
  return true;
}

bool simplify_local(struct ir_module *m, struct ir_fn *f)
{
  bool changed = find_again(m, f);
  struct local l = {.m = m, .f = f, .live = flow_liveness(m->a, f)};
  for (u32 n = 0; n < f->blocks.n; n++) {
    l.b = f->blocks.v[n];
    for (u32 k = 0; k < l.b->ins.n; k++)
      if (make_rmw(&l, k) || join_move(&l, k)) {
        changed = true;
        k = IR_NO; /* from the start: indices have moved */
      }
    changed |= join_branch(&l);
  }
  return changed;
}

/* What registers are known to hold, block by block: a constant, the value of another register, or
 * the key of a foreach's current element.  Operands are replaced by it.
 *
 * A forward analysis over the control-flow graph: a block starts with what holds at the end of
 * every block before it; a handler, with what holds before every instruction that may leave for it.
 * Registers are assigned many times, so an assignment also ends what is known to be a copy of it.
 * Constants and copies are kept apart: what first seems to be a constant may yet be a copy.
 *
 * a[k] in a foreach over `a` with k its key is the element's own value: the loop may not
 * change the array, so the snapshot has it, and the array is read once by the handler.  */
#include "ir/simplify.h"

#include <stdlib.h>
#include <string.h>

enum { UNSEEN, ANY, INT, STR, KEY };
struct fact {
  u32 kind;
  u32 copy; /* the register that it equals, or IR_NO */
  u32 n;    /* STR: length; KEY: column */
  union {
    s64 num;
    const char *str;
    const struct ir_iter *iter;
  };
};
enum { FACTS_MAX = 1 << 21 }; /* blocks times registers: more is analysed within blocks only */

struct values {
  struct ir_module *m;
  struct ir_fn *f;
  u32 nregs;
  struct fact *in; /* per block; NULL: nothing is known at the start of blocks */
  struct fact *now;
  bool *todo;
  bool changed;
};

static const struct fact nothing = {.kind = ANY, .copy = IR_NO};

static bool same(const struct fact *a, const struct fact *b)
{
  if (a->kind != b->kind)
    return false;
  switch (a->kind) {
  case INT:
    return a->num == b->num;
  case STR:
    return a->n == b->n && !memcmp(a->str, b->str, a->n);
  case KEY:
    return a->n == b->n && a->iter == b->iter;
  default:
    return true;
  }
}

static struct fact fact_of(const struct values *v, const struct ir_val *x)
{
  struct fact k;
  switch (x->kind) {
  case V_INT:
    return (struct fact){.kind = INT, .copy = IR_NO, .num = x->num};
  case V_STR:
    if (x->len >= v->m->maxstringlen)
      return nothing;
    return (struct fact){.kind = STR, .copy = IR_NO, .n = x->len, .str = x->str};
  default:
    k = v->now[x->reg];
    if (k.copy == IR_NO)
      k.copy = x->reg;
    return k;
  }
}

static struct ir_val known(const struct values *v, struct ir_val x)
{
  if (x.kind != V_REG)
    return x;
  const struct fact *k = &v->now[x.reg];
  switch (k->kind) {
  case INT:
    return (struct ir_val){.kind = V_INT, .num = k->num};
  case STR:
    return (struct ir_val){.kind = V_STR, .str = k->str, .len = k->n};
  default:
    return k->copy == IR_NO ? x : (struct ir_val){.kind = V_REG, .reg = k->copy};
  }
}

/* ---- effects of an instruction on what is known ------------------------------------------------
 */

static void assign(struct values *v, u32 dst, struct fact k)
{
  if (k.copy == dst) /* x = x */
    return;
  for (u32 r = 0; r < v->nregs; r++)
    if (v->now[r].copy == dst)
      v->now[r].copy = IR_NO;
  v->now[dst] = k;
}

static void step(struct values *v, const struct ir_ins *i)
{
  struct fact k = nothing;
  struct ir_val x;
  if (i->op == IR_ITER_NEXT || i->op == IR_ITER_BEGIN)
    for (u32 r = 0; r < v->nregs; r++)
      if (v->now[r].kind == KEY && v->now[r].iter == i->iter)
        v->now[r].kind = ANY;
  if (i->dst == IR_NO)
    return;
  if (i->op == IR_MOV) {
    k = fact_of(v, &i->args[0]);
  } else if (i->op == IR_ITER_KEY) {
    k = (struct fact){.kind = KEY, .copy = IR_NO, .n = (u32)i->imm, .iter = i->iter};
  } else if (i->nargs && i->nargs <= 2) {
    struct ir_val args[2] = {known(v, i->args[0])};
    if (i->nargs == 2)
      args[1] = known(v, i->args[1]);
    struct ir_ins with = *i;
    with.args = args;
    fold_order(&with);
    if (fold_ins(v->m, &with, &x))
      k = fact_of(v, &x);
  }
  assign(v, i->dst, k);
}

/* ---- from block to block
 * -------------------------------------------------------------------------- */

static void flow_to(struct values *v, u32 block, u32 but)
{
  struct fact *in = v->in + (size_t)block * v->nregs;
  for (u32 r = 0; r < v->nregs; r++) {
    struct fact k = v->now[r];
    if (but != IR_NO && r == but)
      k = nothing;
    else if (but != IR_NO && k.copy == but)
      k.copy = IR_NO;
    if (in[r].kind == UNSEEN) {
      in[r] = k;
      v->todo[block] = true;
      continue;
    }
    if (in[r].kind != ANY && !same(&in[r], &k)) {
      in[r].kind = ANY;
      v->todo[block] = true;
    }
    if (in[r].copy != IR_NO && in[r].copy != k.copy) {
      in[r].copy = IR_NO;
      v->todo[block] = true;
    }
  }
}

static void start_block(struct values *v, u32 block)
{
  for (u32 r = 0; r < v->nregs; r++)
    v->now[r] = v->in ? v->in[(size_t)block * v->nregs + r] : nothing;
}

static void run_block(struct values *v, const struct ir_block *b)
{
  start_block(v, b->id);
  for (u32 k = 0; k < b->ins.n; k++) {
    const struct ir_ins *i = &b->ins.v[k];
    if (b->handler != IR_NO && ir_can_fail(i))
      flow_to(v, b->handler, i->dst);
    step(v, i);
  }
  u32 to[2], n = flow_succ(b, to);
  for (u32 s = 0; s < n; s++)
    flow_to(v, to[s], IR_NO);
}

/* The entry's registers hold anything; every other block starts unseen. */
static void analyse(struct values *v)
{
  struct ir_fn *f = v->f;
  v->in = calloc((size_t)f->blocks.n * v->nregs, sizeof(struct fact));
  v->todo = calloc(f->blocks.n, sizeof(bool));
  for (u32 r = 0; r < v->nregs; r++)
    v->in[r] = nothing;
  v->todo[0] = true;
  for (bool any = true; any;) {
    any = false;
    for (u32 n = 0; n < f->blocks.n; n++)
      if (v->todo[n]) {
        v->todo[n] = false;
        any = true;
        run_block(v, f->blocks.v[n]);
      }
  }
  free(v->todo);
}

/* ---- using it
 * ----------------------------------------------------------------------------------------- */

/* Does nothing in the foreach change its array?  The handler's calls might. */
static bool unchanged(const struct values *v, const struct ir_block *at, const struct ir_iter *it)
{
  u32 loop = at->loop;
  const struct ir_fn *f = v->f;
  for (; loop != IR_NO; loop = f->loops.v[loop].parent) {
    const struct ir_block *h = f->blocks.v[f->loops.v[loop].header];
    bool its = false;
    for (u32 k = 0; k < h->ins.n; k++)
      its |= h->ins.v[k].op == IR_ITER_NEXT && h->ins.v[k].iter == it;
    if (its)
      break;
  }
  if (loop == IR_NO)
    return false;
  for (u32 n = 0; n < f->blocks.n; n++) {
    const struct ir_block *b = f->blocks.v[n];
    if (!flow_in_loop(f, b->loop, loop))
      continue;
    for (u32 k = 0; k < b->ins.n; k++) {
      const struct ir_ins *i = &b->ins.v[k];
      if (i->op == IR_CALL || (flow_writes(i) && i->global == it->map))
        return false;
    }
  }
  return true;
}

/* The foreach over a whose current key is the k of a[k]. */
static const struct ir_iter *current_in(const struct values *v, const struct ir_ins *i)
{
  const struct ir_iter *it = NULL;
  if (i->op != IR_MGET)
    return NULL;
  for (u32 c = 0; c < i->nargs; c++) {
    if (i->args[c].kind != V_REG)
      return NULL;
    const struct fact *k = &v->now[i->args[c].reg];
    if (k->kind != KEY || k->n != c || k->iter->map != i->global || (it && k->iter != it))
      return NULL;
    it = k->iter;
  }
  return it;
}

static bool replace(struct values *v, struct ir_val *x)
{
  struct ir_val k = known(v, *x);
  if (k.kind == x->kind && (k.kind != V_REG || k.reg == x->reg))
    return false;
  *x = k;
  return true;
}

static void rewrite(struct values *v, const struct ir_block *b, struct ir_ins *i)
{
  struct ir_val x;
  for (u32 k = 0; k < i->nargs; k++)
    v->changed |= replace(v, &i->args[k]);
  v->changed |= fold_order(i);
  if (i->dst == IR_NO)
    return;
  const struct ir_iter *it = current_in(v, i);
  if (it && unchanged(v, b, it)) {
    i->op = IR_ITER_VALUE;
    i->iter = (struct ir_iter *)it;
    i->nargs = 0;
    v->changed = true;
  } else if (i->nargs && i->op != IR_MOV && fold_ins(v->m, i, &x)) {
    struct ir_ins mov = {.op = IR_MOV, .dst = i->dst, .nargs = 1, .args = i->args, .err = IR_NO};
    *i = mov;
    i->args[0] = x;
    v->changed = true;
  }
}

bool simplify_values(struct ir_module *m, struct ir_fn *f)
{
  struct values v = {.m = m, .f = f, .nregs = f->regs.n};
  if (!v.nregs)
    return false;
  v.now = calloc(v.nregs, sizeof(struct fact));
  if ((u64)v.nregs * f->blocks.n <= FACTS_MAX)
    analyse(&v);
  for (u32 n = 0; n < f->blocks.n; n++) {
    struct ir_block *b = f->blocks.v[n];
    start_block(&v, n);
    for (u32 k = 0; k < b->ins.n; k++) {
      rewrite(&v, b, &b->ins.v[k]);
      step(&v, &b->ins.v[k]);
    }
    if (flow_uses_val(b))
      v.changed |= replace(&v, &b->val);
  }
  free(v.in);
  free(v.now);
  return v.changed;
}

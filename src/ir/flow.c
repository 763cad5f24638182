/* What the passes share; see flow.h. */
#include "ir/flow.h"

#include <stdlib.h>
#include <string.h>

/* ---- instructions ---------------------------------------------------------------------- */

bool flow_removable(const struct ir_ins *i)
{
  u32 flags = i->op == IR_FN ? i->builtin->flags : ir_ops[i->op].flags;
  if (i->op == IR_DIV || i->op == IR_MOD)
    return i->args[1].kind == V_INT && i->args[1].num != 0;
  return flags & (BI_PURE | BI_READ) && !(flags & BI_FAIL);
}

struct ir_global *flow_global(const struct ir_ins *i)
{
  if (ir_has_global(i->op))
    return i->global;
  if (ir_has_iter(i->op))
    return i->iter->map;
  return NULL;
}

bool flow_writes(const struct ir_ins *i)
{
  switch (i->op) {
  case IR_GSET:
  case IR_GRMW:
  case IR_MSET:
  case IR_MRMW:
  case IR_MCAT:
  case IR_MDEL:
  case IR_MCLEAR:
  case IR_MDEL_SLICE:
  case IR_STATADD:
    return true;
  default:
    return false;
  }
}

/* ---- blocks ------------------------------------------------------------------------------- */

u32 flow_succ(const struct ir_block *b, u32 to[2])
{
  if (b->term == T_RET)
    return 0;
  to[0] = b->to[0];
  to[1] = b->to[1];
  return b->term == T_BR ? 2 : 1;
}

bool flow_block_fails(const struct ir_block *b)
{
  for (u32 k = 0; k < b->ins.n; k++)
    if (ir_can_fail(&b->ins.v[k]))
      return true;
  return false;
}

bool flow_uses_val(const struct ir_block *b)
{
  return b->term == T_BR || (b->term == T_RET && b->has_val);
}

bool flow_in_loop(const struct ir_fn *f, u32 inner, u32 outer)
{
  while (inner != outer && inner != IR_NO)
    inner = f->loops.v[inner].parent;
  return inner == outer;
}

struct ir_block *flow_new_block(struct arena *a, struct ir_fn *f, u32 loop, u32 handler)
{
  struct ir_block *b = NEW(a, struct ir_block);
  b->id = f->blocks.n;
  b->loop = loop;
  b->handler = handler;
  vec_push(a, &f->blocks, b);
  return b;
}

void flow_insert(struct arena *a, struct ir_block *b, u32 at, struct ir_ins i)
{
  vec_push(a, &b->ins, i);
  memmove(&b->ins.v[at + 1], &b->ins.v[at], (b->ins.n - 1 - at) * sizeof(i));
  b->ins.v[at] = i;
}

/* ---- pruning ------------------------------------------------------------------------------- */

static void reach(const struct ir_fn *f, bool *seen)
{
  u32 *todo = malloc((2 * f->blocks.n + 1) * sizeof(u32)), n = 0;
  todo[n++] = 0;
  seen[0] = true;
  while (n) {
    const struct ir_block *b = f->blocks.v[todo[--n]];
    u32 to[3], nto = flow_succ(b, to);
    if (b->handler != IR_NO && flow_block_fails(b))
      to[nto++] = b->handler;
    for (u32 k = 0; k < nto; k++)
      if (!seen[to[k]]) {
        seen[to[k]] = true;
        todo[n++] = to[k];
      }
  }
  free(todo);
}

/* A block keeps its handler only when it may leave for it. */
static void remove_blocks(struct ir_fn *f, const bool *seen, u32 *number)
{
  u32 n = 0;
  for (u32 k = 0; k < f->blocks.n; k++)
    number[k] = seen[k] ? n++ : IR_NO;
  for (u32 k = 0; k < f->blocks.n; k++) {
    struct ir_block *b = f->blocks.v[k];
    if (!seen[k])
      continue;
    u32 to[2], nto = flow_succ(b, to);
    for (u32 s = 0; s < nto; s++)
      b->to[s] = number[to[s]];
    if (b->handler != IR_NO)
      b->handler = number[b->handler];
    b->id = number[k];
    f->blocks.v[number[k]] = b;
  }
  f->blocks.n = n;
}

static bool loop_lives(const struct ir_fn *f, u32 loop, const bool *seen)
{
  u32 header = f->loops.v[loop].header;
  if (!seen[header])
    return false;
  for (u32 k = 0; k < f->blocks.n; k++) {
    const struct ir_block *b = f->blocks.v[k];
    u32 to[2], n = seen[k] && flow_in_loop(f, b->loop, loop) ? flow_succ(b, to) : 0;
    for (u32 s = 0; s < n; s++)
      if (to[s] == header)
        return true;
  }
  return false;
}

static bool remove_loops(struct arena *a, struct ir_fn *f, const bool *seen)
{
  u32 n = 0, *number = NEW_ARRAY(a, u32, f->loops.n + 1);
  for (u32 k = 0; k < f->loops.n; k++)
    number[k] = loop_lives(f, k, seen) ? n++ : IR_NO;
  if (n == f->loops.n)
    return false;
  for (u32 k = 0; k < f->blocks.n; k++) {
    u32 l = f->blocks.v[k]->loop;
    while (l != IR_NO && number[l] == IR_NO)
      l = f->loops.v[l].parent;
    f->blocks.v[k]->loop = l == IR_NO ? IR_NO : number[l];
  }
  for (u32 k = 0; k < f->loops.n; k++) { /* parents in the old numbers, first */
    u32 p = f->loops.v[k].parent;
    while (p != IR_NO && number[p] == IR_NO)
      p = f->loops.v[p].parent;
    f->loops.v[k].parent = p;
  }
  for (u32 k = 0; k < f->loops.n; k++)
    if (number[k] != IR_NO) {
      u32 p = f->loops.v[k].parent;
      f->loops.v[number[k]] =
          (struct ir_loop){f->loops.v[k].header, p == IR_NO ? IR_NO : number[p], f->loops.v[k].err};
    }
  f->loops.n = n;
  return true;
}

bool flow_prune(struct arena *a, struct ir_fn *f)
{
  bool *seen = NEW_ARRAY(a, bool, f->blocks.n + 1), all = true;
  for (u32 k = 0; k < f->blocks.n; k++) {
    struct ir_block *b = f->blocks.v[k];
    if (b->handler != IR_NO && !flow_block_fails(b))
      b->handler = IR_NO;
  }
  reach(f, seen);
  for (u32 k = 0; k < f->blocks.n; k++)
    all = all && seen[k];
  bool loops = remove_loops(a, f, seen);
  if (all)
    return loops;
  u32 *number = NEW_ARRAY(a, u32, f->blocks.n + 1);
  remove_blocks(f, seen, number);
  for (u32 k = 0; k < f->loops.n; k++)
    f->loops.v[k].header = number[f->loops.v[k].header];
  return true;
}

/* ---- liveness ------------------------------------------------------------------------------ */

static void use_val(u64 *set, const struct ir_val *v)
{
  if (v->kind == V_REG)
    flow_set(set, v->reg);
}

static void block_live_in(const struct ir_block *b, u64 *set, const u64 *handler, u32 words)
{
  if (flow_uses_val(b))
    use_val(set, &b->val);
  for (u32 k = b->ins.n; k--;) {
    const struct ir_ins *i = &b->ins.v[k];
    if (i->dst != IR_NO)
      flow_clear(set, i->dst);
    for (u32 j = 0; j < i->nargs; j++)
      use_val(set, &i->args[j]);
  }
  for (u32 w = 0; handler && w < words; w++)
    set[w] |= handler[w];
}

struct flow_live flow_liveness(struct arena *a, const struct ir_fn *f)
{
  struct flow_live l = {.words = f->regs.n / 64 + 1};
  l.in = NEW_ARRAY(a, u64, l.words * f->blocks.n);
  l.out = NEW_ARRAY(a, u64, l.words * f->blocks.n);
  u64 *set = NEW_ARRAY(a, u64, l.words);
  for (bool changed = true; changed;) {
    changed = false;
    for (u32 n = f->blocks.n; n--;) {
      const struct ir_block *b = f->blocks.v[n];
      u64 *out = l.out + n * l.words, *in = l.in + n * l.words;
      u32 to[2], nto = flow_succ(b, to);
      for (u32 s = 0; s < nto; s++)
        for (u32 w = 0; w < l.words; w++)
          out[w] |= l.in[to[s] * l.words + w];
      memcpy(set, out, l.words * sizeof(u64));
      const u64 *handler = b->handler == IR_NO ? NULL : l.in + b->handler * l.words;
      block_live_in(b, set, handler, l.words);
      for (u32 w = 0; w < l.words; w++)
        if (set[w] & ~in[w]) {
          in[w] |= set[w];
          changed = true;
        }
    }
  }
  return l;
}

/* ---- functions --------------------------------------------------------------------------------
 */

static void add_fn(struct flow_fns *fns, struct ir_fn *f)
{
  if (!f)
    return;
  for (u32 k = 0; k < fns->n; k++)
    if (fns->v[k] == f)
      return;
  fns->v[fns->n++] = f;
}

struct flow_fns flow_all(struct arena *a, const struct ir_module *m)
{
  struct flow_fns fns = {.v = NEW_ARRAY(a, struct ir_fn *, m->fns.n + 2 * m->probes.n + 1)};
  for (u32 k = 0; k < m->fns.n; k++)
    add_fn(&fns, m->fns.v[k]);
  for (u32 k = 0; k < m->probes.n; k++) {
    add_fn(&fns, m->probes.v[k]->handler);
    add_fn(&fns, m->probes.v[k]->cond);
  }
  return fns;
}

/* Simplification, function by function, until nothing changes:
 *
 *   values.c   operands that are known become constants or earlier registers; operations on
 *              constants are carried out (fold.c)
 *   local.c    patterns of a few instructions
 *   here       branches that always go one way, blocks that do nothing or follow each other,
 * results that nothing reads
 *
 * Errors stay: what may fail is dropped only when it is known not to.  */
#include "elaborate/program.h"
#include "ir/simplify.h"

#include <stdlib.h>
#include <string.h>

enum { ROUNDS_MAX = 16 };

/* ---- dead instructions
 * --------------------------------------------------------------------------- */

static bool moves_to_itself(const struct ir_ins *i)
{
  return i->op == IR_MOV && i->args[0].kind == V_REG && i->args[0].reg == i->dst;
}

static bool dead_in_block(struct ir_block *b, u64 *set, const u64 *handler, u32 words)
{
  bool changed = false;
  if (flow_uses_val(b) && b->val.kind == V_REG)
    flow_set(set, b->val.reg);
  for (u32 k = b->ins.n; k--;) {
    struct ir_ins *i = &b->ins.v[k];
    bool needed =
        i->dst != IR_NO && (flow_bit(set, i->dst) || (handler && flow_bit(handler, i->dst)));
    if (moves_to_itself(i) || (!needed && flow_removable(i))) {
      memmove(i, i + 1, (b->ins.n - 1 - k) * sizeof(*i));
      b->ins.n--;
      changed = true;
      continue;
    }
    if (!needed && i->dst != IR_NO) {
      i->dst = IR_NO;
      if (i->op == IR_GRMW || i->op == IR_MRMW)
        i->imm &= ~(s64)IR_RMW_OLD;
      changed = true;
    }
    if (i->dst != IR_NO)
      flow_clear(set, i->dst);
    for (u32 j = 0; j < i->nargs; j++)
      if (i->args[j].kind == V_REG)
        flow_set(set, i->args[j].reg);
    for (u32 w = 0; handler && ir_can_fail(i) && w < words; w++)
      set[w] |= handler[w];
  }
  return changed;
}

bool simplify_dead(struct ir_module *m, struct ir_fn *f)
{
  bool changed = false;
  struct flow_live l = flow_liveness(m->a, f);
  u64 *set = NEW_ARRAY(m->a, u64, l.words);
  for (u32 n = 0; n < f->blocks.n; n++) {
    struct ir_block *b = f->blocks.v[n];
    memcpy(set, l.out + (size_t)n * l.words, l.words * sizeof(u64));
    const u64 *handler = b->handler == IR_NO ? NULL : l.in + (size_t)b->handler * l.words;
    changed |= dead_in_block(b, set, handler, l.words);
  }
  return changed;
}

/* ---- blocks
 * ------------------------------------------------------------------------------------------ */

static bool is_header(const struct ir_fn *f, u32 block)
{
  u32 l = f->blocks.v[block]->loop;
  return l != IR_NO && f->loops.v[l].header == block;
}

static void leave_by_error(const struct ir_fn *f, struct ir_block *b)
{
  b->term = T_RET;
  b->has_val = f->result != IR_VOID;
  if (f->result == IR_STR)
    b->val = (struct ir_val){.kind = V_STR, .str = ""};
  else
    b->val = (struct ir_val){.kind = V_INT};
}

/* What is behind an error() isn't reached. */
static bool cut_at_error(struct ir_fn *f, struct ir_block *b)
{
  for (u32 k = 0; k < b->ins.n; k++) {
    if (b->ins.v[k].op != IR_ERROR)
      continue;
    if (k + 1 == b->ins.n && b->term == T_RET)
      return false;
    b->ins.n = k + 1;
    leave_by_error(f, b);
    return true;
  }
  return false;
}

/* Where a jump to the block ends up: behind blocks that only jump on. */
static u32 destination(const struct ir_fn *f, u32 block)
{
  for (u32 steps = 0; steps < f->blocks.n; steps++) {
    const struct ir_block *b = f->blocks.v[block];
    if (b->ins.n || b->term != T_JMP || block == 0 || is_header(f, block))
      break;
    block = b->to[0];
  }
  return block;
}

static bool straighten(struct ir_fn *f, struct ir_block *b)
{
  bool changed = cut_at_error(f, b);
  u32 to[2], n = flow_succ(b, to);
  for (u32 s = 0; s < n; s++) {
    b->to[s] = destination(f, to[s]);
    changed |= b->to[s] != to[s];
  }
  if (b->term != T_BR || (b->val.kind == V_REG && b->to[0] != b->to[1]))
    return changed;
  if (b->val.kind == V_INT && !b->val.num)
    b->to[0] = b->to[1];
  b->term = T_JMP;
  return true;
}

static u32 *count_ways_in(struct arena *a, const struct ir_fn *f)
{
  u32 *ways = NEW_ARRAY(a, u32, f->blocks.n);
  ways[0] = 1;
  for (u32 n = 0; n < f->blocks.n; n++) {
    const struct ir_block *b = f->blocks.v[n];
    u32 to[2], nto = flow_succ(b, to);
    for (u32 s = 0; s < nto; s++)
      ways[to[s]]++;
    if (b->handler != IR_NO)
      ways[b->handler] += 2;
  }
  return ways;
}

/* Appends the block that b jumps to, when there is no other way into that. */
static bool merge_next(struct arena *a, struct ir_fn *f, struct ir_block *b, const u32 *ways)
{
  if (b->term != T_JMP || ways[b->to[0]] != 1 || b->to[0] == b->id)
    return false;
  struct ir_block *next = f->blocks.v[b->to[0]];
  if (next->id == 0 || next->loop != b->loop || is_header(f, next->id))
    return false;
  if (next->handler != b->handler) {
    if (flow_block_fails(b) && flow_block_fails(next))
      return false;
    if (!flow_block_fails(b))
      b->handler = next->handler;
  }
  for (u32 k = 0; k < next->ins.n; k++)
    vec_push(a, &b->ins, next->ins.v[k]);
  b->term = next->term;
  b->has_val = next->has_val;
  b->val = next->val;
  b->to[0] = next->to[0];
  b->to[1] = next->to[1];
  next->ins.n = 0; /* nothing enters it: the next pruning takes it away */
  next->term = T_RET;
  next->has_val = false;
  next->handler = IR_NO;
  return true;
}

bool simplify_blocks(struct ir_module *m, struct ir_fn *f)
{
  bool changed = false;
  for (u32 n = 0; n < f->blocks.n; n++)
    changed |= straighten(f, f->blocks.v[n]);
  changed |= flow_prune(m->a, f);
  u32 *ways = count_ways_in(m->a, f);
  for (u32 n = 0; n < f->blocks.n; n++)
    while (ways[n] && merge_next(m->a, f, f->blocks.v[n], ways))
      changed = true;
  return changed | flow_prune(m->a, f);
}

/* ---- names of probes --------------------------------------------------------------------- */

/* In a probe's own code pp() and pn() are constants. */
static void know_names(const struct ir_module *m, struct ir_fn *f)
{
  for (u32 n = 0; f->probe && n < f->blocks.n; n++)
    for (u32 k = 0; k < f->blocks.v[n]->ins.n; k++) {
      struct ir_ins *i = &f->blocks.v[n]->ins.v[k];
      if (i->op != IR_FN || (i->builtin->fn != FN_PP && i->builtin->fn != FN_PN))
        continue;
      bool point = i->builtin->fn == FN_PP || !f->probe->name;
      const char *name = point ? f->probe->pp : f->probe->name;
      if (strlen(name) >= m->maxstringlen)
        continue;
      i->op = IR_MOV;
      i->builtin = NULL;
      i->nargs = 1;
      i->args = NEW(m->a, struct ir_val);
      *i->args = (struct ir_val){.kind = V_STR, .str = name, .len = (u32)strlen(name)};
    }
}

/* ---- the pass
 * ------------------------------------------------------------------------------------------- */

void ir_pass_simplify(struct ir_module *m)
{
  struct flow_fns fns = flow_all(m->a, m);
  for (u32 k = 0; k < fns.n; k++) {
    struct ir_fn *f = fns.v[k];
    bool changed = true;
    know_names(m, f);
    for (u32 round = 0; changed && round < ROUNDS_MAX; round++) {
      changed = simplify_blocks(m, f);
      changed |= simplify_values(m, f);
      changed |= simplify_local(m, f);
      changed |= simplify_dead(m, f);
    }
    simplify_blocks(m, f);
  }
}

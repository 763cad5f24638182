/* Calls replaced by the body of what they call: small functions everywhere, larger ones where they
 * are called from one place only.  A call costs every executor copies of the parameters and the
 * result, and BPF a subprogram that the verifier looks at on its own.
 *
 * Functions come callees first, so what is put into a caller is already as it will be.  A caller
 * stops growing at CALLER_MAX.  Functions that nothing calls any more are dropped.  */
#include "ir/flow.h"

#include <stdlib.h>
#include <string.h>

enum {
  SMALL_INS = 24, /* a function put into every caller */
  SMALL_BLOCKS = 8,
  SINGLE_INS = 160, /* into its only one */
  SINGLE_BLOCKS = 48,
  CALLER_INS = 2000,
};

struct inliner {
  struct ir_module *m;
  u32 *calls; /* per function: how many instructions call it */
  bool *done;
};

struct size {
  u32 ins, blocks;
};

static struct size size_of(const struct ir_fn *f)
{
  struct size s = {.blocks = f->blocks.n};
  for (u32 n = 0; n < f->blocks.n; n++)
    s.ins += f->blocks.v[n]->ins.n;
  return s;
}

static bool worth_it(const struct inliner *in, const struct ir_fn *caller, const struct ir_fn *f)
{
  struct size s = size_of(f);
  if (f->recursive || size_of(caller).ins + s.ins > CALLER_INS)
    return false;
  if (in->calls[f->id] == 1)
    return s.ins <= SINGLE_INS && s.blocks <= SINGLE_BLOCKS;
  return s.ins <= SMALL_INS && s.blocks <= SMALL_BLOCKS;
}

/* ---- putting a body in the place of a call
 * --------------------------------------------------------- */

/* Where the callee's registers, blocks and loops are in the caller. */
struct shift {
  struct arena *a;
  u32 reg, block, loop;
};

static struct ir_val moved_val(const struct shift *s, struct ir_val v)
{
  if (v.kind == V_REG)
    v.reg += s->reg;
  return v;
}

static void emit_mov(struct arena *a, struct ir_block *b, u32 dst, struct ir_val v)
{
  struct ir_val *arg = NEW(a, struct ir_val);
  *arg = v;
  vec_push(a, &b->ins,
           (struct ir_ins){.op = IR_MOV, .dst = dst, .nargs = 1, .args = arg, .err = IR_NO});
}

static void copy_ins(const struct shift *s, struct ir_block *to, const struct ir_ins *i)
{
  struct ir_ins c = *i;
  if (c.dst != IR_NO)
    c.dst += s->reg;
  c.args = NEW_ARRAY(s->a, struct ir_val, i->nargs);
  for (u32 k = 0; k < i->nargs; k++)
    c.args[k] = moved_val(s, i->args[k]);
  vec_push(s->a, &to->ins, c);
}

/* A copy of the callee's block.  Where the callee returns, `call`'s result is set and control goes
 * on at `after`.  */
static void copy_block(const struct shift *s, struct ir_fn *caller, const struct ir_block *from,
                       const struct ir_block *at, const struct ir_ins *call, u32 after)
{
  struct ir_block *b = caller->blocks.v[s->block + from->id];
  b->loop = from->loop == IR_NO ? at->loop : s->loop + from->loop;
  b->handler = from->handler == IR_NO ? at->handler : s->block + from->handler;
  for (u32 k = 0; k < from->ins.n; k++)
    copy_ins(s, b, &from->ins.v[k]);
  b->term = from->term;
  b->val = moved_val(s, from->val);
  if (from->term == T_RET) {
    if (call->dst != IR_NO)
      emit_mov(s->a, b, call->dst, b->val);
    b->term = T_JMP;
    b->to[0] = after;
    return;
  }
  b->to[0] = s->block + from->to[0];
  b->to[1] = s->block + from->to[1];
}

/* Replaces the call, instruction `at` of the block; the rest of the block moves to a new one. */
static void put_in(struct arena *a, struct ir_fn *caller, struct ir_block *b, u32 at)
{
  struct ir_ins call = b->ins.v[at];
  const struct ir_fn *f = call.fn;
  struct ir_block *after = flow_new_block(a, caller, b->loop, b->handler);
  struct shift s = {a, caller->regs.n, caller->blocks.n, caller->loops.n};
  for (u32 k = at + 1; k < b->ins.n; k++)
    vec_push(a, &after->ins, b->ins.v[k]);
  after->term = b->term;
  after->val = b->val;
  after->has_val = b->has_val;
  memcpy(after->to, b->to, sizeof(b->to));
  for (u32 r = 0; r < f->regs.n; r++)
    vec_push(a, &caller->regs, f->regs.v[r]);
  for (u32 l = 0; l < f->loops.n; l++) {
    u32 parent = f->loops.v[l].parent;
    struct ir_loop loop = {f->loops.v[l].header + s.block,
                           parent == IR_NO ? b->loop : parent + s.loop, f->loops.v[l].err};
    vec_push(a, &caller->loops, loop);
  }
  for (u32 n = 0; n < f->blocks.n; n++)
    flow_new_block(a, caller, IR_NO, IR_NO);
  for (u32 n = 0; n < f->blocks.n; n++)
    copy_block(&s, caller, f->blocks.v[n], b, &call, after->id);
  b->ins.n = at;
  for (u32 k = 0; k < call.nargs; k++)
    emit_mov(a, b, f->params.v[k] + s.reg, call.args[k]);
  b->term = T_JMP;
  b->to[0] = s.block;
}

/* ---- over the module
 * ------------------------------------------------------------------------------- */

static void visit(struct inliner *in, struct ir_fn *f);

static void visit_callees(struct inliner *in, struct ir_fn *f)
{
  for (u32 n = 0; n < f->blocks.n; n++)
    for (u32 k = 0; k < f->blocks.v[n]->ins.n; k++) {
      struct ir_ins *i = &f->blocks.v[n]->ins.v[k];
      if (i->op == IR_CALL && !in->done[i->fn->id]) {
        in->done[i->fn->id] = true;
        visit(in, i->fn);
      }
    }
}

/* Its own recursion apart, a function is visited when what it calls is done. */
static void visit(struct inliner *in, struct ir_fn *f)
{
  visit_callees(in, f);
  for (u32 n = 0; n < f->blocks.n;
       n++) { /* the blocks behind a call are at the end: looked at, too */
    struct ir_block *b = f->blocks.v[n];
    for (u32 k = 0; k < b->ins.n; k++)
      if (b->ins.v[k].op == IR_CALL && worth_it(in, f, b->ins.v[k].fn)) {
        put_in(in->m->a, f, b, k);
        break;
      }
  }
}

static void mark_called(const struct ir_fn *f, bool *called)
{
  for (u32 n = 0; n < f->blocks.n; n++)
    for (u32 k = 0; k < f->blocks.v[n]->ins.n; k++) {
      const struct ir_ins *i = &f->blocks.v[n]->ins.v[k];
      if (i->op == IR_CALL && !called[i->fn->id]) {
        called[i->fn->id] = true;
        mark_called(i->fn, called);
      }
    }
}

static void drop_uncalled(struct ir_module *m, bool *called)
{
  for (u32 k = 0; k < m->probes.n; k++) {
    mark_called(m->probes.v[k]->handler, called);
    if (m->probes.v[k]->cond)
      mark_called(m->probes.v[k]->cond, called);
  }
  u32 n = 0;
  for (u32 k = 0; k < m->fns.n; k++)
    if (called[k]) {
      m->fns.v[n] = m->fns.v[k];
      m->fns.v[n]->id = n;
      n++;
    }
  m->fns.n = n;
}

void ir_pass_inline(struct ir_module *m)
{
  struct inliner in = {.m = m};
  struct flow_fns fns = flow_all(m->a, m);
  in.calls = calloc(m->fns.n + 1, sizeof(u32));
  in.done = calloc(m->fns.n + 1, sizeof(bool));
  for (u32 k = 0; k < fns.n; k++)
    for (u32 n = 0; n < fns.v[k]->blocks.n; n++)
      for (u32 j = 0; j < fns.v[k]->blocks.v[n]->ins.n; j++)
        if (fns.v[k]->blocks.v[n]->ins.v[j].op == IR_CALL)
          in.calls[fns.v[k]->blocks.v[n]->ins.v[j].fn->id]++;
  for (u32 k = m->fns.n; k < fns.n; k++)
    visit(&in, fns.v[k]);
  memset(in.done, 0, m->fns.n * sizeof(bool));
  drop_uncalled(m, in.done);
  free(in.calls);
  free(in.done);
}

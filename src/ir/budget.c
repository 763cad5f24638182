/* Drops the counting of statements where the limit can't be reached: a handler without loops and
 * without recursion executes each of its statements once at most.  Functions keep theirs while any
 * other handler calls them.  */
#include "elaborate/program.h"
#include "ir/flow.h"

#include <stdlib.h>

#define UNBOUNDED UINT64_MAX

struct budget {
  const struct ir_module *m;
  u64 *most;     /* of each function, by id; 0: not known yet */
  bool *counted; /* functions that a counted handler reaches */
};

static u64 fn_most(struct budget *w, const struct ir_fn *f);

static u64 add(u64 a, u64 b)
{
  return a == UNBOUNDED || b == UNBOUNDED ? UNBOUNDED : a + b;
}

static u64 ins_most(struct budget *w, const struct ir_ins *ins)
{
  if (ins->op == IR_BUDGET)
    return (u64)ins->imm;
  if (ins->op != IR_CALL)
    return 0;
  u64 *known = &w->most[ins->fn->id];
  if (!*known)
    *known = add(1, fn_most(w, ins->fn)); /* 1: so that it is known */
  return *known;
}

/* How many statements a call of the function executes at most, those that it calls included. */
static u64 fn_most(struct budget *w, const struct ir_fn *f)
{
  u64 sum = 0;
  if (f->loops.n || f->recursive)
    return UNBOUNDED;
  for (u32 i = 0; i < f->blocks.n; i++)
    for (u32 k = 0; k < f->blocks.v[i]->ins.n && sum != UNBOUNDED; k++)
      sum = add(sum, ins_most(w, &f->blocks.v[i]->ins.v[k]));
  return sum;
}

static void count_callees(struct budget *w, const struct ir_fn *f)
{
  for (u32 i = 0; i < f->blocks.n; i++)
    for (u32 k = 0; k < f->blocks.v[i]->ins.n; k++) {
      const struct ir_ins *ins = &f->blocks.v[i]->ins.v[k];
      if (ins->op != IR_CALL || w->counted[ins->fn->id])
        continue;
      w->counted[ins->fn->id] = true;
      count_callees(w, ins->fn);
    }
}

static void drop(struct arena *a, struct ir_fn *f)
{
  for (u32 i = 0; i < f->blocks.n; i++) {
    struct ir_block *b = f->blocks.v[i];
    u32 n = 0;
    for (u32 k = 0; k < b->ins.n; k++)
      if (b->ins.v[k].op != IR_BUDGET)
        b->ins.v[n++] = b->ins.v[k];
    b->ins.n = n;
  }
  flow_prune(a, f); /* a handler of nothing else */
}

u32 ir_max_statements(const struct ir_module *m, const struct probe_inst *pi)
{
  bool interruptible = pi->kind == PROG_SESSION && pi->when != RUN_TIMER;
  return interruptible ? m->maxaction_interruptible : m->maxaction;
}

static bool is_counted(struct budget *w, const struct ir_probe *p)
{
  return !w->m->no_budget && fn_most(w, p->handler) > ir_max_statements(w->m, p->inst);
}

void ir_pass_budget(struct ir_module *m)
{
  struct budget w = {.m = m};
  w.most = calloc(m->fns.n + 1, sizeof(*w.most));
  w.counted = calloc(m->fns.n + 1, sizeof(*w.counted));
  for (u32 i = 0; i < m->probes.n; i++)
    if (is_counted(&w, m->probes.v[i]))
      count_callees(&w, m->probes.v[i]->handler);
    else
      drop(m->a, m->probes.v[i]->handler);
  for (u32 i = 0; i < m->fns.n; i++)
    if (!w.counted[i])
      drop(m->a, m->fns.v[i]);
  free(w.most);
  free(w.counted);
}

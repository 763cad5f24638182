/* Loops that turn many times within one call of their callback.
 *
 * bpf_loop() costs as much per turn as several instructions do.  Linux 6.9 and later have may_goto:
 * a conditional jump that the kernel takes when a loop has turned for long enough, so that the
 * verifier lets code jump backwards behind it, and follows a loop only until its registers hold
 * nothing new.  A loop of plain arithmetic, without calls, is made so: its variables are in
 * registers from the first turn to the last, and are written to their slots when the loop is left,
 * or when may_goto jumps.  Then the callback returns, and bpf_loop() calls it again.
 *
 * The variables come from the frame, of which the verifier knows nothing, so the second turn shows
 * it nothing new.  */
#include "bpf/gen.h"

#include "target/target.h"

/* What one instruction uses besides R0 to R2 and its operands' registers; emit.c takes R5. */
static bool clobbers(const struct ir_ins *i, u32 reg)
{
  switch (reg) {
  case R3:
    return i->op == IR_DIV || i->op == IR_MOD;
  case R4:
    return i->op == IR_GRMW;
  default:
    return false;
  }
}

/* Is it some instructions without a call? */
static bool is_plain(const struct genfn *f, const struct ir_ins *i)
{
  switch ((u32)i->op) {
  case IR_MOV:
    return IS_INT(f, i->dst);
  case IR_BUDGET:
    return true;
  case IR_GGET:
  case IR_GSET:
  case IR_GRMW:
    return i->global->type == TY_LONG;
  default:
    return i->op >= IR_ADD && i->op <= IR_GE;
  }
}

static bool may_goto(struct gen *g)
{
  if (!g->may_goto_known)
    g->may_goto = target_may_goto();
  g->may_goto_known = true;
  return g->may_goto;
}

bool turns_within(struct gen *g, const struct genfn *f, u32 loop)
{
  const struct region *r = f->region[1 + loop];
  for (u32 n = 0; n < r->order.n; n++) {
    const struct ir_block *b = f->fn->blocks.v[r->order.v[n]];
    if (b->loop != loop) /* another loop's header */
      return false;
    for (u32 k = 0; k < b->ins.n; k++)
      if (!is_plain(f, &b->ins.v[k]))
        return false;
    if (b->term == T_RET && b->has_val && f->fn->result == IR_STR)
      return false;
  }
  return may_goto(g);
}

u32 turn_calls(const struct gen *g)
{
  return g->endless ? TURN_CALLS : LOOP_MAX;
}

/* ---- what is held in registers ------------------------------------------------------------- */

static void count_use(const struct genfn *f, u32 *uses, const struct ir_val *v)
{
  if (v->kind == V_REG && f->place[v->reg].kind == PL_SLOT)
    uses[v->reg]++;
}

/* Counts the uses of each variable that has a slot, marks what is assigned, and the machine's
 * registers that are taken. */
static void look(struct gen *g, u32 loop, u32 *uses, bool *assigned, bool *taken)
{
  struct genfn *f = g->f;
  const struct region *r = f->region[1 + loop];
  for (u32 n = 0; n < r->order.n; n++) {
    const struct ir_block *b = f->fn->blocks.v[r->order.v[n]];
    for (u32 k = 0; k < b->ins.n; k++) {
      const struct ir_ins *i = &b->ins.v[k];
      for (u32 a = 0; a < i->nargs; a++)
        count_use(f, uses, &i->args[a]);
      for (u32 m = R3; m <= R4; m++)
        taken[m] |= clobbers(i, m);
      if (i->dst == IR_NO)
        continue;
      assigned[i->dst] = true;
      if (f->place[i->dst].kind == PL_SLOT)
        uses[i->dst]++;
      else if (f->place[i->dst].kind == PL_REG)
        taken[f->place[i->dst].reg] = true;
    }
    if (b->term == T_BR || (b->term == T_RET && b->has_val))
      count_use(f, uses, &b->val);
  }
}

/* Holds the most used variables in registers that the loop leaves free, and loads them. */
static void hold(struct gen *g, u32 loop, struct held *h)
{
  static const u8 candidates[HELD_MAX] = {R6, R7, R8, R3, R4};
  struct genfn *f = g->f;
  u32 nregs = f->fn->regs.n, *uses = NEW_ARRAY(g->a, u32, nregs + 1);
  bool *assigned = NEW_ARRAY(g->a, bool, nregs + 1), taken[R10 + 1] = {false};
  look(g, loop, uses, assigned, taken);
  for (u32 c = 0; c < HELD_MAX; c++) {
    u32 best = nregs;
    for (u32 r = 0; r < nregs; r++)
      if (uses[r] > uses[best])
        best = r;
    if (taken[candidates[c]] || best == nregs)
      continue;
    uses[best] = 0;
    h->v[h->n].reg = best;
    h->v[h->n].assigned = assigned[best];
    h->v[h->n++].slot = f->place[best];
    emit_ldx(g, SZ_DW, candidates[c], R9, f->place[best].off);
    f->place[best] = (struct place){.kind = PL_REG, .reg = candidates[c]};
  }
}

void turns_store(struct gen *g, const struct held *h)
{
  for (u32 k = 0; k < h->n; k++)
    if (h->v[k].assigned)
      emit_stx(g, SZ_DW, R9, h->v[k].slot.off, g->f->place[h->v[k].reg].reg);
}

void turns_begin(struct gen *g, u32 loop, struct held *h)
{
  h->n = 0;
  hold(g, loop, h);
  h->again = label_new(g);
  label_here(g, edge_label(g, g->f->fn->loops.v[loop].header));
  emit_may_goto(g, h->again);
}

void turns_end(struct gen *g, struct held *h)
{
  label_here(g, h->again);
  turns_store(g, h);
  emit_movi(g, R0, 0);
  emit_exit(g);
  for (u32 k = 0; k < h->n; k++)
    g->f->place[h->v[k].reg] = h->v[k].slot;
}

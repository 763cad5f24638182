/* Locks: words of the globals' map that compare-and-swap takes.  What a handler holds is noted in
 * its frame or on its stack, so that it is given back on every way out.  */
#include "bpf/gen.h"

/* Stack of lock_wait(): the lock's place, and whether it was taken. */
enum { WAIT_OFF = -16, WAIT_GOT = -8 };

/* R1 = the lock word at the place in R1, or leaves to `out` when that is none. */
static void lock_word(struct gen *g, u32 out)
{
  emit_jcci(g, BPF_JGT, R1, (s32)g->globals_top - 8, out);
  emit_alui(g, BPF_AND, R1, -8);
  emit_mapval(g, R2, BMAP_GLOBALS, 0);
  emit_alu(g, BPF_ADD, R2, R1);
  emit_mov(g, R1, R2);
}

/* Attempts to take a lock per MAXTRYLOCK: about the 10 microseconds that SystemTap waits between
 * two. */
enum { SPINS = 1000, SPINS_MAX = 1 << 23 /* bpf_loop's */ };

/* Callback of the waiting loop: one attempt per call, which writes only when the lock looks free.
 */
static u32 lock_attempt(struct gen *g)
{
  struct callback c = callback_begin(g, "lock_attempt", 2);
  u32 out = label_new(g);
  emit_mov(g, R6, R2);
  emit_ldx(g, SZ_DW, R1, R6, 0);
  lock_word(g, out);
  emit_ldx(g, SZ_DW, R0, R1, 0);
  emit_jcci(g, BPF_JNE, R0, 0, out);
  emit_movi(g, R3, 1);
  emit_atomic(g, BPF_CMPXCHG, R1, 0, R3);
  emit_jcci(g, BPF_JNE, R0, 0, out);
  emit_st(g, SZ_DW, R6, WAIT_GOT - WAIT_OFF, 1);
  emit_movi(g, R0, 1);
  emit_exit(g);
  label_here(g, out);
  emit_movi(g, R0, 0);
  return callback_end(g, &c);
}

/* lock_wait(place): tries for as long as MAXTRYLOCK says; 1 when it has the lock.  One for all
 * locks of a unit, verified once.  */
static u32 lock_wait(struct gen *g)
{
  if (g->lock_sub != IR_NO)
    return g->lock_sub;
  u32 attempt = lock_attempt(g);
  struct callback c = callback_begin(g, "lock_wait", 1);
  g->s->callback = false;
  g->s->global = true;
  emit_stx(g, SZ_DW, R10, WAIT_OFF, R1);
  emit_st(g, SZ_DW, R10, WAIT_GOT, 0);
  emit_movi(g, R1, (s64)MIN((u64)MAX(g->m->maxtrylock, 1u) * SPINS, (u64)SPINS_MAX));
  emit_subptr(g, R2, attempt);
  emit_mov(g, R3, R10);
  emit_alui(g, BPF_ADD, R3, WAIT_OFF);
  emit_movi(g, R4, 0);
  emit_helper(g, BPF_FUNC_loop);
  emit_ldx(g, SZ_DW, R0, R10, WAIT_GOT);
  return g->lock_sub = callback_end(g, &c);
}

static s32 held_off(const struct gen *g, const struct ir_lockset *l)
{
  for (u32 k = 0; k < g->f->locks.n; k++)
    if (g->f->locks.v[k].set == l)
      return g->f->locks.v[k].off;
  return 0;
}

static void give(struct gen *g, const struct ir_global *v)
{
  emit_mapval(g, R1, BMAP_GLOBALS, g->gmap[v->id].lock_off);
  emit_movi(g, R2, 0);
  emit_atomic(g, BPF_XCHG, R1, 0, R2);
}

/* Takes the set's locks in the order of their globals' numbers; when one is not to be had in
 * time gives back those taken and goes to `refused`. */
static void take_all(struct gen *g, const struct ir_lockset *l, u32 refused)
{
  u32 *gave_up = NEW_ARRAY(g->a, u32, l->n + 1), taken = label_new(g);
  for (u32 k = 0; k < l->n; k++) {
    u32 got = label_new(g), off = g->gmap[l->g[k]->id].lock_off;
    gave_up[k] = label_new(g);
    emit_mapval(g, R1, BMAP_GLOBALS, off);
    emit_movi(g, R0, 0);
    emit_movi(g, R2, 1);
    emit_atomic(g, BPF_CMPXCHG, R1, 0, R2);
    emit_jcci(g, BPF_JEQ, R0, 0, got);
    emit_movi(g, R1, off);
    emit_callsub(g, lock_wait(g));
    emit_jcci(g, BPF_JEQ, R0, 0, gave_up[k]);
    label_here(g, got);
  }
  emit_jmp(g, taken);
  for (u32 k = l->n; k--;) {
    label_here(g, gave_up[k]);
    if (k)
      give(g, l->g[k - 1]);
  }
  emit_jmp(g, refused);
  label_here(g, taken);
}

static void give_all(struct gen *g, const struct ir_lockset *l)
{
  for (u32 k = l->n; k--;)
    give(g, l->g[k]);
}

/* The same as functions: take() yields 1 when it has them all. */
static u32 take_function(struct gen *g, const struct ir_lockset *l)
{
  struct callback c = callback_begin(g, "take", 0);
  g->s->global = true;
  u32 refused = label_new(g);
  take_all(g, l, refused);
  emit_movi(g, R0, 1);
  emit_exit(g);
  label_here(g, refused);
  emit_movi(g, R0, 0);
  return callback_end(g, &c);
}

static u32 give_function(struct gen *g, const struct ir_lockset *l)
{
  struct callback c = callback_begin(g, "give", 0);
  g->s->global = true;
  give_all(g, l);
  emit_movi(g, R0, 0);
  return callback_end(g, &c);
}

/* Takes the set's locks, or leaves the handler as skipped. */
void sel_lock(struct gen *g, const struct ir_ins *i)
{
  u32 refused = label_new(g), taken = label_new(g);
  if (g->group) {
    emit_callsub(g, take_function(g, i->lock));
    emit_jcci(g, BPF_JEQ, R0, 0, refused);
  } else {
    take_all(g, i->lock, refused);
  }
  emit_st(g, SZ_DW, base_reg(g), held_off(g, i->lock), 1);
  emit_jmp(g, taken);
  label_here(g, refused);
  store_err(g, ERR_SKIP, -1);
  emit_jmp(g, edge_label(g, TO_ERR(g->f)));
  label_here(g, taken);
}

void emit_unlock(struct gen *g, struct ir_lockset *l)
{
  if (g->group)
    emit_callsub(g, give_function(g, l));
  else
    give_all(g, l);
  emit_st(g, SZ_DW, base_reg(g), held_off(g, l), 0);
}

/* What the passes share: edges of the control-flow graph, effects of instructions, liveness,
 * the functions of a module.  */
#ifndef STAP_IR_FLOW_H
#define STAP_IR_FLOW_H

#include "ir/ir.h"

/* ---- instructions ---------------------------------------------------------------------- */
/* Has it no effect but its result?  (Division by a constant other than 0 has none.) */
bool flow_removable(const struct ir_ins *i);
/* The global that it reads or writes, a foreach's included; NULL: none.  Not what a CALL's
 * callee does.  */
struct ir_global *flow_global(const struct ir_ins *i);
/* Does it change the global it works on? */
bool flow_writes(const struct ir_ins *i);

/* ---- blocks ------------------------------------------------------------------------------- */
/* Successors by the terminator; returns how many.  The handler is not among them. */
u32 flow_succ(const struct ir_block *b, u32 to[2]);
bool flow_block_fails(const struct ir_block *b);
bool flow_uses_val(const struct ir_block *b); /* the terminator reads b->val */
/* Is loop `inner` the same as `outer` or nested in it?  IR_NO: the function's body. */
bool flow_in_loop(const struct ir_fn *f, u32 inner, u32 outer);
struct ir_block *flow_new_block(struct arena *a, struct ir_fn *f, u32 loop, u32 handler);
/* Puts the instruction before the one at index `at` of the block. */
void flow_insert(struct arena *a, struct ir_block *b, u32 at, struct ir_ins i);
/* Drops blocks that can't be reached and loops that have no blocks or no way back to their
 * header; true when there were any.  */
bool flow_prune(struct arena *a, struct ir_fn *f);

/* ---- sets of registers --------------------------------------------------------------------- */
static inline bool flow_bit(const u64 *set, u32 i)
{
  return set[i / 64] >> (i % 64) & 1;
}
static inline void flow_set(u64 *set, u32 i)
{
  set[i / 64] |= 1ull << (i % 64);
}
static inline void flow_clear(u64 *set, u32 i)
{
  set[i / 64] &= ~(1ull << (i % 64));
}

/* Registers whose value is still needed, per block.  What a handler needs is needed throughout
 * the blocks that may leave for it.  */
struct flow_live {
  u32 words;
  u64 *in, *out; /* words per block */
};
struct flow_live flow_liveness(struct arena *a, const struct ir_fn *f);

/* ---- functions --------------------------------------------------------------------------------
 */
struct flow_fns {
  struct ir_fn **v;
  u32 n;
};
/* Every function of the module once: the script's, the handlers, the conditions. */
struct flow_fns flow_all(struct arena *a, const struct ir_module *m);

#endif

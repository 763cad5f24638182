/* The parts of ir_pass_simplify().  Each works on one function and says whether it changed it. */
#ifndef STAP_IR_SIMPLIFY_H
#define STAP_IR_SIMPLIFY_H

#include "ir/flow.h"

/* The value of an operation on constants, or the operand that it comes to (x + 0). `i` is as it
 * would be executed; false: not known (fold.c).  */
bool fold_ins(const struct ir_module *m, const struct ir_ins *i, struct ir_val *value);
/* Constants to the right, comparisons turned around for it. */
bool fold_order(struct ir_ins *i);

/* Replaces operands by the constants and registers they are known to equal (values.c). */
bool simplify_values(struct ir_module *m, struct ir_fn *f);
/* Patterns within a block and along blocks with one way in (local.c). */
bool simplify_local(struct ir_module *m, struct ir_fn *f);
/* Branches, empty blocks, blocks that follow each other (simplify.c). */
bool simplify_blocks(struct ir_module *m, struct ir_fn *f);
/* Instructions whose result nothing reads (simplify.c). */
bool simplify_dead(struct ir_module *m, struct ir_fn *f);

#endif

/* The operation tables made from ops.def. */
#ifndef STAP_IR_OPS_H
#define STAP_IR_OPS_H

#include "base/base.h"

enum { BI_FAIL = 1, BI_PURE = 2, BI_READ = 4, BI_KERNEL = 8 };
enum { IR_READ_SIGNED = 0x100 }; /* with the size in the low byte */

enum ir_op {
#define OP(id, result, args, flags) IR_##id,
#include "ir/ops.def"
  IR_NOPS
};
enum ir_fn_id {
#define FN(id, name, result, args, flags) FN_##id,
#include "ir/ops.def"
  IR_NFNS
};
struct op_info {
  const char *name;  /* "ADD" */
  char result;       /* V I S A */
  const char *args;
  u32 flags;
};
/* A built-in function.  E_OP nodes and IR_FN instructions point to these. */
struct builtin {
  const char *id;    /* "PID" */
  const char *name;  /* script name or NULL */
  char result;       /* V I S */
  const char *args;  /* 'I' / 'S' per argument */
  u32 flags;
  enum ir_fn_id fn;
};
extern const struct op_info ir_ops[IR_NOPS];
extern const struct builtin ir_builtins[IR_NFNS];
/* The built-in function of that script name and arity; NULL: none.  */
const struct builtin *builtin_find(const char *name, u32 nargs);

#endif

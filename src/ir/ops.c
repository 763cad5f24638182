/* The operation tables made from ops.def. */
#include "ir/ops.h"

#include <string.h>

const struct op_info ir_ops[IR_NOPS] = {
#define OP(id, result, args, flags) {#id, #result[0], args, flags},
#include "ir/ops.def"
};

const struct builtin ir_builtins[IR_NFNS] = {
#define FN(id, name, result, args, flags) {#id, name, #result[0], args, flags, FN_##id},
#include "ir/ops.def"
};

const struct builtin *builtin_find(const char *name, u32 nargs)
{
  for (u32 i = 0; i < IR_NFNS; i++)
    if (ir_builtins[i].name && !strcmp(ir_builtins[i].name, name) &&
        strlen(ir_builtins[i].args) == nargs)
      return &ir_builtins[i];
  return NULL;
}

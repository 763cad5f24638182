/* The intermediate representation: what a script means, once, for every executor.
 *
 * A function is a control-flow graph of basic blocks over virtual registers of type
 * integer or string (mutable; not SSA).  Strings are values of at most MAXSTRINGLEN-1
 * bytes without NUL; assignment copies.  Operands are registers or constants.
 *
 * Errors: an instruction whose operation has BI_FAIL, when it fails, leaves its block for
 * the block's `handler` (the innermost catch); without one it ends the function: an error in
 * a probe handler is reported and ends the handler, in a function it fails the caller's
 * CALL.  IR_CATCH reads the message; it is the first instruction of a handler and stands nowhere
 * else, and only errors lead to a handler.  When an instruction fails, its result register is
 * undefined: a variable that a handler may look at is assigned by a MOV behind it.
 *
 * Budget: BUDGET n, an instruction of its own error, takes n from the statements that the probe may
 * still execute.  One stands before the first statement of a block and counts the statements that
 * begin in the block; the first block of a loop's body counts one more, so every turn of a loop and every
 * call of a function that has statements passes one.  Conditions of probes have none.
 *
 * Loops are natural and nested: every block names its innermost loop, and a loop is
 * entered only through its header.  A backend without backward jumps runs the blocks of a
 * loop as a callback.  All of them come from the language's loops; a block is in the loop that
 * it was written in, even when it never gets back to the header (return, next).
 *
 * Every block can be reached, by a jump or as a handler; every register is assigned before it
 * is read, on every path.  */
#ifndef STAP_IR_IR_H
#define STAP_IR_IR_H

#include "base/base.h"
#include "ir/ops.h"
#include "lang/ast.h"

struct program;
struct probe_inst;
struct regex;

enum ir_type { IR_VOID, IR_INT, IR_STR };
#define IR_NO UINT32_MAX /* no register, no block, no loop, no error */

struct ir_val {
  enum { V_REG, V_INT, V_STR } kind;
  union {
    u32 reg;
    s64 num;
    const char *str; /* with len bytes, no NUL inside */
  };
  u32 len;
};

struct ir_reg {
  enum ir_type type;
  u32 maxlen;       /* strings: an upper bound of strlen + 1, set by ir_pass_strlen() */
  const char *name; /* the script's variable, or NULL for a temporary */
};

/* A global variable.  nkeys == 0: scalar.  */
struct ir_global {
  u32 id;
  const char *name;
  enum type type;        /* of the value: long, string, stats */
  u32 nkeys;
  enum type key_type[9];
  u32 key_maxlen[9];     /* string keys: bound incl. NUL (ir_pass_strlen) */
  u32 val_maxlen;        /* string value: likewise */
  u32 maxentries;        /* arrays */
  bool wrap;             /* % array: replaces the oldest when full */
  s64 init_num;
  const char *init_str;  /* NULL: "" */
  /* Statistics: what the script reads of it (bits of 1 << enum stat_op), and which
   * histograms it prints.  */
  u32 stat_ops;
  s64 variance_shift;
  VEC(struct hist) hists;
  bool ordered;          /* some foreach needs insertion order */
  bool is_read, is_written; /* by the script */
  bool show_at_exit;     /* written, never read: displayed at the end */
  struct loc loc;
};

struct ir_fmt {
  u32 id;
  struct print_expr *print; /* of pieces alone, and .line; arguments in order incl. "*" widths */
  u32 nargs;
  enum ir_type *arg_type;
};

struct ir_iter {           /* one foreach */
  u32 id;
  struct ir_global *map;
  int sort_dir;
  u32 sort_col;            /* 0: value, n: nth key */
  enum stat_op sort_stat;
  u32 slice_mask;          /* columns given; their values are ITER_BEGIN's first args */
  bool has_limit;          /* ITER_BEGIN's last argument */
};

struct ir_lockset {        /* globals by id */
  u32 n;
  struct ir_global **g;
  bool *write;
};

struct ir_flags {          /* value names for FLAGS_STR / ENUM_STR */
  u32 id;
  u32 n;
  const struct ir_flag_name { u64 mask, value; const char *name; } *v;
  const char *zero;        /* FLAGS_STR: text when nothing is set; NULL: as `rest` shows 0 */
  /* How what has no name is shown; in the order of runtime/rt.h's enum rt_rest. */
  enum { REST_HEX, REST_SIGNED, REST_UNSIGNED, REST_OCTAL } rest;
};

struct ir_strtab {
  u32 id, n;
  const char *const *v;    /* NULL entries: the default */
  const char *def;
};

struct ir_error {          /* the runtime error an instruction may raise */
  const char *text;        /* "division by 0"; may hold one %x for the fault address */
  const char *what;        /* "operator" "identifier" "keyword" or NULL */
  const char *token;
  struct loc loc;
};

struct ir_ins {
  enum ir_op op;
  u32 dst;                 /* register or IR_NO */
  u32 nargs;
  struct ir_val *args;
  s64 imm, imm2;
  union {
    struct ir_global *global;
    struct ir_iter *iter;
    struct ir_fmt *fmt;
    struct ir_fn *fn;
    const struct builtin *builtin;
    const struct regex *regex;
    struct ir_lockset *lock;
    struct ir_strtab *strtab;
  };
  struct ir_flags *flags;  /* FLAGS_STR, ENUM_STR */
  u32 err;                 /* index into module->errors, or IR_NO */
};
enum { IR_RMW_OLD = 0x100 }; /* in GRMW's and MRMW's imm: yield the old value */
/* Which member of the union the operation has (ops.def keeps them together). */
static inline bool ir_has_global(enum ir_op op) { return op >= IR_GGET && op <= IR_MDEL_SLICE; }
static inline bool ir_has_iter(enum ir_op op) { return op >= IR_ITER_BEGIN && op <= IR_ITER_END; }
static inline bool ir_can_fail(const struct ir_ins *ins)
{
  return (ir_ops[ins->op].flags | (ins->op == IR_FN ? ins->builtin->flags : 0)) & BI_FAIL;
}

enum ir_term { T_JMP, T_BR /* reg != 0 ? to[0] : to[1] */, T_RET };
struct ir_block {
  u32 id;                  /* its index in fn->blocks */
  VEC(struct ir_ins) ins;
  enum ir_term term;
  struct ir_val val;       /* T_BR: condition; T_RET: result when has_val */
  bool has_val;
  u32 to[2];
  u32 loop;                /* innermost loop or IR_NO */
  u32 handler;             /* catch block or IR_NO */
};
struct ir_loop {
  u32 header;              /* block */
  u32 parent;              /* enclosing loop or IR_NO */
  u32 err;                 /* of one turn too many, for executors that can't turn for ever; 0: of no place */
};

struct ir_fn {
  u32 id;
  const char *name;
  enum ir_type result;     /* handlers: IR_VOID */
  VEC(u32) params;         /* registers */
  VEC(struct ir_reg) regs;
  VEC(struct ir_block *) blocks; /* [0] is the entry */
  VEC(struct ir_loop) loops;
  bool recursive;          /* in a cycle of the call graph */
  bool is_handler;
  struct probe_inst *probe; /* handlers */
};

struct ir_probe {
  u32 id;
  struct probe_inst *inst;
  struct ir_fn *handler;
  struct ir_fn *cond;      /* "if (…)" condition: returns an integer; or NULL */
  struct ir_lockset *cond_globals; /* what the condition reads */
  struct ir_probe *same;   /* an earlier probe, itself the same as none, whose handler and condition
                              these are; or NULL (ir_pass_merge) */
};

struct ir_module {
  struct arena *a;
  struct program *prog;
  VEC(struct ir_global *) globals;
  VEC(struct ir_fn *) fns;     /* script functions still called */
  VEC(struct ir_probe *) probes;
  VEC(struct ir_fmt *) fmts;
  VEC(struct ir_iter *) iters;
  VEC(struct ir_error) errors; /* [0] unused */
  VEC(struct ir_flags *) flags;
  VEC(struct ir_strtab *) strtabs;
  u32 maxstringlen;        /* longest string, incl. NUL */
  u32 maxaction, maxaction_interruptible, maxnesting, maxtrylock, maxmapentries;
  bool no_budget;          /* --suppress-time-limits */
};

/* ---- passes, in the order the driver runs them ------------------------------- */
/* ir_build(): typed syntax tree to IR (ir/build*.c). */
struct ir_module *ir_build(struct arena *a, struct program *p, struct diag *diag);
/* Cuts literals and initial values to maxstringlen, for all that computes with them. */
void ir_cut_literals(struct ir_module *m);
void ir_pass_inline(struct ir_module *m);   /* small and single-use functions */
void ir_pass_budget(struct ir_module *m);   /* drops BUDGETs that can't fail */
void ir_pass_simplify(struct ir_module *m); /* constants, copies, dead code, dead blocks */
void ir_pass_strlen(struct ir_module *m);   /* bounds of strings */
void ir_pass_locks(struct ir_module *m);    /* inserts LOCK / UNLOCK where needed */
void ir_pass_merge(struct ir_module *m);    /* one handler for probes that do the same */
/* How many statements one run of the probe's handler may take. */
u32 ir_max_statements(const struct ir_module *m, const struct probe_inst *pi);
/* Checks every invariant above; false and a message (to `why`) at the first that fails. */
bool ir_check(const struct ir_module *m, struct strbuf *why);
/* Text form, for --dump=PASS and tests. */
void ir_print(struct strbuf *b, const struct ir_module *m);
void ir_print_fn(struct strbuf *b, const struct ir_fn *f);

#endif

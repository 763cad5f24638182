/* What the files of ir_build() share: the function being built and the emitters.
 *
 * Code is appended to the block `cur`; a statement that ends the flow (break, return …) leaves a
 * fresh block that nothing enters, and what has no way in is dropped at the end.  */
#ifndef STAP_IR_BUILD_H
#define STAP_IR_BUILD_H

#include "elaborate/program.h"
#include "ir/ir.h"

/* An enclosing loop of the statement being built. */
struct loop_ctx {
  struct loop_ctx *outer;
  u32 id; /* in fn->loops */
  u32 on_break, on_continue;
  struct ir_iter *iter; /* foreach over an array: ended by leaving */
};

struct build {
  struct arena *a;
  struct diag *diag;
  struct ir_module *m;
  VEC(struct sym_func *) queue; /* functions called, by ir_fn id */
  /* the function being built */
  struct ir_fn *fn;
  struct ir_block *cur;
  u32 loop, handler; /* that new blocks get */
  struct loop_ctx *loops;
  struct ir_block *budget_block; /* where statements are being counted, and the instruction */
  u32 budget_ins;
  VEC(u32) order; /* blocks as they were gone on with: the final order */
  u32 on_next;    /* block of the next overload; IR_NO: there is none */
};

/* Where a value is wanted: a register, or one of these. */
enum { DST_ANY = IR_NO, DST_UNUSED = IR_NO - 1 };

/* ---- values and blocks (build.c) ---- */
static inline struct ir_val val_reg(u32 r)
{
  return (struct ir_val){.kind = V_REG, .reg = r};
}
static inline struct ir_val val_int(s64 n)
{
  return (struct ir_val){.kind = V_INT, .num = n};
}
struct ir_val irb_val_str(const char *s);
u32 irb_reg_new(struct build *b, enum ir_type type, const char *name);
u32 irb_block_new(struct build *b);            /* in the current loop, under the current handler */
void irb_block_start(struct build *b, u32 id); /* go on there */
void irb_end_jmp(struct build *b, u32 to);     /* these leave cur in a new block */
void irb_end_br(struct build *b, struct ir_val v, u32 yes, u32 no);
void irb_end_ret(struct build *b, const struct ir_val *v);
enum ir_type ir_type_of(enum type t);

/* Appends an instruction; valid until the next one is appended.  The arguments are copied. */
struct ir_ins *irb_emit(struct build *b, enum ir_op op, const struct ir_val *args, u32 n);
#define EMIT(b, op, ...)                                                                           \
  irb_emit(b, op, (struct ir_val[]){__VA_ARGS__},                                                  \
           sizeof((struct ir_val[]){__VA_ARGS__}) / sizeof(struct ir_val))
/* Gives the instruction its result register. */
struct ir_val irb_result(struct build *b, struct ir_ins *ins, enum ir_type type, u32 dst);
/* The error that an instruction raises: place and token of x. */
u32 irb_error_new(struct build *b, const char *text, const struct expr *x);
u32 irb_error_at(struct build *b, const char *text, const char *what, const char *token,
                 const struct loc *loc);
void irb_fn_fall_off(struct build *b); /* returns 0, "" or nothing */
/* The function made of f and the overloads after it. */
struct ir_fn *irb_function_of(struct build *b, struct sym_func *f);

/* ---- expressions (build_expr.c) ---- */
struct ir_val irb_expr(struct build *b, const struct expr *x, u32 dst);
struct ir_val irb_value(struct build *b, const struct expr *x);
void irb_value_to(struct build *b, const struct expr *x, u32 dst);
void irb_effect(struct build *b, const struct expr *x); /* for what it does; value dropped */
/* Evaluates from left to right; out[i] stays what it was whatever the later ones assign. */
void irb_values(struct build *b, struct expr *const *x, u32 n, struct ir_val *out);
/* Branches on x; cur is left in no block that anything enters. */
void irb_condition(struct build *b, const struct expr *x, u32 yes, u32 no);
/* Stores v in a variable that is no array element. */
void irb_store(struct build *b, const struct expr *var, struct ir_val v);
#define EMPTY_AGGREGATE "empty aggregate"
#define READ_FAULT "read fault [man error::fault] at 0x%x"
/* Raises an error at x unless ok is other than 0. */
void irb_raise_unless(struct build *b, struct ir_val ok, const char *text, const struct expr *x);
/* Raises "empty aggregate" when the statistic that h is a histogram of has no values. */
void irb_need_samples(struct build *b, const struct expr *h, const struct ir_val *keys);
u32 irb_hist_index(const struct ir_global *g, const struct hist *h);

/* ---- print and its kin (build_print.c) ---- */
struct ir_val irb_print_expr(struct build *b, const struct expr *x, u32 dst);

/* ---- statements (build_stmt.c) ---- */
void irb_statement(struct build *b, const struct stmt *s);

#endif

/* Script variables of system calls: registers cut to their arguments' width, shown by the decoders
 * of the table.  Memory is the process's.  What can't be read there is shown as its address and
 * read as 0 or "": a probe of a system call doesn't fail because of the call's arguments.  */
#include "probe/syscall_vars.h"

#include <asm/ptrace.h>
#include <string.h>

#include "elaborate/state.h"
#include "ir/ir.h"
#include "probe/sprint.h"

/* Context words of the programs (elaborate/program.h). */
enum { WORD_REGS = 0, WORD_RESULT = 1 };

struct expr *syscall_register(struct elab *e, u32 arg, const struct loc *loc)
{
  static const struct {
    u32 offset;
    const char *name;
  } regs[SYSCALL_MAX_ARGS] = {
      {offsetof(struct pt_regs, rdi), "%rdi"}, {offsetof(struct pt_regs, rsi), "%rsi"},
      {offsetof(struct pt_regs, rdx), "%rdx"}, {offsetof(struct pt_regs, r10), "%r10"},
      {offsetof(struct pt_regs, r8), "%r8"},   {offsetof(struct pt_regs, r9), "%r9"},
  };
  struct expr *x = op_fn(e, loc, &ir_builtins[FN_CTX_REG], 0, NULL);
  x->name = regs[arg].name;
  x->imm = regs[arg].offset;
  x->imm2 = WORD_REGS;
  return x;
}

struct expr *syscall_result(struct elab *e, const struct loc *loc)
{
  struct expr *x = op_fn(e, loc, &ir_builtins[FN_CTX_ARG], 0, NULL);
  x->name = "$return";
  x->imm = WORD_RESULT;
  return x;
}

/* ---- arguments --------------------------------------------------------------------------- */

/* How a 32-bit argument is extended: by its type, or for display as bits. */
enum sign { SIGN_OF_TYPE, SIGN_NONE };

static struct expr *masked(struct elab *e, struct expr *x, u64 mask, const struct loc *loc)
{
  return op_binary(e, loc, OP_AND, x, op_num(e, loc, (s64)mask));
}

static struct expr *argument(struct elab *e, const struct syscall_row *row, u32 arg, enum sign sign,
                             const struct loc *loc)
{
  struct expr *reg = syscall_register(e, arg, loc);
  switch (row->args[arg].width) {
  case W_64:
    return reg;
  case W_U16:
    return masked(e, reg, 0xffff, loc);
  case W_U32:
    return masked(e, reg, 0xffffffff, loc);
  case W_S32:
    if (sign == SIGN_NONE)
      return masked(e, reg, 0xffffffff, loc);
    return op_binary(e, loc, OP_SHR, op_binary(e, loc, OP_SHL, reg, op_num(e, loc, 32)),
                     op_num(e, loc, 32));
  }
  return reg;
}

/* "%d" shows a sign, the other conversions show bits. */
static enum sign sign_of(const struct syscall_kind_info *k)
{
  if (k->class == SC_FLAGS)
    return SIGN_NONE;
  return k->fmt && !strchr(k->fmt, 'd') ? SIGN_NONE : SIGN_OF_TYPE;
}

static struct expr *call1(struct elab *e, enum ir_fn_id fn, struct expr *a, const struct loc *loc)
{
  return op_fn(e, loc, &ir_builtins[fn], 1, &a);
}

static struct expr *call2(struct elab *e, enum ir_fn_id fn, struct expr *a, struct expr *b,
                          const struct loc *loc)
{
  return op_fn(e, loc, &ir_builtins[fn], 2, (struct expr *[]){a, b});
}

/* A function of the tapset. */
static struct expr *script_call(struct elab *e, const char *name, struct expr *arg, enum type type,
                                const struct loc *loc)
{
  struct expr *x = expr_new(e->a, E_CALL, loc);
  x->name = name;
  x->type = type;
  vec_push(e->a, &x->args, arg);
  return x;
}

/* ---- decoders ---------------------------------------------------------------------------- */

static u32 rest_of(const struct syscall_kind_info *k)
{
  static const struct {
    const char *fmt;
    u32 rest;
  } forms[] = {{"%d", REST_SIGNED}, {"%u", REST_UNSIGNED}, {"%#o", REST_OCTAL}};
  for (u32 i = 0; i < ARRAY_SIZE(forms); i++)
    if (!strcmp(k->fmt ? k->fmt : "%d", forms[i].fmt))
      return forms[i].rest;
  return REST_HEX;
}

/* The table of a kind as pass 3 wants it; one per kind, so that equal tables are one. */
static const struct ir_flags *value_names(struct elab *e, enum syscall_kind kind)
{
  static const struct ir_flag_name dirfd[] = {{~0ull, (u64)-100, "AT_FDCWD"}};
  const struct syscall_kind_info *k = &syscall_kinds[kind];
  const char *key = arena_printf(e->a, "values of %s", k->name);
  struct ir_flags *f = strmap_get(&e->st->synth, key);
  if (f)
    return f;
  f = NEW(e->a, struct ir_flags);
  strmap_put(&e->st->synth, key, f);
  f->rest = rest_of(k);
  if (k->class == SC_DIRFD) {
    f->n = ARRAY_SIZE(dirfd);
    f->v = dirfd;
    return f;
  }
  struct ir_flag_name *v = NEW_ARRAY(e->a, struct ir_flag_name, k->values->n);
  for (u32 i = 0; i < k->values->n; i++)
    v[i] = (struct ir_flag_name){k->values->v[i].mask, k->values->v[i].value, k->values->v[i].name};
  f->n = k->values->n;
  f->v = v;
  f->zero = k->values->zero;
  return f;
}

static struct expr *named_value(struct elab *e, enum ir_fn_id fn, enum syscall_kind kind,
                                struct expr *value, const struct loc *loc)
{
  struct expr *x = call1(e, fn, value, loc);
  x->name = syscall_kinds[kind].name;
  x->flags = value_names(e, kind);
  return x;
}

struct expr *syscall_value_name(struct elab *e, const char *table, struct expr *value)
{
  for (u32 k = 0; k < SYSCALL_KINDS; k++)
    if (syscall_kinds[k].values && !strcmp(syscall_kinds[k].name, table))
      return named_value(e, syscall_kinds[k].class == SC_FLAGS ? FN_FLAGS_STR : FN_ENUM_STR, k,
                         value, &value->loc);
  return NULL;
}

/* The text of an argument; NULL: it is a number that a format shows. */
static struct expr *decoded(struct elab *e, const struct syscall_row *row, u32 arg,
                            enum syscall_kind kind, const struct loc *loc)
{
  const struct syscall_kind_info *k = &syscall_kinds[kind];
  struct expr *value = argument(e, row, arg, sign_of(k), loc);
  switch (k->class) {
  case SC_NUM:
  case SC_LATER:
    return NULL;
  case SC_FLAGS:
    return named_value(e, FN_FLAGS_STR, kind, value, loc);
  case SC_ENUM:
  case SC_DIRFD:
    return named_value(e, FN_ENUM_STR, kind, value, loc);
  case SC_STRING:
    return call1(e, FN_USER_STRING_QUOTED, value, loc);
  case SC_BUFFER:
    return call2(e, FN_USER_STRING_N_QUOTED, value,
                 argument(e, row, (u32)row->args[arg].len_arg, SIGN_OF_TYPE, loc), loc);
  }
  return NULL;
}

static void put_argument(struct elab *e, struct expr *text, const struct syscall_row *row, u32 arg,
                         enum syscall_kind kind, const struct loc *loc)
{
  const struct syscall_kind_info *k = &syscall_kinds[kind];
  struct expr *s = decoded(e, row, arg, kind, loc);
  if (s)
    sprint_arg(e, text, "%s", s);
  else
    sprint_arg(e, text, k->fmt, argument(e, row, arg, sign_of(k), loc));
}

static struct expr *argument_text(struct elab *e, const struct syscall_row *row, u32 arg,
                                  enum syscall_kind kind, const struct loc *loc)
{
  struct expr *text = sprint_new(e, loc);
  put_argument(e, text, row, arg, kind, loc);
  return sprint_done(e, text);
}

/* ", text" when the piece's condition holds, else "". */
static struct expr *conditional_piece(struct elab *e, const struct syscall_row *row,
                                      const struct syscall_piece *p, bool first,
                                      const struct loc *loc)
{
  struct expr *text = sprint_new(e, loc), *x = expr_new(e->a, E_TERNARY, loc);
  if (!first)
    sprint_text(e, text, ", ");
  put_argument(e, text, row, (u32)p->arg, row->args[p->arg].kind, loc);
  x->type = TY_STRING;
  x->a = masked(e, syscall_register(e, (u32)p->when_arg, loc), p->when_mask, loc);
  x->b = sprint_done(e, text);
  x->c = op_str(e, loc, "");
  return x;
}

static struct expr *argstr(struct elab *e, const struct syscall_row *row, const struct loc *loc)
{
  struct syscall_piece all[SYSCALL_MAX_ARGS + 1];
  struct expr *text = sprint_new(e, loc);
  const struct syscall_piece *p = syscall_pieces(row, all);
  for (bool first = true; p->arg >= 0; p++, first = false) {
    if (p->when_arg >= 0) {
      sprint_arg(e, text, "%s", conditional_piece(e, row, p, first, loc));
      continue;
    }
    if (!first)
      sprint_text(e, text, ", ");
    put_argument(e, text, row, (u32)p->arg, row->args[p->arg].kind, loc);
  }
  return sprint_done(e, text);
}

static struct expr *retstr(struct elab *e, const struct syscall_row *row, const struct loc *loc)
{
  /* returnstr()'s formats */
  static const s64 format[] = {[RET_DEC] = 1, [RET_HEX] = 2, [RET_OCT] = 3};
  if (row->ret == RET_NONE)
    return op_str(e, loc, "N/A");
  return call2(e, FN_RETSTR, syscall_result(e, loc), op_num(e, loc, format[row->ret]), loc);
}

/* ---- variables ----------------------------------------------------------------------------- */

static struct expr *plain_string(struct elab *e, const struct syscall_row *row, u32 arg,
                                 const struct loc *loc)
{
  struct expr *addr = argument(e, row, arg, SIGN_OF_TYPE, loc);
  struct expr *none = op_str(e, loc, "");
  s32 len = row->args[arg].len_arg;
  if (len < 0)
    return call2(e, FN_USER_STRING2, addr, none, loc);
  struct expr *n = argument(e, row, (u32)len, SIGN_OF_TYPE, loc);
  return op_fn(e, loc, &ir_builtins[FN_USER_STRING_N2], 3, (struct expr *[]){addr, n, none});
}

static struct expr *load(struct elab *e, const struct syscall_row *row,
                         const struct syscall_var *var, const char *function, const struct loc *loc)
{
  struct expr *addr = argument(e, row, var->arg, SIGN_OF_TYPE, loc);
  if (var->num)
    addr = op_binary(e, loc, OP_ADD, addr, op_num(e, loc, var->num));
  return script_call(e, function, addr, TY_LONG, loc);
}

static struct expr *sockaddr_part(struct elab *e, const struct syscall_row *row,
                                  const struct syscall_var *var, const struct loc *loc)
{
  static const char *const function[] = {
      [SA_FAMILY] = "__sockaddr_family",     [SA_IP] = "__sockaddr_ip",
      [SA_PORT] = "__sockaddr_port",         [SA_FLOWINFO] = "__sockaddr_flowinfo",
      [SA_SCOPE_ID] = "__sockaddr_scope_id",
  };
  return script_call(e, function[var->num], argument(e, row, var->arg, SIGN_OF_TYPE, loc),
                     TY_STRING, loc);
}

struct expr *syscall_var_value(struct elab *e, const struct syscall_row *row,
                               const struct syscall_var *var, const struct loc *loc)
{
  switch (var->kind) {
  case SV_NUM:
    return argument(e, row, var->arg, SIGN_OF_TYPE, loc);
  case SV_TEXT:
    return argument_text(e, row, var->arg, syscall_var_decode(row, var), loc);
  case SV_PLAIN:
    return plain_string(e, row, var->arg, loc);
  case SV_CONST:
    return op_num(e, loc, var->num);
  case SV_EMPTY:
    return op_str(e, loc, "");
  case SV_LOAD32:
    return load(e, row, var, "user_int", loc);
  case SV_LOAD64:
    return load(e, row, var, "user_long", loc);
  case SV_FIELD:
    return sockaddr_part(e, row, var, loc);
  case SV_NR:
    return op_num(e, loc, row->nr);
  case SV_NAME:
    return op_str(e, loc, row->label);
  case SV_ARGSTR:
    return argstr(e, row, loc);
  case SV_RETVAL:
    return syscall_result(e, loc);
  case SV_RETSTR:
    return retstr(e, row, loc);
  }
  return op_num(e, loc, 0);
}

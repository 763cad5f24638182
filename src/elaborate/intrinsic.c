/* Functions that are neither written in the script language nor done at run time: what they stand
 * for depends on the probe that calls them, on the table of system calls, or on where stap runs. */
#include <asm/ptrace.h>
#include <string.h>
#include <time.h>

#include "elaborate/state.h"
#include "ir/ir.h"
#include "probe/syscall_vars.h"

typedef struct expr *(*expander)(struct elab *e, struct scope *sc, struct expr *call);

/* ---- arguments and results of system calls ------------------------------------------------ */

static struct expr *not_here(struct elab *e, struct expr *call, const char *where)
{
  expr_error(e, call, "%s() can be called in the body of %s only", call->name, where);
  return NULL;
}

static bool in_syscall(const struct scope *sc)
{
  return sc->probe &&
         (sc->probe->kind == PROG_SYSCALL_ENTER || sc->probe->kind == PROG_SYSCALL_EXIT);
}

/* Argument n, from 1, cut to 32 bits with or without sign when asked for. */
static struct expr *argument(struct elab *e, struct scope *sc, struct expr *call)
{
  s64 n;
  if (!in_syscall(sc))
    return not_here(e, call, "a system call's probe");
  if (!fold_const(e, &call->args.v[0]) || !expr_const(call->args.v[0], &n) || n < 1 ||
      n > SYSCALL_MAX_ARGS) {
    expr_error(e, call, "%s(): the argument's number must be 1 to %d", call->name,
               SYSCALL_MAX_ARGS);
    return NULL;
  }
  struct expr *reg = syscall_register(e, (u32)n - 1, &call->loc);
  if (!strcmp(call->name, "uint_arg") || !strcmp(call->name, "u32_arg"))
    return op_binary(e, &call->loc, OP_AND, reg, op_num(e, &call->loc, 0xffffffff));
  if (strcmp(call->name, "int_arg") && strcmp(call->name, "s32_arg"))
    return reg;
  struct expr *high = op_binary(e, &call->loc, OP_SHL, reg, op_num(e, &call->loc, 32));
  return op_binary(e, &call->loc, OP_SHR, high, op_num(e, &call->loc, 32));
}

/* How arguments are passed is known without being told. */
static struct expr *nothing(struct elab *e, struct scope *sc, struct expr *call)
{
  (void)sc;
  return op_num(e, &call->loc, 0);
}

static struct expr *returnval(struct elab *e, struct scope *sc, struct expr *call)
{
  if (!in_syscall(sc) || !sc->probe->is_return)
    return not_here(e, call, "a system call's return probe");
  return syscall_result(e, &call->loc);
}

static struct expr *returnstr(struct elab *e, struct scope *sc, struct expr *call)
{
  struct expr *value = returnval(e, sc, call);
  if (!value)
    return NULL;
  return op_fn(e, &call->loc, &ir_builtins[FN_RETSTR], 2,
               (struct expr *[]){value, call->args.v[0]});
}

/* A sample's code segment tells whether it was taken in user mode. */
static struct expr *user_mode(struct elab *e, struct scope *sc, struct expr *call)
{
  (void)sc;
  struct expr *cs = op_fn(e, &call->loc, &ir_builtins[FN_CTX_ARG], 0, NULL);
  cs->name = "%cs";
  cs->imm = offsetof(struct pt_regs, cs) / 8;
  struct expr *ring = op_binary(e, &call->loc, OP_AND, cs, op_num(e, &call->loc, 3));
  return op_binary(e, &call->loc, OP_NE, ring, op_num(e, &call->loc, 0));
}

/* ---- tables --------------------------------------------------------------------------------- */

/* Number to name; of the x86-64 calls. */
static struct expr *syscall_name(struct elab *e, struct scope *sc, struct expr *call)
{
  (void)sc;
  struct ir_strtab *t = strmap_get(&e->st->synth, "names of system calls");
  if (!t) {
    u32 n = syscall_rows[syscall_nrows - 1].nr + 1;
    const char **names = NEW_ARRAY(e->a, const char *, n);
    for (u32 i = 0; i < syscall_nrows; i++)
      names[syscall_rows[i].nr] = syscall_rows[i].name;
    t = NEW(e->a, struct ir_strtab);
    t->n = n;
    t->v = names;
    t->def = "";
    strmap_put(&e->st->synth, "names of system calls", t);
  }
  struct expr *x = op_fn(e, &call->loc, NULL, 1, call->args.v);
  x->name = call->name;
  x->strtab = t;
  return x;
}

/* "__value_name("SIGNAL", 9)": by the tables that decode system calls' arguments. */
static struct expr *value_name(struct elab *e, struct scope *sc, struct expr *call)
{
  (void)sc;
  const struct expr *kind = call->args.v[0];
  struct expr *x = kind->kind == E_STR ? syscall_value_name(e, kind->str, call->args.v[1]) : NULL;
  if (!x)
    expr_error(e, call, "%s(): no such table of values", call->name);
  return x;
}

/* ---- where stap runs --------------------------------------------------------------------------
 */

static const struct tm *local_time(struct tm *tm)
{
  time_t now = time(NULL);
  return localtime_r(&now, tm);
}

/* Seconds west of Greenwich. */
static struct expr *tz_gmtoff(struct elab *e, struct scope *sc, struct expr *call)
{
  (void)sc;
  struct tm tm;
  return op_num(e, &call->loc, local_time(&tm) ? -tm.tm_gmtoff : 0);
}

static struct expr *tz_name(struct elab *e, struct scope *sc, struct expr *call)
{
  (void)sc;
  struct tm tm;
  return op_str(e, &call->loc, local_time(&tm) ? arena_strdup(e->a, tm.tm_zone) : "UTC");
}

static struct expr *module_name(struct elab *e, struct scope *sc, struct expr *call)
{
  (void)sc;
  return op_str(e, &call->loc, e->module_name);
}

/* ---- all
 * ------------------------------------------------------------------------------------------ */

static const struct intrinsic {
  const char *name, *signature;
  u32 nargs;
  expander expand;
} intrinsics[] = {
    {"int_arg", "int_arg:long (argnum:long)", 1, argument},
    {"s32_arg", "s32_arg:long (argnum:long)", 1, argument},
    {"uint_arg", "uint_arg:long (argnum:long)", 1, argument},
    {"u32_arg", "u32_arg:long (argnum:long)", 1, argument},
    {"long_arg", "long_arg:long (argnum:long)", 1, argument},
    {"ulong_arg", "ulong_arg:long (argnum:long)", 1, argument},
    {"longlong_arg", "longlong_arg:long (argnum:long)", 1, argument},
    {"ulonglong_arg", "ulonglong_arg:long (argnum:long)", 1, argument},
    {"s64_arg", "s64_arg:long (argnum:long)", 1, argument},
    {"u64_arg", "u64_arg:long (argnum:long)", 1, argument},
    {"pointer_arg", "pointer_arg:long (argnum:long)", 1, argument},
    {"asmlinkage", "asmlinkage:unknown ()", 0, nothing},
    {"fastcall", "fastcall:unknown ()", 0, nothing},
    {"regparm", "regparm:unknown (n:long)", 1, nothing},
    {"returnval", "returnval:long ()", 0, returnval},
    {"returnstr", "returnstr:string (format:long)", 1, returnstr},
    {"syscall_name", "syscall_name:string (num:long)", 1, syscall_name},
    {"module_name", "module_name:string ()", 0, module_name},
    {"tz_gmtoff", "tz_gmtoff:long ()", 0, tz_gmtoff},
    {"tz_name", "tz_name:string ()", 0, tz_name},
    {"__value_name", NULL, 2, value_name},
    {"user_mode", NULL, 0, user_mode}, /* in a performance event's probe */
};

const char *intrinsic_signature(u32 i)
{
  u32 seen = 0;
  for (u32 k = 0; k < ARRAY_SIZE(intrinsics); k++)
    if (intrinsics[k].signature && seen++ == i)
      return intrinsics[k].signature;
  return NULL;
}

bool is_intrinsic(const char *name, u32 nargs)
{
  for (u32 i = 0; i < ARRAY_SIZE(intrinsics); i++)
    if (intrinsics[i].nargs == nargs && !strcmp(intrinsics[i].name, name))
      return true;
  return false;
}

bool resolve_intrinsic(struct elab *e, struct scope *sc, struct expr **px)
{
  struct expr *x = *px;
  for (u32 i = 0; i < ARRAY_SIZE(intrinsics); i++)
    if (intrinsics[i].nargs == x->args.n && !strcmp(intrinsics[i].name, x->name)) {
      struct expr *with = intrinsics[i].expand(e, sc, x);
      if (with)
        *px = with;
      return with != NULL;
    }
  return false;
}

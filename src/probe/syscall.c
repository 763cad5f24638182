/* syscall.NAME and syscall.NAME.return: the system calls of the table.
 *
 * Every row is a handler on the tracepoint that all calls pass on their way in or out, run for the
 * row's number only.  nd_syscall, dw_syscall and tp_syscall, which tell mechanisms apart elsewhere,
 * are the same probes here.  */
#include <stdlib.h>
#include <string.h>

#include "elaborate/state.h"
#include "probe/deref.h"
#include "probe/sprint.h"
#include "probe/syscall_vars.h"
#include "target/target.h"

enum { MAX_SIMILAR = 5 };

extern const struct probe_family syscall_family;

static const struct syscall_row *row_of(const struct probe_inst *pi)
{
  return pi->priv;
}

/* ---- expansion ----------------------------------------------------------------------------- */

static u32 kernel_version(const char *release)
{
  char *end;
  u32 major = (u32)strtoul(release, &end, 10);
  return SYSCALL_KERNEL(major, *end == '.' ? (u32)strtoul(end + 1, NULL, 10) : 0);
}

static bool is_present(struct elab *e, const struct syscall_row *row)
{
  if (!syscall_in_kernel(row, kernel_version(e->target->release)))
    return false;
  return !syscall_is_optional(row) || !target_syscall_missing(e->target, row->kfunc);
}

static void add_instance(struct elab *e, const struct probe_point *pt,
                         const struct syscall_row *row, bool is_return, struct probe_insts *out)
{
  struct probe_point *canonical = NEW(e->a, struct probe_point);
  canonical->loc = pt->loc;
  for (u32 i = 0; i < MIN(pt->parts.n, 3u); i++)
    vec_push(e->a, &canonical->parts, pt->parts.v[i]);
  canonical->parts.v[1].name = row->probe;
  if (is_return)
    canonical->parts.v[2].name = "return";
  struct probe_inst *pi = probe_inst_new(e, &syscall_family, canonical);
  pi->kind = is_return ? PROG_SYSCALL_EXIT : PROG_SYSCALL_ENTER;
  pi->attach = is_return ? "sys_exit" : "sys_enter";
  pi->number = row->nr;
  pi->is_return = is_return;
  pi->priv = (void *)row;
  vec_push(e->a, &out->v, pi);
}

static const char *no_match(struct elab *e, const char *name)
{
  VEC(const char *) near = {0};
  const struct syscall_row *row = syscall_next(name, NULL);
  if (row && !is_present(e, row))
    return arena_printf(e->a, "no match: kernel %s doesn't have this system call",
                        e->target->release);
  for (u32 i = 0; i < syscall_nrows; i++)
    if (is_present(e, &syscall_rows[i]))
      vec_push(e->a, &near, syscall_rows[i].probe);
  const char *similar = diag_similar(e->a, name, near.v, near.n, MAX_SIMILAR);
  return similar ? arena_printf(e->a, "no match (similar system calls: %s)", similar) : "no match";
}

/* point = ("syscall" | "nd_syscall" | "dw_syscall" | "tp_syscall") "." NAME ["." "return"] */
static int expand(struct elab *e, struct probe_point *pt, struct probe_insts *out, const char **why)
{
  u32 before = out->v.n;
  const struct point_part *name = pt->parts.n > 1 ? &pt->parts.v[1] : NULL;
  if (!name || pt->parts.v[0].has_arg || name->has_arg)
    return -1;
  bool is_return = pt->parts.n > 2;
  if (is_return && (pt->parts.v[2].has_arg || !probe_match(pt->parts.v[2].name, "return"))) {
    *why = "invalid suffix for probe";
    e->why_part = &pt->parts.v[2];
    return -1;
  }
  if (pt->parts.n > 3) {
    *why = "invalid suffix for probe";
    e->why_part = &pt->parts.v[3];
    return -1;
  }
  for (u32 i = 0; i < syscall_nrows; i++) {
    const struct syscall_row *row = &syscall_rows[i];
    if (probe_match(name->name, row->probe) && is_present(e, row))
      add_instance(e, pt, row, is_return, out);
  }
  if (out->v.n == before) {
    *why = probe_wildcard(name->name) ? "probe point mismatch: didn't find any wildcard matches"
                                      : no_match(e, name->name);
    e->why_part = name;
  }
  return (int)(out->v.n - before);
}

/* ---- variables ----------------------------------------------------------------------------- */

static void vars(struct elab *e, struct probe_inst *pi, struct probe_vars *out)
{
  const struct syscall_row *row = row_of(pi);
  for (const struct syscall_var *v = pi->is_return ? row->rvars : row->vars; v->name; v++)
    if (!v->hidden)
      vec_push(e->a, &out->v,
               (struct probe_var){v->name, syscall_var_is_string(v->kind) ? "string" : "long"});
  if (pi->is_return)
    vec_push(e->a, &out->v, (struct probe_var){"$return", SYSCALL_RAW_TYPE});
  for (u32 i = 0; i < syscall_nargs(row); i++)
    vec_push(e->a, &out->v,
             (struct probe_var){arena_printf(e->a, "$%s", row->args[i].name), SYSCALL_RAW_TYPE});
}

static struct stmt *prologue(struct elab *e, struct probe_inst *pi)
{
  const struct syscall_row *row = row_of(pi);
  struct stmt *block = stmt_new(e->a, S_BLOCK, &pi->loc);
  for (const struct syscall_var *v = pi->is_return ? row->rvars : row->vars; v->name; v++) {
    struct expr *set = expr_new(e->a, E_ASSIGN, &pi->loc);
    set->op = OP_NONE;
    set->a = expr_new(e->a, E_SYM, &pi->loc);
    set->a->name = v->name;
    set->b = syscall_var_value(e, row, v, &pi->loc);
    struct stmt *s = stmt_new(e->a, S_EXPR, &pi->loc);
    s->e = set;
    vec_push(e->a, &block->body, s);
  }
  return block;
}

/* A successful exec leaves no arguments in the registers. */
static bool is_exec(const struct syscall_row *row)
{
  return !strcmp(row->name, "execve") || !strcmp(row->name, "execveat");
}

/* $filename: the register as the call came with it. */
static struct expr *raw_argument(struct elab *e, struct probe_inst *pi, u32 arg,
                                 const struct loc *loc)
{
  struct expr *x = syscall_register(e, arg, loc);
  return pi->is_return && is_exec(row_of(pi)) ? entry_value(e, pi, x, loc) : x;
}

/* "filename=0x7ffe… flags=0x0": $$parms of an entry probe; $$return of a return probe. */
static struct expr *whole(struct elab *e, struct probe_inst *pi, bool parms, const struct loc *loc)
{
  const struct syscall_row *row = row_of(pi);
  struct expr *x = sprint_new(e, loc);
  for (u32 i = 0; parms && i < syscall_nargs(row); i++) {
    sprint_text(e, x, arena_printf(e->a, "%s%s=", i ? " " : "", row->args[i].name));
    sprint_arg(e, x, "0x%x", raw_argument(e, pi, i, loc));
  }
  if (!parms && pi->is_return) {
    sprint_text(e, x, "return=");
    sprint_arg(e, x, "0x%x", syscall_result(e, loc));
  }
  return sprint_done(e, x);
}

static struct expr *unknown(struct elab *e, const struct probe_inst *pi, const struct expr *x)
{
  const struct syscall_row *row = row_of(pi);
  struct strbuf b = {0};
  for (u32 i = 0; i < syscall_nargs(row); i++)
    sb_printf(&b, "$%s, ", row->args[i].name);
  sb_printf(&b, "$$parms, $$vars%s", pi->is_return ? ", $return, $$return" : "");
  deref_error(e, &x->loc, x->target->name, "unable to find variable '%s' of %s (alternatives: %s)",
              x->target->name, pi->pp, b.s);
  sb_free(&b);
  return NULL;
}

/* What stands behind the name: numbers have no parts, but can be asked to print themselves. */
static bool check_suffixes(struct elab *e, const struct expr *x, bool *pretty)
{
  const struct target_expr *t = x->target;
  *pretty = false;
  for (u32 i = 0; i < t->suffix.n; i++) {
    *pretty = t->suffix.v[i].kind == SUFFIX_PRETTY;
    if (*pretty)
      continue;
    deref_error(e, &x->loc, t->name,
                t->suffix.v[i].kind == SUFFIX_ARROW
                    ? "'%s' is a number (" SYSCALL_RAW_TYPE "), not a structure; see @cast"
                    : "'%s' is a number (" SYSCALL_RAW_TYPE "), not an array; see @cast",
                t->name);
    return false;
  }
  return true;
}

static struct expr *target(struct elab *e, struct probe_inst *pi, struct expr *x,
                           struct expr *store)
{
  const struct target_expr *t = x->target;
  const struct syscall_row *row = row_of(pi);
  bool parms = !strcmp(t->name, "$$parms") || !strcmp(t->name, "$$vars");
  bool result = pi->is_return && !strcmp(t->name, "$return");
  int arg = t->name[0] == '$' ? syscall_arg_index(row, t->name + 1) : -1;
  bool pretty;
  if (!parms && !result && arg < 0 && strcmp(t->name, "$$return") && strcmp(t->name, "$$locals"))
    return unknown(e, pi, x);
  if (!check_suffixes(e, x, &pretty))
    return NULL;
  if (store)
    return deref_error(e, &x->loc, t->name, "write to '%s' of a system call not permitted",
                       t->name);
  if (t->addressof)
    return deref_error(e, &x->loc, t->name, "cannot take address of '%s'", t->name);
  if (t->name[1] == '$')
    return whole(e, pi, parms, &x->loc);
  struct expr *value = result ? syscall_result(e, &x->loc) : raw_argument(e, pi, (u32)arg, &x->loc);
  if (!pretty)
    return value;
  struct expr *text = sprint_new(e, &x->loc);
  sprint_arg(e, text, "%d", value);
  return sprint_done(e, text);
}

static const char *const heads[] = {"syscall", "nd_syscall", "dw_syscall", "tp_syscall", NULL};
const struct probe_family syscall_family = {
    .name = "syscall",
    .heads = heads,
    .expand = expand,
    .vars = vars,
    .prologue = prologue,
    .target = target,
};

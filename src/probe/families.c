/* The table of families, and what they have in common. */
#include "probe/family.h"

#include <fnmatch.h>
#include <string.h>

#include "ir/ops.h"

extern const struct probe_family begin_family, end_family, error_family, never_family;
extern const struct probe_family timer_family, perf_family;
/* Families that a build may leave out. */
extern const struct probe_family trace_family;
extern const struct probe_family syscall_family;

const struct probe_family *const probe_families[] = {
    &begin_family, &end_family,   &error_family,   &never_family, &timer_family,
    &perf_family,  &trace_family, &syscall_family, NULL,
};

struct probe_inst *probe_inst_new(struct elab *e, const struct probe_family *f,
                                  struct probe_point *pt)
{
  struct probe_inst *pi = NEW(e->a, struct probe_inst);
  pi->family = f;
  pi->point = pt;
  pi->loc = pt->loc;
  return pi;
}

bool probe_wildcard(const char *s)
{
  return strpbrk(s, "*?[{") != NULL;
}

/* Finds the end of the group that opens at p ("{"), its closing brace; NULL: none. */
static const char *group_end(const char *p)
{
  u32 depth = 0;
  for (; *p; p++) {
    depth += *p == '{';
    if (*p == '}' && --depth == 0)
      return p;
  }
  return NULL;
}

/* One alternative of the first group after the other. */
static bool match_group(const char *pattern, const char *open, const char *close, const char *name)
{
  for (const char *alt = open + 1; alt <= close;) {
    const char *end = alt;
    for (u32 depth = 0; end < close && (depth || *end != ','); end++)
      depth += (*end == '{') - (*end == '}');
    struct strbuf b = {0};
    sb_add(&b, pattern, (size_t)(open - pattern));
    sb_add(&b, alt, (size_t)(end - alt));
    sb_puts(&b, close + 1);
    bool hit = probe_match(b.s, name);
    sb_free(&b);
    if (hit)
      return true;
    alt = end + 1;
  }
  return false;
}

bool probe_match(const char *pattern, const char *name)
{
  const char *open = strchr(pattern, '{'), *close = open ? group_end(open) : NULL;
  if (close)
    return match_group(pattern, open, close, name);
  if (!probe_wildcard(pattern))
    return !strcmp(pattern, name);
  return fnmatch(pattern, name, 0) == 0;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

struct expr *op_num(struct elab *e, const struct loc *loc, s64 n)
{
  struct expr *x = expr_new(e->a, E_NUM, loc);
  x->num = n;
  x->type = TY_LONG;
  return x;
}

struct expr *op_str(struct elab *e, const struct loc *loc, const char *s)
{
  struct expr *x = expr_new(e->a, E_STR, loc);
  x->str = s;
  x->len = (u32)strlen(s);
  x->type = TY_STRING;
  return x;
}

struct expr *op_fn(struct elab *e, const struct loc *loc, const struct builtin *b, u32 nargs,
                   struct expr **args)
{
  struct expr *x = expr_new(e->a, E_OP, loc);
  x->builtin = b;
  x->name = b ? b->name : NULL;
  x->type = !b || b->result == 'S' ? TY_STRING : b->result == 'I' ? TY_LONG : TY_UNKNOWN;
  for (u32 i = 0; i < nargs; i++)
    vec_push(e->a, &x->args, args[i]);
  return x;
}

struct expr *op_binary(struct elab *e, const struct loc *loc, enum op op, struct expr *a,
                       struct expr *b)
{
  struct expr *x = expr_new(e->a, E_BINARY, loc);
  x->op = op;
  x->a = a;
  x->b = b;
  return x;
}

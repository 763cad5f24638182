/* begin, end, error: handlers that the session runs itself, in the order of their numbers.
 * never: accepted, checked, and never run.  */
#include "probe/family.h"

#include <string.h>

/* point := name [ "(" order ")" ] */
static int expand(struct elab *e, struct probe_point *pt, struct probe_insts *out, const char **why,
                  const struct probe_family *f, enum session_when when)
{
  struct point_part *head = &pt->parts.v[0];
  if (head->has_arg && (head->arg_is_string || f->heads[0][0] == 'n')) {
    *why = NULL;
    return -1;
  }
  if (pt->parts.n > 1) {
    *why = "invalid suffix for probe";
    e->why_part = &pt->parts.v[1];
    return -1;
  }
  struct probe_inst *pi = probe_inst_new(e, f, pt);
  pi->kind = PROG_SESSION;
  pi->when = when;
  pi->order = head->has_arg ? head->num : 0;
  vec_push(e->a, &out->v, pi);
  return 1;
}

static const char *const begin_heads[] = {"begin", NULL};
static const char *const end_heads[] = {"end", NULL};
static const char *const error_heads[] = {"error", NULL};
static const char *const never_heads[] = {"never", NULL};
extern const struct probe_family begin_family, end_family, error_family, never_family;

static int begin_expand(struct elab *e, struct probe_point *pt, struct probe_insts *out,
                        const char **why)
{
  return expand(e, pt, out, why, &begin_family, RUN_BEGIN);
}

static int end_expand(struct elab *e, struct probe_point *pt, struct probe_insts *out,
                      const char **why)
{
  return expand(e, pt, out, why, &end_family, RUN_END);
}

static int error_expand(struct elab *e, struct probe_point *pt, struct probe_insts *out,
                        const char **why)
{
  return expand(e, pt, out, why, &error_family, RUN_ERROR);
}

static int never_expand(struct elab *e, struct probe_point *pt, struct probe_insts *out,
                        const char **why)
{
  int n = expand(e, pt, out, why, &never_family, RUN_BEGIN);
  if (n > 0)
    vec_last(&out->v)->kind = PROG_NEVER;
  return n;
}

#define FAMILY(f, ...)                                                                             \
  static const char *const f##_forms[] = {__VA_ARGS__, NULL};                                      \
  const struct probe_family f##_family = {                                                         \
      .name = #f, .heads = f##_heads, .forms = f##_forms, .expand = f##_expand}
FAMILY(begin, "begin", "begin(number)");
FAMILY(end, "end", "end(number)");
FAMILY(error, "error", "error(number)");
FAMILY(never, "never");

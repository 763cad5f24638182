/* What script variables point at.  A value that came from `$x->y`, `&$x->y`, @cast or a function
 * that returns one keeps its kernel type through assignments, so that `v->field` works as on the
 * original.  A variable has the type of what was last assigned to it in the order of the text.  */
#include "elaborate/state.h"
#include "probe/deref.h"
#include "target/target.h"

static const struct pointee *current_task(struct elab *e)
{
  u32 id = target_btf(e->target) ? target_type_find(e->target, "struct task_struct") : 0;
  if (!id)
    return NULL;
  struct pointee *p = NEW(e->a, struct pointee);
  *p = (struct pointee){.type = id, .is_addr = true};
  return p;
}

static const struct pointee *pointee_of(struct elab *e, const struct expr *x)
{
  const struct pointee *p;
  if (x->points)
    return x->points;
  switch (x->kind) {
  case E_SYM:
  case E_INDEX:
    return x->local ? x->local->points : x->global ? x->global->points : NULL;
  case E_ASSIGN:
    return x->op == OP_NONE ? pointee_of(e, x->b) : NULL;
  case E_TERNARY:
    p = pointee_of(e, x->b);
    return p ? p : pointee_of(e, x->c);
  case E_CALL:
    if (x->func)
      resolve_func(e, (struct fsym *)x->func);
    return x->func ? x->func->points : NULL;
  case E_OP:
    return x->builtin && x->builtin->fn == FN_TASK_CURRENT ? current_task(e) : NULL;
  default:
    return NULL;
  }
}

void note_assignment(struct elab *e, struct expr *to, const struct expr *value)
{
  const struct pointee *p = pointee_of(e, value);
  if (!p)
    return;
  if (to->local)
    to->local->points = p;
  else if (to->global)
    to->global->points = p;
}

void note_return(struct elab *e, struct fsym *f, const struct expr *value)
{
  const struct pointee *p = pointee_of(e, value);
  if (p)
    f->f.points = p;
}

struct expr *resolve_autocast(struct elab *e, struct expr *x, struct expr *store)
{
  const struct pointee *p = pointee_of(e, x->a);
  if (!p)
    return deref_error(e, &x->loc, "->", "%s", "unknown type in dereference");
  struct deref_base base = {.value = x->a, .type = p->type, .is_addr = p->is_addr, .user = p->user};
  return deref_path(e, &base, x, store);
}

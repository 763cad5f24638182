/* @defined, @cast, @var, @const, @enum, @entry and the rest of the operators that speak of the
 * target; `$x` is given to the probe's family.  All end as E_OP trees, constants or globals.  */
#include "elaborate/state.h"

#include <string.h>

#include "probe/deref.h"

/* Resolves the indexes of `->a[i]`. */
static bool resolve_suffixes(struct elab *e, struct scope *sc, struct expr *x)
{
  bool ok = true;
  for (u32 i = 0; i < x->target->suffix.n; i++)
    if (x->target->suffix.v[i].kind == SUFFIX_INDEX)
      ok &= resolve_expr(e, sc, &x->target->suffix.v[i].index);
  return ok;
}

static bool replace(struct expr **px, struct expr *with)
{
  if (with)
    *px = with;
  return with != NULL;
}

static bool resolve_var(struct elab *e, struct scope *sc, struct expr **px, struct expr *store)
{
  struct expr *x = *px;
  if (!resolve_suffixes(e, sc, x))
    return false;
  struct probe_inst *pi = sc->probe;
  if (!pi || !pi->family->target)
    return deref_error(e, &x->loc, x->target->name, "%s", "unresolved target-symbol expression");
  return replace(px, pi->family->target(e, pi, x, store));
}

static bool resolve_defined(struct elab *e, struct scope *sc, struct expr **px)
{
  struct expr *x = *px, *inner = expr_copy(e->a, x->a);
  e->defined_depth++;
  bool ok = resolve_expr(e, sc, &inner);
  e->defined_depth--;
  *px = op_num(e, &x->loc, ok);
  return true;
}

bool resolve_target(struct elab *e, struct scope *sc, struct expr **px, struct expr *store)
{
  struct expr *x = *px;
  switch (x->target->kind) {
  case TARGET_VAR:
    return resolve_var(e, sc, px, store);
  case TARGET_DEFINED:
    return resolve_defined(e, sc, px);
  default:
    return deref_error(e, &x->loc, x->name, "%s", "unresolved target-symbol expression");
  }
}

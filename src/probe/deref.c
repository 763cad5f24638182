/* The walk over kernel types. */
#include "probe/deref.h"

#include "probe/family.h"

struct expr *deref_error(struct elab *e, const struct loc *loc, const char *token,
                         const char *fmt, ...)
{
  if (e->defined_depth)
    return NULL;
  va_list ap;
  va_start(ap, fmt);
  const char *msg = arena_vprintf(e->a, fmt, ap);
  va_end(ap);
  diag_at(e->diag, DIAG_SEMANTIC_ERROR, loc, NULL, token, "%s", msg);
  return NULL;
}

/* Lists instead of runs: -l and -L, and what the library and the probe families offer. */
#include "driver/passes.h"
#include "elaborate/dump.h"

/* The points that match, one per line; how many. */
static u32 list_points(struct compile *c, struct strbuf *b)
{
  struct probe_point *pt = parse_point(&c->penv, c->o->list_point);
  return pt ? elaborate_list(&c->elab, pt, c->o->listing == LIST_VARS, b) : 0;
}

/* False when -l and -L find nothing, or after an error. */
static bool list(struct compile *c, struct strbuf *b)
{
  switch (c->o->listing) {
  case LIST_POINTS:
  case LIST_VARS:
    return list_points(c, b) != 0;
  case LIST_TYPES:
    dump_probe_types(&c->elab, b);
    break;
  case LIST_ALIASES:
    dump_aliases(&c->elab, b);
    break;
  case LIST_FUNCTIONS:
    dump_functions(&c->elab, b);
    break;
  case LIST_NONE:
    break;
  }
  return c->diag.nerrors == 0;
}

/* As in SystemTap, -l and -L are silent about errors; -v shows them. */
static bool silent(const struct options *o)
{
  return (o->listing == LIST_POINTS || o->listing == LIST_VARS) && !o->verbose[0];
}

int listing_run(struct arena *a, struct options *o)
{
  FILE *messages = silent(o) ? fopen("/dev/null", "w") : stderr;
  struct compile c;
  compile_start(&c, a, o, messages ? messages : stderr);
  struct strbuf b = {0};
  bool ok = list(&c, &b);
  fwrite(b.s ? b.s : "", 1, b.n, stdout);
  sb_free(&b);
  compile_end(&c);
  if (messages && messages != stderr)
    fclose(messages);
  return ok ? 0 : 1;
}

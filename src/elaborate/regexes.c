/* Regular expressions are compiled when the program is known: each pattern once, with what groups
 * need if the script asks for them anywhere.  */
#include "elaborate/state.h"
#include "regex/regex.h"

struct regexes {
  struct elab *e;
  bool groups;            /* the script asks for the groups of its matches */
  struct strmap compiled; /* by pattern */
};

static void for_each_expr(struct elab *e, expr_visit visit, struct regexes *r)
{
  for (u32 i = 0; i < e->prog->probes.n; i++) {
    struct probe_inst *p = e->prog->probes.v[i];
    stmt_walk(p->body, visit, r);
    if (p->cond)
      expr_walk(&p->cond, visit, r);
  }
  for (u32 i = 0; i < e->prog->funcs.n; i++)
    stmt_walk(e->prog->funcs.v[i]->body, visit, r);
}

static bool groups_visit(struct expr **px, void *arg)
{
  struct regexes *r = arg;
  const struct builtin *bi = (*px)->builtin;
  r->groups |= (*px)->kind == E_OP && bi && (bi->fn == FN_MATCHED || bi->fn == FN_NGROUPS);
  return true;
}

static bool compile_visit(struct expr **px, void *arg)
{
  struct regexes *r = arg;
  struct expr *x = *px;
  if (x->kind != E_MATCH)
    return true;
  const struct expr *pattern = x->b;
  const char *why = NULL;
  u32 at = 0;
  x->regex = strmap_get(&r->compiled, pattern->str);
  if (x->regex)
    return true;
  struct regex *re = regex_compile(r->e->a, pattern->str, pattern->len, r->groups, &why, &at);
  x->regex = re;
  if (re)
    strmap_put(&r->compiled, pattern->str, re);
  else
    diag_at(r->e->diag, DIAG_SEMANTIC_ERROR, &pattern->loc, "string", pattern->str,
            "regex compilation error (at position %u): %s", at, why);
  return true;
}

void compile_regexes(struct elab *e)
{
  struct regexes r = {.e = e};
  strmap_init(&r.compiled, e->a);
  for_each_expr(e, groups_visit, &r);
  for_each_expr(e, compile_visit, &r);
}

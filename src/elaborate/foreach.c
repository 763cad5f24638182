/* An array must not change while a foreach walks it.  What the loop's own statements do is seen
 * when their names are resolved (symbols.c); here are the functions that they call.  */
#include "elaborate/state.h"

struct foreach_check {
  struct elab *e;
  VEC(struct sym_global *) walked; /* arrays of the enclosing loops */
};

struct change {
  struct elab *e;
  struct sym_global *g;
  VEC(struct sym_func *) seen;
  bool found;
};

static void change_use(void *arg, struct expr *x, u32 how)
{
  struct change *c = arg;
  c->found |= (how & USE_WRITE) && x->global == c->g;
}

static bool change_visit(struct expr **px, void *arg)
{
  struct change *c = arg;
  struct expr *x = *px;
  for (struct sym_func *f = x->kind == E_CALL ? x->func : NULL; f && !c->found;
       f = f->next_overload) {
    bool known = false;
    for (u32 i = 0; i < c->seen.n; i++)
      known |= c->seen.v[i] == f;
    if (known)
      continue;
    vec_push(c->e->a, &c->seen, f);
    uses_stmt(f->body, change_use, c);
    stmt_walk(f->body, change_visit, c);
  }
  return !c->found;
}

static bool call_visit(struct expr **px, void *arg)
{
  struct foreach_check *w = arg;
  struct expr *x = *px;
  for (u32 i = 0; x->kind == E_CALL && i < w->walked.n; i++) {
    struct change c = {.e = w->e, .g = w->walked.v[i]};
    expr_walk(&x, change_visit, &c);
    if (c.found)
      expr_error(w->e, x, "function call modifies var '%s' during 'foreach' iteration", c.g->name);
  }
  return true;
}

static void check(struct foreach_check *w, struct stmt *s)
{
  if (!s)
    return;
  if (w->walked.n) {
    struct stmt own = *s;
    own.then = own.els = NULL;
    own.body.n = 0;
    stmt_walk(&own, call_visit, w);
  }
  for (u32 i = 0; i < s->body.n; i++)
    check(w, s->body.v[i]);
  bool walks = s->kind == S_FOREACH && s->foreach->base->global;
  if (walks)
    vec_push(w->e->a, &w->walked, s->foreach->base->global);
  check(w, s->then);
  if (walks)
    w->walked.n--;
  check(w, s->els);
}

void check_foreach(struct elab *e)
{
  struct foreach_check w = {.e = e};
  for (u32 i = 0; i < e->prog->probes.n; i++)
    check(&w, e->prog->probes.v[i]->body);
  for (u32 i = 0; i < e->st->all_funcs.n; i++)
    if (e->st->all_funcs.v[i]->f.used)
      check(&w, e->st->all_funcs.v[i]->f.body);
}

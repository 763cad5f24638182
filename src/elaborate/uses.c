/* Which variables a tree reads and writes.  Everything that asks this goes through one walk. */
#include "elaborate/state.h"

struct walk {
  use_fn fn;
  void *arg;
};

static void use(struct walk *w, struct expr *x, bool value_used);

static void sym(struct walk *w, struct expr *x, u32 how)
{
  if (how)
    w->fn(w->arg, x, how);
}

static void args(struct walk *w, struct expr *x)
{
  for (u32 i = 0; i < x->args.n; i++)
    use(w, x->args.v[i], true);
}

/* The target of an assignment; its keys are read whatever happens to it.  An update of a global
 * whose result nobody uses doesn't count as reading it: `n++` alone leaves n unread.  */
static void lvalue(struct walk *w, struct expr *x, bool update, bool value_used)
{
  u32 how = update && (value_used || x->local) ? USE_READ | USE_WRITE : USE_WRITE;
  if (x->kind == E_INDEX && !x->a)
    args(w, x);
  if (x->kind == E_SYM || (x->kind == E_INDEX && !x->a))
    sym(w, x, how);
  else
    use(w, x, true);
}

static void use(struct walk *w, struct expr *x, bool value_used)
{
  if (!x)
    return;
  switch (x->kind) {
  case E_SYM:
    sym(w, x, USE_READ);
    break;
  case E_INDEX:
    args(w, x);
    if (x->a)
      use(w, x->a, true);
    else
      sym(w, x, USE_READ);
    break;
  case E_INCDEC:
    lvalue(w, x->a, true, value_used);
    break;
  case E_ASSIGN:
    lvalue(w, x->a, x->op != OP_NONE && x->op != OP_STATADD, value_used);
    use(w, x->b, true);
    break;
  case E_TERNARY:
    use(w, x->a, true);
    use(w, x->b, value_used);
    use(w, x->c, value_used);
    break;
  case E_IN:
    args(w, x);
    use(w, x->a, true);
    break;
  default:
    use(w, x->a, true);
    use(w, x->b, true);
    use(w, x->c, true);
    args(w, x);
  }
}

static void statement(struct walk *w, struct stmt *s)
{
  if (!s)
    return;
  switch (s->kind) {
  case S_BLOCK:
    for (u32 i = 0; i < s->body.n; i++)
      statement(w, s->body.v[i]);
    return;
  case S_EXPR:
    use(w, s->e, false);
    return;
  case S_DELETE:
    lvalue(w, s->e, false, false);
    return;
  case S_FOREACH: {
    struct foreach_stmt *f = s->foreach;
    for (u32 i = 0; i < f->keys.n; i++)
      sym(w, f->keys.v[i], USE_WRITE);
    if (f->value)
      sym(w, f->value, USE_WRITE);
    for (u32 i = 0; i < f->slice.n; i++)
      use(w, f->slice.v[i], true);
    use(w, f->base, true);
    use(w, f->limit, true);
    statement(w, s->then);
    return;
  }
  default:
    use(w, s->init, false);
    use(w, s->e, true);
    use(w, s->step, false);
    if (s->catch_var)
      sym(w, s->catch_var, USE_WRITE);
    statement(w, s->then);
    statement(w, s->els);
  }
}

void uses_stmt(struct stmt *s, use_fn fn, void *arg)
{
  struct walk w = {fn, arg};
  statement(&w, s);
}

void uses_expr(struct expr *x, bool value_used, use_fn fn, void *arg)
{
  struct walk w = {fn, arg};
  use(&w, x, value_used);
}

static void mark(void *arg, struct expr *x, u32 how)
{
  (void)arg;
  if (x->global) {
    x->global->is_read |= (how & USE_READ) != 0;
    x->global->is_written |= (how & USE_WRITE) != 0;
  } else if (x->local) {
    x->local->is_read |= (how & USE_READ) != 0;
    x->local->is_written |= (how & USE_WRITE) != 0;
  }
}

static void clear_locals(struct sym_local **v, u32 n)
{
  for (u32 i = 0; i < n; i++)
    v[i]->is_read = v[i]->is_written = false;
}

void compute_uses(struct elab *e)
{
  for (u32 i = 0; i < e->st->all_globals.n; i++)
    e->st->all_globals.v[i]->g.is_read = e->st->all_globals.v[i]->g.is_written = false;
  for (u32 i = 0; i < e->prog->probes.n; i++) {
    struct probe_inst *pi = e->prog->probes.v[i];
    clear_locals(pi->locals.v, pi->locals.n);
    uses_stmt(pi->body, mark, NULL);
    uses_expr(pi->cond, true, mark, NULL);
  }
  for (u32 i = 0; i < e->st->all_funcs.n; i++) {
    struct sym_func *f = &e->st->all_funcs.v[i]->f;
    if (!f->used)
      continue;
    clear_locals(f->params.v, f->params.n);
    clear_locals(f->locals.v, f->locals.n);
    uses_stmt(f->body, mark, NULL);
  }
}

/* ---- statistics ------------------------------------------------------------------------------ */

static bool same_hist(const struct hist *a, const struct hist *b)
{
  return a->kind == b->kind &&
         (a->kind == HIST_LOG || (a->lo == b->lo && a->hi == b->hi && a->step == b->step));
}

static bool stat_visit(struct expr **px, void *arg)
{
  struct elab *e = arg;
  struct expr *x = *px;
  if ((x->kind != E_STATOP && x->kind != E_HIST) || !x->a || !x->a->global)
    return true;
  struct sym_global *g = x->a->global;
  if (x->kind == E_STATOP) {
    g->stat_ops |= 1u << x->stat;
    if (x->stat == STAT_VARIANCE) {
      if ((g->stat_ops & 1u << STAT_NONE) && g->variance_shift != x->num)
        expr_error(e, x, "conflicting bit shift for @variance: %lld and %lld",
                   (long long)g->variance_shift, (long long)x->num);
      g->variance_shift = x->num;
      g->stat_ops |= 1u << STAT_NONE; /* a shift is known; cleared below */
    }
    return true;
  }
  for (u32 i = 0; i < g->hists.n; i++)
    if (same_hist(&g->hists.v[i], &x->hist))
      return true;
  vec_push(e->a, &g->hists, x->hist);
  return true;
}

/* foreach (… in a @sum-) reads @sum of every element. */
static void stat_sort(struct stmt *s)
{
  if (!s)
    return;
  for (u32 i = 0; i < s->body.n; i++)
    stat_sort(s->body.v[i]);
  if (s->kind == S_FOREACH && s->foreach->sort_dir && !s->foreach->sort_col &&
      s->foreach->base->global && s->foreach->base->global->type == TY_STATS)
    s->foreach->base->global->stat_ops |=
        1u << (s->foreach->sort_stat == STAT_NONE ? STAT_COUNT : s->foreach->sort_stat);
  stat_sort(s->then);
  stat_sort(s->els);
}

void compute_stats(struct elab *e)
{
  for (u32 i = 0; i < e->prog->probes.n; i++) {
    struct probe_inst *pi = e->prog->probes.v[i];
    stmt_walk(pi->body, stat_visit, e);
    expr_walk(&pi->cond, stat_visit, e);
    stat_sort(pi->body);
  }
  for (u32 i = 0; i < e->st->all_funcs.n; i++)
    if (e->st->all_funcs.v[i]->f.used) {
      stmt_walk(e->st->all_funcs.v[i]->f.body, stat_visit, e);
      stat_sort(e->st->all_funcs.v[i]->f.body);
    }
  for (u32 i = 0; i < e->st->all_globals.n; i++)
    e->st->all_globals.v[i]->g.stat_ops &= ~(1u << STAT_NONE);
}

/* Names to symbols.  A name in a body is a parameter, a local already met, a global (private ones
 * of the file it is written in first, then public ones, then the tapset's), or else a new local.
 * Branches that @defined rules out are dropped before anything in them is looked up.  */
#include "elaborate/state.h"

#include <string.h>

static bool resolve_stmt(struct elab *e, struct scope *sc, struct stmt **ps);

struct lsym *scope_local(struct elab *e, struct scope *sc, const char *name, const struct loc *loc)
{
  struct lsym *l = strmap_get(&sc->locals, name);
  if (l)
    return l;
  l = NEW(e->a, struct lsym);
  l->l.name = name;
  l->l.loc = *loc;
  strmap_put(&sc->locals, name, l);
  if (sc->fn)
    vec_push(e->a, &sc->fn->f.locals, &l->l);
  else
    vec_push(e->a, &sc->probe->locals, &l->l);
  return l;
}

/* ---- globals --------------------------------------------------------------------------------- */

static bool check_arity(struct elab *e, struct gsym *g, struct expr *x, u32 arity)
{
  g->used = true;
  if (arity > MAX_KEYS) {
    expr_error(e, x, "array has %u keys; at most %d are supported", arity, MAX_KEYS);
    return false;
  }
  if (g->arity == NO_ARITY && !arity && g->g.is_array) {
    expr_error(e, x, "%s", "array is used as a scalar");
    return false;
  }
  if (g->arity == NO_ARITY) {
    g->arity = (s32)arity;
    g->arity_loc = x->loc;
    g->g.nkeys = arity;
    g->g.is_array = arity > 0;
    return true;
  }
  if (g->arity == (s32)arity)
    return true;
  expr_error(e, x, "inconsistent arity (%d vs %u)", g->arity, arity);
  ERR(e, &g->arity_loc, g->g.name, "arity %d first inferred here", g->arity);
  return false;
}

/* An array by its name: `x` gets ->global. */
static bool resolve_array(struct elab *e, struct scope *sc, struct expr *x, u32 arity)
{
  if (x->global)
    return true;
  struct lsym *l = strmap_get(&sc->locals, x->name);
  struct gsym *g = l ? NULL : elab_find_global(e, x->name, &x->loc);
  if (l) {
    expr_error(e, x, "inconsistent arity (0 vs %u)", arity);
    ERR(e, &l->l.loc, l->l.name, "%s", "arity 0 first inferred here");
    return false;
  }
  if (!g) {
    expr_error(e, x, "unresolved arity-%u global array %s, missing global declaration?", arity,
               x->name);
    return false;
  }
  x->global = &g->g;
  return check_arity(e, g, x, arity);
}

static void check_iterating(struct elab *e, struct scope *sc, struct expr *x)
{
  for (u32 i = 0; i < sc->iterating.n; i++)
    if (x->global && &sc->iterating.v[i]->g == x->global)
      expr_error(e, x, "variable '%s' modified during 'foreach' iteration", x->name);
}

static bool resolve_name(struct elab *e, struct scope *sc, struct expr *x)
{
  struct lsym *l = strmap_get(&sc->locals, x->name);
  if (!l) {
    struct gsym *g = elab_find_global(e, x->name, &x->loc);
    if (g) {
      x->global = &g->g;
      return check_arity(e, g, x, 0);
    }
    if (sc->in_cond) {
      expr_error(e, x, "%s", "probe condition must not reference undeclared global");
      return false;
    }
    l = scope_local(e, sc, x->name, &x->loc);
  }
  x->local = &l->l;
  return true;
}

static bool resolve_args(struct elab *e, struct scope *sc, struct expr *x, bool stars)
{
  bool ok = true;
  for (u32 i = 0; i < x->args.n; i++) {
    if (x->args.v[i]->kind == E_STAR) {
      if (!stars)
        expr_error(e, x->args.v[i], "%s", "wildcard not allowed in array index");
      ok &= stars;
      x->args.v[i]->type = TY_LONG;
    } else {
      ok &= resolve_expr(e, sc, &x->args.v[i]);
    }
  }
  return ok;
}

/* ---- calls -------------------------------------------------------------------------------------
 */

static void enqueue(struct elab *e, struct sym_func *f)
{
  for (; f && !f->used; f = f->next_overload) {
    f->used = true;
    vec_push(e->a, &e->st->queue, (struct fsym *)f);
  }
}

static struct sym_func *pick_overload(struct func_set *set, u32 nargs)
{
  for (u32 i = 0; set && i < set->v.n; i++)
    if (set->v.v[i]->f.params.n == nargs)
      return &set->v.v[i]->f;
  return NULL;
}

static bool resolve_call(struct elab *e, struct scope *sc, struct expr **px)
{
  struct expr *x = *px;
  if (x->func) { /* synthesised */
    enqueue(e, x->func);
    return resolve_args(e, sc, x, false);
  }
  if (sc->in_cond) {
    expr_error(e, x, "%s", "probe condition must not reference function");
    return false;
  }
  bool ok = resolve_args(e, sc, x, false);
  struct func_set *set = elab_find_funcs(e, x->name, x->args.n, &x->loc);
  struct sym_func *f = pick_overload(set, x->args.n);
  if (f) {
    x->func = f;
    enqueue(e, f);
    return ok;
  }
  const struct builtin *b = builtin_find(x->name, x->args.n);
  if (b && b->fn == FN_USER_MODE && sc->probe && sc->probe->kind == PROG_PERF)
    return resolve_intrinsic(e, sc, px);
  if (b && e->user_runtime && (b->flags & BI_KERNEL)) {
    expr_error(e, x, "function '%s' needs the kernel, which --runtime=user doesn't have", x->name);
    return false;
  }
  if (b) {
    x->kind = E_OP;
    x->builtin = b;
    return ok;
  }
  if (is_intrinsic(x->name, x->args.n))
    return ok && resolve_intrinsic(e, sc, px);
  if (set) {
    struct sym_func *last = &vec_last(&set->v)->f;
    expr_error(e, x, "arity mismatch found (function '%s' takes %u args)", x->name, last->params.n);
    if (!e->defined_depth)
      ERR(e, &last->decl->loc, x->name, "%s", "the function is defined here");
    return false;
  }
  for (u32 n = 0; n <= MAX_KEYS; n++)
    if (builtin_find(x->name, n)) {
      expr_error(e, x, "arity mismatch found (function '%s' takes %u args)", x->name, n);
      return false;
    }
  if (e->defined_depth)
    return false;
  const char *near = elab_similar_function(e, x->name);
  if (near)
    expr_error(e, x, "unresolved function %s (similar: %s)", x->name, near);
  else
    expr_error(e, x, "unresolved function %s", x->name);
  return false;
}

/* ---- expressions
 * ---------------------------------------------------------------------------------- */

static bool find_defined(struct expr **px, void *arg)
{
  if ((*px)->kind == E_TARGET &&
      ((*px)->target->kind == TARGET_DEFINED || (*px)->target->kind == TARGET_PROBEWRITE))
    *(bool *)arg = true;
  return true;
}

/* Resolves a condition.  True when @defined made it a constant, then in *value. */
static bool decided(struct elab *e, struct scope *sc, struct expr **px, bool *ok, s64 *value)
{
  bool has = false;
  expr_walk(px, find_defined, &has);
  *ok = resolve_expr(e, sc, px);
  return has && *ok && fold_const(e, px) && expr_const(*px, value);
}

static struct expr *number(struct elab *e, const struct loc *loc, s64 n)
{
  struct expr *x = expr_new(e->a, E_NUM, loc);
  x->num = n;
  x->type = TY_LONG;
  return x;
}

static bool resolve_logical(struct elab *e, struct scope *sc, struct expr **px)
{
  struct expr *x = *px;
  bool ok;
  s64 v;
  if (decided(e, sc, &x->a, &ok, &v)) {
    if (x->op == OP_LAND ? !v : v != 0) {
      *px = number(e, &x->loc, x->op == OP_LOR);
      return true;
    }
  }
  return resolve_expr(e, sc, &x->b) && ok;
}

static bool resolve_ternary(struct elab *e, struct scope *sc, struct expr **px)
{
  struct expr *x = *px;
  bool ok;
  s64 v;
  if (decided(e, sc, &x->a, &ok, &v)) {
    *px = v ? x->b : x->c;
    return resolve_expr(e, sc, px);
  }
  bool b = resolve_expr(e, sc, &x->b), c = resolve_expr(e, sc, &x->c);
  return ok && b && c;
}

/* $x op= v, $x++: a store of the new value. */
static bool resolve_target_store(struct elab *e, struct scope *sc, struct expr **px)
{
  struct expr *x = *px, *target = x->a, *v;
  if (!e->guru) {
    expr_error(e, target, "%s", "write to target variable not permitted; need stap -g");
    return false;
  }
  if (x->kind == E_ASSIGN && !resolve_expr(e, sc, &x->b))
    return false;
  if (x->kind == E_ASSIGN && x->op == OP_NONE) {
    v = x->b;
  } else {
    v = expr_new(e->a, E_BINARY, &x->loc);
    v->op = x->kind == E_ASSIGN                         ? x->op
            : x->op == OP_PREINC || x->op == OP_POSTINC ? OP_ADD
                                                        : OP_SUB;
    v->a = expr_copy(e->a, target);
    v->b = x->kind == E_ASSIGN ? x->b : number(e, &x->loc, 1);
    if (!resolve_target(e, sc, &v->a, NULL))
      return false;
  }
  *px = target;
  return resolve_target(e, sc, px, v);
}

static bool resolve_lvalue(struct elab *e, struct scope *sc, struct expr *x)
{
  if (sc->in_cond) {
    expr_error(e, x, "%s", "probe condition must not modify any variables");
    return false;
  }
  if (x->a->kind != E_SYM && (x->a->kind != E_INDEX || x->a->a)) {
    expr_error(e, x, "%s", "assignment requires a variable or an array element");
    return false;
  }
  if (!resolve_expr(e, sc, &x->a))
    return false;
  check_iterating(e, sc, x->a);
  return true;
}

static bool resolve_assign(struct elab *e, struct scope *sc, struct expr **px)
{
  struct expr *x = *px;
  if (x->a->kind == E_TARGET)
    return resolve_target_store(e, sc, px);
  bool a = resolve_lvalue(e, sc, x), b = x->kind != E_ASSIGN || resolve_expr(e, sc, &x->b);
  if (a && x->op == OP_STATADD && x->a->local) {
    expr_error(e, x->a, "%s", "stat locals not supported, missing global declaration? ");
    return false;
  }
  if (a && b && x->kind == E_ASSIGN && x->op == OP_NONE)
    note_assignment(e, x->a, x->b);
  return a && b;
}

static bool resolve_stat(struct elab *e, struct scope *sc, struct expr *x)
{
  if (!x->a || (x->a->kind != E_SYM && x->a->kind != E_INDEX)) {
    expr_error(e, x, "%s", "statistics operator requires a global variable or array element");
    return false;
  }
  if (!resolve_expr(e, sc, &x->a))
    return false;
  if (x->a->global)
    return true;
  if (x->a->local && x->a->local->is_param) {
    expr_error(e, x->a, "%s", "statistics can't be passed to functions; use the global variable");
    return false;
  }
  expr_error(e, x->a, "unresolved arity-%u global %s, missing global declaration?",
             x->a->kind == E_INDEX ? x->a->args.n : 0, x->a->name ? x->a->name : "");
  return false;
}

static bool resolve_in(struct elab *e, struct scope *sc, struct expr *x)
{
  bool ok = resolve_args(e, sc, x, true);
  if (x->a->kind == E_HIST)
    return resolve_stat(e, sc, x->a) && ok;
  ok &= resolve_array(e, sc, x->a, x->args.n);
  x->global = x->a->global;
  return ok;
}

static bool resolve_index(struct elab *e, struct scope *sc, struct expr *x, bool stars)
{
  bool ok = resolve_args(e, sc, x, stars);
  if (!x->a)
    return resolve_array(e, sc, x, x->args.n) && ok;
  if (x->args.n != 1) {
    expr_error(e, x, "%s", "histograms have one index");
    return false;
  }
  return resolve_stat(e, sc, x->a) && ok;
}

bool resolve_expr(struct elab *e, struct scope *sc, struct expr **px)
{
  struct expr *x = *px;
  if (!x)
    return true;
  switch (x->kind) {
  case E_NUM:
  case E_STR:
    return true;
  case E_SYM:
    return x->local || x->global || resolve_name(e, sc, x);
  case E_INDEX:
    return resolve_index(e, sc, x, false);
  case E_STAR:
    expr_error(e, x, "%s", "wildcard not allowed here");
    return false;
  case E_CALL:
    return resolve_call(e, sc, px);
  case E_BINARY:
    if (x->op == OP_LAND || x->op == OP_LOR)
      return resolve_logical(e, sc, px);
    break;
  case E_ASSIGN:
  case E_INCDEC:
    return resolve_assign(e, sc, px);
  case E_IN:
    return resolve_in(e, sc, x);
  case E_TERNARY:
    return resolve_ternary(e, sc, px);
  case E_STATOP:
  case E_HIST:
    return resolve_stat(e, sc, x);
  case E_TARGET:
    return resolve_target(e, sc, px, NULL);
  case E_EMBEDDED:
    expr_error(e, x, "embedded C code can't run under --runtime=%s; it needs a kernel module",
               e->runtime ? e->runtime : "bpf");
    return false;
  case E_UNARY:
  case E_MATCH:
  case E_PRINT:
  case E_OP:
    break;
  }
  bool a = resolve_expr(e, sc, &x->a), b = resolve_expr(e, sc, &x->b);
  bool c = resolve_expr(e, sc, &x->c), d = resolve_args(e, sc, x, false);
  return a && b && c && d;
}

/* ---- statements
 * ------------------------------------------------------------------------------------- */

static bool resolve_foreach(struct elab *e, struct scope *sc, struct stmt *s)
{
  struct foreach_stmt *f = s->foreach;
  bool ok = true;
  if (f->base->kind == E_HIST) {
    ok = resolve_stat(e, sc, f->base);
    if (f->keys.n != 1) {
      expr_error(e, f->base, "%s", "histograms have one index");
      ok = false;
    }
  } else {
    ok = resolve_array(e, sc, f->base, f->keys.n);
  }
  if (f->slice.n && f->slice.n != f->keys.n) {
    expr_error(e, f->base, "inconsistent arity (%u vs %u)", f->keys.n, f->slice.n);
    ok = false;
  }
  for (u32 i = 0; i < f->slice.n; i++)
    if (f->slice.v[i]->kind == E_STAR)
      f->slice.v[i]->type = TY_LONG;
    else
      ok &= resolve_expr(e, sc, &f->slice.v[i]);
  for (u32 i = 0; i < f->keys.n; i++)
    ok &= resolve_expr(e, sc, &f->keys.v[i]);
  ok &= resolve_expr(e, sc, &f->value);
  ok &= resolve_expr(e, sc, &f->limit);
  if (f->base->global)
    vec_push(e->a, &sc->iterating, (struct gsym *)f->base->global);
  ok &= resolve_stmt(e, sc, &s->then);
  if (f->base->global)
    sc->iterating.n--;
  return ok;
}

/* Every element of `delete a[*, 1]` must be a place that can be deleted. */
static bool resolve_delete(struct elab *e, struct scope *sc, struct stmt *s)
{
  struct expr *x = s->e;
  if (x->kind == E_INDEX) {
    if (!resolve_index(e, sc, x, true))
      return false;
    if (x->a) {
      expr_error(e, x, "%s", "unsupported delete of a histogram");
      return false;
    }
  } else if (x->kind == E_SYM) {
    struct lsym *l = strmap_get(&sc->locals, x->name);
    struct gsym *g = l ? NULL : elab_find_global(e, x->name, &x->loc);
    if (l) {
      x->local = &l->l;
      return true;
    }
    if (!g) {
      expr_error(e, x, "%s", "unresolved array in delete statement");
      return false;
    }
    g->used = true;
    x->global = &g->g;
  }
  check_iterating(e, sc, x);
  return true;
}

static bool resolve_if(struct elab *e, struct scope *sc, struct stmt **ps)
{
  struct stmt *s = *ps;
  bool ok;
  s64 v;
  if (decided(e, sc, &s->e, &ok, &v)) {
    *ps = v ? s->then : s->els ? s->els : stmt_new(e->a, S_EMPTY, &s->loc);
    return resolve_stmt(e, sc, ps);
  }
  bool t = resolve_stmt(e, sc, &s->then), f = resolve_stmt(e, sc, &s->els);
  return ok && t && f;
}

static bool resolve_stmt(struct elab *e, struct scope *sc, struct stmt **ps)
{
  struct stmt *s = *ps;
  bool ok = true;
  if (!s)
    return true;
  switch (s->kind) {
  case S_BLOCK:
    for (u32 i = 0; i < s->body.n; i++)
      ok &= resolve_stmt(e, sc, &s->body.v[i]);
    return ok;
  case S_IF:
    return resolve_if(e, sc, ps);
  case S_FOREACH:
    return resolve_foreach(e, sc, s);
  case S_DELETE:
    return resolve_delete(e, sc, s);
  case S_TRY:
    ok = resolve_stmt(e, sc, &s->then);
    ok &= resolve_expr(e, sc, &s->catch_var);
    return resolve_stmt(e, sc, &s->els) && ok;
  case S_EMBEDDED:
    ERR(e, &s->loc, NULL, "embedded C code can't run under --runtime=%s; it needs a kernel module",
        e->runtime ? e->runtime : "bpf");
    return false;
  default:
    ok = resolve_expr(e, sc, &s->init);
    ok &= resolve_expr(e, sc, &s->e);
    if (s->kind == S_RETURN && sc->fn && s->e && ok)
      note_return(e, sc->fn, s->e);
    ok &= resolve_expr(e, sc, &s->step);
    ok &= resolve_stmt(e, sc, &s->then);
    return resolve_stmt(e, sc, &s->els) && ok;
  }
}

/* ---- bodies
 * ------------------------------------------------------------------------------------------ */

void resolve_probe(struct elab *e, struct probe_inst *pi)
{
  struct scope sc = {.probe = pi};
  strmap_init(&sc.locals, e->a);
  struct probe_inst *outer = e->cur;
  struct scope *outer_scope = e->st->scope;
  e->cur = pi;
  e->st->scope = &sc;
  if (pi->cond) {
    sc.in_cond = true;
    resolve_expr(e, &sc, &pi->cond);
    sc.in_cond = false;
  }
  add_prologue(e, pi);
  resolve_stmt(e, &sc, &pi->body);
  if (sc.prefix.n) {
    struct stmt *all = stmt_new(e->a, S_BLOCK, &pi->body->loc);
    for (u32 i = 0; i < sc.prefix.n; i++)
      vec_push(e->a, &all->body, sc.prefix.v[i]);
    vec_push(e->a, &all->body, pi->body);
    pi->body = all;
  }
  e->cur = outer;
  e->st->scope = outer_scope;
}

void resolve_func(struct elab *e, struct fsym *f)
{
  if (f->resolved)
    return;
  f->resolved = true;
  if (f->f.decl->embedded) {
    ERR(e, &f->f.decl->loc, f->f.decl->name,
        "function with embedded C code can't run under --runtime=%s; it needs a kernel module",
        e->runtime ? e->runtime : "bpf");
    return;
  }
  struct scope sc = {.fn = f};
  strmap_init(&sc.locals, e->a);
  for (u32 i = 0; i < f->f.params.n; i++)
    strmap_put(&sc.locals, f->f.params.v[i]->name, f->f.params.v[i]);
  struct probe_inst *outer = e->cur;
  e->cur = NULL;
  resolve_stmt(e, &sc, &f->f.body);
  e->cur = outer;
}

void resolve_queue(struct elab *e)
{
  for (u32 i = 0; i < e->st->queue.n; i++)
    resolve_func(e, e->st->queue.v[i]);
  e->st->queue.n = 0;
}

/* Types to a fixpoint.  ty(x, want) gives x its type, where the context wants one ("want") passes
 * it down to what has none yet, and reports a mismatch.  Every round walks all bodies; rounds go on
 * while some variable, key, parameter or result got its type.  */
#include "elaborate/state.h"

#include <string.h>

struct infer {
  struct elab *e;
  struct fsym *fn;          /* whose body is walked, or NULL */
  struct probe_inst *probe; /* the same */
  bool changed;
  bool final; /* the last round: what has no type now is an error */
};

static void ty(struct infer *t, struct expr *x, enum type want);

/* ---- messages ------------------------------------------------------------------------------- */

static void unresolved(struct infer *t, struct expr *x)
{
  if (t->final && x->type == TY_UNKNOWN)
    expr_error(t->e, x, "%s", "unresolved type ");
}

static void mismatch(struct infer *t, struct expr *x, enum type got, const struct loc *first,
                     const char *first_name, enum type had)
{
  expr_error(t->e, x, "type mismatch (%s)", ast_type_text(got));
  const struct probe_inst *pi = t->probe;
  if (pi && first && first->file == pi->loc.file && first->line == pi->loc.line &&
      first->col == pi->loc.col)
    ERR(t->e, first, first_name, "it is a variable of probe %s (%s)", pi->pp, ast_type_text(had));
  else if (first && first->file)
    ERR(t->e, first, first_name, "type was first inferred here (%s)", ast_type_text(had));
}

/* A literal or operator whose type is fixed. */
static void fixed(struct infer *t, struct expr *x, enum type is, enum type want)
{
  x->type = is;
  if (want != TY_UNKNOWN && want != is)
    expr_error(t->e, x, "type mismatch: expected %s but found %s", ast_type_text(want),
               ast_type_text(is));
}

/* A variable's type slot meets what the context wants. */
static void slot(struct infer *t, struct expr *x, enum type *type, struct loc *loc,
                 const char *name, enum type want)
{
  if (*type == TY_UNKNOWN && want != TY_UNKNOWN) {
    *type = want;
    *loc = x->loc;
    t->changed = true;
  } else if (want != TY_UNKNOWN && *type != want) {
    mismatch(t, x, want, loc, name, *type);
  }
  x->type = *type;
}

static void key_slot(struct infer *t, struct expr *key, u32 i, enum type *type, struct loc *loc)
{
  if (key->kind == E_STAR)
    return;
  u32 before = t->e->diag->nerrors;
  bool literal = key->kind == E_NUM || key->kind == E_STR;
  ty(t, key, literal ? TY_UNKNOWN : *type);
  if (*type == TY_UNKNOWN && key->type != TY_UNKNOWN) {
    *type = key->type;
    *loc = key->loc;
    t->changed = true;
  } else if (key->type != TY_UNKNOWN && key->type != *type) {
    expr_error(t->e, key, "index %u type mismatch (%s)", i, ast_type_text(key->type));
    ERR(t->e, loc, NULL, "type of index %u was first inferred here (%s)", i, ast_type_text(*type));
  }
  if (before == t->e->diag->nerrors)
    unresolved(t, key);
}

/* ---- variables --------------------------------------------------------------------------------
 */

static void keys(struct infer *t, struct gsym *g, struct expr **v, u32 n)
{
  for (u32 i = 0; i < n && i < MAX_KEYS; i++)
    key_slot(t, v[i], i, &g->g.key_type[i], &g->key_loc[i]);
}

static void ty_var(struct infer *t, struct expr *x, enum type want)
{
  if (x->global) {
    struct gsym *g = (struct gsym *)x->global;
    if (x->kind == E_INDEX)
      keys(t, g, x->args.v, x->args.n);
    slot(t, x, &g->g.type, &g->type_loc, g->g.name, want);
  } else if (x->local) {
    struct lsym *l = (struct lsym *)x->local;
    slot(t, x, &l->l.type, &l->type_loc, l->l.name, want);
  }
}

static void ty_index(struct infer *t, struct expr *x, enum type want)
{
  if (!x->a) {
    ty_var(t, x, want);
    return;
  }
  ty(t, x->a, TY_UNKNOWN);
  ty(t, x->args.v[0], TY_LONG);
  fixed(t, x, TY_LONG, want);
}

static void ty_in(struct infer *t, struct expr *x, enum type want)
{
  if (x->a->kind == E_HIST) {
    ty(t, x->a, TY_UNKNOWN);
    for (u32 i = 0; i < x->args.n; i++)
      ty(t, x->args.v[i], TY_LONG);
  } else {
    struct gsym *g = (struct gsym *)x->global;
    keys(t, g, x->args.v, x->args.n);
    x->a->type = g->g.type;
    if (t->final && g->g.type == TY_UNKNOWN)
      unresolved(t, x->a);
  }
  fixed(t, x, TY_LONG, want);
}

/* ---- operators ---------------------------------------------------------------------------------
 */

/* Two operands of one type, whichever it is. */
static enum type same(struct infer *t, struct expr *x, struct expr *a, struct expr *b,
                      enum type want)
{
  bool lit_a = a->kind == E_NUM || a->kind == E_STR, lit_b = b->kind == E_NUM || b->kind == E_STR;
  u32 before = t->e->diag->nerrors;
  if (lit_a && lit_b) {
    ty(t, a, TY_UNKNOWN);
    ty(t, b, TY_UNKNOWN);
  } else {
    ty(t, a, want);
    ty(t, b, want != TY_UNKNOWN ? want : a->type);
    if (a->type == TY_UNKNOWN)
      ty(t, a, b->type);
  }
  if (a->type != TY_UNKNOWN && b->type != TY_UNKNOWN && a->type != b->type)
    expr_error(t->e, x, "type mismatch: left and right sides don't agree (%s vs %s)",
               ast_type_text(a->type), ast_type_text(b->type));
  else if (before == t->e->diag->nerrors) {
    unresolved(t, a);
    unresolved(t, b);
  }
  return a->type;
}

static void ty_binary(struct infer *t, struct expr *x, enum type want)
{
  switch (x->op) {
  case OP_CONCAT:
    ty(t, x->a, TY_STRING);
    ty(t, x->b, TY_STRING);
    fixed(t, x, TY_STRING, want);
    return;
  case OP_EQ:
  case OP_NE:
  case OP_LT:
  case OP_LE:
  case OP_GT:
  case OP_GE:
    if (same(t, x, x->a, x->b, TY_UNKNOWN) == TY_STATS)
      expr_error(t->e, x, "%s", "type mismatch: expected long or string but found stats");
    break;
  default:
    ty(t, x->a, TY_LONG);
    ty(t, x->b, TY_LONG);
  }
  fixed(t, x, TY_LONG, want);
}

static void ty_ternary(struct infer *t, struct expr *x, enum type want)
{
  ty(t, x->a, TY_LONG);
  ty(t, x->b, want);
  ty(t, x->c, want != TY_UNKNOWN ? want : x->b->type);
  if (x->b->type == TY_UNKNOWN && x->c->type != TY_UNKNOWN)
    ty(t, x->b, x->c->type);
  x->type = x->b->type;
  if (x->type == TY_STATS)
    expr_error(t->e, x, "%s", "invalid type stats");
}

static void ty_assign(struct infer *t, struct expr *x, enum type want)
{
  switch (x->op) {
  case OP_STATADD:
    ty(t, x->a, TY_STATS);
    ty(t, x->b, TY_LONG);
    fixed(t, x, TY_LONG, want);
    return;
  case OP_CONCAT:
    ty(t, x->a, TY_STRING);
    ty(t, x->b, TY_STRING);
    fixed(t, x, TY_STRING, want);
    return;
  case OP_NONE:
    ty(t, x->b, want);
    if (x->b->type == TY_STATS) {
      expr_error(t->e, x->b, "%s", "invalid type stats");
      return;
    }
    ty(t, x->a, x->b->type);
    if (x->b->type == TY_UNKNOWN && x->a->type != TY_UNKNOWN)
      ty(t, x->b, x->a->type);
    x->type = x->a->type;
    unresolved(t, x->a);
    return;
  default:
    ty(t, x->a, TY_LONG);
    ty(t, x->b, TY_LONG);
    fixed(t, x, TY_LONG, want);
  }
}

/* ---- calls -------------------------------------------------------------------------------------
 */

/* Every overload that may be tried has the same parameters and the same result. */
static void ty_call(struct infer *t, struct expr *x, enum type want)
{
  for (struct sym_func *f = x->func; f && want == TY_UNKNOWN; f = f->next_overload)
    want = f->type;
  for (struct sym_func *f = x->func; f; f = f->next_overload) {
    struct fsym *fs = (struct fsym *)f;
    for (u32 i = 0; i < f->params.n; i++) {
      struct lsym *p = (struct lsym *)f->params.v[i];
      key_slot(t, x->args.v[i], i, &p->l.type, &p->type_loc);
    }
    slot(t, x, &f->type, &fs->type_loc, f->name, want);
  }
}

static void ty_builtin(struct infer *t, struct expr *x, enum type want)
{
  const char *args = x->builtin ? x->builtin->args : "I";
  for (u32 i = 0; i < x->args.n && args[i]; i++)
    ty(t, x->args.v[i], args[i] == 'S' ? TY_STRING : TY_LONG);
  char r = x->builtin ? x->builtin->result : 'S';
  if (r != 'V') {
    enum type is = r == 'S' ? TY_STRING : TY_LONG;
    x->type = is;
    if (want != TY_UNKNOWN && want != is)
      expr_error(t->e, x, "type mismatch (%s): the function's result is %s", ast_type_text(want),
                 ast_type_text(is));
    return;
  }
  x->type = want == TY_LONG ? TY_LONG : TY_UNKNOWN; /* 0, as of functions that return nothing */
  if (want == TY_STRING && t->final)
    unresolved(t, x);
}

/* ---- printing
 * ------------------------------------------------------------------------------------ */

static bool next_arg(struct infer *t, struct expr *x, u32 *n, enum type want)
{
  if (*n >= x->args.n)
    return false;
  ty(t, x->args.v[(*n)++], want);
  return true;
}

static void ty_printf(struct infer *t, struct expr *x)
{
  u32 n = 0;
  bool ok = true;
  for (u32 i = 0; i < x->print->fmt.n; i++) {
    struct fmt_piece *p = &x->print->fmt.v[i];
    if (p->width_kind == FMT_DYNAMIC)
      ok &= next_arg(t, x, &n, TY_LONG);
    if (p->prec_kind == FMT_DYNAMIC)
      ok &= next_arg(t, x, &n, TY_LONG);
    if (p->conv != CONV_LITERAL)
      ok &= next_arg(t, x, &n, p->conv == CONV_S ? TY_STRING : TY_LONG);
  }
  if (!ok || n != x->args.n)
    expr_error(t->e, x, "%s", "Wrong number of args to formatted print operator");
}

static void ty_print(struct infer *t, struct expr *x, enum type want)
{
  struct print_expr *p = x->print;
  if (p->formatted) {
    ty_printf(t, x);
  } else {
    for (u32 i = 0; i < x->args.n; i++) {
      struct expr *a = x->args.v[i];
      ty(t, a, p->is_char ? TY_LONG : TY_UNKNOWN);
      unresolved(t, a);
      if (a->kind == E_HIST && (x->args.n > 1 || p->delimited))
        expr_error(t->e, a, "%s", "a histogram can only be printed alone");
      else if (a->kind != E_HIST && a->type == TY_STATS)
        expr_error(t->e, a, "%s", "type mismatch: expected long or string but found stats");
    }
    if (!x->args.n && !p->newline)
      expr_error(t->e, x, "%s", "missing arguments to print operator");
  }
  fixed(t, x, p->to_string ? TY_STRING : TY_LONG, want);
}

/* ---- expressions
 * ------------------------------------------------------------------------------------ */

static void ty(struct infer *t, struct expr *x, enum type want)
{
  switch (x->kind) {
  case E_NUM:
    fixed(t, x, TY_LONG, want);
    return;
  case E_STR:
    fixed(t, x, TY_STRING, want);
    return;
  case E_SYM:
    ty_var(t, x, want);
    break;
  case E_INDEX:
    ty_index(t, x, want);
    break;
  case E_STAR:
    return;
  case E_CALL:
    ty_call(t, x, want);
    break;
  case E_UNARY:
  case E_INCDEC:
    ty(t, x->a, TY_LONG);
    fixed(t, x, TY_LONG, want);
    return;
  case E_BINARY:
    ty_binary(t, x, want);
    return;
  case E_MATCH:
    ty(t, x->a, TY_STRING);
    ty(t, x->b, TY_STRING);
    fixed(t, x, TY_LONG, want);
    return;
  case E_IN:
    ty_in(t, x, want);
    return;
  case E_TERNARY:
    ty_ternary(t, x, want);
    return;
  case E_ASSIGN:
    ty_assign(t, x, want);
    return;
  case E_STATOP:
    ty(t, x->a, TY_STATS);
    fixed(t, x, TY_LONG, want);
    return;
  case E_HIST:
    ty(t, x->a, TY_STATS);
    x->type = TY_STATS;
    if (want != TY_UNKNOWN)
      expr_error(t->e, x, "type mismatch: expected %s but found stats", ast_type_text(want));
    return;
  case E_PRINT:
    ty_print(t, x, want);
    return;
  case E_OP:
    ty_builtin(t, x, want);
    return;
  case E_TARGET:
  case E_EMBEDDED:
    return;
  }
  if (want != TY_UNKNOWN)
    unresolved(t, x);
}

/* ---- statements
 * ------------------------------------------------------------------------------------- */

static void ty_foreach(struct infer *t, struct foreach_stmt *f)
{
  struct expr *b = f->base;
  if (b->kind == E_HIST) {
    ty(t, b, TY_UNKNOWN);
    ty(t, f->keys.v[0], TY_LONG);
    if (f->value)
      ty(t, f->value, TY_LONG);
  } else {
    struct gsym *g = (struct gsym *)b->global;
    keys(t, g, f->slice.v, f->slice.n);
    keys(t, g, f->keys.v, f->keys.n);
    b->type = g->g.type;
    unresolved(t, b);
    if (f->value && g->g.type == TY_STATS) {
      expr_error(t->e, f->value, "%s", "invalid type stats");
    } else if (f->value) {
      ty(t, f->value, g->g.type);
      slot(t, b, &g->g.type, &g->type_loc, g->g.name, f->value->type);
    }
    if (f->sort_stat != STAT_NONE && g->g.type != TY_STATS && g->g.type != TY_UNKNOWN)
      expr_error(t->e, b, "type mismatch: expected stats but found %s", ast_type_text(g->g.type));
  }
  if (f->limit)
    ty(t, f->limit, TY_LONG);
}

static void ty_return(struct infer *t, struct stmt *s)
{
  struct sym_func *f = &t->fn->f;
  if (!s->e)
    return;
  ty(t, s->e, f->type);
  if (s->e->type == TY_STATS) {
    expr_error(t->e, s->e, "%s", "invalid type stats");
  } else if (f->type == TY_UNKNOWN && s->e->type != TY_UNKNOWN) {
    f->type = s->e->type;
    t->fn->type_loc = s->e->loc;
    t->changed = true;
  }
  /* "return g()" of functions that have no value: who wants one is told where it calls. */
  if (f->type != TY_UNKNOWN || s->e->kind != E_CALL)
    unresolved(t, s->e);
}

static void ty_stmt(struct infer *t, struct stmt *s)
{
  if (!s)
    return;
  switch (s->kind) {
  case S_BLOCK:
    for (u32 i = 0; i < s->body.n; i++)
      ty_stmt(t, s->body.v[i]);
    return;
  case S_EXPR:
    ty(t, s->e, TY_UNKNOWN);
    return;
  case S_RETURN:
    if (t->fn)
      ty_return(t, s);
    return;
  case S_DELETE:
    if (s->e->kind == E_INDEX) {
      ty(t, s->e, TY_UNKNOWN);
      unresolved(t, s->e);
    } else if (s->e->global) {
      s->e->type = s->e->global->type;
      unresolved(t, s->e);
    } else {
      ty(t, s->e, TY_UNKNOWN);
    }
    return;
  case S_FOREACH:
    ty_foreach(t, s->foreach);
    break;
  case S_TRY:
    if (s->catch_var)
      ty(t, s->catch_var, TY_STRING);
    break;
  default:
    if (s->init)
      ty(t, s->init, TY_UNKNOWN);
    if (s->e)
      ty(t, s->e, TY_LONG);
    if (s->step)
      ty(t, s->step, TY_UNKNOWN);
  }
  ty_stmt(t, s->then);
  ty_stmt(t, s->els);
}

static void round_trip(struct infer *t)
{
  struct elab *e = t->e;
  t->changed = false;
  t->fn = NULL;
  for (u32 i = 0; i < e->prog->probes.n; i++) {
    struct probe_inst *pi = e->prog->probes.v[i];
    t->probe = pi;
    if (pi->cond)
      ty(t, pi->cond, TY_LONG);
    ty_stmt(t, pi->body);
  }
  t->probe = NULL;
  for (u32 i = 0; i < e->st->all_funcs.n; i++) {
    t->fn = e->st->all_funcs.v[i];
    if (t->fn->f.used)
      ty_stmt(t, t->fn->f.body);
  }
  t->fn = NULL;
}

/* What nobody needs the type of is an integer. */
static void default_types(struct elab *e)
{
  for (u32 i = 0; i < e->st->all_funcs.n; i++) {
    struct sym_func *f = &e->st->all_funcs.v[i]->f;
    for (u32 k = 0; f->used && k < f->params.n; k++)
      if (f->params.v[k]->type == TY_UNKNOWN && !f->params.v[k]->is_read)
        f->params.v[k]->type = TY_LONG;
  }
}

void learn_types(struct elab *e)
{
  struct infer t = {.e = e};
  u32 before = e->diag->nerrors;
  do
    round_trip(&t);
  while (t.changed && e->diag->nerrors == before);
}

void infer_types(struct elab *e)
{
  struct infer t = {.e = e};
  u32 before = e->diag->nerrors;
  learn_types(e);
  if (e->diag->nerrors != before)
    return;
  default_types(e);
  t.final = true;
  round_trip(&t);
  for (u32 i = 0; i < e->st->all_globals.n && e->diag->nerrors == before; i++) {
    struct gsym *g = e->st->all_globals.v[i];
    if (g->used && (g->g.is_read || g->g.is_written) && g->g.type == TY_UNKNOWN)
      ERR(e, &g->g.decl->loc, g->g.name, "%s", "unresolved type ");
  }
}

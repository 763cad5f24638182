/* Pass 2 from end to end, and the tables of declarations.  A tapset file is loaded when a name is
 * looked up that no loaded file declares; its own declarations, and its probes, then join.  */
#include "elaborate/state.h"

#include <stdlib.h>
#include <string.h>

#include "elaborate/tapset.h"

void elab_init(struct elab *e)
{
  struct elab_state *st = e->st = NEW(e->a, struct elab_state);
  strmap_init(&st->globals, e->a);
  strmap_init(&st->private_globals, e->a);
  strmap_init(&st->funcs, e->a);
  strmap_init(&st->private_funcs, e->a);
  strmap_init(&st->synth, e->a);
  if (!e->prog) {
    e->prog = NEW(e->a, struct program);
    e->prog->a = e->a;
  }
}

/* ---- diagnostics -------------------------------------------------------------------------- */

void expr_token(struct elab *e, const struct expr *x, const char **what, const char **text)
{
  ast_token(e->a, x, what, text);
  if (x->kind == E_OP && !x->name && x->builtin && x->builtin->name)
    *text = x->builtin->name;
}

void expr_error(struct elab *e, const struct expr *x, const char *fmt, ...)
{
  if (e->defined_depth)
    return;
  const char *what, *text;
  expr_token(e, x, &what, &text);
  va_list ap;
  va_start(ap, fmt);
  const char *msg = arena_vprintf(e->a, fmt, ap);
  va_end(ap);
  diag_at(e->diag, DIAG_SEMANTIC_ERROR, &x->loc, what, text, "%s", msg);
}

/* ---- declarations -------------------------------------------------------------------------- */

static const char *private_key(struct elab *e, const struct loc *loc, const char *name)
{
  return arena_printf(e->a, "%p %s", loc ? (void *)loc->file : NULL, name);
}

static void register_global(struct elab *e, struct global_decl *d, bool tapset)
{
  struct elab_state *st = e->st;
  struct gsym *old = strmap_get(&st->globals, d->name);
  struct strmap *map = d->private_ ? &st->private_globals : &st->globals;
  const char *key = d->private_ ? private_key(e, &d->loc, d->name) : d->name;
  if (d->private_)
    old = strmap_get(map, key);
  else if (!old && strmap_get(&st->private_globals, private_key(e, &d->loc, d->name)))
    old = strmap_get(&st->private_globals, private_key(e, &d->loc, d->name));
  if (old) {
    ERR(e, &d->loc, d->name, "%s", "conflicting global variables");
    ERR(e, &old->g.decl->loc, d->name, "%s", "the other one is here");
    return;
  }
  struct gsym *g = NEW(e->a, struct gsym);
  g->g.decl = d;
  g->g.name = d->name;
  g->g.from_tapset = tapset;
  g->arity = NO_ARITY;
  if (d->maxsize || d->wrap)
    g->g.is_array = true;
  if (d->init) {
    g->g.type = d->init->kind == E_STR ? TY_STRING : TY_LONG;
    g->type_loc = d->init->loc;
    d->init->type = g->g.type;
    g->arity = 0;
    g->arity_loc = d->loc;
  }
  strmap_put(map, key, g);
  vec_push(e->a, &st->all_globals, g);
}

static void register_func(struct elab *e, struct func_decl *d, bool tapset)
{
  struct elab_state *st = e->st;
  struct strmap *map = d->private_ ? &st->private_funcs : &st->funcs;
  const char *key = d->private_ ? private_key(e, &d->loc, d->name) : d->name;
  struct func_set *set = strmap_get(map, key);
  if (!set) {
    set = NEW(e->a, struct func_set);
    set->name = d->name;
    strmap_put(map, key, set);
  }
  struct fsym *f = NEW(e->a, struct fsym);
  f->f.decl = d;
  f->f.type = d->type;
  f->type_loc = d->loc;
  f->f.from_tapset = tapset;
  f->f.body = d->body;
  f->set = set;
  u32 n = set->v.n;
  f->f.name = n ? arena_printf(e->a, "%s.%u", d->name, n) : d->name;
  for (u32 i = 0; i < d->params.n; i++) {
    struct param *p = &d->params.v[i];
    struct lsym *l = NEW(e->a, struct lsym);
    l->l = (struct sym_local){.name = p->name, .type = p->type, .loc = p->loc, .is_param = true};
    l->type_loc = p->loc;
    vec_push(e->a, &f->f.params, &l->l);
  }
  /* Lowest priority number first; equal ones in the order of their definition. */
  vec_push(e->a, &set->v, f);
  for (u32 i = n; i > 0 && set->v.v[i - 1]->f.decl->priority > d->priority; i--) {
    set->v.v[i] = set->v.v[i - 1];
    set->v.v[i - 1] = f;
  }
  for (u32 i = 0; i < set->v.n; i++) {
    struct fsym *a = set->v.v[i];
    a->f.next_overload = NULL;
    for (u32 k = i + 1; k < set->v.n && !a->f.next_overload; k++)
      if (set->v.v[k]->f.params.n == a->f.params.n)
        a->f.next_overload = &set->v.v[k]->f;
  }
  vec_push(e->a, &st->all_funcs, f);
}

void elab_register(struct elab *e, struct ast_file *f)
{
  bool tapset = f->src->is_tapset;
  for (u32 i = 0; i < f->globals.n; i++)
    register_global(e, f->globals.v[i], tapset);
  for (u32 i = 0; i < f->funcs.n; i++)
    register_func(e, f->funcs.v[i], tapset);
  for (u32 i = 0; i < f->aliases.n; i++)
    vec_push(e->a, &e->st->aliases, f->aliases.v[i]);
  for (u32 i = 0; i < f->probes.n; i++)
    vec_push(e->a, &e->st->pending, f->probes.v[i]);
}

/* Loads tapset files until `name` of that kind is declared by one, or none is left. */
static bool load(struct elab *e, enum tapset_kind kind, const char *name)
{
  struct ast_file *f = e->tapset ? tapset_load(e->tapset, kind, name) : NULL;
  if (!f)
    return false;
  elab_register(e, f);
  return true;
}

struct gsym *elab_find_global(struct elab *e, const char *name, const struct loc *from)
{
  struct elab_state *st = e->st;
  struct gsym *g = NULL;
  if (from && from->file && st->private_globals.n)
    g = strmap_get(&st->private_globals, private_key(e, from, name));
  if (!g)
    g = strmap_get(&st->globals, name);
  while (!g && load(e, TAPSET_GLOBAL, name))
    g = strmap_get(&st->globals, name);
  return g;
}

static bool has_next(const struct stmt *s)
{
  if (!s)
    return false;
  for (u32 i = 0; i < s->body.n; i++)
    if (has_next(s->body.v[i]))
      return true;
  return s->kind == S_NEXT || has_next(s->then) || has_next(s->els);
}

/* A script function that does nothing but call a built-in one. */
static struct func_decl *wrap_builtin(struct elab *e, const struct builtin *b, u32 nargs,
                                      const struct loc *loc)
{
  struct func_decl *d = NEW(e->a, struct func_decl);
  struct expr *args[MAX_KEYS];
  d->name = b->name;
  d->loc = *loc;
  d->priority = 1;
  for (u32 i = 0; i < nargs; i++) {
    struct param p = {.name = arena_printf(e->a, "a%u", i), .loc = *loc};
    vec_push(e->a, &d->params, p);
    args[i] = expr_new(e->a, E_SYM, loc);
    args[i]->name = p.name;
  }
  d->body = stmt_new(e->a, b->result == 'V' ? S_EXPR : S_RETURN, loc);
  d->body->e = op_fn(e, loc, b, nargs, args);
  return d;
}

/* Where the script's functions of that name may leave a call to the library's, these join them. */
static void join_library(struct elab *e, struct func_set *set, const char *name, u32 nargs)
{
  const struct sym_func *last = NULL;
  bool leaves = false; /* one before the last may */
  for (u32 i = 0; i < set->v.n; i++) {
    const struct sym_func *f = &set->v.v[i]->f;
    if (f->params.n != nargs)
      continue;
    if (f->from_tapset || f->decl->private_)
      return;
    leaves |= last && has_next(last->body);
    last = f;
  }
  if (!last || !(has_next(last->body) || (leaves && last->decl->priority > 1)))
    return;
  const struct builtin *b = builtin_find(name, nargs);
  if (!b)
    load(e, TAPSET_FUNC, name);
  else if (nargs <= MAX_KEYS && !(e->user_runtime && (b->flags & BI_KERNEL)))
    register_func(e, wrap_builtin(e, b, nargs, &last->decl->loc), true);
}

struct func_set *elab_find_funcs(struct elab *e, const char *name, u32 nargs,
                                 const struct loc *from)
{
  struct elab_state *st = e->st;
  struct func_set *set = NULL;
  if (from && from->file && st->private_funcs.n)
    set = strmap_get(&st->private_funcs, private_key(e, from, name));
  if (!set)
    set = strmap_get(&st->funcs, name);
  if (set)
    join_library(e, set, name, nargs);
  bool builtin = builtin_find(name, nargs) != NULL;
  while (!set && !builtin && load(e, TAPSET_FUNC, name))
    set = strmap_get(&st->funcs, name);
  return set;
}

struct gsym *elab_synth_global(struct elab *e, const char *key, u32 nkeys)
{
  struct gsym *g = strmap_get(&e->st->synth, key);
  if (g)
    return g;
  g = NEW(e->a, struct gsym);
  g->g.decl = NEW(e->a, struct global_decl);
  g->g.decl->name = g->g.name = arena_strdup(e->a, key);
  g->g.from_tapset = true;
  g->g.is_array = nkeys > 0;
  g->g.nkeys = nkeys;
  g->arity = (s32)nkeys;
  g->used = true;
  strmap_put(&e->st->synth, g->g.name, g);
  vec_push(e->a, &e->st->all_globals, g);
  return g;
}

static int by_text(const void *x, const void *y)
{
  return strcmp(*(const char *const *)x, *(const char *const *)y);
}

const char *elab_similar_function(struct elab *e, const char *name)
{
  static const char *const prints[] = {"print",  "println",  "printf",  "printd",  "printdln",
                                       "sprint", "sprintln", "sprintf", "sprintd", "sprintdln"};
  VEC(const char *) v = {0};
  for (u32 i = 0; i < ARRAY_SIZE(prints); i++)
    vec_push(e->a, &v, prints[i]);
  for (u32 i = 0; i < e->st->all_funcs.n; i++)
    if (!e->st->all_funcs.v[i]->synthetic)
      vec_push(e->a, &v, e->st->all_funcs.v[i]->f.decl->name);
  for (u32 i = 0; i < IR_NFNS; i++)
    if (ir_builtins[i].name && ir_builtins[i].name[0] != '_')
      vec_push(e->a, &v, ir_builtins[i].name);
  for (u32 i = 0; e->tapset && i < e->tapset->entries.n; i++)
    if (e->tapset->entries.v[i].kind == TAPSET_FUNC)
      vec_push(e->a, &v, e->tapset->entries.v[i].name);
  if (!v.n)
    return NULL;
  qsort(v.v, v.n, sizeof(v.v[0]), by_text);
  u32 n = 0;
  for (u32 i = 0; i < v.n; i++)
    if (!n || strcmp(v.v[n - 1], v.v[i]))
      v.v[n++] = v.v[i];
  return diag_similar(e->a, name, v.v, n, 5);
}

/* ---- the pass ------------------------------------------------------------------------------- */

static void number(struct elab *e)
{
  struct program *p = e->prog;
  for (u32 i = 0; i < e->st->all_globals.n; i++) {
    struct gsym *g = e->st->all_globals.v[i];
    if (!g->used || (!g->g.is_read && !g->g.is_written && !e->unoptimized))
      continue;
    g->g.id = p->globals.n;
    vec_push(e->a, &p->globals, &g->g);
  }
  for (u32 i = 0; i < e->st->all_funcs.n; i++) {
    struct sym_func *f = &e->st->all_funcs.v[i]->f;
    if (!f->used)
      continue;
    f->id = p->funcs.n;
    vec_push(e->a, &p->funcs, f);
  }
  for (u32 i = 0; i < p->probes.n; i++)
    p->probes.v[i]->id = i;
}

/* Probe declarations wait in a queue because expanding one may load files that bring more. */
static void expand_and_resolve(struct elab *e)
{
  u32 resolved = 0;
  for (u32 i = 0; i < e->st->pending.n; i++) {
    expand_decl(e, e->st->pending.v[i]);
    for (; resolved < e->prog->probes.n; resolved++)
      resolve_probe(e, e->prog->probes.v[resolved]);
    resolve_queue(e);
  }
}

struct program *elaborate(struct elab *e, struct ast_file *script)
{
  u32 before = e->diag->nerrors;
  if (!e->st)
    elab_init(e);
  elab_register(e, script);
  expand_and_resolve(e);
  if (e->diag->nerrors != before)
    return NULL;
  check_foreach(e);
  if (e->diag->nerrors != before)
    return NULL;
  drop_unreached_functions(e);
  compute_uses(e);
  learn_types(e); /* from what the optimiser drops, too */
  if (e->diag->nerrors != before)
    return NULL;
  optimize(e);
  if (!e->prog->probes.n) {
    diag_msg(e->diag, DIAG_SEMANTIC_ERROR, "%s", "no probes found");
    return NULL;
  }
  infer_types(e);
  if (e->diag->nerrors != before)
    return NULL;
  compute_uses(e);
  compute_stats(e);
  number(e);
  compile_regexes(e);
  return e->diag->nerrors == before ? e->prog : NULL;
}

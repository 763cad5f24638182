/* What can be told from the tree alone: constants, branches never taken, assignments that nothing
 * reads, expressions without effect, probes that do nothing.  Users rely on the warnings, which
 * are about their own files only.  The intermediate representation's passes do the rest.  */
#include "elaborate/state.h"

#include <ctype.h>
#include <string.h>

#define WORD_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$@"

struct opt {
  struct elab *e;
  bool changed;
  u32 round; /* from 1; what can be dropped only since something else was is no news: no warning */
};

static bool from_user(const struct loc *loc)
{
  return loc->file && !loc->file->is_tapset;
}

/* ---- constants ------------------------------------------------------------------------------- */

bool expr_const(const struct expr *x, s64 *v)
{
  if (!x || x->kind != E_NUM)
    return false;
  *v = x->num;
  return true;
}

static bool fold_num(enum op op, s64 a, s64 b, s64 *r)
{
  u64 ua = (u64)a, ub = (u64)b;
  switch (op) {
  case OP_ADD:
    *r = (s64)(ua + ub);
    return true;
  case OP_SUB:
    *r = (s64)(ua - ub);
    return true;
  case OP_MUL:
    *r = (s64)(ua * ub);
    return true;
  case OP_AND:
    *r = a & b;
    return true;
  case OP_OR:
    *r = a | b;
    return true;
  case OP_XOR:
    *r = a ^ b;
    return true;
  case OP_SHL:
    *r = (s64)(ua << (ub & 63));
    return true;
  case OP_SHR:
    *r = a >> (ub & 63);
    return true;
  case OP_USHR:
    *r = (s64)(ua >> (ub & 63));
    return true;
  case OP_EQ:
    *r = a == b;
    return true;
  case OP_NE:
    *r = a != b;
    return true;
  case OP_LT:
    *r = a < b;
    return true;
  case OP_LE:
    *r = a <= b;
    return true;
  case OP_GT:
    *r = a > b;
    return true;
  case OP_GE:
    *r = a >= b;
    return true;
  case OP_LAND:
    *r = a && b;
    return true;
  case OP_LOR:
    *r = a || b;
    return true;
  default:
    return false; /* division may be by zero: left to run time */
  }
}

static bool fold_str(enum op op, const struct expr *a, const struct expr *b, s64 *r)
{
  bool compares =
      op == OP_EQ || op == OP_NE || op == OP_LT || op == OP_LE || op == OP_GT || op == OP_GE;
  return compares && fold_num(op, strcmp(a->str, b->str), 0, r);
}

static void become_num(struct expr *x, s64 v)
{
  *x = (struct expr){.kind = E_NUM,
                     .loc = x->loc,
                     .op = x->op, /* for messages */
                     .num = v,
                     .type = TY_LONG,
                     .stat = STAT_NONE};
}

static void fold_unary(struct expr *x)
{
  s64 v = x->a->num;
  switch (x->op) {
  case OP_PLUS:
    become_num(x, v);
    break;
  case OP_NEG:
    become_num(x, (s64)(0 - (u64)v));
    break;
  case OP_NOT:
    become_num(x, ~v);
    break;
  case OP_LNOT:
    become_num(x, !v);
    break;
  default:
    break;
  }
}

/* Strings, plainly: the wrong types are errors even where they aren't needed. */
static bool is_text(const struct expr *x)
{
  return x->kind == E_STR || (x->kind == E_BINARY && x->op == OP_CONCAT);
}

static bool is_number(const struct expr *x)
{
  return x->kind == E_NUM || x->kind == E_UNARY || x->kind == E_INCDEC ||
         (x->kind == E_BINARY && x->op != OP_CONCAT);
}

static bool differ(const struct expr *x, const struct expr *y)
{
  return (is_text(x) && is_number(y)) || (is_number(x) && is_text(y));
}

/* Nothing of it is cut when the program computes with it. */
static bool fits(const struct elab *e, const struct expr *x)
{
  return x->kind != E_STR || strlen(x->str) < e->maxstringlen;
}

/* The left operand of && or || that decides alone. */
static bool fold_short(struct expr *x)
{
  s64 v;
  if ((x->op != OP_LAND && x->op != OP_LOR) || !expr_const(x->a, &v))
    return false;
  if ((x->op == OP_LAND ? v != 0 : !v) || is_text(x->b))
    return false;
  become_num(x, x->op == OP_LOR);
  return true;
}

bool fold_const(struct elab *e, struct expr **px)
{
  struct expr *x = *px;
  s64 v;
  if (!x)
    return false;
  if (x->kind == E_NUM || x->kind == E_STR)
    return true;
  if (x->kind == E_UNARY && fold_const(e, &x->a) && x->a->kind == E_NUM)
    fold_unary(x);
  if (x->kind == E_TERNARY && fold_const(e, &x->a) && expr_const(x->a, &v) && !differ(x->b, x->c) &&
      fits(e, v ? x->b : x->c)) {
    *px = v ? x->b : x->c;
    return fold_const(e, px);
  }
  if (x->kind == E_BINARY) {
    bool a = fold_const(e, &x->a);
    if (a && fold_short(x))
      return true;
    if (!fold_const(e, &x->b) || !a)
      return false;
    if (x->a->kind == E_NUM && x->b->kind == E_NUM) {
      if (fold_num(x->op, x->a->num, x->b->num, &v))
        become_num(x, v);
    } else if (x->a->kind == E_STR && x->b->kind == E_STR && x->op != OP_CONCAT && fits(e, x->a) &&
               fits(e, x->b) && fold_str(x->op, x->a, x->b, &v)) {
      become_num(x, v);
    }
  }
  return x->kind == E_NUM;
}

static bool fold_visit(struct expr **px, void *arg)
{
  struct opt *o = arg;
  enum expr_kind before = (*px)->kind;
  struct expr *node = *px;
  fold_const(o->e, px);
  if (*px != node || (*px)->kind != before)
    o->changed = true;
  return true;
}

/* ---- effects ------------------------------------------------------------------------------------
 */

enum { EFFECTS_UNKNOWN, EFFECTS_OPEN, EFFECTS_NONE, EFFECTS_SOME };

static bool func_effects(struct sym_func *f);

/* May divide by zero: the error is an effect. */
static bool divides(const struct expr *x, const struct expr *by)
{
  s64 v;
  return (x->op == OP_DIV || x->op == OP_MOD) && !(expr_const(by, &v) && v);
}

/* May find that memory can't be read. */
static bool reads_memory(const struct print_expr *p)
{
  for (u32 i = 0; i < p->fmt.n; i++)
    if (p->fmt.v[i].conv == CONV_M || p->fmt.v[i].conv == CONV_MM)
      return true;
  return false;
}

/* May be of an empty statistic. */
static bool prints_histogram(const struct expr *x)
{
  return x->args.n && x->args.v[0]->kind == E_HIST;
}

static bool effect_visit(struct expr **px, void *arg)
{
  struct expr *x = *px;
  bool *some = arg;
  switch (x->kind) {
  case E_PRINT:
    *some |= !x->print->to_string || reads_memory(x->print) || prints_histogram(x);
    break;
  case E_ASSIGN:
    *some |= divides(x, x->b);
    /* fall through */
  case E_INCDEC:
    *some |= x->a->global != NULL;
    break;
  case E_BINARY:
    *some |= divides(x, x->b);
    break;
  case E_STATOP:
    *some |= x->stat != STAT_COUNT; /* an empty statistic */
    break;
  case E_INDEX:
    *some |= x->a && x->a->kind == E_HIST; /* likewise, and no such bucket */
    break;
  case E_CALL:
    for (struct sym_func *f = x->func; f && !*some; f = f->next_overload)
      *some |= func_effects(f);
    break;
  case E_OP:
    *some |=
        x->builtin && (!(x->builtin->flags & (BI_PURE | BI_READ)) || x->builtin->flags & BI_FAIL);
    break;
  case E_MATCH:
    *some = true; /* matched() reads it */
    break;
  case E_EMBEDDED:
  case E_TARGET:
    *some = true;
    break;
  default:
    break;
  }
  return !*some;
}

static bool stmt_effects(struct stmt *s)
{
  if (!s)
    return false;
  for (u32 i = 0; i < s->body.n; i++)
    if (stmt_effects(s->body.v[i]))
      return true;
  if (s->kind == S_DELETE || s->kind == S_EMBEDDED)
    return true;
  if (s->kind == S_NEXT) /* of a function: there may be no other to go on with */
    return true;
  if (s->kind == S_FOREACH)
    for (u32 i = 0; i < s->foreach->keys.n; i++)
      if (s->foreach->keys.v[i]->global)
        return true;
  bool some = false;
  struct stmt head = *s;
  head.then = head.els = NULL;
  stmt_walk(&head, effect_visit, &some);
  return some || stmt_effects(s->then) || stmt_effects(s->els);
}

/* Functions in a cycle may fail, for want of nesting. */
static bool func_effects(struct sym_func *f)
{
  struct fsym *fs = (struct fsym *)f;
  if (fs->effects == EFFECTS_NONE)
    return false;
  if (fs->effects == EFFECTS_SOME || fs->effects == EFFECTS_OPEN)
    return true;
  fs->effects = EFFECTS_OPEN;
  bool some = f->decl->embedded || stmt_effects(f->body);
  fs->effects = some ? EFFECTS_SOME : EFFECTS_UNKNOWN;
  return some;
}

static bool expr_effects(struct expr *x, bool locals_too)
{
  bool some = false;
  if (x->kind == E_ASSIGN || x->kind == E_INCDEC)
    return locals_too || x->a->global;
  expr_walk(&x, effect_visit, &some);
  return some;
}

static bool assigns_visit(struct expr **px, void *arg)
{
  if ((*px)->kind == E_ASSIGN || (*px)->kind == E_INCDEC)
    *(bool *)arg = true;
  return true;
}

static bool has_effect(struct expr *x)
{
  bool assigns = false;
  expr_walk(&x, assigns_visit, &assigns);
  return assigns || expr_effects(x, true);
}

/* ---- assignments that nothing reads
 * ----------------------------------------------------------------- */

static bool dead_assign_visit(struct expr **px, void *arg)
{
  struct opt *o = arg;
  struct expr *x = *px;
  while (x->kind == E_ASSIGN && x->op != OP_STATADD && x->a->kind == E_SYM && x->a->local &&
         !x->a->local->is_read && !divides(x, x->b)) {
    if (o->round == 1 && from_user(&x->loc) && !((struct lsym *)x->a->local)->from_entry)
      diag_at(o->e->diag, DIAG_WARNING, &x->loc, "operator",
              x->op == OP_NONE ? "=" : "op=", "Eliding assignment to '%s'", x->a->name);
    *px = x = x->b;
    o->changed = true;
    if (!fits(o->e, x)) /* as the variable had it */
      x->str = arena_strndup(o->e->a, x->str, o->e->maxstringlen - 1);
  }
  return true;
}

/* ---- statements
 * --------------------------------------------------------------------------------------- */

static bool empty(const struct stmt *s)
{
  return !s || s->kind == S_EMPTY || (s->kind == S_BLOCK && !s->body.n);
}

/* The token at a place, as messages name it. */
static const char *token_at(struct arena *a, const struct loc *loc, const char **what)
{
  const char *t = loc->file->text + loc->off;
  size_t n = strspn(t, WORD_CHARS);
  *what = isdigit((unsigned char)*t) ? "number" : "identifier";
  if (*t == '"') {
    *what = "string";
    t++;
    n = strcspn(t, "\"\n");
  } else if (!n) {
    *what = "operator";
    n = 1 + (t[0] && t[0] == t[1] && strchr("+-", t[0]));
  }
  return arena_strndup(a, t, n);
}

static void warn_dead(struct opt *o, const struct stmt *s)
{
  if (o->round > 1 || !from_user(&s->loc))
    return;
  const char *what, *text = token_at(o->e->a, &s->loc, &what);
  diag_at(o->e->diag, DIAG_WARNING, &s->loc, what, text, "%s",
          "Eliding side-effect-free expression ");
}

static void opt_stmt(struct opt *o, struct stmt **ps);

static void make_empty(struct opt *o, struct stmt **ps)
{
  *ps = stmt_new(o->e->a, S_EMPTY, &(*ps)->loc);
  o->changed = true;
}

static void opt_block(struct opt *o, struct stmt *s)
{
  struct stmt flat = *s;
  flat.body.v = NULL;
  flat.body.n = flat.body.cap = 0;
  for (u32 i = 0; i < s->body.n; i++) {
    opt_stmt(o, &s->body.v[i]);
    struct stmt *b = s->body.v[i];
    if (b->kind == S_BLOCK)
      for (u32 k = 0; k < b->body.n; k++)
        vec_push(o->e->a, &flat.body, b->body.v[k]);
    else if (b->kind != S_EMPTY)
      vec_push(o->e->a, &flat.body, b);
  }
  s->body = flat.body;
}

static void opt_if(struct opt *o, struct stmt **ps)
{
  struct stmt *s = *ps;
  s64 v;
  opt_stmt(o, &s->then);
  if (s->els)
    opt_stmt(o, &s->els);
  if (o->round > 1 && expr_const(s->e, &v)) {
    struct stmt *taken = v ? s->then : s->els;
    *ps = taken ? taken : stmt_new(o->e->a, S_EMPTY, &s->loc);
    o->changed = true;
  } else if (empty(s->then) && empty(s->els) && !has_effect(s->e)) {
    make_empty(o, ps);
  } else if (empty(s->then) && empty(s->els)) {
    s->kind = S_EXPR;
    s->then = s->els = NULL;
    o->changed = true;
  } else if (empty(s->els)) {
    s->els = NULL;
  }
}

static void opt_stmt(struct opt *o, struct stmt **ps)
{
  struct stmt *s = *ps;
  s64 v;
  switch (s->kind) {
  case S_BLOCK:
    opt_block(o, s);
    return;
  case S_EXPR:
    if (!has_effect(s->e)) {
      warn_dead(o, s);
      make_empty(o, ps);
    }
    return;
  case S_IF:
    opt_if(o, ps);
    return;
  case S_WHILE:
    opt_stmt(o, &s->then);
    if (expr_const(s->e, &v) && !v)
      make_empty(o, ps);
    return;
  case S_FOREACH:
    opt_stmt(o, &s->then);
    if (empty(s->then) && !stmt_effects(s))
      make_empty(o, ps);
    return;
  case S_TRY:
    opt_stmt(o, &s->then);
    opt_stmt(o, &s->els);
    if (empty(s->then))
      make_empty(o, ps);
    return;
  default:
    if (s->then)
      opt_stmt(o, &s->then);
    if (s->els)
      opt_stmt(o, &s->els);
  }
}

/* ---- functions reached
 * ----------------------------------------------------------------------------------- */

static bool reach_visit(struct expr **px, void *arg);

static void reach(struct sym_func *f)
{
  for (; f && !f->used; f = f->next_overload) {
    f->used = true;
    stmt_walk(f->body, reach_visit, f);
  }
}

static bool reach_visit(struct expr **px, void *arg)
{
  (void)arg;
  if ((*px)->kind == E_CALL)
    reach((*px)->func);
  return true;
}

void drop_unreached_functions(struct elab *e)
{
  for (u32 i = 0; i < e->st->all_funcs.n; i++)
    e->st->all_funcs.v[i]->f.used = false;
  for (u32 i = 0; i < e->prog->probes.n; i++) {
    struct probe_inst *pi = e->prog->probes.v[i];
    stmt_walk(pi->body, reach_visit, e);
    if (pi->cond)
      expr_walk(&pi->cond, reach_visit, e);
  }
}

/* ---- never assigned
 * ------------------------------------------------------------------------------------- */

/* What is named like v[i], itself aside; NULL: nothing. */
static const char *others_like(struct elab *e, const char **v, u32 n, u32 i)
{
  const char *name = v[i];
  v[i] = "";
  const char *near = diag_similar(e->a, name, v, n, 5);
  v[i] = name;
  return near;
}

static void warn_locals(struct elab *e, struct sym_local **v, u32 n)
{
  VEC(const char *) names = {0};
  for (u32 i = 0; i < n; i++)
    vec_push(e->a, &names, v[i]->name);
  for (u32 i = 0; i < e->st->all_globals.n; i++)
    if (from_user(&e->st->all_globals.v[i]->g.decl->loc))
      vec_push(e->a, &names, e->st->all_globals.v[i]->g.decl->name);
  for (u32 i = 0; i < n; i++) {
    struct sym_local *l = v[i];
    if (l->is_param || !l->is_read || l->is_written || !from_user(&l->loc) ||
        ((struct lsym *)l)->warned)
      continue;
    ((struct lsym *)l)->warned = true;
    const char *near = others_like(e, names.v, names.n, i);
    WARN(e, &l->loc, l->name, "never-assigned local variable '%s'%s%s%s", l->name,
         near ? " (similar: " : "", near ? near : "", near ? ")" : "");
  }
}

static void warn_never_assigned(struct elab *e)
{
  for (u32 i = 0; i < e->prog->probes.n; i++)
    warn_locals(e, e->prog->probes.v[i]->locals.v, e->prog->probes.v[i]->locals.n);
  for (u32 i = 0; i < e->st->all_funcs.n; i++)
    if (e->st->all_funcs.v[i]->f.used)
      warn_locals(e, e->st->all_funcs.v[i]->f.locals.v, e->st->all_funcs.v[i]->f.locals.n);
  VEC(struct gsym *) used = {0};
  VEC(const char *) names = {0};
  for (u32 i = 0; i < e->st->all_globals.n; i++)
    if (e->st->all_globals.v[i]->used) {
      vec_push(e->a, &used, e->st->all_globals.v[i]);
      vec_push(e->a, &names, e->st->all_globals.v[i]->g.name);
    }
  for (u32 i = 0; i < used.n; i++) {
    struct gsym *g = used.v[i];
    if (g->g.is_read && !g->g.is_written && !g->g.decl->init && !g->warned &&
        from_user(&g->g.decl->loc)) {
      g->warned = true;
      const char *near = others_like(e, names.v, names.n, i);
      WARN(e, &g->g.decl->loc, g->g.name, "never-assigned global variable '%s'%s%s%s", g->g.name,
           near ? " (similar: " : "", near ? near : "", near ? ")" : "");
    }
  }
}

/* ---- the pass
 * -------------------------------------------------------------------------------------------- */

static void drop_unread_locals(struct probe_inst *pi)
{
  u32 n = 0;
  for (u32 i = 0; i < pi->locals.n; i++)
    if (pi->locals.v[i]->is_read || pi->locals.v[i]->is_written)
      pi->locals.v[n++] = pi->locals.v[i];
  pi->locals.n = n;
}

/* Calls do for every body: handlers, then functions. */
static void each_body(struct opt *o, void (*do_it)(struct opt *o, struct stmt **body))
{
  struct elab *e = o->e;
  for (u32 i = 0; i < e->prog->probes.n; i++)
    do_it(o, &e->prog->probes.v[i]->body);
  for (u32 i = 0; i < e->st->all_funcs.n; i++)
    if (e->st->all_funcs.v[i]->f.used)
      do_it(o, &e->st->all_funcs.v[i]->f.body);
}

static void drop_assigns(struct opt *o, struct stmt **body)
{
  stmt_walk(*body, dead_assign_visit, o);
}

static void fold(struct opt *o, struct stmt **body)
{
  stmt_walk(*body, fold_visit, o);
}

static void warn_empty_functions(struct opt *o)
{
  for (u32 i = 0; o->round == 1 && i < o->e->st->all_funcs.n; i++) {
    const struct sym_func *f = &o->e->st->all_funcs.v[i]->f;
    if (f->used && !f->decl->embedded && empty(f->body) && from_user(&f->decl->loc))
      WARN(o->e, &f->decl->loc, f->decl->name, "side-effect-free function '%s'", f->decl->name);
  }
}

static void drop_probes(struct opt *o, const bool *was_empty)
{
  struct program *p = o->e->prog;
  u32 n = 0;
  for (u32 i = 0; i < p->probes.n; i++) {
    struct probe_inst *pi = p->probes.v[i];
    if (!empty(pi->body) || was_empty[i]) {
      p->probes.v[n++] = pi;
      continue;
    }
    if (from_user(&pi->loc))
      diag_at(o->e->diag, DIAG_WARNING, &pi->loc, NULL, NULL, "Probe '%s' has been elided: keyword",
              pi->pp);
    o->changed = true;
  }
  p->probes.n = n;
}

static void optimize_once(struct opt *o)
{
  struct elab *e = o->e;
  bool *was_empty = NEW_ARRAY(e->a, bool, e->prog->probes.n + 1);
  for (u32 i = 0; i < e->prog->probes.n; i++)
    was_empty[i] = empty(e->prog->probes.v[i]->body);
  for (u32 i = 0; i < e->st->all_funcs.n; i++)
    e->st->all_funcs.v[i]->effects = EFFECTS_UNKNOWN;
  each_body(o, drop_assigns);
  each_body(o, opt_stmt);
  warn_empty_functions(o);
  drop_probes(o, was_empty);
  each_body(o, fold);
  drop_unreached_functions(e);
  compute_uses(e);
}

void optimize(struct elab *e)
{
  struct opt o = {.e = e};
  warn_never_assigned(e);
  if (e->unoptimized)
    return;
  do {
    o.changed = false;
    o.round++;
    optimize_once(&o);
  } while (o.changed || o.round == 1);
  for (u32 i = 0; i < e->prog->probes.n; i++)
    drop_unread_locals(e->prog->probes.v[i]);
}

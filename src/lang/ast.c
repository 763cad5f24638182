/* Making, copying and walking the syntax tree. */
#include "lang/ast.h"

#include <string.h>

struct expr *expr_new(struct arena *a, enum expr_kind kind, const struct loc *loc)
{
  struct expr *e = NEW(a, struct expr);
  e->kind = kind;
  e->loc = *loc;
  e->stat = STAT_NONE;
  return e;
}

struct stmt *stmt_new(struct arena *a, enum stmt_kind kind, const struct loc *loc)
{
  struct stmt *s = NEW(a, struct stmt);
  s->kind = kind;
  s->loc = *loc;
  return s;
}

void print_add_text(struct arena *a, struct print_expr *p, const char *s, u32 n)
{
  if (!n)
    return;
  if (!p->fmt.n || vec_last(&p->fmt).conv != CONV_LITERAL) {
    struct fmt_piece piece = {.conv = CONV_LITERAL, .text = arena_strndup(a, s, n), .len = n};
    vec_push(a, &p->fmt, piece);
    return;
  }
  struct fmt_piece *last = &vec_last(&p->fmt);
  char *joined = arena_alloc(a, last->len + n + 1);
  memcpy(joined, last->text, last->len);
  memcpy(joined + last->len, s, n);
  last->text = joined;
  last->len += n;
}

static struct target_expr *target_copy(struct arena *a, const struct target_expr *t)
{
  struct target_expr *c = NEW(a, struct target_expr);
  *c = *t;
  c->suffix.v = NULL;
  c->suffix.n = c->suffix.cap = 0;
  for (u32 i = 0; i < t->suffix.n; i++) {
    struct target_suffix s = t->suffix.v[i];
    s.index = expr_copy(a, s.index);
    vec_push(a, &c->suffix, s);
  }
  return c;
}

struct expr *expr_copy(struct arena *a, const struct expr *e)
{
  if (!e)
    return NULL;
  struct expr *c = NEW(a, struct expr);
  *c = *e;
  c->a = expr_copy(a, e->a);
  c->b = expr_copy(a, e->b);
  c->c = expr_copy(a, e->c);
  c->args.v = NULL;
  c->args.n = c->args.cap = 0;
  for (u32 i = 0; i < e->args.n; i++)
    vec_push(a, &c->args, expr_copy(a, e->args.v[i]));
  if (e->target)
    c->target = target_copy(a, e->target);
  return c;
}

static struct foreach_stmt *foreach_copy(struct arena *a, const struct foreach_stmt *f)
{
  struct foreach_stmt *c = NEW(a, struct foreach_stmt);
  *c = *f;
  c->value = expr_copy(a, f->value);
  c->base = expr_copy(a, f->base);
  c->limit = expr_copy(a, f->limit);
  c->keys.v = NULL;
  c->keys.n = c->keys.cap = 0;
  for (u32 i = 0; i < f->keys.n; i++)
    vec_push(a, &c->keys, expr_copy(a, f->keys.v[i]));
  c->slice.v = NULL;
  c->slice.n = c->slice.cap = 0;
  for (u32 i = 0; i < f->slice.n; i++)
    vec_push(a, &c->slice, expr_copy(a, f->slice.v[i]));
  return c;
}

struct stmt *stmt_copy(struct arena *a, const struct stmt *s)
{
  if (!s)
    return NULL;
  struct stmt *c = NEW(a, struct stmt);
  *c = *s;
  c->e = expr_copy(a, s->e);
  c->init = expr_copy(a, s->init);
  c->step = expr_copy(a, s->step);
  c->catch_var = expr_copy(a, s->catch_var);
  c->then = stmt_copy(a, s->then);
  c->els = stmt_copy(a, s->els);
  if (s->foreach)
    c->foreach = foreach_copy(a, s->foreach);
  c->body.v = NULL;
  c->body.n = c->body.cap = 0;
  for (u32 i = 0; i < s->body.n; i++)
    vec_push(a, &c->body, stmt_copy(a, s->body.v[i]));
  return c;
}

void expr_walk(struct expr **e, expr_visit fn, void *arg)
{
  if (!*e || !fn(e, arg))
    return;
  struct expr *x = *e;
  expr_walk(&x->a, fn, arg);
  expr_walk(&x->b, fn, arg);
  expr_walk(&x->c, fn, arg);
  for (u32 i = 0; i < x->args.n; i++)
    expr_walk(&x->args.v[i], fn, arg);
  if (x->target)
    for (u32 i = 0; i < x->target->suffix.n; i++)
      expr_walk(&x->target->suffix.v[i].index, fn, arg);
}

void stmt_walk(struct stmt *s, expr_visit fn, void *arg)
{
  if (!s)
    return;
  expr_walk(&s->init, fn, arg);
  expr_walk(&s->e, fn, arg);
  expr_walk(&s->step, fn, arg);
  expr_walk(&s->catch_var, fn, arg);
  if (s->foreach) {
    struct foreach_stmt *f = s->foreach;
    expr_walk(&f->value, fn, arg);
    for (u32 i = 0; i < f->keys.n; i++)
      expr_walk(&f->keys.v[i], fn, arg);
    expr_walk(&f->base, fn, arg);
    for (u32 i = 0; i < f->slice.n; i++)
      expr_walk(&f->slice.v[i], fn, arg);
    expr_walk(&f->limit, fn, arg);
  }
  for (u32 i = 0; i < s->body.n; i++)
    stmt_walk(s->body.v[i], fn, arg);
  stmt_walk(s->then, fn, arg);
  stmt_walk(s->els, fn, arg);
}

const char *ast_op_text(enum op op)
{
  static const char *const text[OP_LAST] = {
      [OP_NONE] = "=",    [OP_ADD] = "+",     [OP_SUB] = "-",      [OP_MUL] = "*",
      [OP_DIV] = "/",     [OP_MOD] = "%",     [OP_SHL] = "<<",     [OP_SHR] = ">>",
      [OP_USHR] = ">>>",  [OP_AND] = "&",     [OP_OR] = "|",       [OP_XOR] = "^",
      [OP_LAND] = "&&",   [OP_LOR] = "||",    [OP_EQ] = "==",      [OP_NE] = "!=",
      [OP_LT] = "<",      [OP_LE] = "<=",     [OP_GT] = ">",       [OP_GE] = ">=",
      [OP_CONCAT] = ".",  [OP_MATCH] = "=~",  [OP_NOMATCH] = "!~", [OP_STATADD] = "<<<",
      [OP_PLUS] = "+",    [OP_NEG] = "-",     [OP_NOT] = "~",      [OP_LNOT] = "!",
      [OP_PREINC] = "++", [OP_PREDEC] = "--", [OP_POSTINC] = "++", [OP_POSTDEC] = "--"};
  return text[op];
}

const char *ast_type_text(enum type t)
{
  static const char *const text[] = {"unknown", "long", "string", "stats"};
  return text[t];
}

void ast_token(struct arena *a, const struct expr *x, const char **what, const char **text)
{
  *what = "identifier";
  switch (x->kind) {
  case E_NUM:
    if (x->op != OP_NONE) { /* folded */
      *what = "operator";
      *text = ast_op_text(x->op);
      break;
    }
    *what = "number";
    *text = x->name ? x->name : arena_printf(a, "%lld", (long long)x->num);
    break;
  case E_STR:
    *what = "string";
    *text = x->str;
    break;
  case E_UNARY:
  case E_INCDEC:
  case E_BINARY:
  case E_MATCH:
    *what = "operator";
    *text = ast_op_text(x->op);
    break;
  case E_ASSIGN:
    *what = "operator";
    *text = x->op == OP_NONE      ? "="
            : x->op == OP_STATADD ? "<<<"
                                  : arena_printf(a, "%s=", ast_op_text(x->op));
    break;
  case E_TERNARY:
    *what = "operator";
    *text = "?";
    break;
  case E_IN:
    *what = "keyword";
    *text = "in";
    break;
  case E_STAR:
    *what = "operator";
    *text = "*";
    break;
  case E_EMBEDDED:
    *what = "embedded code";
    *text = x->str;
    break;
  case E_TARGET:
    *text = x->target->kind == TARGET_VAR ? x->target->name : x->name;
    break;
  default:
    *text = x->name ? x->name : x->a && x->a->name ? x->a->name : "";
    if ((*text)[0] == '@')
      *what = "operator";
  }
}

/* Linear: one below, one for each step from lo to hi, one above. */
u32 hist_buckets(const struct hist *h)
{
  if (h->kind == HIST_LOG)
    return HIST_LOG_BUCKETS;
  u64 n = h->step > 0 && h->hi >= h->lo ? ((u64)h->hi - (u64)h->lo) / (u64)h->step : 0;
  return (u32)MIN(n + 3, (u64)HIST_MAX_BUCKETS);
}

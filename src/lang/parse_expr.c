/* Expressions, from values up to assignments. */
#include "lang/parser.h"

#include <string.h>

static struct expr *binary(struct parser *p, enum op o, const struct token *t, struct expr *a,
                           struct expr *b)
{
  struct expr *e = new_expr(p, E_BINARY, t);
  e->op = o;
  e->a = a;
  e->b = b;
  return e;
}

static struct expr *level(struct parser *p, u32 n);

/* ---- expressions -------------------------------------------------------------------------- */

/* key := expression | "*" */
struct expr *array_key(struct parser *p)
{
  if (is_op(cur(p), "*") && (is_op(peek(p, 1), ",") || is_op(peek(p, 1), "]")))
    return new_expr(p, E_STAR, take(p));
  return expression(p);
}

/* keys := key { "," key } */
void array_keys(struct parser *p, struct expr *e)
{
  do
    vec_push(p->a, &e->args, array_key(p));
  while (op(p, ","));
  want_op(p, "]");
}

/* symbol := identifier | identifier "(" args ")" | identifier "[" keys "]" | print */
static struct expr *symbol(struct parser *p)
{
  struct token *t = want_ident(p);
  struct print_expr pe;
  struct expr *e;
  if (print_name(t->text, &pe))
    return print_call(p, t, &pe);
  if (op(p, "(")) {
    e = new_expr(p, E_CALL, t);
    e->name = t->text;
    if (op(p, ")"))
      return e;
    do
      vec_push(p->a, &e->args, expression(p));
    while (op(p, ","));
    if (!is_op(cur(p), ")"))
      fail_at(p, cur(p), "expected ',' or ')'");
    take(p);
    return e;
  }
  if (op(p, "[")) {
    e = new_expr(p, E_INDEX, t);
    e->name = t->text;
    array_keys(p, e);
    return e;
  }
  e = new_expr(p, E_SYM, t);
  e->name = t->text;
  return e;
}

/* bucket := histogram "[" index "]" */
static struct expr *bucket(struct parser *p, struct expr *hist, const struct token *t)
{
  struct expr *e = new_expr(p, E_INDEX, t);
  want_op(p, "[");
  e->a = hist;
  array_keys(p, e);
  return e;
}

/* value := number | string | "(" expression ")" | "[" keys "]" "in" array | target | statop
 *        | bucket | symbol | "%{" code "%}" */
struct expr *value(struct parser *p)
{
  struct token *t = cur(p);
  struct expr *e;
  switch (t->kind) {
  case TOK_NUMBER:
    e = new_expr(p, E_NUM, t);
    e->num = number(p, "");
    return e;
  case TOK_STRING:
    e = new_expr(p, E_STR, t);
    string_literal(p, &e->str, &e->len);
    return e;
  case TOK_EMBED:
    if (!embedded_allowed(p))
      fail_at(p, t, "embedded expression code in unprivileged script; need stap -g");
    e = new_expr(p, E_EMBEDDED, take(p));
    e->str = t->text;
    return e;
  case TOK_IDENT:
    return t->text[0] == '$' ? target_var(p) : symbol(p);
  case TOK_AT:
    if ((e = target_op(p)) || (e = stat_call(p)))
      return e;
    if ((e = histogram(p))) {
      if (!is_op(cur(p), "["))
        fail_at(p, t, "base histogram operator where expression expected");
      return bucket(p, e, t);
    }
    fail_at(p, t, arena_printf(p->a, "unknown operator %s", t->text));
  case TOK_OP:
    if (op(p, "(")) {
      e = expression(p);
      want_op(p, ")");
      e->parens = true;
      return e;
    }
    break;
  default:
    break;
  }
  fail_at(p, t, "expected literal string or number");
}

/* dereference := ["&"] value [ "->" … ] */
static struct expr *dereference(struct parser *p)
{
  bool addressof = op(p, "&");
  struct token *t = cur(p);
  struct expr *e = value(p);
  if (is_op(cur(p), "->"))
    e = autocast(p, e);
  if (addressof) {
    if (e->kind != E_TARGET)
      fail_at(p, t, "expected target variable");
    e->target->addressof = true;
  }
  return e;
}

/* crement := ("++" | "--") dereference | dereference [ "++" | "--" ] */
static struct expr *crement(struct parser *p)
{
  struct token *t = cur(p);
  struct expr *e;
  if (is_op(t, "++") || is_op(t, "--")) {
    take(p);
    e = new_expr(p, E_INCDEC, t);
    e->op = t->text[0] == '+' ? OP_PREINC : OP_PREDEC;
    e->a = dereference(p);
    return e;
  }
  struct expr *v = dereference(p);
  t = cur(p);
  if (is_op(t, "++") || is_op(t, "--")) {
    take(p);
    e = new_expr(p, E_INCDEC, t);
    e->op = t->text[0] == '+' ? OP_POSTINC : OP_POSTDEC;
    e->a = v;
    return e;
  }
  return v;
}

/* unary := { "+" | "-" | "!" | "~" } crement */
static struct expr *unary(struct parser *p)
{
  static const struct {
    const char *text;
    enum op op;
  } ops[] = {{"+", OP_PLUS}, {"-", OP_NEG}, {"!", OP_LNOT}, {"~", OP_NOT}};
  struct token *t = cur(p);
  for (u32 i = 0; i < ARRAY_SIZE(ops); i++)
    if (is_op(t, ops[i].text)) {
      take(p);
      enter(p);
      struct expr *e = new_expr(p, E_UNARY, t);
      e->op = ops[i].op;
      e->a = unary(p);
      leave(p);
      return e;
    }
  return crement(p);
}

struct level {
  struct {
    const char *text;
    enum op op;
  } ops[7];
};
/* Binary operators by level, loosest first; "in" and "=~" have their own functions. */
static const struct level levels[] = {
    {{{"||", OP_LOR}}},
    {{{"&&", OP_LAND}}},
    {{{"|", OP_OR}}},
    {{{"^", OP_XOR}}},
    {{{"&", OP_AND}}},
    {{{"in", OP_NONE}}},
    {{{"<", OP_LT}, {">", OP_GT}, {"==", OP_EQ}, {"!=", OP_NE}, {"<=", OP_LE}, {">=", OP_GE}}},
    {{{"<<", OP_SHL}, {">>", OP_SHR}, {">>>", OP_USHR}}},
    {{{".", OP_CONCAT}}},
    {{{"+", OP_ADD}, {"-", OP_SUB}}},
    {{{"*", OP_MUL}, {"/", OP_DIV}, {"%", OP_MOD}}},
};
enum { LEVEL_IN = 5, LEVEL_COMPARE = 6 };

static enum op level_op(const struct level *l, const struct token *t)
{
  for (u32 i = 0; i < ARRAY_SIZE(l->ops) && l->ops[i].text; i++)
    if (is_op(t, l->ops[i].text))
      return l->ops[i].op;
  return OP_NONE;
}

static struct expr *level(struct parser *p, u32 n);

/* array_in := ( "[" keys "]" | comparison ) [ "in" identifier ] */
static struct expr *array_in(struct parser *p)
{
  struct token *t = cur(p);
  struct expr *e = new_expr(p, E_IN, t);
  if (op(p, "[")) {
    array_keys(p, e);
    if (!is_word(cur(p), "in"))
      fail_at(p, cur(p), "expected 'in'");
  } else {
    struct expr *v = level(p, LEVEL_COMPARE);
    if (!is_word(cur(p), "in"))
      return v;
    vec_push(p->a, &e->args, v);
  }
  e->loc = take(p)->loc;
  struct expr *h = histogram(p);
  if (h) {
    e->a = h;
  } else {
    t = want_ident(p);
    e->name = t->text;
    e->a = new_expr(p, E_SYM, t);
    e->a->name = t->text;
  }
  return e;
}

/* Later passes recurse into the left-hand side of "a + b + c + …". */
enum { MAX_CHAIN = 2000 };

/* comparison := shift { ("<" | … | "==" ) shift | ("=~" | "!~") string } */
static struct expr *comparison(struct parser *p)
{
  struct expr *e = level(p, LEVEL_COMPARE + 1);
  for (u32 length = 0;; length++) {
    struct token *t = cur(p);
    if (length > MAX_CHAIN)
      fail_at(p, t, "expression too long");
    enum op o = level_op(&levels[LEVEL_COMPARE], t);
    if (o != OP_NONE) {
      take(p);
      e = binary(p, o, t, e, level(p, LEVEL_COMPARE + 1));
    } else if (is_op(t, "=~") || is_op(t, "!~")) {
      take(p);
      struct expr *m = new_expr(p, E_MATCH, t);
      m->op = t->text[0] == '=' ? OP_MATCH : OP_NOMATCH;
      m->a = e;
      m->b = new_expr(p, E_STR, cur(p));
      string_literal(p, &m->b->str, &m->b->len);
      e = m;
    } else {
      return e;
    }
  }
}

/* level(n) := level(n+1) { operator level(n+1) } */
static struct expr *level(struct parser *p, u32 n)
{
  if (n == ARRAY_SIZE(levels))
    return unary(p);
  if (n == LEVEL_IN)
    return array_in(p);
  if (n == LEVEL_COMPARE)
    return comparison(p);
  struct expr *e = level(p, n + 1);
  for (u32 length = 0;; length++) {
    struct token *t = cur(p);
    enum op o = level_op(&levels[n], t);
    if (o == OP_NONE)
      return e;
    if (length > MAX_CHAIN)
      fail_at(p, t, "expression too long");
    take(p);
    e = binary(p, o, t, e, level(p, n + 1));
  }
}

/* ternary := logical_or [ "?" expression ":" ternary ] */
static struct expr *ternary(struct parser *p)
{
  struct expr *c = level(p, 0);
  if (!is_op(cur(p), "?"))
    return c;
  enter(p);
  struct expr *e = new_expr(p, E_TERNARY, take(p));
  e->a = c;
  e->b = expression(p);
  want_op(p, ":");
  e->c = ternary(p);
  leave(p);
  return e;
}

static bool assign_op(const struct token *t, enum op *o)
{
  static const struct {
    const char *text;
    enum op op;
  } ops[] = {{"=", OP_NONE}, {"<<<", OP_STATADD}, {"+=", OP_ADD},   {"-=", OP_SUB},  {"*=", OP_MUL},
             {"/=", OP_DIV}, {"%=", OP_MOD},      {"<<=", OP_SHL},  {">>=", OP_SHR}, {"&=", OP_AND},
             {"^=", OP_XOR}, {"|=", OP_OR},       {".=", OP_CONCAT}};
  for (u32 i = 0; i < ARRAY_SIZE(ops); i++)
    if (is_op(t, ops[i].text)) {
      *o = ops[i].op;
      return true;
    }
  return false;
}

static bool is_lvalue(const struct expr *e)
{
  return e->kind == E_SYM || e->kind == E_INDEX || e->kind == E_TARGET;
}

/* expression := ternary [ assignment-operator expression ] */
struct expr *expression(struct parser *p)
{
  enter(p);
  struct expr *e = ternary(p);
  struct token *t = cur(p);
  enum op o;
  if (assign_op(t, &o)) {
    if (!is_lvalue(e))
      fail_at(p, t, "assignment requires lvalue");
    take(p);
    struct expr *as = new_expr(p, E_ASSIGN, t);
    as->op = o;
    as->a = e;
    as->b = expression(p);
    e = as;
  }
  leave(p);
  return e;
}

struct expr *parenthesized(struct parser *p)
{
  want_op(p, "(");
  struct expr *e = expression(p);
  want_op(p, ")");
  return e;
}

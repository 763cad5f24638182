/* Recursive descent over the preprocessed tokens.  One function a production; its comment is the
 * production.  A syntax error unwinds to the declaration it is in; parsing goes on behind it.  */
#include "lang/lex.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 500, MAX_ERRORS = 20, MAX_BRACES = 4096 };

struct parser {
  struct parse_env *env;
  struct arena *a;
  struct tokens t;
  u32 at;
  u32 depth, max_depth;
  bool in_function, in_probe;
  u32 loops;
  struct ast_file *file;
  struct src_file *src;
  jmp_buf fail;
  u32 errors;
};

/* ---- tokens ------------------------------------------------------------------------ */

static struct token *cur(struct parser *p)
{
  return &p->t.v[p->at];
}

static struct token *peek(struct parser *p, u32 ahead)
{
  return &p->t.v[MIN(p->at + ahead, p->t.n - 1)];
}

static struct token *take(struct parser *p)
{
  struct token *t = cur(p);
  if (t->kind != TOK_EOF)
    p->at++;
  return t;
}

static _Noreturn void fail_at(struct parser *p, struct token *t, const char *msg)
{
  lex_error(p->env, t, "%s", msg);
  longjmp(p->fail, 1);
}

static bool is_op(const struct token *t, const char *op)
{
  return t->kind == TOK_OP && !strcmp(t->text, op);
}

static bool is_word(const struct token *t, const char *word)
{
  return t->kind == TOK_KEYWORD && !strcmp(t->text, word);
}

static bool is_at(const struct token *t, const char *name)
{
  return t->kind == TOK_AT && !strcmp(t->text, name);
}

static bool op(struct parser *p, const char *text)
{
  if (!is_op(cur(p), text))
    return false;
  take(p);
  return true;
}

static bool word(struct parser *p, const char *text)
{
  if (!is_word(cur(p), text))
    return false;
  take(p);
  return true;
}

static struct token *want_op(struct parser *p, const char *text)
{
  if (!is_op(cur(p), text))
    fail_at(p, cur(p), arena_printf(p->a, "expected '%s'", text));
  return take(p);
}

static struct token *want_ident(struct parser *p)
{
  if (cur(p)->kind != TOK_IDENT)
    fail_at(p, cur(p), "expected identifier");
  return take(p);
}

static struct token *want_string(struct parser *p)
{
  if (cur(p)->kind != TOK_STRING)
    fail_at(p, cur(p), "expected literal string");
  return take(p);
}

static void enter(struct parser *p)
{
  if (++p->depth > p->max_depth)
    fail_at(p, cur(p), "nested too deeply");
}

static void leave(struct parser *p)
{
  p->depth--;
}

static struct expr *new_expr(struct parser *p, enum expr_kind kind, const struct token *t)
{
  return expr_new(p->a, kind, &t->loc);
}

static struct expr *binary(struct parser *p, enum op o, const struct token *t, struct expr *a,
                           struct expr *b)
{
  struct expr *e = new_expr(p, E_BINARY, t);
  e->op = o;
  e->a = a;
  e->b = b;
  return e;
}

static struct expr *expression(struct parser *p);
static struct expr *unary(struct parser *p);
static struct stmt *statement(struct parser *p);

/* Adjacent literals are one string. */
static void string_literal(struct parser *p, const char **s, u32 *len)
{
  struct token *t = want_string(p);
  *s = t->text;
  *len = t->len;
  while (cur(p)->kind == TOK_STRING) {
    t = take(p);
    char *joined = arena_alloc(p->a, *len + t->len + 1);
    memcpy(joined, *s, *len);
    memcpy(joined + *len, t->text, t->len);
    *s = joined;
    *len += t->len;
  }
}

/* ---- print formats ----------------------------------------------------------------- */

static void add_literal(struct parser *p, struct print_expr *pe, struct strbuf *b)
{
  if (!b->n)
    return;
  struct fmt_piece piece = {.conv = CONV_LITERAL, .text = arena_strndup(p->a, b->s, b->n),
                            .len = (u32)b->n};
  vec_push(p->a, &pe->fmt, piece);
  sb_reset(b);
}

static bool conversion(char c, enum conv *conv)
{
  static const struct {
    char c;
    enum conv conv;
  } table[] = {{'d', CONV_D}, {'i', CONV_D},  {'u', CONV_U}, {'o', CONV_O},
               {'x', CONV_X}, {'X', CONV_XX}, {'p', CONV_P}, {'c', CONV_C},
               {'s', CONV_S}, {'b', CONV_B},  {'m', CONV_M}, {'M', CONV_MM}};
  for (u32 i = 0; i < ARRAY_SIZE(table); i++)
    if (table[i].c == c) {
      *conv = table[i].conv;
      return true;
    }
  return false;
}

static const char *format_number(const char *s, enum fmt_width *kind, u32 *n)
{
  if (*s == '*') {
    *kind = FMT_DYNAMIC;
    return s + 1;
  }
  for (; *s >= '0' && *s <= '9'; s++) {
    *kind = FMT_STATIC;
    *n = MIN(*n * 10 + (u32)(*s - '0'), 100000u);
  }
  return s;
}

/* format := { text | "%%" | "%" [flags] [width] ["." precision] [length] conversion } */
static void parse_format(struct parser *p, struct token *t, const char *s, struct print_expr *pe)
{
  struct strbuf b = {0};
  while (*s) {
    if (*s != '%') {
      sb_putc(&b, *s++);
      continue;
    }
    if (*++s == '%') {
      sb_putc(&b, *s++);
      continue;
    }
    add_literal(p, pe, &b);
    struct fmt_piece f = {0};
    for (; *s && strchr("0 +-#", *s); s++)
      f.flags |= *s == '0'   ? FMT_ZERO
                 : *s == ' ' ? FMT_SPACE
                 : *s == '+' ? FMT_PLUS
                 : *s == '-' ? FMT_LEFT
                             : FMT_ALT;
    s = format_number(s, &f.width_kind, &f.width);
    if (*s == '.') {
      f.prec_kind = FMT_STATIC;
      s = format_number(s + 1, &f.prec_kind, &f.prec);
    }
    while (*s == 'l' || *s == 'h')
      s++;
    if (!*s || !conversion(*s, &f.conv)) {
      sb_free(&b);
      fail_at(p, t, "invalid or missing conversion specifier");
    }
    s++;
    if (f.conv == CONV_B)
      f.size = f.width_kind == FMT_STATIC ? f.width : 8;
    vec_push(p->a, &pe->fmt, f);
  }
  add_literal(p, pe, &b);
  sb_free(&b);
}

static bool print_name(const char *name, struct print_expr *pe)
{
  *pe = (struct print_expr){0};
  if (!strcmp(name, "print_char")) {
    pe->is_char = true;
    return true;
  }
  if (*name == 's') {
    pe->to_string = true;
    name++;
  }
  if (strncmp(name, "print", 5))
    return false;
  name += 5;
  if (!strcmp(name, "f")) {
    pe->formatted = true;
    return true;
  }
  if (*name == 'd') {
    pe->delimited = true;
    name++;
  }
  if (!strcmp(name, "ln")) {
    pe->newline = true;
    name += 2;
  }
  return !*name;
}

/* print := ("print" | "println" | "printd" | "printdln" | "printf" | "s"…) "(" args ")" */
static struct expr *print_call(struct parser *p, struct token *name, struct print_expr *pe)
{
  struct expr *e = new_expr(p, E_PRINT, name);
  e->name = name->text;
  e->print = NEW(p->a, struct print_expr);
  *e->print = *pe;
  want_op(p, "(");
  if (pe->formatted || pe->delimited) {
    struct token *t = cur(p);
    const char *s;
    u32 len;
    string_literal(p, &s, &len);
    if (pe->formatted) {
      e->str = s;
      e->len = len;
      parse_format(p, t, s, e->print);
    } else {
      e->print->delim = s;
    }
    if (!is_op(cur(p), ")"))
      want_op(p, ",");
  }
  while (!is_op(cur(p), ")")) {
    vec_push(p->a, &e->args, expression(p));
    if (!op(p, ","))
      break;
  }
  if (!is_op(cur(p), ")"))
    fail_at(p, cur(p), "expected ',' or ')'");
  take(p);
  return e;
}

/* ---- target symbols -------------------------------------------------------------------- */

/* Splits the pretty-printing suffix off a name: "task$$" is "task" and "$$". */
static const char *split_pretty(struct parser *p, const char *name, const char **pretty)
{
  size_t n = strlen(name), keep = n;
  *pretty = NULL;
  while (keep > 1 && name[keep - 1] == '$')
    keep--;
  if (name[0] == '$' && keep == 1)
    return name; /* "$$" alone: no variable */
  if (keep == n || n - keep > 2)
    return name;
  *pretty = arena_strdup(p->a, name + keep);
  return arena_strndup(p->a, name, keep);
}

static void add_suffix(struct parser *p, struct target_expr *te, struct target_suffix s)
{
  vec_push(p->a, &te->suffix, s);
}

static void add_pretty(struct parser *p, struct target_expr *te, const char *pretty)
{
  if (pretty)
    add_suffix(p, te, (struct target_suffix){.kind = SUFFIX_PRETTY, .name = pretty});
}

/* suffixes := { "->" identifier | "[" expression "]" } [ "$" | "$$" ] */
static void target_suffixes(struct parser *p, struct target_expr *te)
{
  const char *pretty;
  for (;;) {
    if (op(p, "->")) {
      struct token *t = cur(p);
      if (t->kind != TOK_IDENT && t->kind != TOK_KEYWORD)
        fail_at(p, t, "expected identifier");
      take(p);
      const char *name = t->text[0] == '$' ? t->text : split_pretty(p, t->text, &pretty);
      if (t->text[0] == '$') {
        add_pretty(p, te, t->text);
        return;
      }
      add_suffix(p, te, (struct target_suffix){.kind = SUFFIX_ARROW, .name = name});
      add_pretty(p, te, pretty);
    } else if (is_op(cur(p), "[")) {
      take(p);
      struct expr *index = expression(p);
      want_op(p, "]");
      add_suffix(p, te, (struct target_suffix){.kind = SUFFIX_INDEX, .index = index});
    } else if (cur(p)->kind == TOK_IDENT && te->suffix.n &&
               vec_last(&te->suffix).kind == SUFFIX_INDEX &&
               (!strcmp(cur(p)->text, "$") || !strcmp(cur(p)->text, "$$"))) {
      add_pretty(p, te, take(p)->text);
      return;
    } else {
      return;
    }
  }
}

static struct expr *new_target(struct parser *p, enum target_kind kind, struct token *t)
{
  struct expr *e = new_expr(p, E_TARGET, t);
  e->target = NEW(p->a, struct target_expr);
  e->target->kind = kind;
  e->name = t->text;
  return e;
}

/* target := "$" name suffixes */
static struct expr *target_var(struct parser *p)
{
  struct token *t = take(p);
  struct expr *e = new_target(p, TARGET_VAR, t);
  const char *pretty;
  e->target->name = e->name = split_pretty(p, t->text, &pretty);
  add_pretty(p, e->target, pretty);
  target_suffixes(p, e->target);
  return e;
}

/* "@op" "(" … ")" of the target family */
static struct expr *target_op(struct parser *p)
{
  static const struct {
    const char *name;
    enum target_kind kind;
    const char *args; /* E expression, S string, s optional string, T type string */
    bool suffix;
  } ops[] = {{"@cast", TARGET_CAST, "ESs", true},
             {"@var", TARGET_ATVAR, "Ss", true},
             {"@defined", TARGET_DEFINED, "E", false},
             {"@probewrite", TARGET_PROBEWRITE, "E", false},
             {"@entry", TARGET_ENTRY, "E", false},
             {"@perf", TARGET_PERF, "S", false},
             {"@const", TARGET_CONST, "S", false},
             {"@enum", TARGET_ENUM, "S", false},
             {"@enumname", TARGET_ENUMNAME, "SE", false},
             {"@kregister", TARGET_KREGISTER, "E", false},
             {"@uregister", TARGET_UREGISTER, "E", false},
             {"@kderef", TARGET_KDEREF, "EE", false},
             {"@uderef", TARGET_UDEREF, "EE", false}};
  for (u32 i = 0; i < ARRAY_SIZE(ops); i++) {
    if (!is_at(cur(p), ops[i].name))
      continue;
    struct expr *e = new_target(p, ops[i].kind, take(p));
    want_op(p, "(");
    for (const char *k = ops[i].args; *k; k++) {
      if (*k == 's') {
        if (op(p, ","))
          e->target->module = want_string(p)->text;
        continue;
      }
      if (k > ops[i].args)
        want_op(p, ",");
      if (*k == 'S') {
        u32 len;
        string_literal(p, &e->target->name, &len);
      } else if (!e->a) {
        e->a = expression(p);
      } else {
        e->b = expression(p);
      }
    }
    want_op(p, ")");
    if (ops[i].suffix) {
      /* "@cast(…)$$" */
      if (cur(p)->kind == TOK_IDENT && cur(p)->text[0] == '$' &&
          (!strcmp(cur(p)->text, "$") || !strcmp(cur(p)->text, "$$")))
        add_pretty(p, e->target, take(p)->text);
      target_suffixes(p, e->target);
    }
    return e;
  }
  return NULL;
}

/* ---- statistics -------------------------------------------------------------------------- */

static const struct {
  const char *name;
  enum stat_op op;
} stat_names[] = {{"@count", STAT_COUNT}, {"@sum", STAT_SUM}, {"@min", STAT_MIN},
                  {"@max", STAT_MAX},     {"@avg", STAT_AVG}, {"@variance", STAT_VARIANCE}};

static enum stat_op stat_op_of(const struct token *t)
{
  for (u32 i = 0; i < ARRAY_SIZE(stat_names); i++)
    if (is_at(t, stat_names[i].name))
      return stat_names[i].op;
  return STAT_NONE;
}

static s64 literal_number(struct parser *p)
{
  bool neg = op(p, "-");
  if (cur(p)->kind != TOK_NUMBER)
    fail_at(p, cur(p), "expected number");
  s64 n = take(p)->num;
  return neg ? (s64)(0 - (u64)n) : n;
}

/* histogram := "@hist_log" "(" value ")" | "@hist_linear" "(" value "," low "," high "," step ")" */
static struct expr *histogram(struct parser *p)
{
  bool log = is_at(cur(p), "@hist_log");
  if (!log && !is_at(cur(p), "@hist_linear"))
    return NULL;
  struct token *t = take(p);
  struct expr *e = new_expr(p, E_HIST, t);
  e->name = t->text;
  want_op(p, "(");
  e->a = expression(p);
  e->hist.kind = log ? HIST_LOG : HIST_LINEAR;
  if (!log) {
    want_op(p, ",");
    e->hist.lo = literal_number(p);
    want_op(p, ",");
    e->hist.hi = literal_number(p);
    want_op(p, ",");
    struct token *step = cur(p);
    e->hist.step = literal_number(p);
    if (e->hist.step <= 0)
      fail_at(p, step, "histogram step must be positive");
    if (e->hist.hi <= e->hist.lo)
      fail_at(p, step, "histogram range must be positive");
    if ((u64)(e->hist.hi - e->hist.lo) / (u64)e->hist.step > 100000)
      fail_at(p, step, "histogram has too many buckets");
  }
  want_op(p, ")");
  return e;
}

/* statop := "@count" "(" value ")" … "@variance" "(" value [ "," shift ] ")" */
static struct expr *stat_call(struct parser *p)
{
  enum stat_op so = stat_op_of(cur(p));
  if (so == STAT_NONE)
    return NULL;
  struct token *t = take(p);
  struct expr *e = new_expr(p, E_STATOP, t);
  e->name = t->text;
  e->stat = so;
  want_op(p, "(");
  e->a = expression(p);
  if (so == STAT_VARIANCE && op(p, ",")) {
    struct token *at = cur(p);
    e->num = literal_number(p);
    if (e->num < 0 || e->num > 62)
      fail_at(p, at, "shift must be between 0 and 62");
  }
  want_op(p, ")");
  return e;
}

/* ---- expressions -------------------------------------------------------------------------- */

/* key := expression | "*" */
static struct expr *array_key(struct parser *p)
{
  if (is_op(cur(p), "*") && (is_op(peek(p, 1), ",") || is_op(peek(p, 1), "]")))
    return new_expr(p, E_STAR, take(p));
  return expression(p);
}

/* keys := key { "," key } */
static void array_keys(struct parser *p, struct expr *e)
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
  if (is_op(cur(p), "(") && print_name(t->text, &pe))
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

/* value := number | string | "(" expression ")" | "[" keys "]" "in" array | target | statop
 *        | histogram [ "[" index "]" ] | symbol | "%{" code "%}" */
static struct expr *value(struct parser *p)
{
  struct token *t = cur(p);
  struct expr *e;
  switch (t->kind) {
  case TOK_NUMBER:
    e = new_expr(p, E_NUM, take(p));
    e->num = t->num;
    return e;
  case TOK_STRING:
    e = new_expr(p, E_STR, t);
    string_literal(p, &e->str, &e->len);
    return e;
  case TOK_EMBED:
    e = new_expr(p, E_EMBEDDED, take(p));
    e->str = t->text;
    return e;
  case TOK_IDENT:
    return t->text[0] == '$' ? target_var(p) : symbol(p);
  case TOK_AT:
    if ((e = target_op(p)) || (e = stat_call(p)))
      return e;
    if ((e = histogram(p))) {
      if (op(p, "[")) {
        struct expr *idx = new_expr(p, E_INDEX, t);
        idx->a = e;
        array_keys(p, idx);
        return idx;
      }
      return e;
    }
    fail_at(p, t, arena_printf(p->a, "unknown operator or macro '%s'", t->text));
  case TOK_OP:
    if (op(p, "(")) {
      e = expression(p);
      want_op(p, ")");
      e->parens = true;
      return e;
    }
    if (is_op(t, "&") && (peek(p, 1)->kind == TOK_IDENT || peek(p, 1)->kind == TOK_AT)) {
      take(p);
      e = cur(p)->kind == TOK_IDENT && cur(p)->text[0] == '$' ? target_var(p) : target_op(p);
      if (!e)
        fail_at(p, cur(p), "expected target variable");
      e->target->addressof = true;
      return e;
    }
    break;
  default:
    break;
  }
  fail_at(p, t, "expected literal string or number");
}

/* crement := ("++" | "--") value | value [ "++" | "--" ] */
static struct expr *crement(struct parser *p)
{
  struct token *t = cur(p);
  struct expr *e;
  if (is_op(t, "++") || is_op(t, "--")) {
    take(p);
    e = new_expr(p, E_INCDEC, t);
    e->op = t->text[0] == '+' ? OP_PREINC : OP_PREDEC;
    e->a = value(p);
    return e;
  }
  struct expr *v = value(p);
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

/* comparison := shift { ("<" | … | "==" ) shift | ("=~" | "!~") string } */
static struct expr *comparison(struct parser *p)
{
  struct expr *e = level(p, LEVEL_COMPARE + 1);
  for (;;) {
    struct token *t = cur(p);
    enum op o = level_op(&levels[LEVEL_COMPARE], t);
    if (o != OP_NONE) {
      take(p);
      e = binary(p, o, t, e, level(p, LEVEL_COMPARE + 1));
    } else if (is_op(t, "=~") || is_op(t, "!~")) {
      take(p);
      struct expr *m = new_expr(p, E_MATCH, t);
      m->op = t->text[0] == '=' ? OP_MATCH : OP_NOMATCH;
      m->a = e;
      if (cur(p)->kind != TOK_STRING)
        fail_at(p, cur(p), "expected string literal as right operand of regex match");
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
  for (;;) {
    struct token *t = cur(p);
    enum op o = level_op(&levels[n], t);
    if (o == OP_NONE)
      return e;
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
  } ops[] = {{"=", OP_NONE},  {"<<<", OP_STATADD}, {"+=", OP_ADD}, {"-=", OP_SUB}, {"*=", OP_MUL},
             {"/=", OP_DIV},  {"%=", OP_MOD},      {"<<=", OP_SHL}, {">>=", OP_SHR},
             {">>>=", OP_USHR}, {"&=", OP_AND},    {"^=", OP_XOR}, {"|=", OP_OR},
             {".=", OP_CONCAT}};
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
static struct expr *expression(struct parser *p)
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

/* ---- statements ------------------------------------------------------------------------------- */

static struct stmt *new_stmt(struct parser *p, enum stmt_kind kind, const struct token *t)
{
  return stmt_new(p->a, kind, &t->loc);
}

/* block := "{" { statement } "}" */
static struct stmt *block(struct parser *p)
{
  struct stmt *b = new_stmt(p, S_BLOCK, cur(p));
  want_op(p, "{");
  enter(p);
  while (!is_op(cur(p), "}")) {
    if (cur(p)->kind == TOK_EOF || is_word(cur(p), "probe") || is_word(cur(p), "global") ||
        is_word(cur(p), "function"))
      fail_at(p, cur(p), "expected statement or '}'");
    vec_push(p->a, &b->body, statement(p));
  }
  take(p);
  leave(p);
  return b;
}

static struct stmt *loop_body(struct parser *p)
{
  p->loops++;
  struct stmt *s = statement(p);
  p->loops--;
  return s;
}

/* sort := "+" | "-" */
static void sort_mark(struct parser *p, struct foreach_stmt *f, u32 col, enum stat_op so)
{
  struct token *t = cur(p);
  if (!is_op(t, "+") && !is_op(t, "-")) {
    if (so != STAT_NONE)
      fail_at(p, t, "expected sort directive");
    return;
  }
  if (f->sort_dir)
    fail_at(p, t, "multiple sort directives");
  take(p);
  f->sort_dir = t->text[0] == '+' ? 1 : -1;
  f->sort_col = col;
  f->sort_stat = so;
}

static struct expr *loop_var(struct parser *p)
{
  struct token *t = want_ident(p);
  struct expr *e = new_expr(p, E_SYM, t);
  e->name = t->text;
  return e;
}

/* foreach := "foreach" "(" [ value "=" ] ( key | "[" key { "," key } "]" ) "in" array [sort]
 *            [ "limit" expression ] ")" statement;   key := identifier [sort] */
static struct stmt *foreach_stmt(struct parser *p)
{
  struct stmt *s = new_stmt(p, S_FOREACH, take(p));
  struct foreach_stmt *f = s->foreach = NEW(p->a, struct foreach_stmt);
  f->sort_stat = STAT_NONE;
  want_op(p, "(");
  if (cur(p)->kind == TOK_IDENT && is_op(peek(p, 1), "=")) {
    f->value = loop_var(p);
    take(p);
  }
  bool many = op(p, "[");
  do {
    vec_push(p->a, &f->keys, loop_var(p));
    sort_mark(p, f, f->keys.n, STAT_NONE);
  } while (many && op(p, ","));
  if (many)
    want_op(p, "]");
  if (!word(p, "in"))
    fail_at(p, cur(p), "expected 'in'");
  f->base = histogram(p);
  if (!f->base) {
    f->base = loop_var(p);
    if (op(p, "[")) {
      do
        vec_push(p->a, &f->slice, array_key(p));
      while (op(p, ","));
      want_op(p, "]");
    }
  }
  enum stat_op so = stat_op_of(cur(p));
  if (so != STAT_NONE)
    take(p);
  sort_mark(p, f, 0, so);
  if (word(p, "limit"))
    f->limit = expression(p);
  want_op(p, ")");
  s->then = loop_body(p);
  return s;
}

/* for := "for" "(" [expression] ";" [expression] ";" [expression] ")" statement */
static struct stmt *for_stmt(struct parser *p)
{
  struct stmt *s = new_stmt(p, S_FOR, take(p));
  want_op(p, "(");
  if (!is_op(cur(p), ";"))
    s->init = expression(p);
  want_op(p, ";");
  if (!is_op(cur(p), ";"))
    s->e = expression(p);
  want_op(p, ";");
  if (!is_op(cur(p), ")"))
    s->step = expression(p);
  want_op(p, ")");
  s->then = loop_body(p);
  return s;
}

static struct expr *condition(struct parser *p)
{
  want_op(p, "(");
  struct expr *e = expression(p);
  want_op(p, ")");
  return e;
}

/* try := "try" block "catch" [ "(" identifier ")" ] block */
static struct stmt *try_stmt(struct parser *p)
{
  struct stmt *s = new_stmt(p, S_TRY, take(p));
  s->then = block(p);
  if (!word(p, "catch"))
    fail_at(p, cur(p), "expected 'catch'");
  if (op(p, "(")) {
    s->catch_var = loop_var(p);
    want_op(p, ")");
  }
  s->els = block(p);
  return s;
}

/* if := "if" "(" expression ")" statement [ "else" statement ] */
static struct stmt *if_stmt(struct parser *p)
{
  struct stmt *s = new_stmt(p, S_IF, take(p));
  s->e = condition(p);
  s->then = statement(p);
  /* "if (a) b; else c": the ';' ends b, not the if */
  if (is_op(cur(p), ";") && is_word(peek(p, 1), "else"))
    take(p);
  if (word(p, "else"))
    s->els = statement(p);
  return s;
}

static struct stmt *simple(struct parser *p, enum stmt_kind kind)
{
  return new_stmt(p, kind, take(p));
}

static bool ends_statement(const struct token *t)
{
  return is_op(t, ";") || is_op(t, "}") || t->kind == TOK_KEYWORD || t->kind == TOK_EOF;
}

/* statement := block | ";" | if | while | for | foreach | return | break | continue | next
 *            | delete | try | "%{" code "%}" | expression [";"] */
static struct stmt *statement_inner(struct parser *p)
{
  struct token *t = cur(p);
  struct stmt *s;
  if (is_op(t, "{"))
    return block(p);
  if (is_op(t, ";"))
    return simple(p, S_EMPTY);
  if (t->kind == TOK_EMBED) {
    s = simple(p, S_EMBEDDED);
    s->text = t->text;
    return s;
  }
  if (is_word(t, "if"))
    return if_stmt(p);
  if (is_word(t, "for"))
    return for_stmt(p);
  if (is_word(t, "foreach"))
    return foreach_stmt(p);
  if (is_word(t, "try"))
    return try_stmt(p);
  if (is_word(t, "while")) {
    s = simple(p, S_WHILE);
    s->e = condition(p);
    s->then = loop_body(p);
    return s;
  }
  if (is_word(t, "return")) {
    if (!p->in_function)
      fail_at(p, t, "found 'return' not in function context");
    s = simple(p, S_RETURN);
    if (!ends_statement(cur(p)))
      s->e = expression(p);
    return s;
  }
  if (is_word(t, "break") || is_word(t, "continue")) {
    if (!p->loops)
      fail_at(p, t, arena_printf(p->a, "found '%s' not in loop context", t->text));
    return simple(p, t->text[0] == 'b' ? S_BREAK : S_CONTINUE);
  }
  if (is_word(t, "next"))
    return simple(p, S_NEXT);
  if (is_word(t, "delete")) {
    s = simple(p, S_DELETE);
    s->e = value(p);
    if (s->e->kind != E_SYM && s->e->kind != E_INDEX)
      fail_at(p, t, "expected array or array element to delete");
    return s;
  }
  s = new_stmt(p, S_EXPR, t);
  s->e = expression(p);
  return s;
}

static struct stmt *statement(struct parser *p)
{
  enter(p);
  struct stmt *s = statement_inner(p);
  leave(p);
  if (s->kind != S_BLOCK && s->kind != S_EMPTY && s->kind != S_IF && s->kind != S_WHILE &&
      s->kind != S_FOR && s->kind != S_FOREACH && s->kind != S_TRY &&
      !(is_op(cur(p), ";") && is_word(peek(p, 1), "else")))
    op(p, ";");
  return s;
}

/* ---- probe points ------------------------------------------------------------------------------- */

static bool point_char(const struct token *t)
{
  return t->kind == TOK_IDENT || t->kind == TOK_KEYWORD || t->kind == TOK_NUMBER ||
         is_op(t, "*") || is_op(t, "**");
}

typedef struct {
  struct probe_point **v;
  u32 n, cap;
} point_list;

static struct probe_point *copy_point(struct parser *p, const struct probe_point *src)
{
  struct probe_point *c = NEW(p->a, struct probe_point);
  *c = *src;
  c->parts.v = NULL;
  c->parts.n = c->parts.cap = 0;
  for (u32 i = 0; i < src->parts.n; i++)
    vec_push(p->a, &c->parts, src->parts.v[i]);
  return c;
}

static void cross(struct parser *p, point_list *left, const point_list *right)
{
  point_list out = {0};
  if ((u64)left->n * right->n > MAX_BRACES)
    fail_at(p, cur(p), "too many alternatives in probe point");
  for (u32 i = 0; i < left->n; i++)
    for (u32 k = 0; k < right->n; k++) {
      struct probe_point *c = copy_point(p, left->v[i]);
      for (u32 m = 0; m < right->v[k]->parts.n; m++)
        vec_push(p->a, &c->parts, right->v[k]->parts.v[m]);
      vec_push(p->a, &out, c);
    }
  *left = out;
}

static void points_dotted(struct parser *p, point_list *out);

/* part := name { name | "*" | "**" } [ "(" ( string | number ) ")" ] | "{" point { "," point } "}" */
static void points_part(struct parser *p, point_list *out)
{
  if (op(p, "{")) {
    do {
      point_list one = {0};
      enter(p);
      points_dotted(p, &one);
      leave(p);
      for (u32 i = 0; i < one.n; i++)
        vec_push(p->a, out, one.v[i]);
    } while (op(p, ","));
    want_op(p, "}");
    return;
  }
  struct token *t = cur(p);
  if (!point_char(t))
    fail_at(p, t, "expected identifier or '*'");
  struct point_part part = {.loc = t->loc};
  struct strbuf b = {0};
  u32 end = t->loc.off;
  while (point_char(cur(p)) && cur(p)->loc.off == end && cur(p)->loc.file == t->loc.file) {
    end = cur(p)->end;
    sb_puts(&b, take(p)->text);
  }
  part.name = arena_strdup(p->a, b.s);
  sb_free(&b);
  if (op(p, "(")) {
    part.has_arg = true;
    if (cur(p)->kind == TOK_STRING) {
      u32 len;
      part.arg_is_string = true;
      string_literal(p, &part.str, &len);
    } else {
      bool neg = op(p, "-");
      if (cur(p)->kind != TOK_NUMBER)
        fail_at(p, cur(p), "expected literal string or number");
      part.num = take(p)->num;
      if (neg)
        part.num = (s64)(0 - (u64)part.num);
    }
    want_op(p, ")");
  }
  struct probe_point *pt = NEW(p->a, struct probe_point);
  pt->loc = t->loc;
  vec_push(p->a, &pt->parts, part);
  vec_push(p->a, out, pt);
}

/* dotted := part { "." part } */
static void points_dotted(struct parser *p, point_list *out)
{
  points_part(p, out);
  while (op(p, ".")) {
    point_list right = {0};
    points_part(p, &right);
    cross(p, out, &right);
  }
}

/* point := dotted [ "?" | "!" ] [ "if" "(" expression ")" ] */
static void points_one(struct parser *p, point_list *out)
{
  point_list list = {0};
  points_dotted(p, &list);
  bool optional = false, sufficient = false;
  for (;;) {
    if (op(p, "?"))
      optional = true;
    else if (op(p, "!"))
      sufficient = true;
    else
      break;
  }
  struct expr *cond = NULL;
  if (word(p, "if"))
    cond = condition(p);
  for (u32 i = 0; i < list.n; i++) {
    list.v[i]->optional = optional || sufficient;
    list.v[i]->sufficient = sufficient;
    list.v[i]->cond = cond;
    vec_push(p->a, out, list.v[i]);
  }
}

/* points := point { "," point } */
static void points(struct parser *p, point_list *out)
{
  do
    points_one(p, out);
  while (op(p, ","));
}

/* ---- declarations -------------------------------------------------------------------------------- */

/* probe := ["private"] "probe" points ( block | ("=" | "+=") points block ) */
static void probe_decl(struct parser *p, bool private_)
{
  struct probe_decl *d = NEW(p->a, struct probe_decl);
  point_list first = {0}, second = {0};
  d->loc = take(p)->loc;
  d->private_ = private_;
  if (cur(p)->kind == TOK_EOF)
    fail_at(p, cur(p), "expected probe point");
  points(p, &first);
  bool alias = is_op(cur(p), "="), epilogue = is_op(cur(p), "+=");
  if (alias || epilogue) {
    take(p);
    d->is_alias = true;
    d->epilogue = epilogue;
    points(p, &second);
    for (u32 i = 0; i < first.n; i++)
      vec_push(p->a, &d->alias_names, first.v[i]);
    first = second;
  }
  for (u32 i = 0; i < first.n; i++)
    vec_push(p->a, &d->points, first.v[i]);
  p->in_function = false;
  p->loops = 0;
  d->body = block(p);
  if (d->is_alias)
    vec_push(p->a, &p->file->aliases, d);
  else
    vec_push(p->a, &p->file->probes, d);
}

static enum type type_word(struct parser *p)
{
  if (word(p, "string"))
    return TY_STRING;
  if (word(p, "long"))
    return TY_LONG;
  fail_at(p, cur(p), "expected 'string' or 'long'");
}

static bool embedded_allowed(struct parser *p)
{
  return p->env->guru_mode || p->src->is_tapset;
}

/* function := ["private"] "function" name [":" type] "(" [params] ")" [":" priority]
 *             ( block | "%{" code "%}" );   param := name [":" type] */
static void func_decl(struct parser *p, bool private_)
{
  struct func_decl *d = NEW(p->a, struct func_decl);
  take(p);
  struct token *t = want_ident(p);
  d->name = t->text;
  d->loc = t->loc;
  d->private_ = private_;
  d->priority = 1;
  if (op(p, ":"))
    d->type = type_word(p);
  want_op(p, "(");
  while (!is_op(cur(p), ")")) {
    struct token *n = want_ident(p);
    struct param par = {.name = n->text, .loc = n->loc};
    for (u32 i = 0; i < d->params.n; i++)
      if (!strcmp(d->params.v[i].name, par.name))
        fail_at(p, n, "duplicate parameter names");
    if (op(p, ":"))
      par.type = type_word(p);
    vec_push(p->a, &d->params, par);
    if (!op(p, ","))
      break;
  }
  if (!is_op(cur(p), ")"))
    fail_at(p, cur(p), "expected ',' or ')'");
  take(p);
  if (op(p, ":")) {
    d->has_priority = true;
    d->priority = literal_number(p);
  }
  if (cur(p)->kind == TOK_EMBED) {
    if (!embedded_allowed(p))
      fail_at(p, cur(p), "embedded code in unprivileged script; need stap -g");
    d->embedded = take(p)->text;
  } else {
    p->in_function = true;
    p->loops = 0;
    d->body = block(p);
    p->in_function = false;
  }
  vec_push(p->a, &p->file->funcs, d);
}

/* global := ["private"] "global" name ["%"] ["[" size "]"] ["=" literal] { "," … } [";"] */
static void global_decl(struct parser *p, bool private_)
{
  take(p);
  do {
    struct global_decl *d = NEW(p->a, struct global_decl);
    struct token *t = want_ident(p);
    if (t->text[0] == '$')
      fail_at(p, t, "expected identifier");
    d->name = t->text;
    d->loc = t->loc;
    d->private_ = private_;
    bool array = false;
    if (op(p, "%"))
      d->wrap = array = true;
    if (op(p, "[")) {
      array = true;
      struct token *n = cur(p);
      d->maxsize = literal_number(p);
      if (d->maxsize <= 0 || d->maxsize > 1000000)
        fail_at(p, n, "array size out of range");
      want_op(p, "]");
    }
    if (is_op(cur(p), "=")) {
      if (array)
        fail_at(p, cur(p), "only scalar globals can be initialized");
      take(p);
      struct token *v = cur(p);
      if (v->kind == TOK_STRING) {
        d->init = new_expr(p, E_STR, v);
        string_literal(p, &d->init->str, &d->init->len);
      } else {
        d->init = new_expr(p, E_NUM, v);
        if (v->kind != TOK_NUMBER && !is_op(v, "-"))
          fail_at(p, v, "expected literal string or number");
        d->init->num = literal_number(p);
      }
    }
    vec_push(p->a, &p->file->globals, d);
  } while (op(p, ","));
  op(p, ";");
}

/* declaration := probe | function | global | "%{" code "%}" | ";" */
static void declaration(struct parser *p)
{
  bool private_ = false;
  if (op(p, ";"))
    return;
  if (cur(p)->kind == TOK_EMBED) {
    if (!embedded_allowed(p))
      fail_at(p, cur(p), "embedded code in unprivileged script; need stap -g");
    vec_push(p->a, &p->file->embeds, take(p)->text);
    return;
  }
  if (word(p, "private"))
    private_ = true;
  if (is_word(cur(p), "probe"))
    probe_decl(p, private_);
  else if (is_word(cur(p), "function"))
    func_decl(p, private_);
  else if (is_word(cur(p), "global"))
    global_decl(p, private_);
  else
    fail_at(p, cur(p), private_ ? "expected 'probe', 'function' or 'global'"
                                : "expected 'probe', 'global', 'private', 'function', or '%{'");
}

/* Skips to the next declaration that starts a line of thought: its keyword outside braces. */
static void resync(struct parser *p, u32 from)
{
  if (p->at == from)
    take(p);
  while (cur(p)->kind != TOK_EOF && !is_word(cur(p), "probe") && !is_word(cur(p), "function") &&
         !is_word(cur(p), "global") && !is_word(cur(p), "private"))
    take(p);
}

static void parser_init(struct parser *p, struct parse_env *env, struct src_file *src)
{
  *p = (struct parser){.env = env, .a = env->a, .src = src,
                       .max_depth = env->max_depth ? env->max_depth : MAX_DEPTH};
}

struct ast_file *parse_file(struct parse_env *env, struct src_file *src)
{
  struct parser parser, *p = &parser;
  volatile u32 from = 0, errors = 0;
  parser_init(p, env, src);
  p->file = NEW(p->a, struct ast_file);
  p->file->src = src;
  if (!lex_file(env, src, &p->t))
    return NULL;
  while (cur(p)->kind != TOK_EOF && errors < MAX_ERRORS) {
    from = p->at;
    if (setjmp(p->fail)) {
      errors = errors + 1;
      p->depth = 0;
      resync(p, from);
      continue;
    }
    declaration(p);
  }
  if (!errors && !p->file->probes.n && !p->file->funcs.n && !p->file->globals.n &&
      !p->file->aliases.n && !p->file->embeds.n && !src->is_tapset) {
    diag_msg(env->diag, DIAG_PARSE_ERROR, "%s", "file is empty");
    return NULL;
  }
  return errors ? NULL : p->file;
}

struct probe_point *parse_point(struct parse_env *env, const char *text)
{
  struct src_file *src = NEW(env->a, struct src_file);
  *src = (struct src_file){.name = "<input>", .text = text, .len = strlen(text)};
  struct parser parser, *p = &parser;
  parser_init(p, env, src);
  point_list list = {0};
  if (!lex_file(env, src, &p->t))
    return NULL;
  if (setjmp(p->fail))
    return NULL;
  points_one(p, &list);
  if (cur(p)->kind != TOK_EOF)
    fail_at(p, cur(p), "expected end of probe point");
  return list.v[0];
}

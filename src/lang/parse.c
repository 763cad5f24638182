/* Recursive descent over the preprocessed tokens.  One function a production; its comment is the
 * production.  A syntax error unwinds to the declaration it is in; parsing goes on behind it.  */
#include "lang/parser.h"

#include <assert.h>
#include <string.h>

enum { MAX_DEPTH = 500, MAX_ERRORS = 20, MAX_BRACES = 4096, MAX_PARTS = 100 };

/* ---- tokens ------------------------------------------------------------------------ */

struct token *cur(struct parser *p)
{
  return &p->t.v[p->at];
}

struct token *peek(struct parser *p, u32 ahead)
{
  return &p->t.v[MIN(p->at + ahead, p->t.n - 1)];
}

struct token *take(struct parser *p)
{
  struct token *t = cur(p);
  if (t->kind != TOK_EOF)
    p->at++;
  return t;
}

_Noreturn void fail_at(struct parser *p, struct token *t, const char *msg)
{
  lex_error(p->env, t, "%s", msg);
  longjmp(p->fail, 1);
}

bool is_op(const struct token *t, const char *op)
{
  return t->kind == TOK_OP && !strcmp(t->text, op);
}

bool is_word(const struct token *t, const char *word)
{
  return t->kind == TOK_KEYWORD && !strcmp(t->text, word);
}

bool is_at(const struct token *t, const char *name)
{
  return t->kind == TOK_AT && !strcmp(t->text, name);
}

bool op(struct parser *p, const char *text)
{
  if (!is_op(cur(p), text))
    return false;
  take(p);
  return true;
}

bool word(struct parser *p, const char *text)
{
  if (!is_word(cur(p), text))
    return false;
  take(p);
  return true;
}

struct token *want_op(struct parser *p, const char *text)
{
  if (!is_op(cur(p), text))
    fail_at(p, cur(p), arena_printf(p->a, "expected '%s'", text));
  return take(p);
}

struct token *want_ident(struct parser *p)
{
  if (cur(p)->kind != TOK_IDENT)
    fail_at(p, cur(p), "expected identifier");
  return take(p);
}

struct token *want_string(struct parser *p)
{
  if (cur(p)->kind != TOK_STRING)
    fail_at(p, cur(p), "expected literal string");
  return take(p);
}

void enter(struct parser *p)
{
  if (++p->depth > p->max_depth)
    fail_at(p, cur(p), "nested too deeply");
}

void leave(struct parser *p)
{
  p->depth--;
}

struct expr *new_expr(struct parser *p, enum expr_kind kind, const struct token *t)
{
  return expr_new(p->a, kind, &t->loc);
}

/* Adjacent literals are one string. */
void string_literal(struct parser *p, const char **s, u32 *len)
{
  struct token *t = want_string(p);
  *s = t->text;
  *len = t->len;
  if (cur(p)->kind != TOK_STRING)
    return;
  struct strbuf b = {0};
  sb_add(&b, t->text, t->len);
  while (cur(p)->kind == TOK_STRING) {
    t = take(p);
    sb_add(&b, t->text, t->len);
  }
  *s = arena_strndup(p->a, b.s, b.n);
  *len = (u32)b.n;
  sb_free(&b);
}

s64 number(struct parser *p, const char *expected)
{
  if (cur(p)->kind != TOK_NUMBER)
    fail_at(p, cur(p), expected);
  if (cur(p)->bad)
    fail_at(p, cur(p), "number invalid or out of range");
  return take(p)->num;
}

s64 literal_number(struct parser *p)
{
  bool neg = op(p, "-");
  s64 n = number(p, "expected number");
  return neg ? (s64)(0 - (u64)n) : n;
}

bool embedded_allowed(struct parser *p)
{
  return p->env->guru_mode || p->src->is_tapset;
}

/* ---- probe points -------------------------------------------------------------------------------
 */

static bool point_char(const struct token *t)
{
  return t->kind == TOK_IDENT || t->kind == TOK_KEYWORD || t->kind == TOK_NUMBER || is_op(t, "*") ||
         is_op(t, "**");
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
      c->optional |= right->v[k]->optional;
      c->sufficient |= right->v[k]->sufficient;
      vec_push(p->a, &out, c);
    }
  *left = out;
}

static void points_dotted(struct parser *p, point_list *out);

/* flags := [ "?" | "!" ] */
static void point_flags(struct parser *p, const point_list *list)
{
  struct token *t = cur(p);
  bool sufficient = op(p, "!");
  if (!sufficient && !op(p, "?"))
    return;
  for (u32 i = 0; i < list->n; i++) {
    if (list->v[i]->optional)
      fail_at(p, t, "'?' or '!' respecified");
    list->v[i]->optional = true;
    list->v[i]->sufficient = sufficient;
  }
}

/* part := name { name | "*" | "**" } [ "(" ( string | number ) ")" ]
 *       | "{" dotted flags { "," dotted flags } "}" */
static void points_part(struct parser *p, point_list *out)
{
  if (op(p, "{")) {
    do {
      point_list one = {0};
      enter(p);
      points_dotted(p, &one);
      leave(p);
      point_flags(p, &one);
      for (u32 i = 0; i < one.n; i++)
        vec_push(p->a, out, one.v[i]);
    } while (op(p, ","));
    want_op(p, "}");
    return;
  }
  struct token *t = cur(p);
  if (!point_char(t) || t->kind == TOK_NUMBER)
    fail_at(p, t, "expected identifier or '*' or '{'");
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
      part.num = number(p, "expected literal string or number");
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
  for (u32 n = 1; op(p, "."); n++) {
    point_list right = {0};
    if (n == MAX_PARTS)
      fail_at(p, cur(p), "too many components in probe point");
    points_part(p, &right);
    cross(p, out, &right);
  }
}

/* point := dotted flags [ "if" "(" expression ")" ] */
static void points_one(struct parser *p, point_list *out)
{
  point_list list = {0};
  points_dotted(p, &list);
  point_flags(p, &list);
  struct expr *cond = NULL;
  if (word(p, "if"))
    cond = parenthesized(p);
  for (u32 i = 0; i < list.n; i++) {
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

/* ---- declarations
 * -------------------------------------------------------------------------------- */

/* probe := ["private"] "probe" points ( block | "=" points block ["," block] | "+=" points block )
 */
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
  if (!alias && !epilogue && !is_op(cur(p), "{"))
    fail_at(p, cur(p), "expected one of ', { } = +='");
  if (alias || epilogue) {
    if (first.n != 1)
      fail_at(p, cur(p), "expected probe point specifier");
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
  if (alias && op(p, ","))
    d->tail = block(p);
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
    struct token *n = cur(p);
    d->priority = literal_number(p);
    if (d->priority <= 0)
      fail_at(p, n, "specified priority must be > 0");
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

/* global := ( "global" | "private" ["global"] ) name ["%"] ["[" size "]"] ["=" literal] { "," … }
 * [";"] */
static void global_decl(struct parser *p, bool private_)
{
  word(p, "global");
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
        bool neg = op(p, "-");
        s64 n = number(p, "expected literal string or number");
        d->init->num = neg ? (s64)(0 - (u64)n) : n;
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
  else if (is_word(cur(p), "global") || (private_ && cur(p)->kind == TOK_IDENT))
    global_decl(p, private_);
  else
    fail_at(p, cur(p),
            private_ ? "expected 'function' or identifier"
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
  *p = (struct parser){.env = env,
                       .a = env->a,
                       .src = src,
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
    fprintf(env->diag->out, "Input file '%s' is empty after preprocessing.\n", src->name);
    env->diag->nerrors++;
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
  points(p, &list);
  if (cur(p)->kind != TOK_EOF)
    fail_at(p, cur(p), "expected end of probe point");
  assert(list.n); /* no production of points makes none */
  for (u32 i = 1; i < list.n; i++)
    list.v[i - 1]->next = list.v[i];
  return list.v[0];
}

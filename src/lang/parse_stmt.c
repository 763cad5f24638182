/* Statements. */
#include "lang/parser.h"

static struct stmt *statement(struct parser *p);

/* ---- statements -------------------------------------------------------------------------------
 */

static struct stmt *new_stmt(struct parser *p, enum stmt_kind kind, const struct token *t)
{
  return stmt_new(p->a, kind, &t->loc);
}

/* block := "{" { statement } "}" */
struct stmt *block(struct parser *p)
{
  struct stmt *b = new_stmt(p, S_BLOCK, cur(p));
  want_op(p, "{");
  enter(p);
  while (!is_op(cur(p), "}")) {
    if (cur(p)->kind == TOK_EOF || is_word(cur(p), "probe") || is_word(cur(p), "global") ||
        is_word(cur(p), "function"))
      fail_at(p, cur(p), "expected statement");
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

/* foreach := "foreach" "(" [ value [sort] "=" ] ( key | "[" key { "," key } "]" ) "in" array [sort]
 *            [ "limit" expression ] ")" statement;   key := identifier [sort] */
static struct stmt *foreach_stmt(struct parser *p)
{
  struct stmt *s = new_stmt(p, S_FOREACH, take(p));
  struct foreach_stmt *f = s->foreach = NEW(p->a, struct foreach_stmt);
  f->sort_stat = STAT_NONE;
  want_op(p, "(");
  bool sorted = is_op(peek(p, 1), "+") || is_op(peek(p, 1), "-");
  if (cur(p)->kind == TOK_IDENT && is_op(peek(p, 1 + sorted), "=")) {
    f->value = loop_var(p);
    sort_mark(p, f, 0, STAT_NONE);
    take(p);
  }
  bool many = op(p, "[");
  do {
    vec_push(p->a, &f->keys, loop_var(p));
    sort_mark(p, f, f->keys.n, STAT_NONE);
  } while (many && op(p, ","));
  if (many && !op(p, "]"))
    fail_at(p, cur(p), "expected ',' or ']'");
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
  else if (cur(p)->kind == TOK_AT)
    fail_at(p, cur(p), "expected statistical operation");
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
  s->e = parenthesized(p);
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
    s->e = parenthesized(p);
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
  if (t->kind == TOK_KEYWORD || t->kind == TOK_EOF)
    fail_at(p, t, "expected statement");
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

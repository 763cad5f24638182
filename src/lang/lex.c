/* Lexer: one token at a time, before preprocessing. */
#include "lang/lex.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *lex_kind_name(const struct token *t)
{
  static const char *const names[] = {
      [TOK_EOF] = "end of file", [TOK_IDENT] = "identifier",   [TOK_KEYWORD] = "keyword",
      [TOK_NUMBER] = "number",   [TOK_STRING] = "string",      [TOK_OP] = "operator",
      [TOK_AT] = "operator",     [TOK_EMBED] = "embedded-code"};
  return names[t->kind];
}

void lex_error(struct parse_env *env, const struct token *at, const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  char *msg = arena_vprintf(env->a, fmt, ap);
  va_end(ap);
  if (at->kind == TOK_EOF && at->text && !at->text[0]) {
    diag_parse(env->diag, NULL, msg, arena_printf(env->a, "%s EOF", at->loc.file->name));
    return;
  }
  const char *text = at->text && at->len < 64 && at->kind != TOK_EMBED
                         ? arena_printf(env->a, "%s '%s'", lex_kind_name(at), at->text)
                         : arena_printf(env->a, "%s", lex_kind_name(at));
  diag_parse(env->diag, &at->loc, msg, text);
}

static bool ident_start(int c)
{
  return isalpha(c) || c == '_' || c == '$';
}

static bool ident_char(int c)
{
  return isalnum(c) || c == '_' || c == '$';
}

static bool is_keyword(const char *s)
{
  static const char *const words[] = {"probe",  "global", "private", "function", "if",
                                      "else",   "for",    "foreach", "in",       "limit",
                                      "return", "delete", "while",   "break",    "continue",
                                      "next",   "string", "long",    "try",      "catch"};
  for (u32 i = 0; i < ARRAY_SIZE(words); i++)
    if (!strcmp(s, words[i]))
      return true;
  return false;
}

static struct loc here(const struct lexer *l)
{
  return (struct loc){.file = l->src,
                      .off = (u32)(l->p - l->src->text),
                      .line = l->line,
                      .col = (u32)(l->p - l->line_start) + 1};
}

static void newline(struct lexer *l)
{
  l->line++;
  l->line_start = l->p;
}

static bool skip_blank(struct lexer *l, struct token *err)
{
  while (l->p < l->end) {
    if (*l->p == '\n') {
      l->p++;
      newline(l);
    } else if (isspace((u8)*l->p)) {
      l->p++;
    } else if (*l->p == '#' || (l->p[0] == '/' && l->p[1] == '/')) {
      while (l->p < l->end && *l->p != '\n')
        l->p++;
    } else if (l->p[0] == '/' && l->p[1] == '*') {
      err->loc = here(l);
      l->p += 2;
      while (l->p < l->end && !(l->p[0] == '*' && l->p[1] == '/'))
        if (*l->p++ == '\n')
          newline(l);
      if (l->p >= l->end) {
        err->kind = TOK_EOF;
        lex_error(l->env, err, "unterminated comment");
        return false;
      }
      l->p += 2;
    } else {
      break;
    }
  }
  return true;
}

static int hex_value(int c)
{
  return isdigit(c) ? c - '0' : tolower(c) - 'a' + 10;
}

static void lex_escape(struct lexer *l, struct strbuf *b)
{
  int c = (u8)*l->p++;
  static const char from[] = "abfnrtv\\\"'", to[] = "\a\b\f\n\r\t\v\\\"'";
  const char *known = c ? strchr(from, c) : NULL;
  if (known) {
    sb_putc(b, to[known - from]);
  } else if (c >= '0' && c <= '7') {
    int v = c - '0';
    for (int k = 0; k < 2 && *l->p >= '0' && *l->p <= '7'; k++)
      v = v * 8 + (*l->p++ - '0');
    sb_putc(b, (char)v);
  } else if (c == 'x' && isxdigit((u8)*l->p)) {
    int v = 0;
    for (int k = 0; k < 2 && isxdigit((u8)*l->p); k++)
      v = v * 16 + hex_value((u8)*l->p++);
    sb_putc(b, (char)v);
  } else if (c == '\n') { /* the literal goes on in the next line */
    newline(l);
  } else {
    sb_putc(b, (char)c);
  }
}

static bool lex_string(struct lexer *l, struct token *t)
{
  struct strbuf b = {0};
  t->kind = TOK_STRING;
  l->p++;
  while (l->p < l->end && *l->p != '"' && *l->p != '\n') {
    if (*l->p == '\\' && l->p + 1 < l->end) {
      l->p++;
      lex_escape(l, &b);
    } else {
      sb_putc(&b, *l->p++);
    }
  }
  if (l->p >= l->end || *l->p == '\n') {
    t->text = NULL;
    lex_error(l->env, t, "Could not find matching closing quote");
    sb_free(&b);
    return false;
  }
  l->p++;
  t->text = arena_strndup(l->env->a, b.s ? b.s : "", b.n);
  t->len = (u32)strlen(t->text); /* a NUL ends the string */
  sb_free(&b);
  return true;
}

static void lex_number(struct lexer *l, struct token *t)
{
  char *end;
  errno = 0;
  t->kind = TOK_NUMBER;
  t->num = (s64)strtoull(l->p, &end, 0);
  t->bad = errno == ERANGE || ident_char((u8)*end);
  while (end < l->end && ident_char((u8)*end))
    end++;
  t->text = arena_strndup(l->env->a, l->p, (size_t)(end - l->p));
  t->len = (u32)(end - l->p);
  l->p = end;
}

static void lex_op(struct lexer *l, struct token *t)
{
  static const char *const ops[] = {"<<<", "<<=", ">>=", ">>>", "->", "++", "--", "+=",
                                    "-=",  "*=",  "/=",  "%=",  "&=", "|=", "^=", ".=",
                                    "<<",  ">>",  "<=",  ">=",  "==", "!=", "=~", "!~",
                                    "&&",  "||",  "%(",  "%)",  "%?", "%:", "**"};
  u32 len = 1;
  for (u32 i = 0; i < ARRAY_SIZE(ops); i++) {
    u32 n = (u32)strlen(ops[i]);
    if ((size_t)(l->end - l->p) >= n && !strncmp(l->p, ops[i], n)) {
      len = n;
      break;
    }
  }
  t->kind = TOK_OP;
  t->text = arena_strndup(l->env->a, l->p, len);
  t->len = len;
  l->p += len;
}

static bool lex_embedded(struct lexer *l, struct token *t)
{
  l->p += 2;
  const char *start = l->p;
  while (l->p < l->end && !(l->p[0] == '%' && l->p[1] == '}'))
    if (*l->p++ == '\n')
      newline(l);
  if (l->p >= l->end) {
    t->kind = TOK_EOF;
    lex_error(l->env, t, "could not find matching '%%}' to close embedded code block");
    return false;
  }
  t->kind = TOK_EMBED;
  t->text = arena_strndup(l->env->a, start, (size_t)(l->p - start));
  t->len = (u32)(l->p - start);
  l->p += 2;
  return true;
}

bool lex_raw(struct lexer *l, struct token *t)
{
  *t = (struct token){0};
  if (!skip_blank(l, t))
    return false;
  t->loc = here(l);
  const char *start = l->p;
  bool ok = true;
  if (l->p >= l->end) {
    t->kind = TOK_EOF;
    t->text = "";
  } else if (*l->p == '$' && (isdigit((u8)l->p[1]) || l->p[1] == '#' || l->p[1] == '*')) {
    l->p += 2;
    while (isdigit((u8)start[1]) && isdigit((u8)*l->p))
      l->p++;
    t->kind = TOK_IDENT;
  } else if (ident_start((u8)*l->p)) {
    while (l->p < l->end && ident_char((u8)*l->p))
      l->p++;
    t->kind = TOK_IDENT;
  } else if (*l->p == '@' && (ident_char((u8)l->p[1]) || l->p[1] == '#' || l->p[1] == '*')) {
    l->p += 2;
    while (ident_char((u8)start[1]) && ident_char((u8)*l->p))
      l->p++;
    t->kind = TOK_AT;
  } else if (isdigit((u8)*l->p)) {
    lex_number(l, t);
  } else if (*l->p == '"') {
    ok = lex_string(l, t);
  } else if (l->p[0] == '%' && l->p[1] == '{') {
    ok = lex_embedded(l, t);
  } else {
    lex_op(l, t);
  }
  if (t->kind == TOK_IDENT || t->kind == TOK_AT) {
    t->len = (u32)(l->p - start);
    t->text = arena_strndup(l->env->a, start, t->len);
    if (is_keyword(t->text))
      t->kind = TOK_KEYWORD;
  }
  t->end = (u32)(l->p - l->src->text);
  return ok;
}

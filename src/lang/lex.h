/* Tokens, and the preprocessor that turns a file into a flat vector of them. */
#ifndef STAP_LANG_LEX_H
#define STAP_LANG_LEX_H

#include "lang/parse.h"

enum tok_kind {
  TOK_EOF,
  TOK_IDENT,
  TOK_KEYWORD,
  TOK_NUMBER,
  TOK_STRING,
  TOK_OP,
  TOK_AT,
  TOK_EMBED
};
struct token {
  enum tok_kind kind;
  const char *text; /* identifier, operator, "@name", string contents, embedded code */
  u32 len;          /* of text */
  u32 end;          /* offset just behind the token in its file */
  s64 num;
  bool bad; /* a number that is none, or is too large */
  struct loc loc;
};
struct tokens {
  struct token *v;
  u32 n, cap;
};
/* A text being read. */
struct lexer {
  struct parse_env *env;
  struct src_file *src;
  const char *p, *end;
  u32 line;
  const char *line_start;
};

/* The next token before preprocessing; TOK_EOF at the end.  False after an error was reported. */
bool lex_raw(struct lexer *l, struct token *t);
/* Lexes and preprocesses the whole file; ends with TOK_EOF. False after an error was reported. */
bool lex_file(struct parse_env *env, struct src_file *src, struct tokens *out);
const char *lex_kind_name(const struct token *t);
/* "parse error: MSG / saw: … / source: …" */
void lex_error(struct parse_env *env, const struct token *at, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

#endif

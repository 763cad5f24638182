/* What the parser's files share: its state, and the productions that one file has and others need.
 * parse.c has declarations, parse_stmt.c statements, parse_expr.c expressions, parse_target.c the @
 * operators and $ variables, parse_print.c the print family.  */
#ifndef STAP_LANG_PARSER_H
#define STAP_LANG_PARSER_H

#include "lang/lex.h"

#include <setjmp.h>

struct parser {
  struct parse_env *env;
  struct arena *a;
  struct tokens t;
  u32 at;
  u32 depth, max_depth;
  bool in_function;
  u32 loops; /* around the statement */
  struct ast_file *file;
  struct src_file *src;
  jmp_buf fail; /* where a syntax error goes */
};

/* ---- tokens: parse.c ---- */
struct token *cur(struct parser *p);
struct token *peek(struct parser *p, u32 ahead);
struct token *take(struct parser *p);
/* Reports a syntax error and leaves the declaration. */
_Noreturn void fail_at(struct parser *p, struct token *t, const char *msg);
bool is_op(const struct token *t, const char *op);
bool is_word(const struct token *t, const char *word);
bool is_at(const struct token *t, const char *name);
/* Takes the token if it is this one. */
bool op(struct parser *p, const char *text);
bool word(struct parser *p, const char *text);
/* Takes the token, which must be this one. */
struct token *want_op(struct parser *p, const char *text);
struct token *want_ident(struct parser *p);
struct token *want_string(struct parser *p);
/* Around each recursion: bounds the depth of nesting. */
void enter(struct parser *p);
void leave(struct parser *p);
struct expr *new_expr(struct parser *p, enum expr_kind kind, const struct token *t);
struct expr *new_symbol(struct parser *p, const struct token *t);
/* Adjacent literals, as one string. */
void string_literal(struct parser *p, const char **s, u32 *len);
s64 number(struct parser *p, const char *expected);
/* With a sign. */
s64 literal_number(struct parser *p);
bool embedded_allowed(struct parser *p);

/* ---- productions ---- */
struct stmt *block(struct parser *p);
struct expr *expression(struct parser *p);
struct expr *parenthesized(struct parser *p);
/* An expression that may be a histogram: what print() and foreach take. */
struct expr *value(struct parser *p);
struct expr *array_key(struct parser *p);
void array_keys(struct parser *p, struct expr *e);
/* NULL: the token starts none of these. */
struct expr *target_var(struct parser *p);
struct expr *autocast(struct parser *p, struct expr *a);
struct expr *target_op(struct parser *p);
struct expr *stat_call(struct parser *p);
struct expr *histogram(struct parser *p);
enum stat_op stat_op_of(const struct token *t);
/* Is the identifier one of the print family?  Then print_call() goes on behind it. */
bool print_name(const char *name, struct print_expr *pe);
struct expr *print_call(struct parser *p, struct token *name, struct print_expr *pe);

#endif

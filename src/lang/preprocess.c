/* Preprocessor.  It takes tokens from a stack of sources (file, macro bodies, script arguments),
 * resolves %( … %) and macros, and appends what is left to one vector that the parser indexes.  */
#include "lang/lex.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MACRO_DEPTH = 64, MAX_EXPANSIONS = 1 << 20, MAX_TOKENS = 1 << 20 };

struct macro {
  const char *name;
  VEC(const char *) params;
  struct tokens body;
  struct loc loc;
};

/* Tokens waiting to be read: the body of a macro or an argument. */
struct input {
  struct input *up;
  const struct token *v;
  u32 n, at;
  const struct macro *macro; /* being expanded, or NULL */
  struct tokens *args;       /* its arguments */
  struct loc *call;          /* where it was invoked */
  bool is_final;             /* a macro's argument: expanded where it was written */
};

struct pp {
  struct parse_env *env;
  struct lexer lex;
  struct input *in; /* NULL: read the file */
  u32 depth, expansions;
  struct strmap macros;
  struct tokens *out;
  bool failed;
};

static void push(struct arena *a, struct tokens *t, const struct token *tok)
{
  vec_push(a, t, *tok);
}

/* ---- token sources ------------------------------------------------------------------ */

static bool is_op(const struct token *t, const char *op)
{
  return t->kind == TOK_OP && !strcmp(t->text, op);
}

static void pp_error(struct pp *pp, const struct token *t, const char *msg)
{
  if (!pp->failed)
    lex_error(pp->env, t, "%s", msg);
  pp->failed = true;
}

/* Next token before expansion. */
static bool next_raw(struct pp *pp, struct token *t)
{
  while (pp->in && pp->in->at == pp->in->n) {
    pp->in = pp->in->up;
    pp->depth--;
  }
  if (pp->in) {
    *t = pp->in->v[pp->in->at++];
    if (pp->in->call)
      t->loc.macro = pp->in->call;
    return true;
  }
  if (!lex_raw(&pp->lex, t)) {
    pp->failed = true;
    return false;
  }
  return true;
}

static void push_input(struct pp *pp, const struct tokens *body, const struct macro *m,
                       struct tokens *args, struct loc *call)
{
  struct input *in = NEW(pp->env->a, struct input);
  *in = (struct input){.up = pp->in,
                       .v = body->v,
                       .n = body->n,
                       .macro = m,
                       .args = args,
                       .call = call     ? call
                               : pp->in ? pp->in->call
                                        : NULL};
  pp->in = in;
  pp->depth++;
}

/* Counts an expansion; false, with a message, when there are too many or they never end. */
static bool may_expand(struct pp *pp, const struct token *t)
{
  if (pp->expansions++ > MAX_EXPANSIONS)
    pp_error(pp, t, "too many macro invocations");
  else if (pp->depth > MAX_MACRO_DEPTH)
    pp_error(pp, t, "macro invocation nested too deeply: recursive macro?");
  return !pp->failed;
}

/* Tokens of a script argument's text. */
static void lex_argument(struct pp *pp, u32 number, struct tokens *out)
{
  const char *text = pp->env->args[number - 1];
  struct src_file *f = NEW(pp->env->a, struct src_file);
  *f = (struct src_file){.name = arena_printf(pp->env->a, "<argument $%u>", number),
                         .text = text,
                         .len = strlen(text)};
  struct lexer l = {
      .env = pp->env, .src = f, .p = text, .end = text + f->len, .line = 1, .line_start = text};
  struct token t;
  while (lex_raw(&l, &t)) {
    if (t.kind == TOK_EOF)
      return;
    push(pp->env->a, out, &t);
  }
  pp->failed = true;
}

static struct token string_token(const struct token *at, const char *s)
{
  struct token t = *at;
  t.kind = TOK_STRING;
  t.text = s;
  t.len = (u32)strlen(s);
  return t;
}

static struct loc *call_at(struct pp *pp, const struct token *t)
{
  struct loc *call = NEW(pp->env->a, struct loc);
  *call = t->loc;
  return call;
}

/* $1 @1 $# @# $* @*: false when the token is none of them. */
static bool script_argument(struct pp *pp, const struct token *t)
{
  struct parse_env *env = pp->env;
  char sigil = t->text[0], what = t->len > 1 ? t->text[1] : 0;
  struct tokens out = {0};
  if ((sigil != '$' && sigil != '@') || (t->kind != TOK_IDENT && t->kind != TOK_AT))
    return false;
  if (what == '#') {
    char *n = arena_printf(env->a, "%u", env->nargs);
    struct token r = string_token(t, n);
    if (sigil == '$') {
      r.kind = TOK_NUMBER;
      r.num = env->nargs;
    }
    push(env->a, &out, &r);
  } else if (what == '*') {
    for (u32 i = 0; i < env->nargs; i++) {
      struct token comma = *t;
      comma.kind = TOK_OP;
      comma.text = ",";
      comma.len = 1;
      if (i)
        push(env->a, &out, &comma);
      struct token s = string_token(t, env->args[i]);
      if (sigil == '@')
        push(env->a, &out, &s);
      else
        lex_argument(pp, i + 1, &out);
      if (env->args_used)
        env->args_used[i] = true;
    }
  } else if (isdigit((u8)what)) {
    u64 n = strtoull(t->text + 1, NULL, 10);
    if (n < 1 || n > env->nargs) {
      pp_error(pp, t,
               arena_printf(env->a, "command line argument out of range [1-%u]", env->nargs));
      return true;
    }
    if (env->args_used)
      env->args_used[n - 1] = true;
    struct token s = string_token(t, env->args[n - 1]);
    if (sigil == '@')
      push(env->a, &out, &s);
    else
      lex_argument(pp, (u32)n, &out);
  } else {
    return false;
  }
  if (may_expand(pp, t))
    push_input(pp, &out, NULL, NULL, sigil == '$' && what != '#' ? call_at(pp, t) : NULL);
  return true;
}

/* ---- macros ------------------------------------------------------------------------ */

static bool expanded(struct pp *pp, struct token *t);

/* Reads raw tokens up to the "%)" that matches an already read "%(". */
static bool read_body(struct pp *pp, struct tokens *out, const struct token *open)
{
  struct token t;
  for (u32 depth = 1; next_raw(pp, &t);) {
    if (t.kind == TOK_EOF) {
      pp_error(pp, open, "incomplete macro definition - missing '%)'");
      return false;
    }
    if (is_op(&t, "%("))
      depth++;
    else if (is_op(&t, "%)") && --depth == 0)
      return true;
    push(pp->env->a, out, &t);
  }
  return false;
}

/* define := "@define" NAME [ "(" NAME { "," NAME } ")" ] "%(" tokens "%)" */
static bool define_macro(struct pp *pp, const struct token *define)
{
  struct token t;
  struct macro *m = NEW(pp->env->a, struct macro);
  if (!next_raw(pp, &t))
    return false;
  if (t.kind != TOK_IDENT && t.kind != TOK_KEYWORD) {
    pp_error(pp, &t, "expected identifier");
    return false;
  }
  if (pp->in) {
    pp_error(pp, define, "'@define' forbidden inside macro body");
    return false;
  }
  m->name = t.text;
  m->loc = t.loc;
  if (strmap_get(&pp->macros, m->name)) {
    pp_error(pp, &t,
             arena_printf(pp->env->a, "attempt to redefine macro '@%s' in the same file", m->name));
    return false;
  }
  if (!next_raw(pp, &t))
    return false;
  if (is_op(&t, "(")) {
    do {
      if (!next_raw(pp, &t))
        return false;
      if (t.kind != TOK_IDENT) {
        pp_error(pp, &t, "expected identifier");
        return false;
      }
      vec_push(pp->env->a, &m->params, t.text);
      if (!next_raw(pp, &t))
        return false;
    } while (is_op(&t, ","));
    if (!is_op(&t, ")")) {
      pp_error(pp, &t, "expected ',' or ')'");
      return false;
    }
    if (!next_raw(pp, &t))
      return false;
  }
  if (!is_op(&t, "%(")) {
    pp_error(pp, &t, m->params.n ? "expected '%('" : "expected '%(' or '('");
    return false;
  }
  if (!read_body(pp, &m->body, &t))
    return false;
  strmap_put(&pp->macros, m->name, m);
  return true;
}

/* Arguments of a macro call: expanded where they stand. */
static struct tokens *macro_arguments(struct pp *pp, const struct macro *m,
                                      const struct token *call)
{
  struct tokens *args = NEW_ARRAY(pp->env->a, struct tokens, m->params.n + 1);
  struct token t;
  u32 n = 0, depth = 0;
  if (!next_raw(pp, &t))
    return NULL;
  if (!is_op(&t, "(")) {
    pp_error(pp, &t,
             arena_printf(pp->env->a,
                          "expected '(' in invocation of macro '@%s' taking "
                          "%u parameter%s",
                          m->name, m->params.n, m->params.n == 1 ? "" : "s"));
    return NULL;
  }
  for (;;) {
    if (!expanded(pp, &t))
      return NULL;
    if (t.kind == TOK_EOF) {
      pp_error(pp, call, "could not find end of macro invocation");
      return NULL;
    }
    if (depth == 0 && (is_op(&t, ",") || is_op(&t, ")"))) {
      bool end = is_op(&t, ")");
      if (++n > m->params.n || (end && n < m->params.n)) {
        pp_error(pp, &t,
                 arena_printf(pp->env->a, "too %s parameters for macro '@%s' (expected %u)",
                              end && n < m->params.n ? "few" : "many", m->name, m->params.n));
        return NULL;
      }
      if (end)
        return args;
      continue;
    }
    if (is_op(&t, "(") || is_op(&t, "[") || is_op(&t, "{"))
      depth++;
    else if (is_op(&t, ")") || is_op(&t, "]") || is_op(&t, "}"))
      depth -= depth > 0;
    if (n < m->params.n)
      push(pp->env->a, &args[n], &t);
  }
}

/* A parameter inside a macro's body, or a macro: pushes what it stands for. */
static bool macro_call(struct pp *pp, const struct token *t)
{
  const char *name = t->text + 1;
  for (struct input *in = pp->in; in; in = in->up) {
    if (!in->macro)
      continue;
    for (u32 k = 0; k < in->macro->params.n; k++)
      if (!strcmp(in->macro->params.v[k], name)) {
        push_input(pp, &in->args[k], NULL, NULL, NULL);
        pp->in->is_final = true;
        return true;
      }
    break;
  }
  struct macro *m = strmap_get(&pp->macros, name);
  if (!m && pp->env->macros)
    m = strmap_get(pp->env->macros, name);
  if (!m)
    return false;
  if (!may_expand(pp, t))
    return true;
  struct tokens *args = NULL;
  if (m->params.n && !(args = macro_arguments(pp, m, t)))
    return true;
  push_input(pp, &m->body, m, args, call_at(pp, t));
  return true;
}

/* ---- conditions --------------------------------------------------------------------- */

/* Compares dotted versions as numbers part by part. */
static int compare_versions(const char *a, const char *b)
{
  while (*a || *b) {
    while (*a && !isalnum((u8)*a))
      a++;
    while (*b && !isalnum((u8)*b))
      b++;
    if (isdigit((u8)*a) && isdigit((u8)*b)) {
      u64 x = strtoull(a, (char **)&a, 10), y = strtoull(b, (char **)&b, 10);
      if (x != y)
        return x < y ? -1 : 1;
    } else {
      if (*a != *b)
        return (u8)*a < (u8)*b ? -1 : 1;
      a += *a != 0;
      b += *b != 0;
    }
  }
  return 0;
}

static bool holds(const char *op, int cmp)
{
  return !strcmp(op, "==")   ? cmp == 0
         : !strcmp(op, "!=") ? cmp != 0
         : !strcmp(op, "<")  ? cmp < 0
         : !strcmp(op, "<=") ? cmp <= 0
         : !strcmp(op, ">")  ? cmp > 0
                             : cmp >= 0;
}

static bool is_comparison(const struct token *t)
{
  static const char *const ops[] = {"==", "!=", "<", "<=", ">", ">="};
  for (u32 i = 0; i < ARRAY_SIZE(ops); i++)
    if (is_op(t, ops[i]))
      return true;
  return false;
}

static bool is_equality(const struct token *op)
{
  return is_op(op, "==") || is_op(op, "!=");
}

/* The second term's kind, and for values without an order the operator. */
static bool term_is(struct pp *pp, const struct token *r, enum tok_kind kind, const char *expected)
{
  if (r->kind != kind)
    pp_error(pp, r, expected);
  return r->kind == kind;
}

static bool equality_only(struct pp *pp, const struct token *op)
{
  if (!is_equality(op))
    pp_error(pp, op, "expected '==' or '!='");
  return is_equality(op);
}

static bool matches(const char *op, const char *value, const char *pattern)
{
  return (fnmatch(pattern, value, 0) == 0) == (op[0] == '=');
}

/* The version that a keyword stands for, or NULL. */
static const char *version_of(const struct parse_env *env, const char *keyword)
{
  const char *vr = env->kernel_vr ? env->kernel_vr : "";
  if (!strcmp(keyword, "kernel_v")) {
    char *v = arena_strdup(env->a, vr);
    v[strcspn(v, "-+ ")] = 0;
    return v;
  }
  return !strcmp(keyword, "kernel_vr") ? vr : !strcmp(keyword, "systemtap_v") ? env->compat : NULL;
}

/* The word that a keyword stands for, or NULL. */
static const char *word_of(const struct parse_env *env, const char *keyword)
{
  if (!strcmp(keyword, "arch"))
    return env->arch;
  if (!strcmp(keyword, "runtime"))
    return env->runtime;
  if (!strcmp(keyword, "systemtap_privilege"))
    return env->privilege ? env->privilege : "stapdev";
  return NULL;
}

static bool config_test(struct pp *pp, const struct token *l, const struct token *op,
                        const struct token *r, bool *value)
{
  const struct parse_env *env = pp->env;
  const char *v = env->config ? env->config(env->config_arg, l->text) : NULL;
  if (r->kind == TOK_NUMBER) {
    s64 n = v ? strtoll(v, NULL, 0) : 0;
    *value = v && holds(op->text, n < r->num ? -1 : n > r->num);
    return true;
  }
  if (!equality_only(pp, op) || !term_is(pp, r, TOK_STRING, "expected string literal"))
    return false;
  *value = matches(op->text, v ? v : "", r->text);
  return true;
}

static bool literal_test(struct pp *pp, const struct token *l, const struct token *op,
                         const struct token *r, bool *value)
{
  if (!term_is(pp, r, l->kind,
               l->kind == TOK_NUMBER ? "expected number literal as right value"
                                     : "expected string literal as right value"))
    return false;
  *value = l->kind == TOK_NUMBER ? holds(op->text, l->num < r->num ? -1 : l->num > r->num)
                                 : holds(op->text, strcmp(l->text, r->text));
  return true;
}

static bool keyword_test(struct pp *pp, const struct token *l, const struct token *op,
                         const struct token *r, bool *value)
{
  const struct parse_env *env = pp->env;
  const char *version = version_of(env, l->text), *word = word_of(env, l->text);
  if (version) {
    if (!term_is(pp, r, TOK_STRING, "expected string literal"))
      return false;
    bool wild = is_equality(op) && strpbrk(r->text, "*?[");
    *value = wild ? matches(op->text, version, r->text)
                  : holds(op->text, compare_versions(version, r->text));
    return true;
  }
  if (word) {
    if (!equality_only(pp, op) || !term_is(pp, r, TOK_STRING, "expected string literal"))
      return false;
    *value = strcmp(l->text, "systemtap_privilege") ? matches(op->text, word, r->text)
                                                    : holds(op->text, strcmp(word, r->text));
    return true;
  }
  if (!strcmp(l->text, "guru_mode")) {
    if (!equality_only(pp, op) || !term_is(pp, r, TOK_NUMBER, "expected number"))
      return false;
    if (r->num != 0 && r->num != 1) {
      pp_error(pp, r, "expected 0 or 1");
      return false;
    }
    *value = holds(op->text, env->guru_mode != r->num);
    return true;
  }
  if (!strncmp(l->text, "CONFIG_", 7))
    return config_test(pp, l, op, r, value);
  pp_error(pp, l,
           "expected 'arch', 'kernel_v', 'kernel_vr', 'systemtap_v', 'runtime', "
           "'systemtap_privilege', 'guru_mode', 'CONFIG_...', or comparison between "
           "strings or integers");
  return false;
}

/* test := term comparison term */
static bool condition_test(struct pp *pp, const struct token *l, bool *value)
{
  struct token op, r;
  if (!expanded(pp, &op) || !expanded(pp, &r))
    return false;
  if (!is_comparison(&op)) {
    pp_error(pp, &op, "expected comparison operator");
    return false;
  }
  if (l->kind == TOK_NUMBER || l->kind == TOK_STRING)
    return literal_test(pp, l, &op, &r, value);
  if (l->kind == TOK_IDENT)
    return keyword_test(pp, l, &op, &r, value);
  pp_error(pp, l, "expected identifier, number or string in condition");
  return false;
}

/* condition := conjunction { "||" conjunction };  conjunction := primary { "&&" primary } */
static bool condition(struct pp *pp, struct token *t, bool *value, u32 depth);

static bool condition_primary(struct pp *pp, struct token *t, bool *value, u32 depth)
{
  if (depth > MAX_MACRO_DEPTH) {
    pp_error(pp, t, "condition nested too deeply");
    return false;
  }
  if (is_op(t, "(")) {
    if (!expanded(pp, t) || !condition(pp, t, value, depth + 1))
      return false;
    if (!is_op(t, ")")) {
      pp_error(pp, t, "expected ')'");
      return false;
    }
    return expanded(pp, t);
  }
  if (is_op(t, "!")) {
    if (!expanded(pp, t) || !condition_primary(pp, t, value, depth + 1))
      return false;
    *value = !*value;
    return true;
  }
  struct token l = *t;
  return condition_test(pp, &l, value) && expanded(pp, t);
}

static bool condition_and(struct pp *pp, struct token *t, bool *value, u32 depth)
{
  if (!condition_primary(pp, t, value, depth))
    return false;
  while (is_op(t, "&&")) {
    bool more;
    if (!expanded(pp, t) || !condition_primary(pp, t, &more, depth))
      return false;
    *value &= more;
  }
  return true;
}

static bool condition(struct pp *pp, struct token *t, bool *value, u32 depth)
{
  if (!condition_and(pp, t, value, depth))
    return false;
  while (is_op(t, "||")) {
    bool more;
    if (!expanded(pp, t) || !condition_and(pp, t, &more, depth))
      return false;
    *value |= more;
  }
  return true;
}

/* "%(" condition "%?" tokens [ "%:" tokens ] "%)": pushes the branch that holds. */
static bool conditional(struct pp *pp, const struct token *open)
{
  struct token t;
  bool value = false;
  if (!expanded(pp, &t) || !condition(pp, &t, &value, 0))
    return false;
  if (!is_op(&t, "%?")) {
    pp_error(pp, &t, "expected '%?' marker for conditional");
    return false;
  }
  struct tokens branch[2] = {0};
  u32 which = 0, depth = 0;
  for (;;) {
    if (!next_raw(pp, &t))
      return false;
    if (t.kind == TOK_EOF) {
      pp_error(pp, open, "incomplete conditional at end of file");
      return false;
    }
    if (is_op(&t, "%("))
      depth++;
    else if (is_op(&t, "%)") && depth-- == 0)
      break;
    else if (is_op(&t, "%:") && depth == 0) {
      if (which) {
        pp_error(pp, &t, "invalid conditional - duplicate '%:'");
        return false;
      }
      which = 1;
      continue;
    }
    push(pp->env->a, &branch[which], &t);
  }
  /* The branch keeps the parameters of the macro that it stands in. */
  struct tokens *b = &branch[value ? 0 : 1];
  struct input *in = pp->in;
  while (in && !in->macro)
    in = in->up;
  push_input(pp, b, in ? in->macro : NULL, in ? in->args : NULL, NULL);
  return true;
}

/* Next token after expansion. */
static bool expanded(struct pp *pp, struct token *t)
{
  for (;;) {
    if (pp->failed || !next_raw(pp, t))
      return false;
    if (pp->in && pp->in->is_final)
      return true;
    if (is_op(t, "%(")) {
      if (!conditional(pp, t))
        return false;
      continue;
    }
    if (t->kind == TOK_AT && !strcmp(t->text, "@define")) {
      if (!define_macro(pp, t))
        return false;
      continue;
    }
    if (t->kind == TOK_AT && macro_call(pp, t))
      continue;
    if (script_argument(pp, t))
      continue;
    return !pp->failed;
  }
}

static void pp_init(struct pp *pp, struct parse_env *env, struct src_file *src)
{
  *pp = (struct pp){.env = env,
                    .lex = {.env = env,
                            .src = src,
                            .p = src->text,
                            .end = src->text + src->len,
                            .line = 1,
                            .line_start = src->text}};
  strmap_init(&pp->macros, env->a);
  if (src->len > 1 && src->text[0] == '#' && src->text[1] == '!')
    while (pp->lex.p < pp->lex.end && *pp->lex.p != '\n')
      pp->lex.p++;
}

bool lex_file(struct parse_env *env, struct src_file *src, struct tokens *out)
{
  struct pp pp;
  struct token t;
  pp_init(&pp, env, src);
  do {
    if (!expanded(&pp, &t))
      return false;
    push(env->a, out, &t);
    if (out->n > MAX_TOKENS) {
      lex_error(env, &t, "script too large");
      return false;
    }
  } while (t.kind != TOK_EOF);
  return true;
}

int parse_macro_library(struct parse_env *env, struct src_file *src)
{
  struct pp pp;
  struct token t;
  pp_init(&pp, env, src);
  if (!expanded(&pp, &t))
    return -1;
  if (t.kind != TOK_EOF) {
    lex_error(env, &t, "expected '@define' in macro library");
    return -1;
  }
  for (u32 i = 0; i < pp.macros.n; i++)
    if (!strmap_get(env->macros, pp.macros.keys[i]))
      strmap_put(env->macros, pp.macros.keys[i], pp.macros.vals[i]);
  return 0;
}

/* Operators that start with "@" or "$": target variables, and statistics. */
#include "lang/parser.h"

#include <string.h>

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
        fail_at(p, t, "expected identifier or keyword");
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

/* autocast := expression "->" identifier suffixes */
struct expr *autocast(struct parser *p, struct expr *a)
{
  struct expr *e = new_target(p, TARGET_AUTOCAST, cur(p));
  e->a = a;
  target_suffixes(p, e->target);
  return e;
}

/* target := "$" name suffixes */
struct expr *target_var(struct parser *p)
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
struct expr *target_op(struct parser *p)
{
  static const struct {
    const char *name;
    enum target_kind kind;
    const char *args; /* E expression, S string, s optional string */
    bool suffix, guru;
  } ops[] = {{"@cast", TARGET_CAST, "ESs", true, false},
             {"@var", TARGET_ATVAR, "Ss", true, false},
             {"@defined", TARGET_DEFINED, "E", false, false},
             {"@probewrite", TARGET_PROBEWRITE, "E", false, false},
             {"@entry", TARGET_ENTRY, "E", false, false},
             {"@perf", TARGET_PERF, "S", false, false},
             {"@const", TARGET_CONST, "S", false, true},
             {"@enum", TARGET_ENUM, "Ss", false, false},
             {"@enumname", TARGET_ENUMNAME, "SEs", false, false},
             {"@kregister", TARGET_KREGISTER, "E", false, true},
             {"@uregister", TARGET_UREGISTER, "E", false, false},
             {"@kderef", TARGET_KDEREF, "EE", false, true},
             {"@uderef", TARGET_UDEREF, "EE", false, false}};
  for (u32 i = 0; i < ARRAY_SIZE(ops); i++) {
    if (!is_at(cur(p), ops[i].name))
      continue;
    if (ops[i].guru && !embedded_allowed(p))
      fail_at(p, cur(p),
              arena_printf(p->a, "using %s operator not permitted; need stap -g", ops[i].name));
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

enum stat_op stat_op_of(const struct token *t)
{
  for (u32 i = 0; i < ARRAY_SIZE(stat_names); i++)
    if (is_at(t, stat_names[i].name))
      return stat_names[i].op;
  return STAT_NONE;
}

/* histogram := "@hist_log" "(" value ")" | "@hist_linear" "(" value "," low "," high "," step ")"
 */
struct expr *histogram(struct parser *p)
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
struct expr *stat_call(struct parser *p)
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

/* -l and -L, and the --dump options. */
#include "elaborate/state.h"

#include <stdlib.h>
#include <string.h>

#include "elaborate/dump.h"
#include "elaborate/tapset.h"

struct lines {
  VEC(const char *) v;
};

static int by_text(const void *x, const void *y)
{
  return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* Sorted, each line once; returns how many. */
static u32 put_lines(struct lines *l, struct strbuf *b)
{
  u32 n = 0;
  if (l->v.n)
    qsort(l->v.v, l->v.n, sizeof(l->v.v[0]), by_text);
  for (u32 i = 0; i < l->v.n; i++)
    if (!i || strcmp(l->v.v[i], l->v.v[i - 1])) {
      sb_printf(b, "%s\n", l->v.v[i]);
      n++;
    }
  return n;
}

/* One name of a list, with the variables that all instances of the name have. */
struct listed {
  const char *name;
  VEC(const char *) vars; /* "flags:long" */
};
typedef VEC(const char *) var_list;

/* Script variables that the aliases on the way define, then what the family offers. */
static void collect_vars(struct elab *e, struct probe_inst *pi, var_list *out)
{
  struct probe_vars vars = {0};
  u32 before = e->diag->nerrors;
  if (pi->family->vars)
    pi->family->vars(e, pi, &vars);
  resolve_probe(e, pi);
  resolve_queue(e);
  if (e->diag->nerrors == before && pi->locals.n) {
    struct program *all = e->prog;
    struct program one = {.a = e->a};
    vec_push(e->a, &one.probes, pi);
    e->prog = &one;
    infer_types(e);
    e->prog = all;
  }
  for (u32 i = 0; i < pi->locals.n; i++) {
    const struct sym_local *l = pi->locals.v[i];
    bool known = !strncmp(l->name, "__", 2) && !pi->family->vars;
    for (u32 k = 0; k < vars.v.n; k++)
      known |= !strcmp(vars.v.v[k].name, l->name);
    if (!known)
      vec_push(e->a, out, arena_printf(e->a, "%s:%s", l->name, ast_type_text(l->type)));
  }
  for (u32 i = 0; i < vars.v.n; i++)
    vec_push(e->a, out, arena_printf(e->a, "%s:%s", vars.v.v[i].name, vars.v.v[i].type));
}

static bool has_var(const var_list *vars, const char *var)
{
  for (u32 i = 0; i < vars->n; i++)
    if (!strcmp(vars->v[i], var))
      return true;
  return false;
}

static void add_listed(struct elab *e, struct strmap *m, struct probe_inst *pi, bool with_vars)
{
  struct listed *l = strmap_get(m, pi->name);
  var_list vars = {0};
  if (with_vars)
    collect_vars(e, pi, &vars);
  if (!l) {
    l = NEW(e->a, struct listed);
    l->name = pi->name;
    for (u32 i = 0; i < vars.n; i++)
      vec_push(e->a, &l->vars, vars.v[i]);
    strmap_put(m, pi->name, l);
    return;
  }
  u32 kept = 0;
  for (u32 i = 0; i < l->vars.n; i++)
    if (has_var(&vars, l->vars.v[i]))
      l->vars.v[kept++] = l->vars.v[i];
  l->vars.n = kept;
}

u32 elaborate_list(struct elab *e, struct probe_point *pt, bool with_vars, struct strbuf *b)
{
  struct strmap m;
  struct probe_insts insts = {0};
  struct lines lines = {0};
  strmap_init(&m, e->a);
  if (!e->st)
    elab_init(e);
  for (; pt; pt = pt->next)
    expand_point(e, pt, &insts, pt->optional);
  for (u32 i = 0; i < insts.v.n; i++)
    add_listed(e, &m, insts.v.v[i], with_vars);
  for (u32 i = 0; i < m.n; i++) {
    const struct listed *l = m.vals[i];
    struct strbuf line = {0};
    sb_puts(&line, l->name);
    for (u32 k = 0; k < l->vars.n; k++)
      sb_printf(&line, " %s", l->vars.v[k]);
    vec_push(e->a, &lines.v, arena_strdup(e->a, line.s));
    sb_free(&line);
  }
  return put_lines(&lines, b);
}

/* ---- --dump-… -----------------------------------------------------------------------------------
 */

static void load_all(struct elab *e)
{
  if (!e->st)
    elab_init(e);
  for (u32 i = 0; e->tapset && i < e->tapset->files.n; i++) {
    struct ast_file *f = tapset_load_file(e->tapset, e->tapset->files.v[i]);
    if (f)
      elab_register(e, f);
  }
}

static const char *type_of(char letter)
{
  return letter == 'S' ? "string" : letter == 'I' ? "long" : "unknown";
}

static const char *signature(struct elab *e, const struct func_decl *d)
{
  struct strbuf b = {0};
  sb_printf(&b, "%s:%s (", d->name, ast_type_text(d->type));
  for (u32 i = 0; i < d->params.n; i++)
    sb_printf(&b, "%s%s:%s", i ? ", " : "", d->params.v[i].name,
              ast_type_text(d->params.v[i].type));
  sb_putc(&b, ')');
  const char *s = arena_strdup(e->a, b.s);
  sb_free(&b);
  return s;
}

/* Parameters of built-in functions, which have no declaration to take them from. */
static const struct {
  const char *name, *params;
} builtin_params[] = {
    {"strlen", "s"},
    {"substr", "str start length"},
    {"isinstr", "s1 s2"},
    {"strpos", "s1 s2"},
    {"str_replace", "prnt_str srch_str rplc_str"},
    {"strtol", "str base"},
    {"text_str", "input"},
    {"text_strn", "input len quoted"},
    {"string_quoted", "str"},
    {"tokenize", "input delim"},
    {"tokenize", "delim"},
    {"isdigit", "str"},
    {"matched", "n"},
    {"randint", "n"},
    {"user_string", "addr"},
    {"user_string", "addr err_msg"},
    {"user_string_n", "addr n"},
    {"user_string_n", "addr n err_msg"},
    {"user_string_quoted", "addr"},
    {"user_string_n_quoted", "addr n"},
    {"kernel_string", "addr"},
    {"kernel_string", "addr err_msg"},
    {"kernel_string_n", "addr n"},
    {"kernel_string_quoted", "addr"},
    {"errno_str", "err"},
    {"error", "msg"},
    {"log", "msg"},
    {"warn", "msg"},
    {"toupper", "str"},
    {"tolower", "str"},
};

/* Name of parameter i of a function with n parameters. */
static const char *param_name(struct elab *e, const char *function, u32 n, u32 i)
{
  for (u32 k = 0; k < ARRAY_SIZE(builtin_params); k++) {
    const char *p = builtin_params[k].params;
    u32 count = 1;
    for (const char *q = p; (q = strchr(q, ' ')); q++)
      count++;
    if (strcmp(builtin_params[k].name, function) || count != n)
      continue;
    while (i--)
      p += strcspn(p, " ") + 1;
    return arena_strndup(e->a, p, strcspn(p, " "));
  }
  return arena_printf(e->a, "a%u", i + 1);
}

static const char *builtin_signature(struct elab *e, const struct builtin *f)
{
  struct strbuf b = {0};
  sb_printf(&b, "%s:%s (", f->name, type_of(f->result));
  for (u32 i = 0; f->args[i]; i++)
    sb_printf(&b, "%s%s:%s", i ? ", " : "", param_name(e, f->name, (u32)strlen(f->args), i),
              type_of(f->args[i]));
  sb_putc(&b, ')');
  const char *s = arena_strdup(e->a, b.s);
  sb_free(&b);
  return s;
}

void dump_functions(struct elab *e, struct strbuf *b)
{
  struct lines lines = {0};
  load_all(e);
  for (u32 i = 0; i < e->st->all_funcs.n; i++) {
    const struct func_decl *d = e->st->all_funcs.v[i]->f.decl;
    if (d->name[0] != '_' && !d->private_)
      vec_push(e->a, &lines.v, signature(e, d));
  }
  for (u32 i = 0; i < IR_NFNS; i++)
    if (ir_builtins[i].name && ir_builtins[i].name[0] != '_')
      vec_push(e->a, &lines.v, builtin_signature(e, &ir_builtins[i]));
  for (u32 i = 0; intrinsic_signature(i); i++)
    vec_push(e->a, &lines.v, intrinsic_signature(i));
  put_lines(&lines, b);
}

void dump_aliases(struct elab *e, struct strbuf *b)
{
  struct lines lines = {0};
  load_all(e);
  for (u32 i = 0; i < e->st->aliases.n; i++) {
    const struct probe_decl *d = e->st->aliases.v[i];
    for (u32 k = 0; k < d->alias_names.n; k++) {
      struct strbuf line = {0};
      ast_print_point(&line, d->alias_names.v[k]);
      if (line.s[0] == '_' || d->private_) {
        sb_free(&line);
        continue;
      }
      for (u32 p = 0; p < d->points.n; p++) {
        sb_puts(&line, p ? ", " : " = ");
        ast_print_point(&line, d->points.v[p]);
      }
      vec_push(e->a, &lines.v, arena_strdup(e->a, line.s));
      sb_free(&line);
    }
  }
  put_lines(&lines, b);
}

void dump_probe_types(struct elab *e, struct strbuf *b)
{
  struct lines lines = {0};
  for (u32 i = 0; probe_families[i]; i++)
    for (u32 k = 0; probe_families[i]->forms && probe_families[i]->forms[k]; k++)
      vec_push(e->a, &lines.v, probe_families[i]->forms[k]);
  put_lines(&lines, b);
}

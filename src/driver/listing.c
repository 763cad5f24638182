/* Lists instead of runs: -l and -L, and what the library and the probe families offer. */
#include <stdlib.h>
#include <string.h>

#include "driver/passes.h"
#include "elaborate/tapset.h"
#include "ir/ops.h"
#include "probe/family.h"

static int by_text(const void *a, const void *b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct lines {
  VEC(const char *) v;
};

/* Sorted, each line once. */
static void print_lines(struct lines *l)
{
  if (l->v.n)
    qsort(l->v.v, l->v.n, sizeof(*l->v.v), by_text);
  for (u32 i = 0; i < l->v.n; i++)
    if (i == 0 || strcmp(l->v.v[i], l->v.v[i - 1]))
      puts(l->v.v[i]);
}

/* -l and -L: errors are silent unless -v asks for them; 0 when a probe matches. */
static int list_points(struct arena *a, struct options *o)
{
  FILE *messages = o->verbose[0] ? stderr : fopen("/dev/null", "w");
  if (!messages)
    messages = stderr;
  struct compile c;
  compile_start(&c, a, o, messages);
  struct strbuf b = {0};
  u32 n = 0;
  struct probe_point *pt = parse_point(&c.penv, o->list_point);
  if (pt)
    n = elaborate_list(&c.elab, pt, o->listing == LIST_VARS, &b);
  if (b.n)
    fwrite(b.s, 1, b.n, stdout);
  sb_free(&b);
  compile_end(&c);
  if (messages != stderr)
    fclose(messages);
  return n ? 0 : 1;
}

static void add_types(struct arena *a, struct lines *l)
{
  for (u32 i = 0; probe_families[i]; i++)
    for (const char *const *t = probe_families[i]->types; t && *t; t++)
      vec_push(a, &l->v, *t);
}

static void add_alias(struct arena *a, struct lines *l, const struct probe_decl *d)
{
  struct strbuf b = {0};
  for (u32 n = 0; n < d->alias_names.n; n++) {
    sb_reset(&b);
    ast_print_point(&b, d->alias_names.v[n]);
    sb_puts(&b, d->epilogue ? " += " : " = ");
    for (u32 i = 0; i < d->points.n; i++) {
      if (i)
        sb_puts(&b, ", ");
      ast_print_point(&b, d->points.v[i]);
    }
    vec_push(a, &l->v, arena_strdup(a, b.s));
  }
  sb_free(&b);
}

static void add_function(struct arena *a, struct lines *l, const struct func_decl *f)
{
  struct strbuf b = {0};
  sb_printf(&b, "%s:%s (", f->name, ast_type_text(f->type));
  for (u32 i = 0; i < f->params.n; i++)
    sb_printf(&b, "%s%s:%s", i ? ", " : "", f->params.v[i].name,
              ast_type_text(f->params.v[i].type));
  sb_putc(&b, ')');
  vec_push(a, &l->v, arena_strdup(a, b.s));
  sb_free(&b);
}

static const char *type_letter(char t)
{
  return t == 'I' ? "long" : t == 'S' ? "string" : "unknown";
}

static void add_builtins(struct arena *a, struct lines *l)
{
  struct strbuf b = {0};
  for (u32 i = 0; i < IR_NFNS; i++) {
    const struct builtin *f = &ir_builtins[i];
    if (!f->name)
      continue;
    sb_reset(&b);
    sb_printf(&b, "%s:%s (", f->name, type_letter(f->result));
    for (u32 k = 0; f->args[k]; k++)
      sb_printf(&b, "%sarg%u:%s", k ? ", " : "", k + 1, type_letter(f->args[k]));
    sb_putc(&b, ')');
    vec_push(a, &l->v, arena_strdup(a, b.s));
  }
  sb_free(&b);
}

/* Parses the whole library and collects its public functions or its aliases. */
static void add_library(struct compile *c, struct lines *l, enum listing what)
{
  for (u32 i = 0; c->tapset && i < c->tapset->files.n; i++) {
    struct ast_file *f = tapset_load_file(c->tapset, c->tapset->files.v[i]);
    if (!f)
      continue;
    if (what == LIST_ALIASES) {
      for (u32 k = 0; k < f->aliases.n; k++)
        add_alias(c->a, l, f->aliases.v[k]);
      continue;
    }
    for (u32 k = 0; k < f->funcs.n; k++)
      if (!f->funcs.v[k]->private_ && f->funcs.v[k]->name[0] != '_')
        add_function(c->a, l, f->funcs.v[k]);
  }
}

static int list_library(struct arena *a, struct options *o)
{
  struct compile c;
  struct lines l = {0};
  compile_start(&c, a, o, stderr);
  if (o->listing == LIST_TYPES) {
    add_types(a, &l);
  } else {
    if (o->listing == LIST_FUNCTIONS)
      add_builtins(a, &l);
    add_library(&c, &l, o->listing);
  }
  print_lines(&l);
  compile_end(&c);
  return c.diag.nerrors ? 1 : 0;
}

int listing_run(struct arena *a, struct options *o)
{
  if (o->listing == LIST_POINTS || o->listing == LIST_VARS)
    return list_points(a, o);
  return list_library(a, o);
}

/* Probe points to instances.  A point is matched with the aliases' names (the tapset's files are
 * loaded when the index has one that fits) and given to the families that know its first
 * component.  What follows an alias's name is appended to each of the alias's own points.  */
#include "elaborate/state.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "elaborate/tapset.h"

enum { MAX_ALIAS_DEPTH = 64 };

/* One alias on the way from the script's point to a family's. */
struct layer {
  struct layer *outer;
  struct probe_decl *alias;
  struct probe_point *used; /* the alias's name as matched, and the suffix */
};
struct expansion {
  struct elab *e;
  struct probe_decl *decl; /* NULL: listing */
  struct probe_point *origin;
  struct probe_insts *out;
};

/* ---- matching ----------------------------------------------------------------------------- */

/* Glob in which "*" stays within a component and "**" doesn't. */
static bool glob_dotted(const char *p, const char *s)
{
  for (; *p; p++, s++) {
    if (*p == '*') {
      bool deep = p[1] == '*';
      while (*p == '*')
        p++;
      for (;; s++) {
        if (glob_dotted(p, s))
          return true;
        if (!*s || (!deep && *s == '.'))
          return false;
      }
    }
    if (*p == '?' ? !*s || *s == '.' : *p != *s)
      return false;
  }
  return !*s;
}

static bool same_arg(const struct point_part *a, const struct point_part *b)
{
  if (a->has_arg != b->has_arg)
    return false;
  if (!a->has_arg)
    return true;
  if (a->arg_is_string != b->arg_is_string)
    return false;
  return a->arg_is_string ? probe_match(a->str, b->str) : a->num == b->num;
}

static bool has_deep(const struct probe_point *pt)
{
  for (u32 i = 0; i < pt->parts.n; i++)
    if (strstr(pt->parts.v[i].name, "**"))
      return true;
  return false;
}

static const char *dotted(struct elab *e, const struct probe_point *pt)
{
  struct strbuf b = {0};
  for (u32 i = 0; i < pt->parts.n; i++) {
    if (i)
      sb_putc(&b, '.');
    sb_puts(&b, pt->parts.v[i].name);
  }
  const char *s = arena_strdup(e->a, b.s ? b.s : "");
  sb_free(&b);
  return s;
}

/* How many of pt's parts the alias name covers; 0: no match. */
static u32 match_alias(struct elab *e, const struct probe_point *name, const struct probe_point *pt)
{
  if (has_deep(pt))
    return glob_dotted(dotted(e, pt), dotted(e, name)) ? pt->parts.n : 0;
  if (name->parts.n > pt->parts.n)
    return 0;
  for (u32 i = 0; i < name->parts.n; i++)
    if (!probe_match(pt->parts.v[i].name, name->parts.v[i].name) ||
        !same_arg(&pt->parts.v[i], &name->parts.v[i]))
      return 0;
  return name->parts.n;
}

/* The same for a name of the index. */
static bool match_index(struct elab *e, const char *name, const struct probe_point *pt, bool deep)
{
  if (deep)
    return glob_dotted(dotted(e, pt), name);
  for (u32 i = 0; i < pt->parts.n && *name; i++) {
    size_t n = strcspn(name, ".(");
    char part[128];
    if (n >= sizeof(part))
      return false;
    memcpy(part, name, n);
    part[n] = 0;
    if (!probe_match(pt->parts.v[i].name, part))
      return false;
    name += n;
    name += strspn(name, "()");
    name += *name == '.';
  }
  return !*name;
}

static void load_aliases(struct elab *e, const struct probe_point *pt)
{
  struct tapset *t = e->tapset;
  bool deep = has_deep(pt);
  for (u32 i = 0; t && i < t->entries.n; i++) {
    struct tapset_entry *en = &t->entries.v[i];
    if (en->kind != TAPSET_ALIAS || en->file->loaded || !match_index(e, en->name, pt, deep))
      continue;
    struct ast_file *f = tapset_load_file(t, en->file);
    if (f)
      elab_register(e, f);
  }
}

/* ---- points --------------------------------------------------------------------------------- */

static struct probe_point *point_new(struct elab *e, const struct probe_point *like)
{
  struct probe_point *pt = NEW(e->a, struct probe_point);
  *pt = *like;
  pt->parts.v = NULL;
  pt->parts.n = pt->parts.cap = 0;
  return pt;
}

static struct probe_point *join_points(struct elab *e, const struct probe_point *head,
                                       const struct probe_point *tail, u32 from)
{
  struct probe_point *pt = point_new(e, head);
  for (u32 i = 0; i < head->parts.n; i++)
    vec_push(e->a, &pt->parts, head->parts.v[i]);
  for (u32 i = from; i < tail->parts.n; i++)
    vec_push(e->a, &pt->parts, tail->parts.v[i]);
  return pt;
}

/* The point with another first name. */
static struct probe_point *point_named(struct elab *e, const struct probe_point *pt,
                                       const char *name)
{
  struct probe_point *out = point_new(e, pt);
  struct point_part first = pt->parts.v[0];
  first.name = name;
  vec_push(e->a, &out->parts, first);
  for (u32 i = 1; i < pt->parts.n; i++)
    vec_push(e->a, &out->parts, pt->parts.v[i]);
  return out;
}

static const char *point_text(struct elab *e, const struct probe_point *pt)
{
  struct strbuf b = {0};
  ast_print_point(&b, pt);
  const char *s = arena_strdup(e->a, b.s ? b.s : "");
  sb_free(&b);
  return s;
}

/* The point without ?, ! and condition. */
static const char *bare_text(struct elab *e, const struct probe_point *pt)
{
  struct probe_point bare = *pt;
  bare.optional = bare.sufficient = false;
  bare.cond = NULL;
  return point_text(e, &bare);
}

static void list_points(struct elab *e, struct strbuf *b, struct probe_point *const *v, u32 n)
{
  for (u32 i = 0; i < n; i++)
    sb_printf(b, "%s%s", i ? ", " : "", point_text(e, v[i]));
}

static const char *trail(struct elab *e, struct layer *in, struct probe_decl *decl,
                         struct probe_point *origin)
{
  struct strbuf b = {0};
  for (struct layer *l = in; l; l = l->outer) {
    list_points(e, &b, l->alias->alias_names.v, l->alias->alias_names.n);
    sb_puts(&b, l->alias->epilogue ? " += " : " = ");
    list_points(e, &b, l->alias->points.v, l->alias->points.n);
    sb_puts(&b, " <- ");
  }
  if (in || !decl)
    sb_puts(&b, point_text(e, origin));
  for (u32 i = 0; !in && decl && i < decl->points.n; i++)
    sb_printf(&b, "%s%s", i ? "," : "", point_text(e, decl->points.v[i]));
  const char *s = arena_strdup(e->a, b.s);
  sb_free(&b);
  return s;
}

static struct expr *and_cond(struct elab *e, struct expr *a, const struct expr *b)
{
  if (!b)
    return a;
  struct expr *copy = expr_copy(e->a, b);
  return a ? op_binary(e, &b->loc, OP_LAND, copy, a) : copy;
}

static void push_body(struct elab *e, struct stmt *block, const struct stmt *body)
{
  if (body)
    vec_push(e->a, &block->body, stmt_copy(e->a, body));
}

/* Fills in what the caller of a family's expand() owes to an instance: the outermost alias's body
 * is nearest to the script's own.  */
static void finish(struct expansion *x, struct probe_inst *pi, struct layer *in,
                   struct probe_point *pt)
{
  struct elab *e = x->e;
  struct loc loc = x->decl ? x->decl->loc : pt->loc;
  VEC(struct layer *) layers = {0}; /* outermost last */
  for (struct layer *l = in; l; l = l->outer)
    vec_push(e->a, &layers, l);
  pi->loc = loc;
  pi->from_tapset = loc.file && loc.file->is_tapset;
  if (!pi->pp)
    pi->pp = bare_text(e, pi->point ? pi->point : pt);
  pi->name = layers.n ? bare_text(e, vec_last(&layers)->used) : pi->pp;
  pi->trail = trail(e, in, x->decl, x->origin);
  pi->cond = and_cond(e, NULL, pt->cond);
  pi->body = stmt_new(e->a, S_BLOCK, &loc);
  for (u32 i = 0; i < layers.n; i++)
    if (!layers.v[i]->alias->epilogue)
      push_body(e, pi->body, layers.v[i]->alias->body);
  if (x->decl && x->decl->body) {
    push_body(e, pi->body, x->decl->body);
    pi->own_body = vec_last(&pi->body->body);
  }
  for (u32 i = layers.n; i-- > 0;) {
    if (layers.v[i]->alias->epilogue)
      push_body(e, pi->body, layers.v[i]->alias->body);
    else
      push_body(e, pi->body, layers.v[i]->alias->tail);
    vec_push(e->a, &pi->chain, layers.v[i]->used);
  }
}

/* ---- what went wrong --------------------------------------------------------------------------
 */

static void add_name(struct elab *e, struct strmap *m, const char *name)
{
  if (!strmap_get(m, name))
    strmap_put(m, name, e);
}

static void add_component(struct elab *e, struct strmap *m, const char *name,
                          const struct probe_point *pt, u32 depth)
{
  for (u32 i = 0; i < depth; i++) {
    size_t n = strcspn(name, ".(");
    if (strncmp(name, pt->parts.v[i].name, n) || pt->parts.v[i].name[n])
      return;
    name += n;
    if (*name == '(')
      name += strcspn(name, ")") + 1;
    if (*name++ != '.')
      return;
  }
  size_t n = strcspn(name, ".(");
  if (n)
    add_name(e, m, arena_strndup(e->a, name, n));
}

/* Components that could stand at pt's part number `depth` behind the parts before it. */
static void siblings(struct elab *e, struct strmap *m, const struct probe_point *pt, u32 depth)
{
  strmap_init(m, e->a);
  for (u32 i = 0; !depth && probe_families[i]; i++)
    for (u32 k = 0; probe_families[i]->heads[k]; k++)
      add_name(e, m, probe_families[i]->heads[k]);
  for (u32 i = 0; probe_families[i]; i++)
    for (u32 k = 0; probe_families[i]->forms && probe_families[i]->forms[k]; k++)
      add_component(e, m, probe_families[i]->forms[k], pt, depth);
  for (u32 i = 0; i < e->st->aliases.n; i++)
    for (u32 k = 0; k < e->st->aliases.v[i]->alias_names.n; k++)
      add_component(e, m, dotted(e, e->st->aliases.v[i]->alias_names.v[k]), pt, depth);
  for (u32 i = 0; e->tapset && i < e->tapset->entries.n; i++)
    if (e->tapset->entries.v[i].kind == TAPSET_ALIAS)
      add_component(e, m, e->tapset->entries.v[i].name, pt, depth);
}

/* Points of the language that this version can't attach to. */
static bool report_unsupported(struct elab *e, const struct probe_point *pt)
{
  static const char *const points[] = {
      "kernel.function", "kernel.statement", "kernel.data", "kernel.mark", "module",
      "process",         "kprobe",           "procfs",      "java",        "python2",
      "python3",         "netfilter",        "input",       "debuginfod",
  };
  const char *name = dotted(e, pt);
  for (u32 i = 0; i < ARRAY_SIZE(points); i++) {
    size_t n = strlen(points[i]);
    if (strncmp(name, points[i], n) || (name[n] && name[n] != '.'))
      continue;
    const struct point_part *part = &pt->parts.v[strchr(points[i], '.') ? 1 : 0];
    ERR(e, &part->loc, part->name, "this version of stap can't attach to probes of the kind '%s'",
        points[i]);
    return true;
  }
  return false;
}

static int by_text(const void *x, const void *y)
{
  return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* The point ends where others go on. */
static bool report_truncated(struct elab *e, const struct probe_point *pt)
{
  struct strmap m;
  struct strbuf b = {0};
  siblings(e, &m, pt, pt->parts.n);
  if (!m.n)
    return false;
  qsort(m.keys, m.n, sizeof(*m.keys), by_text);
  for (u32 i = 0; i < m.n; i++)
    sb_printf(&b, " %s", m.keys[i]);
  const struct point_part *last = &vec_last(&pt->parts);
  ERR(e, &last->loc, last->name, "probe point truncated (follow: %s)", b.s);
  sb_free(&b);
  return true;
}

static void report_mismatch(struct elab *e, const struct probe_point *pt)
{
  struct strmap m;
  u32 depth = 0, good = 0;
  if (report_unsupported(e, pt) || report_truncated(e, pt))
    return;
  siblings(e, &m, pt, 0);
  while (good + 1 < pt->parts.n && strmap_get(&m, pt->parts.v[good].name)) {
    struct strmap deeper;
    siblings(e, &deeper, pt, good + 1);
    if (!deeper.n)
      break;
    m = deeper;
    depth = ++good;
  }
  const struct point_part *part = &pt->parts.v[depth];
  bool wild = false;
  for (u32 i = 0; i < pt->parts.n; i++)
    wild |= probe_wildcard(pt->parts.v[i].name);
  const char *near = m.n ? diag_similar(e->a, part->name, m.keys, m.n, 5) : NULL;
  ERR(e, &part->loc, part->name, "probe point mismatch%s%s%s%s",
      wild ? ": didn't find any wildcard matches" : "", near ? " (similar: " : "", near ? near : "",
      near ? ")" : "");
}

static void report(struct elab *e, const struct probe_point *pt, const char *why,
                   const struct point_part *part, bool inner_reported)
{
  const struct point_part *head = &pt->parts.v[0];
  ERR(e, &head->loc, head->name, "%s", "while resolving probe point");
  if (why && part)
    ERR(e, &part->loc, part->name, "%s", why);
  else if (why)
    diag_msg(e->diag, DIAG_SEMANTIC_ERROR, "%s", why);
  else if (inner_reported)
    diag_msg(e->diag, DIAG_SEMANTIC_ERROR, "%s", "no match");
  else
    report_mismatch(e, pt);
}

/* ---- expansion --------------------------------------------------------------------------------
 */

static u32 expand_one(struct expansion *x, struct layer *in, struct probe_point *pt, bool quiet);

static bool on_stack(struct elab *e, struct probe_decl *d)
{
  for (u32 i = 0; i < e->st->alias_stack.n; i++)
    if (e->st->alias_stack.v[i] == d)
      return true;
  return false;
}

static u32 expand_alias(struct expansion *x, struct layer *in, struct probe_point *pt,
                        struct probe_decl *d, struct probe_point *name, u32 covered, bool quiet)
{
  struct elab *e = x->e;
  if (on_stack(e, d) || e->st->alias_stack.n >= MAX_ALIAS_DEPTH) {
    if (!quiet)
      ERR(e, &name->loc, name->parts.v[0].name, "recursive loop in alias expansion of %s",
          bare_text(e, name));
    return 0;
  }
  struct layer l = {.outer = in, .alias = d, .used = join_points(e, name, pt, covered)};
  u32 n = 0;
  vec_push(e->a, &e->st->alias_stack, d);
  for (u32 i = 0; i < d->points.n; i++) {
    struct probe_point *q = join_points(e, d->points.v[i], pt, covered);
    q->cond = and_cond(e, and_cond(e, NULL, q->cond), pt->cond);
    u32 got = expand_one(x, &l, q, quiet || q->optional);
    n += got;
    if (got && q->sufficient)
      break;
  }
  e->st->alias_stack.n--;
  return n;
}

static u32 expand_family(struct expansion *x, struct layer *in, struct probe_point *pt,
                         const struct probe_family *f, const char *head, const char **why)
{
  struct elab *e = x->e;
  struct probe_insts got = {0};
  struct probe_point *p = pt;
  if (strcmp(head, pt->parts.v[0].name))
    p = point_named(e, pt, head);
  *why = NULL;
  e->why_part = NULL;
  if (f->expand(e, p, &got, why) <= 0)
    return 0;
  enum prog_kind kind = got.v.v[0]->kind;
  if (x->decl && e->user_runtime && kind != PROG_SESSION && kind != PROG_NEVER) {
    *why = "this probe needs the kernel, which --runtime=user doesn't have: there are begin, end, "
           "error and timer probes";
    return 0;
  }
  for (u32 i = 0; i < got.v.n; i++) {
    finish(x, got.v.v[i], in, pt);
    vec_push(e->a, &x->out->v, got.v.v[i]);
  }
  return got.v.n;
}

/* The aliases whose names are the whole point, or else those that it has a suffix to. */
static u32 expand_aliases(struct expansion *x, struct layer *in, struct probe_point *pt, bool whole,
                          bool quiet)
{
  struct elab *e = x->e;
  u32 n = 0;
  for (u32 i = 0; i < e->st->aliases.n; i++) {
    struct probe_decl *d = e->st->aliases.v[i];
    for (u32 k = 0; k < d->alias_names.n; k++) {
      struct probe_point *name = d->alias_names.v[k];
      if (d->private_ && name->loc.file != pt->loc.file)
        continue;
      u32 covered = match_alias(e, name, pt);
      if (covered && (covered == pt->parts.n) == whole)
        n += expand_alias(x, in, pt, d, name, covered, quiet);
    }
  }
  return n;
}

static u32 expand_one(struct expansion *x, struct layer *in, struct probe_point *pt, bool quiet)
{
  struct elab *e = x->e;
  u32 n = 0, before = e->diag->nerrors;
  const char *why = NULL;
  const struct point_part *part = NULL;
  load_aliases(e, pt);
  n = expand_aliases(x, in, pt, true, quiet);
  if (!n)
    n = expand_aliases(x, in, pt, false, quiet);
  bool suffix_reported = e->diag->nerrors != before;
  for (u32 i = 0; probe_families[i]; i++)
    for (u32 k = 0; probe_families[i]->heads[k]; k++) {
      const char *head = probe_families[i]->heads[k], *w;
      if (!probe_match(pt->parts.v[0].name, head))
        continue;
      n += expand_family(x, in, pt, probe_families[i], head, &w);
      if (w && !why) {
        why = w;
        part = e->why_part;
      }
    }
  if (!n && !quiet)
    report(e, pt, why, part, suffix_reported);
  return n;
}

void expand_decl(struct elab *e, struct probe_decl *d)
{
  struct probe_insts out = {0};
  for (u32 i = 0; i < d->points.n; i++) {
    struct probe_point *pt = d->points.v[i];
    struct expansion x = {.e = e, .decl = d, .origin = pt, .out = &out};
    u32 got = expand_one(&x, NULL, pt, pt->optional);
    if (got && pt->sufficient)
      break;
  }
  for (u32 i = 0; i < out.v.n; i++)
    vec_push(e->a, &e->prog->probes, out.v.v[i]);
}

u32 expand_point(struct elab *e, struct probe_point *pt, struct probe_insts *out, bool quiet)
{
  struct expansion x = {.e = e, .origin = pt, .out = out};
  return expand_one(&x, NULL, pt, quiet || pt->optional);
}

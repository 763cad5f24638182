/* A family's script variables: assignments that are put into the body.  Those that nothing names
 * are dropped; the others go as deep as they can, so that a handler that looks at few of its events
 * (`if (pid() == target()) println(argstr)`) makes the text of those only.  They have no effects
 * and can't fail, so where they stand makes no other difference.  */
#include <string.h>

#include "elaborate/state.h"

static bool collect_name(struct expr **px, void *arg)
{
  if ((*px)->name && ((*px)->kind == E_SYM || (*px)->kind == E_INDEX))
    strmap_put(arg, (*px)->name, arg);
  return true;
}

struct mention {
  const char *name;
  bool found;
};

static bool find_mention(struct expr **px, void *arg)
{
  struct mention *m = arg;
  m->found |= ((*px)->kind == E_SYM || (*px)->kind == E_INDEX) && (*px)->name &&
              !strcmp((*px)->name, m->name);
  return true;
}

static bool mentions(struct stmt *s, const char *name)
{
  struct mention m = {.name = name};
  stmt_walk(s, find_mention, &m);
  return m.found;
}

static bool expr_mentions(struct expr *x, const char *name)
{
  struct mention m = {.name = name};
  expr_walk(&x, find_mention, &m);
  return m.found;
}

static void insert(struct elab *e, struct stmt *block, u32 at, struct stmt *s)
{
  vec_push(e->a, &block->body, s);
  memmove(block->body.v + at + 1, block->body.v + at,
          (block->body.n - 1 - at) * sizeof(*block->body.v));
  block->body.v[at] = s;
}

/* The branch of an if that alone speaks of the name, or NULL. */
static struct stmt **only_branch(struct stmt *s, const char *name)
{
  if (s->kind != S_IF || expr_mentions(s->e, name))
    return NULL;
  bool then = mentions(s->then, name), els = s->els && mentions(s->els, name);
  return then == els ? NULL : then ? &s->then : &s->els;
}

/* Puts `def` in front of the innermost statement that holds all that `ps` says of the name. */
static void sink(struct elab *e, struct stmt **ps, struct stmt *def, const char *name)
{
  struct stmt *s = *ps, **branch = only_branch(s, name);
  if (branch) {
    sink(e, branch, def, name);
    return;
  }
  if (s->kind != S_BLOCK) {
    struct stmt *block = stmt_new(e->a, S_BLOCK, &s->loc);
    vec_push(e->a, &block->body, def);
    vec_push(e->a, &block->body, s);
    *ps = block;
    return;
  }
  u32 first = s->body.n, last = 0;
  for (u32 i = 0; i < s->body.n; i++)
    if (mentions(s->body.v[i], name)) {
      first = MIN(first, i);
      last = i;
    }
  struct stmt *only = first == last ? s->body.v[first] : NULL;
  if (only && (only->kind == S_BLOCK || only_branch(only, name)))
    sink(e, &s->body.v[first], def, name);
  else
    insert(e, s, MIN(first, s->body.n), def);
}

/* Such a name isn't the family's to define. */
static bool is_script_global(struct elab *e, const char *name)
{
  const struct gsym *g = strmap_get(&e->st->globals, name);
  return g && !g->g.from_tapset;
}

/* The name that a statement does nothing but define, or NULL. */
static const char *defined_name(const struct stmt *s)
{
  bool plain =
      s->kind == S_EXPR && s->e->kind == E_ASSIGN && s->e->op == OP_NONE && s->e->a->kind == E_SYM;
  return plain ? s->e->a->name : NULL;
}

void add_prologue(struct elab *e, struct probe_inst *pi)
{
  struct stmt *pro = pi->family->prologue ? pi->family->prologue(e, pi) : NULL;
  struct strmap names;
  if (!pro)
    return;
  strmap_init(&names, e->a);
  stmt_walk(pi->body, collect_name, &names);
  for (u32 i = 0; i < pro->body.n; i++) {
    struct stmt *s = pro->body.v[i];
    const char *name = defined_name(s);
    if (name && strmap_get(&names, name) && !is_script_global(e, name))
      sink(e, &pi->body, s, name);
  }
}

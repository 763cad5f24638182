/* Which foreach statements share their snapshot's maps.
 *
 * Statements over the same array never run beside each other: one that runs in events holds the
 * array's lock from its snapshot to its last element, and the session's handlers run one after the
 * other.  So they may have the same maps unless one can begin while the other is under way, in its
 * body or in a function called there.  Maps are few (64 in a program), and each sort that is
 * compiled for maps of its own makes the program longer to load.
 *
 * A statement is under way where its snapshot may still be used: liveness, with its beginning as
 * the definition.  */
#include "bpf/gen.h"
#include "ir/flow.h"

struct sharing {
  struct gen *g;
  u32 n, words; /* statements, words of a set of them */
  struct flow_fns fns;
  u64 **begins; /* per function: the statements that it, or what it calls, may begin */
  u64 **meets;  /* per statement: those that may begin while it is under way, or it in them */
};

static u64 *set_new(const struct sharing *s)
{
  return NEW_ARRAY(s->g->a, u64, s->words);
}

static bool set_join(const struct sharing *s, u64 *to, const u64 *from)
{
  bool news = false;
  for (u32 w = 0; w < s->words; w++) {
    news |= (from[w] & ~to[w]) != 0;
    to[w] |= from[w];
  }
  return news;
}

static u32 index_of(const struct sharing *s, const struct ir_fn *f)
{
  u32 k = 0;
  while (s->fns.v[k] != f)
    k++;
  return k;
}

static bool find_begins(const struct sharing *s, u32 index)
{
  const struct ir_fn *f = s->fns.v[index];
  bool news = false;
  for (u32 n = 0; n < f->blocks.n; n++)
    for (u32 k = 0; k < f->blocks.v[n]->ins.n; k++) {
      const struct ir_ins *i = &f->blocks.v[n]->ins.v[k];
      if (i->op == IR_CALL)
        news |= set_join(s, s->begins[index], s->begins[index_of(s, i->fn)]);
      if (i->op != IR_ITER_BEGIN || flow_bit(s->begins[index], i->iter->id))
        continue;
      flow_set(s->begins[index], i->iter->id);
      news = true;
    }
  return news;
}

/* Those of `begun` begin while those of `live` are under way. */
static void meet(const struct sharing *s, const u64 *live, const u64 *begun)
{
  for (u32 i = 0; i < s->n; i++)
    if (flow_bit(live, i)) {
      set_join(s, s->meets[i], begun);
      for (u32 j = 0; j < s->n; j++)
        if (flow_bit(begun, j))
          flow_set(s->meets[j], i);
    }
}

/* Goes through the block from its end, where `live` are under way; they become those at its
 * start. */
static void go_back(const struct sharing *s, const struct ir_block *b, u64 *live, const u64 *caught,
                    bool note)
{
  u64 *begun = set_new(s);
  for (u32 k = b->ins.n; k--;) {
    const struct ir_ins *i = &b->ins.v[k];
    if (caught)
      set_join(s, live, caught);
    if (i->op == IR_CALL && note)
      meet(s, live, s->begins[index_of(s, i->fn)]);
    if ((u32)i->op >= IR_NOPS || !ir_has_iter(i->op))
      continue;
    if (i->op != IR_ITER_BEGIN) {
      flow_set(live, i->iter->id);
      continue;
    }
    flow_clear(live, i->iter->id);
    if (!note)
      continue;
    memset(begun, 0, s->words * sizeof(*begun));
    flow_set(begun, i->iter->id);
    meet(s, live, begun);
  }
}

static void look_at(const struct sharing *s, const struct ir_fn *f)
{
  u64 **in = NEW_ARRAY(s->g->a, u64 *, f->blocks.n + 1), *live = set_new(s);
  for (u32 n = 0; n < f->blocks.n; n++)
    in[n] = set_new(s);
  bool news = true, note = false;
  while (news || !note) {
    note = !news; /* nothing changed: the last time */
    news = false;
    for (u32 n = f->blocks.n; n--;) {
      const struct ir_block *b = f->blocks.v[n];
      u32 to[2], nto = flow_succ(b, to);
      memset(live, 0, s->words * sizeof(*live));
      for (u32 k = 0; k < nto; k++)
        set_join(s, live, in[to[k]]);
      const u64 *caught = b->handler == IR_NO ? NULL : in[b->handler];
      go_back(s, b, live, caught, note);
      news |= set_join(s, in[n], live);
    }
  }
}

/* Statements of conditions are left alone: they run before any lock is taken. */
static void find_apart(const struct sharing *s, bool *apart)
{
  for (u32 p = 0; p < s->g->m->probes.n; p++) {
    const struct ir_fn *cond = s->g->m->probes.v[p]->cond;
    for (u32 i = 0; cond && i < s->n; i++)
      apart[i] |= flow_bit(s->begins[index_of(s, cond)], i);
  }
  for (u32 i = 0; i < s->n; i++)
    apart[i] |= s->g->giter[i].stacked;
}

/* The earliest statement whose maps statement i, one of the module's, can have: maybe its own. */
static u32 owner(const struct sharing *s, u32 i, const u32 *owners, const bool *apart)
{
  struct ir_iter *const *it = s->g->m->iters.v;
  for (u32 k = 0; k < i && !apart[i]; k++) {
    bool fits = owners[k] == k && !apart[k] && it[k]->map == it[i]->map;
    for (u32 j = 0; j < i && fits; j++)
      fits = owners[j] != k || !flow_bit(s->meets[i], j);
    if (fits)
      return k;
  }
  return i;
}

u32 *iters_share(struct gen *g)
{
  struct sharing s = {.g = g, .n = g->m->iters.n, .fns = flow_all(g->a, g->m)};
  s.words = s.n / 64 + 1;
  s.begins = NEW_ARRAY(g->a, u64 *, s.fns.n + 1);
  s.meets = NEW_ARRAY(g->a, u64 *, s.n + 1);
  for (u32 k = 0; k < s.fns.n; k++)
    s.begins[k] = set_new(&s);
  for (u32 i = 0; i < s.n; i++)
    s.meets[i] = set_new(&s);
  for (bool news = true; news;) {
    news = false;
    for (u32 k = 0; k < s.fns.n; k++)
      news |= find_begins(&s, k);
  }
  for (u32 k = 0; k < s.fns.n; k++)
    look_at(&s, s.fns.v[k]);
  bool *apart = NEW_ARRAY(g->a, bool, s.n + 1);
  find_apart(&s, apart);
  u32 *owners = NEW_ARRAY(g->a, u32, s.n + 1);
  for (u32 i = 0; i < s.n; i++)
    owners[i] = owner(&s, i, owners, apart);
  return owners;
}

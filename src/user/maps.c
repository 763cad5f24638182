/* Arrays, statistics and foreach.  An array is a chained hash table whose elements are also linked
 * in order of insertion.  A foreach holds references to the elements it runs over, so that what its
 * body deletes stays readable until the loop is over.  */
#include <stdlib.h>
#include <string.h>

#include "runtime/format.h"
#include "user/user.h"

void *user_alloc(size_t n, size_t size)
{
  void *p = calloc(n, size);
  if (!p) {
    fputs("ERROR: out of memory\n", stderr);
    exit(1);
  }
  return p;
}

/* ---- globals -------------------------------------------------------------------- */

static void set_str(char **s, u32 *cap, const char *from)
{
  size_t n = strlen(from) + 1;
  if (n > *cap) {
    *cap = (u32)n;
    char *grown = user_alloc(n, 1);
    memcpy(grown, from, n); /* `from` may be the old value */
    free(*s);
    *s = grown;
  } else {
    memmove(*s, from, n);
  }
}

static char *copy_of(const char *s)
{
  size_t n = strlen(s) + 1;
  return memcpy(user_alloc(n, 1), s, n);
}

static struct rt_stat *stat_new(const struct global *g)
{
  return user_alloc(g->stat_words, 8);
}

void global_init(struct user *u, struct global *g, const struct ir_global *ir)
{
  g->g = ir;
  if (ir->type == TY_STATS) {
    g->stat_words = sizeof(struct rt_stat) / 8;
    g->hist_first = NEW_ARRAY(u->a, u32, ir->hists.n + 1);
    for (u32 i = 0, first = 0; i < ir->hists.n; i++) {
      g->hist_first[i] = first;
      first += hist_buckets(&ir->hists.v[i]);
      g->stat_words = (u32)(sizeof(struct rt_stat) / 8) + first;
    }
    if (!ir->nkeys)
      g->val.stat = stat_new(g);
  } else if (!ir->nkeys && ir->type == TY_STRING) {
    scalar_set(g, ir->init_str ? ir->init_str : "");
  } else if (!ir->nkeys) {
    g->val.num = ir->init_num;
  }
  if (ir->nkeys) {
    g->nbuckets = 16;
    g->bucket = user_alloc(g->nbuckets, sizeof(*g->bucket));
  }
}

void global_free(struct global *g)
{
  if (!g->g)
    return;
  if (g->g->nkeys) {
    map_clear(g);
    free(g->bucket);
  } else if (g->g->type == TY_STRING) {
    free(g->val.str);
  } else if (g->g->type == TY_STATS) {
    free(g->val.stat);
  }
}

void scalar_set(struct global *g, const char *s)
{
  set_str(&g->val.str, &g->cap, s);
}

void elem_set_str(struct elem *e, const char *s)
{
  set_str(&e->val.str, &e->cap, s);
}

/* ---- elements --------------------------------------------------------------------- */

static u64 mix(u64 h, u64 x)
{
  h = (h ^ x) * 0x9e3779b97f4a7c15ull;
  return h ^ h >> 29;
}

static u64 hash_key(const struct ir_global *g, const union uval *key)
{
  u64 h = g->nkeys;
  for (u32 i = 0; i < g->nkeys; i++) {
    if (g->key_type[i] != TY_STRING) {
      h = mix(h, (u64)key[i].num);
      continue;
    }
    for (const char *s = key[i].str; *s; s++)
      h = (h ^ (u8)*s) * 0x100000001b3ull;
    h = mix(h, 0);
  }
  return h;
}

static bool same(enum type type, const union uval *a, const union uval *b)
{
  return type == TY_STRING ? !strcmp(a->str, b->str) : a->num == b->num;
}

static bool same_key(const struct ir_global *g, const union uval *a, const union uval *b)
{
  for (u32 i = 0; i < g->nkeys; i++)
    if (!same(g->key_type[i], &a[i], &b[i]))
      return false;
  return true;
}

static struct elem *find(const struct global *g, const union uval *key, u64 hash)
{
  for (struct elem *e = g->bucket[hash & (g->nbuckets - 1)]; e; e = e->chain)
    if (e->hash == hash && same_key(g->g, e->key, key))
      return e;
  return NULL;
}

struct elem *map_find(const struct global *g, const union uval *key)
{
  return find(g, key, hash_key(g->g, key));
}

void elem_release(struct elem *e, const struct ir_global *g)
{
  if (--e->refs)
    return;
  for (u32 i = 0; i < g->nkeys; i++)
    if (g->key_type[i] == TY_STRING)
      free(e->key[i].str);
  if (g->type == TY_STRING)
    free(e->val.str);
  else if (g->type == TY_STATS)
    free(e->val.stat);
  free(e);
}

static void unlink_elem(struct global *g, struct elem *e)
{
  struct elem **p = &g->bucket[e->hash & (g->nbuckets - 1)];
  while (*p != e)
    p = &(*p)->chain;
  *p = e->chain;
  *(e->prev ? &e->prev->next : &g->first) = e->next;
  *(e->next ? &e->next->prev : &g->last) = e->prev;
  g->n--;
  elem_release(e, g->g);
}

static void grow(struct global *g)
{
  free(g->bucket);
  g->nbuckets *= 2;
  g->bucket = user_alloc(g->nbuckets, sizeof(*g->bucket));
  for (struct elem *e = g->first; e; e = e->next) {
    struct elem **head = &g->bucket[e->hash & (g->nbuckets - 1)];
    e->chain = *head;
    *head = e;
  }
}

static struct elem *elem_new(const struct global *g, const union uval *key)
{
  struct elem *e = user_alloc(1, sizeof(*e) + g->g->nkeys * sizeof(*key));
  for (u32 i = 0; i < g->g->nkeys; i++)
    if (g->g->key_type[i] == TY_STRING)
      e->key[i].str = copy_of(key[i].str);
    else
      e->key[i].num = key[i].num;
  if (g->g->type == TY_STRING)
    elem_set_str(e, "");
  else if (g->g->type == TY_STATS)
    e->val.stat = stat_new(g);
  e->refs = 1;
  return e;
}

struct elem *map_make(struct global *g, const union uval *key)
{
  u64 hash = hash_key(g->g, key);
  struct elem *e = find(g, key, hash);
  if (e)
    return e;
  if (g->n >= g->g->maxentries) {
    if (!g->g->wrap || !g->first)
      return NULL;
    unlink_elem(g, g->first);
  }
  if (g->n >= g->nbuckets)
    grow(g);
  e = elem_new(g, key);
  e->hash = hash;
  e->seq = ++g->seq;
  struct elem **head = &g->bucket[hash & (g->nbuckets - 1)];
  e->chain = *head;
  *head = e;
  e->prev = g->last;
  *(g->last ? &g->last->next : &g->first) = e;
  g->last = e;
  g->n++;
  return e;
}

void map_delete(struct global *g, const union uval *key)
{
  struct elem *e = map_find(g, key);
  if (e)
    unlink_elem(g, e);
}

void map_clear(struct global *g)
{
  if (g->g->nkeys)
    while (g->first)
      unlink_elem(g, g->first);
  else if (g->g->type == TY_STATS)
    memset(g->val.stat, 0, g->stat_words * 8);
  else if (g->g->type == TY_STRING)
    scalar_set(g, "");
  else
    g->val.num = 0;
}

static bool in_slice(const struct ir_global *g, const struct elem *e, u64 mask,
                     const union uval *key)
{
  for (u32 i = 0, n = 0; i < g->nkeys; i++)
    if (mask >> i & 1 && !same(g->key_type[i], &e->key[i], &key[n++]))
      return false;
  return true;
}

bool map_has_slice(const struct global *g, u64 mask, const union uval *key)
{
  for (const struct elem *e = g->first; e; e = e->next)
    if (in_slice(g->g, e, mask, key))
      return true;
  return false;
}

void map_delete_slice(struct global *g, u64 mask, const union uval *key)
{
  for (struct elem *e = g->first, *next; e; e = next) {
    next = e->next;
    if (in_slice(g->g, e, mask, key))
      unlink_elem(g, e);
  }
}

/* ---- statistics ------------------------------------------------------------------ */

void stat_add(struct user *u, const struct global *g, struct rt_stat *st, s64 value)
{
  if (g->g->stat_ops >> STAT_VARIANCE & 1) {
    struct rt_stat *t = (struct rt_stat *)((char *)u->mem + u->stat_off);
    *t = *st;
    rt_stat_variance(u->mem, u->stat_off, value, (u64)g->g->variance_shift);
    st->mean = t->mean;
    st->m2 = t->m2;
  }
  st->min = st->count && st->min < value ? st->min : value;
  st->max = st->count && st->max > value ? st->max : value;
  st->count++;
  st->sum = (s64)((u64)st->sum + (u64)value);
  for (u32 i = 0; i < g->g->hists.n; i++) {
    const struct hist *h = &g->g->hists.v[i];
    u64 b = h->kind == HIST_LOG ? rt_hist_log(value) : rt_hist_linear(value, h->lo, h->hi, h->step);
    if (b < hist_buckets(h))
      st->bucket[g->hist_first[i] + b]++;
  }
}

s64 stat_get(struct user *u, const struct rt_stat *st, enum stat_op op, s64 shift)
{
  memcpy((char *)u->mem + u->stat_off, st, sizeof(*st));
  return rt_stat_get(u->mem, u->stat_off, op, (u64)shift);
}

/* ---- foreach ----------------------------------------------------------------------- */

static bool sorts_strings(const struct ir_iter *it)
{
  return (it->sort_col ? it->map->key_type[it->sort_col - 1] : it->map->type) == TY_STRING;
}

static void sort_key(struct user *u, const struct ir_iter *it, struct sorted *s)
{
  const struct ir_global *g = it->map;
  const union uval *v = it->sort_col ? &s->e->key[it->sort_col - 1] : &s->e->val;
  if (sorts_strings(it))
    s->str = v->str;
  else if (it->sort_col || g->type == TY_LONG)
    s->num = v->num;
  else
    s->num = stat_get(u, v->stat, it->sort_stat == STAT_NONE ? STAT_COUNT : it->sort_stat,
                      g->variance_shift);
}

/* Equal keys stay in order of insertion, in both directions. */
static int by_key(const void *pa, const void *pb, void *arg)
{
  const struct sorted *a = pa, *b = pb;
  const struct ir_iter *it = arg;
  int c = a->str ? strcmp(a->str, b->str) : (a->num > b->num) - (a->num < b->num);
  if (it->sort_dir < 0)
    c = -c;
  return c ? c : (a->e->seq > b->e->seq) - (a->e->seq < b->e->seq);
}

struct iter *iter_new(struct user *u, const struct global *g, const struct ir_iter *it,
                      const union uval *slice, const s64 *limit)
{
  struct iter *x = user_alloc(1, sizeof(*x));
  x->g = g->g;
  x->v = user_alloc(g->n + 1, sizeof(*x->v));
  for (struct elem *e = g->first; e; e = e->next) {
    if (it->slice_mask && !in_slice(g->g, e, it->slice_mask, slice))
      continue;
    struct sorted *s = &x->v[x->n++];
    s->e = e;
    e->refs++;
    if (it->sort_dir)
      sort_key(u, it, s);
  }
  if (it->sort_dir)
    qsort_r(x->v, x->n, sizeof(*x->v), by_key, (void *)it);
  if (limit && *limit < (s64)x->n) {
    u32 keep = *limit < 0 ? 0 : (u32)*limit;
    while (x->n > keep)
      elem_release(x->v[--x->n].e, g->g);
  }
  return x;
}

void iter_free(struct iter *it)
{
  if (!it)
    return;
  for (u32 i = 0; i < it->n; i++)
    elem_release(it->v[i].e, it->g);
  free(it->v);
  free(it);
}

/* Reads a script's globals out of their maps, for the display at exit.  Arrays come in the order of
 * foreach (… in a-): by value, the largest first (statistics: by their count); equal ones in the
 * order of their insertion.  */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/bpf.h"

struct element {
  u64 seq;
  const u8 *key;
  const u8 *val;       /* long or string */
  struct rt_stat stat; /* statistics, merged */
};
struct reader {
  struct arena *a;
  const struct ir_global *g;
  const struct bpf_gmap *gm;
  int fd;
  u32 ncpu;
  VEC(struct element) elements;
};

static void merge(struct rt_stat *into, const struct rt_stat *from)
{
  if (!from->count)
    return;
  into->min = into->count ? MIN(into->min, from->min) : from->min;
  into->max = into->count ? MAX(into->max, from->max) : from->max;
  into->count += from->count;
  into->sum = (s64)((u64)into->sum + (u64)from->sum);
}

/* The element whose key and value were just read. */
static void add(struct reader *r, const u8 *key, const u8 *val)
{
  const struct bpf_gmap *gm = r->gm;
  struct element el = {.key = key, .val = val + gm->val_off};
  if (r->g->type == TY_STATS) {
    for (u32 c = 0; c < r->ncpu; c++) {
      const u8 *part = val + c * ROUND_UP(gm->val_size, 8);
      if (gm->val_off)
        el.seq += *(const u64 *)part;
      merge(&el.stat, (const struct rt_stat *)(part + gm->val_off));
    }
  } else if (gm->val_off) {
    el.seq = *(const u64 *)val;
  }
  vec_push(r->a, &r->elements, el);
}

static u32 value_bytes(const struct reader *r)
{
  u32 size = ROUND_UP(r->gm->val_size, 8);
  return r->g->type == TY_STATS ? size * r->ncpu : size;
}

static int read_array(struct reader *r)
{
  u8 *prev = NULL;
  for (;;) {
    u8 *key = arena_alloc(r->a, r->gm->key_size), *val = arena_alloc(r->a, value_bytes(r));
    int err = bpf_map_get_next_key(r->fd, prev, key);
    if (err)
      return err == -ENOENT ? 0 : err;
    err = bpf_map_lookup_elem(r->fd, key, val);
    if (!err)
      add(r, key, val);
    else if (err != -ENOENT)
      return err;
    prev = key;
  }
}

static int read_scalar(struct reader *r, const struct bpf_mapdef *maps)
{
  u32 zero = 0;
  bool stats = r->g->type == TY_STATS;
  const struct bpf_mapdef *m = &maps[stats ? r->gm->map : BMAP_GLOBALS];
  u8 *val = arena_alloc(r->a, stats ? value_bytes(r) : ROUND_UP(m->value_size, 8));
  int err = bpf_map_lookup_elem(m->fd, &zero, val);
  if (!err)
    add(r, NULL, stats ? val : val + r->gm->off);
  return err;
}

static int cmp_s64(s64 a, s64 b)
{
  return a < b ? -1 : a > b;
}

static int by_value(const void *pa, const void *pb, void *arg)
{
  const struct reader *r = arg;
  const struct element *a = pa, *b = pb;
  int c = r->g->type == TY_STATS    ? cmp_s64(b->stat.count, a->stat.count)
          : r->g->type == TY_STRING ? strcmp((const char *)b->val, (const char *)a->val)
                                    : cmp_s64(*(const s64 *)b->val, *(const s64 *)a->val);
  return c ? c : a->seq < b->seq ? -1 : a->seq > b->seq;
}

static struct ir_val value(const u8 *p, bool string)
{
  if (string)
    return (struct ir_val){
        .kind = V_STR, .str = (const char *)p, .len = (u32)strlen((const char *)p)};
  return (struct ir_val){.kind = V_INT, .num = *(const s64 *)p};
}

int bpf_read_global(struct bpf_image *img, const struct ir_global *g, void *arg,
                    void (*visit)(void *arg, const struct ir_val *keys, const struct ir_val *val,
                                  const struct rt_stat *stat))
{
  struct reader r = {
      .a = arena_new(), .g = g, .gm = &img->gmap[g->id], .ncpu = (u32)libbpf_num_possible_cpus()};
  r.fd = g->nkeys ? img->maps.v[r.gm->map].fd : -1;
  int err = g->nkeys ? read_array(&r) : read_scalar(&r, img->maps.v);
  if (!err && r.elements.n > 1)
    qsort_r(r.elements.v, r.elements.n, sizeof(*r.elements.v), by_value, &r);
  for (u32 i = 0; !err && i < r.elements.n; i++) {
    const struct element *el = &r.elements.v[i];
    struct ir_val keys[ARRAY_SIZE(g->key_type)], val = {0};
    for (u32 c = 0, off = 0; c < g->nkeys; off += r.gm->col_size[c++])
      keys[c] = value(el->key + off, g->key_type[c] == TY_STRING);
    if (g->type != TY_STATS)
      val = value(el->val, g->type == TY_STRING);
    visit(arg, keys, &val, &el->stat);
  }
  arena_free(r.a);
  return err ? -1 : 0;
}

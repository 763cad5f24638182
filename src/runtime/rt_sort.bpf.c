/* Sorting what a foreach runs over: an array map of struct rt_sort_entry.
 *
 * When few are wanted, each entry is compared with the last of the best so far, which are kept in
 * order; else it is a merge sort, bottom up, between the map's halves.  Where it has got to is in
 * the frame: on the stack, the verifier would follow its values.  */
#include "runtime/rt_in.h"

static void *(*map_lookup)(const void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
extern const u8 RT_MAP0[], RT_MAP1[];

#define CAP PARAM(RT_SORT_CAP)
enum { FEW = 32 }; /* up to so many are kept in order */

struct sort {
  u64 a, b, a_end, b_end; /* merge: next of both runs, where they end */
  u64 out, n;             /* where the next goes, how many are sorted */
  u64 width, from, to;    /* length of the runs; where they are, where they go */
};
_Static_assert(sizeof(struct sort) <= RT_MIN_BUFFER, "in the scratch area");
#define SORT(f) ((struct sort *)((f)->bytes + OFF_TMP))

INLINE struct rt_sort_entry *entry(u64 i)
{
  u32 key = (u32)i;
  return map_lookup(RT_MAP0, &key);
}

/* s = the sort that the callback is part of. */
#define SORT_OF(s, ctx)                                                                            \
  struct sort *s;                                                                                  \
  do {                                                                                             \
    struct rt_mem *f_ = ((struct ctx *)(ctx))->f;                                                  \
    CHECK_FRAME(f_);                                                                               \
    s = SORT(f_);                                                                                  \
  } while (0)

/* ---- comparing -------------------------------------------------------------------- */

struct str_cmp {
  const u8 *a, *b;
  u64 decided; /* 1: a first, 2: b first, 3: equal */
};

/* Words of two strings behind the first. */
static long words_step(u64 i, void *ctx)
{
  struct str_cmp *c = ctx;
  u64 at = 8 * (i + 1);
  AT_MOST(at, PARAM(RT_SORT_SIZE) - 8);
  const u8 *pa = c->a, *pb = c->b;
  if (!pa || !pb)
    return 1;
  at += PARAM(RT_SORT_OFF);
  u64 x = WORD(pa + at), y = WORD(pb + at), z = has_zero(x), differs = x ^ y;
  if (!differs && !z)
    return 0;
  z &= -z;
  differs &= -differs;
  if (!differs || (z && z < differs))
    c->decided = 3;
  else
    c->decided = __builtin_bswap64(x) < __builtin_bswap64(y) ? 1 : 2;
  return 1;
}

/* Whether entry a, whose key equals that of b, comes first: by the rest of the string, then by
 * its number.  */
INLINE bool rest_before(const struct rt_sort_entry *a, const struct rt_sort_entry *b)
{
  u64 first = a->key;
  u32 ka = (u32)a->idx, kb = (u32)b->idx;
  if (PARAM(RT_SORT_DESC))
    first = ~first;
  if (PARAM(RT_SORT_SIZE) > 8 && !has_zero(first)) {
    struct str_cmp c = {map_lookup(RT_MAP1, &ka), map_lookup(RT_MAP1, &kb), 3};
    if (c.a && c.b) {
      loop(PARAM(RT_SORT_SIZE) / 8 - 1, words_step, &c);
      u64 decided = c.decided;
      PIN(decided);
      if (decided != 3)
        return (decided == 1) != (PARAM(RT_SORT_DESC) != 0);
    }
  }
  return a->seq < b->seq;
}

INLINE bool before(const struct rt_sort_entry *a, const struct rt_sort_entry *b, bool strings)
{
  if (a->key != b->key)
    return a->key < b->key;
  return strings ? rest_before(a, b) : a->seq < b->seq;
}

/* ---- few: insertion ---------------------------------------------------------------- */

/* Moves entries of the best up, from the last on, until the new one (b) fits; a: the place. */
INLINE long shift_entry(void *ctx, bool strings)
{
  SORT_OF(s, ctx);
  u64 at = s->a;
  if (!at)
    return 1;
  struct rt_sort_entry *e = entry(s->b), *p = entry(CAP + at - 1), *to = entry(CAP + at);
  if (!e || !p || !to || before(p, e, strings))
    return 1;
  *to = *p;
  s->a = at - 1;
  return 0;
}

/* The best are in the upper half: n of them, at most `width`; the entries begin at `to`. */
INLINE long insert_entry(u64 i, void *ctx, rt_callback *shift, bool strings)
{
  SORT_OF(s, ctx);
  i += s->to;
  struct rt_sort_entry *e = entry(i);
  u64 n = s->n;
  if (!e)
    return 1;
  if (n == s->width) {
    struct rt_sort_entry *worst = entry(CAP + n - 1);
    if (!worst || before(worst, e, strings))
      return 0;
    n--;
  }
  s->a = n;
  s->b = i;
  s->n = n + 1;
  loop(n, shift, ctx);
  struct rt_sort_entry *to = entry(CAP + s->a), *from = entry(i);
  if (!to || !from)
    return 1;
  *to = *from;
  return 0;
}

static long shift_int(u64 i, void *ctx)
{
  (void)i;
  return shift_entry(ctx, false);
}

static long shift_str(u64 i, void *ctx)
{
  (void)i;
  return shift_entry(ctx, true);
}

static long insert_int(u64 i, void *ctx)
{
  return insert_entry(i, ctx, shift_int, false);
}

static long insert_str(u64 i, void *ctx)
{
  return insert_entry(i, ctx, shift_str, true);
}

/* ---- many: merging ----------------------------------------------------------------- */

/* Begins with the pair of runs at `at`. */
INLINE void next_runs(struct sort *s, u64 at)
{
  u64 n = s->n, mid = at + s->width, end = mid + s->width;
  s->a = at;
  s->b = s->a_end = mid < n ? mid : n;
  s->b_end = end < n ? end : n;
}

INLINE long merge_entry(void *ctx, bool strings)
{
  SORT_OF(s, ctx);
  u64 a = s->a, b = s->b, out = s->out;
  if (a == s->a_end && b == s->b_end) {
    next_runs(s, b);
    a = s->a;
    b = s->b;
  }
  struct rt_sort_entry *to = entry(s->to + out), *from;
  if (b == s->b_end) {
    from = entry(s->from + a);
    s->a = a + 1;
  } else if (a == s->a_end) {
    from = entry(s->from + b);
    s->b = b + 1;
  } else {
    struct rt_sort_entry *x = entry(s->from + a), *y = entry(s->from + b);
    if (!x || !y)
      return 1;
    bool second = before(y, x, strings);
    PIN(second);
    from = second ? y : x;
    s->a = a + !second;
    s->b = b + second;
  }
  if (!to || !from)
    return 1;
  *to = *from;
  s->out = out + 1;
  return 0;
}

static long merge_int(u64 i, void *ctx)
{
  (void)i;
  return merge_entry(ctx, false);
}

static long merge_str(u64 i, void *ctx)
{
  (void)i;
  return merge_entry(ctx, true);
}

/* One pass: runs of `width` become runs of twice that. */
INLINE long pass(void *ctx, rt_callback *merge)
{
  SORT_OF(s, ctx);
  u64 n = s->n, from = s->from;
  if (s->width >= n)
    return 1;
  s->out = 0;
  next_runs(s, 0);
  loop(n, merge, ctx);
  s->from = s->to;
  s->to = from;
  s->width *= 2;
  return 0;
}

static long pass_int(u64 i, void *ctx)
{
  (void)i;
  return pass(ctx, merge_int);
}

static long pass_str(u64 i, void *ctx)
{
  (void)i;
  return pass(ctx, merge_str);
}

/* Copies the result, when it is in the upper half, to `to`. */
static long copy_down(u64 i, void *ctx)
{
  SORT_OF(s, ctx);
  struct rt_sort_entry *to = entry(s->to + i), *from = entry(CAP + i);
  if (!to || !from)
    return 1;
  *to = *from;
  return 0;
}

INLINE u64 sort(struct rt_mem *f, u64 n, u64 limit, u64 base, rt_callback *insert,
                rt_callback *one_pass)
{
  CHECK_FRAME(f);
  struct sort *s = SORT(f);
  struct ctx ctx = {f};
  if (base > CAP)
    return 1;
  if (n > CAP - base)
    n = CAP - base;
  if (limit > n)
    limit = n;
  if (limit <= FEW) {
    s->width = limit;
    s->from = CAP;
    s->to = base;
    s->n = 0;
    if (limit)
      loop(n, insert, &ctx);
  } else {
    s->n = n;
    s->width = 1;
    s->from = base;
    s->to = CAP;
    loop(32, one_pass, &ctx);
  }
  if (s->from == CAP)
    loop(limit, copy_down, &ctx);
  return 0;
}

u64 rt_sort(struct rt_mem *f, u64 n, u64 limit, u64 base)
{
  return sort(f, n, limit, base, insert_int, pass_int);
}

u64 rt_sort_str(struct rt_mem *f, u64 n, u64 limit, u64 base)
{
  return sort(f, n, limit, base, insert_str, pass_str);
}

/* Statistics: single numbers, and which bucket of a histogram counts a value.
 *
 * The variance is Welford's, in integers: each part of a statistic keeps a running mean and the sum
 * of squared deviations from it (both of values shifted left), and integer division makes the mean
 * lag behind.  Reading takes the exact mean of all values into account, so parts add up.  */
#include "runtime/rt_in.h"

#define STAT(f, off) ((struct rt_stat *)((f)->bytes + (off)))

/* Signed division, which BPF lacks; 0 when b is. */
INLINE s64 divide(s64 a, s64 b)
{
  u64 x = a < 0 ? -(u64)a : (u64)a, y = b < 0 ? -(u64)b : (u64)b;
  u64 q = y ? x / y : 0;
  return (s64)((a < 0) != (b < 0) ? -q : q);
}

/* n (a - b) (a - b), wrapping */
INLINE u64 square_times(s64 n, s64 a, s64 b)
{
  u64 d = (u64)a - (u64)b;
  return (u64)n * d * d;
}

INLINE s64 variance(const struct rt_stat *s, u64 shift)
{
  s64 n = s->count;
  if (n < 2)
    return 0;
  s64 mean = divide((s64)((u64)s->sum << shift), n);
  u64 sum = square_times(n, s->mean, mean) + (u64)(n - 1) * (u64)divide(s->m2, n - 1);
  return divide((s64)sum, n - 1) >> (shift < 32 ? 2 * shift : 63);
}

s64 rt_stat_get(struct rt_mem *f, u64 off, u64 op, u64 shift)
{
  CHECK_FRAME(f);
  IN(off);
  const struct rt_stat *s = STAT(f, off);
  shift &= 63;
  if (!s->count)
    return 0;
  switch (op) {
  case RT_STAT_COUNT:
    return s->count;
  case RT_STAT_SUM:
    return s->sum;
  case RT_STAT_MIN:
    return s->min;
  case RT_STAT_MAX:
    return s->max;
  case RT_STAT_AVG:
    return divide(s->sum, s->count);
  case RT_STAT_VARIANCE:
    return variance(s, shift);
  }
  return 0;
}

u64 rt_stat_merge(struct rt_mem *f, u64 into, u64 from)
{
  CHECK_FRAME(f);
  IN(into);
  IN(from);
  struct rt_stat *a = STAT(f, into);
  const struct rt_stat *b = STAT(f, from);
  if (!b->count)
    return 0;
  if (!a->count) {
    a->count = b->count;
    a->sum = b->sum;
    a->min = b->min;
    a->max = b->max;
    a->mean = b->mean;
    a->m2 = b->m2;
    return 0;
  }
  s64 n = a->count + b->count;
  s64 mean = divide((s64)((u64)a->count * (u64)a->mean + (u64)b->count * (u64)b->mean), n);
  a->m2 = (s64)((u64)a->m2 + (u64)b->m2 + square_times(a->count, a->mean, mean) +
                square_times(b->count, b->mean, mean));
  a->mean = mean;
  a->count = n;
  a->sum = (s64)((u64)a->sum + (u64)b->sum);
  if (b->min < a->min)
    a->min = b->min;
  if (b->max > a->max)
    a->max = b->max;
  return 0;
}

u64 rt_stat_variance(struct rt_mem *f, u64 off, s64 value, u64 shift)
{
  CHECK_FRAME(f);
  IN(off);
  struct rt_stat *s = STAT(f, off);
  s64 v = (s64)((u64)value << (shift & 63));
  if (!s->count || value < s->min)
    s->min = value;
  if (!s->count || value > s->max)
    s->max = value;
  s->sum = (s64)((u64)s->sum + (u64)value);
  s64 n = ++s->count;
  s64 delta = (s64)((u64)v - (u64)s->mean);
  s->mean = (s64)((u64)s->mean + (u64)divide(delta, n));
  s->m2 = (s64)((u64)s->m2 + (u64)delta * ((u64)v - (u64)s->mean));
  return 0;
}

/* ---- buckets ------------------------------------------------------------------------ */

/* How many bits a number has; 0 for 0. */
INLINE u64 bits_of(u64 v)
{
  u64 n = 0;
  for (u64 k = 32; k; k >>= 1)
    if (v >> k) {
      v >>= k;
      n += k;
    }
  return n + v;
}

/* The middle bucket is of 0; above it are 1, 2-3, 4-7 …, below -1, -2-3 … */
u64 rt_hist_log(s64 value)
{
  u64 v = (u64)value;
  return value < 0 ? RT_HIST_LOG_BUCKETS / 2 - bits_of(-v) : RT_HIST_LOG_BUCKETS / 2 + bits_of(v);
}

/* 0: below lo; then steps from lo on; the last: above hi. */
u64 rt_hist_linear(s64 value, s64 lo, s64 hi, s64 step)
{
  u64 over = ((u64)hi - (u64)lo) / ((u64)step ?: 1) + 2;
  if (value < lo)
    return 0;
  u64 n = ((u64)value - (u64)lo) / ((u64)step ?: 1) + 1;
  return n < over ? n : over;
}

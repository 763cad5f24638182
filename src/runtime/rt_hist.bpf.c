/* A histogram as text, for scripts that want it as a string: what the session prints, cut at the
 * string's end.  The lines are put together from pieces of the text behind the table.  */
#include "runtime/rt_chart.h"
#include "runtime/rt_conv.h"

#define CHART(f) ((struct rt_chart *)((f)->bytes + OFF_TMP))
_Static_assert(sizeof(struct rt_chart) <= RT_MIN_BUFFER, "in the scratch area");

/* p = the table of the histogram c is of. */
#define TABLE(p, c)                                                                                \
  const struct rt_hist *p;                                                                         \
  do {                                                                                             \
    u64 t_ = (c)->table;                                                                           \
    AT_MOST(t_, RO_LIMIT);                                                                         \
    p = (const struct rt_hist *)(RODATA + t_);                                                     \
  } while (0)

__attribute__((noinline)) u64 rt_width(s64 value)
{
  u64 v = value < 0 ? -(u64)value : (u64)value, n = value < 0;
  for (u64 i = 0; i < 20; i++) {
    n++;
    v /= 10;
    if (!v)
      break;
  }
  return n;
}

INLINE u64 bucket(struct rt_mem *f, const struct rt_chart *c, u64 row)
{
  AT_MOST(row, RT_HIST_MAX);
  u64 at = c->bucket + 8 * row;
  IN(at);
  return WORD(f->bytes + at);
}

/* Appends n bytes, or as many as there is room for. */
INLINE u64 put(struct rt_mem *f, struct rt_chart *c, const u8 *from, u64 n)
{
  u64 at = c->at, room = c->end - at;
  if (n > room)
    n = room;
  AT_MOST(at, LIMIT + M);
  AT_MOST(n, M - 1);
  read_mem(f->bytes + at, n, from);
  c->at = at + n;
  return n;
}

/* Appends n bytes of the text behind the table. */
INLINE u64 put_text(struct rt_mem *f, struct rt_chart *c, u64 off, u64 n)
{
  off += c->table + sizeof(struct rt_hist);
  AT_MOST(off, RO_LIMIT);
  return put(f, c, RODATA + off, n);
}

/* Puts c before the last n digits. */
INLINE u64 put_before(struct rt_loop *l, u64 n, u64 c)
{
  u64 at = DIGITS - 1 - n;
  AT_MOST(at, DIGITS - 1);
  l->buf[at] = (u8)c;
  return n + 1;
}

__attribute__((noinline)) u64 rt_hist_field(struct rt_mem *f, s64 value, u64 mark, u64 width,
                                            u64 behind)
{
  CHECK_FRAME(f);
  struct rt_loop *l = STATE(f);
  for (u64 i = 0; i < DIGITS; i += 8)
    WORD(l->buf + i) = REP(' ');
  u64 n = digits_of(l, magnitude(value, RT_CONV_D), RT_CONV_D);
  n = FORGET(l, n);
  if (value < 0)
    n = put_before(l, n, '-');
  if (mark)
    n = put_before(l, n, mark);
  WORD(l->buf + DIGITS) = behind;
  width = FORGET(l, width < n ? n : width);
  AT_MOST(width, DIGITS);
  return put(f, CHART(f), l->buf + DIGITS - width, width + 1 + (behind > 255));
}

/* Where the pieces of the text are. */
INLINE u64 bar_at(const struct rt_hist *h)
{
  return h->width + RT_HIST_HEAD;
}
INLINE u64 blank_at(const struct rt_hist *h)
{
  return bar_at(h) + h->width;
}
INLINE u64 gap_at(const struct rt_hist *h)
{
  return blank_at(h) + h->width + RT_HIST_BLANKS;
}

INLINE u64 put_row(struct rt_mem *f, struct rt_chart *c, const struct rt_hist *h, u64 row)
{
  u64 count = bucket(f, c, row), bar = count / c->scale, width = h->width;
  rt_hist_field(f, chart_value(h, row), chart_mark(h, row), c->value_width, ' ' | '|' << 8);
  put_text(f, c, bar_at(h), bar);
  put_text(f, c, blank_at(h), width - bar + 1);
  return rt_hist_field(f, (s64)count, 0, c->count_width, '\n');
}

static long count_step(u64 i, void *ctx)
{
  struct rt_mem *f = ((struct ctx *)ctx)->f;
  CHECK_FRAME(f);
  struct rt_chart *c = CHART(f);
  chart_count(c, i, bucket(f, c, i));
  return 0;
}

static long row_step(u64 i, void *ctx)
{
  struct rt_mem *f = ((struct ctx *)ctx)->f;
  CHECK_FRAME(f);
  struct rt_chart *c = CHART(f);
  TABLE(h, c);
  u64 row = c->first + i;
  if (!chart_shows(c, h, row, row <= c->last ? bucket(f, c, row) : 0))
    return 0;
  if (c->gap) {
    c->gap = 0;
    put_text(f, c, blank_at(h), c->value_width + 1);
    put_text(f, c, gap_at(h), 2);
  }
  put_row(f, c, h, row - h->near);
  return c->at >= c->end;
}

__attribute__((noinline)) u64 rt_hist_layout(struct rt_mem *f)
{
  CHECK_FRAME(f);
  struct rt_chart *c = CHART(f);
  TABLE(h, c);
  chart_layout(c, h);
  return 0;
}

u64 rt_hist_str(struct rt_mem *f, u64 dst, u64 first_bucket, u64 table)
{
  CHECK_FRAME(f);
  IN(dst);
  struct rt_chart *c = CHART(f);
  c->first = c->last = c->most = c->seen = c->gap = 0;
  c->bucket = first_bucket;
  c->at = dst;
  c->end = dst + L - 1;
  c->table = table;
  TABLE(h, c);
  struct ctx ctx = {f};
  loop(h->n, count_step, &ctx);
  if (c->most) {
    rt_hist_layout(f);
    put_text(f, c, blank_at(h), c->value_width - (sizeof("value") - 1));
    put_text(f, c, 0, h->width + RT_HIST_HEAD);
    loop(c->last - c->first + 1 + h->near, row_step, &ctx);
  }
  put_text(f, c, gap_at(h) + 1, 1);
  u64 n = c->at - dst;
  AT_MOST(n, M - 1);
  f->bytes[dst + n] = 0;
  return n;
}

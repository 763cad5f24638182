/* Histograms: how they are to be shown, and the text of one whatever its length.  What the text
 * looks like is told by rt_chart.h.  */
#include <string.h>

#include "runtime/format.h"
#define RT_NATIVE
#include "runtime/rt_chart.h"

static struct {
  u32 width;
  s32 elision;
} style = {50, 2};

void hist_set_style(u32 width, s32 elision)
{
  style.width = width;
  style.elision = elision;
}

_Static_assert((int)HIST_LOG_BUCKETS == (int)RT_HIST_LOG_BUCKETS &&
                   (int)HIST_MAX_BUCKETS == (int)RT_HIST_MAX,
               "the runtime counts in as many");

static struct rt_hist layout_of(const struct hist *h)
{
  u32 n = hist_buckets(h);
  return (struct rt_hist){
      .lo = h->lo,
      .step = h->step,
      .log = h->kind == HIST_LOG,
      .n = n,
      .width = style.width,
      .near = style.elision < 0 ? n : MIN((u32)style.elision, n),
  };
}

static void repeat(struct strbuf *out, char c, u64 n)
{
  while (n--)
    sb_putc(out, c);
}

static void print_head(struct strbuf *out, u32 width)
{
  sb_puts(out, "value |");
  repeat(out, '-', width);
  sb_puts(out, " count\n");
}

void hist_table(struct strbuf *out, const struct hist *h)
{
  struct rt_hist t = layout_of(h);
  sb_add(out, (const char *)&t, sizeof(t));
  print_head(out, t.width);
  repeat(out, '@', t.width);
  repeat(out, ' ', t.width + RT_HIST_BLANKS);
  sb_puts(out, "~\n");
}

static void print_row(struct strbuf *out, const struct rt_chart *c, const struct rt_hist *h,
                      u64 row, u64 count)
{
  char value[32], mark[2] = {(char)chart_mark(h, row)};
  snprintf(value, sizeof(value), "%s%lld", mark, (long long)chart_value(h, row));
  sb_printf(out, "%*s |", (int)c->value_width, value);
  u64 bar = count / c->scale;
  repeat(out, '@', bar);
  sb_printf(out, "%*llu\n", (int)(h->width - bar + 1 + c->count_width), (unsigned long long)count);
}

void hist_render(struct strbuf *out, const struct hist *hist, const s64 *bucket)
{
  struct rt_hist h = layout_of(hist);
  struct rt_chart c = {0};
  for (u32 i = 0; i < h.n; i++)
    chart_count(&c, i, (u64)bucket[i]);
  if (c.most) {
    chart_layout(&c, &h);
    repeat(out, ' ', c.value_width - strlen("value"));
    print_head(out, h.width);
  }
  for (u64 i = c.first; c.most && i <= c.last + h.near; i++) {
    if (!chart_shows(&c, &h, i, i <= c.last ? (u64)bucket[i] : 0))
      continue;
    if (c.gap)
      sb_printf(out, "%*s ~\n", (int)c.value_width, "");
    c.gap = 0;
    print_row(out, &c, &h, i - h.near, (u64)bucket[i - h.near]);
  }
  sb_putc(out, '\n');
}

/* Histograms: how many buckets they have, and the bar chart that printing one gives.
 *
 *   value |-------------------------------------------------- count
 *       4 |@@@@@@@                                             7
 *
 * Shown are the rows from two before the first that counts something to two after the last.  In
 * between, a row is left out when it and its next `elision` neighbours on both sides are empty; a
 * "~" marks the gap.  */
#include <string.h>

#include "runtime/abi.h"
#include "runtime/format.h"

static struct {
  u32 width;
  s32 elision;
} style = {50, 2};

void hist_set_style(u32 width, s32 elision)
{
  style.width = width;
  style.elision = elision;
}

_Static_assert((int)HIST_LOG_BUCKETS == (int)RT_HIST_LOG_BUCKETS, "the runtime counts in as many");

struct chart {
  const struct hist *h;
  const s64 *bucket;
  u32 n;
  u32 first, last; /* rows shown */
  s64 most;
  u64 scale; /* counts per "@" */
  u32 value_width, count_width;
};

enum { LOG_ZERO = RT_HIST_LOG_BUCKETS / 2 }; /* the bucket of value 0 */

/* The lowest value of a bucket; that of the smallest magnitude when negative. */
static s64 value_of(const struct hist *h, u32 n, u32 i)
{
  if (h->kind == HIST_LOG)
    return i == LOG_ZERO  ? 0
           : i > LOG_ZERO ? (s64)(1ull << (i - LOG_ZERO - 1))
                          : (s64)(-(1ull << (LOG_ZERO - 1 - i)));
  u32 step = i == 0 ? 0 : i == n - 1 ? n - 3 : i - 1;
  return (s64)((u64)h->lo + (u64)step * (u64)h->step);
}

static u32 digits(s64 v)
{
  return (u32)snprintf(NULL, 0, "%lld", (long long)v);
}

/* Which rows are shown; false when nothing was counted. */
static bool choose_rows(struct chart *c)
{
  bool any = false;
  for (u32 i = 0; i < c->n; i++) {
    if (c->bucket[i] <= 0)
      continue;
    if (!any)
      c->first = i;
    any = true;
    c->last = i;
    c->most = MAX(c->most, c->bucket[i]);
  }
  for (u32 k = 0; k < 2; k++) {
    if (c->first > 0 && !(c->h->kind == HIST_LOG && c->first == LOG_ZERO))
      c->first--;
    if (c->last < c->n - 1)
      c->last++;
  }
  if (c->h->kind == HIST_LINEAR) { /* values outside have a row only when there are some */
    if (c->first == 0 && !c->bucket[0])
      c->first = 1;
    if (c->last == c->n - 1 && !c->bucket[c->last])
      c->last--;
  }
  return any;
}

static void choose_widths(struct chart *c)
{
  u32 low, high;
  if (c->h->kind == HIST_LINEAR) {
    low = digits(c->h->lo) + (c->first == 0);
    high = digits((s64)((u64)c->h->lo + (u64)c->h->step * c->last)) + (c->last == c->n - 1);
  } else {
    low = digits(value_of(c->h, c->n, c->first));
    high = digits(value_of(c->h, c->n, c->last));
  }
  c->value_width = MAX(MAX(low, high), (u32)strlen("value"));
  c->count_width = digits(c->most);
  c->scale = ((u64)c->most + style.width - 1) / style.width;
}

static bool elided(const struct chart *c, u32 row)
{
  if (style.elision < 0)
    return false;
  u32 near = MIN((u32)style.elision, c->n);
  u32 from = row - c->first > near ? row - near : c->first;
  u32 to = c->last - row > near ? row + near : c->last;
  for (u32 i = from; i <= to; i++)
    if (c->bucket[i])
      return false;
  return true;
}

static void repeat(struct strbuf *out, char c, u64 n)
{
  while (n--)
    sb_putc(out, c);
}

static void print_row(struct strbuf *out, const struct chart *c, u32 row)
{
  bool outside = c->h->kind == HIST_LINEAR && (row == 0 || row == c->n - 1);
  s64 v = value_of(c->h, c->n, row);
  u32 width = digits(v) + outside;
  repeat(out, ' ', c->value_width > width ? c->value_width - width : 0);
  sb_printf(out, "%s%lld |", outside ? row ? ">" : "<" : "", (long long)v);
  u64 bar = (u64)c->bucket[row] / c->scale;
  repeat(out, '@', bar);
  repeat(out, ' ', style.width - bar + 1 + c->count_width - digits(c->bucket[row]));
  sb_printf(out, "%lld\n", (long long)c->bucket[row]);
}

void hist_render(struct strbuf *out, const struct hist *h, const s64 *bucket, u32 n)
{
  struct chart c = {.h = h, .bucket = bucket, .n = n};
  if (!choose_rows(&c)) {
    sb_putc(out, '\n');
    return;
  }
  choose_widths(&c);
  sb_printf(out, "%*s |", (int)c.value_width, "value");
  repeat(out, '-', style.width);
  sb_puts(out, " count\n");
  bool gap = false;
  for (u32 i = c.first; i <= c.last; i++) {
    if (elided(&c, i)) {
      gap = true;
      continue;
    }
    if (gap)
      sb_printf(out, "%*s ~\n", (int)c.value_width, "");
    gap = false;
    print_row(out, &c, i);
  }
  sb_putc(out, '\n');
}

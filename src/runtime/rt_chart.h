/* The bar chart that printing a histogram gives: which rows are shown, and their layout.
 *
 *   value |-------------------------------------------------- count
 *       4 |@@@@@@@                                             7
 *
 * Shown are the rows from two before the first that counts something to two after the last.  In
 * between, a row is left out when it and its next `near` neighbours on both sides are empty; a
 * "~" marks the gap.
 *
 * The session (hist.c) and rt_hist_str (rt_hist.bpf.c) both put the text together from this.  */
#ifndef STAP_RUNTIME_RT_CHART_H
#define STAP_RUNTIME_RT_CHART_H

#include "runtime/rt_in.h"

struct rt_chart {
  u64 first, last; /* rows that count something; from chart_layout() on those shown */
  u64 most;        /* the highest count; 0: nothing was counted */
  u64 scale;       /* counts per "@" */
  u64 value_width, count_width;
  u64 seen; /* one more than the last row passed that counts something; 0: none yet */
  u64 gap;  /* rows were left out since the last one shown */
  /* rt_hist_str's: frame offsets of the buckets, of the next byte and of the last one */
  u64 bucket, at, end;
  u64 table;
};

enum { CHART_LOG_ZERO = RT_HIST_LOG_BUCKETS / 2 }; /* the bucket of value 0 */

/* To be told of each bucket in turn. */
INLINE void chart_count(struct rt_chart *c, u64 row, u64 count)
{
  if (!count)
    return;
  if (!c->most)
    c->first = row;
  c->last = row;
  if (count > c->most)
    c->most = count;
}

/* The lowest value of a bucket; that of the smallest magnitude when negative. */
INLINE s64 chart_value(const struct rt_hist *h, u64 row)
{
  if (h->log)
    return row == CHART_LOG_ZERO  ? 0
           : row > CHART_LOG_ZERO ? (s64)(1ull << ((row - CHART_LOG_ZERO - 1) & 63))
                                  : (s64)(-(1ull << ((CHART_LOG_ZERO - 1 - row) & 63)));
  u64 step = row == 0 ? 0 : row == h->n - 1 ? h->n - 3 : row - 1;
  return (s64)((u64)h->lo + step * (u64)h->step);
}

/* What goes before the value of a row that counts values outside; 0: nothing. */
INLINE u64 chart_mark(const struct rt_hist *h, u64 row)
{
  return h->log ? 0 : row == 0 ? '<' : row == h->n - 1 ? '>' : 0;
}

/* Rows of values outside are shown only when there are some, negative ones when one counts. */
INLINE void chart_rows(struct rt_chart *c, const struct rt_hist *h)
{
  u64 lowest = h->log ? (c->first >= CHART_LOG_ZERO ? CHART_LOG_ZERO : 0) : c->first != 0;
  u64 highest = h->n - 1 - (!h->log && c->last != h->n - 1);
  c->first = c->first > lowest + 2 ? c->first - 2 : lowest;
  c->last = c->last + 2 < highest ? c->last + 2 : highest;
}

/* When all buckets were counted, and some count anything. */
INLINE void chart_layout(struct rt_chart *c, const struct rt_hist *h)
{
  chart_rows(c, h);
  u64 low = h->log ? rt_width(chart_value(h, c->first)) : rt_width(h->lo) + (c->first == 0);
  u64 high = h->log ? rt_width(chart_value(h, c->last))
                    : rt_width((s64)((u64)h->lo + (u64)h->step * c->last)) + (c->last == h->n - 1);
  u64 width = low > high ? low : high, title = sizeof("value") - 1;
  c->value_width = width > title ? width : title;
  c->count_width = rt_width((s64)c->most);
  c->scale = (c->most + h->width - 1) / h->width;
}

/* To be told of each row's count from the first row on, and of `near` more than there are, which
 * count nothing: whether the row `near` before it is shown.  */
INLINE bool chart_shows(struct rt_chart *c, const struct rt_hist *h, u64 row, u64 count)
{
  if (count)
    c->seen = row + 1;
  if (row - c->first < h->near)
    return false;
  if (c->seen && c->seen - 1 + 2ull * h->near >= row)
    return true;
  c->gap = 1;
  return false;
}

#endif

/* Turning printf arguments and histograms into text, for the session and the user executor.  The
 * conversions themselves (rt_conv.h) are the code that SPRINT runs in BPF.  */
#ifndef STAP_RUNTIME_FORMAT_H
#define STAP_RUNTIME_FORMAT_H

#include "ir/ir.h"

struct fmt_arg {
  s64 num;
  const char *str;
  u32 len;
};
/* Renders one print call, piece by piece.  `args` has fmt->nargs entries, as many as the pieces take.
 * %m and %M arguments come as strings (the memory read by the handler).  */
void fmt_render(struct strbuf *out, const struct ir_fmt *fmt, const struct fmt_arg *args);
/* The %m or %M that reads memory at argument n, which is a string in records; NULL: none does. */
const struct fmt_piece *fmt_memory(const struct ir_fmt *fmt, u32 n);
/* A piece's spec as rt.h packs it, without its "*" arguments. */
u64 fmt_spec(const struct fmt_piece *p);
/* Decodes a record's items (runtime/abi.h) and renders it; false when the record is
 * malformed.  */
struct rt_site;
bool fmt_record(struct strbuf *out, const struct rt_site *site, const void *items, u32 len);

/* A histogram as SystemTap prints it: rows of value, bar and count, and an empty line.  bucket has
 * hist_buckets(h) entries.  */
void hist_render(struct strbuf *out, const struct hist *h, const s64 *bucket);
/* Adds the table that rt_hist_str takes. */
void hist_table(struct strbuf *out, const struct hist *h);
/* -DHIST_WIDTH and -DHIST_ELISION: characters of the longest bar; how many empty rows are shown
 * next to others before a gap (negative: all).  Once, before the run.  */
void hist_set_style(u32 width, s32 elision);

#endif

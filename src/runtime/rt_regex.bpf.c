/* Matching: a walk through a table, one step per byte (regex/table.h). */
#include "runtime/rt_in.h"
#include "regex/table.h"

enum { CHUNK = 32 }; /* bytes without a call */
/* Where a table may be: a header and at least as much of entries are behind it. */
#define TABLE_LIMIT (RO_LIMIT - 512)

/* Goes on for up to CHUNK bytes: RX_NO or RX_YES at the end of the walk, else the row. */
INLINE u64 walk(const u8 *p, u64 table, u64 row)
{
  const struct rx_match_table *t = (const struct rx_match_table *)(RODATA + table);
  for (u64 k = 0; k < CHUNK; k++) {
    u64 at = table + sizeof(*t) + t->class_of[p[k]];
    PIN(at); /* what doesn't depend on the step before comes first */
    at += row;
    AT_MOST(at, RO_LIMIT);
    row = *(const u16 *)(RODATA + at);
    if (row <= RX_YES)
      break;
  }
  return row;
}

/* a: string, b: table; in: bytes done, c: row */
static long match_step(u64 i, void *ctx)
{
  struct rt_mem *f = ((struct ctx *)ctx)->f;
  (void)i;
  CHECK_FRAME(f);
  struct rt_loop *l = STATE(f);
  u64 in = l->in, table = l->b;
  AT_MOST(in, M);
  AT_MOST(table, TABLE_LIMIT);
  SOURCE(p, f, l->a);
  l->in = in + CHUNK;
  l->c = walk(p + in, table, l->c);
  return l->c <= RX_YES;
}

__attribute__((noinline)) u64 rt_match(struct rt_mem *f, u64 s, u64 table)
{
  CHECK_FRAME(f);
  SOURCE(p, f, s);
  AT_MOST(table, TABLE_LIMIT);
  u64 row = ((const struct rx_match_table *)(RODATA + table))->start;
  if (row > RX_YES)
    row = walk(p, table, row);
  if (row > RX_YES) {
    struct rt_loop *l = STATE(f);
    struct ctx ctx = {f};
    l->a = s;
    l->b = table;
    l->in = CHUNK;
    l->c = row;
    loop(M / CHUNK, match_step, &ctx);
    row = l->c;
  }
  return row == RX_YES;
}

/* ---- groups ----------------------------------------------------------------------- */

/* b: place of the moves, in: position.  Registers are at OFF_TMP. */
static long move_step(u64 i, void *ctx)
{
  struct rt_mem *f = ((struct ctx *)ctx)->f;
  CHECK_FRAME(f);
  struct rt_loop *l = STATE(f);
  u64 at = l->b, k = i;
  at += 2 * k;
  AT_MOST(at, RO_LIMIT);
  u64 move = *(const u16 *)(RODATA + at), to = move >> 8, from = move & 0xff;
  u16 *regs = (u16 *)(f->bytes + OFF_TMP), value = 0xffff;
  PIN(from);
  if (from < RX_REGS)
    value = regs[from];
  else if (from == RX_FROM_POS)
    value = (u16)l->in;
  u64 tag = to - RX_TO_TAG;
  PIN(to);
  PIN(tag);
  if (to < RX_REGS)
    regs[to] = value;
  else if (tag < sizeof(HEAD(f)->match) / sizeof(u32))
    HEAD(f)->match[tag] = value == 0xffff ? ~0u : value;
  return 0;
}

/* a: table; in: position, c: row */
static long group_step(u64 i, void *ctx)
{
  struct rt_mem *f = ((struct ctx *)ctx)->f;
  (void)i;
  CHECK_FRAME(f);
  struct rt_loop *l = STATE(f);
  u64 in = l->in, table = l->a;
  AT_MOST(in, M);
  AT_MOST(table, TABLE_LIMIT);
  const struct rx_group_table *t = (const struct rx_group_table *)(RODATA + table);
  u64 at = table + sizeof(*t) + 4 * (l->c + t->class_of[f->bytes[OFF_SUBJ + in]]);
  AT_MOST(at, RO_LIMIT);
  u64 entry = *(const u32 *)(RODATA + at), program = entry >> 16;
  if (program) {
    u64 moves = table + t->moves + 2 * program;
    AT_MOST(moves, RO_LIMIT);
    l->b = moves + 2;
    loop(*(const u16 *)(RODATA + moves), move_step, ctx);
  }
  l->in = in + 1;
  l->c = entry & 0xffff;
  return l->c <= RX_YES;
}

u64 rt_match_groups(struct rt_mem *f, u64 s, u64 table)
{
  CHECK_FRAME(f);
  SOURCE(p, f, s);
  AT_MOST(table, TABLE_LIMIT);
  const struct rx_group_table *t = (const struct rx_group_table *)(RODATA + table);
  HEAD(f)->match_n = 0;
  if (!rt_match(f, s, table + t->match))
    return 0;
  put_string(f, OFF_SUBJ, M, p);
  HEAD(f)->match_str = (u32)OFF_SUBJ;
  HEAD(f)->match_n = t->ngroups;
  struct rt_loop *l = STATE(f);
  struct ctx ctx = {f};
  l->a = table;
  l->c = t->start;
  l->in = 0;
  loop(M, group_step, &ctx);
  return 1;
}

s64 rt_matched(struct rt_mem *f, u64 dst, s64 n)
{
  CHECK_FRAME(f);
  IN(dst);
  f->bytes[dst] = 0;
  u64 group = (u64)n;
  if (group >= HEAD(f)->match_n)
    return -1;
  AT_MOST(group, sizeof(HEAD(f)->match) / 8 - 1);
  u64 from = HEAD(f)->match[2 * group], size = HEAD(f)->match[2 * group + 1] - from + 1;
  if (from == ~0u)
    return 0;
  AT_MOST(from, M);
  AT_MOST(size, M);
  return (s64)put_string(f, dst, size, f->bytes + OFF_SUBJ + from);
}

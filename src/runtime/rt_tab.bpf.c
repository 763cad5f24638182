/* Tables in the read-only data: names of values, flags and errors; numbers as text. */
#include "runtime/rt_conv.h"

INLINE u32 table_u32(u64 at)
{
  return *(const u32 *)(RODATA + at);
}

u64 rt_strtab(struct rt_mem *f, u64 dst, u64 table, s64 value)
{
  CHECK_FRAME(f);
  IN(dst);
  AT_MOST(table, RO_LIMIT);
  u64 n = table_u32(table), name = table_u32(table + 4), v = (u64)value;
  if (v < n && v < RT_TABLE_MAX) {
    v = table + 8 + 4 * v;
    AT_MOST(v, RO_LIMIT);
    name = table_u32(v);
  }
  AT_MOST(name, RO_LIMIT);
  return put_string(f, dst, L, RODATA + name);
}

__attribute__((noinline)) u64 rt_digits(struct rt_mem *f, u64 value, u64 conv)
{
  CHECK_FRAME(f);
  return digits_of(STATE(f), value, conv);
}

/* Copies the last n <= DIGITS of the digits to a frame offset (with room), and ends the string. */
INLINE u64 put_digits(struct rt_mem *f, u64 at, u64 n)
{
  AT_MOST(n, DIGITS);
  read_mem(f->bytes + at, n, STATE(f)->buf + DIGITS - n);
  f->bytes[at + n] = 0;
  return n;
}

INLINE u64 put_decimal(struct rt_mem *f, u64 at, u64 v)
{
  return put_digits(f, at, rt_digits(f, v, RT_CONV_U));
}

/* Appends the value in hex to the n bytes at dst; when it doesn't fit, nothing. */
INLINE u64 append_hex(struct rt_mem *f, u64 dst, u64 n, u64 value, u64 digits)
{
  struct rt_loop *l = STATE(f);
  AT_MOST(n, M);
  if (n + 2 + 16 >= M) {
    f->bytes[dst + n] = 0;
    return n;
  }
  if (digits > 1)
    WORD(l->buf + DIGITS - 16) = WORD(l->buf + DIGITS - 8) = REP('0');
  u64 have = rt_digits(f, value, RT_CONV_X);
  if (have < digits)
    have = digits;
  f->bytes[dst + n] = '0';
  f->bytes[dst + n + 1] = 'x';
  return n + 2 + put_digits(f, dst + n + 2, have);
}

u64 rt_append_hex(struct rt_mem *f, u64 dst, u64 value, u64 digits)
{
  CHECK_FRAME(f);
  IN(dst);
  u64 n = append_hex(f, dst, length(f, f->bytes + dst), value, digits < 16 ? digits : 16);
  return cut(f, dst, n);
}

/* Appends what a table has no name for to the n bytes at dst; when it doesn't fit, nothing. */
INLINE u64 append_rest(struct rt_mem *f, u64 dst, u64 n, u64 value, u64 rest)
{
  if (rest == RT_REST_HEX)
    return append_hex(f, dst, n, value, 1);
  AT_MOST(n, M);
  if (n + 24 >= M) {
    f->bytes[dst + n] = 0;
    return n;
  }
  if (rest == RT_REST_OCTAL) {
    f->bytes[dst + n] = '0';
    n += value != 0;
    return n + put_digits(f, dst + n, rt_digits(f, value, RT_CONV_O));
  }
  u64 negative = rest == RT_REST_SIGNED && (s64)value < 0;
  f->bytes[dst + n] = '-';
  n += negative;
  return n + put_decimal(f, dst + n, negative ? -value : value);
}

/* a: table, b: frame offset, c: bits not yet named; out: bytes there */
static long flag_step(u64 i, void *ctx)
{
  struct rt_mem *f = ((struct ctx *)ctx)->f;
  CHECK_FRAME(f);
  struct rt_loop *l = STATE(f);
  u64 row = l->a, out = l->out, dst = l->b;
  AT_MOST(row, RO_LIMIT);
  AT_MOST(out, M - 1);
  IN(dst);
  u64 k = i;
  AT_MOST(k, RT_FLAGS_MAX);
  row += sizeof(struct rt_flags) + k * sizeof(struct rt_flag);
  AT_MOST(row, RO_LIMIT);
  const struct rt_flag *r = (const struct rt_flag *)(RODATA + row);
  if ((l->c & r->mask) != r->value)
    return 0;
  l->c &= ~r->mask;
  u64 name = r->name, room = M - out;
  AT_MOST(name, RO_LIMIT);
  if (out && room > 2) {
    f->bytes[dst + out] = '|';
    out++;
    room--;
  }
  AT_MOST(out, M);
  AT_MOST(room, M);
  l->out = out + put_string(f, dst + out, room, RODATA + name);
  return 0;
}

u64 rt_flags_str(struct rt_mem *f, u64 dst, u64 value, u64 table)
{
  CHECK_FRAME(f);
  IN(dst);
  AT_MOST(table, RO_LIMIT);
  struct rt_loop *l = STATE(f);
  const struct rt_flags *t = (const struct rt_flags *)(RODATA + table);
  u64 zero_name = t->zero, n = t->n;
  f->bytes[dst] = 0;
  if (!value && zero_name != ~0u) {
    AT_MOST(zero_name, RO_LIMIT);
    return put_string(f, dst, L, RODATA + zero_name);
  }
  l->a = table;
  l->b = dst;
  l->c = value;
  l->out = 0;
  if (n > RT_FLAGS_MAX)
    n = RT_FLAGS_MAX;
  struct ctx ctx = {f};
  loop(n, flag_step, &ctx);
  u64 out = l->out;
  AT_MOST(out, M - 1);
  if (out && !l->c)
    return cut(f, dst, out);
  if (out && out + 2 < M)
    f->bytes[dst + out++] = '|';
  return cut(f, dst, append_rest(f, dst, out, l->c, t->rest));
}

/* a: table, d: the argument; c: offset of the name, or 0 */
static long enum_step(u64 i, void *ctx)
{
  struct rt_mem *f = ((struct ctx *)ctx)->f;
  CHECK_FRAME(f);
  struct rt_loop *l = STATE(f);
  u64 row = l->a, k = i;
  AT_MOST(row, RO_LIMIT);
  AT_MOST(k, RT_TABLE_MAX);
  row += sizeof(struct rt_flags) + k * sizeof(struct rt_flag);
  AT_MOST(row, RO_LIMIT);
  const struct rt_flag *r = (const struct rt_flag *)(RODATA + row);
  if (l->d != r->value)
    return 0;
  l->c = r->name;
  l->b = 1;
  return 1;
}

u64 rt_enum_str(struct rt_mem *f, u64 dst, u64 value, u64 table)
{
  CHECK_FRAME(f);
  IN(dst);
  AT_MOST(table, RO_LIMIT);
  struct rt_loop *l = STATE(f);
  const struct rt_flags *t = (const struct rt_flags *)(RODATA + table);
  u64 n = t->n;
  l->a = table;
  l->b = 0;
  l->d = value;
  if (n > RT_TABLE_MAX)
    n = RT_TABLE_MAX;
  struct ctx ctx = {f};
  loop(n, enum_step, &ctx);
  if (!l->b)
    return cut(f, dst, append_rest(f, dst, 0, value, t->rest));
  u64 name = l->c;
  AT_MOST(name, RO_LIMIT);
  return put_string(f, dst, L, RODATA + name);
}

u64 rt_errno_str(struct rt_mem *f, u64 dst, s64 number, u64 errno_tab)
{
  CHECK_FRAME(f);
  IN(dst);
  AT_MOST(errno_tab, RO_LIMIT);
  u64 n = (u64)number;
  if (n < RT_ERRNO_MAX) {
    u64 at = errno_tab + 8 + 4 * n;
    AT_MOST(at, RO_LIMIT);
    u64 name = table_u32(at);
    AT_MOST(name, RO_LIMIT);
    u64 len = put_string(f, dst, L, RODATA + name);
    if (len)
      return len;
  }
  u64 at = 2, negative = number < 0;
  f->bytes[dst] = 'E';
  f->bytes[dst + 1] = '#';
  f->bytes[dst + 2] = '-';
  at += negative;
  return cut(f, dst, at + put_decimal(f, dst + at, negative ? -n : n));
}

enum { RETSTR_HEX = 2, RETSTR_OCTAL = 3 };

INLINE u64 returnstr(struct rt_mem *f, u64 dst, s64 value, u64 format, u64 errno_tab)
{
  u64 n = (u64)value, at = 0;
  u64 error = -n;
  if (error < RT_ERRNO_MAX && error) {
    f->bytes[dst] = '-';
    at = 1 + put_decimal(f, dst + 1, error);
    AT_MOST(at, 32);
    AT_MOST(errno_tab, RO_LIMIT);
    u64 row = errno_tab + 8 + 4 * error;
    AT_MOST(row, RO_LIMIT);
    u64 name = table_u32(row);
    AT_MOST(name, RO_LIMIT);
    f->bytes[dst + at] = ' ';
    f->bytes[dst + at + 1] = '(';
    u64 end = at + 2 + put_string(f, dst + at + 2, 32, RODATA + name);
    AT_MOST(end, M);
    f->bytes[dst + end] = ')';
    f->bytes[dst + end + 1] = 0;
    return end + 1;
  }
  if (format == RETSTR_HEX)
    return append_hex(f, dst, 0, n, 1);
  if (format == RETSTR_OCTAL) {
    f->bytes[dst] = '0';
    at = n != 0;
    return at + put_digits(f, dst + at, rt_digits(f, n, RT_CONV_O));
  }
  f->bytes[dst] = '-';
  at = value < 0;
  return at + put_decimal(f, dst + at, at ? -n : n);
}

u64 rt_returnstr(struct rt_mem *f, u64 dst, s64 value, u64 format, u64 errno_tab)
{
  CHECK_FRAME(f);
  IN(dst);
  return cut(f, dst, returnstr(f, dst, value, format, errno_tab));
}

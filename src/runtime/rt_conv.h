/* What a number looks like under a conversion: the digits and what goes around them.  The session
 * (format.c) and SPRINT (rt_fmt.bpf.c) both put a value together from this.  */
#ifndef STAP_RUNTIME_RT_CONV_H
#define STAP_RUNTIME_RT_CONV_H

#include "runtime/rt_in.h"

/* enum conv and FMT_* of lang/ast.h, which BPF code can't include; format.c compares them. */
enum {
  RT_CONV_D = 1,
  RT_CONV_U,
  RT_CONV_O,
  RT_CONV_X,
  RT_CONV_XX,
  RT_CONV_P,
  RT_CONV_C,
  RT_CONV_S,
  RT_CONV_B,
  RT_CONV_M,
  RT_CONV_MM,
};
enum { RT_ZERO = 1, RT_SPACE = 2, RT_PLUS = 4, RT_ALT = 8, RT_LEFT = 16 };

#define SPEC_CONV(s) ((s)&0xff)
#define SPEC_FLAGS(s) ((s) >> 8 & 0xff)
#define SPEC_WIDTH(s) ((s) >> 16 & 0xffff)
#define SPEC_PREC(s) ((s) >> 32 & 0xffff)

/* The digits of v under a conversion, at the end of the state's buffer; their number. */
enum { DIGITS = 64 };
INLINE u64 digits_of(struct rt_loop *l, u64 v, u64 conv)
{
  u64 n = 0, letter = FORGET(l, (conv == RT_CONV_XX ? 'A' : 'a') - 10 - '0');
  u64 bits = FORGET(l, conv == RT_CONV_O ? 3 : 4), mask = (1ull << bits) - 1;
  if (conv == RT_CONV_D || conv == RT_CONV_U) {
    do {
      l->buf[DIGITS - 1 - n] = (u8)('0' + v % 10);
      v /= 10;
    } while (++n < 20 && v);
  } else {
    do {
      u64 d = v & mask, above9 = 9 - d;
      PIN(above9); /* no branch, which the verifier would take both ways in each round */
      l->buf[DIGITS - 1 - n] = (u8)(d + '0' + (above9 >> 63) * letter);
      v >>= bits;
    } while (++n < 22 && v);
  }
  return n;
}

/* What digits_of() is to convert. */
INLINE u64 magnitude(s64 value, u64 conv)
{
  return conv == RT_CONV_D && value < 0 ? -(u64)value : (u64)value;
}

/* The letter after the backslash of a byte with an escape of its own, or 0. */
INLINE u64 escape_letter(u64 c)
{
  switch (c) {
  case '\a':
    return 'a';
  case '\b':
    return 'b';
  case '\t':
    return 't';
  case '\n':
    return 'n';
  case '\v':
    return 'v';
  case '\f':
    return 'f';
  case '\r':
    return 'r';
  case '"':
  case '\\':
    return c;
  }
  return 0;
}

/* lead blanks, nprefix bytes of prefix (the first in the low byte), zeros, ndigits bytes that end
 * at buf[DIGITS], trail blanks; a blank is `blank`.  */
struct rt_layout {
  u64 lead, prefix, nprefix, zeros, ndigits, trail, blank;
};

/* %c: under the flag "#" as an escape. */
INLINE void layout_char(struct rt_loop *l, struct rt_layout *o, u64 c, u64 escaped)
{
  u64 letter = escaped ? escape_letter(c) : 0, n = 1;
  if (letter) {
    l->buf[DIGITS - 2] = '\\';
    c = letter;
    n = 2;
  } else if (escaped && (c < 32 || c > 126)) {
    l->buf[DIGITS - 4] = '\\';
    l->buf[DIGITS - 3] = (u8)('0' + (c >> 6));
    l->buf[DIGITS - 2] = (u8)('0' + (c >> 3 & 7));
    c = '0' + (c & 7);
    n = 4;
  }
  l->buf[DIGITS - 1] = (u8)c;
  o->ndigits = FORGET(l, n);
}

/* %b: the value's low bytes in memory order; the precision says how many, else the width. */
INLINE void layout_bytes(struct rt_loop *l, struct rt_layout *o, u64 v, u64 width, u64 prec)
{
  u64 n = prec != RT_NO_PREC ? prec : width ? width : 8;
  if (n > 8)
    n = 8;
  WORD(l->buf + DIGITS - 8) = n ? v << 8 * (8 - n) : 0;
  o->ndigits = FORGET(l, n);
  o->blank = 0;
}

INLINE void layout_number(struct rt_layout *o, s64 value, u64 conv, u64 flags, u64 prec)
{
  u64 v = (u64)value;
  if (conv == RT_CONV_D) {
    o->prefix = value < 0 ? '-' : flags & RT_PLUS ? '+' : flags & RT_SPACE ? ' ' : 0;
    o->nprefix = o->prefix != 0;
    BARRIER();
  }
  if (conv == RT_CONV_P || (flags & RT_ALT && v && (conv == RT_CONV_X || conv == RT_CONV_XX))) {
    o->prefix = '0' | (conv == RT_CONV_XX ? 'X' : 'x') << 8;
    o->nprefix = 2;
    BARRIER();
  }
  if (prec != RT_NO_PREC) {
    if (!prec && !v)
      o->ndigits = 0;
    if (prec > o->ndigits)
      o->zeros = prec - o->ndigits;
  }
  if (conv == RT_CONV_O && flags & RT_ALT && !o->zeros && (v || !o->ndigits))
    o->zeros = 1;
}

/* ndigits: what digits_of() gave for the value. */
INLINE void layout_int(struct rt_loop *l, struct rt_layout *o, s64 value, u64 spec, u64 ndigits)
{
  u64 conv = SPEC_CONV(spec), flags = SPEC_FLAGS(spec), width = SPEC_WIDTH(spec),
      prec = SPEC_PREC(spec);
  o->lead = o->prefix = o->nprefix = o->zeros = o->trail = 0;
  o->blank = REP(' ');
  o->ndigits = ndigits;
  if (conv == RT_CONV_C)
    layout_char(l, o, value & 0xff, flags & RT_ALT);
  else if (conv == RT_CONV_B)
    layout_bytes(l, o, (u64)value, width, prec);
  else
    layout_number(o, value, conv, flags, prec);
  BARRIER();
  u64 n = o->nprefix + o->zeros + o->ndigits, pad = width > n ? width - n : 0;
  if (flags & RT_LEFT)
    o->trail = pad;
  else if (flags & RT_ZERO && prec == RT_NO_PREC && conv <= RT_CONV_P)
    o->zeros += pad;
  else
    o->lead = pad;
}

/* The spec with an argument's width or precision. */
INLINE u64 spec_with_width(u64 spec, s64 width)
{
  u64 w = (u64)width;
  if (width < 0) {
    spec |= RT_LEFT << 8;
    w = -w;
  }
  return (spec & ~(0xffffull << 16)) | (w < 0xffff ? w : 0xffff) << 16;
}

INLINE u64 spec_with_prec(u64 spec, s64 prec)
{
  u64 p = prec < 0 ? RT_NO_PREC : prec < RT_NO_PREC - 1 ? (u64)prec : RT_NO_PREC - 1;
  return (spec & ~(0xffffull << 32)) | p << 32;
}

#endif

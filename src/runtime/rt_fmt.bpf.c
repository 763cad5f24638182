/* SPRINT's pieces: a value laid out by rt_conv.h goes into the frame, cut at the buffer's end. */
#include "runtime/rt_conv.h"

/* A place to write: at is the next byte, last the one that stays for the NUL. */
#define POS_MAX (LIMIT + M)
#define POS(at, last) ((u64)(last) << 32 | (at))

/* out: next byte, a: eight blanks */
static long fill_step(u64 i, void *ctx)
{
  struct rt_mem *f = ((struct ctx *)ctx)->f;
  (void)i;
  CHECK_FRAME(f);
  struct rt_loop *l = STATE(f);
  u64 out = l->out;
  AT_MOST(out, POS_MAX);
  WORD(f->bytes + out) = l->a;
  l->out = out + 8;
  return 0;
}

/* Writes n bytes, eight at a time, but nothing behind the buffer; returns the place behind them. */
__attribute__((noinline)) u64 rt_fill(struct rt_mem *f, u64 pos, u64 word, u64 n)
{
  CHECK_FRAME(f);
  u64 at = (u32)pos, last = pos >> 32;
  AT_MOST(last, POS_MAX);
  AT_MOST(at, POS_MAX); /* Linux 6.1 learns nothing from a comparison of two variables */
  AT_MOST(at, last);
  if (n > last - at)
    n = last - at;
  u64 rest = n & 7, words = n >> 3, end = at + (n & ~7ull);
  if (rest && end + 8 <= last + 1) {
    words++;
    rest = 0;
  }
  struct rt_loop *l = STATE(f);
  l->a = word;
  if (words == 1) {
    WORD(f->bytes + at) = word;
  } else if (words) {
    struct ctx ctx = {f};
    l->out = at;
    loop(words, fill_step, &ctx);
  }
  if (rest) {
    AT_MOST(end, POS_MAX);
    AT_MOST(rest, 7);
    read_mem(f->bytes + end, rest, (const u8 *)&l->a);
  }
  return at + n;
}

INLINE u64 put_end(struct rt_mem *f, u64 at, u64 last)
{
  AT_MOST(at, POS_MAX);
  f->bytes[at] = 0;
  return POS(at, last);
}

/* The last n bytes of the state's digits. */
INLINE u64 put_tail(struct rt_mem *f, u64 at, u64 last, u64 n)
{
  AT_MOST(n, DIGITS);
  const u8 *from = STATE(f)->buf + DIGITS - n;
  AT_MOST(at, POS_MAX);
  if (n > last - at)
    n = last - at;
  AT_MOST(n, DIGITS);
  if (n)
    read_mem(f->bytes + at, n, from);
  return at + n;
}

/* The layout is behind the digits in the state. */
_Static_assert(DIGITS + sizeof(struct rt_layout) <= sizeof(((struct rt_loop *)0)->buf), "state");

u64 rt_put_int(struct rt_mem *f, u64 pos, s64 value, u64 spec)
{
  CHECK_FRAME(f);
  u64 at = (u32)pos, last = pos >> 32;
  AT_MOST(last, POS_MAX);
  AT_MOST(at, last);
  struct rt_loop *l = STATE(f);
  if (spec == RT_SPEC(RT_CONV_D, 0, 0, RT_NO_PREC, 0)) {
    u64 negative = value < 0, n = rt_digits(f, negative ? -(u64)value : (u64)value, RT_CONV_D);
    u64 sign = DIGITS - 1 - n;
    AT_MOST(sign, DIGITS - 1);
    l->buf[sign] = '-';
    return put_end(f, put_tail(f, at, last, n + negative), last);
  }
  struct rt_layout *o = (struct rt_layout *)(l->buf + DIGITS);
  u64 conv = SPEC_CONV(spec);
  layout_int(l, o, value, spec, rt_digits(f, magnitude(value, conv), conv));
  BARRIER();
  if (o->lead)
    at = rt_fill(f, POS(at, last), o->blank, o->lead);
  if (o->nprefix)
    at = rt_fill(f, POS(at, last), o->prefix, o->nprefix);
  if (o->zeros)
    at = rt_fill(f, POS(at, last), REP('0'), o->zeros);
  at = put_tail(f, at, last, o->ndigits);
  if (o->trail)
    at = rt_fill(f, POS(at, last), o->blank, o->trail);
  return put_end(f, at, last);
}

u64 rt_put_str(struct rt_mem *f, u64 pos, u64 s, u64 spec)
{
  CHECK_FRAME(f);
  u64 at = (u32)pos, last = pos >> 32;
  AT_MOST(last, POS_MAX);
  AT_MOST(at, last);
  AT_MOST(at, POS_MAX); /* 6.1 does not conclude it */
  SOURCE(p, f, s);
  u64 room = last - at;
  AT_MOST(room, M - 1);
  if (SPEC_PREC(spec) == RT_NO_PREC && !SPEC_WIDTH(spec))
    return POS(at + put_string(f, at, room + 1, p), last);
  u64 len = length(f, p), width = SPEC_WIDTH(spec), left = SPEC_FLAGS(spec) & RT_LEFT;
  if (len > SPEC_PREC(spec))
    len = SPEC_PREC(spec);
  u64 pad = width > len ? width - len : 0;
  if (pad && !left)
    at = rt_fill(f, POS(at, last), REP(' '), pad);
  room = last - at;
  if (room > len)
    room = len;
  AT_MOST(at, POS_MAX);
  AT_MOST(room, M - 1);
  at += put_string(f, at, room + 1, p);
  if (pad && left)
    at = rt_fill(f, POS(at, last), REP(' '), pad);
  return put_end(f, at, last);
}

u64 rt_spec_width(u64 spec, s64 width)
{
  return spec_with_width(spec, width);
}

u64 rt_spec_prec(u64 spec, s64 prec)
{
  return spec_with_prec(spec, prec);
}

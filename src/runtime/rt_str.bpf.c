/* Strings.  What is short and hot goes by 8-byte words in loops that the verifier unrolls; what
 * looks at single bytes runs as a callback, verified once, with its state in the frame.  */
#include "runtime/rt_conv.h"

/* ---- copying ------------------------------------------------------------------- */

/* Short strings are copied by words, to aligned places: what is behind the NUL in its word is
 * copied with it.  The length, or LONG when there is no NUL in SHORT bytes. */
enum { SHORT = 32 };
#define LONG (~0ull)

/* Bytes before the first NUL of a word, or 8; z is has_zero() of it. */
INLINE u64 nul_at(u64 z)
{
  return (((z & -z) - 1) >> 7 & REP(1)) * REP(1) >> 56;
}

INLINE u64 copy_short(u8 *dst, const u8 *src)
{
  for (u64 i = 0; i < SHORT; i += 8) {
    u64 w = WORD(src + i), z = has_zero(w);
    WORD(dst + i) = w;
    if (z)
      return i + nul_at(z);
  }
  return LONG;
}

u64 rt_copy(struct rt_mem *f, u64 dst, u64 src, u64 size)
{
  CHECK_FRAME(f);
  IN(dst);
  SOURCE(s, f, src);
  AT_MOST(size, M);
  if (size >= SHORT) {
    u64 n = copy_short(f->bytes + dst, s);
    if (n != LONG)
      return n;
  }
  return put_string(f, dst, size, s);
}

/* As rt_copy_pad(), for size <= PADDED; without branches, which the verifier would take both ways
 * in each round.  */
enum { PADDED = 64 };
INLINE u64 pad_short(u8 *dst, const u8 *src, u64 size)
{
  u64 live = ~0ull, n = 0, end = size - 8; /* live: 0 behind the NUL */
  AT_MOST(end, PADDED);
  for (u64 i = 0; i < PADDED && i < end; i += 8) {
    u64 w = WORD(src + i) & live, z = has_zero(w);
    WORD(dst + i) = w & ((z & -z) - 1);
    n += nul_at(z) & live;
    live &= ((z | -z) >> 63) - 1;
  }
  u64 w = WORD(src + end) & live & ~0ull >> 8, z = has_zero(w);
  WORD(dst + end) = w & ((z & -z) - 1);
  return n + (nul_at(z) & live);
}

u64 rt_copy_pad(struct rt_mem *f, u64 dst, u64 src, u64 size)
{
  CHECK_FRAME(f);
  IN(dst);
  SOURCE(s, f, src);
  AT_MOST(size, M);
  if (size <= PADDED)
    return pad_short(f->bytes + dst, s, size);
  zero(f->bytes + dst, size);
  return put_string(f, dst, size, s);
}

/* Appends a short string to the n < SHORT bytes at dst, which are there up to their last word; by
 * words again, each made of parts of two.  The length of all, or LONG.  */
INLINE u64 append_short(struct rt_mem *f, u64 dst, u64 n, const u8 *src)
{
  u64 at = dst + (n & ~7ull), shift = 8 * (n & 7), carry = 0;
  IN(at);
  u8 *p = f->bytes + at;
  if (shift)
    carry = WORD(p) << (64 - shift) >> (64 - shift);
  for (u64 i = 0; i < SHORT; i += 8) {
    u64 w = WORD(src + i), z = has_zero(w);
    WORD(p + i) = carry | w << shift;
    carry = w >> 1 >> (63 - shift);
    if (!z)
      continue;
    u64 len = nul_at(z);
    if (8 * len + shift >= 64)
      WORD(p + i + 8) = carry;
    return n + i + len;
  }
  return LONG;
}

INLINE u64 concat_long(struct rt_mem *f, u64 dst, u64 a, u64 b)
{
  if (b == dst && a != dst) {
    put_string(f, OFF_TMP, M, f->bytes + dst);
    b = OFF_TMP;
  }
  SOURCE(pb, f, b);
  u64 n;
  if (a == dst) {
    n = length(f, f->bytes + dst);
  } else {
    SOURCE(pa, f, a);
    n = put_string(f, dst, L, pa);
  }
  AT_MOST(n, L - 1);
  u64 room = L - n;
  AT_MOST(room, M);
  u64 end = dst + n;
  if (a == dst && b == dst) { /* the copy would chase its own tail */
    put_string(f, OFF_TMP, room, pb);
    return n + put_string(f, end, room, f->bytes + OFF_TMP);
  }
  return n + put_string(f, end, room, pb);
}

u64 rt_concat(struct rt_mem *f, u64 dst, u64 a, u64 b)
{
  CHECK_FRAME(f);
  IN(dst);
  SOURCE(pa, f, a);
  SOURCE(pb, f, b);
  u64 n = b == dst ? LONG : copy_short(f->bytes + dst, pa);
  n = FORGET(STATE(f), n);
  if (n >= SHORT)
    return concat_long(f, dst, a, b);
  u64 len = append_short(f, dst, n, pb), end = dst + n;
  if (len == LONG)
    len = n + put_string(f, end, M - n, pb);
  return cut(f, dst, len);
}

/* ---- measuring and comparing ------------------------------------------------------- */

u64 rt_strlen(struct rt_mem *f, u64 s)
{
  CHECK_FRAME(f);
  SOURCE(p, f, s);
  return length(f, p);
}

/* Compares 8 * WORDS bytes: -1, 0 or 1 when that decides, else GO_ON. */
enum { WORDS = 4, GO_ON = 2 };
INLINE s64 compare(const u8 *a, const u8 *b)
{
  for (u64 i = 0; i < 8 * WORDS; i += 8) {
    u64 x = WORD(a + i), y = WORD(b + i), z = has_zero(x);
    if (x != y) {
      u64 differs = x ^ y;
      z &= -z;
      differs &= -differs;
      if (z && z < differs) /* the strings end before */
        return 0;
      return __builtin_bswap64(x) < __builtin_bswap64(y) ? -1 : 1;
    }
    if (z)
      return 0;
  }
  return GO_ON;
}

/* a, b: strings, a in the frame; in: bytes known to be equal; c: the result */
static long compare_step(u64 i, void *ctx)
{
  struct rt_mem *f = ((struct ctx *)ctx)->f;
  (void)i;
  CHECK_FRAME(f);
  struct rt_loop *l = STATE(f);
  u64 in = l->in, a = l->a;
  AT_MOST(in, M);
  IN(a);
  SOURCE(b, f, l->b);
  l->in = in + 8 * WORDS;
  l->c = (u64)compare(f->bytes + a + in, b + in);
  return l->c != GO_ON;
}

s64 rt_strcmp(struct rt_mem *f, u64 a, u64 b)
{
  CHECK_FRAME(f);
  s64 swapped = 1;
  if (a & RT_LIT) {
    u64 t = a;
    a = b;
    b = t;
    swapped = -1;
    if (a & RT_LIT) {
      SOURCE(p, f, a);
      put_string(f, OFF_TMP, M, p);
      a = OFF_TMP;
    }
  }
  IN(a);
  SOURCE(q, f, b);
  s64 result = compare(f->bytes + a, q);
  if (result == GO_ON) {
    struct rt_loop *l = STATE(f);
    l->a = a;
    l->b = b;
    l->in = 8 * WORDS;
    struct ctx ctx = {f};
    loop(M / (8 * WORDS), compare_step, &ctx);
    result = l->c == GO_ON ? 0 : (s64)l->c;
  }
  return swapped * result;
}

s64 rt_stringat(struct rt_mem *f, u64 s, s64 pos)
{
  CHECK_FRAME(f);
  SOURCE(p, f, s);
  u64 at = (u64)pos;
  if (at >= length(f, p))
    return 0;
  AT_MOST(at, M);
  return p[at];
}

u64 rt_isdigit(struct rt_mem *f, u64 s)
{
  CHECK_FRAME(f);
  SOURCE(p, f, s);
  u64 c = p[0];
  return c >= '0' && c <= '9';
}

/* ---- parts --------------------------------------------------------------------- */

u64 rt_substr(struct rt_mem *f, u64 dst, u64 s, s64 start, s64 len)
{
  CHECK_FRAME(f);
  IN(dst);
  SOURCE(p, f, s);
  u64 n = length(f, p), at = (u64)start;
  if (at >= n || len <= 0) {
    f->bytes[dst] = 0;
    return 0;
  }
  AT_MOST(at, M);
  u64 size = (u64)len < M ? (u64)len + 1 : M;
  AT_MOST(size, M);
  return put_string(f, dst, size, p + at);
}

/* Whether the string at p goes on like that at q: 1 yes, 0 no, GO_ON after 8 * WORDS bytes. */
INLINE u64 goes_like(const u8 *p, const u8 *q)
{
  for (u64 i = 0; i < 8 * WORDS; i += 8) {
    u64 x = WORD(p + i), y = WORD(q + i), z = has_zero(y);
    if (z) {
      z &= -z;
      u64 differs = x ^ y;
      differs &= -differs;
      /* equal before q's NUL: the lowest difference is in that byte or above */
      return !differs || z >> 7 <= differs;
    }
    if (x != y)
      return 0;
  }
  return GO_ON;
}

/* a: string, b: what is sought (not empty); in: place looked at, out: bytes known to be equal
 * there; c: 1 found, 0 not.  */
enum { SKIP = 8 };
static long find_step(u64 i, void *ctx)
{
  struct rt_mem *f = ((struct ctx *)ctx)->f;
  (void)i;
  CHECK_FRAME(f);
  struct rt_loop *l = STATE(f);
  u64 in = l->in, out = l->out;
  AT_MOST(in, M);
  AT_MOST(out, M - 8 * WORDS);
  SOURCE(s, f, l->a);
  SOURCE(sub, f, l->b);
  u64 first = sub[0];
  if (!out) {
    for (u64 k = 0; k < SKIP; k++) {
      u64 c = s[in + k];
      if (!c)
        return 1;
      if (c == first) {
        in = FORGET(l, in + k);
        AT_MOST(in, M);
        goto compare;
      }
    }
    l->in = in + SKIP;
    return 0;
  }
compare:;
  u64 same = goes_like(s + in + out, sub + out);
  l->c = same == 1;
  l->in = same ? in : in + 1;
  l->out = same ? out + 8 * WORDS : 0;
  return same == 1;
}

/* Looks for b from l->in on; l->c and l->in say whether and where. */
enum { MAX_STEPS = 1 << 20 };
INLINE void find(struct rt_mem *f, u64 a, u64 b)
{
  struct rt_loop *l = STATE(f);
  l->a = a;
  l->b = b;
  l->c = 0;
  l->out = 0;
  struct ctx ctx = {f};
  loop(MAX_STEPS, find_step, &ctx);
}

s64 rt_strpos(struct rt_mem *f, u64 s, u64 sub)
{
  CHECK_FRAME(f);
  SOURCE(q, f, sub);
  if (!q[0])
    return 0;
  STATE(f)->in = 0;
  find(f, s, sub);
  return STATE(f)->c ? (s64)STATE(f)->in : -1;
}

u64 rt_isinstr(struct rt_mem *f, u64 s, u64 sub)
{
  CHECK_FRAME(f);
  SOURCE(q, f, sub);
  if (!q[0])
    return 1;
  STATE(f)->in = 0;
  find(f, s, sub);
  return STATE(f)->c;
}

/* a: string, b: what is sought, in, out as find_step's; end: bytes of a done with; room: bytes
 * built at OFF_TMP; d: replacement; buf: length of b.  One step copies up to the next occurrence
 * and replaces it, or looks on.  */
static long replace_step(u64 i, void *ctx)
{
  struct rt_mem *f = ((struct ctx *)ctx)->f;
  CHECK_FRAME(f);
  struct rt_loop *l = STATE(f);
  l->c = 0;
  u64 end = find_step(i, ctx) && !l->c;
  if (!l->c && !end)
    return 0;
  u64 done = l->end, built = l->room, n = l->in - done + 1;
  AT_MOST(done, M);
  AT_MOST(built, M - 1);
  SOURCE(s, f, l->a);
  u64 room = M - built;
  if (end || n > room)
    n = room;
  AT_MOST(n, M);
  AT_MOST(room, M);
  built += put_string(f, OFF_TMP + built, n, s + done);
  AT_MOST(built, M - 1);
  room = M - built;
  l->room = built;
  if (end)
    return 1;
  AT_MOST(room, M);
  SOURCE(to, f, l->d);
  l->room = built + put_string(f, OFF_TMP + built, room, to);
  l->in += WORD(l->buf);
  l->end = l->in;
  l->out = 0;
  return 0;
}

u64 rt_str_replace(struct rt_mem *f, u64 dst, u64 s, u64 from, u64 to)
{
  CHECK_FRAME(f);
  IN(dst);
  struct rt_loop *l = STATE(f);
  SOURCE(q, f, from);
  if (!q[0]) {
    SOURCE(p, f, s);
    return put_string(f, dst, L, p);
  }
  WORD(l->buf) = length(f, q);
  l->in = l->out = l->end = l->room = 0;
  l->a = s;
  l->b = from;
  l->d = to;
  f->bytes[OFF_TMP] = 0;
  struct ctx ctx = {f};
  loop(MAX_STEPS, replace_step, &ctx);
  return put_string(f, dst, L, f->bytes + OFF_TMP);
}

/* ---- letters ------------------------------------------------------------------- */

/* Marks (0x80) the bytes of a word that are between lo and hi, all ASCII. */
INLINE u64 in_range(u64 w, u64 lo, u64 hi)
{
  u64 low = w & REP(0x7f);
  u64 above = low + REP(0x7f) - REP(1) * hi, from = low + REP(0x80) - REP(1) * lo;
  return ~w & REP(0x80) & (above ^ from);
}

/* a: string, b: place of the result; c, d: first and last letter; in: bytes done */
static long case_step(u64 i, void *ctx)
{
  struct rt_mem *f = ((struct ctx *)ctx)->f;
  (void)i;
  CHECK_FRAME(f);
  struct rt_loop *l = STATE(f);
  u64 in = l->in, dst = l->b, lo = l->c, hi = l->d;
  AT_MOST(in, M);
  IN(dst);
  SOURCE(p, f, l->a);
  l->in = in + 8 * WORDS;
  for (u64 k = 0; k < 8 * WORDS; k += 8) {
    u64 w = WORD(p + in + k);
    WORD(f->bytes + dst + in + k) = w ^ in_range(w, lo, hi) >> 2;
    if (has_zero(w))
      return 1;
  }
  return 0;
}

INLINE u64 change_case(struct rt_mem *f, u64 dst, u64 s, u64 lo, u64 hi)
{
  CHECK_FRAME(f);
  struct rt_loop *l = STATE(f);
  l->a = s;
  l->b = dst;
  l->c = lo;
  l->d = hi;
  l->in = 0;
  struct ctx ctx = {f};
  loop(M / (8 * WORDS), case_step, &ctx);
  return 0;
}

u64 rt_toupper(struct rt_mem *f, u64 dst, u64 s)
{
  return change_case(f, dst, s, 'a', 'z');
}

u64 rt_tolower(struct rt_mem *f, u64 dst, u64 s)
{
  return change_case(f, dst, s, 'A', 'Z');
}

/* ---- numbers ------------------------------------------------------------------- */

INLINE u64 digit_value(u64 c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'z' ? c - 'a' + 10 : 99;
}

/* a: string, b: base, c: value; in: next byte */
static long strtol_step(u64 i, void *ctx)
{
  struct rt_mem *f = ((struct ctx *)ctx)->f;
  (void)i;
  CHECK_FRAME(f);
  struct rt_loop *l = STATE(f);
  u64 in = l->in;
  AT_MOST(in, M);
  SOURCE(s, f, l->a);
  u64 d = digit_value(s[in]);
  if (d >= l->b)
    return 1;
  l->c = l->c * l->b + d;
  l->in = in + 1;
  return 0;
}

/* As the kernel's conversion: a minus sign, no blanks, wraps around. */
s64 rt_strtol(struct rt_mem *f, u64 s, s64 base)
{
  CHECK_FRAME(f);
  SOURCE(p, f, s);
  struct rt_loop *l = STATE(f);
  bool negative = p[0] == '-';
  if (negative)
    p++;
  u64 skip = negative;
  bool hex = p[0] == '0' && (p[1] | 0x20) == 'x' && digit_value(p[2]) < 16;
  if (base == 0)
    base = hex ? 16 : p[0] == '0' ? 8 : 10;
  if (base == 16 && hex)
    skip += 2;
  if (base < 2 || base > 36)
    return 0;
  l->a = s;
  l->b = (u64)base;
  l->c = 0;
  l->in = skip;
  struct ctx ctx = {f};
  loop(M, strtol_step, &ctx);
  return negative ? -(s64)l->c : (s64)l->c;
}

/* ---- escapes ------------------------------------------------------------------- */

/* One byte: in: its place in string a; out: bytes written at frame offset b; room: bytes that may
 * still be written; d: 1 when cut.  */
static long escape_step(u64 i, void *ctx)
{
  struct rt_mem *f = ((struct ctx *)ctx)->f;
  (void)i;
  CHECK_FRAME(f);
  struct rt_loop *l = STATE(f);
  u64 in = l->in, out = l->out, b = l->b;
  AT_MOST(in, M);
  AT_MOST(out, M);
  IN(b);
  SOURCE(s, f, l->a);
  u8 *o = f->bytes + b + out;
  u64 c = s[in], n = 1;
  if (!c)
    return 1;
  u64 letter = escape_letter(c);
  if (letter)
    n = 2;
  else if (c < 32 || c > 126)
    n = 4;
  if (l->room < n) {
    l->d = 1;
    return 1;
  }
  if (n == 1) {
    o[0] = (u8)c;
  } else {
    o[0] = '\\';
    if (n == 2) {
      o[1] = (u8)letter;
    } else {
      o[1] = (u8)('0' + (c >> 6));
      o[2] = (u8)('0' + (c >> 3 & 7));
      o[3] = (u8)('0' + (c & 7));
    }
  }
  l->room -= n;
  l->out = out + n;
  l->in = in + 1;
  return 0;
}

/* dst = the string with escapes, at most max bytes (0: L - 1), in quotes if so; when cut, or was
 * cut before, the end is a quote and "...".  */
INLINE u64 escape(struct rt_mem *f, u64 dst, u64 s, s64 max, u64 quoted, u64 cut)
{
  struct rt_loop *l = STATE(f);
  u64 build = OFF_TMP;
  u64 room = max <= 0 || (u64)max > L - 1 ? L - 1 : (u64)max;
  if (quoted)
    room = (room > 5 ? room : 5) - 2;
  l->in = 0;
  l->out = quoted ? 1 : 0;
  l->a = s;
  l->b = build;
  l->room = room;
  l->d = 0;
  f->bytes[build] = '"';
  struct ctx ctx = {f};
  loop(M, escape_step, &ctx);
  u64 out = l->out;
  AT_MOST(out, M);
  if (quoted && (l->d | cut)) {
    if (l->d || l->room < 3)
      out = out - 3 + l->room;
    AT_MOST(out, M);
    u8 *o = f->bytes + build + out;
    o[0] = '"';
    o[1] = o[2] = o[3] = '.';
    o[4] = 0;
  } else if (quoted) {
    f->bytes[build + out] = '"';
    f->bytes[build + out + 1] = 0;
  } else {
    f->bytes[build + out] = 0;
  }
  return put_string(f, dst, L, f->bytes + build);
}

u64 rt_text_strn(struct rt_mem *f, u64 dst, u64 s, s64 len, u64 quoted)
{
  CHECK_FRAME(f);
  IN(dst);
  return escape(f, dst, s, len, quoted, 0);
}

u64 rt_text_str(struct rt_mem *f, u64 dst, u64 s)
{
  CHECK_FRAME(f);
  IN(dst);
  return escape(f, dst, s, 0, 0, 0);
}

u64 rt_string_quoted(struct rt_mem *f, u64 dst, u64 s)
{
  CHECK_FRAME(f);
  IN(dst);
  return escape(f, dst, s, 0, 1, 0);
}

/* ---- tokenize ------------------------------------------------------------------ */

/* The set of delimiters is a bitmap of bytes in buf[0..31]. */
static long delim_step(u64 i, void *ctx)
{
  struct rt_mem *f = ((struct ctx *)ctx)->f;
  CHECK_FRAME(f);
  struct rt_loop *l = STATE(f);
  u64 at = i;
  AT_MOST(at, M);
  SOURCE(s, f, l->a);
  u64 c = s[at];
  if (!c)
    return 1;
  PIN(c);
  c &= 255;
  l->buf[c >> 3] |= (u8)(1 << (c & 7));
  return 0;
}

/* in: next byte at OFF_TOK; out: the token's bytes at OFF_TMP */
static long token_step(u64 i, void *ctx)
{
  struct rt_mem *f = ((struct ctx *)ctx)->f;
  (void)i;
  CHECK_FRAME(f);
  struct rt_loop *l = STATE(f);
  u64 in = l->in, out = l->out;
  AT_MOST(in, M);
  AT_MOST(out, M);
  u64 c = f->bytes[OFF_TOK + in];
  if (!c)
    return 1;
  l->in = in + 1;
  PIN(c);
  c &= 255;
  if (l->buf[c >> 3] >> (c & 7) & 1)
    return out ? 1 : 0;
  f->bytes[OFF_TMP + out] = (u8)c;
  l->out = out + 1;
  return 0;
}

INLINE u64 next_token(struct rt_mem *f, u64 dst, u64 delim)
{
  struct rt_loop *l = STATE(f);
  struct ctx ctx = {f};
  u64 at = HEAD(f)->tok_off;
  if (at >= HEAD(f)->tok_len) {
    f->bytes[dst] = 0;
    return 0;
  }
  WORD(l->buf) = WORD(l->buf + 8) = WORD(l->buf + 16) = WORD(l->buf + 24) = 0;
  l->a = delim;
  loop(M, delim_step, &ctx);
  l->in = at;
  l->out = 0;
  loop(M, token_step, &ctx);
  HEAD(f)->tok_off = (u32)l->in;
  u64 out = l->out;
  AT_MOST(out, M);
  f->bytes[OFF_TMP + out] = 0;
  return put_string(f, dst, M, f->bytes + OFF_TMP);
}

u64 rt_tokenize_next(struct rt_mem *f, u64 dst, u64 delim)
{
  CHECK_FRAME(f);
  IN(dst);
  return next_token(f, dst, delim);
}

u64 rt_tokenize(struct rt_mem *f, u64 dst, u64 s, u64 delim)
{
  CHECK_FRAME(f);
  IN(dst);
  SOURCE(p, f, s);
  if (p[0]) {
    HEAD(f)->tok_off = 0;
    HEAD(f)->tok_len = (u32)put_string(f, OFF_TOK, M, p);
  }
  return next_token(f, dst, delim);
}

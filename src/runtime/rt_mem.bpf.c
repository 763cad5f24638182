/* What only BPF does: strings from memory that is not ours, and records. */
#include "runtime/rt_conv.h"

static long (*probe_read_user)(void *dst, u64 size,
                               const void *src) = (void *)BPF_FUNC_probe_read_user;
static long (*probe_read_user_str)(void *dst, u64 size,
                                   const void *src) = (void *)BPF_FUNC_probe_read_user_str;
static long (*ringbuf_output)(void *ring, void *data, u64 size,
                              u64 flags) = (void *)BPF_FUNC_ringbuf_output;
static u64 (*ringbuf_query)(void *ring, u64 flags) = (void *)BPF_FUNC_ringbuf_query;
static u64 (*ktime_get_ns)(void) = (void *)BPF_FUNC_ktime_get_ns;
extern const u8 RT_RING[], RT_STATE[];

/* ---- strings from memory ----------------------------------------------------------- */

/* Reads at most n bytes (negative: L - 1) to a frame offset; their number, or negative. */
INLINE s64 fetch(struct rt_mem *f, u64 dst, u64 addr, s64 n, bool user)
{
  u64 size = n < 0 || (u64)n > L - 1 ? L : (u64)n + 1;
  AT_MOST(size, M);
  const void *from = (const void *)addr;
  s64 got = user ? probe_read_user_str(f->bytes + dst, size, from)
                 : probe_read_kernel_str(f->bytes + dst, size, from);
  PIN(got);
  if (got >= 0)
    got = got ? got - 1 : 0;
  return got;
}

INLINE s64 memory_string(struct rt_mem *f, u64 dst, u64 addr, s64 n, u64 fallback, bool user)
{
  CHECK_FRAME(f);
  IN(dst);
  if (fallback == dst) {
    put_string(f, OFF_TMP, M, f->bytes + dst);
    fallback = OFF_TMP;
  }
  s64 got = fetch(f, dst, addr, n, user);
  if (got >= 0)
    return got;
  SOURCE(p, f, fallback);
  put_string(f, dst, L, p);
  return -1;
}

s64 rt_user_string(struct rt_mem *f, u64 dst, u64 addr, s64 n, u64 fallback)
{
  return memory_string(f, dst, addr, n, fallback, true);
}

s64 rt_kernel_string(struct rt_mem *f, u64 dst, u64 addr, s64 n, u64 fallback)
{
  return memory_string(f, dst, addr, n, fallback, false);
}

INLINE u64 memory_string_quoted(struct rt_mem *f, u64 dst, u64 addr, s64 n, bool user)
{
  CHECK_FRAME(f);
  IN(dst);
  u64 max = n < 0 || (u64)n > L - 1 ? L - 1 : (u64)n;
  s64 got = fetch(f, dst, addr, (s64)max + 1, user);
  if (got < 0)
    return append_hex(f, dst, 0, addr, 1);
  u64 cut = (u64)got > max;
  if (cut) {
    AT_MOST(max, M);
    f->bytes[dst + max] = 0;
  }
  return escape(f, dst, dst, 0, 1, cut);
}

u64 rt_user_string_quoted(struct rt_mem *f, u64 dst, u64 addr, s64 n)
{
  return memory_string_quoted(f, dst, addr, n, true);
}

u64 rt_kernel_string_quoted(struct rt_mem *f, u64 dst, u64 addr, s64 n)
{
  return memory_string_quoted(f, dst, addr, n, false);
}

/* ---- records ----------------------------------------------------------------------- */

u64 rt_rec_int(struct rt_mem *f, u64 pos, u64 value)
{
  CHECK_FRAME(f);
  IN(pos);
  WORD(f->bytes + pos) = value;
  return pos + 8;
}

u64 rt_rec_str(struct rt_mem *f, u64 pos, u64 s)
{
  CHECK_FRAME(f);
  IN(pos);
  SOURCE(p, f, s);
  u64 n = put_string(f, pos + 4, M, p);
  *(u32 *)(f->bytes + pos) = (u32)n;
  return (pos + 4 + n + 7) & ~7ull;
}

u64 rt_rec_fixed(struct rt_mem *f, u64 pos, u64 s, u64 width)
{
  CHECK_FRAME(f);
  IN(pos);
  SOURCE(p, f, s);
  AT_MOST(width, M);
  put_string(f, pos, width, p);
  return (pos + width + 7) & ~7ull;
}

/* %m's and %M's bytes, to a frame offset: how many; negative after a fault.  Without the flag "#",
 * an address says whose memory it is of.  */
INLINE s64 fetch_bytes(struct rt_mem *f, u64 at, u64 addr, u64 spec)
{
  u64 n = SPEC_PREC(spec) == RT_NO_PREC ? 1 : SPEC_PREC(spec);
  if (n > M)
    n = M;
  if (!n)
    return 0;
  AT_MOST(n, M);
  const void *from = (const void *)addr;
  bool user = SPEC_FLAGS(spec) & RT_ALT || !(addr >> 63);
  s64 bad =
      user ? probe_read_user(f->bytes + at, n, from) : probe_read_kernel(f->bytes + at, n, from);
  PIN(bad);
  return bad ? -1 : (s64)n;
}

s64 rt_mem_check(struct rt_mem *f, u64 addr, u64 spec)
{
  CHECK_FRAME(f);
  return fetch_bytes(f, OFF_TMP, addr, spec);
}

u64 rt_rec_mem(struct rt_mem *f, u64 pos, u64 addr, u64 spec)
{
  CHECK_FRAME(f);
  IN(pos);
  s64 got = fetch_bytes(f, pos + 4, addr, spec);
  u64 n = got < 0 ? 0 : (u64)got;
  AT_MOST(n, M);
  *(u32 *)(f->bytes + pos) = (u32)n;
  return (pos + 4 + n + 7) & ~7ull;
}

/* OFF_TMP's byte i in hex; out: place, end: the last one */
static long hex_step(u64 i, void *ctx)
{
  struct rt_mem *f = ((struct ctx *)ctx)->f;
  CHECK_FRAME(f);
  struct rt_loop *l = STATE(f);
  u64 in = i, out = l->out;
  AT_MOST(in, M);
  AT_MOST(out, POS_MAX);
  if (out + 2 > l->end)
    return 1;
  u64 c = f->bytes[OFF_TMP + in], high = c >> 4, low = c & 15;
  u64 high9 = 9 - high, low9 = 9 - low;
  PIN(high9);
  PIN(low9);
  f->bytes[out] = (u8)('0' + high + (high9 >> 63) * ('a' - '9' - 1));
  f->bytes[out + 1] = (u8)('0' + low + (low9 >> 63) * ('a' - '9' - 1));
  l->out = out + 2;
  return 0;
}

u64 rt_put_mem(struct rt_mem *f, u64 pos, u64 addr, u64 spec)
{
  CHECK_FRAME(f);
  u64 at = (u32)pos, last = pos >> 32;
  AT_MOST(last, POS_MAX);
  AT_MOST(at, last);
  s64 got = fetch_bytes(f, OFF_TMP, addr, spec);
  u64 n = got < 0 ? 0 : (u64)got;
  AT_MOST(n, M);
  u64 hex = SPEC_CONV(spec) == RT_CONV_MM, width = SPEC_WIDTH(spec), len = n << hex;
  u64 pad = width > len ? width - len : 0, left = SPEC_FLAGS(spec) & RT_LEFT;
  if (pad && !left)
    at = rt_fill(f, POS(at, last), REP(' '), pad);
  AT_MOST(at, POS_MAX);
  if (hex) {
    struct rt_loop *l = STATE(f);
    struct ctx ctx = {f};
    l->out = at;
    l->end = last;
    loop(n, hex_step, &ctx);
    at = l->out;
  } else {
    if (n > last - at)
      n = last - at;
    AT_MOST(n, M);
    read_mem(f->bytes + at, n, f->bytes + OFF_TMP);
    at += n;
  }
  if (pad && left)
    at = rt_fill(f, POS(at, last), REP(' '), pad);
  return put_end(f, at, last);
}

/* ---- sending ------------------------------------------------------------------------ */

/* Waiting for the reader: as long as it takes records, but not for a dead one. */
enum { ROUNDS = 1 << 23, PAUSE = 256, STALLED_NS = 1000000000 };

static long pause_step(u64 i, void *ctx)
{
  (void)i;
  (void)ctx;
  return 0;
}

/* a: last position of the reader, b: since when, c: bytes to send; d: 0 when they were sent */
static long send_step(u64 i, void *ctx)
{
  struct rt_mem *f = ((struct ctx *)ctx)->f;
  (void)i;
  CHECK_FRAME(f);
  struct rt_loop *l = STATE(f);
  const struct rt_state *state = (const struct rt_state *)RT_STATE;
  u64 len = l->c, now = ktime_get_ns(), at = ringbuf_query((void *)RT_RING, BPF_RB_CONS_POS);
  AT_MOST(len, PARAM(RT_SEND_SIZE));
  if (at != l->a) {
    l->a = at;
    l->b = now;
  } else if (now - l->b > 60ull * STALLED_NS || state->phase == RT_DONE) {
    return 1;
  }
  loop(PAUSE, pause_step, ctx);
  l->d =
      (u64)ringbuf_output((void *)RT_RING, f->bytes + PARAM(RT_SEND_OFF), len, BPF_RB_FORCE_WAKEUP);
  return !l->d;
}

s64 rt_ring_send(struct rt_mem *f, u64 len)
{
  CHECK_FRAME(f);
  AT_MOST(len, PARAM(RT_SEND_SIZE));
  const struct rt_state *state = (const struct rt_state *)RT_STATE;
  u64 flags = state->reader_sleeps ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
  PIN(flags);
  s64 err = ringbuf_output((void *)RT_RING, f->bytes + PARAM(RT_SEND_OFF), len, flags);
  if (!err || !HEAD(f)->may_wait)
    return err;
  struct rt_loop *l = STATE(f);
  l->a = ringbuf_query((void *)RT_RING, BPF_RB_CONS_POS);
  l->b = ktime_get_ns();
  l->c = len;
  l->d = (u64)err;
  struct ctx ctx = {f};
  for (u32 k = 0; k < 16 && l->d; k++)
    loop(ROUNDS, send_step, &ctx);
  return (s64)l->d;
}

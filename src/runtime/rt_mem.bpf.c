/* What only BPF does: strings from memory that is not ours, and records. */
#include "runtime/rt_in.h"

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

/* Reads at most n bytes (negative: M - 1) to a frame offset; their number, or negative. */
INLINE s64 fetch(struct rt_mem *f, u64 dst, u64 addr, s64 n, bool user)
{
  u64 size = n < 0 || (u64)n > M - 1 ? M : (u64)n + 1;
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
  put_string(f, dst, M, p);
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
  u64 max = n < 0 || (u64)n > M - 1 ? M - 1 : (u64)n;
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

u64 rt_rec_mem(struct rt_mem *f, u64 pos, u64 addr, u64 n, u64 user)
{
  CHECK_FRAME(f);
  IN(pos);
  if (n > M)
    n = M;
  AT_MOST(n, M);
  const void *from = (const void *)addr;
  s64 bad = user ? probe_read_user(f->bytes + pos + 4, n, from)
                 : probe_read_kernel(f->bytes + pos + 4, n, from);
  if (bad)
    n = 0;
  *(u32 *)(f->bytes + pos) = (u32)n;
  return (pos + 4 + n + 7) & ~7ull;
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

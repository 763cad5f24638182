/* What the runtime's sources are written against: the machine under them is either BPF or `stap`
 * itself (RT_NATIVE).
 *
 * In BPF, sizes that depend on the script are immediates that the linker replaces (enum rt_const);
 * the assembler statement keeps clang from knowing them.  The verifier must be able to follow every
 * access: an offset is compared with a limit (IN), then added to the frame.
 *
 * State of a loop that runs as a callback lives in the frame (struct rt_loop), not on the
 * stack: there the verifier would follow each value through each round.  */
#ifndef STAP_RUNTIME_RT_IN_H
#define STAP_RUNTIME_RT_IN_H

#include "runtime/rt.h"
#include "runtime/rt_const.h"

struct rt_mem {
  u8 bytes[1]; /* really rt_F */
};

#define INLINE static inline __attribute__((always_inline))

/* In the frame's last RT_TAIL bytes. */
struct rt_loop {
  u64 in, out, end, room; /* positions; what they mean is the loop's */
  u64 a, b, c, d;
  u64 any; /* FORGET's */
  u8 buf[RT_TAIL - 72];
};

#ifdef RT_NATIVE

#include <string.h>

#define L ((u64)rt_L)
#define M ((u64)rt_M)
#define LIMIT ((u64)rt_F - 2 * rt_M - RT_TAIL)
#define RO_LIMIT ((u64)rt_R - 2 * rt_M - 8)
#define RODATA rt_rodata
#define TAIL ((u64)rt_F - RT_TAIL)
#define OFF_TMP ((u64)RT_OFF_TMP(rt_M))
#define OFF_TOK ((u64)RT_OFF_TOK(rt_M))
#define OFF_SUBJ ((u64)RT_OFF_SUBJ(rt_M))
struct rt_word {
  u64 v;
} __attribute__((packed, may_alias));
#define WORD(p) (((struct rt_word *)(p))->v) /* eight bytes at any address */
#define PIN(x) ((void)0)
#define BARRIER() ((void)0)

typedef long rt_callback(u64 i, void *ctx);
INLINE void loop(u64 n, rt_callback *cb, void *ctx)
{
  for (u64 i = 0; i < n && !cb(i, ctx); i++)
    ;
}
/* Copies up to size - 1 bytes and a NUL; returns the length with the NUL. */
INLINE s64 read_str(u8 *dst, u64 size, const u8 *src)
{
  u64 i = 0;
  while (i + 1 < size && src[i]) {
    dst[i] = src[i];
    i++;
  }
  dst[i] = 0;
  return (s64)i + 1;
}
INLINE void zero(u8 *dst, u64 size)
{
  memset(dst, 0, size);
}
INLINE void read_mem(u8 *dst, u64 size, const u8 *src)
{
  memmove(dst, src, size);
}

#else

#include <linux/bpf.h>

#define WORD(p) (*(u64 *)(p))
#define CONST(k)                                                                                   \
  ({                                                                                               \
    u64 rt_k_;                                                                                     \
    asm("%0 = %1" : "=r"(rt_k_) : "i"(RT_MAGIC + (k)));                                            \
    rt_k_;                                                                                         \
  })
#define L CONST(RT_K_L)
#define M CONST(RT_K_M)
#define LIMIT CONST(RT_K_LIMIT)
#define RO_LIMIT CONST(RT_K_RO_LIMIT)
#define TAIL CONST(RT_K_TAIL)
#define OFF_TMP CONST(RT_K_TMP)
#define OFF_TOK CONST(RT_K_TOK)
#define OFF_SUBJ CONST(RT_K_SUBJ)
#define RODATA RT_RODATA
extern const u8 RT_RODATA[];

typedef long rt_callback(u64 i, void *ctx);
static long (*loop)(u64 n, rt_callback *cb, void *ctx, u64 flags) = (void *)BPF_FUNC_loop;
static long (*probe_read_kernel)(void *dst, u64 size,
                                 const void *src) = (void *)BPF_FUNC_probe_read_kernel;
static long (*probe_read_kernel_str)(void *dst, u64 size,
                                     const void *src) = (void *)BPF_FUNC_probe_read_kernel_str;
#define loop(n, cb, ctx) loop(n, cb, ctx, 0)
#define read_str probe_read_kernel_str
#define read_mem probe_read_kernel
/* Reading from address 0 fails without a fault, and then the helper zeroes the buffer. */
#define zero(dst, size) probe_read_kernel(dst, size, (void *)0)
/* The value may have changed: makes clang keep a comparison and what relies on it in order. */
#define PIN(x) asm volatile("" : "+r"(x))
/* What was written before is read again: the verifier forgets its value. */
#define BARRIER() asm volatile("" ::: "memory")
/* A parameter of a template. */
#define PARAM(k) CONST(RT_MAGIC_PARAM - RT_MAGIC + (k))

#endif

/* Leaves with 0 unless the offset has 2 * M readable and writable bytes behind it. */
#define CHECK_FRAME(f)                                                                             \
  do {                                                                                             \
    if (!(f))                                                                                      \
      return 0;                                                                                    \
  } while (0)
#define IN(off)                                                                                    \
  do {                                                                                             \
    PIN(off);                                                                                      \
    if ((off) > LIMIT)                                                                             \
      return 0;                                                                                    \
    PIN(off);                                                                                      \
  } while (0)
/* Leaves with 0 when x is not below or at max: the callers make sure, the verifier wants proof. */
#define AT_MOST(x, max)                                                                            \
  do {                                                                                             \
    PIN(x);                                                                                        \
    if ((x) > (max))                                                                               \
      return 0;                                                                                    \
    PIN(x);                                                                                        \
  } while (0)

#define HEAD(f) ((struct rt_frame *)(f))
#define STATE(f) ((struct rt_loop *)((f)->bytes + TAIL))

/* p = address of a string operand with 2 * M + 8 readable bytes; leaves with 0 when out of bounds.
 */
#define SOURCE(p, f, off)                                                                          \
  const u8 *p;                                                                                     \
  do {                                                                                             \
    u64 o_ = (off);                                                                                \
    if (o_ & RT_LIT) {                                                                             \
      o_ &= RT_LIT - 1;                                                                            \
      AT_MOST(o_, RO_LIMIT);                                                                       \
      p = RODATA + o_;                                                                             \
    } else {                                                                                       \
      IN(o_);                                                                                      \
      p = (f)->bytes + o_;                                                                         \
    }                                                                                              \
  } while (0)

#define REP(b) (0x0101010101010101ull * (b))
/* Non-zero when a byte of the word is zero; the lowest bit set is that of the first one. */
INLINE u64 has_zero(u64 w)
{
  return (w - REP(1)) & ~w & REP(0x80);
}
/* x, of which the verifier then knows nothing: paths that differ by its value become one. */
#define FORGET(l, x) (*(volatile u64 *)&(l)->any = (x), *(volatile u64 *)&(l)->any)

/* Length of a string with 2 * M bytes behind it; overwrites OFF_TMP. */
INLINE u64 length(struct rt_mem *f, const u8 *p)
{
  s64 n = read_str(f->bytes + OFF_TMP, M, p);
  PIN(n);
  return n < 1 ? 0 : (u64)n - 1;
}

/* Copies into `size` <= 2 * M bytes at a checked offset; length without NUL. */
INLINE u64 put_string(struct rt_mem *f, u64 at, u64 size, const u8 *src)
{
  s64 n = read_str(f->bytes + at, size, src);
  PIN(n);
  return n < 1 ? 0 : (u64)n - 1;
}

/* A result of n bytes at a checked offset, or what MAXSTRINGLEN leaves of it. */
INLINE u64 cut(struct rt_mem *f, u64 dst, u64 n)
{
  u64 max = L - 1;
  if (n <= max)
    return n;
  f->bytes[dst + max] = 0;
  return max;
}

/* What a callback gets. */
struct ctx {
  struct rt_mem *f;
};

#endif

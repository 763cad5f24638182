#include "bpf/ring.h"

#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

/* Room is given back to the writers at least this often. */
enum { GIVE_BACK_BYTES = 64 * 1024 };

static size_t page(void)
{
  return (size_t)sysconf(_SC_PAGESIZE);
}

int ring_open(struct ring *r, int fd, u64 size)
{
  void *c = mmap(NULL, page(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (c == MAP_FAILED)
    return -1;
  void *p = mmap(NULL, page() + 2 * size, PROT_READ, MAP_SHARED, fd, (off_t)page());
  if (p == MAP_FAILED) {
    munmap(c, page());
    return -1;
  }
  *r = (struct ring){c, p, (const u8 *)p + page(), size};
  return 0;
}

void ring_close(struct ring *r)
{
  if (!r->consumer)
    return;
  munmap(r->consumer, page());
  munmap((void *)(uintptr_t)r->producer, page() + 2 * r->size);
  r->consumer = NULL;
}

u64 ring_end(const struct ring *r)
{
  return __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);
}

u32 ring_read(struct ring *r, u64 end, u32 max, void (*take)(void *arg, const void *rec, u32 len),
              void *arg)
{
  u64 at = *r->consumer, given = at;
  u32 n = 0;
  while (n < max && at < end) {
    const u32 *head = (const u32 *)(r->data + (at & (r->size - 1)));
    u32 len = __atomic_load_n(head, __ATOMIC_ACQUIRE);
    if (len & BPF_RINGBUF_BUSY_BIT)
      break;
    u32 bytes = len & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
    if (!(len & BPF_RINGBUF_DISCARD_BIT)) {
      take(arg, (const u8 *)head + BPF_RINGBUF_HDR_SZ, bytes);
      n++;
    }
    at += ROUND_UP(bytes + BPF_RINGBUF_HDR_SZ, 8);
    if (at - given >= GIVE_BACK_BYTES) {
      __atomic_store_n(r->consumer, at, __ATOMIC_RELEASE);
      given = at;
    }
  }
  if (at != given)
    __atomic_store_n(r->consumer, at, __ATOMIC_RELEASE);
  return n;
}

bool ring_pending(const struct ring *r)
{
  return __atomic_load_n(r->producer, __ATOMIC_SEQ_CST) != *r->consumer;
}

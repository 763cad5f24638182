/* The reading side of a BPF ring buffer map (Documentation/bpf/ringbuf.rst): the consumer's page,
 * the producer's page and the data, which is mapped twice in a row so that no record wraps. */
#ifndef STAP_BPF_RING_H
#define STAP_BPF_RING_H

#include "base/base.h"

struct ring {
  u64 *consumer;       /* how far we have read */
  const u64 *producer; /* how far the kernel has reserved; the data follows at the next page */
  const u8 *data;
  u64 size;            /* a power of two */
};

/* Maps the ring of `size` bytes behind fd.  0, or -1 with errno. */
int ring_open(struct ring *r, int fd, u64 size);
void ring_close(struct ring *r); /* also of one that was never opened */
/* Behind the newest record. */
u64 ring_end(const struct ring *r);
/* Hands up to `max` finished records before `end` to `take`, oldest first; returns how many there
 * were.  The bytes are valid during the call only.  */
u32 ring_read(struct ring *r, u64 end, u32 max,
              void (*take)(void *arg, const void *rec, u32 len), void *arg);
/* Something was written, or is being written, that was not read yet. */
bool ring_pending(const struct ring *r);

#endif

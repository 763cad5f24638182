/* An unbounded queue of records between those who make them and the one thread that writes
 * them out.  A slow reader of stap's output costs memory here, and never holds up the drain of
 * the kernel's ring.  Order is the order of queue_put().  */
#ifndef STAP_SESSION_QUEUE_H
#define STAP_SESSION_QUEUE_H

#include <pthread.h>

#include "base/base.h"

/* One record as it lies in a chunk; the next one starts 8-aligned behind its data. */
struct queue_rec {
  u32 site;
  u32 len;
  u8 data[];
};
struct queue_chunk {
  struct queue_chunk *next;
  size_t used, cap; /* bytes of buf */
  u8 buf[] __attribute__((aligned(8)));
};
struct queue {
  pthread_mutex_t lock;
  pthread_cond_t ready;
  struct queue_chunk *head, *tail; /* filled, oldest first */
  struct queue_chunk *free;        /* kept for reuse */
  u32 nfree;
  bool waiting; /* the consumer sleeps */
  bool closed;  /* nothing more will be put */
  u64 dropped;  /* records lost because memory ran out */
};

void queue_init(struct queue *q);
void queue_destroy(struct queue *q);
/* Appends a copy.  Any thread. */
void queue_put(struct queue *q, u32 site, const void *data, u32 len);
/* No more records will come: lets queue_take() return NULL once all is taken. */
void queue_close(struct queue *q);
/* Takes everything queued, waiting for the first record; NULL at the end.  The chunks are the
 * caller's until given back.  */
struct queue_chunk *queue_take(struct queue *q);
void queue_give_back(struct queue *q, struct queue_chunk *c); /* a whole list */
/* Is everything taken and given back, as far as the consumer has come?  */
bool queue_idle(struct queue *q);
/* Lets more records gather for up to `ns`; returns early when the queue is closed. */
void queue_linger(struct queue *q, u64 ns);

/* Walks a chunk: NULL when `at` is at its end. */
static inline const struct queue_rec *queue_next(const struct queue_chunk *c, size_t *at)
{
  if (*at >= c->used)
    return NULL;
  const struct queue_rec *r = (const struct queue_rec *)(c->buf + *at);
  *at += ROUND_UP(sizeof(*r) + r->len, 8);
  return r;
}

#endif

/* The record queue: a list of large chunks that the consumer takes whole. */
#include "session/queue.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHUNK_SIZE = 256 * 1024, MAX_FREE = 16 };

void queue_init(struct queue *q)
{
  *q = (struct queue){0};
  pthread_mutex_init(&q->lock, NULL);
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&q->ready, &attr);
  pthread_condattr_destroy(&attr);
}

static void free_list(struct queue_chunk *c)
{
  while (c) {
    struct queue_chunk *next = c->next;
    free(c);
    c = next;
  }
}

void queue_destroy(struct queue *q)
{
  free_list(q->head);
  free_list(q->free);
  pthread_cond_destroy(&q->ready);
  pthread_mutex_destroy(&q->lock);
}

/* A chunk with room for `need` bytes; NULL when memory is out. */
static struct queue_chunk *chunk_new(struct queue *q, size_t need)
{
  struct queue_chunk *c = q->free;
  if (c && need <= c->cap) {
    q->free = c->next;
    q->nfree--;
  } else {
    size_t cap = MAX(need, (size_t)CHUNK_SIZE);
    c = malloc(sizeof(*c) + cap);
    if (!c)
      return NULL;
    c->cap = cap;
  }
  c->next = NULL;
  c->used = 0;
  return c;
}

void queue_put(struct queue *q, u32 site, const void *data, u32 len)
{
  size_t need = ROUND_UP(sizeof(struct queue_rec) + (size_t)len, 8);
  pthread_mutex_lock(&q->lock);
  struct queue_chunk *c = q->tail;
  if (!c || c->cap - c->used < need) {
    c = chunk_new(q, need);
    if (!c) {
      q->dropped++;
      pthread_mutex_unlock(&q->lock);
      return;
    }
    if (q->tail)
      q->tail->next = c;
    else
      q->head = c;
    q->tail = c;
  }
  struct queue_rec *r = (struct queue_rec *)(c->buf + c->used);
  r->site = site;
  r->len = len;
  if (len)
    memcpy(r->data, data, len);
  c->used += need;
  if (q->waiting) {
    q->waiting = false;
    pthread_cond_signal(&q->ready);
  }
  pthread_mutex_unlock(&q->lock);
}

void queue_close(struct queue *q)
{
  pthread_mutex_lock(&q->lock);
  q->closed = true;
  pthread_cond_signal(&q->ready);
  pthread_mutex_unlock(&q->lock);
}

struct queue_chunk *queue_take(struct queue *q)
{
  pthread_mutex_lock(&q->lock);
  while (!q->head && !q->closed) {
    q->waiting = true;
    pthread_cond_wait(&q->ready, &q->lock);
  }
  q->waiting = false;
  struct queue_chunk *c = q->head;
  q->head = q->tail = NULL;
  pthread_mutex_unlock(&q->lock);
  return c;
}

void queue_give_back(struct queue *q, struct queue_chunk *c)
{
  pthread_mutex_lock(&q->lock);
  while (c) {
    struct queue_chunk *next = c->next;
    if (q->nfree < MAX_FREE && c->cap == CHUNK_SIZE) {
      c->next = q->free;
      q->free = c;
      q->nfree++;
    } else {
      free(c);
    }
    c = next;
  }
  pthread_mutex_unlock(&q->lock);
}

void queue_linger(struct queue *q, u64 ns)
{
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  u64 t = (u64)until.tv_nsec + ns;
  until.tv_sec += (time_t)(t / 1000000000);
  until.tv_nsec = (long)(t % 1000000000);
  pthread_mutex_lock(&q->lock);
  while (!q->closed && pthread_cond_timedwait(&q->ready, &q->lock, &until) == 0)
    ;
  pthread_mutex_unlock(&q->lock);
}

bool queue_idle(struct queue *q)
{
  pthread_mutex_lock(&q->lock);
  bool idle = !q->head && q->waiting;
  pthread_mutex_unlock(&q->lock);
  return idle;
}

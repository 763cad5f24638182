/* Deadlines of timer probes.  A timer's next deadline counts from its last one, not from when the
 * handler ran, so that a timer keeps its rate; periods that were missed altogether are
 * skipped rather than made up for.  */
#include "session/timers.h"

#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

u64 timers_now(void)
{
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (u64)ts.tv_sec * 1000000000 + (u64)ts.tv_nsec;
}

int timers_init(struct timers *t, struct arena *a, u32 max)
{
  *t = (struct timers){.heap = NEW_ARRAY(a, struct timer, max), .rng = timers_now() | 1};
  t->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  return t->fd < 0 ? -1 : 0;
}

void timers_close(struct timers *t)
{
  if (t->fd >= 0)
    close(t->fd);
  t->fd = -1;
}

static bool before(const struct timer *a, const struct timer *b)
{
  return a->deadline != b->deadline ? a->deadline < b->deadline : a->seq < b->seq;
}

static void swap(struct timers *t, u32 i, u32 j)
{
  struct timer tmp = t->heap[i];
  t->heap[i] = t->heap[j];
  t->heap[j] = tmp;
}

static void sift_up(struct timers *t, u32 i)
{
  for (; i && before(&t->heap[i], &t->heap[(i - 1) / 2]); i = (i - 1) / 2)
    swap(t, i, (i - 1) / 2);
}

static void sift_down(struct timers *t, u32 i)
{
  for (;;) {
    u32 least = i;
    for (u32 c = 2 * i + 1; c <= 2 * i + 2 && c < t->n; c++)
      if (before(&t->heap[c], &t->heap[least]))
        least = c;
    if (least == i)
      return;
    swap(t, i, least);
    i = least;
  }
}

/* The period with randomize(n) applied: uniform in [period - n, period + n]. */
static u64 interval(struct timers *t, const struct timer *tm)
{
  if (!tm->random_ns)
    return tm->period_ns;
  t->rng ^= t->rng << 13;
  t->rng ^= t->rng >> 7;
  t->rng ^= t->rng << 17;
  u64 span = MIN(tm->random_ns, tm->period_ns);
  u64 ns = tm->period_ns - span + t->rng % (2 * span + 1);
  return MAX(ns, 1);
}

void timers_add(struct timers *t, u64 now, u64 period_ns, u64 random_ns, struct ir_probe *p)
{
  struct timer tm = {
      .seq = t->n, .period_ns = MAX(period_ns, 1), .random_ns = random_ns, .probe = p};
  tm.deadline = now + interval(t, &tm);
  if (tm.deadline < now) /* a period that outlives the clock */
    tm.deadline = UINT64_MAX;
  t->heap[t->n] = tm;
  sift_up(t, t->n++);
}

void timers_arm(struct timers *t)
{
  struct itimerspec its = {0};
  if (t->n) {
    /* The kernel takes a time_t of seconds; the farthest deadline stays in its range. */
    u64 d = MIN(t->heap[0].deadline, (u64)INT64_MAX);
    its.it_value.tv_sec = (time_t)(d / 1000000000);
    its.it_value.tv_nsec = (long)(d % 1000000000);
  }
  timerfd_settime(t->fd, TFD_TIMER_ABSTIME, &its, NULL);
}

bool timers_due(struct timers *t, u64 now, struct timer *due)
{
  if (!t->n || t->heap[0].deadline > now)
    return false;
  struct timer *first = &t->heap[0];
  *due = *first;
  u64 step = interval(t, first);
  u64 next = first->deadline + step;
  if (next < first->deadline)
    next = UINT64_MAX;
  if (next <= now)
    next += (now - next) / first->period_ns * first->period_ns;
  if (next <= now)
    next = now + 1;
  first->deadline = next;
  sift_down(t, 0);
  return true;
}

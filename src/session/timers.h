/* Timer probes: a heap of deadlines behind one timerfd. */
#ifndef STAP_SESSION_TIMERS_H
#define STAP_SESSION_TIMERS_H

#include "ir/ir.h"

struct timer {
  u64 deadline;            /* CLOCK_MONOTONIC, ns */
  u32 seq;                 /* order in the script: breaks ties */
  u64 period_ns, random_ns;
  struct ir_probe *probe;  /* NULL: -T's end of the run */
};
struct timers {
  int fd;                  /* readable when the first deadline has come */
  struct timer *heap;
  u32 n;
  u64 rng;
};

/* Makes the timerfd and room for `max` timers, from the arena.  0, or -1 and errno. */
int timers_init(struct timers *t, struct arena *a, u32 max);
void timers_close(struct timers *t);
/* Adds a timer whose first deadline is one period from now. */
void timers_add(struct timers *t, u64 now, u64 period_ns, u64 random_ns, struct ir_probe *p);
/* Sets the timerfd to the first deadline. */
void timers_arm(struct timers *t);
/* The timer that is due at `now`, moved on to its next deadline; false: none is.  */
bool timers_due(struct timers *t, u64 now, struct timer *due);
u64 timers_now(void);

#endif

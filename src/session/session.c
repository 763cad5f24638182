/* A run, from the first begin probe to the last line of output.  Four threads share the work:
 *
 *   main      begin, end, error and timer probes; the command of -c; deciding when to stop
 *   drain     moves records from the kernel's rings into the queue (executors that have rings)
 *   writer    formats what is queued and writes it: the only one that a slow reader can hold up
 *   signals   waits for ^C and its kin; the second one leaves at once
 *
 * Whoever finds a reason to stop sets a bit in `stop` and wakes main.  Everything attached to the
 * kernel hangs on file descriptors of this process, so nothing outlives it, however it ends.  */
#include "session/exec.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "elaborate/program.h"
#include "runtime/format.h"
#include "session/command.h"
#include "session/globals.h"
#include "session/output.h"
#include "session/queue.h"
#include "session/timers.h"

enum {
  STOP_EXIT = 1,   /* exit(), ^C, -T, end of -c's command: end probes run */
  STOP_ERROR = 2,  /* too many errors: error probes run */
  STOP_OUTPUT = 4, /* nowhere to write to */
  STOP_BROKEN = 8, /* the executor failed: nothing more runs */
};
/* Sites of queue records that no print made. */
enum {
  SITE_TEXT = 0xffffffff,
  SITE_SWITCH = 0xfffffffe,
  SITE_ERROR = 0xfffffffd,
  SITE_WARNING = 0xfffffffc,
};
enum {
  FLUSH_BYTES = 64 * 1024,
  LINGER_NS = 1000000,    /* the writer's pause between batches: bounds its system calls */
  DRAIN_MS = 100,         /* a drain that can be woken waits this long, */
  DRAIN_POLL_MS = 5,      /* others this long */
  CONDITION_POLL_MS = 20, /* how soon probe conditions follow what event handlers change */
  BEGIN_WRITTEN_MS = 1000 /* the command waits so long for the begin probes' output to be written */
};

/* A session handler and what -t reports of it. */
struct handler {
  struct ir_probe *probe;
  u64 hits, ns, min, max;
};
struct handlers {
  struct handler *v;
  u32 n;
};

struct session {
  struct arena *a;
  struct ir_module *m;
  struct executor *x;
  const struct run_options *o;
  struct diag *d;
  struct handlers when[RUN_TIMER + 1]; /* by enum session_when, in the order they run */
  struct queue queue;
  struct output out;
  struct timers timers;
  struct command cmd;
  bool has_conditions;
  sigset_t old_mask, signals;
  pthread_t writer, drainer, signaller;
  int wake_fd;
  _Atomic(u32) stop;
  _Atomic(bool) shutting_down;
  _Atomic(u64) errors;  /* uncaught errors reported to us */
  _Atomic(bool) failed; /* stap's exit status is 1 */
  _Atomic(bool) skipped_too_many;
  pthread_mutex_t msg_lock;
  /* drain thread: done has reached asked once all records made before are queued */
  pthread_mutex_t drain_lock;
  pthread_cond_t drain_cond;
  _Atomic(u32) drain_asked;
  u32 drain_done;
  _Atomic(bool) drain_quit;
};

/* ---- messages ------------------------------------------------------------------ */

/* One line to stderr, whole. `kind` is ERROR or WARNING. */
static void message(struct session *s, const char *kind, const char *text, size_t len)
{
  bool error = kind[0] == 'E';
  if (!error && s->o->no_warnings)
    return;
  if (error)
    atomic_store(&s->failed, true);
  struct strbuf b = {0};
  if (s->o->color)
    sb_printf(&b, "\033[%sm%s:\033[0m ", error ? "01;31" : "00;33", kind);
  else
    sb_printf(&b, "%s: ", kind);
  sb_add(&b, text, len);
  if (b.s[b.n - 1] != '\n')
    sb_putc(&b, '\n');
  pthread_mutex_lock(&s->msg_lock);
  fwrite(b.s, 1, b.n, s->d->out);
  fflush(s->d->out);
  pthread_mutex_unlock(&s->msg_lock);
  sb_free(&b);
}

static void say(struct session *s, const char *kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void say(struct session *s, const char *kind, const char *fmt, ...)
{
  struct strbuf b = {0};
  va_list ap;
  va_start(ap, fmt);
  sb_vprintf(&b, fmt, ap);
  va_end(ap);
  message(s, kind, b.s, b.n);
  sb_free(&b);
}

/* Handlers read the phase. */
static void set_phase(struct session *s, enum rt_phase phase)
{
  __atomic_store_n(&s->x->state->phase, (u32)phase, __ATOMIC_RELEASE);
}

static void stop(struct session *s, u32 why)
{
  atomic_fetch_or(&s->stop, why);
  if (why & (STOP_ERROR | STOP_BROKEN))
    set_phase(s, RT_STOPPING);
  u64 one = 1;
  if (write(s->wake_fd, &one, sizeof(one)) < 0)
    return; /* only when the counter is full: main is awake */
}

/* ---- what executors deliver ------------------------------------------------------- */

void session_record(struct session *s, u32 site, const void *items, u32 len)
{
  queue_put(&s->queue, site, items, len);
}

void session_text(struct session *s, const char *text, u32 len)
{
  queue_put(&s->queue, SITE_TEXT, text, len);
}

/* A handler's error or warning takes its turn behind what was printed before it. */
static void handler_message(struct session *s, u32 site, const char *text, size_t len)
{
  if (site == SITE_ERROR)
    atomic_store(&s->failed, true);
  queue_put(&s->queue, site, text, (u32)len);
}

static void put_place(struct strbuf *b, const struct ir_error *e)
{
  if (e->token)
    sb_printf(b, " near %s '%s'", e->what ? e->what : "identifier", e->token);
  if (e->loc.file)
    sb_printf(b, " at %s:%u:%u", e->loc.file->name, e->loc.line, e->loc.col);
}

/* "division by 0 near operator '/' at x.stp:3:7".  Dynamic errors bring their text, and the
 * number of the error() that raised them in err_arg when it is known.  */
static void put_error(struct session *s, struct strbuf *b, const struct rt_ctl *c)
{
  if (c->err == RT_ERR_DYNAMIC) {
    sb_add(b, c->text, strnlen(c->text, c->len));
    if (c->err_arg && c->err_arg < s->m->errors.n)
      put_place(b, &s->m->errors.v[c->err_arg]);
  } else if (c->err == 0 || c->err >= s->m->errors.n) {
    sb_printf(b, "unknown error %u", c->err);
  } else {
    const struct ir_error *e = &s->m->errors.v[c->err];
    const char *x = strstr(e->text, "%x");
    if (x)
      sb_printf(b, "%.*s%llx%s", (int)(x - e->text), e->text, (unsigned long long)c->err_arg,
                x + 2);
    else
      sb_puts(b, e->text);
    put_place(b, e);
  }
}

static void handler_error(struct session *s, const struct rt_ctl *c)
{
  u64 n = atomic_fetch_add(&s->errors, 1) + 1;
  if (s->o->suppress_handler_errors)
    return;
  /* Other CPUs may still raise errors between the one too many and the stop. */
  if (n <= (u64)s->o->maxerrors + 1 || atomic_load(&s->shutting_down)) {
    struct strbuf b = {0};
    put_error(s, &b, c);
    handler_message(s, SITE_ERROR, b.s, b.n);
    sb_free(&b);
  }
  if (n > s->o->maxerrors)
    stop(s, STOP_ERROR);
}

void session_control(struct session *s, const struct rt_ctl *c)
{
  switch (c->kind) {
  case RT_CTL_ERROR:
    handler_error(s, c);
    break;
  case RT_CTL_WARN:
    handler_message(s, SITE_WARNING, c->text, strnlen(c->text, c->len));
    break;
  case RT_CTL_EXIT:
    stop(s, STOP_EXIT);
    break;
  }
}

/* What handlers have left in the shared state: exit(), errors and skips over their limits.  */
static void check_state(struct session *s)
{
  struct rt_state *st = s->x->state;
  if (__atomic_load_n(&st->exit_requested, __ATOMIC_RELAXED) &&
      !(atomic_load(&s->stop) & STOP_EXIT))
    stop(s, STOP_EXIT);
  if (s->o->suppress_handler_errors || atomic_load(&s->stop) & STOP_ERROR)
    return;
  if (__atomic_load_n(&st->errors, __ATOMIC_RELAXED) > s->o->maxerrors)
    stop(s, STOP_ERROR);
  u64 skipped = __atomic_load_n(&st->skipped_lock, __ATOMIC_RELAXED) +
                __atomic_load_n(&st->skipped_other, __ATOMIC_RELAXED);
  if (skipped > s->o->maxskipped && !atomic_exchange(&s->skipped_too_many, true)) {
    say(s, "ERROR",
        "Skipped too many probes, check MAXSKIPPED or try again with stap -t for more details.");
    stop(s, STOP_ERROR);
  }
}

/* ---- drain thread ----------------------------------------------------------------- */

static void *drain_main(void *arg)
{
  struct session *s = arg;
  struct executor *x = s->x;
  for (;;) {
    u32 asked = atomic_load(&s->drain_asked);
    bool quit = atomic_load(&s->drain_quit);
    bool hurry = quit || asked != s->drain_done;
    int n = x->drain(x, hurry ? 0 : x->wake ? DRAIN_MS : DRAIN_POLL_MS);
    check_state(s);
    if (n > 0)
      continue;
    if (n < 0) {
      atomic_store(&s->failed, true);
      stop(s, STOP_BROKEN);
    }
    pthread_mutex_lock(&s->drain_lock);
    s->drain_done = asked;
    pthread_cond_broadcast(&s->drain_cond);
    pthread_mutex_unlock(&s->drain_lock);
    if (quit || n < 0)
      break;
  }
  /* Answers whoever asks from now on. */
  pthread_mutex_lock(&s->drain_lock);
  atomic_store(&s->drain_quit, true);
  pthread_cond_broadcast(&s->drain_cond);
  pthread_mutex_unlock(&s->drain_lock);
  return NULL;
}

/* Waits until every record made so far is in the queue. */
static void drain_all(struct session *s)
{
  if (!s->x->drain)
    return;
  u32 ask = atomic_fetch_add(&s->drain_asked, 1) + 1;
  if (s->x->wake)
    s->x->wake(s->x);
  pthread_mutex_lock(&s->drain_lock);
  while ((s32)(s->drain_done - ask) < 0 && !atomic_load(&s->drain_quit))
    pthread_cond_wait(&s->drain_cond, &s->drain_lock);
  pthread_mutex_unlock(&s->drain_lock);
}

static void drain_stop(struct session *s)
{
  if (!s->x->drain)
    return;
  atomic_store(&s->drain_quit, true);
  if (s->x->wake)
    s->x->wake(s->x);
  pthread_join(s->drainer, NULL);
}

/* ---- writer thread ------------------------------------------------------------------ */

static void output_failed(struct session *s)
{
  say(s, "ERROR", "Couldn't %s %s: %s", s->out.error_op,
      s->out.pattern ? s->out.pattern : "standard output", strerror(s->out.error));
  stop(s, STOP_OUTPUT);
}

static void flush(struct session *s, struct strbuf *b)
{
  bool was_fine = !s->out.error;
  if (b->n && output_write(&s->out, b->s, b->n) && was_fine)
    output_failed(s);
  sb_reset(b);
}

static void put_record(struct session *s, struct strbuf *b, const struct queue_rec *r)
{
  if (r->site == SITE_ERROR || r->site == SITE_WARNING) {
    flush(s, b);
    message(s, r->site == SITE_ERROR ? "ERROR" : "WARNING", (const char *)r->data, r->len);
  } else if (s->out.error) {
    return; /* nobody reads it */
  } else if (r->site < s->x->nsites) {
    if (!fmt_record(b, &s->x->sites[r->site], r->data, r->len))
      say(s, "ERROR", "malformed record of print site %u, %u bytes", r->site, r->len);
  } else if (r->site == SITE_TEXT) {
    sb_add(b, (const char *)r->data, r->len);
  } else if (r->site == SITE_SWITCH) {
    flush(s, b);
    if (output_switch(&s->out))
      output_failed(s);
  } else {
    say(s, "ERROR", "record of unknown print site %u", r->site);
  }
}

static void *writer_main(void *arg)
{
  struct session *s = arg;
  struct strbuf b = {0};
  struct queue_chunk *list;
  while ((list = queue_take(&s->queue))) {
    for (struct queue_chunk *c = list; c; c = c->next) {
      const struct queue_rec *r;
      size_t at = 0;
      while ((r = queue_next(c, &at))) {
        put_record(s, &b, r);
        if (b.n >= FLUSH_BYTES)
          flush(s, &b);
      }
    }
    flush(s, &b);
    queue_give_back(&s->queue, list);
    queue_linger(&s->queue, LINGER_NS);
  }
  sb_free(&b);
  return NULL;
}

/* ---- signal thread --------------------------------------------------------------------- */

static void *signal_main(void *arg)
{
  struct session *s = arg;
  bool seen = false;
  for (;;) {
    int sig;
    if (sigwait(&s->signals, &sig))
      continue;
    if (sig == SIGRTMIN)
      return NULL;
    if (sig == SIGUSR2) {
      queue_put(&s->queue, SITE_SWITCH, NULL, 0);
      continue;
    }
    if (seen)
      _exit(1);
    seen = true;
    stop(s, STOP_EXIT);
  }
}

/* Takes the signals over from here on; the command of -c gets the old mask. */
static void block_signals(struct session *s)
{
  static const int which[] = {SIGINT, SIGTERM, SIGQUIT, SIGUSR2};
  sigset_t blocked;
  sigemptyset(&s->signals);
  for (u32 i = 0; i < ARRAY_SIZE(which); i++)
    sigaddset(&s->signals, which[i]);
  struct sigaction hup;
  if (sigaction(SIGHUP, NULL, &hup) == 0 && hup.sa_handler != SIG_IGN) /* not under nohup */
    sigaddset(&s->signals, SIGHUP);
  sigaddset(&s->signals, SIGRTMIN);
  blocked = s->signals;
  sigaddset(&blocked, SIGPIPE); /* a closed pipe is EPIPE */
  pthread_sigmask(SIG_BLOCK, &blocked, &s->old_mask);
}

/* ---- handlers ------------------------------------------------------------------------ */

static void run_handler(struct session *s, struct handler *h)
{
  u64 from = s->o->timing ? timers_now() : 0;
  const __u64 *errors = &s->x->state->errors;
  u64 before = __atomic_load_n(errors, __ATOMIC_RELAXED);
  if (s->x->run(s->x, h->probe)) {
    atomic_store(&s->failed, true);
    stop(s, STOP_BROKEN);
  }
  if (s->o->timing) {
    u64 ns = timers_now() - from;
    h->min = h->hits ? MIN(h->min, ns) : ns;
    h->max = MAX(h->max, ns);
    h->ns += ns;
    h->hits++;
  }
  if (__atomic_load_n(errors, __ATOMIC_RELAXED) != before)
    drain_all(s); /* its error comes before what the next handler prints */
  check_state(s);
  if (s->has_conditions && s->x->rearm)
    s->x->rearm(s->x);
}

/* Sorts by order number; the script's order stays among equals. */
static void sort_handlers(struct handlers *h)
{
  for (u32 i = 1; i < h->n; i++) {
    struct handler moved = h->v[i];
    u32 j = i;
    for (; j && h->v[j - 1].probe->inst->order > moved.probe->inst->order; j--)
      h->v[j] = h->v[j - 1];
    h->v[j] = moved;
  }
}

static void collect_handlers(struct session *s)
{
  for (u32 i = 0; i <= RUN_TIMER; i++)
    s->when[i].v = NEW_ARRAY(s->a, struct handler, s->m->probes.n + 1);
  for (u32 i = 0; i < s->m->probes.n; i++) {
    struct ir_probe *p = s->m->probes.v[i];
    if (p->cond)
      s->has_conditions = true;
    if (p->inst->kind != PROG_SESSION)
      continue;
    struct handlers *h = &s->when[p->inst->when];
    h->v[h->n++] = (struct handler){.probe = p};
  }
  for (u32 i = RUN_BEGIN; i <= RUN_ERROR; i++)
    sort_handlers(&s->when[i]);
}

static struct handler *handler_of(struct session *s, enum session_when when,
                                  const struct ir_probe *p)
{
  for (u32 i = 0; i < s->when[when].n; i++)
    if (s->when[when].v[i].probe == p)
      return &s->when[when].v[i];
  return NULL;
}

/* ---- running -------------------------------------------------------------------------- */

static void run_begin(struct session *s)
{
  struct handlers *h = &s->when[RUN_BEGIN];
  for (u32 i = 0; i < h->n && !atomic_load(&s->stop); i++)
    run_handler(s, &h->v[i]);
}

static int start_timers(struct session *s)
{
  struct handlers *h = &s->when[RUN_TIMER];
  if (timers_init(&s->timers, s->a, h->n + 1)) {
    say(s, "ERROR", "timerfd_create: %s", strerror(errno));
    return -1;
  }
  u64 now = timers_now();
  for (u32 i = 0; i < h->n; i++) {
    const struct probe_inst *pi = h->v[i].probe->inst;
    timers_add(&s->timers, now, pi->period_ns, pi->random_ns, h->v[i].probe);
  }
  if (s->o->timeout_ns)
    timers_add(&s->timers, now, s->o->timeout_ns, 0, NULL);
  return 0;
}

static void run_timers(struct session *s)
{
  u64 now = timers_now();
  struct timer due;
  while (!atomic_load(&s->stop) && timers_due(&s->timers, now, &due)) {
    if (due.probe)
      run_handler(s, handler_of(s, RUN_TIMER, due.probe));
    else
      stop(s, STOP_EXIT);
  }
}

static void command_over(struct session *s)
{
  int status = s->cmd.status;
  if (WIFEXITED(status) && WEXITSTATUS(status)) {
    say(s, "WARNING", "Child process exited with status %d", WEXITSTATUS(status));
    atomic_store(&s->failed, true);
  } else if (WIFSIGNALED(status)) {
    say(s, "WARNING", "Child process exited with signal %d (%s)", WTERMSIG(status),
        strsignal(WTERMSIG(status)));
    atomic_store(&s->failed, true);
  }
  stop(s, STOP_EXIT);
}

/* What begin probes print comes before what the command does, unless nobody reads it. */
static void release_command(struct session *s)
{
  drain_all(s);
  for (u32 ms = 0; ms < BEGIN_WRITTEN_MS && !queue_idle(&s->queue); ms++)
    usleep(1000);
  int err = command_release(&s->cmd);
  if (err)
    say(s, "ERROR", "Couldn't run '%s': %s", s->o->command, strerror(err));
}

/* Serves timers, the command and the wake-ups of others until there is a reason to stop. */
static void main_loop(struct session *s)
{
  bool command = s->cmd.pid != 0;
  struct pollfd fds[] = {
      {.fd = s->wake_fd, .events = POLLIN},
      {.fd = s->timers.fd, .events = POLLIN},
      {.fd = command ? s->cmd.pidfd : -1, .events = POLLIN},
  };
  bool ticking = (s->has_conditions && s->x->rearm) || (command && s->cmd.pidfd < 0);
  while (!atomic_load(&s->stop)) {
    timers_arm(&s->timers);
    poll(fds, ARRAY_SIZE(fds), ticking ? CONDITION_POLL_MS : -1);
    run_timers(s);
    if (command && command_ended(&s->cmd)) {
      command_over(s);
      command = false;
    }
    if (ticking && s->x->rearm)
      s->x->rearm(s->x);
  }
}

/* ---- the end --------------------------------------------------------------------------- */

/* Globals come where SystemTap's implied end probes stand: behind the script's own of order 0. */
static void show_globals(struct session *s)
{
  if (!s->o->show_globals_at_exit)
    return;
  struct strbuf b = {0};
  for (u32 i = 0; i < s->m->globals.n; i++) {
    const struct ir_global *g = s->m->globals.v[i];
    if (g->show_at_exit && globals_show(&b, s->x, g))
      atomic_store(&s->failed, true);
  }
  if (b.n) {
    drain_all(s);
    session_text(s, b.s, (u32)b.n);
  }
  sb_free(&b);
}

static bool errored(struct session *s)
{
  return atomic_load(&s->stop) & (STOP_ERROR | STOP_BROKEN);
}

static void run_end(struct session *s)
{
  atomic_store(&s->shutting_down, true);
  struct handlers *h = &s->when[RUN_END];
  u32 i = 0;
  for (; i < h->n && h->v[i].probe->inst->order <= 0 && !errored(s); i++)
    run_handler(s, &h->v[i]);
  if (!errored(s))
    show_globals(s);
  for (; i < h->n && !errored(s); i++)
    run_handler(s, &h->v[i]);
  /* An error in an end probe brings the error probes, too. */
  h = &s->when[RUN_ERROR];
  for (i = 0; i < h->n && errored(s) && !(atomic_load(&s->stop) & STOP_BROKEN); i++)
    run_handler(s, &h->v[i]);
}

static void put_timing(struct session *s, struct strbuf *b, u32 index)
{
  const struct ir_probe *p = s->m->probes.v[index];
  const struct probe_inst *pi = p->inst;
  struct handler t = {0};
  bool exact = pi->kind == PROG_SESSION;
  if (exact)
    t = *handler_of(s, pi->when, p);
  else if (!s->x->timing || !s->x->timing(s->x, p, &t.hits, &t.ns))
    return;
  if (!t.hits)
    return;
  sb_printf(b, "%s, (%s:%u:%u), hits: %llu, ", pi->pp, pi->loc.file ? pi->loc.file->name : "-",
            pi->loc.line, pi->loc.col, (unsigned long long)t.hits);
  if (exact)
    sb_printf(b, "ns: %llumin/%lluavg/%llumax", (unsigned long long)t.min,
              (unsigned long long)(t.ns / t.hits), (unsigned long long)t.max);
  else
    sb_printf(b, "ns: %lluavg", (unsigned long long)(t.ns / t.hits));
  sb_puts(b, ", from: ");
  if (pi->chain.n) {
    for (u32 i = 0; i < pi->chain.n; i++) {
      if (i)
        sb_puts(b, " -> ");
      ast_print_point(b, pi->chain.v[i]);
    }
  } else {
    sb_puts(b, pi->name ? pi->name : pi->pp);
  }
  sb_printf(b, ", index: %u\n", index);
}

static void report_timing(struct session *s)
{
  if (!s->o->timing)
    return;
  struct strbuf b = {0};
  sb_puts(&b, "----- probe hit report: \n");
  for (u32 i = 0; i < s->m->probes.n; i++)
    put_timing(s, &b, i);
  session_text(s, b.s, (u32)b.n);
  sb_free(&b);
}

static void report_counts(struct session *s)
{
  const struct rt_state *st = s->x->state;
  u64 errors = MAX(atomic_load(&s->errors), st->errors);
  u64 skipped = st->skipped_lock + st->skipped_frame + st->skipped_other;
  if (errors || skipped)
    say(s, "WARNING", "Number of errors: %llu, skipped probes: %llu", (unsigned long long)errors,
        (unsigned long long)skipped);
  if (s->o->timing && st->skipped_lock)
    say(s, "WARNING", "Skipped due to global lock timeout: %llu",
        (unsigned long long)st->skipped_lock);
  if (s->o->timing && st->skipped_frame)
    say(s, "WARNING", "Skipped due to reentrancy: %llu", (unsigned long long)st->skipped_frame);
  u64 lost = st->lost + s->queue.dropped;
  if (lost)
    say(s, "WARNING",
        "There were %llu transport failures. (Output was lost; try -s with a larger "
        "buffer.)",
        (unsigned long long)lost);
  if (st->lost_ctl)
    say(s, "WARNING", "%llu error and warning messages were lost.",
        (unsigned long long)st->lost_ctl);
}

/* ---- start and end of the session -------------------------------------------------------- */

struct session *session_load(struct arena *a, struct ir_module *m, struct executor *x,
                             const struct run_options *o, struct diag *d)
{
  struct session *s = NEW(a, struct session);
  s->a = a;
  s->m = m;
  s->x = x;
  s->o = o;
  s->d = d;
  s->wake_fd = -1;
  s->timers.fd = -1;
  pthread_mutex_init(&s->msg_lock, NULL);
  pthread_mutex_init(&s->drain_lock, NULL);
  pthread_cond_init(&s->drain_cond, NULL);
  queue_init(&s->queue);
  collect_handlers(s);
  if (x->load(x, m, o, d, s)) {
    session_free(s);
    return NULL;
  }
  return s;
}

void session_free(struct session *s)
{
  if (s->x->free)
    s->x->free(s->x);
  queue_destroy(&s->queue);
  pthread_cond_destroy(&s->drain_cond);
  pthread_mutex_destroy(&s->drain_lock);
  pthread_mutex_destroy(&s->msg_lock);
}

static void init_state(struct session *s)
{
  struct rt_state *st = s->x->state;
  struct timespec wall, mono;
  clock_gettime(CLOCK_REALTIME, &wall);
  clock_gettime(CLOCK_MONOTONIC, &mono);
  st->boot_to_wall_ns =
      (u64)(wall.tv_sec - mono.tv_sec) * 1000000000 + (u64)(wall.tv_nsec - mono.tv_nsec);
  st->stp_pid = (u64)getpid();
  st->target_pid = (u64)(s->cmd.pid ? s->cmd.pid : s->o->target_pid);
  st->maxerrors = s->o->suppress_handler_errors ? UINT64_MAX : s->o->maxerrors;
  st->phase = RT_STARTING;
}

/* What can fail before anything runs. */
static int prepare(struct session *s)
{
  if (s->o->target_pid > 0 && kill((pid_t)s->o->target_pid, 0) && errno == ESRCH) {
    say(s, "ERROR", "There is no process %lld for -x.", (long long)s->o->target_pid);
    return -1;
  }
  s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (s->wake_fd < 0) {
    say(s, "ERROR", "eventfd: %s", strerror(errno));
    return -1;
  }
  if (output_open(&s->out, s->o->output, s->o->rotate_mb, s->o->rotate_n)) {
    output_failed(s);
    return -1;
  }
  block_signals(s);
  if (s->o->command && command_start(&s->cmd, s->o->command, &s->old_mask)) {
    say(s, "ERROR", "Couldn't start '%s': %s", s->o->command, strerror(errno));
    return -1;
  }
  return 0;
}

static int start_threads(struct session *s)
{
  int err = pthread_create(&s->signaller, NULL, signal_main, s);
  if (!err)
    err = pthread_create(&s->writer, NULL, writer_main, s);
  if (!err && s->x->drain)
    err = pthread_create(&s->drainer, NULL, drain_main, s);
  if (err) {
    say(s, "ERROR", "pthread_create: %s", strerror(err));
    return -1;
  }
  return 0;
}

static void run_middle(struct session *s)
{
  if (s->x->rearm && s->has_conditions)
    s->x->rearm(s->x);
  set_phase(s, RT_RUNNING);
  if (s->cmd.pid)
    release_command(s);
  main_loop(s);
}

int session_run(struct session *s)
{
  struct executor *x = s->x;
  if (prepare(s))
    return 1;
  init_state(s);
  if (start_threads(s))
    exit(1); /* some threads run: no orderly way back */
  if (start_timers(s) || (x->attach && x->attach(x, s->d))) {
    atomic_store(&s->failed, true);
    stop(s, STOP_BROKEN);
  }
  run_begin(s);
  if (!atomic_load(&s->stop))
    run_middle(s);
  set_phase(s, RT_STOPPING);
  if (x->detach)
    x->detach(x);
  run_end(s);
  set_phase(s, RT_DONE);
  drain_stop(s);
  report_timing(s);
  queue_close(&s->queue);
  pthread_join(s->writer, NULL);
  bool was_fine = !s->out.error;
  if (output_close(&s->out) && was_fine)
    output_failed(s);
  if (!(atomic_load(&s->stop) & STOP_BROKEN))
    report_counts(s);
  command_finish(&s->cmd);
  pthread_kill(s->signaller, SIGRTMIN);
  pthread_join(s->signaller, NULL);
  timers_close(&s->timers);
  close(s->wake_fd);
  pthread_sigmask(SIG_SETMASK, &s->old_mask, NULL);
  return atomic_load(&s->failed) ? 1 : 0;
}

/* The BPF executor: loads a script's programs, attaches them, runs those of the session, and reads
 * the rings.  Maps, programs and attachments are file descriptors of this process and nothing else,
 * so they are gone when it is, however it ends.
 *
 * Handlers of system calls share the tracepoints sys_enter and sys_exit.  A few programs are
 * attached side by side, each leaving at once when it has no handler for the number; many are put
 * into a program array, which one dispatcher jumps into by number.  */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf/bpf.h"
#include "bpf/ring.h"
#include "elaborate/program.h"

enum {
  DISPATCH_FROM = 3,    /* fewer programs of one tracepoint side by side are no slower */
  READ_BATCH = 1 << 16, /* records per drain */
  BUSY_POLL_MS = 1,     /* a record is being written: it will be there soon */
  NAP_MS = 1            /* between reads of a steady flow */
};

struct exec {
  struct arena *a;
  struct bpf_image *img;
  const struct run_options *o;
  struct session *s;
  struct ring data, ctl;
  size_t state_bytes;
  int epoll_fd, wake_fd, stats_fd;
  bool flowing;              /* the last read found records */
  bpf_links links;           /* attachments */
  struct bpf_unit **unit_of; /* by probe id */
  struct bpf_dispatch dispatch[2];
};

static struct exec *priv(struct executor *x)
{
  return x->priv;
}

/* ---- loading --------------------------------------------------------------------- */

static void *map_state(struct exec *e)
{
  const struct bpf_mapdef *m = &e->img->maps.v[BMAP_STATE];
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  e->state_bytes = ROUND_UP(m->value_size, page);
  void *p = mmap(NULL, e->state_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
  return p == MAP_FAILED ? NULL : p;
}

static int watch(struct exec *e, int fd)
{
  struct epoll_event ev = {.events = EPOLLIN};
  return epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

static int open_rings(struct executor *x)
{
  struct exec *e = priv(x);
  const struct bpf_mapdef *m = e->img->maps.v;
  x->state = map_state(e);
  e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (!x->state || e->epoll_fd < 0 || e->wake_fd < 0 ||
      ring_open(&e->data, m[BMAP_RING].fd, m[BMAP_RING].max_entries) ||
      ring_open(&e->ctl, m[BMAP_CTL].fd, m[BMAP_CTL].max_entries))
    return -1;
  return watch(e, m[BMAP_RING].fd) || watch(e, m[BMAP_CTL].fd) || watch(e, e->wake_fd);
}

static int load(struct executor *x, struct ir_module *m, const struct run_options *o,
                struct diag *d, struct session *s)
{
  struct exec *e = priv(x);
  e->o = o;
  e->s = s;
  e->img = bpf_gen(e->a, m, o, d);
  if (!e->img || bpf_load_maps(e->img, d) || bpf_load_units(e->img, d, o->verbose))
    return -1;
  e->unit_of = NEW_ARRAY(e->a, struct bpf_unit *, m->probes.n + 1);
  for (u32 i = 0; i < e->img->units.n; i++) {
    struct bpf_unit *u = e->img->units.v[i];
    for (u32 k = 0; k < u->probes.n; k++)
      e->unit_of[u->probes.v[k]->id] = u;
  }
  if (open_rings(x)) {
    diag_msg(d, DIAG_ERROR, "reading the ring buffers is not possible: %s", strerror(errno));
    return -1;
  }
  x->sites = e->img->sites.v;
  x->nsites = e->img->sites.n;
  if (o->timing)
    e->stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
  return 0;
}

/* ---- attaching --------------------------------------------------------------------- */

static int attach_raw(struct exec *e, const char *tracepoint, int prog, const char *probe,
                      struct diag *d)
{
  int fd = bpf_raw_tracepoint_open(tracepoint, prog);
  if (fd < 0) {
    const char *why = fd == -ENOENT ? "the kernel has no such raw tracepoint" : strerror(-fd);
    diag_msg(d, DIAG_ERROR, "probe %s registration error: %s", probe, why);
    return -1;
  }
  vec_push(e->a, &e->links, fd);
  return 0;
}

static bool is_syscall(const struct bpf_unit *u, bool exit)
{
  return u->probes.v[0]->inst->kind == (exit ? PROG_SYSCALL_EXIT : PROG_SYSCALL_ENTER);
}

static int attach_syscalls(struct exec *e, bool exit, struct diag *d)
{
  static const char *const tracepoint[] = {"sys_enter", "sys_exit"};
  struct bpf_image *img = e->img;
  u32 n = 0;
  for (u32 i = 0; i < img->units.n; i++)
    n += is_syscall(img->units.v[i], exit);
  if (n >= DISPATCH_FROM) {
    if (bpf_dispatch_load(&e->dispatch[exit], img, exit, d))
      return -1;
    return attach_raw(e, tracepoint[exit], e->dispatch[exit].prog_fd, tracepoint[exit], d);
  }
  for (u32 i = 0; i < img->units.n; i++) {
    const struct bpf_unit *u = img->units.v[i];
    if (is_syscall(u, exit) && attach_raw(e, tracepoint[exit], u->fd, u->probes.v[0]->inst->pp, d))
      return -1;
  }
  return 0;
}

static int attach(struct executor *x, struct diag *d)
{
  struct exec *e = priv(x);
  for (u32 i = 0; i < e->img->units.n; i++) {
    const struct bpf_unit *u = e->img->units.v[i];
    for (u32 k = 0; k < u->probes.n; k++) {
      const struct probe_inst *pi = u->probes.v[k]->inst;
      if (pi->kind == PROG_RAW_TP && attach_raw(e, pi->attach, u->fd, pi->pp, d))
        return -1;
      if (pi->kind == PROG_PERF && bpf_attach_perf(e->a, &e->links, pi, u->fd, d))
        return -1;
    }
  }
  return attach_syscalls(e, false, d) || attach_syscalls(e, true, d) ? -1 : 0;
}

/* Closing an attachment does not wait for handlers that run on other CPUs: the grace period does,
 * after which the session's end probes see what they left.  */
static void detach(struct executor *x)
{
  struct exec *e = priv(x);
  if (!e->links.n)
    return;
  for (u32 i = 0; i < e->links.n; i++)
    close(e->links.v[i]);
  e->links.n = 0;
  syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

/* ---- running the session's handlers --------------------------------------------------- */

static void wake(struct executor *x)
{
  u64 one = 1;
  if (write(priv(x)->wake_fd, &one, sizeof(one)) < 0)
    return; /* only when the counter is full: drain() is awake */
}

static int run(struct executor *x, struct ir_probe *p)
{
  struct exec *e = priv(x);
  LIBBPF_OPTS(bpf_test_run_opts, opts);
  int err;
  do
    err = bpf_prog_test_run_opts(e->unit_of[p->id]->fd, &opts);
  while (err == -EINTR || err == -EAGAIN);
  if (__atomic_load_n(&x->state->reader_sleeps, __ATOMIC_SEQ_CST) && ring_pending(&e->data))
    wake(x);
  if (!err)
    return 0;
  fprintf(stderr, "ERROR: running %s: %s\n", p->inst->pp, strerror(-err));
  return -1;
}

/* ---- reading the rings ------------------------------------------------------------- */

static void take_record(void *arg, const void *data, u32 len)
{
  const struct rt_rec *r = data;
  if (len >= sizeof(*r) && r->len <= len - sizeof(*r))
    session_record(arg, r->site, r + 1, r->len);
}

static void take_control(void *arg, const void *data, u32 len)
{
  const struct rt_ctl *c = data;
  if (len >= sizeof(*c) && c->len <= len - sizeof(*c))
    session_control(arg, c);
}

/* What was printed before an error is read before it. */
static u32 read_rings(struct exec *e)
{
  u64 end = ring_end(&e->ctl);
  u32 n = ring_read(&e->data, ring_end(&e->data), READ_BATCH, take_record, e->s);
  return n + ring_read(&e->ctl, end, READ_BATCH, take_control, e->s);
}

/* Waking a sleeper costs a handler far more than its record.  So while records keep coming we don't
 * sleep but look again after a moment, in which only the session can wake us.  */
static u32 nap(struct exec *e)
{
  struct pollfd fd = {.fd = e->wake_fd, .events = POLLIN};
  u64 count;
  if (poll(&fd, 1, NAP_MS) > 0 && read(e->wake_fd, &count, sizeof(count)) < 0)
    return 0;
  return read_rings(e);
}

/* Handlers wake us only when reader_sleeps says so.  What was reserved before they could see it is
 * pending here, so either they or we notice.  */
static int drain(struct executor *x, int timeout_ms)
{
  struct exec *e = priv(x);
  u32 n = read_rings(e);
  if (!n && timeout_ms > 0 && e->flowing)
    n = nap(e);
  e->flowing = n;
  if (n || timeout_ms <= 0)
    return (int)n;
  struct epoll_event ev[3];
  __atomic_store_n(&x->state->reader_sleeps, 1, __ATOMIC_SEQ_CST);
  bool busy = ring_pending(&e->data) || ring_pending(&e->ctl);
  int ready = epoll_wait(e->epoll_fd, ev, ARRAY_SIZE(ev), busy ? BUSY_POLL_MS : timeout_ms);
  int err = errno;
  __atomic_store_n(&x->state->reader_sleeps, 0, __ATOMIC_SEQ_CST);
  u64 count;
  if (read(e->wake_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
    return -1;
  if (ready < 0 && err != EINTR)
    return -1;
  return (int)read_rings(e);
}

/* ---- the rest ------------------------------------------------------------------------ */

static int read_global(struct executor *x, const struct ir_global *g, void *arg,
                       void (*visit)(void *arg, const struct ir_val *keys, const struct ir_val *val,
                                     const struct rt_stat *stat))
{
  return bpf_read_global(priv(x)->img, g, arg, visit);
}

static bool timing(struct executor *x, const struct ir_probe *p, u64 *hits, u64 *ns)
{
  struct exec *e = priv(x);
  struct bpf_prog_info info = {0};
  u32 len = sizeof(info);
  const struct bpf_unit *u = e->unit_of[p->id];
  if (!u || e->stats_fd < 0 || bpf_obj_get_info_by_fd(u->fd, &info, &len))
    return false;
  *hits = info.run_cnt;
  *ns = info.run_time_ns;
  return true;
}

static void close_fd(int *fd)
{
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
}

static void exec_free(struct executor *x)
{
  struct exec *e = priv(x);
  detach(x);
  for (u32 i = 0; i < 2; i++)
    bpf_dispatch_close(&e->dispatch[i]);
  ring_close(&e->data);
  ring_close(&e->ctl);
  if (x->state)
    munmap(x->state, e->state_bytes);
  x->state = NULL;
  close_fd(&e->epoll_fd);
  close_fd(&e->wake_fd);
  close_fd(&e->stats_fd);
  if (e->img)
    bpf_unload(e->img);
}

struct executor *bpf_executor_new(struct arena *a)
{
  struct executor *x = NEW(a, struct executor);
  struct exec *e = NEW(a, struct exec);
  e->a = a;
  e->epoll_fd = e->wake_fd = e->stats_fd = -1;
  for (u32 i = 0; i < 2; i++)
    e->dispatch[i] = (struct bpf_dispatch){-1, -1};
  *x = (struct executor){.name = "bpf",
                         .priv = e,
                         .load = load,
                         .attach = attach,
                         .detach = detach,
                         .run = run,
                         .drain = drain,
                         .read_global = read_global,
                         .free = exec_free,
                         .wake = wake,
                         .timing = timing};
  return x;
}

/* Creates an image's maps and loads its programs.  Refusals are reported with what the kernel said
 * and what can be done about it.  */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/bpf.h"
#include "elaborate/program.h"

enum { LOG_BYTES = 16 << 20, NAME_BYTES = 15, LOAD_THREADS = 7, UNITS_PER_THREAD = 4 };

/* What to do about an error, or "". */
static const char *advice(int err)
{
  switch (err) {
  case EPERM:
  case EACCES:
    return "; eBPF needs root, or the capabilities CAP_BPF and CAP_PERFMON, and a kernel whose "
           "lockdown mode is not 'confidentiality'.  Scripts without kernel probes run anywhere "
           "with --runtime=user";
  case ENOMEM:
    return "; not enough memory: lower -DMAXMAPENTRIES, -DMAXSTRINGLEN or -s";
  case E2BIG:
    return "; too large for the kernel: lower -DMAXMAPENTRIES, -DMAXSTRINGLEN, or split the script";
  case ENOSYS:
    return "; this kernel was built without CONFIG_BPF_SYSCALL";
  }
  return "";
}

/* A name the kernel takes: letters, digits, "_" and ".", at most 15. */
static void kernel_name(char out[NAME_BYTES + 1], const char *name)
{
  u32 n = 0;
  for (; name[n] && n < NAME_BYTES; n++) {
    char c = name[n];
    bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    out[n] = ok ? c : '_';
  }
  out[n] = 0;
}

/* ---- maps ----------------------------------------------------------------------- */

static int fill(const struct bpf_mapdef *m)
{
  u32 zero = 0;
  u8 *value = calloc(1, m->value_size);
  if (!value)
    return -ENOMEM;
  memcpy(value, m->init, MIN(m->init_len, m->value_size));
  int err = bpf_map_update_elem(m->fd, &zero, value, BPF_ANY);
  free(value);
  return err;
}

int bpf_load_maps(struct bpf_image *img, struct diag *d)
{
  for (u32 i = 0; i < img->maps.n; i++)
    img->maps.v[i].fd = -1;
  for (u32 i = 0; i < img->maps.n; i++) {
    struct bpf_mapdef *m = &img->maps.v[i];
    char name[NAME_BYTES + 1];
    kernel_name(name, m->name);
    LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = m->flags);
    m->fd = bpf_map_create(m->type, name, m->key_size, m->value_size, m->max_entries, &opts);
    int err = m->fd < 0 ? m->fd : m->init ? fill(m) : 0;
    if (err) {
      diag_msg(d, DIAG_ERROR, "the kernel refused the map for '%s' (%u entries of %u bytes): %s%s",
               m->name, m->max_entries, m->key_size + m->value_size, strerror(-err), advice(-err));
      return -1;
    }
  }
  return 0;
}

/* ---- programs --------------------------------------------------------------------- */

static int load_types(struct bpf_types *t, struct diag *d)
{
  if (!t->loaded) {
    int err = btf__load_into_kernel(t->btf);
    if (err) {
      diag_msg(d, DIAG_ERROR, "the kernel refused the types of the script's programs: %s%s",
               strerror(-err), advice(-err));
      return -1;
    }
    t->loaded = true;
  }
  return 0;
}

static int prog_load(const struct bpf_image *img, const struct bpf_unit *u,
                     const struct bpf_linked *l, char *log, u32 log_level)
{
  char name[NAME_BYTES + 1];
  kernel_name(name, u->name);
  LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = u->expected_attach_type,
              .attach_btf_id = u->attach_btf_id, .prog_flags = u->flags,
              .prog_btf_fd = (u32)btf__fd(img->types->btf), .func_info = l->funcs.v,
              .func_info_cnt = l->funcs.n, .func_info_rec_size = sizeof(struct bpf_func_info),
              .log_buf = log, .log_size = log ? LOG_BYTES : 0, .log_level = log_level);
  return bpf_prog_load(u->type, name, "GPL", l->insns.v, l->insns.n, &opts);
}

/* How many maps a program names. */
static u32 count_maps(const struct bpf_linked *l)
{
  u32 n = 0;
  s32 *fd = NULL;
  for (u32 i = 0; i < l->insns.n; i++) {
    const struct bpf_insn *in = &l->insns.v[i];
    if (in->code != (BPF_LD | BPF_DW | BPF_IMM))
      continue;
    bool map = in->src_reg == BPF_PSEUDO_MAP_FD || in->src_reg == BPF_PSEUDO_MAP_VALUE;
    for (u32 k = 0; map && k < n; k++)
      map = fd[k] != in->imm;
    if (map) {
      s32 *more = realloc(fd, (n + 1) * sizeof(*fd));
      if (!more)
        break;
      fd = more;
      fd[n++] = in->imm;
    }
    i++;
  }
  free(fd);
  return n;
}

/* Linux's limits of one program (MAX_USED_MAPS and BPF_MAX_SUBPROGS of linux/bpf_verifier.h,
 * BPF_COMPLEXITY_LIMIT_INSNS of linux/bpf.h). Says what is over one; false: nothing is. */
static bool report_size(const struct bpf_unit *u, const struct bpf_linked *l, struct diag *d)
{
  enum { MAPS = 64, SUBPROGS = 256, INSNS = 1000000 };
  u32 maps = count_maps(l);
  if (maps <= MAPS && l->funcs.n <= SUBPROGS && l->insns.n <= INSNS)
    return false;
  diag_msg(d, DIAG_ERROR,
           "the probe '%s' is too large for a BPF program, which may use %d arrays, statistics and "
           "foreach loops "
           "(it uses %u), %d functions and loops (%u) and %d instructions (%u); split it into "
           "several probes",
           u->probes.n ? u->probes.v[0]->inst->pp : u->name, MAPS, maps, SUBPROGS, l->funcs.n,
           INSNS, l->insns.n);
  return true;
}

static void report_refusal(const struct bpf_image *img, const struct bpf_unit *u,
                           const struct bpf_linked *l, int err, struct diag *d, u32 verbose)
{
  if (err == EPERM || err == ENOSYS) {
    diag_msg(d, DIAG_ERROR, "the kernel refused the program '%s': %s%s", u->name, strerror(err),
             advice(err));
    return;
  }
  if (report_size(u, l, d))
    return;
  char *log = calloc(1, LOG_BYTES);
  int fd = log ? prog_load(img, u, l, log, 1) : -1;
  if (fd >= 0)
    close(fd);
  /* The line before the statistics says what the verifier objects to. */
  char *end = log ? strstr(log, "\nprocessed ") : NULL;
  if (end)
    *end = 0;
  const char *last = log ? strrchr(log, '\n') : NULL;
  diag_msg(d, DIAG_ERROR,
           "internal error: the kernel's verifier rejected the program '%s' (%s)%s%s", u->name,
           strerror(err), log && *log ? ": " : "",
           last  ? last + 1
           : log ? log
                 : "");
  if (log && verbose >= 2)
    fprintf(d->out, "%s\n", log);
  free(log);
}

/* Units are verified independently of each other; where there are many, by several threads. */
struct loading {
  const struct bpf_image *img;
  struct bpf_linked **linked;
  _Atomic(u32) next;
  _Atomic(u32) failed; /* 1 + the first unit that the kernel refused, with err; 0: none */
  int err;
};

static void *load_units(void *arg)
{
  struct loading *ld = arg;
  for (u32 i; !ld->failed && (i = ld->next++) < ld->img->units.n;) {
    struct bpf_unit *u = ld->img->units.v[i];
    int fd = prog_load(ld->img, u, ld->linked[i], NULL, 0);
    u32 none = 0;
    if (fd >= 0)
      u->fd = fd;
    else if (atomic_compare_exchange_strong(&ld->failed, &none, i + 1))
      ld->err = -fd;
  }
  return NULL;
}

int bpf_load_unit(struct bpf_image *img, struct bpf_unit *u, struct diag *d, u32 verbose)
{
  struct bpf_linked *l = bpf_link(img, u, d);
  if (!l || load_types(img->types, d))
    return -1;
  u->fd = prog_load(img, u, l, NULL, 0);
  if (u->fd >= 0)
    return 0;
  report_refusal(img, u, l, -u->fd, d, verbose);
  u->fd = -1;
  return -1;
}

int bpf_load_units(struct bpf_image *img, struct diag *d, u32 verbose)
{
  u32 n = img->units.n, nthreads = 0;
  if (n < 2 * UNITS_PER_THREAD) {
    for (u32 i = 0; i < n; i++)
      if (bpf_load_unit(img, img->units.v[i], d, verbose))
        return -1;
    return 0;
  }
  struct loading ld = {.img = img, .linked = NEW_ARRAY(img->a, struct bpf_linked *, n)};
  pthread_t thread[LOAD_THREADS];
  for (u32 i = 0; i < n; i++)
    if (!(ld.linked[i] = bpf_link(img, img->units.v[i], d)))
      return -1;
  if (load_types(img->types, d))
    return -1;
  for (long cpus = sysconf(_SC_NPROCESSORS_ONLN); nthreads < LOAD_THREADS; nthreads++)
    if (nthreads + 1 >= cpus || (nthreads + 1) * UNITS_PER_THREAD > n ||
        pthread_create(&thread[nthreads], NULL, load_units, &ld))
      break;
  load_units(&ld);
  for (u32 i = 0; i < nthreads; i++)
    pthread_join(thread[i], NULL);
  if (!ld.failed)
    return 0;
  u32 i = ld.failed - 1;
  report_refusal(img, img->units.v[i], ld.linked[i], ld.err, d, verbose);
  return -1;
}

void bpf_unload(struct bpf_image *img)
{
  for (u32 i = 0; i < img->units.n; i++) {
    if (img->units.v[i]->fd >= 0)
      close(img->units.v[i]->fd);
    img->units.v[i]->fd = -1;
  }
  for (u32 i = 0; i < img->maps.n; i++) {
    if (img->maps.v[i].fd >= 0)
      close(img->maps.v[i].fd);
    img->maps.v[i].fd = -1;
  }
  if (img->types)
    btf__free(img->types->btf);
  img->types = NULL;
}

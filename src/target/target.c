/* The running kernel's types and tracepoints, from its BTF and tracefs.
 *
 * BTF is opened when something first asks for it: the file is mapped where the kernel allows that
 * and read otherwise, and libbpf indexes it.  A tracepoint NAME that programs can be attached to
 * has a typedef btf_trace_NAME, a pointer to its prototype; the prototype of the function
 * __traceiter_NAME has the same parameters and, unlike the typedef's, their names.  Which subsystem
 * a tracepoint belongs to is only known to tracefs (events/SYSTEM/NAME), which is looked at through
 * a mount of our own that no path leads to and that goes away with its descriptor.  */
#include "target/target.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define BTF_PATH "/sys/kernel/btf/vmlinux"
#define TYPEDEF_PREFIX "btf_trace_"
#define ITER_PREFIX "__traceiter_"
enum { MAX_TYPE_DEPTH = 64 }; /* of typedefs, pointers and anonymous members: ends on broken BTF */

struct priv {
  bool tracepoints_tried;
  const char **tracepoints;
  u32 ntracepoints;
  struct strmap named_protos; /* tracepoint to its __traceiter_ function's prototype; once listed */
  struct strmap typedefs;     /* tracepoint to its typedef's id; once listed */
  int events_fd;              /* tracefs's events/; -1: unknown yet, -2: none */
  struct strmap systems;      /* tracepoint to system, as far as asked */
  bool all_systems;
};

/* Names found on the way, for suggestions and lists. */
struct names {
  const char **v;
  u32 n, cap;
};

static struct priv *priv_of(struct target *t)
{
  return t->priv;
}

struct target *target_new(struct arena *a)
{
  struct target *t = NEW(a, struct target);
  struct priv *p = NEW(a, struct priv);
  struct utsname u;
  t->a = a;
  t->release = arena_strdup(a, uname(&u) == 0 ? u.release : "");
  t->priv = p;
  p->events_fd = -1;
  strmap_init(&p->systems, a);
  strmap_init(&p->named_protos, a);
  strmap_init(&p->typedefs, a);
  return t;
}

void target_free(struct target *t)
{
  if (!t)
    return;
  btf__free(t->btf);
  t->btf = NULL;
  if (priv_of(t)->events_fd >= 0)
    close(priv_of(t)->events_fd);
  priv_of(t)->events_fd = -1;
}

/* ---- BTF ------------------------------------------------------------------- */
static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
  (void)level, (void)fmt, (void)ap;
  return 0;
}

/* btf__new() copies what it is given.  Kernels before 6.16 can't map the file, and hand it out by
 * the page.  */
static struct btf *btf_from_fd(struct arena *a, int fd, size_t size)
{
  struct btf *btf;
  void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (p != MAP_FAILED) {
    btf = btf__new(p, (u32)size);
    int err = errno;
    munmap(p, size);
    errno = err;
    return btf;
  }
  size_t len;
  char *text = file_read(a, BTF_PATH, &len);
  return text ? btf__new(text, (u32)len) : NULL;
}

struct btf *target_btf(struct target *t)
{
  if (t->btf_tried)
    return t->btf;
  t->btf_tried = true;
  int fd = open(BTF_PATH, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    t->btf_error = errno == ENOENT
                       ? "this kernel doesn't describe its types: " BTF_PATH
                         " is missing (CONFIG_DEBUG_INFO_BTF is off)"
                       : arena_printf(t->a, "can't open " BTF_PATH ": %s", strerror(errno));
    return NULL;
  }
  struct stat st;
  struct arena *scratch = arena_new();
  libbpf_print_fn_t old = libbpf_set_print(quiet);
  if (fstat(fd, &st) == 0 && st.st_size > 0)
    t->btf = btf_from_fd(scratch, fd, (size_t)st.st_size);
  else
    errno = EINVAL;
  if (!t->btf)
    t->btf_error = arena_printf(t->a, "can't read " BTF_PATH ": %s", strerror(errno));
  libbpf_set_print(old);
  arena_free(scratch);
  close(fd);
  return t->btf;
}

static const struct btf_type *type_at(struct target *t, u32 id)
{
  struct btf *btf = target_btf(t);
  return btf ? btf__type_by_id(btf, id) : NULL;
}

static const char *type_string(struct target *t, u32 off)
{
  const char *s = btf__name_by_offset(t->btf, off);
  return s ? s : "";
}

static u32 find_kind(struct target *t, const char *name, u32 kind)
{
  if (!target_btf(t))
    return 0;
  s32 id = btf__find_by_name_kind(t->btf, name, kind);
  return id > 0 ? (u32)id : 0;
}

static bool is_modifier(const struct btf_type *ty)
{
  switch (btf_kind(ty)) {
  case BTF_KIND_TYPEDEF:
  case BTF_KIND_CONST:
  case BTF_KIND_VOLATILE:
  case BTF_KIND_RESTRICT:
  case BTF_KIND_TYPE_TAG:
    return true;
  default:
    return false;
  }
}

u32 target_type_strip(struct target *t, u32 id)
{
  for (u32 i = 0; i < MAX_TYPE_DEPTH; i++) {
    const struct btf_type *ty = type_at(t, id);
    if (!ty || !is_modifier(ty))
      return ty ? id : 0;
    id = ty->type;
  }
  return 0;
}

const struct btf_type *target_type_stripped(struct target *t, u32 id)
{
  u32 stripped = target_type_strip(t, id);
  return stripped ? type_at(t, stripped) : NULL;
}

u32 target_type_find(struct target *t, const char *name)
{
  static const struct {
    const char *prefix;
    u32 kind;
  } tags[] = {
      {"struct ", BTF_KIND_STRUCT},
      {"union ", BTF_KIND_UNION},
      {"enum ", BTF_KIND_ENUM},
      {"enum ", BTF_KIND_ENUM64},
  };
  u32 id;
  bool tagged = false;
  for (u32 i = 0; i < ARRAY_SIZE(tags); i++) {
    size_t n = strlen(tags[i].prefix);
    if (strncmp(name, tags[i].prefix, n))
      continue;
    tagged = true;
    if ((id = find_kind(t, name + n + strspn(name + n, " "), tags[i].kind)))
      return id;
  }
  if (tagged)
    return 0;
  static const u32 kinds[] = {BTF_KIND_TYPEDEF, BTF_KIND_STRUCT, BTF_KIND_UNION,
                              BTF_KIND_ENUM,    BTF_KIND_ENUM64, BTF_KIND_INT};
  for (u32 i = 0; i < ARRAY_SIZE(kinds); i++)
    if ((id = find_kind(t, name, kinds[i])))
      return id;
  return 0;
}

/* Qualifiers follow what they qualify: "char const*", "struct foo* const". */
static void spell(struct target *t, u32 id, u32 depth, struct strbuf *b)
{
  const struct btf_type *ty = id ? type_at(t, id) : NULL;
  if (id == 0 || !ty || depth > MAX_TYPE_DEPTH) {
    sb_puts(b, id == 0 ? "void" : "?");
    return;
  }
  const char *name = type_string(t, ty->name_off);
  switch (btf_kind(ty)) {
  case BTF_KIND_PTR: {
    const struct btf_type *to = type_at(t, ty->type);
    if (to && btf_is_func_proto(to)) {
      spell(t, to->type, depth + 1, b);
      sb_puts(b, " (*)(");
      for (u32 i = 0; i < btf_vlen(to); i++) {
        if (i)
          sb_puts(b, ", ");
        if (btf_params(to)[i].type == 0)
          sb_puts(b, "...");
        else
          spell(t, btf_params(to)[i].type, depth + 1, b);
      }
      sb_puts(b, btf_vlen(to) ? ")" : "void)");
      return;
    }
    spell(t, ty->type, depth + 1, b);
    sb_putc(b, '*');
    return;
  }
  case BTF_KIND_CONST:
    spell(t, ty->type, depth + 1, b);
    sb_puts(b, " const");
    return;
  case BTF_KIND_VOLATILE:
    spell(t, ty->type, depth + 1, b);
    sb_puts(b, " volatile");
    return;
  case BTF_KIND_RESTRICT:
    spell(t, ty->type, depth + 1, b);
    sb_puts(b, " restrict");
    return;
  case BTF_KIND_TYPE_TAG:
    spell(t, ty->type, depth + 1, b);
    return;
  case BTF_KIND_ARRAY:
    spell(t, btf_array(ty)->type, depth + 1, b);
    sb_printf(b, "[%u]", btf_array(ty)->nelems);
    return;
  case BTF_KIND_STRUCT:
    sb_printf(b, "struct %s", *name ? name : "{...}");
    return;
  case BTF_KIND_UNION:
    sb_printf(b, "union %s", *name ? name : "{...}");
    return;
  case BTF_KIND_FWD:
    sb_printf(b, "%s %s", btf_kflag(ty) ? "union" : "struct", name);
    return;
  case BTF_KIND_ENUM:
  case BTF_KIND_ENUM64:
    sb_printf(b, "enum %s", *name ? name : "{...}");
    return;
  case BTF_KIND_FUNC_PROTO:
    sb_puts(b, "function");
    return;
  default:
    sb_puts(b, *name ? name : "?");
  }
}

const char *target_type_name(struct target *t, u32 id)
{
  struct strbuf b = {0};
  spell(t, id, 0, &b);
  char *s = arena_strdup(t->a, b.s);
  sb_free(&b);
  return s;
}

static bool is_composite(const struct btf_type *ty)
{
  return btf_kind(ty) == BTF_KIND_STRUCT || btf_kind(ty) == BTF_KIND_UNION;
}

/* Depth first, as C looks a name up through anonymous members; collects all names on the way. */
static bool find_member(struct target *t, u32 id, const char *name, u32 base, u32 depth,
                        struct cmember *m, struct names *seen)
{
  const struct btf_type *ty = target_type_stripped(t, id);
  if (!ty || !is_composite(ty) || depth > MAX_TYPE_DEPTH)
    return false;
  for (u32 i = 0; i < btf_vlen(ty); i++) {
    const struct btf_member *bm = &btf_members(ty)[i];
    const char *mname = type_string(t, bm->name_off);
    u32 off = base + btf_member_bit_offset(ty, i);
    if (!*mname) {
      if (find_member(t, bm->type, name, off, depth + 1, m, seen))
        return true;
      continue;
    }
    if (!strcmp(mname, name)) {
      *m = (struct cmember){bm->type, off, btf_member_bitfield_size(ty, i)};
      return true;
    }
    vec_push(t->a, seen, mname);
  }
  return false;
}

/* "a, b, c" */
static const char *first_names(struct target *t, const struct names *seen, u32 max)
{
  const char *list = seen->v[0];
  for (u32 i = 1; i < MIN(seen->n, max); i++)
    list = arena_printf(t->a, "%s, %s", list, seen->v[i]);
  return list;
}

bool target_member(struct target *t, u32 type, const char *name, struct cmember *m,
                   const char **similar)
{
  struct names seen = {0};
  if (find_member(t, type, name, 0, 0, m, &seen))
    return true;
  if (similar && seen.n && !(*similar = diag_similar(t->a, name, seen.v, seen.n, 5)))
    *similar = first_names(t, &seen, 5);
  return false;
}

static s64 enum32_value(const struct btf_type *ty, u32 i)
{
  s32 v = btf_enum(ty)[i].val;
  return btf_kflag(ty) ? v : (s64)(u32)v;
}

bool target_enumerator(struct target *t, const char *name, s64 *value)
{
  if (!target_btf(t))
    return false;
  for (u32 id = 1, n = btf__type_cnt(t->btf); id < n; id++) {
    const struct btf_type *ty = btf__type_by_id(t->btf, id);
    if (btf_is_enum(ty)) {
      for (u32 i = 0; i < btf_vlen(ty); i++)
        if (!strcmp(type_string(t, btf_enum(ty)[i].name_off), name)) {
          *value = enum32_value(ty, i);
          return true;
        }
    } else if (btf_is_enum64(ty)) {
      for (u32 i = 0; i < btf_vlen(ty); i++)
        if (!strcmp(type_string(t, btf_enum64(ty)[i].name_off), name)) {
          *value = (s64)btf_enum64_value(&btf_enum64(ty)[i]);
          return true;
        }
    }
  }
  return false;
}

const char *target_enumname(struct target *t, u32 type, s64 value)
{
  const struct btf_type *ty = target_type_stripped(t, type);
  if (ty && btf_is_enum(ty)) {
    for (u32 i = 0; i < btf_vlen(ty); i++)
      if (enum32_value(ty, i) == value)
        return type_string(t, btf_enum(ty)[i].name_off);
  } else if (ty && btf_is_enum64(ty)) {
    for (u32 i = 0; i < btf_vlen(ty); i++)
      if ((s64)btf_enum64_value(&btf_enum64(ty)[i]) == value)
        return type_string(t, btf_enum64(ty)[i].name_off);
  }
  return NULL;
}

/* ---- tracepoints ----------------------------------------------------------------- */
static int compare_names(const void *a, const void *b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void *id_ptr(u32 id)
{
  return (void *)(uintptr_t)id;
}

static u32 ptr_id(void *p)
{
  return (u32)(uintptr_t)p;
}

static const char *after_prefix(const char *s, const char *prefix)
{
  size_t n = strlen(prefix);
  return strncmp(s, prefix, n) ? NULL : s + n;
}

u32 target_tracepoints(struct target *t, const char *const **names)
{
  struct priv *p = priv_of(t);
  if (!p->tracepoints_tried && target_btf(t)) {
    struct names found = {0};
    const char *name;
    for (u32 id = 1, n = btf__type_cnt(t->btf); id < n; id++) {
      const struct btf_type *ty = btf__type_by_id(t->btf, id);
      if (btf_is_typedef(ty) &&
          (name = after_prefix(type_string(t, ty->name_off), TYPEDEF_PREFIX))) {
        /* several declarations of one tracepoint are one */
        if (!strmap_get(&p->typedefs, name))
          vec_push(t->a, &found, name);
        strmap_put(&p->typedefs, name, id_ptr(id));
      } else if (btf_is_func(ty) &&
                 (name = after_prefix(type_string(t, ty->name_off), ITER_PREFIX))) {
        strmap_put(&p->named_protos, name, id_ptr(ty->type));
      }
    }
    if (found.n)
      qsort(found.v, found.n, sizeof(*found.v), compare_names);
    p->tracepoints = found.v;
    p->ntracepoints = found.n;
  }
  p->tracepoints_tried = true;
  *names = p->tracepoints;
  return p->ntracepoints;
}

/* The id of the type "PREFIXname". */
static u32 find_prefixed(struct target *t, const char *prefix, const char *name, u32 kind)
{
  char full[256];
  if ((size_t)snprintf(full, sizeof(full), "%s%s", prefix, name) >= sizeof(full))
    return 0;
  return find_kind(t, full, kind);
}

/* Its number of parameters if a type is a prototype that may be a tracepoint's, else 0. */
static u32 proto_params(struct target *t, u32 id)
{
  const struct btf_type *ty = id ? type_at(t, id) : NULL;
  return ty && btf_is_func_proto(ty) ? btf_vlen(ty) : 0;
}

u32 target_tracepoint_proto(struct target *t, const char *name)
{
  struct priv *p = priv_of(t);
  u32 id, named;
  if (!*name)
    return 0;
  if (p->ntracepoints) {
    id = ptr_id(strmap_get(&p->typedefs, name));
    named = ptr_id(strmap_get(&p->named_protos, name));
  } else {
    const struct btf_type *fn;
    id = find_prefixed(t, TYPEDEF_PREFIX, name, BTF_KIND_TYPEDEF);
    named = id ? find_prefixed(t, ITER_PREFIX, name, BTF_KIND_FUNC) : 0;
    fn = named ? type_at(t, named) : NULL;
    named = fn ? fn->type : 0;
  }
  const struct btf_type *def = id ? type_at(t, id) : NULL;
  const struct btf_type *ptr = def ? type_at(t, def->type) : NULL;
  u32 nparams = ptr && btf_is_ptr(ptr) ? proto_params(t, ptr->type) : 0;
  if (nparams < 1)
    return 0;
  return proto_params(t, named) == nparams ? named : ptr->type;
}

static int own_tracefs(void)
{
  int events = -1;
  int fs = (int)syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC);
  if (fs < 0)
    return -1;
  if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0) {
    int mnt = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
    if (mnt >= 0) {
      events = openat(mnt, "events", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      close(mnt);
    }
  }
  close(fs);
  return events;
}

/* Descriptor of tracefs's events/, or negative. */
static int events_dir(struct priv *p)
{
  static const char *const places[] = {"/sys/kernel/tracing/events",
                                       "/sys/kernel/debug/tracing/events"};
  if (p->events_fd != -1)
    return p->events_fd;
  for (u32 i = 0; i < ARRAY_SIZE(places) && p->events_fd < 0; i++)
    p->events_fd = open(places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (p->events_fd < 0)
    p->events_fd = own_tracefs();
  if (p->events_fd < 0)
    p->events_fd = -2;
  return p->events_fd;
}

static DIR *open_dir_at(int fd, const char *name)
{
  int d = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = d >= 0 ? fdopendir(d) : NULL;
  if (d >= 0 && !dir)
    close(d);
  return dir;
}

/* Notes the system of one tracepoint, or with name NULL of all. */
static void read_systems(struct target *t, const char *name)
{
  struct priv *p = priv_of(t);
  int fd = events_dir(p);
  DIR *dir = fd >= 0 ? open_dir_at(fd, ".") : NULL;
  if (!dir)
    return;
  for (struct dirent *sys; (sys = readdir(dir));) {
    char path[2 * NAME_MAX];
    if (sys->d_name[0] == '.' || sys->d_type != DT_DIR)
      continue;
    if (name) {
      if ((size_t)snprintf(path, sizeof(path), "%s/%s", sys->d_name, name) < sizeof(path) &&
          faccessat(fd, path, F_OK, 0) == 0) {
        strmap_put(&p->systems, arena_strdup(t->a, name), arena_strdup(t->a, sys->d_name));
        break;
      }
      continue;
    }
    char *system = arena_strdup(t->a, sys->d_name);
    DIR *events = open_dir_at(fd, system);
    for (struct dirent *ev; events && (ev = readdir(events));)
      if (ev->d_name[0] != '.' && ev->d_type == DT_DIR && !strmap_get(&p->systems, ev->d_name))
        strmap_put(&p->systems, arena_strdup(t->a, ev->d_name), system);
    if (events)
      closedir(events);
  }
  closedir(dir);
}

const char *target_tracepoint_system(struct target *t, const char *name)
{
  struct priv *p = priv_of(t);
  const char *system = strmap_get(&p->systems, name);
  if (system || p->all_systems || strchr(name, '/') || name[0] == '.')
    return system;
  read_systems(t, name);
  return strmap_get(&p->systems, name);
}

bool target_tracepoint_systems(struct target *t)
{
  struct priv *p = priv_of(t);
  if (!p->all_systems) {
    read_systems(t, NULL);
    p->all_systems = true;
  }
  return p->systems.n > 0;
}

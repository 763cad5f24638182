/* The tapset's index.  An input that starts with "tapset-index" is an index over a directory of three files; it is read, and must
 * never make the reader see a file that isn't there.  Any other is a library file, which the index's writer scans; the
 * index it writes must be one that its reader trusts.  */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elaborate/tapset.h"
#include "fuzz.h"

static char dir[] = "/tmp/stap-fuzz-index.XXXXXX";
static FILE *nowhere;

static void put(const char *name, const void *text, size_t n)
{
  char path[128];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  FILE *f = fopen(path, "w");
  if (!f || fwrite(text, 1, n, f) != n || fclose(f))
    fuzz_bug("%s can't be written", path);
  struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
  utimensat(AT_FDCWD, path, times, 0);
}

static void take(const char *name)
{
  char path[128];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  unlink(path);
}

static void clean(void)
{
  take("a.stp");
  take("b.stp");
  take("m.stpm");
  take("index");
  rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  nowhere = fopen("/dev/null", "w");
  if (!nowhere || !mkdtemp(dir))
    fuzz_bug("no directory");
  atexit(clean);
  setenv("SYSTEMTAP_TAPSET", "/nonexistent", 1);
  return 0;
}

/* Opens the directory and loads everything that its index tells. */
static struct tapset *open_all(struct arena *a)
{
  static const char *const dirs[] = {dir};
  struct diag *d = NEW(a, struct diag);
  diag_init(d, a, nowhere);
  struct tapset *t = tapset_open(a, d, "x86_64", dirs, 1);
  struct parse_env env = {.a = a, .diag = d, .kernel_vr = "6.1.0", .arch = "x86_64", .runtime = "bpf", .compat = "5.2", .privilege = "stapdev"};
  env.macros = NEW(a, struct strmap);
  strmap_init(env.macros, a);
  t->penv = &env;
  for (u32 i = 0; i < t->entries.n; i++)
    tapset_load(t, t->entries.v[i].kind, t->entries.v[i].name);
  tapset_load_macros(t, "@m @twice", 9);
  t->penv = NULL;
  return t;
}

static void read_index(const u8 *data, size_t size)
{
  put("a.stp", "function f() { }\n", 17);
  put("b.stp", "global g\n", 9);
  put("m.stpm", "@define m %( 1 %)\n", 18);
  put("index", data, size);
  struct arena *a = arena_new();
  struct tapset *t = open_all(a);
  for (u32 i = 0; i < t->files.n; i++)
    if (access(t->files.v[i]->path, R_OK))
      fuzz_bug("the index brought in %s", t->files.v[i]->path);
  arena_free(a);
}

static void scan(const u8 *data, size_t size)
{
  take("b.stp");
  take("m.stpm");
  put("a.stp", data, size);
  struct arena *a = arena_new();
  char *text = NULL;
  size_t n = 0;
  FILE *out = open_memstream(&text, &n);
  if (tapset_write_index(a, dir, out))
    fuzz_bug("no index written");
  fclose(out);
  take("index");
  u32 scanned = open_all(a)->entries.n;
  put("index", text, n);
  u32 indexed = open_all(a)->entries.n;
  if (scanned != indexed)
    fuzz_bug("%u declarations scanned, %u in the index:\n%s", scanned, indexed, text);
  free(text);
  arena_free(a);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
  bool is_index = size > 12 && !memcmp(data, "tapset-index", 12);
  (is_index ? read_index : scan)(data, size);
  return 0;
}

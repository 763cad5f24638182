/* The system-call table: complete for this machine's headers, well-formed, and with the probes
 * and variables that SystemTap's users know (tests/data/syscall_signatures.txt).  */
#include "probe/syscall_table.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static u32 failures;
#define CHECK(cond, ...)                                                                           \
  do {                                                                                             \
    if (!(cond)) {                                                                                 \
      failures++;                                                                                  \
      fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                              \
      fprintf(stderr, __VA_ARGS__);                                                                \
      fputc('\n', stderr);                                                                         \
    }                                                                                              \
  } while (0)

static void test_headers(void)
{
  static const char *const paths[] = {"/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
                                      "/usr/include/asm/unistd_64.h"};
  FILE *f = NULL;
  for (u32 i = 0; !f && i < ARRAY_SIZE(paths); i++)
    f = fopen(paths[i], "r");
  CHECK(f, "no asm/unistd_64.h: kernel headers are not installed");
  if (!f)
    return;
  char line[256], name[64];
  u32 nr, n = 0;
  while (fgets(line, sizeof(line), f))
    if (sscanf(line, "#define __NR_%63s %u", name, &nr) == 2) {
      const struct syscall_row *r = syscall_by_number(nr);
      n++;
      CHECK(r && !strcmp(r->name, name), "%u: %s, not %s", nr, r ? r->name : "no row", name);
    }
  fclose(f);
  CHECK(n > 300, "only %u calls in the header", n);
}

/* "%d", "0x%x", "%#o": one conversion of an integer. */
static bool one_conversion(const char *fmt)
{
  u32 n = 0;
  for (; *fmt; fmt++)
    if (*fmt == '%') {
      fmt += strspn(fmt + 1, "#") + 1;
      if (!*fmt || !strchr("duxo", *fmt))
        return false;
      n++;
    }
  return n == 1;
}

static void test_kinds(void)
{
  for (u32 k = 0; k < SYSCALL_KINDS; k++) {
    const struct syscall_kind_info *i = &syscall_kinds[k];
    bool text = i->class == SC_STRING || i->class == SC_BUFFER || i->class == SC_DIRFD;
    CHECK(text ? !i->fmt : i->fmt && one_conversion(i->fmt), "%s: format", i->name);
    bool table = i->class == SC_FLAGS || i->class == SC_ENUM;
    CHECK(table == (i->values != NULL), "%s: table", i->name);
    for (u32 n = 0; i->values && n < i->values->n; n++) {
      const struct syscall_value *v = &i->values->v[n];
      CHECK(v->name[0] && !(v->value & ~v->mask), "%s: %s", i->name, v->name);
      CHECK(i->class == SC_FLAGS ? v->mask && v->mask != ~0ull : v->mask == ~0ull, "%s: %s mask",
            i->name, v->name);
      for (u32 m = 0; m < n; m++) {
        const struct syscall_value *w = &i->values->v[m];
        CHECK(w->mask != v->mask || w->value != v->value, "%s: %s is %s", i->name, v->name,
              w->name);
        CHECK(i->class == SC_ENUM || w->mask != v->mask || v->value, "%s: %s comes after %s",
              i->name, v->name, w->name);
      }
    }
  }
}

/* A value that an argument of this width can't have would never be named. */
static bool fits(u64 value, enum syscall_width w)
{
  switch (w) {
  case W_S32:
    return (s64)value == (s32)value;
  case W_U32:
    return value == (u32)value;
  case W_U16:
    return value == (u16)value;
  case W_64:
    return true;
  }
  return false;
}

static void test_vars(const struct syscall_row *r, const struct syscall_var *vars)
{
  u32 nargs = syscall_nargs(r);
  for (const struct syscall_var *v = vars; v->name; v++) {
    for (const struct syscall_var *w = vars; w < v; w++)
      CHECK(strcmp(v->name, w->name), "%s: two variables %s", r->name, v->name);
    switch (v->kind) {
    case SV_NUM:
    case SV_TEXT:
    case SV_PLAIN:
    case SV_LOAD32:
    case SV_LOAD64:
    case SV_FIELD:
      CHECK(v->arg < nargs, "%s: %s uses argument %u of %u", r->name, v->name, v->arg, nargs);
      break;
    default:
      break;
    }
    if (v->kind == SV_TEXT)
      CHECK(syscall_var_decode(r, v) < SYSCALL_KINDS, "%s: %s", r->name, v->name);
    if (v->kind == SV_PLAIN || v->kind == SV_FIELD || v->kind == SV_LOAD32 || v->kind == SV_LOAD64)
      CHECK(strchr(r->args[v->arg].ctype, '*') || r->args[v->arg].width == W_64,
            "%s: %s is read through \"%s\"", r->name, v->name, r->args[v->arg].ctype);
  }
}

static void test_rows(void)
{
  for (u32 i = 0; i < syscall_nrows; i++) {
    const struct syscall_row *r = &syscall_rows[i];
    u32 n = syscall_nargs(r);
    CHECK(!i || r[-1].nr < r->nr, "%s: out of order", r->name);
    CHECK(syscall_by_number(r->nr) == r, "%s: not found by number", r->name);
    CHECK(n <= 6, "%s: %u arguments", r->name, n);
    for (u32 k = 0; k < SYSCALL_MAX_ARGS; k++) {
      const struct syscall_arg *a = &r->args[k];
      CHECK((k < n) == (a->name != NULL), "%s: argument %u", r->name, k);
      if (k >= n)
        continue;
      CHECK(syscall_arg_index(r, a->name) == (int)k, "%s: two arguments %s", r->name, a->name);
      CHECK(!strchr(a->ctype, '*') || a->width == W_64, "%s: width of %s", r->name, a->name);
      const struct syscall_kind_info *kind = &syscall_kinds[a->kind];
      for (u32 m = 0; kind->class == SC_ENUM && m < kind->values->n; m++)
        CHECK(fits(kind->values->v[m].value, a->width), "%s: %s can't be %s", r->name, a->name,
              kind->values->v[m].name);
      bool buf = kind->class == SC_BUFFER;
      CHECK(buf ? a->len_arg >= 0 && (u32)a->len_arg < n : a->len_arg == -1, "%s: length of %s",
            r->name, a->name);
      if (kind->class == SC_STRING || buf)
        CHECK(strstr(a->ctype, "char *") || strstr(a->ctype, "void *"), "%s: \"%s\" %s", r->name,
              a->ctype, a->name);
    }
    struct syscall_piece buf[SYSCALL_MAX_ARGS + 1];
    for (const struct syscall_piece *p = syscall_pieces(r, buf); p->arg >= 0; p++)
      CHECK((u32)p->arg < n && p->when_arg < (int)n, "%s: argstr", r->name);
    test_vars(r, r->vars);
    test_vars(r, r->rvars);
    CHECK(syscall_var(r, false, "__nr") && syscall_var(r, false, "name") &&
              syscall_var(r, false, "argstr"),
          "%s: common variables", r->name);
    CHECK(syscall_var(r, true, "__nr") && syscall_var(r, true, "name") &&
              syscall_var(r, true, "retval") && syscall_var(r, true, "retstr"),
          "%s: common variables of the return probe", r->name);
  }
}

/* A handler is written for a probe, not for a row: rows of one probe have the same variables. */
static void test_shared_probes(void)
{
  for (u32 i = 0; i < syscall_nrows; i++) {
    const struct syscall_row *first = syscall_next(syscall_rows[i].probe, NULL);
    bool met = false;
    for (const struct syscall_row *r = first; r; r = syscall_next(first->probe, r)) {
      met |= r == &syscall_rows[i];
      for (int ret = 0; ret < 2; ret++)
        for (const struct syscall_var *v = ret ? first->rvars : first->vars; v->name; v++) {
          const struct syscall_var *w = syscall_var(r, ret, v->name);
          CHECK(w && syscall_var_is_string(v->kind) == syscall_var_is_string(w->kind),
                "%s: %s is not like %s's", r->name, v->name, first->name);
        }
    }
    CHECK(met, "%s: not among the rows of %s", syscall_rows[i].name, first->probe);
  }
  CHECK(syscall_next("pread64", NULL) == syscall_by_number(17), "pread64 by the kernel's name");
  CHECK(!syscall_next("no_such_call", NULL), "a row for a name that is none");
  CHECK(!syscall_by_number(400) && !syscall_by_number(~0u), "a row for a number that is none");
}

static void test_kernels(void)
{
  u32 old = 0, new = 0;
  for (u32 i = 0; i < syscall_nrows; i++) {
    const struct syscall_row *r = &syscall_rows[i];
    bool in_old = syscall_in_kernel(r, SYSCALL_KERNEL(6, 1));
    bool in_new = syscall_in_kernel(r, SYSCALL_KERNEL(6, 18));
    CHECK(!in_old || in_new, "%s: in 6.1, not in 6.18", r->name);
    CHECK(in_new == (r->kfunc != NULL), "%s: in 6.18 or not", r->name);
    old += in_old;
    new += in_new;
  }
  CHECK(new == old + 21, "%u calls in 6.18, %u in 6.1", new, old);
  const struct syscall_row *r = syscall_next("cachestat", NULL);
  CHECK(!syscall_in_kernel(r, SYSCALL_KERNEL(6, 4)), "cachestat before 6.5");
  CHECK(syscall_in_kernel(r, SYSCALL_KERNEL(6, 5)), "no cachestat in 6.5");
}

static void describe(struct strbuf *b, const char *probe, bool is_return)
{
  sb_reset(b);
  const struct syscall_row *r = syscall_next(probe, NULL);
  sb_puts(b, "");
  if (r)
    syscall_describe(b, r, is_return);
}

static void test_open(void)
{
  struct strbuf b = {0};
  describe(&b, "open", false);
  const char *want = "syscall.open filename:string mode:long __nr:long name:string flags:long "
                     "argstr:string $filename:long int $flags:long int $mode:long int";
  CHECK(!strcmp(b.s, want), "%s", b.s);
  describe(&b, "open", true);
  want = "syscall.open.return __nr:long name:string retval:long retstr:string "
         "$return:long int $filename:long int $flags:long int $mode:long int";
  CHECK(!strcmp(b.s, want), "%s", b.s);
  sb_free(&b);

  const struct syscall_row *r = syscall_by_number(2);
  struct syscall_piece buf[SYSCALL_MAX_ARGS + 1];
  const struct syscall_piece *p = syscall_pieces(r, buf);
  CHECK(p[0].arg == 0 && p[0].when_arg == -1 && p[1].arg == 1, "open's argstr");
  CHECK(p[2].arg == 2 && p[2].when_arg == 1 && p[2].when_mask == 0100, "open's mode");
  CHECK(p[3].arg == -1, "open's argstr has no end");
  const struct syscall_var *v = syscall_var(r, false, "flags_str");
  CHECK(v && v->hidden && syscall_var_decode(r, v) == K_OPEN_FLAGS, "open's flags_str");
}

/* Lines are "syscall.read __nr:long name:string fd:long …", without the raw arguments. */
static void test_signatures(const char *path)
{
  FILE *f = fopen(path, "r");
  CHECK(f, "%s: can't be read", path);
  if (!f)
    return;
  struct strbuf b = {0};
  char line[1024];
  u32 n = 0;
  while (fgets(line, sizeof(line), f)) {
    line[strcspn(line, "\n")] = 0;
    if (line[0] == '#' || !line[0])
      continue;
    n++;
    char probe[64];
    if (sscanf(line, "syscall.%63[^ .]", probe) != 1) {
      CHECK(false, "%s: %s", path, line);
      continue;
    }
    describe(&b, probe, strstr(line, ".return ") != NULL);
    char *raw = strstr(b.s, " $");
    if (raw)
      *raw = 0;
    CHECK(!strcmp(b.s, line), "%s\n  is listed as %s", line, b.s);
  }
  CHECK(n > 250, "%s: only %u lines", path, n);
  sb_free(&b);
  fclose(f);
}

int main(int argc, char **argv)
{
  test_headers();
  test_kinds();
  test_rows();
  test_shared_probes();
  test_kernels();
  test_open();
  test_signatures(argc > 1 ? argv[1] : "tests/data/syscall_signatures.txt");
  if (failures)
    fprintf(stderr, "%u failures\n", failures);
  return failures != 0;
}

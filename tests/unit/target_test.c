/* What the running kernel says of itself: types, tracepoints, subsystems, configuration.  Facts
 * that hold for any Linux on x86-64; what this kernel or this user can't read is skipped, by name.
 */
#include "target/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static u32 checks, failures;

#define CHECK(cond) check((cond), #cond, __LINE__)
static void check(bool ok, const char *text, int line)
{
  checks++;
  if (ok)
    return;
  failures++;
  fprintf(stderr, "target_test.c:%d: failed: %s\n", line, text);
}

static void check_str(const char *got, const char *want, int line)
{
  checks++;
  if (got && !strcmp(got, want))
    return;
  failures++;
  fprintf(stderr, "target_test.c:%d: got '%s', want '%s'\n", line, got ? got : "(null)", want);
}
#define CHECK_STR(got, want) check_str((got), (want), __LINE__)

static void test_types(struct target *t)
{
  struct cmember m;
  u32 task = target_type_find(t, "struct task_struct");
  CHECK(task != 0);
  CHECK(target_type_find(t, "task_struct") == task);
  CHECK_STR(target_type_name(t, task), "struct task_struct");
  CHECK(target_type_find(t, "struct no_such_structure_at_all") == 0);
  CHECK(target_type_find(t, "union task_struct") == 0);

  CHECK(target_member(t, task, "pid", &m, NULL) && m.bit_size == 0 && m.bit_off % 32 == 0);
  CHECK_STR(target_type_name(t, m.type), "pid_t");
  CHECK_STR(target_type_name(t, target_type_strip(t, m.type)), "int");
  CHECK(target_member(t, task, "comm", &m, NULL));
  CHECK_STR(target_type_name(t, m.type), "char[16]");
  CHECK(target_member(t, task, "mm", &m, NULL));
  CHECK_STR(target_type_name(t, m.type), "struct mm_struct*");
  CHECK(target_member(t, task, "sched_remote_wakeup", &m, NULL) && m.bit_size == 1);

  const char *similar = NULL;
  CHECK(!target_member(t, task, "tgidd", &m, &similar));
  CHECK(similar && strstr(similar, "tgid"));
  CHECK(!target_member(t, 0, "x", &m, NULL));
  CHECK(!target_member(t, UINT32_MAX, "x", &m, NULL));
  CHECK(target_type_strip(t, UINT32_MAX) == 0);
  CHECK(!target_type_stripped(t, 0) && !target_type_stripped(t, UINT32_MAX));
  CHECK_STR(target_type_name(t, 0), "void");

  /* through an anonymous union: struct page's first word is followed by one */
  u32 page = target_type_find(t, "struct page");
  CHECK(target_member(t, page, "lru", &m, NULL) && m.bit_off == 64);

  s64 v = 0;
  CHECK(target_enumerator(t, "PIDTYPE_TGID", &v) && v == 1);
  CHECK(!target_enumerator(t, "NO_SUCH_ENUMERATOR", &v));
  CHECK_STR(target_enumname(t, target_type_find(t, "enum pid_type"), 0), "PIDTYPE_PID");
  CHECK(!target_enumname(t, target_type_find(t, "enum pid_type"), 999));
  CHECK(!target_enumname(t, task, 0));
}

static bool listed(const char *const *names, u32 n, const char *name)
{
  for (u32 i = 0; i < n; i++)
    if (!strcmp(names[i], name))
      return true;
  return false;
}

static void test_tracepoints(struct target *t)
{
  const char *const *names;
  u32 n = target_tracepoints(t, &names);
  CHECK(n > 100);
  CHECK(listed(names, n, "sched_switch"));
  CHECK(listed(names, n, "sys_enter"));
  CHECK(!listed(names, n, "sched_swich"));
  for (u32 i = 1; i < n; i++)
    CHECK(strcmp(names[i - 1], names[i]) < 0);
  for (u32 i = 0; i < n; i++)
    CHECK(target_tracepoint_proto(t, names[i]) != 0);
  CHECK(target_tracepoint_proto(t, "sched_swich") == 0);
  CHECK(target_tracepoint_proto(t, "") == 0);
  char *longname = calloc(1, 5000);
  memset(longname, 'x', 4999);
  CHECK(target_tracepoint_proto(t, longname) == 0);
  free(longname);
}

static void test_systems(struct target *one, struct target *all)
{
  if (!target_tracepoint_system(one, "sched_switch")) {
    printf("target_test: skipped: tracefs can't be read\n");
    return;
  }
  CHECK_STR(target_tracepoint_system(one, "sched_switch"), "sched");
  CHECK_STR(target_tracepoint_system(one, "sys_exit"), "raw_syscalls");
  CHECK(!target_tracepoint_system(one, "no_such_tracepoint"));
  CHECK(!target_tracepoint_system(one, "../sched/sched_switch"));
  CHECK(target_tracepoint_systems(all));
  CHECK_STR(target_tracepoint_system(all, "sched_switch"), "sched");
  CHECK_STR(target_tracepoint_system(all, "irq_handler_entry"), "irq");
  CHECK(!target_tracepoint_system(all, "no_such_tracepoint"));
}

static void test_kconfig(struct target *t)
{
  const char *v;
  s64 r = target_kconfig(t, "CONFIG_64BIT", &v);
  if (r < 0) {
    printf("target_test: skipped: no kernel configuration\n");
    return;
  }
  CHECK(r == 1);
  CHECK_STR(v, "y");
  CHECK(target_kconfig(t, "CONFIG_64BI", &v) == 0 && !v);
  CHECK(target_kconfig(t, "CONFIG_HZ", &v) == 1 && v && atoi(v) >= 100);
}

static void test_features(struct target *t)
{
  struct features f;
  target_features(t, &f);
  CHECK(f.bpf == (f.bpf_errno == 0));
  const char *why = target_bpf_refusal(t, &f);
  CHECK(f.bpf ? !why : why && strstr(why, "--runtime=user"));
  struct features none = {.bpf_errno = 1 /* EPERM */};
  CHECK(strstr(target_bpf_refusal(t, &none), "CAP_BPF and CAP_PERFMON are missing"));
  none.has_cap_bpf = true;
  CHECK(strstr(target_bpf_refusal(t, &none), "CAP_PERFMON is missing"));
}

int main(void)
{
  struct arena *a = arena_new();
  struct target *t = target_new(a), *t2 = target_new(a);
  test_features(t);
  test_kconfig(t);
  test_systems(t, t2);
  if (target_btf(t)) {
    CHECK(target_btf(t) == target_btf(t));
    test_types(t);
    test_tracepoints(t);
  } else {
    CHECK(t->btf_error);
    printf("target_test: skipped: %s\n", t->btf_error);
  }
  target_free(t);
  target_free(t2);
  arena_free(a);
  printf("target_test: %u checks, %u failed\n", checks, failures);
  return failures != 0;
}

/* What this kernel lets this process do: capabilities, and whether a program that does nothing can
 * be loaded.  */
#include "target/target.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool has_cap(const struct __user_cap_data_struct data[2], u32 cap)
{
  return data[cap / 32].effective >> cap % 32 & 1;
}

/* Loads a tracing program: 0 or an error. */
static int try_load(const struct bpf_insn *insns, u32 n)
{
  union bpf_attr attr = {
      .prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT,
      .insns = (uintptr_t)insns,
      .insn_cnt = n,
      .license = (uintptr_t) "GPL",
  };
  int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
  if (fd < 0)
    return errno;
  close(fd);
  return 0;
}

bool target_may_goto(void)
{
  static const struct bpf_insn turn[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
      {.code = MAY_GOTO, .off = 1},
      {.code = BPF_JMP | BPF_JA, .off = -2},
      {.code = BPF_JMP | BPF_EXIT},
  };
  return try_load(turn, ARRAY_SIZE(turn)) == 0;
}

void target_features(struct target *t, struct features *f)
{
  (void)t;
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {0};
  /* what the least of scripts needs */
  static const struct bpf_insn nothing[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
      {.code = BPF_JMP | BPF_EXIT},
  };
  *f = (struct features){0};
  if (syscall(SYS_capget, &head, data) == 0) {
    f->has_cap_bpf = has_cap(data, CAP_BPF);
    f->has_cap_perfmon = has_cap(data, CAP_PERFMON);
    f->has_cap_sys_admin = has_cap(data, CAP_SYS_ADMIN);
  }
  f->bpf_errno = try_load(nothing, ARRAY_SIZE(nothing));
  f->bpf = f->bpf_errno == 0;
}

const char *target_bpf_refusal(struct target *t, const struct features *f)
{
  static const char way_out[] =
      "scripts without kernel probes can be run by anyone with --runtime=user";
  if (f->bpf)
    return NULL;
  if (f->bpf_errno == ENOSYS)
    return arena_printf(t->a, "this kernel is built without bpf(2) (CONFIG_BPF_SYSCALL); %s",
                        way_out);
  if (f->bpf_errno == EPERM || f->bpf_errno == EACCES) {
    bool bpf = f->has_cap_bpf || f->has_cap_sys_admin;
    bool perfmon = f->has_cap_perfmon || f->has_cap_sys_admin;
    const char *missing = !bpf && !perfmon ? "CAP_BPF and CAP_PERFMON are"
                          : !bpf           ? "CAP_BPF is"
                          : !perfmon       ? "CAP_PERFMON is"
                                           : NULL;
    if (missing)
      return arena_printf(t->a,
                          "not permitted to load BPF programs: %s missing; run stap as root; "
                          "%s",
                          missing, way_out);
    return arena_printf(
        t->a,
        "the kernel refuses to load BPF programs (%s) although this process has the "
        "capabilities: a lockdown, seccomp or LSM policy forbids it; %s",
        strerror(f->bpf_errno), way_out);
  }
  return arena_printf(t->a, "the kernel doesn't load a BPF program that does nothing: %s; %s",
                      strerror(f->bpf_errno), way_out);
}

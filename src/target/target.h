/* What is being traced: the running kernel's types (BTF), tracepoints and features.
 * Everything is read lazily: hello world opens none of it.  */
#ifndef STAP_TARGET_TARGET_H
#define STAP_TARGET_TARGET_H

#include "base/base.h"

struct btf; /* libbpf */
struct btf_type;

struct target {
  struct arena *a;
  struct btf *btf;         /* NULL until target_btf() */
  bool btf_tried;
  const char *btf_error;   /* why there is none */
  const char *release;     /* uname -r */
  char *kconfig;           /* text of the kernel's configuration; NULL until asked */
  struct strmap missing_calls; /* kallsyms.c's own; its arena is NULL until asked */
  void *priv;              /* target.c's own: tracepoint lists … */
};
struct target *target_new(struct arena *a);
void target_free(struct target *t);
/* The kernel's BTF (/sys/kernel/btf/vmlinux), or NULL with t->btf_error set. */
struct btf *target_btf(struct target *t);

/* Raw tracepoints of the running kernel, from BTF's btf_trace_NAME typedefs. */
u32 target_tracepoints(struct target *t, const char *const **names); /* sorted */
/* BTF id of the tracepoint's function prototype (its first parameter is the void *__data), or 0.
 * Its parameters have names where the kernel's BTF has them at all.  */
u32 target_tracepoint_proto(struct target *t, const char *name);
/* The subsystem a tracepoint belongs to ("sched"), as tracefs has it; NULL: not known. */
const char *target_tracepoint_system(struct target *t, const char *name);
/* Learns the subsystems of all tracepoints at once; false when tracefs can't be read. */
bool target_tracepoint_systems(struct target *t);

/* Type's spelling as -L shows it: "struct task_struct*", "long int", "char const*". */
const char *target_type_name(struct target *t, u32 id);
/* Strips typedefs, const, volatile, restrict, type tags. */
u32 target_type_strip(struct target *t, u32 id);
/* What is left when a type is stripped; NULL for void, and where no types are known. */
const struct btf_type *target_type_stripped(struct target *t, u32 id);
/* Struct, union, enum or typedef of that name ("struct foo", "foo", "union x"); 0: none. */
u32 target_type_find(struct target *t, const char *name);
struct cmember {
  u32 type;                /* BTF id */
  u32 bit_off, bit_size;   /* bit_size != 0: a bit-field */
};
/* Member of a struct or union, looked up through anonymous members.  False: none; *similar then
 * may hold near names, or some.  */
bool target_member(struct target *t, u32 type, const char *name, struct cmember *m,
                   const char **similar);
/* Value of an enumerator, or the name of the enumerator of an enum type with a value. */
bool target_enumerator(struct target *t, const char *name, s64 *value);
const char *target_enumname(struct target *t, u32 type, s64 value);
/* An option of the running kernel's configuration (/proc/config.gz, /boot/config-RELEASE, …) by
 * its name, "CONFIG_HZ".  1 and its text ("y", "m", "250", strings with their quotes) when it is
 * set; 0 when it is not; -1 when there is no configuration to look in.  */
s64 target_kconfig(struct target *t, const char *name, const char **value);
/* Jiffies per second, CONFIG_HZ; the usual 250 when there is no configuration to look in. */
s64 target_hz(struct target *t);

/* Whether the running kernel was built without a system call, by the name of its function
 * ("newstat"); false where the symbol table can't be read.  The first question takes 50 ms.  */
bool target_syscall_missing(struct target *t, const char *function);

/* What the running kernel and this process's capabilities allow. */
struct features {
  bool bpf;                /* programs can be loaded at all */
  int bpf_errno;           /* why not */
  bool has_cap_bpf, has_cap_perfmon, has_cap_sys_admin;
};
void target_features(struct target *t, struct features *f);
/* Whether programs may jump backwards behind the instruction may_goto (Linux 6.9; its code is not in
 * every linux/bpf.h).  Asks the kernel by loading a program.  */
enum { MAY_GOTO = 0xe5 }; /* BPF_JMP | BPF_JCOND */
bool target_may_goto(void);
/* Why programs can't be loaded, and what to do, as one message for the user; NULL: they can. */
const char *target_bpf_refusal(struct target *t, const struct features *f);

#endif

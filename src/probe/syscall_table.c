/* System-call rows and the value tables of their decoders, made from the .def files beside this
 * one by including each with the macros that its head describes.  */
#include "probe/syscall_table.h"

#include <string.h>

/* ---- value tables: values_KIND ------------------------------------------------------- */
#define F(name, bit) {(u64)(bit), (u64)(bit), #name},
#define M(name, mask, value) {(u64)(mask), (u64)(value), #name},
#define E(name, value) {~0ull, (u64)(s64)(value), #name},
#define FLAGS(kind, zero, ...)                                                                     \
  static const struct syscall_value v_##kind[] = {__VA_ARGS__};                                    \
  static const struct syscall_values values_##kind = {ARRAY_SIZE(v_##kind), v_##kind, zero};
#define ENUM(kind, ...) FLAGS(kind, NULL, __VA_ARGS__)
#include "probe/syscall_values.def"
#undef F
#undef M
#undef E
#undef FLAGS
#undef ENUM

/* A kind's table is chosen by its class, so that the others need none. */
#define VALUES_SC_NUM(name) NULL
#define VALUES_SC_DIRFD(name) NULL
#define VALUES_SC_STRING(name) NULL
#define VALUES_SC_BUFFER(name) NULL
#define VALUES_SC_LATER(name) NULL
#define VALUES_SC_FLAGS(name) &values_##name
#define VALUES_SC_ENUM(name) &values_##name
#define KIND(name, class, fmt) {#name, class, fmt, VALUES_##class(name)},
const struct syscall_kind_info syscall_kinds[SYSCALL_KINDS] = {
#include "probe/syscall_kinds.def"
};
#undef KIND

/* ---- rows --------------------------------------------------------------------------- */
#define O_CREAT_BIT 0100

#define A(name, width, ctype, kind) {#name, ctype, W_##width, K_##kind, -1},
#define AN(name, width, ctype, kind, len) {#name, ctype, W_##width, K_##kind, len},
#define NONE

#define VAR(var, sv, ...) {.name = var, .kind = sv, __VA_ARGS__},
#define N(name, arg) VAR(#name, SV_NUM, arg)
#define S(name, arg) VAR(#name, SV_TEXT, arg, K_DEFAULT)
#define T(name, arg, kind) VAR(#name, SV_TEXT, arg, K_##kind)
#define U(name, arg) VAR(#name, SV_PLAIN, arg)
#define C(name, val) VAR(#name, SV_CONST, .num = (val))
#define E(name) VAR(#name, SV_EMPTY)
#define L32(name, arg, off) VAR(#name, SV_LOAD32, arg, .num = (off))
#define L64(name, arg, off) VAR(#name, SV_LOAD64, arg, .num = (off))
#define SA(name, arg, part) VAR(#name, SV_FIELD, arg, .num = (part))
#define NR VAR("__nr", SV_NR)
#define NAME VAR("name", SV_NAME)
#define ARGSTR VAR("argstr", SV_ARGSTR)
#define RETVAL VAR("retval", SV_RETVAL)
#define RETSTR VAR("retstr", SV_RETSTR)
#define HNR VAR("__nr", SV_NR, .hidden = true)
#define HS(name, arg) VAR(#name, SV_TEXT, arg, K_DEFAULT, .hidden = true)
#define HU(name, arg) VAR(#name, SV_PLAIN, arg, .hidden = true)

#define P(arg) {arg, -1, 0},
#define PW(arg, other, mask) {arg, other, mask},
#define LIST(type, ...)                                                                            \
  (const struct type[])                                                                            \
  {                                                                                                \
    __VA_ARGS__                                                                                    \
  }
#define PIECES(...) LIST(syscall_piece, __VA_ARGS__{-1, -1, 0})
#define ALL NULL

#define VARS(...) LIST(syscall_var, __VA_ARGS__{.name = NULL})
#define RVARS VARS
static const struct syscall_var return_vars[] = {NR NAME RETVAL RETSTR{.name = NULL}};
#define DEFAULT return_vars

#define CALLAS(nr, name, probe, label, kfunc, ret, args, vars, pieces, rvars)                      \
  {nr, #name, probe, label, kfunc, RET_##ret, {args}, VARS(vars), rvars, pieces},
#define CALL(nr, name, ret, args, vars, pieces, rvars)                                             \
  {nr, #name, #name, #name, #name, RET_##ret, {args}, VARS(vars), rvars, pieces},
const struct syscall_row syscall_rows[] = {
#include "probe/syscalls.def"
};
const u32 syscall_nrows = ARRAY_SIZE(syscall_rows);

/* ---- lookup ------------------------------------------------------------------------- */
const struct syscall_row *syscall_by_number(u32 nr)
{
  u32 lo = 0, hi = syscall_nrows;
  while (lo < hi) {
    u32 mid = (lo + hi) / 2;
    if (syscall_rows[mid].nr == nr)
      return &syscall_rows[mid];
    if (syscall_rows[mid].nr < nr)
      lo = mid + 1;
    else
      hi = mid;
  }
  return NULL;
}

const struct syscall_row *syscall_next(const char *probe, const struct syscall_row *prev)
{
  for (const struct syscall_row *r = prev ? prev + 1 : syscall_rows;
       r < syscall_rows + syscall_nrows; r++)
    if (!strcmp(r->probe, probe))
      return r;
  if (prev)
    return NULL;
  for (u32 i = 0; i < syscall_nrows; i++)
    if (!strcmp(syscall_rows[i].name, probe))
      return &syscall_rows[i];
  return NULL;
}

bool syscall_in_kernel(const struct syscall_row *row, u32 kernel)
{
  /* The calls that are younger than 6.1, the oldest kernel that is supported. */
  static const struct {
    u32 first, last, since;
  } young[] = {
      {335, 335, SYSCALL_KERNEL(6, 11)}, {336, 336, SYSCALL_KERNEL(6, 18)},
      {451, 451, SYSCALL_KERNEL(6, 5)},  {452, 453, SYSCALL_KERNEL(6, 6)},
      {454, 456, SYSCALL_KERNEL(6, 7)},  {457, 461, SYSCALL_KERNEL(6, 8)},
      {462, 462, SYSCALL_KERNEL(6, 10)}, {463, 466, SYSCALL_KERNEL(6, 13)},
      {467, 467, SYSCALL_KERNEL(6, 15)}, {468, 469, SYSCALL_KERNEL(6, 17)},
  };
  for (u32 i = 0; i < ARRAY_SIZE(young); i++)
    if (row->nr >= young[i].first && row->nr <= young[i].last)
      return kernel >= young[i].since;
  return row->kfunc != NULL;
}

bool syscall_is_optional(const struct syscall_row *row)
{
  static const char *const names[] = {
      "acct",
      "add_key",
      "bpf",
      "delete_module",
      "fanotify_init",
      "fanotify_mark",
      "finit_module",
      "get_mempolicy",
      "init_module",
      "io_uring_enter",
      "io_uring_register",
      "io_uring_setup",
      "ioperm",
      "iopl",
      "kcmp",
      "kexec_file_load",
      "kexec_load",
      "keyctl",
      "landlock_add_rule",
      "landlock_create_ruleset",
      "landlock_restrict_self",
      "lookup_dcookie",
      "lsm_get_self_attr",
      "lsm_list_modules",
      "lsm_set_self_attr",
      "map_shadow_stack",
      "mbind",
      "memfd_secret",
      "migrate_pages",
      "modify_ldt",
      "move_pages",
      "mq_getsetattr",
      "mq_notify",
      "mq_open",
      "mq_timedreceive",
      "mq_timedsend",
      "mq_unlink",
      "perf_event_open",
      "process_vm_readv",
      "process_vm_writev",
      "quotactl",
      "quotactl_fd",
      "request_key",
      "seccomp",
      "set_mempolicy",
      "set_mempolicy_home_node",
      "swapoff",
      "swapon",
      "uprobe",
      "uretprobe",
      "userfaultfd",
      "uselib",
  };
  for (u32 i = 0; i < ARRAY_SIZE(names); i++)
    if (!strcmp(row->name, names[i]))
      return true;
  return false;
}

u32 syscall_nargs(const struct syscall_row *row)
{
  u32 n = 0;
  while (n < SYSCALL_MAX_ARGS && row->args[n].name)
    n++;
  return n;
}

int syscall_arg_index(const struct syscall_row *row, const char *name)
{
  for (u32 i = 0; i < syscall_nargs(row); i++)
    if (!strcmp(row->args[i].name, name))
      return (int)i;
  return -1;
}

const struct syscall_var *syscall_var(const struct syscall_row *row, bool is_return,
                                      const char *name)
{
  for (const struct syscall_var *v = is_return ? row->rvars : row->vars; v->name; v++)
    if (!strcmp(v->name, name))
      return v;
  return NULL;
}

bool syscall_var_is_string(enum syscall_var_kind kind)
{
  switch (kind) {
  case SV_TEXT:
  case SV_PLAIN:
  case SV_EMPTY:
  case SV_FIELD:
  case SV_NAME:
  case SV_ARGSTR:
  case SV_RETSTR:
    return true;
  case SV_NUM:
  case SV_CONST:
  case SV_LOAD32:
  case SV_LOAD64:
  case SV_NR:
  case SV_RETVAL:
    return false;
  }
  return false;
}

enum syscall_kind syscall_var_decode(const struct syscall_row *row, const struct syscall_var *var)
{
  return var->decode == K_DEFAULT ? row->args[var->arg].kind : var->decode;
}

const struct syscall_piece *syscall_pieces(const struct syscall_row *row,
                                           struct syscall_piece out[SYSCALL_MAX_ARGS + 1])
{
  if (row->pieces)
    return row->pieces;
  u32 n = syscall_nargs(row);
  for (u32 i = 0; i <= n; i++)
    out[i] = (struct syscall_piece){i < n ? (s32)i : -1, -1, 0};
  return out;
}

void syscall_describe(struct strbuf *b, const struct syscall_row *row, bool is_return)
{
  sb_printf(b, "syscall.%s%s", row->probe, is_return ? ".return" : "");
  for (const struct syscall_var *v = is_return ? row->rvars : row->vars; v->name; v++)
    if (!v->hidden)
      sb_printf(b, " %s:%s", v->name, syscall_var_is_string(v->kind) ? "string" : "long");
  if (is_return)
    sb_puts(b, " $return:" SYSCALL_RAW_TYPE);
  for (u32 i = 0; i < syscall_nargs(row); i++)
    sb_printf(b, " $%s:%s", row->args[i].name, SYSCALL_RAW_TYPE);
}

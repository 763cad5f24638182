/* The system calls of x86-64 as data: one row per number, in syscalls.def.  A row says how the
 * kernel declares the call, which script variables its probes have, how `argstr` is composed and
 * how `retstr` is written.  The syscall family turns rows into expressions; this module knows
 * neither the language nor the kernel at hand.
 *
 * Everything that is shown of an argument goes through its decoder, an enum syscall_kind.  What a
 * kind is made of (a printf format, a table of value names, a structure) is in syscall_kinds.def;
 * a kind whose structure can't be shown yet has SC_LATER and is shown by its format alone.  */
#ifndef STAP_PROBE_SYSCALL_TABLE_H
#define STAP_PROBE_SYSCALL_TABLE_H

#include "base/base.h"

/* ---- decoders ------------------------------------------------------------------- */
enum syscall_class {
  SC_NUM,     /* sprintf(fmt, argument) */
  SC_FLAGS,   /* names of set bits and fields joined by "|", what is left by fmt */
  SC_ENUM,    /* the one name that the argument equals, else fmt */
  SC_DIRFD,   /* AT_FDCWD, else decimal */
  SC_STRING,  /* user string, quoted */
  SC_BUFFER,  /* user bytes, quoted; their number is in the argument `len_arg` */
  SC_LATER,   /* memory behind a pointer; until it is decoded: fmt */
};
enum syscall_kind {
#define KIND(name, ...) K_##name,
#include "probe/syscall_kinds.def"
#undef KIND
  SYSCALL_KINDS,
  K_DEFAULT = SYSCALL_KINDS, /* of a variable: its argument's kind */
};

/* Shown when (rest & mask) == value, where rest is what of the argument no entry has matched
 * yet; then the mask's bits are gone from rest.  A one-bit flag has mask == value; a field
 * (O_RDONLY, MAP_SHARED) has the field's mask.  Of a field's entries the one with value 0 comes
 * first.  In an enum's table every mask is all ones.  An argument's bits beyond its width are
 * cut off before it is shown; as flags, and by the conversions %u %x %o, a W_S32 one is shown
 * without sign.  */
struct syscall_value {
  u64 mask, value;
  const char *name;
};
struct syscall_values {
  u32 n;
  const struct syscall_value *v;
  const char *zero; /* SC_FLAGS: text for 0; NULL: "0x0" */
};
struct syscall_kind_info {
  const char *name; /* "OPEN_FLAGS" */
  enum syscall_class class;
  const char *fmt; /* one conversion; NULL: SC_DIRFD, SC_STRING, SC_BUFFER */
  const struct syscall_values *values; /* SC_FLAGS, SC_ENUM; else NULL */
};
extern const struct syscall_kind_info syscall_kinds[SYSCALL_KINDS];

/* ---- rows -------------------------------------------------------------------------- */
enum { SYSCALL_MAX_ARGS = 6 };

/* How much of the 64-bit register is the argument; the rest may hold anything. */
enum syscall_width { W_S32, W_U32, W_U16, W_64 };

struct syscall_arg {
  const char *name;  /* the kernel's name, "filename": $filename */
  const char *ctype; /* as the kernel declares it: "const char *" */
  enum syscall_width width : 8;
  enum syscall_kind kind : 8;
  s32 len_arg : 8;   /* SC_BUFFER: argument that holds the length; else -1 */
};

enum syscall_var_kind {
  SV_NUM,    /* long: argument `arg`, cut to its width */
  SV_TEXT,   /* string: argument `arg` shown by `kind` */
  SV_PLAIN,  /* string: the user string (or SC_BUFFER's bytes) at `arg`, not quoted */
  SV_CONST,  /* long: `num`, where one probe stands for an old and a new form of a call */
  SV_EMPTY,  /* string: "", likewise */
  SV_LOAD32, /* long: the 32-bit integer at user address `arg` + `num`, 0 when unreadable */
  SV_LOAD64, /* long: likewise 64 bits */
  SV_FIELD,  /* string: part `num` (enum sockaddr_part) of the socket address at `arg` */
  SV_NR, SV_NAME, SV_ARGSTR, /* __nr:long name:string argstr:string */
  SV_RETVAL, SV_RETSTR,      /* retval:long retstr:string */
};
enum sockaddr_part { SA_FAMILY, SA_IP, SA_PORT, SA_FLOWINFO, SA_SCOPE_ID };

struct syscall_var {
  const char *name;
  enum syscall_var_kind kind : 8;
  u32 arg : 8;
  enum syscall_kind decode : 8; /* SV_TEXT; K_DEFAULT: the argument's own */
  bool hidden;                  /* can be used, but -L doesn't list it */
  s32 num;
};

/* One piece of argstr: argument `arg` shown by its kind; ", " stands between pieces. */
struct syscall_piece {
  s32 arg : 8;            /* -1 ends the list */
  s32 when_arg : 8;       /* shown only if (that argument & when_mask) != 0; -1: always */
  u32 when_mask;
};

/* How retstr shows a result that is no error; an error is "-2 (ENOENT)" in all of them. */
enum syscall_ret { RET_DEC, RET_HEX, RET_OCT, RET_NONE /* never returns: "N/A" */ };

struct syscall_row {
  u32 nr;
  const char *name;    /* as in asm/unistd.h: "pread64" */
  const char *probe;   /* syscall.PROBE, "pread"; rows may share it (pipe and pipe2) */
  const char *label;   /* value of the script variable `name` */
  const char *kfunc;   /* __x64_sys_KFUNC, sys_enter_KFUNC; NULL: the number is not in use */
  enum syscall_ret ret;
  struct syscall_arg args[SYSCALL_MAX_ARGS]; /* up to the first without name */
  const struct syscall_var *vars;  /* entry probe's, in the order of -L; ends with name NULL */
  const struct syscall_var *rvars; /* return probe's, likewise */
  const struct syscall_piece *pieces; /* argstr; NULL: every argument in order */
};

extern const struct syscall_row syscall_rows[]; /* by number */
extern const u32 syscall_nrows;

/* The row of a number, or NULL. */
const struct syscall_row *syscall_by_number(u32 nr);
/* Rows of syscall.PROBE, by number: start with prev NULL, go on with what was returned until
 * NULL.  A kernel name that is no probe's ("pread64") finds its row too.  */
const struct syscall_row *syscall_next(const char *probe, const struct syscall_row *prev);
/* Does the kernel of this version have the call (unless built without it)?  */
#define SYSCALL_KERNEL(major, minor) ((u32)(major) << 16 | (minor))
bool syscall_in_kernel(const struct syscall_row *row, u32 kernel);
/* Is it one of those that kernels in use are really built without?  */
bool syscall_is_optional(const struct syscall_row *row);
/* Variable of the entry (or return) probe by name, hidden ones included; NULL: none. */
const struct syscall_var *syscall_var(const struct syscall_row *row, bool is_return,
                                      const char *name);
bool syscall_var_is_string(enum syscall_var_kind kind);
u32 syscall_nargs(const struct syscall_row *row);
/* The kind by which an SV_TEXT variable is shown. */
enum syscall_kind syscall_var_decode(const struct syscall_row *row, const struct syscall_var *var);
/* Argument by the kernel's name, without "$"; -1: none. */
int syscall_arg_index(const struct syscall_row *row, const char *name);
/* Pieces of argstr, the default list written out; ends with `arg` -1.  The result is
 * `row`'s own, or written to `out`.  */
const struct syscall_piece *syscall_pieces(const struct syscall_row *row,
                                           struct syscall_piece out[SYSCALL_MAX_ARGS + 1]);
/* C type of raw arguments ($filename) and of $return: the kernel's entry takes registers. */
#define SYSCALL_RAW_TYPE "long int"
/* The line of -L: "syscall.NAME var:type … $arg:long int …". */
void syscall_describe(struct strbuf *b, const struct syscall_row *row, bool is_return);

#endif

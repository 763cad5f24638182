/* Pass 2's result: the script with every name resolved, every expression typed, every
 * probe point expanded to the places it stands for.  After elaborate() no E_TARGET is left,
 * calls of built-in functions are E_OP, and every expr has a type.  */
#ifndef STAP_ELABORATE_PROGRAM_H
#define STAP_ELABORATE_PROGRAM_H

#include "lang/ast.h"
#include "lang/parse.h"

struct probe_family;
struct ir_flags;
struct ir_strtab;

struct sym_global {
  struct global_decl *decl;
  const char *name;        /* as printed */
  u32 id;
  enum type type;          /* of the value */
  bool is_array;
  u32 nkeys;               /* arrays */
  enum type key_type[9];
  bool is_read, is_written;
  bool from_tapset;
  /* statistics: what is read of it */
  u32 stat_ops;            /* bits 1 << enum stat_op */
  s64 variance_shift;
  VEC(struct hist) hists;
  const struct pointee *points; /* as in struct expr, of the value */
  struct ir_global *ir;    /* pass 3 */
};
struct sym_local {
  const char *name;
  enum type type;
  struct loc loc;          /* first use */
  bool is_param;
  bool is_read, is_written;
  const struct pointee *points;
  u32 ir_reg;              /* pass 3 */
};
struct sym_func {
  struct func_decl *decl;
  const char *name;        /* unique: overloads get a suffix */
  u32 id;
  enum type type;          /* result; TY_UNKNOWN: returns nothing used */
  VEC(struct sym_local *) params;
  VEC(struct sym_local *) locals; /* other than parameters */
  struct stmt *body;
  const struct pointee *points;   /* of the result */
  struct sym_func *next_overload; /* tried when this one executes `next` */
  bool used, from_tapset;
  struct ir_fn *ir;        /* pass 3 */
};

/* How a probe's handler is run.  The BPF executor maps these to program types. */
enum prog_kind {
  PROG_SESSION,  /* by the session itself: begin, end, error, timers */
  PROG_NEVER,
  PROG_RAW_TP,   /* raw tracepoint `attach`; context words: its arguments */
  PROG_SYSCALL_ENTER, /* sys_enter/sys_exit of syscall `number`: context words as raw_tp */
  PROG_SYSCALL_EXIT,
  PROG_TRACEPOINT, PROG_KPROBE, PROG_KRETPROBE, PROG_FENTRY, PROG_FEXIT, PROG_UPROBE,
  PROG_URETPROBE,
  PROG_PERF,     /* performance event `event`; context words: struct pt_regs itself */
};
enum session_when { RUN_BEGIN, RUN_END, RUN_ERROR, RUN_TIMER };

struct perf_event {        /* as perf_event_open() wants it */
  u32 type;
  u64 config;
  u64 amount;              /* events from one sample to the next, or samples a second */
  bool is_hz;
};

/* One derived probe. */
struct probe_inst {
  u32 id;
  const struct probe_family *family;
  struct probe_point *point;   /* canonical: what pp() and -l show, printed in `pp` */
  const char *pp;
  const char *name;            /* as the user or alias wrote it: probe alias chain's head */
  VEC(struct probe_point *) chain; /* aliases it came through, outermost (script) first */
  const char *trail;           /* the same for readers: "a = begin, end <- b.* " */
  struct stmt *body;           /* own copy, prologues and epilogues merged in */
  struct stmt *own_body;       /* the script's own part of it, or NULL */
  VEC(struct sym_local *) locals;
  struct expr *cond;           /* if (…) conditions, and-ed; or NULL */
  bool from_tapset;
  struct loc loc;
  /* set by the family's expand() */
  enum prog_kind kind;
  enum session_when when;      /* PROG_SESSION */
  s64 order;                   /* begin(n) end(n) error(n): ascending */
  u64 period_ns, random_ns;    /* RUN_TIMER */
  const char *attach;          /* tracepoint, function … */
  const struct perf_event *event; /* PROG_PERF */
  u32 number;                  /* syscall number */
  bool is_return;
  void *priv;                  /* the family's own */
};

struct program {
  struct arena *a;
  VEC(struct sym_global *) globals;
  VEC(struct sym_func *) funcs;       /* reachable ones only */
  VEC(struct probe_inst *) probes;    /* in script order */
};

/* What pass 2 works with; the driver fills it in. */
struct elab {
  struct arena *a;
  struct diag *diag;
  struct parse_env *penv;
  struct tapset *tapset;      /* elaborate/tapset.h; may be NULL */
  struct target *target;      /* target/target.h: kernel types, tracepoints; made lazily */
  struct program *prog;
  bool guru;                  /* -g */
  bool unoptimized;           /* -u */
  bool user_runtime;          /* --runtime=user: kernel-only things are errors */
  const char *runtime;
  s64 target_pid;             /* -x / -c, 0: none */
  u32 maxstringlen;           /* a string's buffer size: longer ones are cut when computed with */
  const char *module_name;    /* -m, or one of its own */
  u32 defined_depth;          /* > 0: inside @defined; report nothing */
  struct probe_inst *cur;     /* probe whose body is being resolved, or NULL */
  const struct point_part *why_part; /* set by a family's expand() beside *why: the part at fault */
  struct elab_state *st;      /* pass 2's own (elaborate/state.h) */
};

/* Runs pass 2 over the user's script.  NULL when errors were reported. */
struct program *elaborate(struct elab *e, struct ast_file *script);
/* -p2's text. */
void program_print(struct strbuf *b, const struct program *p);
/* Expands one point as -l / -L do, prints a sorted list to b; returns the count. */
u32 elaborate_list(struct elab *e, struct probe_point *pt, bool with_vars, struct strbuf *b);

#endif

/* Inside the user executor: the code that it interprets, the state of a run, arrays.
 *
 * Integers live in an array of words, strings in the frame of runtime/abi.h, where the runtime's
 * functions find them by offset.  Both are stacks: a function's activation takes what its code
 * asks for above its caller's.  */
#ifndef STAP_USER_USER_H
#define STAP_USER_USER_H

#include "elaborate/program.h"
#include "ir/ir.h"
#include "runtime/format.h"
#include "regex/regex.h"
#include "runtime/rt.h"
#include "session/exec.h"

/* ---- code ---------------------------------------------------------------------
 * A function's blocks in a row.  An operand is an index: of an integer in the activation's words
 * (the function's registers, then its constants), or of a string as an offset from the
 * activation's first string byte, or with RT_LIT in the read-only data.  */
enum user_op {
  U_MOV_STR = IR_NOPS, /* MOV of a string */
  U_JMP,               /* to dst */
  U_BR,                /* a != 0: to b, else to dst */
  U_RET,               /* nothing */
  U_RET_INT,           /* a */
  U_RET_STR,           /* a */
};
struct insn {
  u16 op; /* enum ir_op or enum user_op */
  u16 nargs;
  u32 dst;     /* always valid for instructions that have a result */
  u32 a, b;    /* the first two operands */
  u32 args;    /* all of them: from here in the code's args */
  u32 aux;     /* PRINT, HISTPRINT: site; ITER_*: slot; MATCH, STRTAB, FLAGS_STR: table */
  u32 handler; /* where to go on after a failure, or IR_NO */
  const struct ir_ins *ir;
};
struct code {
  const struct ir_fn *fn;
  VEC(struct insn) ins;
  VEC(u32) args;
  VEC(s64) consts;
  u32 *place;    /* per register: its operand index */
  u32 nints;     /* words of an activation without constants */
  u32 str_bytes; /* of an activation */
  u32 niters;    /* foreach loops: slots of an activation */
};

/* ---- arrays ---------------------------------------------------------------------- */
union uval {
  s64 num;
  char *str;            /* arrays: owned; NUL-terminated */
  struct rt_stat *stat; /* owned, buckets included */
};
struct elem {
  u64 seq; /* insertion number */
  u64 hash;
  struct elem *chain;       /* in the bucket */
  struct elem *prev, *next; /* in order of insertion */
  u32 refs;                 /* the array's, and those of foreach loops */
  u32 cap;                  /* bytes of val.str */
  union uval val;
  union uval key[];
};
struct global {
  const struct ir_global *g;
  union uval val; /* scalars */
  u32 cap;        /* bytes of val.str */
  struct elem **bucket;
  u32 nbuckets, n;
  u64 seq;
  struct elem *first, *last;
  u32 stat_words;  /* of a statistic with its buckets */
  u32 *hist_first; /* first bucket of each histogram */
};
struct iter {
  const struct ir_global *g;
  struct sorted {
    struct elem *e;
    s64 num;
    const char *str;
  } * v;
  u32 n, pos; /* pos: behind the current one */
};

struct regex_place { /* a regular expression's table in the read-only data */
  const struct regex *re;
  u32 off;
};

/* ---- a run ---------------------------------------------------------------------- */
struct user {
  struct arena *a;
  struct ir_module *m;
  struct diag *diag;
  struct session *session;
  struct rt_state *state;
  u32 L, M; /* MAXSTRINGLEN, a string's buffer */
  struct rt_mem *mem;
  struct rt_frame *f; /* its header */
  size_t mem_size;
  u64 str_first, str_end; /* frame offsets of the handler's strings and behind the last one's */
  u32 stat_off;           /* a struct rt_stat for the runtime's functions */
  s64 *ints;
  size_t nints;
  struct strbuf rodata, out;
  struct strmap lits;
  struct fmt_arg *print_args; /* as many as the largest SPRINT has */
  struct code **fns;          /* by id */
  struct code **handlers;     /* by probe id */
  struct code **conds;
  struct global *globals; /* by id */
  VEC(struct rt_site) sites;
  const struct ir_probe *probe; /* whose handler runs */
  s64 ret;                      /* integer result of the last function */
  u32 depth;                    /* activations */
  bool aborting;                /* abort(): the handler ends, whatever catches */
  u32 errno_tab;                /* table in the read-only data */
  VEC(struct regex_place) regexes;
  s64 hz; /* the kernel's CONFIG_HZ; 0: not asked yet */
  u64 random;
};

/* How a function's code was left. */
enum left { LEFT_DONE, LEFT_FAILED };

/* code.c: the module's functions as code, literals and tables as read-only data. */
void code_build(struct user *u);

/* interp.c.  Runs a handler or condition from fresh state; LEFT_FAILED: the frame's err tells
 * why.  A condition's result is u->ret.  */
enum left interp_run(struct user *u, const struct ir_probe *p, const struct code *c);
/* Writes a string of the interpreter's into the frame, cut to MAXSTRINGLEN - 1 and at a NUL. */
void frame_put(struct user *u, u64 off, const char *s, size_t n);
/* Address of a string operand (frame offset or literal). */
const char *str_at(const struct user *u, u64 off);
/* Text of the frame's error, as catch gets it. */
void error_text(struct user *u, struct strbuf *b);

/* fns.c: a built-in function.  r: the activation's words, sb: its strings.  False: it failed and
 * the frame's err is set.  */
bool fn_call(struct user *u, const struct code *c, const struct insn *i, s64 *r, u64 sb);

/* Zeroed memory on the heap; without any the program ends. */
void *user_alloc(size_t n, size_t size);

/* maps.c.  Keys are those of the global's type; strings are copied. */
void global_init(struct user *u, struct global *g, const struct ir_global *ir);
void global_free(struct global *g);
void scalar_set(struct global *g, const char *s);
struct elem *map_find(const struct global *g, const union uval *key);
/* The element, made when absent; NULL: the array is full. */
struct elem *map_make(struct global *g, const union uval *key);
void map_delete(struct global *g, const union uval *key);
/* All elements; or the value of a scalar. */
void map_clear(struct global *g);
/* Columns of `mask` are given, in order. */
bool map_has_slice(const struct global *g, u64 mask, const union uval *key);
void map_delete_slice(struct global *g, u64 mask, const union uval *key);
void elem_set_str(struct elem *e, const char *s);
void elem_release(struct elem *e, const struct ir_global *g);
/* `<<<` */
void stat_add(struct user *u, const struct global *g, struct rt_stat *st, s64 value);
/* @count, @avg …; 0 for no values. */
s64 stat_get(struct user *u, const struct rt_stat *st, enum stat_op op, s64 shift);
/* The snapshot that a foreach runs over. limit: NULL or the most elements. */
struct iter *iter_new(struct user *u, const struct global *g, const struct ir_iter *it,
                      const union uval *slice, const s64 *limit);
void iter_free(struct iter *it); /* may be NULL */

#endif

/* The syntax tree.  Pass 1 (parse_file) makes it, pass 2 fills in the fields
 * marked "pass 2", ir_build() lowers it.  Nodes live in the session's arena and
 * are never freed one by one.  */
#ifndef STAP_LANG_AST_H
#define STAP_LANG_AST_H

#include "base/base.h"

enum type { TY_UNKNOWN, TY_LONG, TY_STRING, TY_STATS };

struct sym_global;   /* elaborate/program.h */
struct sym_func;
struct sym_local;
struct pointee;      /* probe/deref.h */
struct builtin;      /* ir/ops.h */
struct regex;        /* regex/regex.h */

/* ---- expressions ---------------------------------------------------------- */
enum expr_kind {
  E_NUM,      /* num */
  E_STR,      /* str, len */
  E_SYM,      /* name */
  E_INDEX,    /* name[args], or a[args] where a is an E_HIST; E_STAR marks a slice */
  E_STAR,     /* "*" as a key of a slice */
  E_CALL,     /* name, args */
  E_UNARY,    /* op, a: + - ~ ! */
  E_INCDEC,   /* op (OP_PREINC…), a */
  E_BINARY,   /* op, a, b: arithmetic, comparison, && ||, "." */
  E_MATCH,    /* a =~ b or a !~ b (op OP_MATCH / OP_NOMATCH); b is an E_STR */
  E_IN,       /* [args] in a (E_SYM or E_HIST); E_STAR marks a slice */
  E_TERNARY,  /* a ? b : c */
  E_ASSIGN,   /* a op= b; op OP_NONE for "=", OP_STATADD for "<<<" */
  E_STATOP,   /* stat, a: @count(a) …; num: the shift of @variance */
  E_HIST,     /* hist, a: @hist_log(a), @hist_linear(a, lo, hi, step) */
  E_PRINT,    /* print: the whole print family; args */
  E_TARGET,   /* target: $x->y[1], $$parms, @cast(…), @var(…), @defined … */
  E_EMBEDDED, /* str: text of %{ … %} */
  E_OP,       /* pass 2: op applied to args: what a probe family or the tapset's
                 built-in functions become.  `builtin` says which.  */
};

enum op {
  OP_NONE,
  /* binary, in no particular order; ast_op_text() gives the spelling */
  OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_MOD, OP_SHL, OP_SHR, OP_USHR, OP_AND, OP_OR, OP_XOR,
  OP_LAND, OP_LOR, OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_CONCAT, OP_MATCH, OP_NOMATCH,
  OP_STATADD,
  /* unary */
  OP_PLUS, OP_NEG, OP_NOT, OP_LNOT, OP_PREINC, OP_PREDEC, OP_POSTINC, OP_POSTDEC,
  OP_LAST
};

enum stat_op { STAT_COUNT, STAT_SUM, STAT_MIN, STAT_MAX, STAT_AVG, STAT_VARIANCE, STAT_NONE };

enum hist_kind { HIST_NONE, HIST_LOG, HIST_LINEAR };
struct hist {
  enum hist_kind kind;
  s64 lo, hi, step; /* HIST_LINEAR */
};
enum { HIST_LOG_BUCKETS = 128, HIST_MAX_BUCKETS = 1 << 16 };
u32 hist_buckets(const struct hist *h); /* how many buckets it keeps, at most HIST_MAX_BUCKETS */

/* One print call.  print(x) println(x) printd("d", …) printdln("d", …)
 * printf("f", …) and sprint… forms.  For printf forms `fmt` is parsed; for the
 * others it is empty and `delim` may be set.  */
enum conv {
  CONV_LITERAL, CONV_D, CONV_U, CONV_O, CONV_X, CONV_XX /* X */, CONV_P, CONV_C, CONV_S,
  CONV_B /* binary integer */, CONV_M /* memory bytes */, CONV_MM /* %M: hex dump */,
};
enum { FMT_ZERO = 1, FMT_SPACE = 2, FMT_PLUS = 4, FMT_ALT = 8, FMT_LEFT = 16 };
enum fmt_width { FMT_NONE, FMT_STATIC, FMT_DYNAMIC /* "*": one more argument */ };
struct fmt_piece {
  enum conv conv;
  u32 flags;
  enum fmt_width width_kind, prec_kind;
  u32 width, prec;
  char *text;  /* CONV_LITERAL, escapes resolved; may hold any byte but NUL */
  u32 len;
  u32 size;    /* %b %m: bytes of the operand: 1 2 4 8; 0: 8 */
};
struct print_expr {
  bool to_string; /* sprint…: yields a string */
  bool formatted; /* …printf */
  bool newline;   /* …ln */
  bool line;      /* log(): a newline is added where there is none */
  bool delimited; /* …d */
  bool is_char;   /* print_char */
  const char *delim; /* printd's first argument (must be a literal) */
  VEC(struct fmt_piece) fmt;
};

/* $x, @cast(…) and everything else that pass 2 replaces by E_OP trees. */
enum target_kind {
  TARGET_VAR,       /* $name, $$name; name includes the "$" */
  TARGET_CAST,      /* @cast(a, "type" [, "module"]) */
  TARGET_ATVAR,     /* @var("name@file" [, "module"]) */
  TARGET_DEFINED,   /* @defined(a) */
  TARGET_PROBEWRITE,/* @probewrite(name) */
  TARGET_ENTRY,     /* @entry(a) */
  TARGET_PERF,      /* @perf("name") */
  TARGET_CONST,     /* @const("text") */
  TARGET_ENUM, TARGET_ENUMNAME,
  TARGET_KREGISTER, TARGET_UREGISTER, /* a: register number */
  TARGET_KDEREF, TARGET_UDEREF,       /* a: size, b: address */
  TARGET_AUTOCAST,  /* a->name…, a any expression: its type is that of what was assigned to it */
};
struct target_suffix {
  enum { SUFFIX_ARROW, SUFFIX_INDEX, SUFFIX_PRETTY /* $ or $$ */ } kind;
  const char *name;   /* ->name; or "$" / "$$" */
  struct expr *index; /* [expr] */
};
struct target_expr {
  enum target_kind kind;
  bool addressof;     /* &$x … */
  const char *name;   /* "$x"; @var's, @const's, @perf's text; the type of @cast, @enum */
  const char *module; /* @cast's and @var's last argument, or NULL */
  VEC(struct target_suffix) suffix;
};

struct expr {
  enum expr_kind kind;
  enum type type;     /* pass 2 */
  struct loc loc;     /* of the token that names it: identifier or operator */
  const char *name;
  s64 num;
  const char *str;
  u32 len;            /* of str */
  enum op op;
  struct expr *a, *b, *c;
  VEC(struct expr *) args;
  enum stat_op stat;
  struct hist hist;
  struct print_expr *print;
  struct target_expr *target;
  bool parens;        /* was written in parentheses (printer, warnings) */
  /* pass 2 */
  struct sym_global *global; /* E_SYM, E_INDEX, E_IN, … */
  struct sym_local *local;   /* E_SYM */
  struct sym_func *func;     /* E_CALL */
  const struct pointee *points;  /* what a number points at, where that is known */
  const struct builtin *builtin; /* E_OP; E_CALL becomes E_OP for a built-in */
  s64 imm, imm2;             /* E_OP: the instruction's immediates */
  const struct ir_flags *flags;   /* E_OP: FLAGS_STR, ENUM_STR */
  const struct regex *regex;     /* E_MATCH: b compiled, when pass 2 is through */
  const struct ir_strtab *strtab; /* E_OP without builtin: table lookup of args[0] */
};

/* ---- statements ------------------------------------------------------------ */
enum stmt_kind {
  S_BLOCK, S_EMPTY, S_EXPR, S_IF, S_WHILE, S_FOR, S_FOREACH, S_RETURN, S_BREAK, S_CONTINUE,
  S_NEXT, S_DELETE, S_TRY, S_EMBEDDED,
};
struct foreach_stmt {
  struct expr *value;           /* foreach (value = [keys] in …), or NULL */
  VEC(struct expr *) keys;      /* E_SYM */
  struct expr *base;            /* E_SYM array, or E_HIST */
  VEC(struct expr *) slice;     /* a[*, 3]: given keys; E_STAR where free; n == 0: none */
  struct expr *limit;           /* or NULL */
  int sort_dir;                 /* +1 ascending, -1 descending, 0 none */
  u32 sort_col;                 /* 0: by value, n: by the nth key */
  enum stat_op sort_stat;       /* by @sum … of the value; STAT_NONE: value itself (@count) */
};
struct stmt {
  enum stmt_kind kind;
  struct loc loc;
  VEC(struct stmt *) body;      /* S_BLOCK */
  struct expr *e;               /* S_EXPR, S_RETURN (may be NULL), S_DELETE, condition */
  struct expr *init, *step;     /* S_FOR, may be NULL; so may e */
  struct stmt *then, *els;      /* S_IF; `then` is also the loops' and try's body; els: catch */
  struct expr *catch_var;       /* E_SYM or NULL */
  struct foreach_stmt *foreach;
  const char *text;             /* S_EMBEDDED */
};

/* ---- declarations -------------------------------------------------------- */
struct point_part {             /* kernel.function("x").return: three of these */
  const char *name;             /* may hold * ** {a,b} wildcards */
  bool has_arg;
  bool arg_is_string;
  const char *str;
  s64 num;
  struct loc loc;
};
struct probe_point {
  VEC(struct point_part) parts;
  bool optional;                /* ? */
  bool sufficient;              /* ! */
  struct expr *cond;            /* if (…) or NULL */
  struct loc loc;
  struct probe_point *next;     /* parse_point(): of the points that a text stands for */
};
struct probe_decl {
  VEC(struct probe_point *) points;
  struct stmt *body;            /* may be NULL for `probe x ;`-like forms */
  struct loc loc;
  bool private_;
  /* aliases only */
  bool is_alias;
  bool epilogue;                /* += */
  struct stmt *tail;            /* "= point { body }, { tail }": epilogue beside the prologue */
  VEC(struct probe_point *) alias_names;
};
struct param {
  const char *name;
  enum type type;               /* declared, or TY_UNKNOWN */
  struct loc loc;
};
struct func_decl {
  const char *name;
  enum type type;               /* declared result, or TY_UNKNOWN */
  VEC(struct param) params;
  struct stmt *body;
  const char *embedded;         /* text of %{ … %} or NULL */
  s64 priority;                 /* default 1 */
  bool has_priority, private_;
  struct loc loc;
};
struct global_decl {
  const char *name;
  bool private_, wrap;          /* global a%[10] */
  s64 maxsize;                  /* 0: default */
  struct expr *init;            /* E_NUM / E_STR (or negated E_NUM folded) or NULL */
  struct loc loc;
};
struct ast_file {
  struct src_file *src;
  VEC(struct global_decl *) globals;
  VEC(struct func_decl *) funcs;
  VEC(struct probe_decl *) probes;
  VEC(struct probe_decl *) aliases;
  VEC(const char *) embeds;     /* top-level %{ … %} */
};

/* ---- building and walking --------------------------------------------------- */
struct expr *expr_new(struct arena *a, enum expr_kind kind, const struct loc *loc);
struct stmt *stmt_new(struct arena *a, enum stmt_kind kind, const struct loc *loc);
/* Adds text to what a print call prints. */
void print_add_text(struct arena *a, struct print_expr *p, const char *s, u32 n);
/* Deep copies.  Pass 2 copies an alias's body once per derived probe. */
struct expr *expr_copy(struct arena *a, const struct expr *e);
struct stmt *stmt_copy(struct arena *a, const struct stmt *s);
/* Calls fn on every expression below (and including) the node, parents first.
 * fn may replace the node through the pointer; the walk then goes on below the
 * new one unless fn returns false.  */
typedef bool (*expr_visit)(struct expr **e, void *arg);
void expr_walk(struct expr **e, expr_visit fn, void *arg);
void stmt_walk(struct stmt *s, expr_visit fn, void *arg);
const char *ast_op_text(enum op op);
const char *ast_type_text(enum type t); /* "long" "string" "stats" "unknown" */
/* The token of an expression as messages show it: class ("operator") and text ("+="). */
void ast_token(struct arena *a, const struct expr *x, const char **what, const char **text);

/* ---- printing (lang/print.c) -------------------------------------------------
 * In SystemTap's -p1 style; parsing the output again gives the same output.  */
void ast_print_file(struct strbuf *b, const struct ast_file *f);
void ast_print_expr(struct strbuf *b, const struct expr *e);
void ast_print_stmt(struct strbuf *b, const struct stmt *s, u32 indent);
void ast_print_point(struct strbuf *b, const struct probe_point *p);

#endif

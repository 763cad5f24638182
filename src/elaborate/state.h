/* What the files of pass 2 share.
 *
 * The order of work (elaborate.c):
 *   register   declarations of the user's files, and of tapset files when something reaches them
 *   expand     every probe point into instances, aliases first, then families (expand.c)
 *   resolve    names in each instance's body, then in the functions reached (symbols.c, target.c)
 *   optimise   what nothing reads, what can't run (optimize.c)
 *   types      to a fixpoint (types.c)
 *   usage      what is read and written of each global (uses.c)
 */
#ifndef STAP_ELABORATE_STATE_H
#define STAP_ELABORATE_STATE_H

#include "elaborate/program.h"
#include "ir/ops.h"
#include "probe/family.h"

enum { MAX_KEYS = 9, NO_ARITY = -1 };

/* The public symbols with what only pass 2 wants to know of them. The public part comes first,
 * so a pointer to it is a pointer to the whole.  */
struct gsym {
  struct sym_global g;
  s32 arity;                     /* NO_ARITY until used; 0: scalar */
  struct loc arity_loc, type_loc;
  struct loc key_loc[MAX_KEYS];  /* where the key's type was first inferred */
  bool used, warned;
};
struct lsym {
  struct sym_local l;
  struct loc type_loc;
  bool warned;
  bool from_entry;               /* synthesised: no warnings */
};
struct fsym {
  struct sym_func f;
  struct func_set *set;
  struct loc type_loc;
  bool resolved;
  bool synthetic;
  u8 effects;                    /* optimize.c: 0 unknown, 1 being looked at, 2 none, 3 some */
};
struct func_set {                /* one name's overloads, in the order of their priorities */
  const char *name;
  VEC(struct fsym *) v;
};

/* A body that names are being resolved in: a function's or a probe's. */
struct scope {
  struct fsym *fn;
  struct probe_inst *probe;
  struct strmap locals;          /* name to lsym */
  u32 loops;
  VEC(struct gsym *) iterating;  /* arrays that the enclosing foreach loops walk */
  bool in_cond;                  /* a probe's condition */
  VEC(struct stmt *) prefix;     /* resolved statements to be put before the body */
};

struct elab_state {
  struct strmap globals, private_globals; /* name; name and file */
  struct strmap funcs, private_funcs;
  VEC(struct gsym *) all_globals;
  VEC(struct fsym *) all_funcs;
  VEC(struct probe_decl *) aliases;
  VEC(struct probe_decl *) pending;       /* probes of files loaded, still to be expanded */
  VEC(struct fsym *) queue;               /* functions whose bodies are to be resolved */
  VEC(struct probe_decl *) alias_stack;   /* aliases being expanded */
  struct strmap synth;                    /* synthesised functions and globals by key */
  u32 next_synth;
  struct scope *scope;                    /* of the probe that is being resolved */
};

/* ---- elaborate.c ---- */
void elab_init(struct elab *e);
void elab_register(struct elab *e, struct ast_file *f);
bool elab_visible(const struct loc *from, const struct loc *decl);
struct gsym *elab_find_global(struct elab *e, const char *name, const struct loc *from);
/* Overloads visible from a place; NULL: no such name.  Tapset files are loaded when needed, and
 * not for what is built in with that many arguments.  */
struct func_set *elab_find_funcs(struct elab *e, const char *name, u32 nargs,
                                 const struct loc *from);
/* A new array or scalar of the compiler's own; found again by its key. */
struct gsym *elab_synth_global(struct elab *e, const char *key, u32 nkeys);
/* Names that a misspelt one is compared with. */
const char *elab_similar_function(struct elab *e, const char *name);

/* ---- expand.c ---- */
/* Expands a declaration's points and appends the instances to the program. */
void expand_decl(struct elab *e, struct probe_decl *d);
/* One point without a body, as -l and @entry want it: the instances. */
u32 expand_point(struct elab *e, struct probe_point *pt, struct probe_insts *out, bool quiet);

/* ---- symbols.c ---- */
void resolve_probe(struct elab *e, struct probe_inst *pi);
void resolve_queue(struct elab *e);
void resolve_func(struct elab *e, struct fsym *f); /* once */
/* Resolves an expression in the scope of `sc`; *pe may be replaced. False after an error. */
bool resolve_expr(struct elab *e, struct scope *sc, struct expr **pe);
struct lsym *scope_local(struct elab *e, struct scope *sc, const char *name, const struct loc *loc);

/* ---- target.c ---- */
/* Replaces an E_TARGET whose operands are resolved here. `store`: assigned value or NULL. */
bool resolve_target(struct elab *e, struct scope *sc, struct expr **pe, struct expr *store);
/* What `value`, not resolved yet, was when the function or call was entered that the return probe
 * `pi`, whose body is being resolved, is about.  */
struct expr *entry_value(struct elab *e, struct probe_inst *pi, struct expr *value,
                         const struct loc *loc);

/* ---- prologue.c ---- */
/* Puts the definitions of the family's script variables into the probe's body. */
void add_prologue(struct elab *e, struct probe_inst *pi);

/* ---- autocast.c ---- */
void note_assignment(struct elab *e, struct expr *to, const struct expr *value);
void note_return(struct elab *e, struct fsym *f, const struct expr *value);
/* Rewrites `a->name`, whose operands are resolved; NULL after an error. */
struct expr *resolve_autocast(struct elab *e, struct expr *x, struct expr *store);

/* ---- intrinsic.c ---- */
bool is_intrinsic(const char *name, u32 nargs);
/* Replaces a call of an intrinsic function, whose arguments are resolved. */
bool resolve_intrinsic(struct elab *e, struct scope *sc, struct expr **px);
/* Line number i of the intrinsics in --dump-functions, or NULL. */
const char *intrinsic_signature(u32 i);

/* ---- optimize.c ---- */
/* Constant value of an integer expression made of literals only. */
bool fold_const(struct elab *e, struct expr **pe);
bool expr_const(const struct expr *e, s64 *v);
void optimize(struct elab *e);
void drop_unreached_functions(struct elab *e);

/* ---- foreach.c ---- */
/* Reports functions called in a foreach that change its array. */
void check_foreach(struct elab *e);

/* ---- types.c ---- */
void learn_types(struct elab *e); /* types that follow from uses; reports contradictions */
void infer_types(struct elab *e);

/* ---- uses.c ---- */
enum { USE_READ = 1, USE_WRITE = 2 };
/* Calls fn for every variable that the tree names: E_SYM, E_INDEX, E_IN (through `name`), the
 * array of a foreach.  `how` says what the construct does to it.  */
typedef void (*use_fn)(void *arg, struct expr *sym, u32 how);
void uses_stmt(struct stmt *s, use_fn fn, void *arg);
void uses_expr(struct expr *x, bool value_used, use_fn fn, void *arg);
/* Sets is_read / is_written of globals and locals. */
void compute_uses(struct elab *e);
/* Statistics: which operators and histograms each global is asked for. */
void compute_stats(struct elab *e);

/* ---- regexes.c ---- */
void compile_regexes(struct elab *e);

/* ---- all ---- */
#define ERR(e, loc, token, ...) \
  diag_at((e)->diag, DIAG_SEMANTIC_ERROR, (loc), NULL, (token), __VA_ARGS__)
#define WARN(e, loc, token, ...) \
  diag_at((e)->diag, DIAG_WARNING, (loc), NULL, (token), __VA_ARGS__)
/* The token of an expression as messages show it: class and text. */
void expr_token(struct elab *e, const struct expr *x, const char **what, const char **text);
/* An error at an expression's token. */
void expr_error(struct elab *e, const struct expr *x, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif

/* A probe family: everything the rest of the program knows about a kind of probe point.
 * One file each; the table in probe/families.c lists them.  */
#ifndef STAP_PROBE_FAMILY_H
#define STAP_PROBE_FAMILY_H

#include "elaborate/program.h"

struct probe_var {
  const char *name;   /* "filename" or "$prev" */
  const char *type;   /* "string", "long", or for $vars the C type: "long int" */
};
struct probe_vars {
  VEC(struct probe_var) v;
};
struct probe_insts {
  VEC(struct probe_inst *) v;
};

struct probe_family {
  const char *name;
  /* First components it answers to ("begin", "kernel"), NULL-terminated; several families may
   * share a head ("kernel"): each is asked.  Used for suggestions too.  */
  const char *const *heads;
  /* The forms of its points for --dump-probe-types ("timer.s(number)"), NULL-terminated; may be
   * NULL.  */
  const char *const *forms;
  /* Expands a point (its names and string arguments may hold wildcards) into instances:
   * fills point, pp, kind and what the kind needs, appended to `out`; body, cond, chain are the
   * caller's.  Returns how many; 0 when nothing matches, then *why may be set to a message
   * that names what is near ("no match (similar tracepoints: sched_switch)").  -1: not this
   * family's syntax; *why as before.  */
  int (*expand)(struct elab *e, struct probe_point *pt, struct probe_insts *out, const char **why);
  /* Variables for -L, in the order shown; script variables before $ ones. May be NULL. */
  void (*vars)(struct elab *e, struct probe_inst *pi, struct probe_vars *out);
  /* Statements that define the family's script variables (syscall's name, argstr …): a block of
   * assignments without effects, of which those that the body reads are put into it.  May be NULL. */
  struct stmt *(*prologue)(struct elab *e, struct probe_inst *pi);
  /* Rewrites a TARGET_VAR ($x, $x->y[i], $$parms, &$x …) into E_OP expressions; NULL after
   * reporting to e->diag (nothing is reported when e->defined_depth > 0).  `store` is the
   * assigned value or NULL.  May be NULL: no context variables.  */
  struct expr *(*target)(struct elab *e, struct probe_inst *pi, struct expr *target,
                         struct expr *store);
};

extern const struct probe_family *const probe_families[]; /* NULL-terminated */

/* An instance of family f that runs on every processor's timer tick (perf.c). */
struct probe_inst *perf_profile(struct elab *e, const struct probe_family *f,
                                struct probe_point *pt);

/* Helpers for families. */
struct probe_inst *probe_inst_new(struct elab *e, const struct probe_family *f,
                                  struct probe_point *pt);
bool probe_wildcard(const char *s);                      /* holds * ? [ or { */
bool probe_match(const char *pattern, const char *name); /* glob, and {a,b} */
/* E_OP nodes */
struct expr *op_num(struct elab *e, const struct loc *loc, s64 n);
struct expr *op_str(struct elab *e, const struct loc *loc, const char *s);
struct expr *op_fn(struct elab *e, const struct loc *loc, const struct builtin *b, u32 nargs,
                   struct expr **args);
struct expr *op_binary(struct elab *e, const struct loc *loc, enum op op, struct expr *a,
                       struct expr *b);

#endif

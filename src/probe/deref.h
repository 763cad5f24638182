/* Walks `$x->y[i]`, `&$x->y`, `$x$` and `@cast(…)->y` over the running kernel's types (BTF) and
 * turns them into memory reads (E_OP: KREAD, UREAD).  Families describe where the walk starts;
 * the suffixes of the E_TARGET node say where it goes.  */
#ifndef STAP_PROBE_DEREF_H
#define STAP_PROBE_DEREF_H

#include "elaborate/program.h"

/* What a script's number points at: an object of BTF type `type`, or with is_addr false it is a
 * value of the pointer type `type`.  */
struct pointee {
  u32 type;
  bool is_addr, user;
};

/* Where a walk starts. */
struct deref_base {
  struct expr *value; /* integer expression; may end up in the result several times: no effects */
  u32 type;           /* BTF id of what `value` is, or of the object it points at */
  bool is_addr;       /* value is the address of an object of that type, not its value */
  bool user;          /* the memory is the process's: UREAD */
  const char *type_name; /* how the type is called in messages; NULL: from BTF */
};

/* The expression that target->target's suffixes (and addressof) lead to from `base`; typed,
 * TY_LONG or, for a pretty-printing suffix ($x$, $x$$), TY_STRING.  Bit-fields are shifted and
 * masked, signed fields sign-extended, arrays yield their address.  NULL after an error was
 * reported to e->diag (silently when e->defined_depth > 0).  `store` (assignment to kernel
 * memory) is always an error here.  */
struct expr *deref_path(struct elab *e, const struct deref_base *base, struct expr *target,
                        struct expr *store);

/* The expression with what it points at. */
struct expr *deref_typed(struct elab *e, struct expr *x, u32 type, bool is_addr, bool user);

/* The text of a value as `$x$` gives it: `{.pid=1, .comm="x"}` for structures, the plain value else.
 * `depth` 1 shows nested structures as {...}, 2 ("$$") one level further.  A fault while reading
 * gives "ERROR".  Typed TY_STRING.  */
struct expr *deref_pretty(struct elab *e, const struct deref_base *base, const struct loc *loc,
                          u32 depth);

/* How a value of a type is loaded: its size, 1, 2, 4 or 8, and IR_READ_SIGNED; 0: it is no scalar, or
 * a larger one.  */
u32 deref_scalar(struct elab *e, u32 type);

/* How $$parms and kin show a value of a type: "0x%x", whatever it is.  A static string.  */
const char *deref_format(struct elab *e, u32 type);

/* "unable to find member 'x' for struct y (alternatives: …)" and other target errors: one
 * spelling for all families.  Nothing is reported inside @defined.  Returns NULL always.  */
struct expr *deref_error(struct elab *e, const struct loc *loc, const char *token,
                         const char *fmt, ...) PRINTF_LIKE(4, 5);

#endif

/* What a system call's variables are made of: rows of the table turned into expressions over the
 * registers that the call came with.  */
#ifndef STAP_PROBE_SYSCALL_VARS_H
#define STAP_PROBE_SYSCALL_VARS_H

#include "elaborate/program.h"
#include "probe/syscall_table.h"

/* Argument `arg`'s register, all 64 bits of it. */
struct expr *syscall_register(struct elab *e, u32 arg, const struct loc *loc);
/* What a call returned. */
struct expr *syscall_result(struct elab *e, const struct loc *loc);
/* The value of a script variable of the row's entry (or return) probe. */
struct expr *syscall_var_value(struct elab *e, const struct syscall_row *row,
                               const struct syscall_var *var, const struct loc *loc);
/* The name of a value by a table of syscall_values.def ("SIGNAL"); NULL: no such table. */
struct expr *syscall_value_name(struct elab *e, const char *table, struct expr *value);

#endif

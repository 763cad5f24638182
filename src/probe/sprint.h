/* Builds sprintf() expressions piece by piece, for families that describe their variables. */
#ifndef STAP_PROBE_SPRINT_H
#define STAP_PROBE_SPRINT_H

#include "elaborate/program.h"

/* An empty sprintf(), typed TY_STRING. */
struct expr *sprint_new(struct elab *e, const struct loc *loc);
/* Appends text as it is ("%" means itself); it must outlive the compilation. */
void sprint_text(struct elab *e, struct expr *x, const char *text);
/* Appends an argument shown by one conversion: "%d" "%#o" "0x%x" "%s".  Length modifiers are
 * skipped; text around the conversion is kept.  */
void sprint_arg(struct elab *e, struct expr *x, const char *fmt, struct expr *arg);
/* The expression itself, or its string argument when it shows nothing else, or its text. */
struct expr *sprint_done(struct elab *e, struct expr *x);

#endif

/* The display of globals that were written and never read, at the end of a run. */
#ifndef STAP_SESSION_GLOBALS_H
#define STAP_SESSION_GLOBALS_H

#include "session/exec.h"

/* Appends a global's lines.  Returns the executor's -1 on failure. */
int globals_show(struct strbuf *b, struct executor *x, const struct ir_global *g);

#endif

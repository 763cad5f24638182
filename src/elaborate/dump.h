/* What the --dump-… options print. */
#ifndef STAP_ELABORATE_DUMP_H
#define STAP_ELABORATE_DUMP_H

#include "elaborate/program.h"

/* --dump-functions: every function a script may call, "name:type (parameters)", sorted. */
void dump_functions(struct elab *e, struct strbuf *b);
/* --dump-probe-aliases: "alias = points", sorted. */
void dump_aliases(struct elab *e, struct strbuf *b);
/* --dump-probe-types: the forms of probe points that the families know. */
void dump_probe_types(struct elab *e, struct strbuf *b);

#endif

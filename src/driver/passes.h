/* What the driver does once the command line is read. */
#ifndef STAP_DRIVER_PASSES_H
#define STAP_DRIVER_PASSES_H

#include "driver/options.h"
#include "elaborate/program.h"

/* The compilation: what each pass leaves for the next. */
struct compile {
  struct arena *a;
  struct options *o;
  struct diag diag;
  struct parse_env penv;
  struct target *target;
  struct tapset *tapset;
  struct elab elab;
  struct ast_file *ast;      /* pass 1 */
  VEC(struct ast_file *) extra_asts; /* -E */
  struct program *program;   /* pass 2 */
  struct ir_module *module;  /* pass 3 */
  struct session *session;   /* pass 4 */
};

/* Opens the tapset and fills in what passes 1 and 2 look at. */
void compile_start(struct compile *c, struct arena *a, struct options *o, FILE *messages);
void compile_end(struct compile *c);
/* Runs the passes up to -p.  Returns stap's exit status. */
int passes_run(struct arena *a, struct options *o);
/* -l, -L and the --dump-… lists.  Returns stap's exit status. */
int listing_run(struct arena *a, struct options *o);

#endif

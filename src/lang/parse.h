/* Pass 1: text to syntax tree.  Preprocessing (%( … %), @define macros, $1 @1
 * script arguments) happens between lexer and parser, token by token.  */
#ifndef STAP_LANG_PARSE_H
#define STAP_LANG_PARSE_H

#include "lang/ast.h"

struct parse_env {
  struct arena *a;
  struct diag *diag;
  /* conditions of %( … %) */
  const char *kernel_vr;   /* "6.1.0-17-amd64": kernel_vr; kernel_v is its x.y.z part */
  const char *arch;        /* "x86_64" */
  const char *runtime;     /* "bpf", "user", "kernel" */
  const char *compat;      /* systemtap_v: "5.2" or --compatible */
  const char *privilege;   /* systemtap_privilege: "stapdev" … */
  bool guru_mode;
  /* value of CONFIG_x or NULL; may be NULL */
  const char *(*config)(void *arg, const char *name);
  void *config_arg;
  const char **args;       /* script arguments */
  u32 nargs;
  bool *args_used;         /* per argument, set when read */
  /* Macros of .stpm libraries; lookups fall through to it after the file's own. */
  struct strmap *macros;
  u32 max_depth;           /* 0: default; nesting of expressions and statements */
};

/* Parses one script.  On errors, messages have gone to env->diag (several where
 * sensible) and NULL is returned.  */
struct ast_file *parse_file(struct parse_env *env, struct src_file *src);
/* Reads a macro library: adds its @define's to env->macros.  0 or -1.  */
int parse_macro_library(struct parse_env *env, struct src_file *src);
/* Parses one probe point ("syscall.open", as given to -l). NULL on error. */
struct probe_point *parse_point(struct parse_env *env, const char *text);

#endif

/* The library of scripts.  Hello world must not parse it: an index says which file declares a
 * function, global, probe alias or macro, and only files that a script reaches are parsed.
 * Directories are searched in this order: those of -I, $SYSTEMTAP_TAPSET or the one found beside
 * the executable.  */
#ifndef STAP_ELABORATE_TAPSET_H
#define STAP_ELABORATE_TAPSET_H

#include "lang/parse.h"

enum tapset_kind { TAPSET_FUNC, TAPSET_GLOBAL, TAPSET_ALIAS, TAPSET_MACRO, TAPSET_PROBE };

struct tapset_file {
  const char *path;
  bool loaded;             /* parsed, or its macros read */
};
struct tapset_entry {
  enum tapset_kind kind;
  const char *name;        /* aliases: the dotted name */
  struct tapset_file *file;
};
struct tapset {
  struct arena *a;
  struct diag *diag;
  struct parse_env *penv;
  VEC(struct tapset_entry) entries;
  VEC(struct tapset_file *) files;
};

/* Reads the index of every directory: -I's `dirs` first, then the standard one.  A directory
 * without an index, or with one older than its files, is scanned.  `arch` names the subdirectory
 * that is searched too.  `dirs` that can't be read give a warning.  */
struct tapset *tapset_open(struct arena *a, struct diag *d, const char *arch,
                           const char *const *dirs, u32 ndirs);
/* The standard directory, or NULL when there is none. */
const char *tapset_dir(struct arena *a);
/* Loads the macro libraries that a text mentions ("@name"), and those that they mention, into
 * t->penv->macros.  To be called before parse_file().  */
void tapset_load_macros(struct tapset *t, const char *text, size_t len);
/* Parses the next file, not loaded yet, that declares the name; NULL: none (left).  */
struct ast_file *tapset_load(struct tapset *t, enum tapset_kind kind, const char *name);
/* Parses one file of the index; NULL when it was loaded before or has errors. */
struct ast_file *tapset_load_file(struct tapset *t, struct tapset_file *f);
/* Writes DIR's index to `out`: the contents of DIR/index. 0, or -1 and errno. */
int tapset_write_index(struct arena *a, const char *dir, FILE *out);

#endif

/* The command line of stap. */
#ifndef STAP_DRIVER_OPTIONS_H
#define STAP_DRIVER_OPTIONS_H

#include "session/exec.h"

#define STAP_VERSION "5.2"

enum runtime { RUNTIME_BPF, RUNTIME_USER };
enum listing { LIST_NONE, LIST_POINTS /* -l */, LIST_VARS /* -L */, LIST_TYPES, LIST_ALIASES,
               LIST_FUNCTIONS };

struct global_setting { /* -G */
  const char *name, *value;
};
/* Limits that -D changes, in the order of options.c's table. */
struct limits {
  s64 maxaction, maxaction_interruptible, maxstringlen, maxmapentries, maxnesting, maxtrylock,
      maxerrors, maxskipped, hist_width, hist_elision;
};

struct options {
  const char *file;         /* the script: a file, "-" for standard input, or … */
  const char *script;       /* … its text, of -e */
  VEC(const char *) extra;  /* -E */
  VEC(const char *) args;   /* for $1, @1 … */
  enum listing listing;
  const char *list_point;
  u32 last_pass;            /* 1 to 5 */
  u32 verbose[6];           /* by pass, 1 to 5; [0]: all */
  enum runtime runtime;
  const char *compatible;   /* systemtap_v */
  const char *privilege;    /* systemtap_privilege */
  const char *dump;         /* IR pass, "ir" or "bpf" */
  const char *module_name;  /* -m */
  VEC(const char *) tapsets; /* -I */
  VEC(struct global_setting) globals;
  struct limits limits;
  bool guru, unoptimized, no_warnings, warnings_are_errors, suppress_time_limits, color;
  bool background;          /* -F */
  struct run_options run;
};

/* Parses $SYSTEMTAP_DIR/rc and the command line into `o`.  Returns -1 to go on, else the status to
 * exit with: help and version are printed, errors reported to stderr.  */
int options_parse(struct options *o, struct arena *a, int argc, char **argv);

#endif

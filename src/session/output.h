/* Where a run's text goes: stdout, or the file of -o, or the files of -o with -S. */
#ifndef STAP_SESSION_OUTPUT_H
#define STAP_SESSION_OUTPUT_H

#include "base/base.h"

struct output {
  int fd;
  const char *pattern;   /* -o's argument, a strftime format; NULL: stdout */
  u64 max_bytes;         /* -S: of one file; 0: no limit */
  u32 max_files;         /* -S: how many are kept; 0: all */
  u32 number;            /* of the file being written */
  u64 written;           /* bytes in it */
  char **names;          /* files still there, by number modulo max_files; NULL: none yet */
  int error;             /* errno of the write that failed; 0: none */
  const char *error_op;  /* "write", "open" */
};

/* Opens the first file.  0, or -1 with out->error set. */
int output_open(struct output *out, const char *pattern, u32 rotate_mb, u32 rotate_n);
/* Writes everything, switching files as -S says.  0, or -1 with out->error set, after which
 * further calls do nothing.  */
int output_write(struct output *out, const char *s, size_t n);
/* Goes on in the next file (SIGUSR2).  Nothing happens on stdout. */
int output_switch(struct output *out);
int output_close(struct output *out);

#endif

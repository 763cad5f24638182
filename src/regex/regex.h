/* Regular expressions: POSIX extended syntax, compiled to the tables that rt_match() and
 * rt_match_groups() walk, when the script is compiled.  */
#ifndef STAP_REGEX_REGEX_H
#define STAP_REGEX_REGEX_H

#include "base/base.h"

enum { REGEX_MAX_GROUPS = 10 }; /* with group 0, the whole match */

struct regex {
  const char *pattern;
  u32 ngroups; /* with group 0 */
  /* Tables in the form of rt.h's read-only data, to be placed at a multiple of 8. */
  const void *match; /* rt_match()'s */
  u32 match_size;
  const void *groups; /* rt_match_groups()'s; NULL when not asked for */
  u32 groups_size;
};

/* Compiles a pattern of len bytes.  with_groups: the script asks for matched() or ngroups().  NULL
 * when the pattern is malformed or needs too large a table: *why says what is wrong and *at is the
 * byte of the pattern where.  */
struct regex *regex_compile(struct arena *a, const char *pattern, u32 len, bool with_groups,
                            const char **why, u32 *at);

#endif

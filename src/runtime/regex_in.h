/* Between the regular expression's parser (regex.c) and its determinization (regex_dfa.c): a program
 * for a machine of many threads.  A thread stands before an instruction; RX_SET consumes a byte.  */
#ifndef STAP_RUNTIME_REGEX_IN_H
#define STAP_RUNTIME_REGEX_IN_H

#include "runtime/regex.h"
#include "runtime/rt_regex.h"

enum rx_op {
  RX_SET,    /* set: a byte in it */
  RX_JMP,    /* to a */
  RX_SPLIT,  /* to a and to b */
  RX_SAVE,   /* tag a = position; for an opening one, the closing one is unset */
  RX_UNSET,  /* tags a to b - 1 */
  RX_ASSERT, /* a: enum rx_assert */
  RX_MATCH,
};
enum rx_assert { RX_BOL, RX_EOL, RX_WORD_EDGE, RX_NOT_EDGE, RX_WORD_BEGIN, RX_WORD_END };
struct rx_set {
  u32 bits[8];
};
struct rx_ins {
  enum rx_op op;
  u32 a, b;
};
struct rx_prog {
  struct arena *a;
  VEC(struct rx_ins) ins;
  VEC(struct rx_set) sets;
  u32 ngroups; /* with group 0, whose tags the program doesn't set */
  bool words;  /* some assertion looks at words */
  u64 work;    /* steps done, at most RX_MAX_WORK */
  const char *why;
};
enum { RX_MAX_INS = 4000, RX_MAX_WORK = 20000000 };

static inline bool rx_has(const struct rx_set *s, u32 byte)
{
  return s->bits[byte >> 5] >> (byte & 31) & 1;
}

static inline bool rx_is_word(u32 c)
{
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Tables for rt_match() and rt_match_groups(); false when too large (p->why says so). */
bool rx_match_table(struct rx_prog *p, struct regex *re);
bool rx_group_table(struct rx_prog *p, struct regex *re);

#endif

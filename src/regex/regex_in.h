/* Between the regular expression's parser (regex.c) and its determinization (regex_dfa.c): a
 * program for a machine of many threads.  A thread stands before an instruction; RX_SET consumes a
 * byte.  */
#ifndef STAP_REGEX_REGEX_IN_H
#define STAP_REGEX_REGEX_IN_H

#include "regex/regex.h"
#include "regex/table.h"

enum rx_op {
  RX_SET,    /* set: a byte in it */
  RX_JMP,    /* to a */
  RX_SPLIT,  /* to a and to b */
  RX_OPEN,   /* part a begins, its earlier round is void */
  RX_CLOSE,  /* part a ends */
  RX_NIL,    /* part a is passed by */
  RX_ASSERT, /* a: enum rx_assert */
  RX_MATCH,
};
/* A part of the expression whose place matters to groups: a group, or what stands beside one.
 * Parts inside others are higher.  */
struct rx_part {
  u32 height;
  u32 group;       /* its number, or RX_NO_GROUP */
  u32 inside, end; /* groups inside it: from, to; without itself */
};
enum { RX_NO_GROUP = UINT32_MAX, RX_MAX_PARTS = 2000, RX_MAX_HEIGHT = 250 };
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
  VEC(struct rx_part) parts; /* [0] unused */
  u32 ngroups;               /* with group 0, which is no part */
  bool with_groups;          /* else there are no parts */
  bool words;                /* some assertion looks at words */
  u64 work;                  /* steps done, at most RX_MAX_WORK */
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

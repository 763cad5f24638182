/* The tables that rt_match() and rt_match_groups() walk: made by regex_dfa.c.
 *
 * Both are automata whose rows have an entry for each class of bytes; the NUL has a class of
 * its own, and nothing follows it.  For BPF too: who includes this has u16 and u32 defined.  */
#ifndef STAP_REGEX_TABLE_H
#define STAP_REGEX_TABLE_H

enum { RX_NO = 0, RX_YES = 1 }; /* entries that end the walk; rows start at RX_YES + 1 */

/* Classes and rows are counted in bytes of next[], for a walk of as few steps as can be. */
struct rx_match_table {
  u32 start, pad;
  u16 class_of[256];
  u16 next[];
};

/* next: row | program << 16; row: index of its first entry; program: index in moves of what is done before the byte is passed: a
 * count, then so many moves.  */
struct rx_group_table {
  u32 start, ngroups;
  u32 moves; /* byte offset in the table of the moves (u16 each) */
  u32 match; /* byte offset of the rx_match_table that tells whether there is a match at all */
  u8 class_of[256];
  u32 next[];
};
/* A move: to << 8 | from. */
enum {
  RX_REGS = 64,     /* registers; positions, each u16, ~0: unset */
  RX_TO_TAG = 0x80, /* to: a tag of the match found */
  RX_FROM_POS = 0x80,
  RX_FROM_NONE, /* from: the position, unset */
};

#endif

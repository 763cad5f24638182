/* The runtime: string, number, statistics and sorting functions that executors' code calls.
 *
 * One source (rt_*.bpf.c) is compiled twice: by clang for BPF when the project is built, where
 * each function is a *global* function (verified once, by its BTF signature), and into `stap`
 * itself (rt_native.c) for the user executor, so that both give the same bytes.
 *
 * Conventions
 *   f        the frame (runtime/abi.h): one memory of a fixed size, rt_F bytes.
 *   strings  are named by offset: in the frame, or with RT_LIT set in the read-only data.
 *            They are NUL-terminated and at most L - 1 bytes long (L = MAXSTRINGLEN), in buffers
 *            of M bytes (RT_BUFFER).
 *   dst      a frame offset.  A result never exceeds L - 1 bytes (it is cut there), nor what
 *            follows from the lengths of the operands.  dst may be the same offset as any
 *            operand; buffers that overlap otherwise are not allowed.  Buffers are 8-aligned and
 *            a multiple of 8 bytes: up to 7 bytes behind the NUL may be written.
 *   A frame must have RT_SLACK(M) bytes behind the start of its last string (their end is the loops'
 *   state), the read-only data as many behind its last: functions check offsets against that
 *   limit, and never look further.
 *   RT_OFF_TMP is scratch of these functions and of nobody across a call, except where said.
 *   Given an offset out of bounds a function does nothing and returns 0: a bug of the caller.
 *
 * All arguments and results are 64 bits wide; those marked s64 are signed.  */
#ifndef STAP_RUNTIME_RT_H
#define STAP_RUNTIME_RT_H

#include "runtime/abi.h"

#ifndef STAP_BASE_H
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
#include <stdbool.h>
#endif

struct rt_mem; /* the frame */

#define RT_LIT 0x80000000u
#define RT_SLACK(M) (2 * (M) + 192)
/* A string's buffer (M), a multiple of 8, for a limit of `maxstringlen` (L), which counts the NUL. */
enum { RT_MIN_BUFFER = 128, RT_MAX_STRING = 4096 };
#define RT_BUFFER(L) ((L) < RT_MIN_BUFFER ? (__u32)RT_MIN_BUFFER : ((__u32)(L) + 7) & ~7u)

/* ---- strings ------------------------------------------------------------------- */
/* dst = src, cut to size - 1 bytes (size <= M).  Returns its length. */
u64 rt_copy(struct rt_mem *f, u64 dst, u64 src, u64 size);
/* The same, and zeroes up to `size` (map keys).  size: a multiple of 8, at most M; dst is not src. */
u64 rt_copy_pad(struct rt_mem *f, u64 dst, u64 src, u64 size);
u64 rt_concat(struct rt_mem *f, u64 dst, u64 a, u64 b);
s64 rt_strcmp(struct rt_mem *f, u64 a, u64 b); /* < 0, 0, > 0; bytes unsigned */
u64 rt_strlen(struct rt_mem *f, u64 s);
u64 rt_substr(struct rt_mem *f, u64 dst, u64 s, s64 start, s64 len);
s64 rt_stringat(struct rt_mem *f, u64 s, s64 pos); /* 0 when outside */
u64 rt_isinstr(struct rt_mem *f, u64 s, u64 sub);
s64 rt_strpos(struct rt_mem *f, u64 s, u64 sub); /* -1: not in it */
u64 rt_str_replace(struct rt_mem *f, u64 dst, u64 s, u64 from, u64 to);
s64 rt_strtol(struct rt_mem *f, u64 s, s64 base);
u64 rt_isdigit(struct rt_mem *f, u64 s);
u64 rt_toupper(struct rt_mem *f, u64 dst, u64 s);
u64 rt_tolower(struct rt_mem *f, u64 dst, u64 s);
/* Non-printing bytes as escapes.  text_strn's len: 0 means L. */
u64 rt_text_str(struct rt_mem *f, u64 dst, u64 s);
u64 rt_text_strn(struct rt_mem *f, u64 dst, u64 s, s64 len, u64 quoted);
u64 rt_string_quoted(struct rt_mem *f, u64 dst, u64 s);
/* The string to split is kept at RT_OFF_TOK; frame header: tok_off, tok_len. */
u64 rt_tokenize(struct rt_mem *f, u64 dst, u64 s, u64 delim);
u64 rt_tokenize_next(struct rt_mem *f, u64 dst, u64 delim);
u64 rt_ctime(struct rt_mem *f, u64 dst, s64 seconds);

/* ---- tables in the read-only data (offsets without RT_LIT; tables 8-aligned) ---------- */
/* strtab: u32 n, u32 default, u32 name[n]: offsets of strings; n <= RT_TABLE_MAX.  Value outside:
 * the default.  */
enum { RT_TABLE_MAX = 1 << 16, RT_FLAGS_MAX = 64 };
u64 rt_strtab(struct rt_mem *f, u64 dst, u64 table, s64 value);
/* ENUM_STR, FLAGS_STR: struct rt_flags, then n struct rt_flag.  Enum: the name of the row whose
 * value is the argument's; flags: names of rows with (left & mask) == value joined by "|", where
 * left is the argument without the masks of rows named before, then what is left of it as `rest`
 * says.  Flags use at most RT_FLAGS_MAX rows, enums RT_TABLE_MAX.  */
enum rt_rest { RT_REST_HEX, RT_REST_SIGNED, RT_REST_UNSIGNED, RT_REST_OCTAL };
struct rt_flags {
  u32 n;
  u32 zero; /* flags: string for "no bit set"; ~0: 0 is shown as `rest` says */
  u32 rest;
  u32 pad[3];
};
struct rt_flag {
  u64 mask, value;
  u32 name, len;
};
u64 rt_flags_str(struct rt_mem *f, u64 dst, u64 value, u64 table);
u64 rt_enum_str(struct rt_mem *f, u64 dst, u64 value, u64 table);
/* errno_tab: a strtab of the names made from rt_errno_names, default "". */
u64 rt_errno_str(struct rt_mem *f, u64 dst, s64 number, u64 errno_tab);
u64 rt_returnstr(struct rt_mem *f, u64 dst, s64 value, u64 format, u64 errno_tab);
enum { RT_ERRNO_MAX = 134 };
extern const char *const rt_errno_names[RT_ERRNO_MAX]; /* by number; NULL: none */

/* ---- regular expressions: tables made by regex_compile() (regex/regex.h) ------------ */
/* 1 when the string matches.  rt_match is for scripts that ask for no groups; rt_match_groups
 * also sets match[], match_n and the subject's copy at RT_OFF_SUBJ.  */
u64 rt_match(struct rt_mem *f, u64 s, u64 table);
u64 rt_match_groups(struct rt_mem *f, u64 s, u64 table);
/* -1 (and dst empty): there is no such group in the last match. */
s64 rt_matched(struct rt_mem *f, u64 dst, s64 n);

/* ---- strings from memory: BPF only ----------------------------------------------- */
/* n: at most so many bytes; negative: M - 1.  Returns the length, or -1 after a fault, when dst
 * is the string `fallback`.  */
s64 rt_user_string(struct rt_mem *f, u64 dst, u64 addr, s64 n, u64 fallback);
s64 rt_kernel_string(struct rt_mem *f, u64 dst, u64 addr, s64 n, u64 fallback);
/* In quotes with escapes; "..." after the closing quote when cut; a fault gives the address in hex.
 */
u64 rt_user_string_quoted(struct rt_mem *f, u64 dst, u64 addr, s64 n);
u64 rt_kernel_string_quoted(struct rt_mem *f, u64 dst, u64 addr, s64 n);

/* ---- formatting (SPRINT) ------------------------------------------------------------
 * A position packs the frame offset of the next byte (low half) and of the last byte of
 * the buffer (high half), which stays for the NUL.  Each function appends, cut at the end, writes a
 * NUL behind and returns the new position.  The buffer must not be an operand.  */
#define RT_POS(dst, size) ((u64)((dst) + (size) - 1) << 32 | (u32)(dst))
/* spec: conversion (enum conv) 0-7, flags (FMT_*) 8-15, width 16-31, precision 32-47 (RT_NO_PREC:
 * none), size of %b %m in bytes 48-55.  */
#define RT_NO_PREC 0xffffu
#define RT_SPEC(conv, flags, width, prec, size)                                                    \
  ((u64)(conv) | (u64)(flags) << 8 | (u64)(width) << 16 | (u64)(prec) << 32 | (u64)(size) << 48)
/* For the runtime itself; verified apart from what calls them. */
u64 rt_digits(struct rt_mem *f, u64 value, u64 conv);
u64 rt_fill(struct rt_mem *f, u64 pos, u64 word, u64 n);
u64 rt_put_int(struct rt_mem *f, u64 pos, s64 value, u64 spec);
u64 rt_put_str(struct rt_mem *f, u64 pos, u64 s, u64 spec);
u64 rt_put_mem(struct rt_mem *f, u64 pos, u64 addr, u64 spec); /* %m, %M: BPF only */
/* Negative when the memory that a %m or %M of this spec would show can't be read.  BPF only. */
s64 rt_mem_check(struct rt_mem *f, u64 addr, u64 spec);
/* The spec with a "*" argument put in: a negative width is FMT_LEFT, a negative precision none. */
u64 rt_spec_width(u64 spec, s64 width);
u64 rt_spec_prec(u64 spec, s64 prec);
/* Appends "0x" and the value to the string at dst, with at least `digits` digits. */
u64 rt_append_hex(struct rt_mem *f, u64 dst, u64 value, u64 digits);

/* ---- records: BPF only -------------------------------------------------------------- */
/* Write one item at frame offset pos, return the next item's. */
u64 rt_rec_int(struct rt_mem *f, u64 pos, u64 value);
u64 rt_rec_str(struct rt_mem *f, u64 pos, u64 s);
u64 rt_rec_fixed(struct rt_mem *f, u64 pos, u64 s, u64 width);
/* %m, %M: as many bytes of memory as spec's precision says (at most M); none after a fault. */
u64 rt_rec_mem(struct rt_mem *f, u64 pos, u64 addr, u64 spec);
/* Sends len bytes to the data ring; when it is full waits for room if the frame's may_wait is set.
 * 0, or negative when the record was not sent.  A template:
 *   params->c[RT_SEND_OFF], [RT_SEND_SIZE]   the record's place in the frame and its largest size */
enum { RT_SEND_OFF, RT_SEND_SIZE };
s64 rt_ring_send(struct rt_mem *f, u64 len);

/* ---- statistics: struct rt_stat at frame offset off ------------------------------------ */
/* What enum stat_op (lang/ast.h) says; 0 when there are no values. */
enum {
  RT_STAT_COUNT, RT_STAT_SUM, RT_STAT_MIN, RT_STAT_MAX, RT_STAT_AVG, RT_STAT_VARIANCE
};
s64 rt_stat_get(struct rt_mem *f, u64 off, u64 op, u64 shift);
/* Adds `from` to `into` (not the buckets). */
u64 rt_stat_merge(struct rt_mem *f, u64 into, u64 from);
/* One value's effect on count, sum, min, max, mean and m2. */
u64 rt_stat_variance(struct rt_mem *f, u64 off, s64 value, u64 shift);
/* Bucket of a value; those of struct hist (lang/ast.h). */
u64 rt_hist_log(s64 value);
u64 rt_hist_linear(s64 value, s64 lo, s64 hi, s64 step);
/* Width of a number in decimal, with its sign. */
u64 rt_width(s64 value);
/* What a histogram looks like as text.  In the read-only data a text follows from which lines are
 * cut: "value |", `width` times "-", " count\n"; `width` times "@"; `width` + RT_HIST_BLANKS blanks;
 * "~\n".  */
struct rt_hist {
  s64 lo, step; /* linear */
  u32 log;      /* else it is linear */
  u32 n;        /* buckets */
  u32 width;    /* of the longest bar */
  u32 near;     /* empty rows that are shown next to others; at most n */
};
enum { RT_HIST_HEAD = sizeof("value | count\n") - 1, RT_HIST_BLANKS = 24, RT_HIST_MAX = 1 << 16 };
/* The text that printing gives.  bucket: frame offset of the first; table: of struct rt_hist. */
u64 rt_hist_layout(struct rt_mem *f);
u64 rt_hist_field(struct rt_mem *f, s64 value, u64 mark, u64 width, u64 behind);
u64 rt_hist_str(struct rt_mem *f, u64 dst, u64 bucket, u64 table);

/* ---- sorting: BPF only; a template --------------------------------------------------------
 * Sorts the n entries from `base` on of the array map params->map[0] (struct rt_sort_entry; it has 2 * cap of
 * them: the upper half is scratch) ascending by key, then seq.  The first min(n, limit) are in
 * place afterwards.  For strings the key is the first 8 bytes, big-endian (complemented when
 * descending), and the rest is compared in params->map[1], the snapshot's array map, at byte
 * RT_SORT_OFF of each entry.
 *   params->c[RT_SORT_CAP]   cap
 *   params->c[RT_SORT_OFF], [RT_SORT_SIZE]  strings: place and size, a multiple of 8, zero-padded
 *                            or not; integers: 0
 *   params->c[RT_SORT_DESC]  strings: 1 descending  */
enum { RT_SORT_CAP, RT_SORT_OFF, RT_SORT_SIZE, RT_SORT_DESC };
u64 rt_sort(struct rt_mem *f, u64 n, u64 limit, u64 base);     /* map[0] */
u64 rt_sort_str(struct rt_mem *f, u64 n, u64 limit, u64 base); /* map[0], map[1] */

/* ---- native only --------------------------------------------------------------------- */
#ifndef __bpf__
/* What the linker patches into BPF code. */
/* Sizes: longest string with its NUL, string buffer, frame, read-only data (power of two). */
extern u32 rt_L, rt_M, rt_F, rt_R;
extern const u8 *rt_rodata;      /* rt_R bytes */
#endif

#endif

/* The runtime's functions: known answers, and the same random calls natively and in BPF, through a
 * program that does nothing but call the function.
 *
 *   rt_test            all tests; without the privilege to load programs, the native ones
 *   rt_test --time     how long the verifier takes for each function  */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bpf/bpf.h"
#include "regex/regex.h"
#include "runtime/format.h"
#include "runtime/rt.h"
#include "runtime/rt_image.h"

#include "rt_image.inc"

enum { R0, R1, R2, R3, R4, R5, R6, R10 = 10 };
enum { NSLOTS = 6, RO_BYTES = 1 << 16, SORT_MAX = 1000 };
enum { BUCKETS = NSLOTS }; /* the slot behind them, and more */

static struct arena *arena;
static struct diag diag;
static u32 failures, checks;

/* ---- one image with a program per function --------------------------------------- */

struct world {
  struct bpf_image img;
  u32 m;
  u8 *bpf_frame, *native_frame;
  u8 *rodata;
  u32 ro_top;
  bool sort_desc;
  struct bpf_unit *unit[ARRAY_SIZE(rt_funcs)];
  double seconds[ARRAY_SIZE(rt_funcs)];
};

static u32 slot(const struct world *w, u32 n)
{
  return RT_OFF_VARS(w->m) + n * w->m;
}

static void ins(struct bpf_sub *s, u8 code, u8 dst, u8 src, int16_t off, s32 imm)
{
  struct bpf_insn in = {
      .code = code, .dst_reg = dst & 15, .src_reg = src & 15, .off = off, .imm = imm};
  vec_push(arena, &s->insns, in);
}

static void reloc(struct bpf_sub *s, struct bpf_reloc r)
{
  r.insn = s->insns.n;
  vec_push(arena, &s->relocs, r);
}

/* ctx: five argument words, then the result */
static struct bpf_unit *caller_of(const struct rt_func *f, const struct bpf_rt_params *params)
{
  struct bpf_unit *u = NEW(arena, struct bpf_unit);
  struct bpf_sub *s = NEW(arena, struct bpf_sub);
  u->name = f->name;
  u->type = BPF_PROG_TYPE_SYSCALL;
  u->flags = BPF_F_SLEEPABLE;
  s->name = "main";
  vec_push(arena, &u->subs, s);
  ins(s, BPF_ALU64 | BPF_MOV | BPF_X, R6, R1, 0, 0);
  u32 first = R1;
  if (f->takes_frame) {
    ins(s, BPF_ST | BPF_MEM | BPF_W, R10, 0, -4, 0);
    ins(s, BPF_ALU64 | BPF_MOV | BPF_X, R2, R10, 0, 0);
    ins(s, BPF_ALU64 | BPF_ADD | BPF_K, R2, 0, 0, -4);
    reloc(s, (struct bpf_reloc){.kind = REL_MAP, .index = BMAP_FRAMES});
    ins(s, BPF_LD | BPF_IMM | BPF_DW, R1, 0, 0, 0);
    ins(s, 0, 0, 0, 0, 0);
    ins(s, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
    ins(s, BPF_JMP | BPF_JNE | BPF_K, R0, 0, 2, 0);
    ins(s, BPF_ALU64 | BPF_MOV | BPF_K, R0, 0, 0, 0);
    ins(s, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    ins(s, BPF_ALU64 | BPF_MOV | BPF_X, R1, R0, 0, 0);
    first = R2;
  }
  for (u32 r = first; r <= f->nargs; r++)
    ins(s, BPF_LDX | BPF_MEM | BPF_DW, (u8)r, R6, (int16_t)(8 * (r - first)), 0);
  reloc(s, (struct bpf_reloc){.kind = REL_RT, .name = f->name, .params = params});
  ins(s, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, -1);
  ins(s, BPF_STX | BPF_MEM | BPF_DW, R6, R0, 40, 0);
  ins(s, BPF_ALU64 | BPF_MOV | BPF_K, R0, 0, 0, 0);
  ins(s, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  u->fd = -1;
  return u;
}

static void add_map(struct world *w, const char *name, enum bpf_map_type type, u32 key, u32 value,
                    u32 entries, u32 flags)
{
  struct bpf_mapdef d = {.name = name,
                         .type = type,
                         .key_size = key,
                         .value_size = value,
                         .max_entries = entries,
                         .flags = flags,
                         .fd = -1};
  vec_push(arena, &w->img.maps, d);
}

static u64 now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

static u32 lit(struct world *w, const void *p, u32 len)
{
  u32 at = w->ro_top;
  memcpy(w->rodata + at, p, len);
  w->ro_top = ROUND_UP(at + len, 8);
  return at;
}

static void world_init(struct world *w, u32 m)
{
  *w = (struct world){.m = m};
  w->img.a = arena;
  w->img.maxstringlen = m;
  w->img.frame_size = ROUND_UP(slot(w, NSLOTS) + 8 * RT_HIST_LOG_BUCKETS + RT_SLACK(m), 8);
  w->img.rodata_size = RO_BYTES;
  w->img.nslots = 1;
  w->rodata = arena_alloc(arena, RO_BYTES);
  w->ro_top = 8;
  w->native_frame = arena_alloc(arena, w->img.frame_size);
  rt_L = rt_M = m;
  rt_F = w->img.frame_size;
  rt_R = RO_BYTES;
  rt_rodata = w->rodata;
}

/* Loads the maps and a program for every global function. */
static bool world_load(struct world *w)
{
  add_map(w, "state", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct rt_state), 1, BPF_F_MMAPABLE);
  add_map(w, "frames", BPF_MAP_TYPE_ARRAY, 4, w->img.frame_size, 1, BPF_F_MMAPABLE);
  add_map(w, "slots", BPF_MAP_TYPE_ARRAY, 4, 64, 1, 0);
  add_map(w, "rodata", BPF_MAP_TYPE_ARRAY, 4, RO_BYTES, 1, 0);
  w->img.maps.v[BMAP_RODATA].init = w->rodata;
  w->img.maps.v[BMAP_RODATA].init_len = RO_BYTES;
  add_map(w, "globals", BPF_MAP_TYPE_ARRAY, 4, 64, 1, BPF_F_MMAPABLE);
  add_map(w, "ring", BPF_MAP_TYPE_RINGBUF, 0, 0, 1 << 16, 0);
  add_map(w, "ctl", BPF_MAP_TYPE_RINGBUF, 0, 0, 1 << 12, 0);
  add_map(w, "snapshot", BPF_MAP_TYPE_ARRAY, 4, 64, 1000, BPF_F_MMAPABLE);
  add_map(w, "sort", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct rt_sort_entry), 2 * SORT_MAX,
          BPF_F_MMAPABLE);
  if (bpf_load_maps(&w->img, &diag))
    return false;
  w->bpf_frame = mmap(NULL, w->img.frame_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                      w->img.maps.v[BMAP_FRAMES].fd, 0);
  if (w->bpf_frame == MAP_FAILED)
    return false;
  const struct bpf_rt_params sort = {.map = {BMAP_FIRST_FREE + 1, BMAP_FIRST_FREE},
                                     .c = {SORT_MAX, 0, 64, w->sort_desc}},
                             send = {.c = {(s32)slot(w, 0), (s32)(NSLOTS * w->m)}};
  for (u32 i = 0; i < ARRAY_SIZE(rt_funcs); i++) {
    if (!rt_funcs[i].global)
      continue;
    struct bpf_unit *u = w->unit[i] =
        caller_of(&rt_funcs[i], !rt_funcs[i].is_template                    ? NULL
                                : !strcmp(rt_funcs[i].name, "rt_ring_send") ? &send
                                                                            : &sort);
    vec_push(arena, &w->img.units, u);
    u64 start = now_ns();
    if (bpf_load_unit(&w->img, u, &diag, 2))
      failures++;
    w->seconds[i] = (double)(now_ns() - start) / 1e9;
  }
  return true;
}

/* ---- the same calls natively and in BPF -------------------------------------------- */

/* Arguments by letter: d: where the result goes; s: a string (in the frame or a literal); u: a
 * string elsewhere than at d; z: a size; i: any number; n: a small one; b: a base; q: 0 or 1; t:
 * table of strings; e: of error names; f: of flags; r, g: regular expression without and with
 * groups; p: position at d; x: conversion for a number; y: for a string; o: a statistic; c: counts
 * of buckets; h: what a histogram of them looks like.  */
typedef u64 native_fn(void *f, u64, u64, u64, u64);
#define NATIVE(name) #name, (native_fn *)(void *)name
static const struct call {
  const char *name;
  native_fn *fn;
  const char *args;
} calls[] = {
    {NATIVE(rt_copy), "dsz"},         {NATIVE(rt_copy_pad), "duz"},
    {NATIVE(rt_concat), "dss"},       {NATIVE(rt_strcmp), "ss"},
    {NATIVE(rt_strlen), "s"},         {NATIVE(rt_substr), "dsnn"},
    {NATIVE(rt_stringat), "sn"},      {NATIVE(rt_isinstr), "ss"},
    {NATIVE(rt_strpos), "ss"},        {NATIVE(rt_str_replace), "dsss"},
    {NATIVE(rt_strtol), "sb"},        {NATIVE(rt_isdigit), "s"},
    {NATIVE(rt_toupper), "ds"},       {NATIVE(rt_tolower), "ds"},
    {NATIVE(rt_text_str), "ds"},      {NATIVE(rt_text_strn), "dsnq"},
    {NATIVE(rt_string_quoted), "ds"}, {NATIVE(rt_tokenize), "dss"},
    {NATIVE(rt_tokenize_next), "ds"}, {NATIVE(rt_ctime), "di"},
    {NATIVE(rt_strtab), "dtn"},       {NATIVE(rt_flags_str), "dif"},
    {NATIVE(rt_enum_str), "dnf"},     {NATIVE(rt_errno_str), "dne"},
    {NATIVE(rt_returnstr), "dnbe"},   {NATIVE(rt_match), "sr"},
    {NATIVE(rt_match_groups), "sg"},  {NATIVE(rt_matched), "dn"},
    {NATIVE(rt_put_int), "pix"},      {NATIVE(rt_put_str), "puy"},
    {NATIVE(rt_append_hex), "din"},   {NATIVE(rt_spec_width), "xi"},
    {NATIVE(rt_spec_prec), "xn"},     {NATIVE(rt_stat_get), "onn"},
    {NATIVE(rt_stat_merge), "oo"},    {NATIVE(rt_stat_variance), "oin"},
    {NATIVE(rt_hist_log), "i"},       {NATIVE(rt_hist_linear), "innn"},
    {NATIVE(rt_width), "i"},          {NATIVE(rt_hist_str), "dch"},
};

static u64 seed = 1;

static u64 any(void)
{
  seed = seed * 6364136223846793005ull + 1442695040888963407ull;
  return seed >> 32 | seed << 32;
}

static u32 below(u32 n)
{
  return (u32)(any() >> 33) % n;
}

struct tables {
  u32 strtab, errnos, flags;
  u32 match[4], groups[4]; /* regular expressions */
  u32 hist[6];
  u32 lits[40];
};

static u32 string_lit(struct world *w, const char *s)
{
  return lit(w, s, (u32)strlen(s) + 1);
}

static void add_hists(struct world *w, struct tables *t)
{
  static const struct hist kinds[] = {{.kind = HIST_LOG},
                                      {.kind = HIST_LINEAR, .lo = -30, .hi = 100, .step = 10},
                                      {.kind = HIST_LINEAR, .lo = -9000, .hi = -10, .step = 100}};
  for (u32 i = 0; i < ARRAY_SIZE(t->hist); i++) {
    struct strbuf b = {0};
    hist_set_style(i % 2 ? 50 : 7, i % 2 ? 2 : (s32)i - 1);
    hist_table(&b, &kinds[i % ARRAY_SIZE(kinds)]);
    t->hist[i] = lit(w, b.s, (u32)b.n);
    sb_free(&b);
  }
}

static void add_tables(struct world *w, struct tables *t)
{
  static const char *const patterns[] = {"a+b", "^(a|b)*c", "(a*)([b-d]+)(.)", "[^a].*(\\w)$"};
  u32 strtab[2 + 8] = {8, string_lit(w, "default")};
  for (u32 i = 0; i < 8; i++)
    strtab[2 + i] = string_lit(w, i % 3 ? "name" : "");
  t->strtab = lit(w, strtab, sizeof(strtab));
  u32 errnos[2 + RT_ERRNO_MAX] = {RT_ERRNO_MAX, string_lit(w, "")};
  for (u32 i = 0; i < RT_ERRNO_MAX; i++)
    errnos[2 + i] = string_lit(w, rt_errno_names[i] ? rt_errno_names[i] : "");
  t->errnos = lit(w, errnos, sizeof(errnos));
  struct {
    struct rt_flags head;
    struct rt_flag row[6];
  } flags = {.head = {.n = 6, .zero = string_lit(w, "NONE"), .rest = RT_REST_HEX}};
  for (u32 i = 0; i < 6; i++)
    flags.row[i] = (struct rt_flag){3u << i, i % 2 ? 1u << i : 3u << i, string_lit(w, "FLAG"), 4};
  t->flags = lit(w, &flags, sizeof(flags));
  for (u32 i = 0; i < ARRAY_SIZE(patterns); i++) {
    const char *why;
    u32 at;
    struct regex *re = regex_compile(arena, patterns[i], (u32)strlen(patterns[i]), true, &why, &at);
    t->match[i] = lit(w, re->match, re->match_size);
    t->groups[i] = lit(w, re->groups, re->groups_size);
  }
  add_hists(w, t);
}

/* Few different letters, so that strings resemble each other. */
static void random_string(char *s, u32 max)
{
  static const char letters[] = "aaaaabbbcd01-+x |/\"\\\n\t\1\177\377\200AZ";
  u32 len = below(4) ? below(MIN(max, 24u)) : below(max), kinds = below(sizeof(letters) - 1) + 1;
  for (u32 i = 0; i < len; i++)
    s[i] = letters[below(kinds)];
  s[len] = 0;
}

static void add_lits(struct world *w, struct tables *t)
{
  char s[4096];
  for (u32 i = 0; i < ARRAY_SIZE(t->lits); i++) {
    random_string(s, i ? w->m : 1);
    t->lits[i] = string_lit(w, s) | RT_LIT;
  }
}

static u64 random_number(void)
{
  u64 v = any() >> below(64);
  return below(4) ? v : -v;
}

static u64 random_spec(bool string)
{
  u32 conv = string ? CONV_S : CONV_D + below(8);
  if (conv == CONV_S)
    conv = string ? CONV_S : CONV_B;
  u32 width = below(2) ? 0 : below(below(8) ? 40 : 3000);
  u32 prec = below(2) ? RT_NO_PREC : below(below(8) ? 30 : 3000);
  return RT_SPEC(conv, below(2) ? 0 : below(32), width, prec, 0);
}

static u64 random_arg(const struct world *w, const struct tables *t, char kind, u32 dst)
{
  switch (kind) {
  case 'd':
    return slot(w, dst);
  case 's':
    return below(3) ? slot(w, below(3)) : t->lits[below(ARRAY_SIZE(t->lits))];
  case 'u':
    return below(3) ? slot(w, (dst + 1 + below(2)) % 3) : t->lits[below(ARRAY_SIZE(t->lits))];
  case 'z':
    return 8 + 8 * below(w->m / 8);
  case 'i':
    return random_number();
  case 'n':
    return (u64)((s64)below(below(2) ? 8 : 150) - (below(3) ? 0 : 140));
  case 'b':
    return (u64[]){10, 16, 8, 0, 2, 36, 1}[below(7)];
  case 'q':
    return below(2);
  case 't':
    return t->strtab;
  case 'e':
    return t->errnos;
  case 'f':
    return t->flags;
  case 'r':
    return t->match[below(ARRAY_SIZE(t->match))];
  case 'g':
    return t->groups[below(ARRAY_SIZE(t->groups))];
  case 'p': {
    u32 size = 8 + 8 * below(w->m / 8);
    return RT_POS(slot(w, dst), size) + below(size);
  }
  case 'x':
    return random_spec(false);
  case 'y':
    return random_spec(true);
  case 'o':
    return slot(w, below(3));
  case 'c':
    return slot(w, BUCKETS);
  case 'h':
    return t->hist[below(ARRAY_SIZE(t->hist))];
  }
  return 0;
}

static void call_bpf(const struct world *w, u32 fn, u64 words[6])
{
  LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = words, .ctx_size_in = 6 * sizeof(u64));
  int err = bpf_prog_test_run_opts(w->unit[fn]->fd, &opts);
  if (err) {
    printf("FAIL %s: can't be run: %s\n", rt_funcs[fn].name, strerror(-err));
    failures++;
  }
}

static u32 number_of(const char *name)
{
  for (u32 i = 0; i < ARRAY_SIZE(rt_funcs); i++)
    if (!strcmp(rt_funcs[i].name, name))
      return i;
  return ~0u;
}

/* What both must agree on: the result, the header, each string up to its NUL; the buffers whole
 * where they hold statistics.  */
static bool agree(const struct world *w, const struct call *c, u64 native, u64 bpf)
{
  const u8 *a = w->native_frame, *b = w->bpf_frame;
  if (native != bpf || memcmp(a, b, RT_FRAME_HEADER))
    return false;
  for (u32 i = 0; i < NSLOTS; i++) {
    const u8 *x = a + slot(w, i), *y = b + slot(w, i);
    if (strchr(c->args, 'o') ? memcmp(x, y, sizeof(struct rt_stat))
                             : strncmp((const char *)x, (const char *)y, w->m) != 0)
      return false;
  }
  return true;
}

static void fill_frame(struct world *w)
{
  u8 *f = w->native_frame;
  for (u32 i = RT_FRAME_HEADER; i < w->img.frame_size; i++)
    f[i] = (u8)(0xa0 + i % 7);
  for (u32 i = 0; i < NSLOTS; i++)
    random_string((char *)f + slot(w, i), w->m);
}

static void fill_stats(struct world *w)
{
  for (u32 i = 0; i < 3; i++) {
    struct rt_stat *s = (struct rt_stat *)(w->native_frame + slot(w, i));
    s64 bits = (s64)(u64)-1 >> below(40);
    *s = (struct rt_stat){.count = (s64)(any() >> (below(2) ? 60 : 40)),
                          .sum = (s64)random_number() & bits,
                          .min = (s64)random_number(),
                          .max = (s64)random_number(),
                          .mean = (s64)random_number() & bits,
                          .m2 = (s64)random_number()};
  }
}

/* A few of the buckets count something. */
static void fill_buckets(struct world *w)
{
  s64 *bucket = (s64 *)(w->native_frame + slot(w, BUCKETS));
  memset(bucket, 0, 8 * RT_HIST_LOG_BUCKETS);
  for (u32 i = below(8); i--;)
    bucket[below(RT_HIST_LOG_BUCKETS)] = (s64)(any() >> (1 + below(63)));
  for (u32 i = below(8); i--;)
    bucket[below(17)] = (s64)below(1000);
}

/* The state of tokenize() and =~ goes on from call to call, in both frames. */
static void compare_once(struct world *w, const struct tables *t, const struct call *c, u32 fn)
{
  u64 words[6] = {0}, args[4] = {0};
  u32 dst = below(3), n = (u32)strlen(c->args);
  if (below(8) == 0)
    fill_frame(w);
  if (strchr(c->args, 'o'))
    fill_stats(w);
  if (strchr(c->args, 'c'))
    fill_buckets(w);
  for (u32 i = 0; i < n; i++)
    words[i] = args[i] = random_arg(w, t, c->args[i], dst);
  memcpy(w->bpf_frame, w->native_frame, w->img.frame_size);
  call_bpf(w, fn, words);
  u64 got = rt_funcs[fn].takes_frame
                ? c->fn(w->native_frame, args[0], args[1], args[2], args[3])
                : ((u64(*)(u64, u64, u64, u64))(void *)c->fn)(args[0], args[1], args[2], args[3]);
  checks++;
  if (!agree(w, c, got, words[5])) {
    failures++;
    printf("FAIL %s(%#llx, %#llx, %#llx, %#llx), M = %u: native %lld \"%.40s\", BPF %lld "
           "\"%.40s\"\n",
           c->name, (long long)args[0], (long long)args[1], (long long)args[2], (long long)args[3],
           w->m, (long long)got, w->native_frame + slot(w, dst), (long long)words[5],
           w->bpf_frame + slot(w, dst));
  }
}

static void compare_all(u32 m, u32 rounds)
{
  struct world w;
  struct tables t;
  world_init(&w, m);
  add_tables(&w, &t);
  add_lits(&w, &t);
  if (!world_load(&w)) {
    failures++;
    return;
  }
  fill_frame(&w);
  for (u32 i = 0; i < ARRAY_SIZE(calls); i++) {
    u32 fn = number_of(calls[i].name);
    for (u32 k = 0; k < rounds; k++) {
      if (!strcmp(calls[i].name, "rt_tokenize_next") && below(4) == 0)
        compare_once(&w, &t, &calls[i - 1], number_of("rt_tokenize"));
      if (!strcmp(calls[i].name, "rt_matched") && below(4) == 0)
        compare_once(&w, &t, &calls[i - 1], number_of("rt_match_groups"));
      compare_once(&w, &t, &calls[i], fn);
    }
  }
  munmap(w.bpf_frame, w.img.frame_size);
  bpf_unload(&w.img);
}

/* ---- sorting -------------------------------------------------------------------------- */

struct sort_maps {
  struct rt_sort_entry *entry;
  u8 (*snap)[64];
  size_t entry_bytes, snap_bytes;
};

static bool desc, strings;
static const struct sort_maps *sorting;

static int by_order(const void *a, const void *b)
{
  const struct rt_sort_entry *x = a, *y = b;
  int c = x->key < y->key ? -1 : x->key > y->key;
  if (strings) {
    c = strcmp((const char *)sorting->snap[x->idx], (const char *)sorting->snap[y->idx]);
    if (desc)
      c = -c;
  }
  return c ? c : x->seq < y->seq ? -1 : x->seq > y->seq;
}

static void sort_once(const struct world *w, const struct sort_maps *m, u32 fn)
{
  u32 n = below(8) ? below(40) : below(SORT_MAX + 1), limit = below(3) ? n : below(n + 10);
  u32 base = below(2) ? 0 : below(SORT_MAX - n + 1);
  struct rt_sort_entry *want = calloc(SORT_MAX, sizeof(*want));
  for (u32 i = 0; i < n; i++) {
    char *s = (char *)m->snap[i];
    random_string(s, 60);
    u64 key = below(2) ? random_number() : below(10);
    if (strings) {
      u8 first[8] = {0};
      memcpy(first, s, MIN(strlen(s), (size_t)8));
      key = 0;
      for (u32 k = 0; k < 8; k++)
        key = key << 8 | first[k];
      if (desc)
        key = ~key;
    }
    want[i] = m->entry[base + i] = (struct rt_sort_entry){key, below(4) ? i : 1000000 - i, i};
  }
  sorting = m;
  qsort(want, n, sizeof(*want), by_order);
  u64 words[6] = {n, limit, base};
  call_bpf(w, fn, words);
  checks++;
  if (memcmp(want, m->entry + base, MIN(n, limit) * sizeof(*want))) {
    failures++;
    printf("FAIL %s of %u from %u on, limit %u: wrong order\n", rt_funcs[fn].name, n, base, limit);
  }
  free(want);
}

/* A world whose sort is by strings, ascending or descending. */
static void sort_tests(u32 rounds)
{
  for (u32 k = 0; k < 2; k++) {
    struct world w;
    struct sort_maps m = {.entry_bytes = sizeof(struct rt_sort_entry) * 2 * SORT_MAX,
                          .snap_bytes = 64 * SORT_MAX};
    world_init(&w, 128);
    desc = w.sort_desc = k;
    if (!world_load(&w)) {
      failures++;
      return;
    }
    const struct bpf_mapdef *maps = w.img.maps.v;
    m.entry = mmap(NULL, m.entry_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                   maps[BMAP_FIRST_FREE + 1].fd, 0);
    m.snap =
        mmap(NULL, m.snap_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, maps[BMAP_FIRST_FREE].fd, 0);
    if (m.entry == MAP_FAILED || m.snap == MAP_FAILED) {
      failures++;
      return;
    }
    for (u32 i = 0; i < rounds; i++) {
      strings = i & 1;
      sort_once(&w, &m, number_of(strings ? "rt_sort_str" : "rt_sort"));
    }
    munmap(m.entry, m.entry_bytes);
    munmap(m.snap, m.snap_bytes);
    munmap(w.bpf_frame, w.img.frame_size);
    bpf_unload(&w.img);
  }
}

/* ---- memory and records --------------------------------------------------------------- */

static void expect(const struct world *w, const char *fn, u64 a, u64 b, u64 c, u64 d, s64 result,
                   const char *text)
{
  u64 words[6] = {a, b, c, d};
  call_bpf(w, number_of(fn), words);
  checks++;
  const char *got = (const char *)w->bpf_frame + a;
  if ((s64)words[5] != result || strcmp(got, text)) {
    failures++;
    printf("FAIL %s: %lld \"%s\", not %lld \"%s\"\n", fn, (long long)words[5], got,
           (long long)result, text);
  }
}

static u32 ring_records;
static int count_record(void *arg, void *data, size_t len)
{
  const struct world *w = arg;
  checks++;
  failures += len != 64 || memcmp(data, w->bpf_frame + slot(w, 0), len) != 0;
  ring_records++;
  return 0;
}

static void ring_test(struct world *w)
{
  struct ring_buffer *ring = ring_buffer__new(w->img.maps.v[BMAP_RING].fd, count_record, w, NULL);
  for (u32 i = 0; i < 10; i++) {
    u64 words[6] = {64};
    call_bpf(w, number_of("rt_ring_send"), words);
    failures += words[5] != 0;
  }
  ring_buffer__consume(ring);
  checks++;
  failures += ring_records != 10;
  ring_buffer__free(ring);
}

static void memory_tests(void)
{
  struct world w;
  static const char text[] = "a \"quoted\" line\n";
  world_init(&w, 128);
  u32 fallback = string_lit(&w, "none") | RT_LIT, dst = slot(&w, 0);
  if (!world_load(&w)) {
    failures++;
    return;
  }
  expect(&w, "rt_user_string", dst, (u64)text, ~0ull, fallback, 16, text);
  expect(&w, "rt_user_string", dst, (u64)text, 5, fallback, 5, "a \"qu");
  expect(&w, "rt_user_string", dst, (u64)text, 0, fallback, 0, "");
  expect(&w, "rt_user_string", dst, 16, ~0ull, fallback, -1, "none");
  expect(&w, "rt_user_string", dst, 16, ~0ull, dst, -1, "none");
  expect(&w, "rt_kernel_string", dst, 16, ~0ull, fallback, -1, "none");
  expect(&w, "rt_user_string_quoted", dst, (u64)text, ~0ull, 0, 21, "\"a \\\"quoted\\\" line\\n\"");
  expect(&w, "rt_user_string_quoted", dst, (u64)text, 4, 0, 10, "\"a \\\"q\"...");
  expect(&w, "rt_user_string_quoted", dst, 0x10, ~0ull, 0, 4, "0x10");
  expect(&w, "rt_kernel_string_quoted", dst, 0x10, 10, 0, 4, "0x10");
  ring_test(&w);
  munmap(w.bpf_frame, w.img.frame_size);
  bpf_unload(&w.img);
}

/* ---- strings against the C library ---------------------------------------------------- */

static void differs(const char *fn, const char *got, const char *want)
{
  failures++;
  printf("FAIL %s: \"%s\", not \"%s\"\n", fn, got, want);
}

static int sign(s64 n)
{
  return n < 0 ? -1 : n > 0;
}

/* What lies between the buffers must stay: up to 7 bytes behind a NUL may be written, in its word.
 */
static void check_string(const struct world *w, u32 at, const char *want, const u8 *before,
                         const char *fn)
{
  const u8 *f = w->native_frame;
  u32 end = (u32)ROUND_UP(strlen(want) + 1, 8);
  checks++;
  if (strcmp((const char *)f + at, want))
    differs(fn, (const char *)f + at, want);
  else if (memcmp(f + at + end, before + at + end, slot(w, 3) - at - end))
    differs(fn, "bytes behind", "nothing");
}

/* Conversions that are C's, too, at the end of a buffer; nothing behind it may be written. */
static void format_tests(u32 rounds)
{
  static const char letters[] = "duoxX";
  struct world w;
  char text[8192], fmt[32];
  world_init(&w, 512);
  struct rt_mem *f = (struct rt_mem *)w.native_frame;
  u8 *before = arena_alloc(arena, w.img.frame_size);
  for (u32 i = 0; i < rounds; i++) {
    u32 conv = below(6), flags = below(32), size = 8 + 8 * below(64), at = slot(&w, 0);
    u32 width = below(2) ? 0 : below(below(8) ? 40 : 3000);
    s32 prec = below(2) ? -1 : (s32)below(below(8) ? 30 : 3000);
    s64 value = (s64)random_number();
    if (conv == 1 || conv >= 4) /* "+" and " " are of signed numbers */
      flags &= ~(u32)(FMT_PLUS | FMT_SPACE);
    sprintf(fmt, "%%%s%s%s%s%s*.*%s%c", flags & FMT_ZERO ? "0" : "", flags & FMT_LEFT ? "-" : "",
            flags & FMT_PLUS ? "+" : "", flags & FMT_SPACE ? " " : "",
            flags & FMT_ALT && conv != 5 ? "#" : "", conv == 5 ? "" : "ll",
            conv == 5 ? 's' : letters[conv]);
    fill_frame(&w);
    memcpy(before, f, w.img.frame_size);
    u64 spec = RT_SPEC(conv == 5 ? CONV_S : CONV_D + conv, flags, width,
                       prec < 0 ? RT_NO_PREC : (u32)prec, 0);
    if (conv == 5) {
      if (flags & FMT_ZERO)
        continue;
      snprintf(text, sizeof(text), fmt, width, prec, (const char *)before + slot(&w, 1));
      rt_put_str(f, RT_POS(at, size), slot(&w, 1), spec);
    } else {
      snprintf(text, sizeof(text), fmt, width, prec, (long long)value);
      rt_put_int(f, RT_POS(at, size), value, spec);
    }
    text[size - 1] = 0;
    checks++;
    if (strcmp((char *)f + at, text))
      differs(fmt, (char *)f + at, text);
    else if (memcmp((u8 *)f + at + size, before + at + size, slot(&w, 3) - at - size))
      differs(fmt, "bytes behind", "nothing");
  }
}

static void reference_tests(u32 m, u32 rounds)
{
  struct world w;
  world_init(&w, m);
  struct rt_mem *f = (struct rt_mem *)w.native_frame;
  char *want = arena_alloc(arena, 2 * m + 1);
  u8 *before = arena_alloc(arena, w.img.frame_size);
  for (u32 i = 0; i < rounds; i++) {
    u32 at[3] = {slot(&w, below(3)), slot(&w, below(3)), slot(&w, below(3))};
    fill_frame(&w);
    memcpy(before, f, w.img.frame_size);
    const char *a = (const char *)before + at[1], *b = (const char *)before + at[2];
    checks += 3;
    if (sign(rt_strcmp(f, at[1], at[2])) != sign(strcmp(a, b)))
      differs("rt_strcmp", a, b);
    const char *found = strstr(a, b);
    if (rt_strpos(f, at[1], at[2]) != (found ? found - a : -1))
      differs("rt_strpos", a, b);
    if (rt_strlen(f, at[1]) != strlen(a))
      differs("rt_strlen", a, a);
    snprintf(want, m, "%s%s", a, b);
    rt_concat(f, at[0], at[1], at[2]);
    check_string(&w, at[0], want, before, "rt_concat");
    memcpy(f, before, w.img.frame_size);
    u32 size = 8 + 8 * below(m / 8);
    snprintf(want, size, "%s", a);
    rt_copy(f, at[0], at[1], size);
    check_string(&w, at[0], want, before, "rt_copy");
    if (at[0] == at[1])
      continue;
    memset(want, 0, m);
    snprintf(want, size, "%s", a);
    checks++;
    if (rt_copy_pad(f, at[0], at[1], size) != strlen(want) || memcmp((u8 *)f + at[0], want, size) ||
        memcmp((u8 *)f + at[0] + size, before + at[0] + size, slot(&w, 3) - at[0] - size))
      differs("rt_copy_pad", (char *)f + at[0], want);
  }
}

/* ---- known answers --------------------------------------------------------------------- */

static u32 operand(struct world *w, const char *s)
{
  return s ? string_lit(w, s) | RT_LIT : 0;
}

static const struct {
  native_fn *fn;
  const char *a, *b, *c, *text;
  s64 x, y;
} answers[] = {
#define ANSWER(name) (native_fn *)(void *)name
    {ANSWER(rt_concat), "ab", "cd", NULL, "abcd", 0, 0},
    {ANSWER(rt_substr), "hello", NULL, NULL, "ell", 1, 3},
    {ANSWER(rt_substr), "hello", NULL, NULL, "", 5, 3},
    {ANSWER(rt_str_replace), "a-b-c", "-", "+++", "a+++b+++c", 0, 0},
    {ANSWER(rt_str_replace), "aaa", "aa", "b", "ba", 0, 0},
    {ANSWER(rt_toupper), "aZ0[z{", NULL, NULL, "AZ0[Z{", 0, 0},
    {ANSWER(rt_tolower), "aZ0[z{", NULL, NULL, "az0[z{", 0, 0},
    {ANSWER(rt_text_str), "\t\001\"x\377", NULL, NULL, "\\t\\001\\\"x\\377", 0, 0},
    {ANSWER(rt_text_strn), "abcdefgh", NULL, NULL, "\"abc\"...", 8, 1},
    {ANSWER(rt_text_strn), "abcdefgh", NULL, NULL, "abcde", 5, 0},
    {ANSWER(rt_string_quoted), "a\n", NULL, NULL, "\"a\\n\"", 0, 0},
    {ANSWER(rt_tokenize), ",,a;b", ",;", NULL, "a", 0, 0},
};
static const struct {
  s64 seconds;
  const char *text;
} dates[] = {
    {0, "Thu Jan  1 00:00:00 1970"},
    {741476948, "Wed Jun 30 21:49:08 1993"},
    {-2147483648ll, "Fri Dec 13 20:45:52 1901"},
    {2147483647, "Tue Jan 19 03:14:07 2038"},
    {951782400, "Tue Feb 29 00:00:00 2000"},
    {951868800, "Wed Mar  1 00:00:00 2000"},
    {2147483648ll, ""},
    {-2147483649ll, ""},
};

static void check_text(struct world *w, const char *want)
{
  const char *got = (const char *)w->native_frame + slot(w, 0);
  checks++;
  if (strcmp(got, want)) {
    failures++;
    printf("FAIL \"%s\", not \"%s\"\n", got, want);
  }
}

static s64 stat_of(struct world *w, u32 n, u32 op, u32 shift)
{
  struct rt_mem *f = (struct rt_mem *)w->native_frame;
  memset(w->native_frame + slot(w, 0), 0, sizeof(struct rt_stat));
  for (u32 i = 1; i <= n; i++)
    rt_stat_variance(f, slot(w, 0), i, shift);
  return rt_stat_get(f, slot(w, 0), op, shift);
}

static void check_number(s64 got, s64 want)
{
  checks++;
  if (got != want) {
    failures++;
    printf("FAIL %lld, not %lld\n", (long long)got, (long long)want);
  }
}

static void known_answers(void)
{
  struct world w;
  world_init(&w, 128);
  for (u32 i = 0; i < ARRAY_SIZE(answers); i++) {
    u64 arg[3] = {operand(&w, answers[i].a), operand(&w, answers[i].b), operand(&w, answers[i].c)};
    if (!answers[i].b) {
      arg[1] = (u64)answers[i].x;
      arg[2] = (u64)answers[i].y;
    }
    answers[i].fn(w.native_frame, slot(&w, 0), arg[0], arg[1], arg[2]);
    check_text(&w, answers[i].text);
  }
  for (u32 i = 0; i < ARRAY_SIZE(dates); i++) {
    rt_ctime((struct rt_mem *)w.native_frame, slot(&w, 0), dates[i].seconds);
    check_text(&w, dates[i].text);
  }
  check_number(stat_of(&w, 5, STAT_VARIANCE, 0), 12); /* the manual page's examples */
  check_number(stat_of(&w, 5, STAT_VARIANCE, 1), 2);
  check_number(stat_of(&w, 1, STAT_VARIANCE, 0), 0);
  check_number(stat_of(&w, 6, STAT_AVG, 0), 3);
  check_number(stat_of(&w, 6, STAT_MAX, 0), 6);
  check_number((s64)rt_hist_log(0), 64);
  check_number((s64)rt_hist_log(1), 65);
  check_number((s64)rt_hist_log(3), 66);
  check_number((s64)rt_hist_log(INT64_MAX), 127);
  check_number((s64)rt_hist_log(-1), 63);
  check_number((s64)rt_hist_log(-4), 61);
  check_number((s64)rt_hist_log(INT64_MIN), 0);
  check_number((s64)rt_hist_linear(-100, 1, 3, 1), 0);
  check_number((s64)rt_hist_linear(1, 1, 3, 1), 1);
  check_number((s64)rt_hist_linear(3, 1, 3, 1), 3);
  check_number((s64)rt_hist_linear(100, 1, 3, 1), 4);
  check_number((s64)rt_hist_linear(INT64_MAX, INT64_MIN, INT64_MAX, INT64_MAX), 3);
}

static bool may_load(void)
{
  int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "probe", 4, 8, 1, NULL);
  if (fd >= 0)
    close(fd);
  return fd >= 0;
}

int main(int argc, char **argv)
{
  arena = arena_new();
  diag_init(&diag, arena, stderr);
  struct world w;
  if (argc > 1 && !strcmp(argv[1], "--time")) {
    static const u32 sizes[] = {128, 512, 4096};
    for (u32 k = 0; k < ARRAY_SIZE(sizes); k++) {
      world_init(&w, sizes[k]);
      if (!world_load(&w))
        return 1;
      for (u32 i = 0; i < ARRAY_SIZE(rt_funcs); i++) {
        if (!w.unit[i] || w.unit[i]->fd < 0)
          continue;
        struct bpf_prog_info info = {0};
        u32 len = sizeof(info);
        bpf_obj_get_info_by_fd(w.unit[i]->fd, &info, &len);
        printf("M=%-5u %-24s %7.2f ms %7u instructions verified\n", sizes[k], rt_funcs[i].name,
               w.seconds[i] * 1e3, info.verified_insns);
      }
      bpf_unload(&w.img);
    }
  }
  known_answers();
  format_tests(20000);
  reference_tests(128, 20000);
  reference_tests(512, 20000);
  bool can_load = may_load();
  if (can_load) {
    static const u32 sizes[] = {128, 512, 4096};
    for (u32 k = 0; k < ARRAY_SIZE(sizes); k++)
      compare_all(sizes[k], 3000);
    sort_tests(300);
    memory_tests();
  }
  arena_free(arena);
  printf("%u checks, %u failures\n", checks, failures);
  if (!can_load && !failures) {
    printf("skipped: comparing with BPF takes the privilege to load programs\n");
    return 77;
  }
  return failures != 0;
}

/* The runtime's functions: known answers, and the same random calls natively and in BPF, through a
 * program that does nothing but call the function.
 *
 *   rt_test            all tests; without the privilege to load programs, the native ones
 *   rt_test --time     how long the verifier takes for each function  */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bpf/bpf.h"
#include "runtime/rt.h"
#include "runtime/rt_image.h"

#include "rt_image.inc"

enum { R0, R1, R2, R3, R4, R5, R6, R10 = 10 };
enum { NSLOTS = 6, RO_BYTES = 1 << 16, SORT_MAX = 1000 };

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
  w->img.frame_size = ROUND_UP(slot(w, NSLOTS) + RT_SLACK(m), 8);
  w->img.rodata_size = RO_BYTES;
  w->img.nslots = 1;
  w->rodata = arena_alloc(arena, RO_BYTES);
  w->ro_top = 8;
  w->native_frame = arena_alloc(arena, w->img.frame_size);
  rt_M = m;
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
  add_map(w, "sort", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct rt_sort_entry),
          2 * SORT_MAX + RT_SORT_EXTRA, BPF_F_MMAPABLE);
  if (bpf_load_maps(&w->img, &diag))
    return false;
  w->bpf_frame = mmap(NULL, w->img.frame_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                      w->img.maps.v[BMAP_FRAMES].fd, 0);
  if (w->bpf_frame == MAP_FAILED)
    return false;
  const struct bpf_rt_params sort = {.map = {BMAP_FIRST_FREE + 1, BMAP_FIRST_FREE},
                                     .c = {SORT_MAX, 0, 64, 0}},
                             send = {.c = {(s32)slot(w, 0), (s32)(NSLOTS * w->m)}};
  for (u32 i = 0; i < ARRAY_SIZE(rt_funcs); i++) {
    if (!rt_funcs[i].global)
      continue;
    struct bpf_unit *u = w->unit[i] =
        caller_of(&rt_funcs[i], !rt_funcs[i].is_template                  ? NULL
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
  printf("%u checks, %u failures\n", checks, failures);
  return failures != 0;
}

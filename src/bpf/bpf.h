/* The BPF executor's parts and what passes between them:
 *   gen.c    IR to BPF instructions with relocations (struct bpf_unit)
 *   link.c   adds the runtime functions a unit calls, resolves relocations, makes BTF
 *   load.c   maps, programs, verifier log
 *   exec.c   struct executor: attach, run, rings (ring.c), globals at exit (readback.c), system
 *            calls by number (dispatch.c)  */
#ifndef STAP_BPF_BPF_H
#define STAP_BPF_BPF_H

#include <linux/bpf.h>

#include "ir/ir.h"
#include "session/exec.h"

enum bpf_reloc_kind {
  REL_MAP,      /* ld_imm64: fd of map `index` */
  REL_MAPVAL,   /* ld_imm64: address of byte `offset` of map `index`'s only value */
  REL_RT,       /* call: runtime function `name` */
  REL_SUB,      /* call: sub `index` of the unit */
  REL_SUBPTR,   /* ld_imm64: address of sub `index` (a callback) */
};
/* What a call of a runtime template fills in; each different one gets a copy of the function
 * (rt.h says which functions are templates).  */
struct bpf_rt_params {
  u32 map[2];           /* indices of the image's maps */
  s32 c[4];
};
struct bpf_reloc {
  u32 insn;             /* its index in the sub */
  enum bpf_reloc_kind kind;
  u32 index, offset;
  const char *name;
  const struct bpf_rt_params *params; /* REL_RT of a template */
};
struct bpf_sub {        /* a BPF subprogram */
  const char *name;
  VEC(struct bpf_insn) insns;
  VEC(struct bpf_reloc) relocs;
  bool global;          /* verified once by its BTF signature: (frame *, scalars…) -> scalar */
  bool callback;        /* made inside another: a callback, or what handlers share; one of a kind in a unit */
  u32 nargs;            /* global: incl. the frame in R1 (when takes_frame) */
  bool takes_frame;
};
struct bpf_mapdef {
  const char *name;
  enum bpf_map_type type;
  u32 key_size, value_size, max_entries, flags;
  int fd;               /* after loading */
  const void *init;     /* contents of a one-entry array, or NULL; init_len bytes */
  u32 init_len;
};
/* Well-known maps come first in image->maps. */
enum bpf_map_id { BMAP_STATE, BMAP_FRAMES, BMAP_SLOTS, BMAP_RODATA, BMAP_GLOBALS, BMAP_RING,
                  BMAP_CTL, BMAP_FIRST_FREE };

struct bpf_unit {       /* one program to load */
  const char *name;     /* at most 15 bytes for the kernel */
  enum bpf_prog_type type;
  u32 expected_attach_type;
  u32 attach_btf_id;
  u32 flags;            /* BPF_F_SLEEPABLE … */
  VEC(struct bpf_sub *) subs; /* [0] is the entry point */
  VEC(struct ir_probe *) probes; /* whose handlers it runs */
  int fd;               /* after loading */
};
/* Where a global lives. */
struct bpf_gmap {
  u32 map;                /* arrays and statistics: image map index */
  u32 off;                /* scalars: byte in BMAP_GLOBALS */
  u32 lock_off;           /* lock word in BMAP_GLOBALS */
  u32 seq_off;            /* insertion counter in BMAP_GLOBALS */
  u32 key_size, col_size[9];
  u32 val_size, val_off;  /* val_off != 0: the insertion number stands before the value */
  u32 *hist_first;        /* first bucket of each histogram in rt_stat */
  u32 stat_key, stat_val; /* statistics: frame areas of merge()'s key and result */
  u32 merge_sub;          /* merge()'s subprogram in the current unit, or IR_NO */
};
struct bpf_image {
  struct arena *a;
  struct ir_module *m;
  VEC(struct bpf_mapdef) maps;
  VEC(struct bpf_unit *) units;
  VEC(struct rt_site) sites;
  struct bpf_gmap *gmap; /* by global id */
  u32 frame_size;       /* bytes of one frame; multiple of 8 */
  u32 rodata_size;      /* power of two */
  u32 maxstringlen;
  u32 nslots;           /* frames per CPU */
  struct bpf_types *types; /* link.c's; freed by bpf_unload() */
};

/* gen.c.  NULL after reporting what BPF can't do. */
struct bpf_image *bpf_gen(struct arena *a, struct ir_module *m, const struct run_options *o,
                          struct diag *d);

/* link.c: a unit's subs and the runtime functions they reach, laid out as one program.  */
struct bpf_linked {     /* in the image's arena */
  VEC(struct bpf_insn) insns;
  VEC(struct bpf_func_info) funcs; /* first instruction and BTF type of each function */
};
/* Map fds must be open.  Returns NULL after reporting an unknown runtime function (a bug).
 * Only functions that the first sub reaches are taken.  */
struct bpf_linked *bpf_link(struct bpf_image *img, struct bpf_unit *u, struct diag *d);
/* The types of all functions, made once per image by bpf_link(); loaded by load.c. */
struct bpf_types {
  struct btf *btf;
  u32 *rt_id;           /* per runtime function */
  u32 main_id;
  u32 sub_id[2][2][6];  /* script's own: global, takes_frame, nargs */
  bool loaded;
};

/* load.c.  0 or -1 after reporting (errno, what to do; with -vv the verifier's log). */
int bpf_load_maps(struct bpf_image *img, struct diag *d);
int bpf_load_unit(struct bpf_image *img, struct bpf_unit *u, struct diag *d, u32 verbose);
int bpf_load_units(struct bpf_image *img, struct diag *d, u32 verbose); /* all of them */
void bpf_unload(struct bpf_image *img); /* closes every fd */

/* readback.c: struct executor's read_global(). */
int bpf_read_global(struct bpf_image *img, const struct ir_global *g, void *arg,
                    void (*visit)(void *arg, const struct ir_val *keys, const struct ir_val *val,
                                  const struct rt_stat *stat));

/* dispatch.c: a program for sys_enter or sys_exit that jumps to the unit of the call's number.  The
 * image's units are loaded.  0, or -1 after reporting; fds are -1 while not open.  */
struct bpf_dispatch {
  int array_fd, prog_fd;
};
int bpf_dispatch_load(struct bpf_dispatch *t, const struct bpf_image *img, bool exit,
                      struct diag *d);
void bpf_dispatch_close(struct bpf_dispatch *t);

/* Opens pi's performance event on every processor, for program `prog` to be run by; the descriptors
 * are appended to `links`.  -1 after an error was reported.  */
typedef VEC(int) bpf_links;
int bpf_attach_perf(struct arena *a, bpf_links *links, const struct probe_inst *pi, int prog,
                    struct diag *d);

/* disasm.c: for --dump=bpf and tests. */
void bpf_print_unit(struct strbuf *b, const struct bpf_unit *u);
void bpf_print_insns(struct strbuf *b, const struct bpf_insn *insns, u32 n);

#endif

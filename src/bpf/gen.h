/* Inside the code generator: the builder of instructions and the state of the function being
 * generated.
 *
 * A function's blocks are split into regions: those outside every loop, and those of each loop.
 * A region becomes one subprogram; a loop's is a callback of bpf_loop.  An edge that leaves its
 * region stores its target in the frame's status and returns; the code behind the bpf_loop call
 * dispatches on it.
 *
 * Register use:  R0-R5 scratch, R6-R8 (and R9 without a frame) allocated, R9 the frame.
 * Stack of every subprogram:
 *   [R10-8]  frame pointer      [R10-16] the program's context      (callbacks copy both)
 *   [R10-24] scratch of one instruction, 8 bytes    then slots of a handler without a frame
 */
#ifndef STAP_BPF_GEN_H
#define STAP_BPF_GEN_H

#include <stdlib.h>
#include <string.h>

#include "bpf/bpf.h"
#include "elaborate/program.h"
#include "runtime/rt.h"

typedef int16_t s16;

enum { R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 };
enum { STK_FRAME = -8, STK_CTX = -16, STK_TMP = -24, STK_TMP2 = -32, STK_SLOTS = -32 };
enum { STACK_MODE_MAX = 384 };       /* bytes of slots in a handler without a frame */
enum { COND_STACK_MAX = 96 };        /* ... in a condition, which such a handler may call */
enum { LOOP_MAX = 1 << 23 };         /* iterations of one bpf_loop call */
enum { TURN_CALLS = 4 };             /* calls of a loop that turns within one, each up to 250 ms */
enum { SMALL_STR = 32 };             /* strings this short are zero-padded and copied inline */
enum { ERR_HAS_ADDR = 0x40000000, ERR_SKIP = 0x3fffffff, ERR_ABORT = 0x3ffffffe };

enum bpf_size { SZ_W = 0x00, SZ_H = 0x08, SZ_B = 0x10, SZ_DW = 0x18 };

/* Where a register of the IR lives. */
struct place {
  enum { PL_NONE, PL_REG, PL_SLOT } kind;
  u8 reg;
  s32 off;      /* slot: from R9, or R10 without a frame */
  bool small;   /* string: zero-padded, `size` bytes */
  u32 size;     /* string: bytes of the slot */
};

struct region {
  u32 loop;                 /* IR_NO for the outermost */
  struct bpf_sub *sub;
  u32 sub_index;            /* in the unit */
  VEC(u32) order;           /* its blocks and its child loops' headers, in emission order */
  VEC(u32) exits;           /* targets outside that its code may leave to */
};

/* Liveness of a function's registers: sets of words of bits. */
struct live {
  const struct ir_fn *fn;
  u32 words;
  u64 *in, *out;            /* per block */
};
/* Instructions of this backend alone, made by flatten.c (stack: an area of the frame). */
enum {
  BIR_BEGIN = IR_NOPS,      /* empties the stack but for state 0; imm: BIR_NESTED or 0; args: the
                               foreach's (V_INT: their ids) whose snapshots are stacked */
  BIR_SAVE,                 /* pushes the registers and foreach's args and the state imm (with BIR_NESTED: into a
                               recursive function); imm2: how many bytes */
  BIR_NEXT,                 /* dst = the state popped + imm */
  BIR_RESTORE,              /* pops the registers and foreach's args; imm2: bytes */
  BIR_RERAISE,              /* fails with the error there is */
  BIR_NESTED = 1 << 30,
};
struct flat_fn {
  const struct ir_fn *fn;
  u32 record;               /* bytes of its largest stack record */
  u32 plain;                /* functions in it that don't count as nested */
};

struct fixup {
  u32 insn, label;
};

/* A function being generated. */
struct genfn {
  struct ir_fn *fn;
  bool framed;
  struct place *place;      /* per IR register */
  struct region **region;   /* [0] outermost, [1 + loop] */
  u32 *rpo;                 /* block order */
  u32 nrpo;
  u32 key_off, val_off, rec_off; /* scratch areas of the frame, or 0 */
  u32 flat_off, flat_bytes; /* flattened functions: stack area, bytes of its records */
  s32 stack_used;           /* bytes below R10 in stack mode (positive) */
  u32 ret_off;              /* frame offset of the result (string or integer) */
  bool can_fail;
  struct ir_probe *probe;   /* handlers */
  VEC(struct { struct ir_lockset *set; s32 off; }) locks;
};

struct giter {              /* a foreach's place */
  u32 snap;                 /* map of snapshot entries: key, then value */
  u32 sort;                 /* map of struct rt_sort_entry */
  u32 val_off, entry_size;  /* of a snapshot entry */
  s32 pos_off, cnt_off;     /* frame slots: next position, how many */
  s32 idx_off;              /* frame slot: current snapshot entry */
  /* Of a recursive function: its activations' snapshots lie behind one another. */
  bool stacked;
  u32 cap;                  /* entries of the maps */
  s32 base_off, top_off;    /* frame slots: the first entry, the first free one */
};
enum { ITER_SLOTS = 5 };    /* words from pos_off on */
struct regex_place {        /* a regular expression's table in the read-only data */
  const struct regex *re;
  u32 off;
};
struct gfn {                /* a script function's place */
  u32 sub;                  /* index in the current unit or IR_NO */
  struct genfn *gf;
};

struct gen {
  struct arena *a;
  struct ir_module *m;
  struct bpf_image *img;
  struct diag *diag;
  const struct run_options *opt;
  struct bpf_unit *unit;
  struct genfn *f;
  struct region *r;
  struct bpf_sub *s;        /* the subprogram being emitted */
  s32 *label_pos;           /* of the current sub; -1: not yet */
  u32 nlabels, cap_labels;
  u32 *target_label;        /* per edge target of the current region; 0: none yet */
  VEC(struct fixup) fixups;
  struct bpf_gmap *gmap;        /* per global */
  struct giter *giter;      /* per iter */
  u32 lock_sub;             /* lock_wait()'s subprogram in the current unit, or IR_NO */
  bool group;               /* the unit has many handlers: they call functions for what all of them do */
  u32 handler_key, handler_val; /* bytes of the key and value areas, which handlers have in the same place */
  struct gfn *gfn;          /* per function, then per condition of a probe */
  u32 nfns;
  u32 nglobals;             /* entries of gmap */
  u32 int_top, str_top;     /* frame allocation */
  struct strbuf rodata;
  struct strmap lits;       /* literal -> offset + 1 */
  VEC(struct regex_place) regexes;
  VEC(struct flat_fn) flats;
  u32 globals_top;
  u32 L, M;                 /* MAXSTRINGLEN, a string's buffer */
  u32 nerr_tab;             /* rodata offset of the table of error texts, 0: not made */
  u32 pp_tab, pn_tab, errno_tab;
  bool endless;             /* loops may turn more often than the kernel lets them */
  u32 endless_err;          /* then: the error of a loop that has none of its own */
  bool aborts;              /* the script calls abort(), which no catch stops */
  bool may_goto, may_goto_known; /* the kernel has that instruction */
  bool failed;
};

/* ---- instructions ------------------------------------------------------- */
u32 emit(struct gen *g, u8 code, u8 dst, u8 src, s16 off, s32 imm);
void emit_mov(struct gen *g, u8 dst, u8 src);
void emit_movi(struct gen *g, u8 dst, s64 imm);
void emit_alu(struct gen *g, u8 op, u8 dst, u8 src);   /* 64 bits; op: BPF_ADD … */
void emit_alui(struct gen *g, u8 op, u8 dst, s32 imm);
void emit_ldx(struct gen *g, enum bpf_size sz, u8 dst, u8 src, s32 off);
void emit_stx(struct gen *g, enum bpf_size sz, u8 dst, s32 off, u8 src);
void emit_st(struct gen *g, enum bpf_size sz, u8 dst, s32 off, s32 imm);
void emit_atomic(struct gen *g, s32 op, u8 dst, s32 off, u8 src); /* 64 bits */
void emit_jmp(struct gen *g, u32 label);
void emit_jcc(struct gen *g, u8 op, u8 dst, u8 src, u32 label);
void emit_jcci(struct gen *g, u8 op, u8 dst, s32 imm, u32 label);
void emit_may_goto(struct gen *g, u32 label);          /* jumps when the kernel has had enough of the loop */
void emit_helper(struct gen *g, u32 helper);
void emit_rt(struct gen *g, const char *name);
void emit_rt_template(struct gen *g, const char *name, const struct bpf_rt_params *p);
void emit_be64(struct gen *g, u8 reg);
void emit_map(struct gen *g, u8 dst, u32 map);
void emit_mapval(struct gen *g, u8 dst, u32 map, u32 off);
void emit_subptr(struct gen *g, u8 dst, u32 sub);
void emit_callsub(struct gen *g, u32 sub);
void emit_exit(struct gen *g);
bool insn_falls_through(const struct bpf_insn *i);
u32 insn_width(const struct bpf_insn *i); /* slots */
u32 label_new(struct gen *g);
void label_here(struct gen *g, u32 label);
struct bpf_sub *sub_begin(struct gen *g, const char *name, u32 *index);
void sub_end(struct gen *g);
/* far.c: lets the jumps of a subprogram reach their targets (per instruction; -1: no jump).  Returns the
 * targets in what the subprogram then is.  */
s32 *far_jumps(struct gen *g, struct bpf_sub *s, s32 *target);

/* ---- values ---------------------------------------------------------------- */
u8 use_int(struct gen *g, const struct ir_val *v, u8 tmp);  /* register that holds it */
void load_int(struct gen *g, const struct ir_val *v, u8 reg);
u8 def_reg(struct gen *g, u32 dst, u8 tmp);                 /* compute into this */
void def_done(struct gen *g, u32 dst, u8 reg);              /* store when dst is a slot */
void addr_of(struct gen *g, u8 reg, const struct place *p); /* reg = address of the slot */
/* reg = address of a string operand: slot or literal */
void str_addr(struct gen *g, u8 reg, const struct ir_val *v);
u32 str_off(struct gen *g, const struct ir_val *v);         /* offset for rt functions */
u32 str_bound(struct gen *g, const struct ir_val *v);       /* bytes incl. NUL at most */
bool str_small(struct gen *g, const struct ir_val *v);
u32 rodata_lit(struct gen *g, const char *s, u32 len);      /* offset in rodata */
u32 rodata_add(struct gen *g, const void *p, u32 len, u32 align);

/* Leaves to an edge's target: a block, or one of the two below. */
#define TO_RET(f) ((f)->fn->blocks.n)
#define TO_ERR(f) ((f)->fn->blocks.n + 1)
u32 edge_label(struct gen *g, u32 target);
/* The label to jump to when the instruction fails, with err (and err_arg) stored. */
void fail(struct gen *g, const struct ir_block *b, const struct ir_ins *i);
void store_err(struct gen *g, u32 err, int addr_reg);
u32 fail_label(struct gen *g, const struct ir_block *b);

/* ---- parts ---------------------------------------------------------------- */
void alloc_fn(struct gen *g, struct genfn *f);              /* alloc.c */
void live_make(struct arena *a, struct live *l, const struct ir_fn *fn);
/* What is live before the block's instruction `at`, or before its end. */
u64 *live_before(struct arena *a, const struct live *l, const struct ir_block *b, u32 at);
void flatten_module(struct gen *g);                         /* flatten.c */
bool sel_flat(struct gen *g, const struct ir_block *b, const struct ir_ins *i);
bool is_flat(const struct gen *g, const struct ir_fn *fn);
/* Jumps to `full` when no more recursive call is allowed. */
void check_nesting(struct gen *g, u32 full);
u32 flat_stack_bytes(const struct gen *g, const struct ir_fn *fn); /* of all records */
u32 flat_reg_bytes(const struct gen *g, const struct ir_reg *r); /* in a record */
bool needs_frame(struct gen *g, struct ir_fn *fn);
void sel_ins(struct gen *g, const struct ir_block *b, const struct ir_ins *i); /* sel.c */
/* equal.c: an IR_SCMP whose result is only compared with zero; false: it takes a call. */
bool sel_equal(struct gen *g, const struct ir_ins *i);
/* With short zero-padded operands (such as a handler without a frame has) it takes none. */
bool equal_needs_no_call(const struct ir_fn *fn, const struct ir_ins *i);
bool sel_map(struct gen *g, const struct ir_block *b, const struct ir_ins *i); /* mapop.c */
void layout_globals(struct gen *g);                         /* mapop.c */
void layout_frame_areas(struct gen *g);                     /* before functions are placed */
void put_small(struct gen *g, u8 base, s32 off, u32 size, const struct ir_val *v);
/* Callbacks: subprograms made while another is being emitted. */
struct callback {
  struct bpf_sub *saved;
  u32 index;
  s32 *label_pos;
  u32 nlabels, cap_labels;
  struct fixup *fix;
  u32 nfix, capfix;
};
struct callback callback_begin(struct gen *g, const char *name, u32 nargs);
/* The same for a function that takes the frame in R1, and leaves it in R9. */
struct callback framed_begin(struct gen *g, const char *name, u32 nargs);
u32 callback_end(struct gen *g, struct callback *c); /* its index in the unit */
void sel_lock(struct gen *g, const struct ir_ins *i);       /* lock.c */
void emit_unlock(struct gen *g, struct ir_lockset *l);
void copy_str(struct gen *g, u32 dst, const struct ir_val *src);
u32 task_offset(struct gen *g, const char *path);

/* ---- selection: sel.c, context.c, output.c ---------------------------------------- */
void rt_call(struct gen *g, const char *name);              /* R1 = the frame */
void arg_off(struct gen *g, u8 reg, const struct ir_val *v); /* reg = offset of a string operand */
u32 dst_off(struct gen *g, const struct ir_ins *i);         /* of a string result; scratch when unused */
bool fits_imm(const struct ir_val *v);
/* False: not one of theirs. */
bool sel_ctx_helper(struct gen *g, const struct ir_ins *i);
bool sel_time(struct gen *g, const struct ir_ins *i);
bool sel_task(struct gen *g, const struct ir_ins *i);
s64 kernel_hz(void);
/* R0 = size bytes at R3 + off in the kernel, 0 after a fault. */
void read_kernel(struct gen *g, u32 size, u32 off);
void sel_ctx_arg(struct gen *g, const struct ir_ins *i);
void sel_ctx_reg(struct gen *g, const struct ir_ins *i);
void sel_read(struct gen *g, const struct ir_block *b, const struct ir_ins *i);
void sel_mem_string(struct gen *g, const struct ir_block *b, const struct ir_ins *i);
/* Offsets of tables put into the read-only data (runtime/rt.h). */
u32 strtab_off(struct gen *g, const struct ir_strtab *t);
u32 flags_off(struct gen *g, const struct ir_flags *t);
u32 errno_off(struct gen *g);
void sel_probe_name(struct gen *g, const struct ir_ins *i);
void sel_state(struct gen *g, const struct ir_ins *i, u32 off);
void sel_execname(struct gen *g, const struct ir_ins *i);
void sel_print(struct gen *g, const struct ir_ins *i);
void sel_mem_check(struct gen *g, const struct ir_block *b, const struct ir_ins *i);
void sel_log(struct gen *g, const struct ir_ins *i);
void sel_sprint(struct gen *g, const struct ir_ins *i);
/* Sends a control record; text may be NULL. */
void send_ctl(struct gen *g, enum rt_ctl_kind kind, const struct ir_val *text);
void sel_exit(struct gen *g);
void sel_error(struct gen *g, const struct ir_block *b, const struct ir_ins *i);
void sel_catch(struct gen *g, const struct ir_ins *i);

/* ---- control flow: cfg.c, handler.c -------------------------------------------------- */
struct genfn *genfn_new(struct gen *g, struct ir_fn *fn);
bool ins_can_fail(const struct gen *g, const struct ir_ins *i);
bool ins_can_abort(const struct gen *g, const struct ir_ins *i); /* leaves whatever catches */
void find_exits(struct gen *g, struct genfn *f);            /* where edges out of loops go */
/* A function: declare_loops(), region_begin() of region 0, the code, sub_end(), gen_loops(). */
void emit_blocks(struct gen *g, struct region *r);
void region_begin(struct gen *g, struct genfn *f, struct region *r);
void declare_loops(struct gen *g, struct genfn *f);
void gen_loops(struct gen *g, struct genfn *f);
void gen_called(struct gen *g);                             /* functions that the unit calls */
/* The program that runs probe `first`, and others that share it (marked done). */
void gen_unit(struct gen *g, struct genfn **handler, u32 first, bool *done);

/* ---- loops within one call of their callback: turns.c ---------------------------------- */
enum { HELD_MAX = 5 };
struct held {               /* variables that a loop holds in registers */
  u32 n, again;             /* label: where the turns of a call end */
  struct {
    u32 reg;
    bool assigned;
    struct place slot;      /* its place outside the loop */
  } v[HELD_MAX];
};
bool turns_within(struct gen *g, const struct genfn *f, u32 loop);
u32 turn_calls(const struct gen *g);                        /* how often such a callback is called at most */
/* The callback, whose R9 is the frame: begin, the loop's blocks, then store before each way out, end. */
void turns_begin(struct gen *g, u32 loop, struct held *h);
void turns_store(struct gen *g, const struct held *h);
void turns_end(struct gen *g, struct held *h);

/* ---- globals: mapop.c, used by statiter.c ----------------------------------------- */
struct key {
  bool in_place;
  const struct place *p; /* in place: the register's own slot */
};
u8 base_reg(const struct gen *g);                           /* of slots and areas: R9 or R10 */
u32 column_size(const struct gen *g, const struct ir_global *v, u32 c);
u32 column_off(const struct gen *g, const struct ir_global *v, u32 c);
/* One key column at base_reg + off. */
void key_column(struct gen *g, const struct ir_val *a, bool string, s32 off, u32 size);
/* All columns; or those of `mask`, whose values are args.  In the function's key area. */
struct key build_key(struct gen *g, const struct ir_global *v, const struct ir_ins *i);
void build_columns(struct gen *g, const struct ir_global *v, u64 mask, const struct ir_val *args);
/* In a callback: compares the columns of `mask` of the element's key at register `elem` with the key
 * area at register `key` + key_off; jumps to `differs`.  Uses R0 and R5.  */
void compare_columns(struct gen *g, const struct ir_global *v, u64 mask, u8 elem, u8 key,
                     s32 key_off, u32 differs);
void lookup(struct gen *g, const struct bpf_gmap *gm, const struct key *k); /* R0 = value or 0 */
void stage_seq(struct gen *g, const struct bpf_gmap *gm);       /* insertion number to the value area */
/* Adds the value area as a new element.  R0 = 0, -EEXIST or the failure. */
void insert(struct gen *g, const struct ir_global *v, const struct key *k);
void check_inserted(struct gen *g, const struct ir_block *b, const struct ir_ins *i, u32 ok,
                    u32 exists);
/* Calls the callback for each element, with the address of STK_TMP as its context. */
void for_each(struct gen *g, u32 map, u32 sub);

/* ---- foreach statements that have the same maps: iters.c -------------------------------- */
u32 *iters_share(struct gen *g);                            /* per statement: whose maps it has */

/* ---- statistics and foreach: statiter.c ----------------------------------------------- */
bool sel_stat_iter(struct gen *g, const struct ir_block *b, const struct ir_ins *i);
/* A stacked foreach's place in its snapshot to R1 + off and the next snapshot behind; back. */
void iter_save(struct gen *g, u32 iter, u32 off);
void iter_restore(struct gen *g, u32 iter, u32 off);
void iter_reset(struct gen *g, u32 iter);
void emit_stat_reset(struct gen *g, const struct ir_global *v); /* all CPUs' parts to zero */

/* ---- output: sel.c ------------------------------------------------------------------- */
/* Sends R0 bytes, at most `max`, at the frame's rec_off. */
void send_record(struct gen *g, u32 max);

#define IS_INT(f, r) ((f)->fn->regs.v[r].type == IR_INT)

#endif

/* IR to BPF units: regions, edges, handler entry and exit, frames.  The choice of instructions
 * is in sel.c and mapop.c, that of registers in alloc.c.  */
#include "bpf/gen.h"

#include <bpf/libbpf.h>

#include "bpf/syscall_regs.h"
#include "runtime/format.h"

enum { LOOP_MAX = 1 << 23 };     /* iterations of one bpf_loop call */
enum { CTL_BYTES = sizeof(struct rt_ctl) };

/* ---- regions ----------------------------------------------------------------- */

static struct ir_block *block(const struct genfn *f, u32 id)
{
  return f->fn->blocks.v[id];
}

static bool in_loop(const struct genfn *f, u32 loop, u32 target)
{
  if (target >= f->fn->blocks.n)
    return false;
  for (u32 l = block(f, target)->loop; l != IR_NO; l = f->fn->loops.v[l].parent)
    if (l == loop)
      return true;
  return false;
}

static bool ins_can_fail(const struct gen *g, const struct ir_ins *i)
{
  if ((u32)i->op >= IR_NOPS)
    return (u32)i->op == BIR_SAVE || (u32)i->op == BIR_RERAISE;
  if (i->op == IR_FN)
    return i->builtin->flags & BI_FAIL || i->builtin->fn == FN_ABORT;
  if (i->op == IR_CALL)
    return g->gfn[i->fn->id].gf->can_fail;
  return ir_ops[i->op].flags & BI_FAIL;
}

/* May leave the function whatever catches. */
static bool ins_can_abort(const struct gen *g, const struct ir_ins *i)
{
  return i->op == IR_FN ? i->builtin->fn == FN_ABORT
                        : g->aborts && i->op == IR_CALL && ins_can_fail(g, i);
}

static void add_exit(struct gen *g, struct genfn *f, u32 from_loop, u32 target)
{
  for (u32 l = from_loop; l != IR_NO; l = f->fn->loops.v[l].parent) {
    if (in_loop(f, l, target))
      return;
    struct region *r = f->region[1 + l];
    bool known = false;
    for (u32 k = 0; k < r->exits.n; k++)
      known |= r->exits.v[k] == target;
    if (!known)
      vec_push(g->a, &r->exits, target);
  }
}

/* Where edges that leave each loop go. */
static void find_exits(struct gen *g, struct genfn *f)
{
  for (u32 n = 0; n < f->nrpo; n++) {
    struct ir_block *b = block(f, f->rpo[n]);
    if (b->loop == IR_NO)
      continue;
    if (b->term == T_RET)
      add_exit(g, f, b->loop, TO_RET(f));
    else
      add_exit(g, f, b->loop, b->to[0]);
    if (b->term == T_BR)
      add_exit(g, f, b->loop, b->to[1]);
    for (u32 k = 0; k < b->ins.n; k++) {
      if (b->ins.v[k].op == IR_LOCK || ins_can_abort(g, &b->ins.v[k]))
        add_exit(g, f, b->loop, TO_ERR(f));
      if (ins_can_fail(g, &b->ins.v[k]))
        add_exit(g, f, b->loop, b->handler != IR_NO ? b->handler : TO_ERR(f));
    }
  }
}

static void visit(struct genfn *f, u32 id, bool *seen)
{
  if (seen[id])
    return;
  seen[id] = true;
  struct ir_block *b = block(f, id);
  if (b->handler != IR_NO)
    visit(f, b->handler, seen);
  if (b->term == T_BR)
    visit(f, b->to[1], seen);
  if (b->term != T_RET)
    visit(f, b->to[0], seen);
  f->rpo[f->nrpo++] = id;
}

/* Reverse postorder of the reachable blocks, and each region's part of it. */
static void make_regions(struct gen *g, struct genfn *f)
{
  struct ir_fn *fn = f->fn;
  bool *seen = NEW_ARRAY(g->a, bool, fn->blocks.n);
  f->rpo = NEW_ARRAY(g->a, u32, fn->blocks.n);
  visit(f, 0, seen);
  for (u32 i = 0; i < f->nrpo / 2; i++) {
    u32 t = f->rpo[i];
    f->rpo[i] = f->rpo[f->nrpo - 1 - i];
    f->rpo[f->nrpo - 1 - i] = t;
  }
  f->region = NEW_ARRAY(g->a, struct region *, 1 + fn->loops.n);
  for (u32 l = 0; l <= fn->loops.n; l++) {
    f->region[l] = NEW(g->a, struct region);
    f->region[l]->loop = l ? l - 1 : IR_NO;
  }
  for (u32 n = 0; n < f->nrpo; n++) {
    u32 id = f->rpo[n], l = block(f, id)->loop;
    vec_push(g->a, &f->region[l == IR_NO ? 0 : 1 + l]->order, id);
    if (l != IR_NO && fn->loops.v[l].header == id) {
      u32 up = fn->loops.v[l].parent;
      vec_push(g->a, &f->region[up == IR_NO ? 0 : 1 + up]->order, id);
    }
  }
}

/* ---- edges ------------------------------------------------------------------ */

u32 edge_label(struct gen *g, u32 target)
{
  if (!g->target_label[target])
    g->target_label[target] = label_new(g) + 1;
  return g->target_label[target] - 1;
}

u32 fail_label(struct gen *g, const struct ir_block *b)
{
  return edge_label(g, b->handler != IR_NO ? b->handler : TO_ERR(g->f));
}

/* Stores the error where the handler finds it: in the frame, or on the stack. */
void store_err(struct gen *g, u32 err, int addr_reg)
{
  u8 base = g->f->framed ? R9 : R10;
  s32 err_off = g->f->framed ? (s32)offsetof(struct rt_frame, err) : STK_TMP2;
  s32 arg_off = g->f->framed ? (s32)offsetof(struct rt_frame, err_arg) : STK_TMP;
  if (addr_reg >= 0)
    emit_stx(g, SZ_DW, base, arg_off, (u8)addr_reg);
  else if (!g->f->framed)
    emit_st(g, SZ_DW, base, arg_off, 0);
  emit_st(g, SZ_W, base, err_off, (s32)err);
}

void fail(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  store_err(g, i->err == IR_NO ? 0 : i->err, -1);
  emit_jmp(g, fail_label(g, b));
}

/* ---- loops ----------------------------------------------------------------- */

static void emit_loop_call(struct gen *g, u32 loop)
{
  struct region *r = g->f->region[1 + loop];
  emit_st(g, SZ_W, R9, offsetof(struct rt_frame, status), 0);
  emit_movi(g, R1, LOOP_MAX);
  emit_subptr(g, R2, r->sub_index);
  emit_mov(g, R3, R10);
  emit_alui(g, BPF_ADD, R3, STK_FRAME);
  emit_movi(g, R4, 0);
  emit_helper(g, BPF_FUNC_loop);
  if (!r->exits.n) {
    emit_jmp(g, edge_label(g, TO_RET(g->f)));
    return;
  }
  if (r->exits.n > 1)
    emit_ldx(g, SZ_W, R1, R9, offsetof(struct rt_frame, status));
  for (u32 k = 0; k + 1 < r->exits.n; k++)
    emit_jcci(g, BPF_JEQ, R1, (s32)r->exits.v[k] + 1, edge_label(g, r->exits.v[k]));
  emit_jmp(g, edge_label(g, r->exits.v[r->exits.n - 1]));
}

static void emit_term(struct gen *g, const struct ir_block *b, u32 next)
{
  switch (b->term) {
  case T_JMP:
    if (b->to[0] != next)
      emit_jmp(g, edge_label(g, b->to[0]));
    break;
  case T_BR: {
    if (b->val.kind != V_REG) {
      u32 to = b->to[b->val.kind == V_INT && b->val.num ? 0 : 1];
      if (to != next)
        emit_jmp(g, edge_label(g, to));
      break;
    }
    u8 r = use_int(g, &b->val, R1);
    if (b->to[0] == next) {
      emit_jcci(g, BPF_JEQ, r, 0, edge_label(g, b->to[1]));
    } else {
      emit_jcci(g, BPF_JNE, r, 0, edge_label(g, b->to[0]));
      if (b->to[1] != next)
        emit_jmp(g, edge_label(g, b->to[1]));
    }
    break;
  }
  case T_RET:
    if (b->has_val && g->f->fn->result == IR_INT) {
      u8 r = use_int(g, &b->val, R1);
      emit_stx(g, SZ_DW, R9, (s32)g->f->ret_off, r);
    } else if (b->has_val && g->f->fn->result == IR_STR) {
      emit_mov(g, R1, R9);
      emit_alui(g, BPF_ADD, R1, (s32)g->f->ret_off);
      emit_movi(g, R2, g->M);
      str_addr(g, R3, &b->val);
      emit_helper(g, BPF_FUNC_probe_read_kernel_str);
    }
    if (next != TO_RET(g->f))
      emit_jmp(g, edge_label(g, TO_RET(g->f)));
    break;
  }
}

/* A comparison whose only use is the branch that follows is one jump. */
static bool fuse_branch(struct gen *g, const struct ir_block *b, u32 next)
{
  static const u8 jop[] = {[IR_EQ] = BPF_JEQ,  [IR_NE] = BPF_JNE,  [IR_LT] = BPF_JSLT,
                           [IR_LE] = BPF_JSLE, [IR_GT] = BPF_JSGT, [IR_GE] = BPF_JSGE};
  static const u8 inverse[] = {[IR_EQ] = BPF_JNE,  [IR_NE] = BPF_JEQ,  [IR_LT] = BPF_JSGE,
                               [IR_LE] = BPF_JSGT, [IR_GT] = BPF_JSLE, [IR_GE] = BPF_JSLT};
  if (b->term != T_BR || b->val.kind != V_REG || !b->ins.n)
    return false;
  const struct ir_ins *i = &vec_last(&b->ins);
  if (i->op < IR_EQ || i->op > IR_GE || i->dst != b->val.reg)
    return false;
  u32 uses = 0;
  for (u32 n = 0; n < g->f->fn->blocks.n; n++) {
    const struct ir_block *o = block(g->f, n);
    uses += o->term != T_JMP && o->val.kind == V_REG && o->val.reg == i->dst;
    for (u32 k = 0; k < o->ins.n; k++)
      for (u32 j = 0; j < o->ins.v[k].nargs; j++)
        uses += o->ins.v[k].args[j].kind == V_REG && o->ins.v[k].args[j].reg == i->dst;
  }
  if (uses != 1)
    return false;
  bool invert = b->to[0] == next;
  u8 op = invert ? inverse[i->op] : jop[i->op];
  u32 to = b->to[invert ? 1 : 0], other = b->to[invert ? 0 : 1];
  u8 x = use_int(g, &i->args[0], R1);
  const struct ir_val *y = &i->args[1];
  if (y->kind == V_INT && y->num == (s32)y->num)
    emit_jcci(g, op, x, (s32)y->num, edge_label(g, to));
  else
    emit_jcc(g, op, x, use_int(g, y, R2), edge_label(g, to));
  if (other != next)
    emit_jmp(g, edge_label(g, other));
  return true;
}

static void emit_blocks(struct gen *g, struct region *r)
{
  u32 own_header = r->loop == IR_NO ? IR_NO : g->f->fn->loops.v[r->loop].header;
  for (u32 n = 0; n < r->order.n; n++) {
    u32 id = r->order.v[n];
    struct ir_block *b = block(g->f, id);
    if (id != own_header)
      label_here(g, edge_label(g, id));
    if (b->loop != r->loop) {
      emit_loop_call(g, b->loop);
      continue;
    }
    u32 next = n + 1 < r->order.n ? r->order.v[n + 1] : TO_RET(g->f);
    if (next == TO_RET(g->f) && r->loop != IR_NO)
      next = IR_NO;
    for (u32 k = 0; k < b->ins.n; k++) {
      if (k + 1 == b->ins.n && fuse_branch(g, b, next))
        goto done;
      sel_ins(g, b, &b->ins.v[k]);
    }
    emit_term(g, b, next);
  done:;
  }
}

static void region_begin(struct gen *g, struct genfn *f, struct region *r)
{
  g->f = f;
  g->r = r;
  g->s = r->sub;
  g->nlabels = 0;
  g->target_label = NEW_ARRAY(g->a, u32, f->fn->blocks.n + 2);
}

static bool uses_ctx(const struct ir_fn *fn)
{
  for (u32 n = 0; n < fn->blocks.n; n++)
    for (u32 k = 0; k < fn->blocks.v[n]->ins.n; k++) {
      const struct ir_ins *i = &fn->blocks.v[n]->ins.v[k];
      if (i->op == IR_FN && (i->builtin->fn == FN_CTX_ARG || i->builtin->fn == FN_CTX_REG))
        return true;
    }
  return false;
}

/* One loop's callback. */
static void gen_loop(struct gen *g, struct genfn *f, u32 loop)
{
  struct region *r = f->region[1 + loop];
  region_begin(g, f, r);
  emit_ldx(g, SZ_DW, R9, R2, 0);
  emit_stx(g, SZ_DW, R10, STK_FRAME, R9);
  if (uses_ctx(f->fn)) {
    emit_ldx(g, SZ_DW, R1, R2, STK_CTX - STK_FRAME);
    emit_stx(g, SZ_DW, R10, STK_CTX, R1);
  }
  emit_blocks(g, r);
  u32 header = f->fn->loops.v[loop].header;
  for (u32 t = 0; t < f->fn->blocks.n + 2; t++) {
    if (!g->target_label[t] || g->label_pos[g->target_label[t] - 1] >= 0)
      continue;
    label_here(g, g->target_label[t] - 1);
    if (t == header) {
      emit_movi(g, R0, 0);
    } else {
      emit_st(g, SZ_W, R9, offsetof(struct rt_frame, status), (s32)t + 1);
      emit_movi(g, R0, 1);
    }
    emit_exit(g);
  }
  sub_end(g);
}

static void declare_loops(struct gen *g, struct genfn *f)
{
  for (u32 l = 0; l < f->fn->loops.n; l++) {
    struct region *r = f->region[1 + l];
    r->sub = sub_begin(g, arena_printf(g->a, "loop_%u", g->unit->subs.n), &r->sub_index);
    r->sub->callback = true;
  }
}

static void gen_loops(struct gen *g, struct genfn *f)
{
  for (u32 l = 0; l < f->fn->loops.n; l++)
    gen_loop(g, f, l);
}

/* ---- script functions --------------------------------------------------------- */

static struct genfn *genfn_new(struct gen *g, struct ir_fn *fn)
{
  struct genfn *f = NEW(g->a, struct genfn);
  f->fn = fn;
  f->place = NEW_ARRAY(g->a, struct place, fn->regs.n + 1);
  f->stack_used = -STK_SLOTS;
  make_regions(g, f);
  return f;
}

static void gen_function(struct gen *g, u32 id)
{
  struct genfn *f = g->gfn[id].gf;
  f->region[0]->sub = g->unit->subs.v[g->gfn[id].sub];
  declare_loops(g, f);
  region_begin(g, f, f->region[0]);
  u32 found = label_new(g);
  emit_stx(g, SZ_W, R10, STK_TMP, R1);
  emit_mov(g, R2, R10);
  emit_alui(g, BPF_ADD, R2, STK_TMP);
  emit_map(g, R1, BMAP_FRAMES);
  emit_helper(g, BPF_FUNC_map_lookup_elem);
  emit_jcci(g, BPF_JNE, R0, 0, found);
  emit_movi(g, R0, 0);
  emit_exit(g);
  label_here(g, found);
  emit_mov(g, R9, R0);
  emit_stx(g, SZ_DW, R10, STK_FRAME, R9);
  emit_blocks(g, f->region[0]);
  label_here(g, edge_label(g, TO_RET(f)));
  emit_movi(g, R0, 0);
  emit_exit(g);
  if (g->target_label[TO_ERR(f)]) {
    label_here(g, edge_label(g, TO_ERR(f)));
    emit_movi(g, R0, 1);
    emit_exit(g);
  }
  sub_end(g);
  gen_loops(g, f);
}

/* Makes the functions of the current unit that are called but not yet generated. */
static void gen_called(struct gen *g)
{
  for (bool more = true; more;) {
    more = false;
    for (u32 id = 0; id < g->nfns; id++) {
      if (g->gfn[id].sub == IR_NO || g->unit->subs.v[g->gfn[id].sub]->insns.n)
        continue;
      gen_function(g, id);
      more = true;
    }
  }
}

/* ---- handlers ---------------------------------------------------------------- */

static void count_state(struct gen *g, u32 off)
{
  emit_mapval(g, R1, BMAP_STATE, off);
  emit_movi(g, R2, 1);
  emit_atomic(g, BPF_ADD, R1, 0, R2);
}

/* Takes the first free frame of this CPU; leaves it in R9. */
static void claim_frame(struct gen *g, u32 out)
{
  struct bpf_image *img = g->img;
  u32 got = label_new(g), full = label_new(g);
  emit_helper(g, BPF_FUNC_get_smp_processor_id);
  emit_jcci(g, BPF_JGT, R0, (s32)(img->maps.v[BMAP_FRAMES].max_entries / img->nslots) - 1, full);
  emit_mov(g, R6, R0);
  emit_alui(g, BPF_MUL, R6, (s32)img->nslots);
  emit_mov(g, R3, R6);
  emit_alui(g, BPF_LSH, R3, 3);
  emit_mapval(g, R1, BMAP_SLOTS, 0);
  emit_alu(g, BPF_ADD, R1, R3);
  for (u32 s = 0; s < img->nslots; s++) {
    emit_movi(g, R2, 1);
    emit_atomic(g, BPF_XCHG, R1, (s32)s * 8, R2);
    emit_jcci(g, BPF_JEQ, R2, 0, got);
    emit_alui(g, BPF_ADD, R6, 1);
  }
  label_here(g, full);
  count_state(g, offsetof(struct rt_state, skipped_frame));
  emit_jmp(g, out);
  label_here(g, got);
  emit_stx(g, SZ_W, R10, STK_TMP, R6);
  emit_mov(g, R2, R10);
  emit_alui(g, BPF_ADD, R2, STK_TMP);
  emit_map(g, R1, BMAP_FRAMES);
  emit_helper(g, BPF_FUNC_map_lookup_elem);
  emit_jcci(g, BPF_JEQ, R0, 0, out);
  emit_mov(g, R9, R0);
  emit_stx(g, SZ_DW, R10, STK_FRAME, R9);
  emit_stx(g, SZ_W, R9, offsetof(struct rt_frame, slot), R6);
}

static void release_frame(struct gen *g)
{
  struct bpf_image *img = g->img;
  u32 bad = label_new(g);
  emit_ldx(g, SZ_W, R2, R9, offsetof(struct rt_frame, slot));
  emit_jcci(g, BPF_JGT, R2, (s32)img->maps.v[BMAP_FRAMES].max_entries - 1, bad);
  emit_alui(g, BPF_LSH, R2, 3);
  emit_mapval(g, R1, BMAP_SLOTS, 0);
  emit_alu(g, BPF_ADD, R1, R2);
  emit_movi(g, R2, 0);
  emit_stx(g, SZ_DW, R1, 0, R2);
  label_here(g, bad);
}

static void frame_init(struct gen *g, struct ir_probe *p)
{
  const struct ir_module *m = g->m;
  bool session = p->inst->kind == PROG_SESSION;
  emit_st(g, SZ_W, R9, offsetof(struct rt_frame, probe_id), (s32)p->id);
  emit_st(g, SZ_DW, R9, offsetof(struct rt_frame, err), 0);
  emit_st(g, SZ_W, R9, offsetof(struct rt_frame, nesting), 0);
  emit_st(g, SZ_W, R9, offsetof(struct rt_frame, match_n), 0);
  emit_st(g, SZ_DW, R9, offsetof(struct rt_frame, tok_off), 0);
  emit_st(g, SZ_W, R9, offsetof(struct rt_frame, may_wait), session);
  s64 budget = ir_max_statements(m, p->inst);
  if (budget == (s32)budget) {
    emit_st(g, SZ_DW, R9, offsetof(struct rt_frame, budget), (s32)budget);
  } else {
    emit_movi(g, R1, budget);
    emit_stx(g, SZ_DW, R9, offsetof(struct rt_frame, budget), R1);
  }
}

/* Sends the error that ended the handler on the control ring and counts it.  A handler
 * that did not get a lock in time is counted as skipped. */
static void report_error(struct gen *g, struct genfn *f, struct ir_probe *p)
{
  u8 base = f->framed ? R9 : R10;
  s32 err_off = f->framed ? (s32)offsetof(struct rt_frame, err) : STK_TMP2;
  s32 arg_off = f->framed ? (s32)offsetof(struct rt_frame, err_arg) : STK_TMP;
  s32 ctl = f->framed ? (s32)RT_OFF_TMP(g->M) : -f->stack_used - CTL_BYTES;
  u32 skipped = label_new(g), done = label_new(g), go_on = label_new(g), send = label_new(g);
  emit_ldx(g, SZ_W, R6, base, err_off);
  emit_jcci(g, BPF_JEQ, R6, ERR_SKIP, skipped);
  emit_jcci(g, BPF_JEQ, R6, ERR_ABORT, done);
  emit_mapval(g, R1, BMAP_STATE, 0);
  emit_movi(g, R2, 1);
  emit_atomic(g, BPF_ADD | BPF_FETCH, R1, offsetof(struct rt_state, errors), R2);
  emit_ldx(g, SZ_DW, R3, R1, offsetof(struct rt_state, maxerrors));
  emit_jcc(g, BPF_JLT, R2, R3, go_on);
  emit_movi(g, R2, RT_STOPPING);
  emit_stx(g, SZ_W, R1, offsetof(struct rt_state, phase), R2);
  label_here(g, go_on);
  emit_st(g, SZ_W, base, ctl + (s32)offsetof(struct rt_ctl, kind), RT_CTL_ERROR);
  emit_st(g, SZ_W, base, ctl + (s32)offsetof(struct rt_ctl, probe_id), (s32)p->id);
  emit_mov(g, R1, R6);
  if (f->framed) {
    u32 dynamic = label_new(g);
    emit_movi(g, R2, (s64)(u32)RT_ERR_DYNAMIC);
    emit_jcc(g, BPF_JEQ, R1, R2, dynamic);
    emit_alui(g, BPF_AND, R1, ERR_HAS_ADDR - 1);
    label_here(g, dynamic);
  } else {
    emit_alui(g, BPF_AND, R1, ERR_HAS_ADDR - 1);
  }
  emit_stx(g, SZ_W, base, ctl + (s32)offsetof(struct rt_ctl, err), R1);
  emit_st(g, SZ_W, base, ctl + (s32)offsetof(struct rt_ctl, len), 0);
  emit_ldx(g, SZ_DW, R1, base, arg_off);
  emit_stx(g, SZ_DW, base, ctl + (s32)offsetof(struct rt_ctl, err_arg), R1);
  emit_movi(g, R7, CTL_BYTES);
  if (f->framed) {
    emit_movi(g, R1, (s64)(u32)RT_ERR_DYNAMIC);
    emit_jcc(g, BPF_JNE, R6, R1, send);
    emit_mov(g, R1, R9);
    emit_alui(g, BPF_ADD, R1, ctl + CTL_BYTES);
    emit_movi(g, R2, g->M); /* reaches into what tokenize() has no use for any more */
    emit_mov(g, R3, R9);
    emit_alui(g, BPF_ADD, R3, RT_OFF_ERRMSG);
    emit_helper(g, BPF_FUNC_probe_read_kernel_str);
    emit_jcci(g, BPF_JSLT, R0, 1, send);
    emit_jcci(g, BPF_JSGT, R0, (s32)g->M, send);
    emit_alui(g, BPF_ADD, R0, -1);
    emit_stx(g, SZ_W, R9, ctl + (s32)offsetof(struct rt_ctl, len), R0);
    emit_alu(g, BPF_ADD, R7, R0);
    label_here(g, send);
  } else {
    label_here(g, send);
  }
  emit_map(g, R1, BMAP_CTL);
  emit_mov(g, R2, base);
  emit_alui(g, BPF_ADD, R2, ctl);
  emit_mov(g, R3, R7);
  emit_movi(g, R4, BPF_RB_FORCE_WAKEUP);
  emit_helper(g, BPF_FUNC_ringbuf_output);
  emit_jcci(g, BPF_JEQ, R0, 0, done);
  count_state(g, offsetof(struct rt_state, lost_ctl));
  emit_jmp(g, done);
  label_here(g, skipped);
  count_state(g, offsetof(struct rt_state, skipped_lock));
  label_here(g, done);
}

/* Releases what the handler still holds on its way out. */
static void release_locks(struct gen *g, struct genfn *f)
{
  for (u32 i = 0; i < f->locks.n; i++) {
    u32 not_held = label_new(g);
    emit_ldx(g, SZ_DW, R1, f->framed ? R9 : R10, f->locks.v[i].off);
    emit_jcci(g, BPF_JEQ, R1, 0, not_held);
    emit_unlock(g, f->locks.v[i].set);
    label_here(g, not_held);
  }
}

/* R7 = the system call's number; leaves when it is not `only` (IR_NO: any will do), or the caller is a
 * 32-bit program, whose numbers are others.  sys_enter and sys_exit come for all calls.  The context is
 * in R1; nothing is on the stack yet.  */
static void check_syscall(struct gen *g, enum prog_kind kind, u32 only, u32 out)
{
  enum { COPY = STK_SLOTS - 64 }; /* of the registers from `first` on */
  u32 first = REGS_NUMBER, size = 8;
  emit_ldx(g, SZ_DW, R3, R1, 0);
  if (kind == PROG_SYSCALL_ENTER) {
    emit_ldx(g, SZ_DW, R7, R1, 8);
    if (only != IR_NO)
      emit_jcci(g, BPF_JNE, R7, (s32)only, out);
#ifdef REGS_CS
    first = REGS_CS;
#else
    return;
#endif
  }
#ifdef REGS_CS
  size = (u32)(REGS_CS + 8 - first);
#endif
  emit_alui(g, BPF_ADD, R3, (s32)first);
  emit_mov(g, R1, R10);
  emit_alui(g, BPF_ADD, R1, COPY);
  emit_movi(g, R2, size);
  emit_helper(g, BPF_FUNC_probe_read_kernel);
  emit_jcci(g, BPF_JNE, R0, 0, out);
  if (kind == PROG_SYSCALL_EXIT) {
    emit_ldx(g, SZ_DW, R7, R10, COPY);
    if (only != IR_NO)
      emit_jcci(g, BPF_JNE, R7, (s32)only, out);
  }
#ifdef REGS_CS
  emit_ldx(g, SZ_DW, R2, R10, COPY + (s32)(REGS_CS - first));
  emit_jcci(g, BPF_JEQ, R2, REGS_CS_COMPAT, out);
#endif
}

static bool is_syscall(const struct probe_inst *pi)
{
  return pi->kind == PROG_SYSCALL_ENTER || pi->kind == PROG_SYSCALL_EXIT;
}

static void check_phase(struct gen *g, u32 out)
{
  emit_mapval(g, R2, BMAP_STATE, offsetof(struct rt_state, phase));
  emit_ldx(g, SZ_W, R2, R2, 0);
  emit_jcci(g, BPF_JNE, R2, RT_RUNNING, out);
}

/* Calls the condition's function; leaves when it yields 0. */
static void check_condition(struct gen *g, struct ir_probe *p, u32 out)
{
  u32 id = p->cond->id;
  if (g->gfn[id].sub == IR_NO) {
    struct bpf_sub *s = sub_begin(g, "cond", &g->gfn[id].sub);
    s->global = true;
    s->nargs = 1;
  }
  emit_ldx(g, SZ_W, R1, R9, offsetof(struct rt_frame, slot));
  emit_callsub(g, g->gfn[id].sub);
  emit_jcci(g, BPF_JNE, R0, 0, out);
  emit_ldx(g, SZ_DW, R1, R9, (s32)g->gfn[id].gf->ret_off);
  emit_jcci(g, BPF_JEQ, R1, 0, out);
}

/* A handler as subprogram `sub` of the current unit: takes the context in R1. */
static void gen_handler(struct gen *g, struct genfn *f, struct bpf_sub *sub)
{
  struct ir_probe *p = f->probe;
  f->region[0]->sub = sub;
  declare_loops(g, f);
  region_begin(g, f, f->region[0]);
  u32 out = label_new(g), finish = label_new(g);
  emit_stx(g, SZ_DW, R10, STK_CTX, R1);
  if (p->inst->kind != PROG_SESSION)
    check_phase(g, out);
  if (is_syscall(p->inst) && sub == g->unit->subs.v[0])
    check_syscall(g, p->inst->kind, p->inst->number, out);
  if (f->framed) {
    claim_frame(g, out);
    frame_init(g, p);
  }
  for (u32 i = 0; i < f->locks.n; i++)
    emit_st(g, SZ_DW, f->framed ? R9 : R10, f->locks.v[i].off, 0);
  if (p->cond)
    check_condition(g, p, finish);
  emit_blocks(g, f->region[0]);
  label_here(g, edge_label(g, TO_RET(f)));
  label_here(g, finish);
  release_locks(g, f);
  if (f->framed)
    release_frame(g);
  label_here(g, out);
  emit_movi(g, R0, 0);
  emit_exit(g);
  if (g->target_label[TO_ERR(f)]) {
    label_here(g, edge_label(g, TO_ERR(f)));
    report_error(g, f, p);
    emit_jmp(g, finish);
  }
  sub_end(g);
  gen_loops(g, f);
}

static struct bpf_unit *unit_new(struct gen *g, const char *name, enum bpf_prog_type type)
{
  struct bpf_unit *u = NEW(g->a, struct bpf_unit);
  u->name = name;
  u->type = type;
  u->fd = -1;
  vec_push(g->a, &g->img->units, u);
  g->unit = u;
  for (u32 i = 0; i < g->nfns; i++)
    g->gfn[i].sub = IR_NO;
  for (u32 i = 0; i < g->m->globals.n; i++)
    g->gmap[g->m->globals.v[i]->id].merge_sub = IR_NO;
  return u;
}

/* Handlers of system calls in one program: verified together, what they share once. */
enum { GROUP_MAX = 64, GROUP_SUBS = 150 };

static u32 count_subs(const struct ir_fn *fn)
{
  u32 n = 1 + fn->loops.n;
  for (u32 k = 0; k < fn->blocks.n; k++)
    for (u32 i = 0; i < fn->blocks.v[k]->ins.n; i++) {
      u32 op = fn->blocks.v[k]->ins.v[i].op;
      n += op == IR_ITER_BEGIN || op == IR_MCLEAR || op == IR_LOCK || op >= IR_MIN_SLICE;
    }
  return n;
}

static bool same_call(const struct probe_inst *a, const struct probe_inst *b)
{
  return a->kind == b->kind && a->number == b->number;
}

/* The probes that share the program of probe `first`: all of the same call, and others of the same
 * tracepoint while there is room.  With -t each call has its own, as the kernel times programs.  */
static void collect_unit(struct gen *g, struct bpf_unit *u, u32 first, bool *done)
{
  struct ir_module *m = g->m;
  const struct probe_inst *pi = m->probes.v[first]->inst;
  u32 subs = 0;
  for (u32 i = first; i < m->probes.n; i++) {
    const struct probe_inst *head = m->probes.v[i]->inst;
    if (done[i] || (i != first && (!is_syscall(pi) || head->kind != pi->kind)))
      continue;
    if (i != first && !same_call(pi, head) &&
        (g->opt->timing || u->probes.n >= GROUP_MAX || subs >= GROUP_SUBS))
      continue;
    for (u32 k = i; k < m->probes.n; k++) {
      if (k != i && (done[k] || !is_syscall(pi) || !same_call(head, m->probes.v[k]->inst)))
        continue;
      done[k] = true;
      vec_push(g->a, &u->probes, m->probes.v[k]);
      subs += count_subs(m->probes.v[k]->handler);
    }
  }
}

static int by_number(const void *pa, const void *pb)
{
  const struct ir_probe *a = *(struct ir_probe *const *)pa, *b = *(struct ir_probe *const *)pb;
  u32 x = a->inst->number, y = b->inst->number;
  return x != y ? (x < y ? -1 : 1) : (a->id < b->id ? -1 : 1);
}

/* Jumps to the handlers of the call in R7, among the unit's probes lo to hi - 1. */
static void dispatch(struct gen *g, u32 lo, u32 hi, u32 out)
{
  struct ir_probe *const *p = g->unit->probes.v;
  u32 mid = lo + (hi - lo) / 2; /* then: where another number starts, or hi */
  while (mid > lo && same_call(p[mid - 1]->inst, p[mid]->inst))
    mid--;
  if (mid == lo)
    for (mid = lo + 1; mid < hi && same_call(p[lo]->inst, p[mid]->inst);)
      mid++;
  if (mid < hi) {
    u32 high = label_new(g);
    emit_jcci(g, BPF_JGE, R7, (s32)p[mid]->inst->number, high);
    dispatch(g, lo, mid, out);
    label_here(g, high);
    dispatch(g, mid, hi, out);
    return;
  }
  emit_jcci(g, BPF_JNE, R7, (s32)p[lo]->inst->number, out);
  for (u32 k = lo; k < hi; k++) {
    emit_mov(g, R1, R6);
    emit_callsub(g, 1 + k);
  }
  emit_jmp(g, out);
}

static void gen_group(struct gen *g, struct genfn **handler, struct bpf_sub *main_sub)
{
  struct bpf_unit *u = g->unit;
  u32 out = label_new(g);
  qsort(u->probes.v, u->probes.n, sizeof(*u->probes.v), by_number);
  for (u32 i = 0; i < u->probes.n; i++)
    sub_begin(g, arena_printf(g->a, "handler_%u", i), NULL);
  g->s = main_sub;
  check_phase(g, out);
  emit_mov(g, R6, R1);
  check_syscall(g, u->probes.v[0]->inst->kind, IR_NO, out);
  dispatch(g, 0, u->probes.n, out);
  label_here(g, out);
  emit_movi(g, R0, 0);
  emit_exit(g);
  sub_end(g);
  for (u32 i = 0; i < u->probes.n; i++)
    gen_handler(g, handler[u->probes.v[i]->id], u->subs.v[1 + i]);
}

/* The program that runs probe `first`, and others with it. */
static void gen_unit(struct gen *g, struct genfn **handler, u32 first, bool *done)
{
  struct probe_inst *pi = g->m->probes.v[first]->inst;
  struct bpf_unit *u;
  if (pi->kind == PROG_SESSION) {
    u = unit_new(g, "session", BPF_PROG_TYPE_SYSCALL);
    u->flags = BPF_F_SLEEPABLE;
  } else {
    if (pi->kind != PROG_RAW_TP && pi->kind != PROG_PERF && !is_syscall(pi))
      diag_msg(g->diag, DIAG_ERROR, "probe %s is not possible in BPF", pi->pp);
    u = unit_new(g, "probe", pi->kind == PROG_PERF ? BPF_PROG_TYPE_PERF_EVENT
                                                   : BPF_PROG_TYPE_RAW_TRACEPOINT);
  }
  collect_unit(g, u, first, done);
  struct bpf_sub *main_sub = sub_begin(g, "stap_main", NULL);
  if (u->probes.n == 1)
    gen_handler(g, handler[u->probes.v[0]->id], main_sub);
  else
    gen_group(g, handler, main_sub);
  gen_called(g);
}

/* ---- functions that can fail --------------------------------------------------- */

static bool body_can_fail(const struct gen *g, const struct ir_fn *fn)
{
  for (u32 n = 0; n < fn->blocks.n; n++)
    for (u32 k = 0; k < fn->blocks.v[n]->ins.n; k++)
      if (fn->blocks.v[n]->handler == IR_NO ? ins_can_fail(g, &fn->blocks.v[n]->ins.v[k])
                                            : ins_can_abort(g, &fn->blocks.v[n]->ins.v[k]))
        return true;
  return false;
}

static bool calls_abort(const struct ir_fn *fn)
{
  for (u32 n = 0; n < fn->blocks.n; n++)
    for (u32 k = 0; k < fn->blocks.v[n]->ins.n; k++) {
      const struct ir_ins *i = &fn->blocks.v[n]->ins.v[k];
      if (i->op == IR_FN && i->builtin->fn == FN_ABORT)
        return true;
    }
  return false;
}

static void find_failing(struct gen *g)
{
  for (u32 i = 0; i < g->m->fns.n; i++)
    g->aborts |= calls_abort(g->m->fns.v[i]);
  for (bool changed = true; changed;) {
    changed = false;
    for (u32 i = 0; i < g->m->fns.n; i++) {
      struct genfn *f = g->gfn[g->m->fns.v[i]->id].gf;
      if (f && !f->can_fail && body_can_fail(g, f->fn))
        changed = f->can_fail = true;
    }
  }
}

/* ---- the image -------------------------------------------------------------- */

static void add_map(struct gen *g, const char *name, enum bpf_map_type type, u32 key, u32 value,
                    u32 entries, u32 flags)
{
  struct bpf_mapdef d = {.name = name, .type = type, .key_size = key, .value_size = value,
                         .max_entries = entries, .flags = flags, .fd = -1};
  vec_push(g->a, &g->img->maps, d);
}

static u32 ring_bytes(const struct ir_module *m, const struct run_options *o)
{
  u32 mb = 1;
  for (u32 i = 0; i < m->probes.n; i++)
    if (m->probes.v[i]->inst->kind != PROG_SESSION)
      mb = 16;
  if (o->buffer_mb)
    mb = o->buffer_mb;
  u32 bytes = 1u << 20;
  while (bytes < mb << 20 && bytes < 1u << 30)
    bytes <<= 1;
  return mb == 1 && !o->buffer_mb ? 256u << 10 : bytes;
}

static void well_known_maps(struct gen *g)
{
  u32 ncpu = (u32)libbpf_num_possible_cpus();
  struct bpf_image *img = g->img;
  img->nslots = 4;
  add_map(g, "state", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct rt_state), 1, BPF_F_MMAPABLE);
  add_map(g, "frames", BPF_MAP_TYPE_ARRAY, 4, 8, ncpu * img->nslots, 0);
  add_map(g, "slots", BPF_MAP_TYPE_ARRAY, 4, 8 * ncpu * img->nslots, 1, 0);
  add_map(g, "rodata", BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0);
  add_map(g, "globals", BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_MMAPABLE);
  add_map(g, "ring", BPF_MAP_TYPE_RINGBUF, 0, 0, ring_bytes(g->m, g->opt), 0);
  add_map(g, "ctl", BPF_MAP_TYPE_RINGBUF, 0, 0, 64u << 10, 0);
}

static u32 count_ints(const struct ir_fn *fn)
{
  u32 n = 0;
  for (u32 r = 0; r < fn->regs.n; r++)
    n += fn->regs.v[r].type == IR_INT;
  return n;
}

static u32 scratch_size(struct gen *g, const struct ir_fn *fn, u32 *key, u32 *rec)
{
  *key = *rec = 0;
  u32 val = 0;
  for (u32 n = 0; n < fn->blocks.n; n++)
    for (u32 k = 0; k < fn->blocks.v[n]->ins.n; k++) {
      const struct ir_ins *i = &fn->blocks.v[n]->ins.v[k];
      bool log = i->op == IR_FN && i->builtin->fn == FN_LOG;
      if (i->op == IR_PRINT || i->op == IR_HISTPRINT || log) {
        u32 size = sizeof(struct rt_rec) + 16;
        for (u32 j = 0; j < i->nargs; j++)
          size += i->args[j].kind == V_INT && !(i->op == IR_PRINT && fmt_memory(i->fmt, j))
                      ? 8
                      : g->M + 16;
        if (i->op == IR_HISTPRINT)
          size += 8 * hist_buckets(&i->global->hists.v[i->imm]);
        *rec = MAX(*rec, size);
      } else if (i->op == IR_SPRINT) {
        *rec = MAX(*rec, g->M);
      } else if (i->op >= IR_MGET && i->op <= IR_MDEL_SLICE) {
        const struct bpf_gmap *gm = &g->gmap[i->global->id];
        *key = MAX(*key, gm->key_size);
        val = MAX(val, gm->val_size);
      } else if (i->op == IR_ITER_BEGIN) {
        *key = MAX(*key, g->gmap[i->iter->map->id].key_size);
      }
    }
  return val;
}

static u32 take_area(struct gen *g, struct genfn *f, u32 size)
{
  if (!size)
    return 0;
  size = ROUND_UP(size, 8);
  if (!f->framed) {
    f->stack_used += (s32)size;
    return (u32)-f->stack_used;
  }
  u32 off = g->str_top;
  g->str_top += size;
  return off;
}

static void find_locks(struct gen *g, struct genfn *f)
{
  for (u32 n = 0; n < f->fn->blocks.n; n++)
    for (u32 k = 0; k < f->fn->blocks.v[n]->ins.n; k++) {
      const struct ir_ins *i = &f->fn->blocks.v[n]->ins.v[k];
      if (i->op != IR_LOCK)
        continue;
      bool known = false;
      for (u32 l = 0; l < f->locks.n; l++)
        known |= f->locks.v[l].set == i->lock;
      if (known)
        continue;
      u32 at = f->locks.n;
      if (f->locks.n == f->locks.cap)
        f->locks.v = vec_grow(g->a, f->locks.v, at, &f->locks.cap, sizeof(*f->locks.v));
      f->locks.v[at].set = i->lock;
      if (f->framed) {
        f->locks.v[at].off = (s32)g->int_top;
        g->int_top += 8;
      } else {
        f->stack_used += 8;
        f->locks.v[at].off = -f->stack_used;
      }
      f->locks.n++;
    }
}

static void place_fn(struct gen *g, struct genfn *f)
{
  u32 key, rec, val = scratch_size(g, f->fn, &key, &rec);
  alloc_fn(g, f);
  f->key_off = take_area(g, f, key);
  f->val_off = take_area(g, f, val);
  if (f->framed)
    f->rec_off = take_area(g, f, rec);
  if (f->framed && !f->fn->is_handler) {
    f->ret_off = f->fn->result == IR_STR ? g->str_top : g->int_top;
    if (f->fn->result == IR_STR)
      g->str_top += g->M;
    else
      g->int_top += 8;
  }
  if (is_flat(g, f->fn)) {
    f->flat_record = flat_record(g, f->fn);
    f->flat_off = take_area(g, f, flat_stack_bytes(g, f->flat_record));
  }
  find_locks(g, f);
}

/* Gives every function and handler its part of the frame: functions each their own, handlers
 * all the same, since one frame serves one handler. */
static struct genfn **place_all(struct gen *g)
{
  struct ir_module *m = g->m;
  struct genfn **handler = NEW_ARRAY(g->a, struct genfn *, m->probes.n + 1);
  u32 fn_ints = 0, handler_ints = 0;
  for (u32 i = 0; i < m->fns.n; i++)
    fn_ints += count_ints(m->fns.v[i]) + 2;
  for (u32 i = 0; i < m->probes.n; i++) {
    handler_ints = MAX(handler_ints, count_ints(m->probes.v[i]->handler) + 18);
    if (m->probes.v[i]->cond)
      fn_ints += count_ints(m->probes.v[i]->cond) + 2;
  }
  g->int_top = RT_OFF_VARS(g->M);
  g->str_top = g->int_top + 8 * (3 * m->iters.n + fn_ints + handler_ints);
  layout_frame_areas(g);
  for (u32 i = 0; i < m->fns.n; i++) {
    struct genfn *f = g->gfn[m->fns.v[i]->id].gf;
    if (!f)
      continue;
    f->framed = true;
    place_fn(g, f);
    find_exits(g, f);
  }
  for (u32 i = 0; i < m->probes.n; i++)
    if (m->probes.v[i]->cond) {
      struct genfn *f = g->gfn[m->probes.v[i]->cond->id].gf;
      f->framed = true;
      place_fn(g, f);
      find_exits(g, f);
    }
  u32 ints = g->int_top, strs = g->str_top, max = strs;
  for (u32 i = 0; i < m->probes.n; i++) {
    g->int_top = ints;
    g->str_top = strs;
    struct genfn *f = handler[i] = genfn_new(g, m->probes.v[i]->handler);
    f->probe = m->probes.v[i];
    f->framed = f->probe->cond || f->probe->inst->kind == PROG_SESSION || needs_frame(g, f->fn);
    place_fn(g, f);
    if (!f->framed && f->stack_used + CTL_BYTES > STACK_MODE_MAX) {
      *f = (struct genfn){0};
      f = handler[i] = genfn_new(g, m->probes.v[i]->handler);
      f->probe = m->probes.v[i];
      f->framed = true;
      place_fn(g, f);
    }
    find_exits(g, f);
    max = MAX(max, g->str_top);
  }
  g->img->frame_size = ROUND_UP(max, 8) + RT_SLACK(g->M);
  return handler;
}

static void finish_maps(struct gen *g)
{
  struct bpf_image *img = g->img;
  struct bpf_mapdef *maps = img->maps.v;
  rodata_add(g, "\0\0\0\0\0\0\0", 8, 8);
  u32 size = 64;
  while (size < g->rodata.n + 2 * g->M + 8)
    size *= 2;
  img->rodata_size = size;
  maps[BMAP_RODATA].value_size = size;
  maps[BMAP_RODATA].init = arena_strndup(g->a, g->rodata.s, g->rodata.n);
  maps[BMAP_RODATA].init_len = (u32)g->rodata.n;
  maps[BMAP_FRAMES].value_size = img->frame_size;
}

struct bpf_image *bpf_gen(struct arena *a, struct ir_module *m, const struct run_options *o,
                          struct diag *d)
{
  struct gen gen = {.a = a, .m = m, .diag = d, .opt = o, .M = m->maxstringlen}, *g = &gen;
  g->img = NEW(a, struct bpf_image);
  g->img->a = a;
  g->img->m = m;
  g->img->maxstringlen = m->maxstringlen;
  strmap_init(&g->lits, a);
  rodata_add(g, "\0\0\0\0\0\0\0", 8, 8);
  well_known_maps(g);
  layout_globals(g);
  /* Conditions are functions behind the script's. */
  g->nfns = m->fns.n;
  for (u32 i = 0; i < m->probes.n; i++)
    if (m->probes.v[i]->cond)
      m->probes.v[i]->cond->id = g->nfns++;
  g->gfn = NEW_ARRAY(a, struct gfn, g->nfns + 1);
  flatten_module(g);
  for (u32 i = 0; i < m->fns.n; i++)
    if (m->fns.v[i]->blocks.n)
      g->gfn[m->fns.v[i]->id].gf = genfn_new(g, m->fns.v[i]);
  for (u32 i = 0; i < m->probes.n; i++)
    if (m->probes.v[i]->cond)
      g->gfn[m->probes.v[i]->cond->id].gf = genfn_new(g, m->probes.v[i]->cond);
  find_failing(g);
  struct genfn **handler = place_all(g);
  bool *done = NEW_ARRAY(a, bool, m->probes.n + 1);
  for (u32 i = 0; i < m->probes.n && !d->nerrors; i++)
    if (!done[i] && m->probes.v[i]->inst->kind != PROG_NEVER)
      gen_unit(g, handler, i, done);
  finish_maps(g);
  sb_free(&g->rodata);
  return g->failed || d->nerrors ? NULL : g->img;
}

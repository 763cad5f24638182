/* Control flow: regions of blocks as subprograms, edges between them, loops as callbacks,
 * functions. */
#include "bpf/gen.h"

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

bool ins_can_fail(const struct gen *g, const struct ir_ins *i)
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
bool ins_can_abort(const struct gen *g, const struct ir_ins *i)
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
void find_exits(struct gen *g, struct genfn *f)
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
  for (u32 l = 0; l < f->fn->loops.n && g->endless; l++) {
    u32 handler = block(f, f->fn->loops.v[l].header)->handler;
    add_exit(g, f, f->fn->loops.v[l].parent, handler != IR_NO ? handler : TO_ERR(f));
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
  emit_movi(g, R1, turns_within(g, g->f, loop) ? turn_calls(g) : LOOP_MAX);
  emit_subptr(g, R2, r->sub_index);
  emit_mov(g, R3, R10);
  emit_alui(g, BPF_ADD, R3, STK_FRAME);
  emit_movi(g, R4, 0);
  emit_helper(g, BPF_FUNC_loop);
  if (r->exits.n > 1 || g->endless)
    emit_ldx(g, SZ_W, R1, R9, offsetof(struct rt_frame, status));
  if (g->endless) { /* never left: the kernel has ended it */
    const struct ir_loop *l = &g->f->fn->loops.v[loop];
    u32 left = label_new(g);
    emit_jcci(g, BPF_JNE, R1, 0, left);
    store_err(g, l->err ? l->err : g->endless_err, -1);
    emit_jmp(g, fail_label(g, block(g->f, l->header)));
    label_here(g, left);
  }
  if (!r->exits.n) {
    emit_jmp(g, edge_label(g, TO_RET(g->f)));
    return;
  }
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
    if (b->has_val && !g->f->framed) {
      load_int(g, &b->val, R0);
    } else if (b->has_val && g->f->fn->result == IR_INT) {
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

void emit_blocks(struct gen *g, struct region *r)
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

void region_begin(struct gen *g, struct genfn *f, struct region *r)
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
  struct held held = {0};
  bool within = turns_within(g, f, loop);
  if (within)
    turns_begin(g, loop, &held);
  emit_blocks(g, r);
  u32 header = f->fn->loops.v[loop].header;
  for (u32 t = 0; t < f->fn->blocks.n + 2; t++) {
    if (!g->target_label[t] || g->label_pos[g->target_label[t] - 1] >= 0)
      continue;
    label_here(g, g->target_label[t] - 1);
    turns_store(g, &held);
    if (t == header) {
      emit_movi(g, R0, 0);
    } else {
      emit_st(g, SZ_W, R9, offsetof(struct rt_frame, status), (s32)t + 1);
      emit_movi(g, R0, 1);
    }
    emit_exit(g);
  }
  if (within)
    turns_end(g, &held);
  sub_end(g);
}

void declare_loops(struct gen *g, struct genfn *f)
{
  for (u32 l = 0; l < f->fn->loops.n; l++) {
    struct region *r = f->region[1 + l];
    r->sub = sub_begin(g, arena_printf(g->a, "loop_%u", g->unit->subs.n), &r->sub_index);
    r->sub->callback = true;
  }
}

void gen_loops(struct gen *g, struct genfn *f)
{
  for (u32 l = 0; l < f->fn->loops.n; l++)
    gen_loop(g, f, l);
}

/* ---- script functions --------------------------------------------------------- */

struct genfn *genfn_new(struct gen *g, struct ir_fn *fn)
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
  if (!f->framed) { /* a condition: result in R0, an error is "no" */
    emit_blocks(g, f->region[0]);
    label_here(g, edge_label(g, TO_RET(f)));
    emit_exit(g);
    label_here(g, edge_label(g, TO_ERR(f)));
    emit_movi(g, R0, 0);
    emit_exit(g);
    sub_end(g);
    return;
  }
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
void gen_called(struct gen *g)
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

/* Builds instructions, labels and relocations of the current subprogram. */
#include "bpf/gen.h"

#include "target/target.h"

u32 emit(struct gen *g, u8 code, u8 dst, u8 src, s16 off, s32 imm)
{
  struct bpf_insn in = {
      .code = code, .dst_reg = dst & 15, .src_reg = src & 15, .off = off, .imm = imm};
  vec_push(g->a, &g->s->insns, in);
  return g->s->insns.n - 1;
}

void emit_mov(struct gen *g, u8 dst, u8 src)
{
  if (dst != src)
    emit(g, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static void emit_ld64(struct gen *g, u8 dst, u8 src, u64 imm)
{
  emit(g, BPF_LD | BPF_IMM | BPF_DW, dst, src, 0, (s32)(u32)imm);
  emit(g, 0, 0, 0, 0, (s32)(u32)(imm >> 32));
}

void emit_movi(struct gen *g, u8 dst, s64 imm)
{
  if (imm == (s32)imm)
    emit(g, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, (s32)imm);
  else if (imm == (s64)(u32)imm)
    emit(g, BPF_ALU | BPF_MOV | BPF_K, dst, 0, 0, (s32)imm);
  else
    emit_ld64(g, dst, 0, (u64)imm);
}

void emit_alu(struct gen *g, u8 op, u8 dst, u8 src)
{
  emit(g, BPF_ALU64 | op | BPF_X, dst, src, 0, 0);
}

void emit_alui(struct gen *g, u8 op, u8 dst, s32 imm)
{
  emit(g, BPF_ALU64 | op | BPF_K, dst, 0, 0, imm);
}

void emit_be64(struct gen *g, u8 reg)
{
  emit(g, BPF_ALU | BPF_END | BPF_TO_BE, reg, 0, 0, 64);
}

/* Instructions hold 16 bits of an offset.  Frames of long strings are larger: then R5 becomes the
 * address, and *base and *off what to use instead.  */
static void far(struct gen *g, u8 *base, s32 *off)
{
  if (*off == (s16)*off)
    return;
  emit_mov(g, R5, *base);
  emit_alui(g, BPF_ADD, R5, *off);
  *base = R5;
  *off = 0;
}

void emit_ldx(struct gen *g, enum bpf_size sz, u8 dst, u8 src, s32 off)
{
  far(g, &src, &off);
  emit(g, BPF_LDX | BPF_MEM | sz, dst, src, (s16)off, 0);
}

void emit_stx(struct gen *g, enum bpf_size sz, u8 dst, s32 off, u8 src)
{
  far(g, &dst, &off);
  emit(g, BPF_STX | BPF_MEM | sz, dst, src, (s16)off, 0);
}

void emit_st(struct gen *g, enum bpf_size sz, u8 dst, s32 off, s32 imm)
{
  far(g, &dst, &off);
  emit(g, BPF_ST | BPF_MEM | sz, dst, 0, (s16)off, imm);
}

void emit_atomic(struct gen *g, s32 op, u8 dst, s32 off, u8 src)
{
  far(g, &dst, &off);
  emit(g, BPF_STX | BPF_ATOMIC | BPF_DW, dst, src, (s16)off, op);
}

static void add_fixup(struct gen *g, u32 insn, u32 label)
{
  vec_push(g->a, &g->fixups, ((struct fixup){insn, label}));
}

void emit_jmp(struct gen *g, u32 label)
{
  add_fixup(g, emit(g, BPF_JMP | BPF_JA, 0, 0, 0, 0), label);
}

void emit_jcc(struct gen *g, u8 op, u8 dst, u8 src, u32 label)
{
  add_fixup(g, emit(g, BPF_JMP | op | BPF_X, dst, src, 0, 0), label);
}

void emit_jcci(struct gen *g, u8 op, u8 dst, s32 imm, u32 label)
{
  add_fixup(g, emit(g, BPF_JMP | op | BPF_K, dst, 0, 0, imm), label);
}

void emit_may_goto(struct gen *g, u32 label)
{
  add_fixup(g, emit(g, MAY_GOTO, 0, 0, 0, 0), label);
}

void emit_helper(struct gen *g, u32 helper)
{
  emit(g, BPF_JMP | BPF_CALL, 0, 0, 0, (s32)helper);
}

static void add_reloc(struct gen *g, struct bpf_reloc r)
{
  vec_push(g->a, &g->s->relocs, r);
}

void emit_rt(struct gen *g, const char *name)
{
  u32 at = emit(g, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, -1);
  add_reloc(g, (struct bpf_reloc){.insn = at, .kind = REL_RT, .name = name});
}

void emit_rt_template(struct gen *g, const char *name, const struct bpf_rt_params *p)
{
  u32 at = emit(g, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, -1);
  add_reloc(g, (struct bpf_reloc){.insn = at, .kind = REL_RT, .name = name, .params = p});
}

void emit_callsub(struct gen *g, u32 sub)
{
  u32 at = emit(g, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, -1);
  add_reloc(g, (struct bpf_reloc){.insn = at, .kind = REL_SUB, .index = sub});
}

static void emit_ld_reloc(struct gen *g, u8 dst, u8 src, struct bpf_reloc r)
{
  r.insn = g->s->insns.n;
  emit_ld64(g, dst, src, 0);
  add_reloc(g, r);
}

void emit_map(struct gen *g, u8 dst, u32 map)
{
  emit_ld_reloc(g, dst, BPF_PSEUDO_MAP_FD, (struct bpf_reloc){.kind = REL_MAP, .index = map});
}

void emit_mapval(struct gen *g, u8 dst, u32 map, u32 off)
{
  emit_ld_reloc(g, dst, BPF_PSEUDO_MAP_VALUE,
                (struct bpf_reloc){.kind = REL_MAPVAL, .index = map, .offset = off});
}

void emit_subptr(struct gen *g, u8 dst, u32 sub)
{
  emit_ld_reloc(g, dst, BPF_PSEUDO_FUNC, (struct bpf_reloc){.kind = REL_SUBPTR, .index = sub});
}

void emit_exit(struct gen *g)
{
  emit(g, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

u32 label_new(struct gen *g)
{
  if (g->nlabels == g->cap_labels)
    g->label_pos = vec_grow(g->a, g->label_pos, g->nlabels, &g->cap_labels, sizeof(s32));
  g->label_pos[g->nlabels] = -1;
  return g->nlabels++;
}

void label_here(struct gen *g, u32 label)
{
  g->label_pos[label] = (s32)g->s->insns.n;
}

struct bpf_sub *sub_begin(struct gen *g, const char *name, u32 *index)
{
  struct bpf_sub *s = NEW(g->a, struct bpf_sub);
  s->name = name;
  if (index)
    *index = g->unit->subs.n;
  vec_push(g->a, &g->unit->subs, s);
  return s;
}

static bool is_jump(const struct bpf_insn *i)
{
  return BPF_CLASS(i->code) == BPF_JMP && BPF_OP(i->code) != BPF_CALL &&
         BPF_OP(i->code) != BPF_EXIT;
}

bool insn_falls_through(const struct bpf_insn *i)
{
  return i->code != (BPF_JMP | BPF_JA) && i->code != (BPF_JMP | BPF_EXIT);
}

u32 insn_width(const struct bpf_insn *i)
{
  return i->code == (BPF_LD | BPF_IMM | BPF_DW) ? 2 : 1;
}

/* Marks what can be reached from the first instruction. `target`: of jumps. */
static void reach(const struct bpf_sub *s, const s32 *target, bool *seen, u32 *stack)
{
  u32 n = 0;
  stack[n++] = 0;
  while (n) {
    for (u32 at = stack[--n]; at < s->insns.n && !seen[at]; at += insn_width(&s->insns.v[at])) {
      const struct bpf_insn *i = &s->insns.v[at];
      seen[at] = true;
      if (is_jump(i) && !seen[target[at]])
        stack[n++] = (u32)target[at];
      if (!insn_falls_through(i))
        break;
    }
  }
}

/* A jump over nothing but what goes away. */
static bool is_empty_jump(const struct bpf_sub *s, const s32 *target, const bool *seen, u32 at)
{
  if (s->insns.v[at].code != (BPF_JMP | BPF_JA) || target[at] <= (s32)at)
    return false;
  for (s32 k = (s32)at + 1; k < target[at]; k++)
    if (seen[k])
      return false;
  return true;
}

/* Drops what is never reached, which the verifier would refuse, and closes up.  Returns the jumps'
 * targets in what is left.  */
static s32 *prune(struct gen *g, struct bpf_sub *s, s32 *target)
{
  u32 n = s->insns.n, kept = 0, rel = 0;
  bool *seen = NEW_ARRAY(g->a, bool, n + 1);
  u32 *moved = NEW_ARRAY(g->a, u32, n + 1);
  reach(s, target, seen, NEW_ARRAY(g->a, u32, n + 1));
  for (u32 at = n; at--;)
    if (seen[at] && is_empty_jump(s, target, seen, at))
      seen[at] = false;
  for (u32 at = 0; at < n; at += insn_width(&s->insns.v[at])) {
    moved[at] = kept;
    kept += seen[at] ? insn_width(&s->insns.v[at]) : 0;
  }
  moved[n] = kept;
  s32 *to = NEW_ARRAY(g->a, s32, kept + 1); /* targets; -1: no jump */
  for (u32 at = 0, w; at < n; at += w) {
    w = insn_width(&s->insns.v[at]);
    if (!seen[at])
      continue;
    bool jumps = is_jump(&s->insns.v[at]);
    for (u32 k = 0; k < w; k++) {
      to[moved[at] + k] = jumps ? (s32)moved[target[at]] : -1;
      s->insns.v[moved[at] + k] = s->insns.v[at + k];
    }
  }
  s->insns.n = kept;
  kept = 0;
  for (rel = 0; rel < s->relocs.n; rel++) {
    struct bpf_reloc r = s->relocs.v[rel];
    if (!seen[r.insn])
      continue;
    r.insn = moved[r.insn];
    s->relocs.v[kept++] = r;
  }
  s->relocs.n = kept;
  return to;
}

static void set_offsets(struct gen *g, struct bpf_sub *s, const s32 *target)
{
  for (u32 at = 0; at < s->insns.n; at++) {
    if (target[at] < 0)
      continue;
    s32 off = target[at] - (s32)at - 1;
    if (off != (s16)off && !g->failed) {
      g->failed = true;
      diag_msg(g->diag, DIAG_ERROR, "a handler or function is too long for a BPF program");
    }
    s->insns.v[at].off = (s16)off;
  }
}

/* Resolves the current subprogram's jumps. */
void sub_end(struct gen *g)
{
  s32 *target = NEW_ARRAY(g->a, s32, g->s->insns.n + 1);
  for (u32 i = 0; i < g->fixups.n; i++)
    target[g->fixups.v[i].insn] = g->label_pos[g->fixups.v[i].label];
  set_offsets(g, g->s, far_jumps(g, g->s, prune(g, g->s, target)));
  g->fixups.n = 0;
  g->nlabels = 0;
}

struct callback callback_begin(struct gen *g, const char *name, u32 nargs)
{
  struct callback c = {.saved = g->s,
                       .label_pos = g->label_pos,
                       .nlabels = g->nlabels,
                       .cap_labels = g->cap_labels,
                       .fix = g->fixups.v,
                       .nfix = g->fixups.n,
                       .capfix = g->fixups.cap};
  g->label_pos = NULL;
  g->nlabels = g->cap_labels = 0;
  g->fixups.v = NULL;
  g->fixups.n = g->fixups.cap = 0;
  g->s = sub_begin(g, name, &c.index);
  g->s->callback = true;
  g->s->nargs = nargs;
  return c;
}

struct callback framed_begin(struct gen *g, const char *name, u32 nargs)
{
  struct callback c = callback_begin(g, name, nargs);
  g->s->global = g->s->takes_frame = true;
  u32 given = label_new(g);
  emit_movi(g, R0, 0);
  emit_jcci(g, BPF_JNE, R1, 0, given); /* for the verifier */
  emit_exit(g);
  label_here(g, given);
  emit_mov(g, R9, R1);
  return c;
}

static bool same_code(const struct bpf_sub *a, const struct bpf_sub *b)
{
  if (!a->callback || a->nargs != b->nargs || a->global != b->global ||
      a->takes_frame != b->takes_frame || a->insns.n != b->insns.n || a->relocs.n != b->relocs.n ||
      memcmp(a->insns.v, b->insns.v, a->insns.n * sizeof(*a->insns.v)) != 0)
    return false;
  for (u32 i = 0; i < a->relocs.n; i++) {
    const struct bpf_reloc *x = &a->relocs.v[i], *y = &b->relocs.v[i];
    bool same_name = x->name == y->name || (x->name && y->name && !strcmp(x->name, y->name));
    if (x->insn != y->insn || x->kind != y->kind || x->index != y->index ||
        x->offset != y->offset || !same_name || x->params != y->params)
      return false;
  }
  return true;
}

/* Takes the callback back when the unit has the same one: its verification, and one of the few
 * functions that a program may have, are saved.  */
static void share_callback(struct gen *g, struct callback *c)
{
  struct bpf_unit *u = g->unit;
  if (!g->s->callback)
    return;
  for (u32 i = 0; c->index + 1 == u->subs.n && i < c->index; i++)
    if (same_code(u->subs.v[i], g->s)) {
      u->subs.n--;
      c->index = i;
    }
}

u32 callback_end(struct gen *g, struct callback *c)
{
  emit_exit(g);
  sub_end(g);
  share_callback(g, c);
  g->s = c->saved;
  g->label_pos = c->label_pos;
  g->nlabels = c->nlabels;
  g->cap_labels = c->cap_labels;
  g->fixups.v = c->fix;
  g->fixups.n = c->nfix;
  g->fixups.cap = c->capfix;
  return c->index;
}

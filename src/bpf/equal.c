/* Strings compared for equality alone: by words, without a call, where one side is a literal or
 * both are zero-padded.  It is what filters do: if (execname() == "cat") …  */
#include "bpf/gen.h"

enum { EQUAL_MAX = 40 }; /* bytes of a literal, with its NUL, that are compared here */

static bool is_zero(const struct ir_val *v)
{
  return v->kind == V_INT && !v->num;
}

static bool is_reg(const struct ir_val *v, u32 reg)
{
  return v->kind == V_REG && v->reg == reg;
}

/* Whether the instruction reads the register other than to compare it with zero. */
static bool wants_order(const struct ir_ins *i, u32 reg)
{
  bool reads = false;
  for (u32 k = 0; k < i->nargs; k++)
    reads |= is_reg(&i->args[k], reg);
  bool equality =
      (i->op == IR_EQ || i->op == IR_NE) && (is_zero(&i->args[0]) || is_zero(&i->args[1]));
  return reads && !equality;
}

/* Whether all that is asked of a comparison's result is if it is zero. */
static bool only_equality(const struct ir_fn *fn, u32 reg)
{
  for (u32 n = 0; n < fn->blocks.n; n++) {
    const struct ir_block *b = fn->blocks.v[n];
    if (b->term == T_RET && b->has_val && is_reg(&b->val, reg))
      return false;
    for (u32 k = 0; k < b->ins.n; k++)
      if (wants_order(&b->ins.v[k], reg))
        return false;
  }
  return true;
}

bool equal_needs_no_call(const struct ir_fn *fn, const struct ir_ins *i)
{
  bool literals = i->args[0].kind == V_STR && i->args[1].kind == V_STR;
  return i->op == IR_SCMP && i->dst != IR_NO && !literals && only_equality(fn, i->dst);
}

/* A literal's 8 bytes from `at`, zeros behind its end. */
static s64 literal_word(const struct ir_val *lit, u32 at)
{
  char bytes[8] = {0};
  s64 word;
  if (at < lit->len)
    memcpy(bytes, lit->str + at, MIN(lit->len - at, 8u));
  memcpy(&word, bytes, 8);
  return word;
}

/* R1 = the string's 8 bytes from `at`; those behind the literal's NUL are masked out when `bytes` <
 * 8 count. */
static void load_word(struct gen *g, const struct place *p, u32 at, u32 bytes)
{
  emit_ldx(g, SZ_DW, R1, base_reg(g), p->off + (s32)at);
  if (bytes < 8)
    emit_alui(g, BPF_LSH, R1, (s32)(64 - 8 * bytes));
}

static void with_literal(struct gen *g, const struct place *p, const struct ir_val *lit,
                         u32 differs)
{
  /* a padded string is as long as its place, another ends with the NUL */
  u32 size = p->small ? p->size : lit->len + 1;
  for (u32 at = 0; at < size; at += 8) {
    u32 bytes = MIN(size - at, 8u);
    u64 word = (u64)literal_word(lit, at);
    load_word(g, p, at, bytes);
    word = bytes < 8 ? word << (64 - 8 * bytes) : word;
    if ((s64)word == (s32)word) {
      emit_jcci(g, BPF_JNE, R1, (s32)word, differs);
    } else {
      emit_movi(g, R2, (s64)word);
      emit_jcc(g, BPF_JNE, R1, R2, differs);
    }
  }
}

static void both_padded(struct gen *g, const struct place *p, const struct place *q, u32 differs)
{
  for (u32 at = 0; at < MAX(p->size, q->size); at += 8) {
    if (at >= p->size || at >= q->size) {
      load_word(g, at < p->size ? p : q, at, 8);
      emit_jcci(g, BPF_JNE, R1, 0, differs);
    } else {
      emit_ldx(g, SZ_DW, R2, base_reg(g), q->off + (s32)at);
      load_word(g, p, at, 8);
      emit_jcc(g, BPF_JNE, R1, R2, differs);
    }
  }
}

bool sel_equal(struct gen *g, const struct ir_ins *i)
{
  const struct ir_val *a = &i->args[0], *b = &i->args[1];
  if (a->kind == V_STR) {
    const struct ir_val *swap = a;
    a = b;
    b = swap;
  }
  if (a->kind != V_REG || !equal_needs_no_call(g->f->fn, i))
    return false;
  const struct place *p = &g->f->place[a->reg];
  bool literal = b->kind != V_REG;
  const struct place *q = literal ? NULL : &g->f->place[b->reg];
  /* a literal as long as a padded place differs in the place's last byte at least */
  bool fits = literal && (p->small || (b->len < EQUAL_MAX && ROUND_UP(b->len + 1, 8) <= p->size));
  if (!fits && (literal || !p->small || !q->small))
    return false;
  u32 differs = label_new(g);
  emit_movi(g, R0, 1);
  if (literal)
    with_literal(g, p, b, differs);
  else
    both_padded(g, p, q, differs);
  emit_movi(g, R0, 0);
  label_here(g, differs);
  def_done(g, i->dst, R0);
  return true;
}

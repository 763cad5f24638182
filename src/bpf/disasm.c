/* Prints BPF instructions in the verifier's own notation, so that a dump and the verifier's log can
 * be read side by side:
 *   12: r2 = 1                13: lock *(u64 *)(r1 + 0) += r2        14: call map_lookup_elem#1  */
#include <string.h>

#include "bpf/bpf.h"
#include "elaborate/program.h"
#include "target/target.h"

static const char *helper_name(s32 id)
{
  static const char *const names[] = {
#define NAME(name) [BPF_FUNC_##name] = #name
      __BPF_FUNC_MAPPER(NAME)
#undef NAME
  };
  const char *n = id > 0 && (u32)id < ARRAY_SIZE(names) ? names[id] : NULL;
  return n ? n : "helper";
}

static const char *size_name(u8 code)
{
  switch (BPF_SIZE(code)) {
  case BPF_B:
    return "u8";
  case BPF_H:
    return "u16";
  case BPF_W:
    return "u32";
  }
  return "u64";
}

static void put_alu(struct strbuf *b, const struct bpf_insn *i)
{
  static const char *const ops[16] = {
      "+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", NULL, "%=", "^=", "=", "s>>="};
  char r = BPF_CLASS(i->code) == BPF_ALU64 ? 'r' : 'w';
  const char *op = ops[BPF_OP(i->code) >> 4];
  if (BPF_OP(i->code) == BPF_NEG)
    sb_printf(b, "%c%d = -%c%d", r, i->dst_reg, r, i->dst_reg);
  else if (BPF_OP(i->code) == BPF_END)
    sb_printf(b, "r%d = %s%d r%d", i->dst_reg, BPF_SRC(i->code) == BPF_TO_BE ? "be" : "le", i->imm,
              i->dst_reg);
  else if (!op)
    sb_printf(b, "(%02x)", i->code);
  else if (BPF_SRC(i->code) == BPF_X)
    sb_printf(b, "%c%d %s %c%d", r, i->dst_reg, op, r, i->src_reg);
  else
    sb_printf(b, "%c%d %s %d", r, i->dst_reg, op, i->imm);
}

static void put_jump(struct strbuf *b, const struct bpf_insn *i, s32 at)
{
  static const char *const ops[16] = {NULL,  "==", ">",  ">=", "&",  "!=", "s>",
                                      "s>=", NULL, NULL, "<",  "<=", "s<", "s<="};
  const char *op = ops[BPF_OP(i->code) >> 4];
  char r = BPF_CLASS(i->code) == BPF_JMP ? 'r' : 'w';
  if (BPF_OP(i->code) == BPF_JA)
    sb_printf(b, "goto %d", at + 1 + i->off);
  else if (i->code == MAY_GOTO)
    sb_printf(b, "may_goto %d", at + 1 + i->off);
  else if (BPF_OP(i->code) == BPF_EXIT)
    sb_puts(b, "exit");
  else if (BPF_OP(i->code) == BPF_CALL && i->src_reg == BPF_PSEUDO_CALL)
    sb_printf(b, "call pc%+d", i->imm);
  else if (BPF_OP(i->code) == BPF_CALL)
    sb_printf(b, "call %s#%d", helper_name(i->imm), i->imm);
  else if (!op)
    sb_printf(b, "(%02x)", i->code);
  else if (BPF_SRC(i->code) == BPF_X)
    sb_printf(b, "if %c%d %s %c%d goto %d", r, i->dst_reg, op, r, i->src_reg, at + 1 + i->off);
  else
    sb_printf(b, "if %c%d %s %d goto %d", r, i->dst_reg, op, i->imm, at + 1 + i->off);
}

static void put_atomic(struct strbuf *b, const struct bpf_insn *i)
{
  const char *sz = size_name(i->code);
  const char *op = (i->imm & ~BPF_FETCH) == BPF_OR    ? "|="
                   : (i->imm & ~BPF_FETCH) == BPF_AND ? "&="
                   : (i->imm & ~BPF_FETCH) == BPF_XOR ? "^="
                                                      : "+=";
  if (i->imm == BPF_XCHG)
    sb_printf(b, "r%d = atomic_xchg((%s *)(r%d %+d), r%d)", i->src_reg, sz, i->dst_reg, i->off,
              i->src_reg);
  else if (i->imm == BPF_CMPXCHG)
    sb_printf(b, "r0 = atomic_cmpxchg((%s *)(r%d %+d), r0, r%d)", sz, i->dst_reg, i->off,
              i->src_reg);
  else
    sb_printf(b, "%slock *(%s *)(r%d %+d) %s r%d", i->imm & BPF_FETCH ? "fetch " : "", sz,
              i->dst_reg, i->off, op, i->src_reg);
}

static void put_ld64(struct strbuf *b, const struct bpf_insn *i)
{
  u64 v = (u32)i[0].imm | (u64)(u32)i[1].imm << 32;
  switch (i->src_reg) {
  case BPF_PSEUDO_MAP_FD:
    sb_printf(b, "r%d = map[fd:%d]", i->dst_reg, i->imm);
    break;
  case BPF_PSEUDO_MAP_VALUE:
    sb_printf(b, "r%d = map_value[fd:%d] + %d", i->dst_reg, i->imm, i[1].imm);
    break;
  case BPF_PSEUDO_FUNC:
    sb_printf(b, "r%d = subprog[%+d]", i->dst_reg, i->imm);
    break;
  default:
    sb_printf(b, "r%d = 0x%llx", i->dst_reg, (unsigned long long)v);
  }
}

static void put_insn(struct strbuf *b, const struct bpf_insn *i, s32 at)
{
  switch (BPF_CLASS(i->code)) {
  case BPF_ALU:
  case BPF_ALU64:
    put_alu(b, i);
    break;
  case BPF_JMP:
  case BPF_JMP32:
    put_jump(b, i, at);
    break;
  case BPF_LD:
    put_ld64(b, i);
    break;
  case BPF_LDX:
    sb_printf(b, "r%d = *(%s *)(r%d %+d)", i->dst_reg, size_name(i->code), i->src_reg, i->off);
    break;
  case BPF_ST:
    sb_printf(b, "*(%s *)(r%d %+d) = %d", size_name(i->code), i->dst_reg, i->off, i->imm);
    break;
  case BPF_STX:
    if (BPF_MODE(i->code) == BPF_ATOMIC)
      put_atomic(b, i);
    else
      sb_printf(b, "*(%s *)(r%d %+d) = r%d", size_name(i->code), i->dst_reg, i->off, i->src_reg);
    break;
  }
}

static bool is_wide(const struct bpf_insn *i)
{
  return i->code == (BPF_LD | BPF_IMM | BPF_DW);
}

void bpf_print_insns(struct strbuf *b, const struct bpf_insn *insns, u32 n)
{
  for (u32 i = 0; i < n; i++) {
    sb_printf(b, "%4u: ", i);
    put_insn(b, &insns[i], (s32)i);
    sb_putc(b, '\n');
    i += is_wide(&insns[i]);
  }
}

static void put_reloc(struct strbuf *b, const struct bpf_unit *u, const struct bpf_reloc *r)
{
  switch (r->kind) {
  case REL_MAP:
    sb_printf(b, "   ; map %u", r->index);
    break;
  case REL_MAPVAL:
    sb_printf(b, "   ; map %u value + %u", r->index, r->offset);
    break;
  case REL_RT:
    sb_printf(b, "   ; %s", r->name);
    break;
  case REL_SUB:
  case REL_SUBPTR:
    sb_printf(b, "   ; %s", u->subs.v[r->index]->name);
    break;
  }
}

void bpf_print_unit(struct strbuf *b, const struct bpf_unit *u)
{
  sb_printf(b, "program %s", u->name);
  for (u32 k = 0; k < u->probes.n; k++)
    sb_printf(b, " %s", u->probes.v[k]->inst->pp);
  sb_putc(b, '\n');
  for (u32 k = 0; k < u->subs.n; k++) {
    const struct bpf_sub *s = u->subs.v[k];
    sb_printf(b, "%s:\n", s->name);
    u32 rel = 0;
    for (u32 i = 0; i < s->insns.n; i++) {
      sb_printf(b, "%4u: ", i);
      put_insn(b, &s->insns.v[i], (s32)i);
      while (rel < s->relocs.n && s->relocs.v[rel].insn < i)
        rel++;
      if (rel < s->relocs.n && s->relocs.v[rel].insn == i)
        put_reloc(b, u, &s->relocs.v[rel]);
      sb_putc(b, '\n');
      i += is_wide(&s->insns.v[i]);
    }
  }
}

/* Instruction selection: one IR instruction at a time.  Integers are computed in the
 * destination's own register where it has one; strings are copied between slots by the kernel's
 * string-reading helper, which stops at the NUL.  */
#include "bpf/gen.h"

#include "runtime/format.h"
#include "regex/regex.h"

/* ---- operands ------------------------------------------------------------------- */

void load_int(struct gen *g, const struct ir_val *v, u8 reg)
{
  if (v->kind == V_INT) {
    emit_movi(g, reg, v->num);
    return;
  }
  const struct place *p = &g->f->place[v->reg];
  if (p->kind == PL_REG)
    emit_mov(g, reg, p->reg);
  else
    emit_ldx(g, SZ_DW, reg, base_reg(g), p->off);
}

u8 use_int(struct gen *g, const struct ir_val *v, u8 tmp)
{
  if (v->kind == V_REG && g->f->place[v->reg].kind == PL_REG)
    return g->f->place[v->reg].reg;
  load_int(g, v, tmp);
  return tmp;
}

u8 def_reg(struct gen *g, u32 dst, u8 tmp)
{
  return dst != IR_NO && g->f->place[dst].kind == PL_REG ? g->f->place[dst].reg : tmp;
}

void def_done(struct gen *g, u32 dst, u8 reg)
{
  if (dst == IR_NO)
    return;
  const struct place *p = &g->f->place[dst];
  if (p->kind == PL_REG)
    emit_mov(g, p->reg, reg);
  else if (p->kind == PL_SLOT)
    emit_stx(g, SZ_DW, base_reg(g), p->off, reg);
}

void addr_of(struct gen *g, u8 reg, const struct place *p)
{
  emit_mov(g, reg, base_reg(g));
  emit_alui(g, BPF_ADD, reg, p->off);
}

u32 rodata_add(struct gen *g, const void *p, u32 len, u32 align)
{
  while (g->rodata.n % align)
    sb_putc(&g->rodata, 0);
  u32 off = (u32)g->rodata.n;
  sb_add(&g->rodata, p, len);
  return off;
}

u32 rodata_lit(struct gen *g, const char *s, u32 len)
{
  len = MIN((u32)strnlen(s, len), g->L - 1);
  s = arena_strndup(g->a, s, len);
  uintptr_t known = (uintptr_t)strmap_get(&g->lits, s);
  if (known)
    return (u32)known - 1;
  u32 off = rodata_add(g, s, len + 1, 8);
  strmap_put(&g->lits, s, (void *)(uintptr_t)(off + 1));
  return off;
}

void str_addr(struct gen *g, u8 reg, const struct ir_val *v)
{
  if (v->kind == V_STR)
    emit_mapval(g, reg, BMAP_RODATA, rodata_lit(g, v->str, v->len));
  else
    addr_of(g, reg, &g->f->place[v->reg]);
}

u32 str_off(struct gen *g, const struct ir_val *v)
{
  if (v->kind == V_STR)
    return rodata_lit(g, v->str, v->len) | RT_LIT;
  return (u32)g->f->place[v->reg].off;
}

u32 str_bound(struct gen *g, const struct ir_val *v)
{
  u32 n = v->kind == V_STR ? v->len + 1 : g->f->fn->regs.v[v->reg].maxlen;
  return n && n < g->L ? n : g->L;
}

bool str_small(struct gen *g, const struct ir_val *v)
{
  return v->kind == V_STR ? v->len < SMALL_STR : g->f->place[v->reg].small;
}

/* Writes a small string, zero-padded, to `size` bytes at base + off. */
void put_small(struct gen *g, u8 base, s32 off, u32 size, const struct ir_val *v)
{
  if (v->kind == V_STR) {
    u32 len = MIN(v->len, MIN(size, g->L) - 1);
    for (u32 i = 0; i < size; i += 8) {
      s64 word = 0;
      if (i < len)
        memcpy(&word, v->str + i, MIN(len - i, 8u));
      if (word == (s32)word) {
        emit_st(g, SZ_DW, base, off + (s32)i, (s32)word);
      } else {
        emit_movi(g, R0, word);
        emit_stx(g, SZ_DW, base, off + (s32)i, R0);
      }
    }
    return;
  }
  const struct place *p = &g->f->place[v->reg];
  for (u32 i = 0; i < size; i += 8) {
    if (i < p->size) {
      emit_ldx(g, SZ_DW, R0, base_reg(g), p->off + (s32)i);
      emit_stx(g, SZ_DW, base, off + (s32)i, R0);
    } else {
      emit_st(g, SZ_DW, base, off + (s32)i, 0);
    }
  }
}

/* dst = src for strings. */
void copy_str(struct gen *g, u32 dst, const struct ir_val *src)
{
  const struct place *p = &g->f->place[dst];
  if (p->kind == PL_NONE || (src->kind == V_REG && src->reg == dst))
    return;
  if (src->kind == V_STR && !src->len) {
    if (p->small)
      put_small(g, base_reg(g), p->off, p->size, src);
    else
      emit_st(g, SZ_B, base_reg(g), p->off, 0);
    return;
  }
  if (p->small || str_small(g, src)) {
    u32 size = p->small ? p->size : ROUND_UP(str_bound(g, src), 8);
    if (src->kind == V_REG && !p->small)
      size = g->f->place[src->reg].size;
    put_small(g, base_reg(g), p->off, size, src);
    return;
  }
  addr_of(g, R1, p);
  emit_movi(g, R2, p->size);
  str_addr(g, R3, src);
  emit_helper(g, BPF_FUNC_probe_read_kernel_str);
}

/* Calls a runtime function whose first arguments are the frame and the result's offset. */
void rt_call(struct gen *g, const char *name)
{
  emit_mov(g, R1, R9);
  emit_rt(g, name);
}

void arg_off(struct gen *g, u8 reg, const struct ir_val *v)
{
  emit_movi(g, reg, (s64)str_off(g, v));
}

u32 dst_off(struct gen *g, const struct ir_ins *i)
{
  /* An unused result still needs a place. */
  if (i->dst == IR_NO || g->f->place[i->dst].kind == PL_NONE)
    return RT_OFF_TMP(g->M);
  return (u32)g->f->place[i->dst].off;
}

/* ---- arithmetic ------------------------------------------------------------------ */

bool fits_imm(const struct ir_val *v)
{
  return v->kind == V_INT && v->num == (s32)v->num;
}

static void sel_alu(struct gen *g, u8 op, const struct ir_ins *i)
{
  u8 d = def_reg(g, i->dst, R0);
  const struct ir_val *x = &i->args[0], *y = &i->args[1];
  u8 ry = R1;
  bool imm = fits_imm(y);
  bool shift = op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH;
  if (!imm) {
    ry = use_int(g, y, R1);
    if (ry == d) { /* the destination is also the second operand */
      emit_mov(g, R1, ry);
      ry = R1;
    }
    if (shift) {
      emit_mov(g, R1, ry);
      emit_alui(g, BPF_AND, R1, 63);
      ry = R1;
    }
  }
  load_int(g, x, d);
  if (imm)
    emit_alui(g, op, d, shift ? (s32)(y->num & 63) : (s32)y->num);
  else
    emit_alu(g, op, d, ry);
  def_done(g, i->dst, d);
}

static void sel_compare(struct gen *g, u8 jop, const struct ir_ins *i)
{
  u8 x = use_int(g, &i->args[0], R1);
  u32 done = label_new(g);
  const struct ir_val *y = &i->args[1];
  u8 ry = fits_imm(y) ? 0 : use_int(g, y, R2);
  emit_movi(g, R0, 1);
  if (fits_imm(y))
    emit_jcci(g, jop, x, (s32)y->num, done);
  else
    emit_jcc(g, jop, x, ry, done);
  emit_movi(g, R0, 0);
  label_here(g, done);
  def_done(g, i->dst, R0);
}

static bool power_of_two(s64 n)
{
  return n > 0 && !(n & (n - 1));
}

/* Signed division from the unsigned instruction: magnitudes, then the sign. */
static void sel_div(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  bool mod = i->op == IR_MOD;
  const struct ir_val *y = &i->args[1];
  u32 x_pos = label_new(g), y_pos = label_new(g), done = label_new(g);
  if (y->kind == V_INT && y->num == 0) {
    fail(g, b, i);
    return;
  }
  load_int(g, &i->args[0], R1);
  if (y->kind == V_INT && power_of_two(y->num) && y->num == (s32)y->num) {
    /* rounds towards zero: bias negative dividends */
    emit_mov(g, R2, R1);
    emit_alui(g, BPF_ARSH, R2, 63);
    emit_alui(g, BPF_AND, R2, (s32)(y->num - 1));
    emit_mov(g, R0, R1);
    emit_alu(g, BPF_ADD, R0, R2);
    if (mod) {
      emit_alui(g, BPF_AND, R0, (s32)(y->num - 1));
      emit_alu(g, BPF_SUB, R0, R2);
    } else if (y->num > 1) {
      emit_alui(g, BPF_ARSH, R0, __builtin_ctzll((u64)y->num));
    }
    if (mod && y->num == 1)
      emit_movi(g, R0, 0);
    def_done(g, i->dst, R0);
    return;
  }
  load_int(g, y, R2);
  if (y->kind == V_REG) {
    u32 ok = label_new(g);
    emit_jcci(g, BPF_JNE, R2, 0, ok);
    fail(g, b, i);
    label_here(g, ok);
  }
  /* R3: sign of the result */
  emit_mov(g, R3, R1);
  if (!mod)
    emit_alu(g, BPF_XOR, R3, R2);
  emit_jcci(g, BPF_JSGE, R1, 0, x_pos);
  emit(g, BPF_ALU64 | BPF_NEG, R1, 0, 0, 0);
  label_here(g, x_pos);
  if (y->kind == V_REG || y->num < 0) {
    emit_jcci(g, BPF_JSGE, R2, 0, y_pos);
    emit(g, BPF_ALU64 | BPF_NEG, R2, 0, 0, 0);
    label_here(g, y_pos);
  }
  emit_alu(g, mod ? BPF_MOD : BPF_DIV, R1, R2);
  emit_jcci(g, BPF_JSGE, R3, 0, done);
  emit(g, BPF_ALU64 | BPF_NEG, R1, 0, 0, 0);
  label_here(g, done);
  def_done(g, i->dst, R1);
}

/* ---- runtime functions ----------------------------------------------------------- */

/* Built-in functions that are one call: (frame [, dst], arguments…); strings by offset. */
static const struct {
  u32 fn;
  const char *rt;
} rt_fns[] = {
    {FN_CTIME, "rt_ctime"},
    {FN_STRLEN, "rt_strlen"},
    {FN_SUBSTR, "rt_substr"},
    {FN_STRINGAT, "rt_stringat"},
    {FN_ISINSTR, "rt_isinstr"},
    {FN_STRPOS, "rt_strpos"},
    {FN_STR_REPLACE, "rt_str_replace"},
    {FN_STRTOL, "rt_strtol"},
    {FN_TEXT_STR, "rt_text_str"},
    {FN_TEXT_STRN, "rt_text_strn"},
    {FN_STRING_QUOTED, "rt_string_quoted"},
    {FN_TOKENIZE, "rt_tokenize"},
    {FN_TOKENIZE_NEXT, "rt_tokenize_next"},
    {FN_ISDIGIT, "rt_isdigit"},
    {FN_TOUPPER, "rt_toupper"},
    {FN_TOLOWER, "rt_tolower"},
    {FN_ERRNO_STR, "rt_errno_str"},
    {FN_RETSTR, "rt_returnstr"},
};

static bool sel_rt_fn(struct gen *g, const struct ir_ins *i)
{
  u32 k = 0;
  while (k < ARRAY_SIZE(rt_fns) && rt_fns[k].fn != i->builtin->fn)
    k++;
  if (k == ARRAY_SIZE(rt_fns))
    return false;
  u8 reg = R2;
  if (i->builtin->result == 'S')
    emit_movi(g, reg++, dst_off(g, i));
  for (u32 a = 0; a < i->nargs; a++, reg++)
    if (i->builtin->args[a] == 'S')
      arg_off(g, reg, &i->args[a]);
    else
      load_int(g, &i->args[a], reg);
  if (i->builtin->fn == FN_ERRNO_STR || i->builtin->fn == FN_RETSTR)
    emit_movi(g, reg, errno_off(g));
  rt_call(g, rt_fns[k].rt);
  if (i->builtin->result == 'I')
    def_done(g, i->dst, R0);
  return true;
}

static void sel_budget(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  u32 ok = label_new(g);
  if (!g->f->framed || g->m->no_budget)
    return;
  emit_ldx(g, SZ_DW, R1, R9, offsetof(struct rt_frame, budget));
  emit_alui(g, BPF_ADD, R1, -(s32)i->imm);
  emit_stx(g, SZ_DW, R9, offsetof(struct rt_frame, budget), R1);
  emit_jcci(g, BPF_JSGE, R1, 0, ok);
  fail(g, b, i);
  label_here(g, ok);
}

/* R0 tells whether the function failed; abort() in it ends the handler. */
static void call_failed(struct gen *g, const struct ir_block *b)
{
  u32 ok = label_new(g);
  emit_jcci(g, BPF_JEQ, R0, 0, ok);
  if (g->aborts && b->handler != IR_NO) {
    emit_ldx(g, SZ_W, R1, R9, offsetof(struct rt_frame, err));
    emit_jcci(g, BPF_JEQ, R1, ERR_ABORT, edge_label(g, TO_ERR(g->f)));
  }
  emit_jmp(g, fail_label(g, b));
  label_here(g, ok);
}

/* Arguments go into the callee's parameter slots, the result comes back in its result slot. */
static void sel_call(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  struct ir_fn *fn = i->fn;
  struct gfn *callee = &g->gfn[fn->id];
  struct genfn *cf = callee->gf;
  if (fn->recursive) {
    u32 full = label_new(g), ok = label_new(g);
    check_nesting(g, full);
    emit_jmp(g, ok);
    label_here(g, full);
    fail(g, b, i);
    label_here(g, ok);
  }
  for (u32 k = 0; k < i->nargs; k++) {
    const struct place *p = &cf->place[fn->params.v[k]];
    if (p->kind != PL_SLOT)
      continue;
    if (fn->regs.v[fn->params.v[k]].type == IR_INT) {
      emit_stx(g, SZ_DW, R9, p->off, use_int(g, &i->args[k], R1));
    } else {
      emit_mov(g, R1, R9);
      emit_alui(g, BPF_ADD, R1, p->off);
      emit_movi(g, R2, p->size);
      str_addr(g, R3, &i->args[k]);
      emit_helper(g, BPF_FUNC_probe_read_kernel_str);
    }
  }
  if (callee->sub == IR_NO) {
    struct bpf_sub *s = sub_begin(g, arena_printf(g->a, "fn_%s", fn->name), &callee->sub);
    s->global = true;
    s->nargs = 1;
  }
  emit_ldx(g, SZ_W, R1, R9, offsetof(struct rt_frame, slot));
  emit_callsub(g, callee->sub);
  if (cf->can_fail)
    call_failed(g, b);
  if (i->dst == IR_NO || g->f->place[i->dst].kind == PL_NONE)
    return;
  if (fn->result == IR_INT) {
    u8 d = def_reg(g, i->dst, R0);
    emit_ldx(g, SZ_DW, d, R9, (s32)cf->ret_off);
    def_done(g, i->dst, d);
  } else {
    addr_of(g, R1, &g->f->place[i->dst]);
    emit_movi(g, R2, g->f->place[i->dst].size);
    emit_mov(g, R3, R9);
    emit_alui(g, BPF_ADD, R3, (s32)cf->ret_off);
    emit_helper(g, BPF_FUNC_probe_read_kernel_str);
  }
}

/* ---- regular expressions ----------------------------------------------------------- */

static void sel_match(struct gen *g, const struct ir_ins *i)
{
  const struct regex *re = i->regex;
  const void *table = re->groups ? re->groups : re->match;
  u32 k = 0;
  while (k < g->regexes.n && g->regexes.v[k].re != re)
    k++;
  if (k == g->regexes.n)
    vec_push(g->a, &g->regexes,
             ((struct regex_place){
                 re, rodata_add(g, table, re->groups ? re->groups_size : re->match_size, 8)}));
  arg_off(g, R2, &i->args[0]);
  emit_movi(g, R3, g->regexes.v[k].off);
  rt_call(g, re->groups ? "rt_match_groups" : "rt_match");
  def_done(g, i->dst, R0);
}

static void sel_matched(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  u32 ok = label_new(g);
  load_int(g, &i->args[0], R3);
  emit_movi(g, R2, dst_off(g, i));
  rt_call(g, "rt_matched");
  emit_jcci(g, BPF_JSGE, R0, 0, ok);
  fail(g, b, i);
  label_here(g, ok);
}

/* ---- dispatch -------------------------------------------------------------------- */

static void sel_fn(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  bool unused = i->dst == IR_NO || g->f->place[i->dst].kind == PL_NONE;
  u32 fl = i->builtin->flags;
  if (unused && fl & (BI_READ | BI_PURE) && !(fl & BI_FAIL))
    return;
  if (sel_ctx_helper(g, i) || sel_time(g, i) || sel_task(g, i) || sel_rt_fn(g, i))
    return;
  switch (i->builtin->fn) {
  case FN_EXECNAME:
    sel_execname(g, i);
    break;
  case FN_PEXECNAME:
    emit_helper(g, BPF_FUNC_get_current_task);
    emit_mov(g, R3, R0);
    read_kernel(g, 8, task_offset(g, "task_struct.real_parent"));
    emit_mov(g, R3, R0);
    emit_alui(g, BPF_ADD, R3, (s32)task_offset(g, "task_struct.comm"));
    emit_mov(g, R1, R9);
    emit_alui(g, BPF_ADD, R1, (s32)dst_off(g, i));
    emit_movi(g, R2, MIN(16u, g->L));
    emit_helper(g, BPF_FUNC_probe_read_kernel_str);
    break;
  case FN_TARGET:
    sel_state(g, i, offsetof(struct rt_state, target_pid));
    break;
  case FN_STP_PID:
    sel_state(g, i, offsetof(struct rt_state, stp_pid));
    break;
  case FN_PP:
  case FN_PN:
    sel_probe_name(g, i);
    break;
  case FN_HZ:
    emit_movi(g, R0, kernel_hz());
    def_done(g, i->dst, R0);
    break;
  case FN_USER_MODE:
    emit_movi(g, R0, 0);
    def_done(g, i->dst, R0);
    break;
  case FN_RANDINT: {
    emit_helper(g, BPF_FUNC_get_prandom_u32);
    load_int(g, &i->args[0], R1);
    emit_alu(g, BPF_MOD, R0, R1);
    def_done(g, i->dst, R0);
    break;
  }
  case FN_CTX_ARG:
    sel_ctx_arg(g, i);
    break;
  case FN_CTX_REG:
    sel_ctx_reg(g, i);
    break;
  case FN_KREAD:
  case FN_UREAD:
    sel_read(g, b, i);
    break;
  case FN_MEM_CHECK:
    sel_mem_check(g, b, i);
    break;
  case FN_USER_STRING:
  case FN_USER_STRING2:
  case FN_USER_STRING_N:
  case FN_USER_STRING_N2:
  case FN_USER_STRING_QUOTED:
  case FN_USER_STRING_N_QUOTED:
  case FN_KERNEL_STRING:
  case FN_KERNEL_STRING2:
  case FN_KERNEL_STRING_N:
  case FN_KERNEL_STRING_QUOTED:
    sel_mem_string(g, b, i);
    break;
  case FN_FLAGS_STR:
  case FN_ENUM_STR:
    emit_movi(g, R2, dst_off(g, i));
    load_int(g, &i->args[0], R3);
    emit_movi(g, R4, flags_off(g, i->flags));
    rt_call(g, i->builtin->fn == FN_FLAGS_STR ? "rt_flags_str" : "rt_enum_str");
    break;
  case FN_ABORT:
    sel_exit(g);
    store_err(g, ERR_ABORT, -1);
    emit_jmp(g, edge_label(g, TO_ERR(g->f)));
    break;
  case FN_EXIT:
    sel_exit(g);
    break;
  case FN_LOG:
    sel_log(g, i);
    break;
  case FN_WARN:
    send_ctl(g, RT_CTL_WARN, &i->args[0]);
    break;
  case FN_MATCHED:
    sel_matched(g, b, i);
    break;
  case FN_NGROUPS:
    emit_ldx(g, SZ_W, R0, R9, offsetof(struct rt_frame, match_n));
    def_done(g, i->dst, R0);
    break;
  default:
    diag_msg(g->diag, DIAG_ERROR, "function %s() is not available in BPF",
             i->builtin->name ? i->builtin->name : i->builtin->id);
    g->failed = true;
  }
}

void sel_ins(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  if (sel_flat(g, b, i))
    return;
  bool unused = i->dst == IR_NO || g->f->place[i->dst].kind == PL_NONE;
  if (unused && i->op != IR_FN && ir_ops[i->op].flags & (BI_PURE | BI_READ))
    return;
  if (sel_map(g, b, i))
    return;
  switch (i->op) {
  case IR_MOV:
    if (IS_INT(g->f, i->dst)) {
      u8 d = def_reg(g, i->dst, R0);
      load_int(g, &i->args[0], d);
      def_done(g, i->dst, d);
    } else {
      copy_str(g, i->dst, &i->args[0]);
    }
    break;
  case IR_ADD:
    sel_alu(g, BPF_ADD, i);
    break;
  case IR_SUB:
    sel_alu(g, BPF_SUB, i);
    break;
  case IR_MUL:
    sel_alu(g, BPF_MUL, i);
    break;
  case IR_AND:
    sel_alu(g, BPF_AND, i);
    break;
  case IR_OR:
    sel_alu(g, BPF_OR, i);
    break;
  case IR_XOR:
    sel_alu(g, BPF_XOR, i);
    break;
  case IR_SHL:
    sel_alu(g, BPF_LSH, i);
    break;
  case IR_SHR:
    sel_alu(g, BPF_ARSH, i);
    break;
  case IR_USHR:
    sel_alu(g, BPF_RSH, i);
    break;
  case IR_DIV:
  case IR_MOD:
    sel_div(g, b, i);
    break;
  case IR_NEG: {
    u8 d = def_reg(g, i->dst, R0);
    load_int(g, &i->args[0], d);
    emit(g, BPF_ALU64 | BPF_NEG, d, 0, 0, 0);
    def_done(g, i->dst, d);
    break;
  }
  case IR_NOT: {
    u8 d = def_reg(g, i->dst, R0);
    load_int(g, &i->args[0], d);
    emit_alui(g, BPF_XOR, d, -1);
    def_done(g, i->dst, d);
    break;
  }
  case IR_EQ:
    sel_compare(g, BPF_JEQ, i);
    break;
  case IR_NE:
    sel_compare(g, BPF_JNE, i);
    break;
  case IR_LT:
    sel_compare(g, BPF_JSLT, i);
    break;
  case IR_LE:
    sel_compare(g, BPF_JSLE, i);
    break;
  case IR_GT:
    sel_compare(g, BPF_JSGT, i);
    break;
  case IR_GE:
    sel_compare(g, BPF_JSGE, i);
    break;
  case IR_SCMP:
    if (sel_equal(g, i))
      break;
    arg_off(g, R2, &i->args[0]);
    arg_off(g, R3, &i->args[1]);
    rt_call(g, "rt_strcmp");
    def_done(g, i->dst, R0);
    break;
  case IR_CONCAT:
    emit_movi(g, R2, dst_off(g, i));
    arg_off(g, R3, &i->args[0]);
    arg_off(g, R4, &i->args[1]);
    rt_call(g, "rt_concat");
    break;
  case IR_MATCH:
    sel_match(g, i);
    break;
  case IR_PRINT:
    sel_print(g, i);
    break;
  case IR_SPRINT:
    sel_sprint(g, i);
    break;
  case IR_CALL:
    sel_call(g, b, i);
    break;
  case IR_ERROR:
    sel_error(g, b, i);
    break;
  case IR_CATCH:
    sel_catch(g, i);
    break;
  case IR_BUDGET:
    sel_budget(g, b, i);
    break;
  case IR_FN:
    sel_fn(g, b, i);
    break;
  case IR_STRTAB:
    emit_movi(g, R2, dst_off(g, i));
    emit_movi(g, R3, strtab_off(g, i->strtab));
    load_int(g, &i->args[0], R4);
    rt_call(g, "rt_strtab");
    break;
  default:
    diag_msg(g->diag, DIAG_ERROR, "internal error: no BPF code for %s", ir_ops[i->op].name);
    g->failed = true;
  }
}

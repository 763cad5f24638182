/* Instruction selection: one IR instruction at a time.  Integers are computed in the
 * destination's own register where it has one; strings are copied between slots by the kernel's
 * string-reading helper, which stops at the NUL.  */
#include "bpf/gen.h"

#include <bpf/btf.h>
#include "runtime/format.h"
#include "runtime/regex.h"
#include "target/target.h"

/* ---- operands ------------------------------------------------------------------- */

static u8 slot_base(const struct gen *g)
{
  return g->f->framed ? R9 : R10;
}

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
    emit_ldx(g, SZ_DW, reg, slot_base(g), p->off);
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
    emit_stx(g, SZ_DW, slot_base(g), p->off, reg);
}

void addr_of(struct gen *g, u8 reg, const struct place *p)
{
  emit_mov(g, reg, slot_base(g));
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
  len = MIN((u32)strnlen(s, len), g->M - 1);
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
  return n && n < g->M ? n : g->M;
}

bool str_small(struct gen *g, const struct ir_val *v)
{
  return v->kind == V_STR ? v->len < SMALL_STR : g->f->place[v->reg].small;
}

/* Writes a small string, zero-padded, to `size` bytes at base + off. */
void put_small(struct gen *g, u8 base, s32 off, u32 size, const struct ir_val *v)
{
  if (v->kind == V_STR) {
    char buf[SMALL_STR + 8] = {0};
    memcpy(buf, v->str, MIN(v->len, size - 1));
    for (u32 i = 0; i < size; i += 8) {
      s64 word = 0; /* a key's column may be wider than a small string */
      if (i < SMALL_STR)
        memcpy(&word, buf + i, 8);
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
      emit_ldx(g, SZ_DW, R0, slot_base(g), p->off + (s32)i);
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
      put_small(g, slot_base(g), p->off, p->size, src);
    else
      emit_st(g, SZ_B, slot_base(g), p->off, 0);
    return;
  }
  if (p->small || str_small(g, src)) {
    u32 size = p->small ? p->size : ROUND_UP(str_bound(g, src), 8);
    if (src->kind == V_REG && !p->small)
      size = g->f->place[src->reg].size;
    put_small(g, slot_base(g), p->off, size, src);
    return;
  }
  addr_of(g, R1, p);
  emit_movi(g, R2, p->size);
  str_addr(g, R3, src);
  emit_helper(g, BPF_FUNC_probe_read_kernel_str);
}

/* Calls a runtime function whose first arguments are the frame and the result's offset. */
static void rt_call(struct gen *g, const char *name)
{
  emit_mov(g, R1, R9);
  emit_rt(g, name);
}

static void arg_off(struct gen *g, u8 reg, const struct ir_val *v)
{
  emit_movi(g, reg, (s64)str_off(g, v));
}

static u32 dst_off(struct gen *g, const struct ir_ins *i)
{
  /* An unused result still needs a place. */
  if (i->dst == IR_NO || g->f->place[i->dst].kind == PL_NONE)
    return RT_OFF_TMP(g->M);
  return (u32)g->f->place[i->dst].off;
}

/* ---- arithmetic ------------------------------------------------------------------ */

static bool fits_imm(const struct ir_val *v)
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

/* ---- context ---------------------------------------------------------------- */

static const struct {
  u32 fn, helper;
  enum { HALF_NONE, HALF_HIGH, HALF_LOW } half;
} ctx_helpers[] = {
    {FN_PID, BPF_FUNC_get_current_pid_tgid, HALF_HIGH},
    {FN_TID, BPF_FUNC_get_current_pid_tgid, HALF_LOW},
    {FN_UID, BPF_FUNC_get_current_uid_gid, HALF_LOW},
    {FN_GID, BPF_FUNC_get_current_uid_gid, HALF_HIGH},
    {FN_CPU, BPF_FUNC_get_smp_processor_id, HALF_NONE},
    {FN_TASK_CURRENT, BPF_FUNC_get_current_task, HALF_NONE},
    {FN_CLOCK_NS, BPF_FUNC_ktime_get_ns, HALF_NONE},
    {FN_GET_CYCLES, BPF_FUNC_ktime_get_ns, HALF_NONE},
    {FN_JIFFIES, BPF_FUNC_jiffies64, HALF_NONE},
};

static void low_half(struct gen *g, u8 reg)
{
  emit(g, BPF_ALU | BPF_MOV | BPF_X, reg, reg, 0, 0);
}

static bool sel_ctx_helper(struct gen *g, const struct ir_ins *i)
{
  for (u32 k = 0; k < ARRAY_SIZE(ctx_helpers); k++) {
    if (ctx_helpers[k].fn != i->builtin->fn)
      continue;
    emit_helper(g, ctx_helpers[k].helper);
    if (ctx_helpers[k].half == HALF_HIGH)
      emit_alui(g, BPF_RSH, R0, 32);
    else if (ctx_helpers[k].half == HALF_LOW)
      low_half(g, R0);
    def_done(g, i->dst, R0);
    return true;
  }
  return false;
}

/* Wall clock: the monotonic clock plus the offset that the session keeps in the state map. */
static bool sel_time(struct gen *g, const struct ir_ins *i)
{
  static const struct {
    u32 fn, div;
    bool wall;
  } times[] = {{FN_TIME_NS, 1, true},        {FN_TIME_US, 1000, true},
               {FN_TIME_MS, 1000000, true},  {FN_TIME_S, 1000000000, true},
               {FN_CLOCK_US, 1000, false},   {FN_CLOCK_MS, 1000000, false},
               {FN_CLOCK_S, 1000000000, false}};
  for (u32 k = 0; k < ARRAY_SIZE(times); k++) {
    if (times[k].fn != i->builtin->fn)
      continue;
    emit_helper(g, BPF_FUNC_ktime_get_ns);
    if (times[k].wall) {
      emit_mapval(g, R1, BMAP_STATE, offsetof(struct rt_state, boot_to_wall_ns));
      emit_ldx(g, SZ_DW, R1, R1, 0);
      emit_alu(g, BPF_ADD, R0, R1);
    }
    if (times[k].div > 1)
      emit_alui(g, BPF_DIV, R0, (s32)times[k].div);
    def_done(g, i->dst, R0);
    return true;
  }
  return false;
}

/* The compiler's view of the kernel: one per process. */
static struct target *kernel(void)
{
  static struct target *target;
  if (!target)
    target = target_new(arena_new());
  return target;
}

static s64 kernel_hz(void)
{
  const char *value;
  return target_kconfig(kernel(), "CONFIG_HZ", &value) == 1 ? atoi(value) : 250;
}

/* Byte offset of a member path in the kernel's structures, from BTF; sets g->failed. */
u32 task_offset(struct gen *g, const char *path)
{
  struct target *target = kernel();
  char *text = arena_strdup(g->a, path), *save = NULL;
  char *part = strtok_r(text, ".", &save);
  u32 off = 0, type = target_btf(target) ? target_type_find(target, part) : 0;
  while (type && (part = strtok_r(NULL, ".", &save))) {
    struct cmember m;
    if (!target_member(target, target_type_strip(target, type), part, &m, NULL)) {
      type = 0;
      break;
    }
    off += m.bit_off / 8;
    type = m.type;
  }
  if (!type) {
    diag_msg(g->diag, DIAG_ERROR, "the kernel's BTF does not describe '%s'%s%s", path,
             target->btf_error ? ": " : "", target->btf_error ? target->btf_error : "");
    g->failed = true;
  }
  return off;
}

/* R0 = size bytes at R3 + off in the kernel, 0 on a fault. Uses the scratch word. */
static void read_kernel(struct gen *g, u32 size, u32 off)
{
  if (off)
    emit_alui(g, BPF_ADD, R3, (s32)off);
  emit_st(g, SZ_DW, R10, STK_TMP, 0);
  emit_mov(g, R1, R10);
  emit_alui(g, BPF_ADD, R1, STK_TMP);
  emit_movi(g, R2, size);
  emit_helper(g, BPF_FUNC_probe_read_kernel);
  emit_ldx(g, SZ_DW, R0, R10, STK_TMP);
}

/* Follows pointers from the current task: each path but the last is an 8-byte pointer. */
static void sel_task_path(struct gen *g, const struct ir_ins *i, const char *const *paths, u32 n,
                          u32 extra)
{
  emit_helper(g, BPF_FUNC_get_current_task);
  for (u32 k = 0; k < n; k++) {
    emit_mov(g, R3, R0);
    bool last = k + 1 == n;
    read_kernel(g, last ? 4 : 8, task_offset(g, paths[k]) + (last ? extra : 0));
  }
  def_done(g, i->dst, R0);
}

static bool sel_task(struct gen *g, const struct ir_ins *i)
{
  static const char *const ppid[] = {"task_struct.real_parent", "task_struct.tgid"};
  static const char *const euid[] = {"task_struct.cred", "cred.euid"};
  static const char *const egid[] = {"task_struct.cred", "cred.egid"};
  static const char *const pgrp[] = {"task_struct.signal", NULL, "pid.numbers"};
  enum { PGID = 2, SID = 3 };
  switch (i->builtin->fn) {
  case FN_PPID:
    sel_task_path(g, i, ppid, 2, 0);
    return true;
  case FN_EUID:
    sel_task_path(g, i, euid, 2, 0);
    return true;
  case FN_EGID:
    sel_task_path(g, i, egid, 2, 0);
    return true;
  case FN_PGRP:
  case FN_SID: {
    u32 which = i->builtin->fn == FN_PGRP ? PGID : SID;
    emit_helper(g, BPF_FUNC_get_current_task);
    emit_mov(g, R3, R0);
    read_kernel(g, 8, task_offset(g, pgrp[0]));
    emit_mov(g, R3, R0);
    read_kernel(g, 8, task_offset(g, "signal_struct.pids") + 8 * which);
    emit_mov(g, R3, R0);
    read_kernel(g, 4, task_offset(g, pgrp[2])); /* numbers[0].nr */
    def_done(g, i->dst, R0);
    return true;
  }
  default:
    return false;
  }
}

static void extend_to(struct gen *g, u8 reg, u32 spec)
{
  u32 size = spec & 0xff;
  if (!size || size >= 8)
    return;
  u32 bits = 64 - 8 * size;
  emit_alui(g, BPF_LSH, reg, (s32)bits);
  emit_alui(g, spec & IR_READ_SIGNED ? BPF_ARSH : BPF_RSH, reg, (s32)bits);
}

static void sel_ctx_arg(struct gen *g, const struct ir_ins *i)
{
  u8 d = def_reg(g, i->dst, R0);
  emit_ldx(g, SZ_DW, R1, R10, STK_CTX);
  emit_ldx(g, SZ_DW, d, R1, (s32)i->imm * 8);
  extend_to(g, d, (u32)i->imm2);
  def_done(g, i->dst, d);
}

static void sel_ctx_reg(struct gen *g, const struct ir_ins *i)
{
  emit_ldx(g, SZ_DW, R1, R10, STK_CTX);
  emit_ldx(g, SZ_DW, R3, R1, (s32)i->imm2 * 8);
  read_kernel(g, 8, (u32)i->imm);
  def_done(g, i->dst, R0);
}

/* A load of 1 to 8 bytes from kernel or user memory. */
static void sel_read(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  bool user = i->builtin->fn == FN_UREAD;
  u32 ok = label_new(g), size = (u32)i->imm & 0xff;
  load_int(g, &i->args[0], R3);
  emit_stx(g, SZ_DW, R10, STK_TMP, R3);
  emit_mov(g, R1, R10);
  emit_alui(g, BPF_ADD, R1, STK_TMP2);
  emit_movi(g, R2, size);
  emit_helper(g, user ? BPF_FUNC_probe_read_user : BPF_FUNC_probe_read_kernel);
  emit_jcci(g, BPF_JEQ, R0, 0, ok);
  emit_ldx(g, SZ_DW, R1, R10, STK_TMP);
  store_err(g, i->err | ERR_HAS_ADDR, R1);
  emit_jmp(g, fail_label(g, b));
  label_here(g, ok);
  u8 d = def_reg(g, i->dst, R0);
  static const enum bpf_size sizes[] = {[1] = SZ_B, [2] = SZ_H, [4] = SZ_W, [8] = SZ_DW};
  emit_ldx(g, sizes[size == 1 || size == 2 || size == 4 ? size : 8], d, R10, STK_TMP2);
  if (i->imm & IR_READ_SIGNED)
    extend_to(g, d, (u32)i->imm);
  def_done(g, i->dst, d);
}

/* ---- strings from memory ------------------------------------------------------- */

/* user_string() and kin are runtime functions (frame, dst, address, size, fallback).  */
static void sel_mem_string(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  static const struct {
    u32 fn;
    const char *rt;
    bool has_n, has_default, can_fault;
  } kinds[] = {
      {FN_USER_STRING, "rt_user_string", false, false, true},
      {FN_USER_STRING2, "rt_user_string", false, true, false},
      {FN_USER_STRING_N, "rt_user_string", true, false, true},
      {FN_USER_STRING_N2, "rt_user_string", true, true, false},
      {FN_USER_STRING_QUOTED, "rt_user_string_quoted", false, false, false},
      {FN_USER_STRING_N_QUOTED, "rt_user_string_quoted", true, false, false},
      {FN_KERNEL_STRING, "rt_kernel_string", false, false, true},
      {FN_KERNEL_STRING2, "rt_kernel_string", false, true, false},
      {FN_KERNEL_STRING_N, "rt_kernel_string", true, false, true},
      {FN_KERNEL_STRING_QUOTED, "rt_kernel_string_quoted", false, false, false},
  };
  u32 k = 0;
  while (kinds[k].fn != i->builtin->fn)
    k++;
  load_int(g, &i->args[0], R3);
  if (kinds[k].can_fault)
    emit_stx(g, SZ_DW, R10, STK_TMP, R3);
  emit_movi(g, R2, dst_off(g, i));
  if (kinds[k].has_n)
    load_int(g, &i->args[1], R4);
  else
    emit_movi(g, R4, -1);
  if (kinds[k].has_default)
    arg_off(g, R5, &i->args[kinds[k].has_n ? 2 : 1]);
  else
    emit_movi(g, R5, (s64)(rodata_lit(g, "", 0) | RT_LIT));
  rt_call(g, kinds[k].rt);
  if (!kinds[k].can_fault)
    return;
  u32 ok = label_new(g);
  emit_jcci(g, BPF_JSGE, R0, 0, ok);
  emit_ldx(g, SZ_DW, R1, R10, STK_TMP);
  store_err(g, i->err | ERR_HAS_ADDR, R1);
  emit_jmp(g, fail_label(g, b));
  label_here(g, ok);
}

/* ---- tables ------------------------------------------------------------------ */

static u32 strtab_off(struct gen *g, const struct ir_strtab *t)
{
  u32 *offs = NEW_ARRAY(g->a, u32, t->n + 2);
  offs[0] = t->n;
  offs[1] = rodata_lit(g, t->def, (u32)strlen(t->def));
  for (u32 k = 0; k < t->n; k++)
    offs[2 + k] = t->v[k] ? rodata_lit(g, t->v[k], (u32)strlen(t->v[k])) : offs[1];
  return rodata_add(g, offs, (t->n + 2) * sizeof(u32), 8);
}

/* Table for rt_flags_str and rt_enum_str. */
static u32 flags_off(struct gen *g, const struct ir_flags *t)
{
  struct rt_flag *rows = NEW_ARRAY(g->a, struct rt_flag, t->n + 1);
  struct rt_flags head = {
      .n = t->n,
      .zero = t->zero ? rodata_lit(g, t->zero, (u32)strlen(t->zero)) : ~0u,
      .rest = t->rest,
  };
  for (u32 k = 0; k < t->n; k++) {
    u32 len = (u32)strlen(t->v[k].name);
    rows[k] =
        (struct rt_flag){t->v[k].mask, t->v[k].value, rodata_lit(g, t->v[k].name, len), len};
  }
  u32 off = rodata_add(g, &head, sizeof(head), 8);
  rodata_add(g, rows, t->n * (u32)sizeof(*rows), 8);
  return off;
}

/* The names of error numbers, for errno_str() and returnstr(). */
static u32 errno_off(struct gen *g)
{
  if (!g->errno_tab) {
    struct ir_strtab t = {.n = RT_ERRNO_MAX, .v = rt_errno_names, .def = ""};
    g->errno_tab = strtab_off(g, &t);
  }
  return g->errno_tab;
}

/* ---- output --------------------------------------------------------------------- */

static u32 site_new(struct gen *g, const struct ir_ins *i)
{
  struct rt_site s = {.fmt = i->fmt, .width = NEW_ARRAY(g->a, u16, i->nargs + 1)};
  for (u32 k = 0; k < i->nargs; k++)
    if (i->fmt->arg_type[k] == IR_STR && str_small(g, &i->args[k]))
      s.width[k] = i->args[k].kind == V_STR ? (u16)ROUND_UP(i->args[k].len + 1, 8)
                                            : (u16)g->f->place[i->args[k].reg].size;
  vec_push(g->a, &g->img->sites, s);
  return g->img->sites.n - 1;
}

/* R4 = flags: wake the reader only when it sleeps. */
static void wakeup_flags(struct gen *g, u8 reg)
{
  u32 awake = label_new(g);
  emit_mapval(g, R0, BMAP_STATE, offsetof(struct rt_state, reader_sleeps));
  emit_ldx(g, SZ_W, R0, R0, 0);
  emit_movi(g, reg, BPF_RB_NO_WAKEUP);
  emit_jcci(g, BPF_JEQ, R0, 0, awake);
  emit_movi(g, reg, BPF_RB_FORCE_WAKEUP);
  label_here(g, awake);
}

static void count_lost(struct gen *g)
{
  emit_mapval(g, R1, BMAP_STATE, offsetof(struct rt_state, lost));
  emit_movi(g, R2, 1);
  emit_atomic(g, BPF_ADD, R1, 0, R2);
}

static bool fixed_size(const struct rt_site *s, u32 nargs, u32 *size)
{
  *size = sizeof(struct rt_rec);
  for (u32 k = 0; k < nargs; k++) {
    if ((s->fmt->arg_type[k] == IR_STR && !s->width[k]) || fmt_memory(s->fmt, k))
      return false;
    *size += s->fmt->arg_type[k] == IR_STR ? s->width[k] : 8;
  }
  return true;
}

/* An event's record of fixed size is built in the ring itself. */
static void print_reserved(struct gen *g, const struct ir_ins *i, u32 site, u32 size)
{
  const struct rt_site *s = &g->img->sites.v[site];
  u32 lost = label_new(g), done = label_new(g);
  emit_map(g, R1, BMAP_RING);
  emit_movi(g, R2, size);
  emit_movi(g, R3, 0);
  emit_helper(g, BPF_FUNC_ringbuf_reserve);
  emit_jcci(g, BPF_JEQ, R0, 0, lost);
  emit_mov(g, R4, R0);
  emit_st(g, SZ_W, R4, 0, (s32)site);
  emit_st(g, SZ_W, R4, 4, (s32)(size - sizeof(struct rt_rec)));
  s32 off = sizeof(struct rt_rec);
  for (u32 k = 0; k < i->nargs; k++) {
    if (s->width[k]) {
      put_small(g, R4, off, s->width[k], &i->args[k]);
      off += s->width[k];
    } else {
      if (fits_imm(&i->args[k]))
        emit_st(g, SZ_DW, R4, off, (s32)i->args[k].num);
      else
        emit_stx(g, SZ_DW, R4, off, use_int(g, &i->args[k], R0));
      off += 8;
    }
  }
  wakeup_flags(g, R2);
  emit_mov(g, R1, R4);
  emit_helper(g, BPF_FUNC_ringbuf_submit);
  emit_jmp(g, done);
  label_here(g, lost);
  count_lost(g);
  label_here(g, done);
}

void send_record(struct gen *g, u32 max)
{
  u32 done = label_new(g), lost = label_new(g);
  bool event = g->f->probe && g->f->probe->inst->kind != PROG_SESSION;
  if (event) {
    emit_stx(g, SZ_DW, R10, STK_TMP, R0);
    wakeup_flags(g, R4);
    emit_ldx(g, SZ_DW, R3, R10, STK_TMP);
    emit_jcci(g, BPF_JGT, R3, (s32)max, lost);
    emit_map(g, R1, BMAP_RING);
    emit_mov(g, R2, R9);
    emit_alui(g, BPF_ADD, R2, (s32)g->f->rec_off);
    emit_helper(g, BPF_FUNC_ringbuf_output);
  } else { /* runs, or may run, from the session: waits when the ring is full */
    struct bpf_rt_params *p = NEW(g->a, struct bpf_rt_params);
    p->c[RT_SEND_OFF] = (s32)g->f->rec_off;
    p->c[RT_SEND_SIZE] = (s32)ROUND_UP(max, g->M); /* the slack behind it allows that: fewer copies */
    emit_mov(g, R2, R0);
    emit_mov(g, R1, R9);
    emit_rt_template(g, "rt_ring_send", p);
  }
  emit_jcci(g, BPF_JEQ, R0, 0, done);
  label_here(g, lost);
  count_lost(g);
  label_here(g, done);
}

/* R4 = the spec with the "*" argument put in; the position is kept in STK_TMP. */
static void dynamic_spec(struct gen *g, const char *rt, const struct ir_val *v)
{
  emit_stx(g, SZ_DW, R10, STK_TMP, R0);
  emit_mov(g, R1, R4);
  load_int(g, v, R2);
  emit_rt(g, rt);
  emit_mov(g, R4, R0);
  emit_ldx(g, SZ_DW, R0, R10, STK_TMP);
}

/* An item of a record at the position in R2, which is not of fixed size or place: R0 is the next
 * position.  */
static void put_item(struct gen *g, const struct ir_ins *i, const struct rt_site *s, u32 k)
{
  const struct fmt_piece *memory = fmt_memory(i->fmt, k);
  if (memory) {
    emit_mov(g, R0, R2);
    emit_movi(g, R4, (s64)fmt_spec(memory));
    if (memory->prec_kind == FMT_DYNAMIC)
      dynamic_spec(g, "rt_spec_prec", &i->args[k - 1]);
    emit_mov(g, R2, R0);
    load_int(g, &i->args[k], R3);
    rt_call(g, "rt_rec_mem");
  } else if (i->fmt->arg_type[k] != IR_STR) {
    load_int(g, &i->args[k], R3);
    rt_call(g, "rt_rec_int");
  } else if (s->width[k]) {
    arg_off(g, R3, &i->args[k]);
    emit_movi(g, R4, s->width[k]);
    rt_call(g, "rt_rec_fixed");
  } else {
    arg_off(g, R3, &i->args[k]);
    rt_call(g, "rt_rec_str");
  }
}

/* General records are put together in the frame. */
static void print_built(struct gen *g, const struct ir_ins *i, u32 site)
{
  const struct rt_site *s = &g->img->sites.v[site];
  u32 rec = g->f->rec_off, max = sizeof(struct rt_rec);
  u32 off = sizeof(struct rt_rec);   /* known while only fixed items came */
  bool known = true;
  emit_st(g, SZ_W, R9, (s32)rec, (s32)site);
  for (u32 k = 0; k < i->nargs; k++) {
    bool str = i->fmt->arg_type[k] == IR_STR, memory = fmt_memory(i->fmt, k);
    max += memory         ? ROUND_UP(g->M + 4, 8)
           : !str         ? 8
           : s->width[k] ? s->width[k]
                          : ROUND_UP(str_bound(g, &i->args[k]) + 4, 8);
    if (known && !memory && (!str || s->width[k])) {
      if (str) {
        put_small(g, R9, (s32)(rec + off), s->width[k], &i->args[k]);
        off += s->width[k];
      } else {
        emit_stx(g, SZ_DW, R9, (s32)(rec + off), use_int(g, &i->args[k], R0));
        off += 8;
      }
      continue;
    }
    /* R2: position in the frame; the runtime returns the next. */
    if (known)
      emit_movi(g, R2, rec + off);
    else
      emit_ldx(g, SZ_DW, R2, R10, STK_TMP);
    known = false;
    put_item(g, i, s, k);
    emit_stx(g, SZ_DW, R10, STK_TMP, R0);
  }
  if (known) {
    emit_movi(g, R0, off);
  } else {
    emit_ldx(g, SZ_DW, R0, R10, STK_TMP);
    emit_alui(g, BPF_SUB, R0, (s32)rec);
  }
  emit_mov(g, R1, R0);
  emit_alui(g, BPF_SUB, R1, sizeof(struct rt_rec));
  emit_stx(g, SZ_W, R9, (s32)rec + 4, R1);
  send_record(g, max);
}

static void sel_print(struct gen *g, const struct ir_ins *i)
{
  u32 site = site_new(g, i), size;
  bool session = g->f->probe && g->f->probe->inst->kind == PROG_SESSION;
  bool event = g->f->probe && !session;
  if (event && fixed_size(&g->img->sites.v[site], i->nargs, &size) && size <= 4096)
    print_reserved(g, i, site, size);
  else
    print_built(g, i, site);
}

/* log(s) is println(s). */
static void sel_log(struct gen *g, const struct ir_ins *i)
{
  static const enum ir_type arg_type[] = {IR_STR};
  static struct print_expr line = {.line = true};
  static const struct ir_fmt fmt = {.print = &line, .nargs = 1, .arg_type = (enum ir_type *)arg_type};
  struct ir_ins print = *i;
  print.op = IR_PRINT;
  print.fmt = (struct ir_fmt *)&fmt;
  sel_print(g, &print);
}

/* ---- sprintf: piece by piece --------------------------------------------------- */

static void put_literal(struct gen *g, const char *text, u32 len)
{
  if (!len)
    return;
  emit_mov(g, R2, R0);
  emit_movi(g, R3, (s64)(rodata_lit(g, text, len) | RT_LIT));
  emit_movi(g, R4, RT_SPEC(CONV_S, 0, 0, RT_NO_PREC, 0));
  rt_call(g, "rt_put_str");
}

/* Appends a value under the spec in R4 at the position in R0. */
static void put_value(struct gen *g, const struct ir_val *v, const char *rt)
{
  emit_mov(g, R2, R0);
  if (!strcmp(rt, "rt_put_str"))
    arg_off(g, R3, v);
  else
    load_int(g, v, R3);
  rt_call(g, rt);
}

static void sprint_pieces(struct gen *g, const struct ir_ins *i)
{
  const struct print_expr *pe = i->fmt->print;
  u32 arg = 0;
  for (u32 k = 0; k < pe->fmt.n; k++) {
    const struct fmt_piece *p = &pe->fmt.v[k];
    if (p->conv == CONV_LITERAL) {
      put_literal(g, p->text, p->len);
      continue;
    }
    emit_movi(g, R4, (s64)fmt_spec(p));
    if (p->width_kind == FMT_DYNAMIC)
      dynamic_spec(g, "rt_spec_width", &i->args[arg++]);
    if (p->prec_kind == FMT_DYNAMIC)
      dynamic_spec(g, "rt_spec_prec", &i->args[arg++]);
    put_value(g, &i->args[arg],
              fmt_memory(i->fmt, arg)               ? "rt_put_mem"
              : i->fmt->arg_type[arg] == IR_STR ? "rt_put_str"
                                                    : "rt_put_int");
    arg++;
  }
}

/* sprint(), sprintln(), sprintd(), sprintdln(): plain values. */
static void sprint_plain(struct gen *g, const struct ir_ins *i)
{
  const struct print_expr *pe = i->fmt->print;
  for (u32 k = 0; k < i->nargs; k++) {
    bool str = i->fmt->arg_type[k] == IR_STR;
    u32 conv = pe->is_char ? CONV_C : str ? CONV_S : CONV_D;
    if (k && pe->delim)
      put_literal(g, pe->delim, (u32)strlen(pe->delim));
    emit_movi(g, R4, (s64)RT_SPEC(conv, 0, 0, RT_NO_PREC, 0));
    put_value(g, &i->args[k], str ? "rt_put_str" : "rt_put_int");
  }
  if (pe->newline)
    put_literal(g, "\n", 1);
}

static void sel_sprint(struct gen *g, const struct ir_ins *i)
{
  /* Built aside: the destination may be one of the arguments. */
  u32 build = g->f->rec_off;
  emit_st(g, SZ_B, R9, (s32)build, 0);
  emit_movi(g, R0, (s64)RT_POS(build, g->M));
  if (i->fmt->print->formatted)
    sprint_pieces(g, i);
  else
    sprint_plain(g, i);
  emit_movi(g, R2, dst_off(g, i));
  emit_movi(g, R3, build);
  emit_movi(g, R4, g->M);
  rt_call(g, "rt_copy");
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

/* ---- effects --------------------------------------------------------------------- */

/* Sends a control record with a string (warnings, log) or without (exit). */
static void send_ctl(struct gen *g, enum rt_ctl_kind kind, const struct ir_val *text)
{
  bool framed = g->f->framed;
  u8 base = slot_base(g);
  s32 ctl = framed ? (s32)RT_OFF_TMP(g->M) : -g->f->stack_used - (s32)sizeof(struct rt_ctl);
  u32 sent = label_new(g), none = label_new(g);
  emit_st(g, SZ_W, base, ctl + (s32)offsetof(struct rt_ctl, kind), (s32)kind);
  emit_st(g, SZ_W, base, ctl + (s32)offsetof(struct rt_ctl, probe_id), 0);
  emit_st(g, SZ_W, base, ctl + (s32)offsetof(struct rt_ctl, err), -1);
  emit_st(g, SZ_W, base, ctl + (s32)offsetof(struct rt_ctl, len), 0);
  emit_st(g, SZ_DW, base, ctl + (s32)offsetof(struct rt_ctl, err_arg), 0);
  emit_movi(g, R3, sizeof(struct rt_ctl));
  if (text) {
    s32 room = (s32)g->M - (s32)sizeof(struct rt_ctl);
    emit_mov(g, R1, R9);
    emit_alui(g, BPF_ADD, R1, ctl + (s32)sizeof(struct rt_ctl));
    emit_movi(g, R2, room);
    str_addr(g, R3, text);
    emit_helper(g, BPF_FUNC_probe_read_kernel_str);
    emit_movi(g, R3, sizeof(struct rt_ctl));
    emit_jcci(g, BPF_JSLT, R0, 1, none);
    emit_jcci(g, BPF_JSGT, R0, room, none);
    emit_alui(g, BPF_ADD, R0, -1);
    emit_stx(g, SZ_W, R9, ctl + (s32)offsetof(struct rt_ctl, len), R0);
    emit_alu(g, BPF_ADD, R3, R0);
    label_here(g, none);
  }
  emit_map(g, R1, BMAP_CTL);
  emit_mov(g, R2, base);
  emit_alui(g, BPF_ADD, R2, ctl);
  emit_movi(g, R4, BPF_RB_FORCE_WAKEUP);
  emit_helper(g, BPF_FUNC_ringbuf_output);
  emit_jcci(g, BPF_JEQ, R0, 0, sent);
  emit_mapval(g, R1, BMAP_STATE, offsetof(struct rt_state, lost_ctl));
  emit_movi(g, R2, 1);
  emit_atomic(g, BPF_ADD, R1, 0, R2);
  label_here(g, sent);
}

/* exit(): no event handler starts any more; the session hears of it by a control record. */
static void sel_exit(struct gen *g)
{
  u32 not_running = label_new(g), again = label_new(g);
  emit_mapval(g, R1, BMAP_STATE, 0);
  emit_movi(g, R2, 1);
  emit_ldx(g, SZ_W, R3, R1, offsetof(struct rt_state, exit_requested));
  emit_jcci(g, BPF_JNE, R3, 0, again);
  emit_stx(g, SZ_W, R1, offsetof(struct rt_state, exit_requested), R2);
  emit_ldx(g, SZ_W, R2, R1, offsetof(struct rt_state, phase));
  emit_jcci(g, BPF_JNE, R2, RT_RUNNING, not_running);
  emit_movi(g, R2, RT_STOPPING);
  emit_stx(g, SZ_W, R1, offsetof(struct rt_state, phase), R2);
  label_here(g, not_running);
  send_ctl(g, RT_CTL_EXIT, NULL);
  label_here(g, again);
}

static void sel_error(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  emit_mov(g, R1, R9);
  emit_alui(g, BPF_ADD, R1, RT_OFF_ERRMSG);
  emit_movi(g, R2, g->M);
  str_addr(g, R3, &i->args[0]);
  emit_helper(g, BPF_FUNC_probe_read_kernel_str);
  emit_movi(g, R1, i->err == IR_NO ? 0 : i->err);
  store_err(g, RT_ERR_DYNAMIC, R1); /* with its place for the message */
  emit_jmp(g, fail_label(g, b));
}

/* The table of error texts, by number: for catch (msg). */
static u32 error_table(struct gen *g)
{
  if (!g->nerr_tab) {
    struct ir_strtab t = {.n = g->m->errors.n, .def = "unknown error"};
    const char **v = NEW_ARRAY(g->a, const char *, t.n + 1);
    for (u32 k = 0; k < t.n; k++) {
      const char *text = g->m->errors.v[k].text;
      const char *arg = text ? strstr(text, "0x%") : NULL;
      v[k] = arg ? arena_strndup(g->a, text, (size_t)(arg - text)) : text;
    }
    t.v = v;
    g->nerr_tab = strtab_off(g, &t);
  }
  return g->nerr_tab;
}

/* The message of the error that led here; a fault's address is appended in hex. */
static void sel_catch(struct gen *g, const struct ir_ins *i)
{
  u32 dynamic = label_new(g), done = label_new(g);
  bool want = i->dst != IR_NO && g->f->place[i->dst].kind != PL_NONE;
  if (want) {
    emit_ldx(g, SZ_W, R4, R9, offsetof(struct rt_frame, err));
    emit_movi(g, R1, (s64)(u32)RT_ERR_DYNAMIC);
    emit_jcc(g, BPF_JEQ, R4, R1, dynamic);
    emit_stx(g, SZ_DW, R10, STK_TMP, R4);
    emit_alui(g, BPF_AND, R4, ERR_HAS_ADDR - 1);
    emit_movi(g, R2, dst_off(g, i));
    emit_movi(g, R3, error_table(g));
    rt_call(g, "rt_strtab");
    emit_ldx(g, SZ_DW, R4, R10, STK_TMP);
    emit_alui(g, BPF_AND, R4, ERR_HAS_ADDR);
    emit_jcci(g, BPF_JEQ, R4, 0, done);
    emit_movi(g, R2, dst_off(g, i));
    emit_ldx(g, SZ_DW, R3, R9, offsetof(struct rt_frame, err_arg));
    emit_movi(g, R4, 1);
    rt_call(g, "rt_append_hex");
    emit_jmp(g, done);
    label_here(g, dynamic);
    emit_mov(g, R1, R9);
    emit_alui(g, BPF_ADD, R1, (s32)dst_off(g, i));
    emit_movi(g, R2, g->M);
    emit_mov(g, R3, R9);
    emit_alui(g, BPF_ADD, R3, RT_OFF_ERRMSG);
    emit_helper(g, BPF_FUNC_probe_read_kernel_str);
    label_here(g, done);
  }
  emit_st(g, SZ_W, R9, offsetof(struct rt_frame, err), 0);
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

/* pp() and pn(): known where the code is the handler's; a function looks the probe up. */
static void sel_probe_name(struct gen *g, const struct ir_ins *i)
{
  bool point = i->builtin->fn == FN_PP;
  u32 *table = point ? &g->pp_tab : &g->pn_tab;
  if (g->f->probe) {
    const struct probe_inst *pi = g->f->probe->inst;
    const char *text = point ? pi->pp : pi->name ? pi->name : pi->pp;
    copy_str(g, i->dst, &(struct ir_val){.kind = V_STR, .str = text, .len = (u32)strlen(text)});
    return;
  }
  if (!*table) {
    u32 n = 0;
    for (u32 k = 0; k < g->m->probes.n; k++)
      n = MAX(n, g->m->probes.v[k]->id + 1);
    const char **v = NEW_ARRAY(g->a, const char *, n + 1);
    for (u32 k = 0; k < g->m->probes.n; k++) {
      const struct probe_inst *pi = g->m->probes.v[k]->inst;
      v[g->m->probes.v[k]->id] = point ? pi->pp : pi->name ? pi->name : pi->pp;
    }
    *table = strtab_off(g, &(struct ir_strtab){.n = n, .v = v, .def = ""});
  }
  emit_movi(g, R2, dst_off(g, i));
  emit_movi(g, R3, *table);
  emit_ldx(g, SZ_W, R4, R9, offsetof(struct rt_frame, probe_id));
  rt_call(g, "rt_strtab");
}

static void sel_state(struct gen *g, const struct ir_ins *i, u32 off)
{
  emit_mapval(g, R1, BMAP_STATE, off);
  emit_ldx(g, SZ_DW, R0, R1, 0);
  def_done(g, i->dst, R0);
}

static void sel_execname(struct gen *g, const struct ir_ins *i)
{
  const struct place *p = &g->f->place[i->dst];
  addr_of(g, R1, p);
  emit_movi(g, R2, 16);
  emit_helper(g, BPF_FUNC_get_current_comm);
  for (u32 k = 16; p->small && k < p->size; k += 8)
    emit_st(g, SZ_DW, slot_base(g), p->off + (s32)k, 0);
}

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
    emit_movi(g, R2, 16);
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

/* Whether the handler's operations go beyond what the stack and registers can hold. */
static bool stack_fn(const struct ir_ins *i)
{
  switch (i->builtin->fn) {
  case FN_PP:
  case FN_PN:
  case FN_PEXECNAME:
  case FN_LOG:
  case FN_WARN:
  case FN_MATCHED:
  case FN_NGROUPS:
  case FN_FLAGS_STR:
  case FN_ENUM_STR:
    return false;
  case FN_EXECNAME:
    return true;
  default:
    return i->builtin->result != 'S' && !strchr(i->builtin->args, 'S');
  }
}

static bool stack_operand(const struct ir_fn *fn, const struct ir_val *v)
{
  return v->kind == V_STR ? v->len < SMALL_STR
         : v->kind == V_REG ? fn->regs.v[v->reg].type == IR_INT ||
                                  (fn->regs.v[v->reg].maxlen && fn->regs.v[v->reg].maxlen <= 16)
                            : true;
}

static bool stack_ins(const struct ir_fn *fn, const struct ir_ins *i)
{
  for (u32 k = 0; k < i->nargs; k++)
    if (!stack_operand(fn, &i->args[k]))
      return false;
  switch (i->op) {
  case IR_FN:
    return stack_fn(i);
  case IR_MOV:
  case IR_BUDGET:
  case IR_PRINT:
  case IR_MIN_:
  case IR_MDEL:
  case IR_LOCK:
  case IR_UNLOCK:
    return true;
  case IR_GGET:
  case IR_GSET:
  case IR_MGET:
  case IR_MSET:
  case IR_MRMW:
  case IR_GRMW:
    return i->global->type == TY_LONG;
  case IR_SCMP:
    return equal_needs_no_call(fn, i);
  case IR_STATADD:
    return !i->global->hists.n && !(i->global->stat_ops >> STAT_VARIANCE & 1);
  default:
    return i->op >= IR_ADD && i->op <= IR_GE;
  }
}

/* An upper bound of a record's size; more than any when it is not of fixed size. */
static u32 fixed_print(const struct ir_ins *i)
{
  u32 n = sizeof(struct rt_rec);
  for (u32 k = 0; k < i->nargs; k++)
    n += fmt_memory(i->fmt, k) ? UINT16_MAX : i->fmt->arg_type[k] == IR_STR ? SMALL_STR + 8 : 8;
  return n;
}

bool needs_frame(struct gen *g, struct ir_fn *fn)
{
  (void)g;
  if (fn->loops.n)
    return true;
  for (u32 n = 0; n < fn->blocks.n; n++) {
    if (fn->blocks.v[n]->handler != IR_NO)
      return true;
    for (u32 k = 0; k < fn->blocks.v[n]->ins.n; k++) {
      const struct ir_ins *i = &fn->blocks.v[n]->ins.v[k];
      if (!stack_ins(fn, i) || (i->op == IR_PRINT && fixed_print(i) > 4096))
        return true;
    }
  }
  return false;
}

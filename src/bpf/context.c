/* Selection of what tells where and when a handler runs: the context's words, the current task,
 * clocks, memory, and the tables of names that the read-only data holds.  */
#include "bpf/gen.h"

#include <bpf/btf.h>
#include "target/target.h"

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

bool sel_ctx_helper(struct gen *g, const struct ir_ins *i)
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
bool sel_time(struct gen *g, const struct ir_ins *i)
{
  static const struct {
    u32 fn, div;
    bool wall;
  } times[] = {{FN_TIME_NS, 1, true},          {FN_TIME_US, 1000, true},
               {FN_TIME_MS, 1000000, true},    {FN_TIME_S, 1000000000, true},
               {FN_CLOCK_US, 1000, false},     {FN_CLOCK_MS, 1000000, false},
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

s64 kernel_hz(void)
{
  return target_hz(kernel());
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
void read_kernel(struct gen *g, u32 size, u32 off)
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

bool sel_task(struct gen *g, const struct ir_ins *i)
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

void sel_ctx_arg(struct gen *g, const struct ir_ins *i)
{
  u8 d = def_reg(g, i->dst, R0);
  emit_ldx(g, SZ_DW, R1, R10, STK_CTX);
  emit_ldx(g, SZ_DW, d, R1, (s32)i->imm * 8);
  extend_to(g, d, (u32)i->imm2);
  def_done(g, i->dst, d);
}

void sel_ctx_reg(struct gen *g, const struct ir_ins *i)
{
  emit_ldx(g, SZ_DW, R1, R10, STK_CTX);
  emit_ldx(g, SZ_DW, R3, R1, (s32)i->imm2 * 8);
  read_kernel(g, 8, (u32)i->imm);
  def_done(g, i->dst, R0);
}

/* A load of 1 to 8 bytes from kernel or user memory. */
void sel_read(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
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
void sel_mem_string(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
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

u32 strtab_off(struct gen *g, const struct ir_strtab *t)
{
  u32 *offs = NEW_ARRAY(g->a, u32, t->n + 2);
  offs[0] = t->n;
  offs[1] = rodata_lit(g, t->def, (u32)strlen(t->def));
  for (u32 k = 0; k < t->n; k++)
    offs[2 + k] = t->v[k] ? rodata_lit(g, t->v[k], (u32)strlen(t->v[k])) : offs[1];
  return rodata_add(g, offs, (t->n + 2) * sizeof(u32), 8);
}

/* Table for rt_flags_str and rt_enum_str. */
u32 flags_off(struct gen *g, const struct ir_flags *t)
{
  struct rt_flag *rows = NEW_ARRAY(g->a, struct rt_flag, t->n + 1);
  struct rt_flags head = {
      .n = t->n,
      .zero = t->zero ? rodata_lit(g, t->zero, (u32)strlen(t->zero)) : ~0u,
      .rest = t->rest,
  };
  for (u32 k = 0; k < t->n; k++) {
    u32 len = (u32)strlen(t->v[k].name);
    rows[k] = (struct rt_flag){t->v[k].mask, t->v[k].value, rodata_lit(g, t->v[k].name, len), len};
  }
  u32 off = rodata_add(g, &head, sizeof(head), 8);
  rodata_add(g, rows, t->n * (u32)sizeof(*rows), 8);
  return off;
}

/* The names of error numbers, for errno_str() and returnstr(). */
u32 errno_off(struct gen *g)
{
  if (!g->errno_tab) {
    struct ir_strtab t = {.n = RT_ERRNO_MAX, .v = rt_errno_names, .def = ""};
    g->errno_tab = strtab_off(g, &t);
  }
  return g->errno_tab;
}

/* pp() and pn(): known where the code is the handler's; a function looks the probe up. */
void sel_probe_name(struct gen *g, const struct ir_ins *i)
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

void sel_state(struct gen *g, const struct ir_ins *i, u32 off)
{
  emit_mapval(g, R1, BMAP_STATE, off);
  emit_ldx(g, SZ_DW, R0, R1, 0);
  def_done(g, i->dst, R0);
}

void sel_execname(struct gen *g, const struct ir_ins *i)
{
  const struct place *p = &g->f->place[i->dst];
  /* Linux 6.1 writes nothing behind the name's end */
  emit_st(g, SZ_DW, base_reg(g), p->off, 0);
  emit_st(g, SZ_DW, base_reg(g), p->off + 8, 0);
  addr_of(g, R1, p);
  emit_movi(g, R2, 16);
  emit_helper(g, BPF_FUNC_get_current_comm);
  for (u32 k = g->L - 1; k < 16; k++)
    emit_st(g, SZ_B, base_reg(g), p->off + (s32)k, 0);
  for (u32 k = 16; p->small && k < p->size; k += 8)
    emit_st(g, SZ_DW, base_reg(g), p->off + (s32)k, 0);
}

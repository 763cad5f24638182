/* Selection of output: records on the data ring, sprintf(), and what goes by the control ring:
 * exit(), warnings, errors.  */
#include "bpf/gen.h"

#include "runtime/format.h"

/* ---- output --------------------------------------------------------------------- */

static u32 site_new(struct gen *g, const struct ir_ins *i)
{
  struct rt_site s = {.fmt = i->fmt, .width = NEW_ARRAY(g->a, u16, i->nargs + 1)};
  for (u32 k = 0; k < i->fmt->nargs; k++)
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

static bool fixed_size(const struct rt_site *s, u32 *size)
{
  *size = sizeof(struct rt_rec);
  for (u32 k = 0; k < s->fmt->nargs; k++) {
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
    p->c[RT_SEND_SIZE] =
        (s32)ROUND_UP(max, g->M); /* the slack behind it allows that: fewer copies */
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

void sel_mem_check(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  u32 ok = label_new(g);
  load_int(g, &i->args[1], R2);
  emit_movi(g, R1, (s64)RT_SPEC(CONV_M, i->imm, 0, RT_NO_PREC, 0));
  emit_rt(g, "rt_spec_prec");
  emit_mov(g, R3, R0);
  load_int(g, &i->args[0], R2);
  emit_stx(g, SZ_DW, R10, STK_TMP, R2);
  rt_call(g, "rt_mem_check");
  emit_jcci(g, BPF_JSGE, R0, 0, ok);
  emit_ldx(g, SZ_DW, R1, R10, STK_TMP);
  store_err(g, i->err | ERR_HAS_ADDR, R1);
  emit_jmp(g, fail_label(g, b));
  label_here(g, ok);
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
  u32 off = sizeof(struct rt_rec); /* known while only fixed items came */
  bool known = true;
  emit_st(g, SZ_W, R9, (s32)rec, (s32)site);
  for (u32 k = 0; k < s->fmt->nargs; k++) {
    bool str = s->fmt->arg_type[k] == IR_STR, memory = fmt_memory(s->fmt, k);
    max += memory        ? ROUND_UP(g->M + 4, 8)
           : !str        ? 8
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

void sel_print(struct gen *g, const struct ir_ins *i)
{
  u32 site = site_new(g, i), size;
  bool session = g->f->probe && g->f->probe->inst->kind == PROG_SESSION;
  bool event = g->f->probe && !session;
  if (event && fixed_size(&g->img->sites.v[site], &size) && size <= 4096)
    print_reserved(g, i, site, size);
  else
    print_built(g, i, site);
}

/* log(s) is print(s), and ends its line. */
void sel_log(struct gen *g, const struct ir_ins *i)
{
  static const enum ir_type arg_type[] = {IR_STR};
  static struct fmt_piece text = {.conv = CONV_S};
  static struct print_expr line = {.line = true, .fmt = {.v = &text, .n = 1}};
  static const struct ir_fmt fmt = {
      .print = &line, .nargs = 1, .arg_type = (enum ir_type *)arg_type};
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
              fmt_memory(i->fmt, arg)           ? "rt_put_mem"
              : i->fmt->arg_type[arg] == IR_STR ? "rt_put_str"
                                                : "rt_put_int");
    arg++;
  }
}

void sel_sprint(struct gen *g, const struct ir_ins *i)
{
  /* Built aside: the destination may be one of the arguments. */
  u32 build = g->f->rec_off;
  emit_st(g, SZ_B, R9, (s32)build, 0);
  emit_movi(g, R0, (s64)RT_POS(build, g->L));
  sprint_pieces(g, i);
  emit_movi(g, R2, dst_off(g, i));
  emit_movi(g, R3, build);
  emit_movi(g, R4, g->M);
  rt_call(g, "rt_copy");
}

/* ---- effects --------------------------------------------------------------------- */

/* Sends a control record with a string (warnings, log) or without (exit). */
void send_ctl(struct gen *g, enum rt_ctl_kind kind, const struct ir_val *text)
{
  bool framed = g->f->framed;
  u8 base = base_reg(g);
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
void sel_exit(struct gen *g)
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

void sel_error(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
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
void sel_catch(struct gen *g, const struct ir_ins *i)
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

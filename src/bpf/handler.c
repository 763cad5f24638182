/* Handlers: the frame they claim, what they check on entry and give back at the end, and the
 * programs that they are put into.  */
#include "bpf/gen.h"

#include "bpf/syscall_regs.h"

enum { CTL_BYTES = sizeof(struct rt_ctl) };

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
  if (f->framed && g->group) {
    emit_ldx(g, SZ_W, R1, R9, offsetof(struct rt_frame, probe_id));
    emit_stx(g, SZ_W, R9, ctl + (s32)offsetof(struct rt_ctl, probe_id), R1);
  } else {
    emit_st(g, SZ_W, base, ctl + (s32)offsetof(struct rt_ctl, probe_id), (s32)p->id);
  }
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

/* R7 = the system call's number; leaves when it is not `only` (IR_NO: any will do), or the caller
 * is a 32-bit program, whose numbers are others.  sys_enter and sys_exit come for all calls.  The
 * context is in R1; nothing is on the stack yet.  */
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

static bool cond_framed(const struct gen *g, const struct ir_probe *p)
{
  return p->cond && g->gfn[p->cond->id].gf->framed;
}

/* Calls the condition's function; leaves when it yields 0.  One that needs no frame yields it in
 * R0, and is asked before the handler claims its own.  */
static void check_condition(struct gen *g, struct ir_probe *p, u32 out)
{
  struct gfn *c = &g->gfn[p->cond->id];
  if (c->sub == IR_NO) {
    struct bpf_sub *s = sub_begin(g, "cond", &c->sub);
    s->global = c->gf->framed;
    s->nargs = c->gf->framed;
  }
  if (!c->gf->framed) {
    emit_callsub(g, c->sub);
    emit_jcci(g, BPF_JEQ, R0, 0, out);
    return;
  }
  emit_ldx(g, SZ_W, R1, R9, offsetof(struct rt_frame, slot));
  emit_callsub(g, c->sub);
  emit_jcci(g, BPF_JNE, R0, 0, out);
  emit_ldx(g, SZ_DW, R1, R9, (s32)c->gf->ret_off);
  emit_jcci(g, BPF_JEQ, R1, 0, out);
}

/* ---- what the handlers of a group call functions for ------------------------------ */

/* R9 = the frame, claimed and set up; leaves when there is none, or the session isn't running. */
static void call_enter(struct gen *g, struct ir_probe *p, u32 out)
{
  struct callback c = callback_begin(g, "enter", 1); /* static: only such a one yields a pointer */
  u32 none = label_new(g);
  emit_mov(g, R7, R1);
  check_phase(g, none);
  claim_frame(g, none);
  frame_init(g, p);
  emit_stx(g, SZ_W, R9, offsetof(struct rt_frame, probe_id), R7);
  emit_mov(g, R0, R9);
  emit_exit(g);
  label_here(g, none);
  emit_movi(g, R0, 0);
  u32 enter = callback_end(g, &c);
  emit_movi(g, R1, (s64)p->id);
  emit_callsub(g, enter);
  emit_jcci(g, BPF_JEQ, R0, 0, out);
  emit_mov(g, R9, R0);
  emit_stx(g, SZ_DW, R10, STK_FRAME, R9);
}

static void call_leave(struct gen *g)
{
  struct callback c = framed_begin(g, "leave", 1);
  release_frame(g);
  emit_movi(g, R0, 0);
  u32 leave = callback_end(g, &c);
  emit_mov(g, R1, R9);
  emit_callsub(g, leave);
}

static void call_report(struct gen *g, struct genfn *f, struct ir_probe *p)
{
  struct callback c = framed_begin(g, "report", 1);
  report_error(g, f, p);
  emit_movi(g, R0, 0);
  u32 report = callback_end(g, &c);
  emit_mov(g, R1, R9);
  emit_callsub(g, report);
}

/* ---- a handler --------------------------------------------------------------------- */

/* A handler as subprogram `sub` of the current unit: takes the context in R1.  f->probe is the
 * first of the probes that share it. */
static void gen_handler(struct gen *g, struct genfn *f, struct bpf_sub *sub)
{
  struct ir_probe *p = f->probe;
  f->region[0]->sub = sub;
  declare_loops(g, f);
  region_begin(g, f, f->region[0]);
  u32 out = label_new(g), finish = label_new(g);
  emit_stx(g, SZ_DW, R10, STK_CTX, R1);
  bool shared = g->group && f->framed;
  if (p->inst->kind != PROG_SESSION && !shared)
    check_phase(g, out);
  if (is_syscall(p->inst) && sub == g->unit->subs.v[0])
    check_syscall(g, p->inst->kind, g->unit->probes.v[0]->inst->number, out);
  if (p->cond && !cond_framed(g, p))
    check_condition(g, p, out);
  if (shared) {
    call_enter(g, p, out);
  } else if (f->framed) {
    claim_frame(g, out);
    frame_init(g, p);
    emit_st(g, SZ_W, R9, offsetof(struct rt_frame, probe_id), (s32)p->id);
  }
  for (u32 i = 0; i < f->locks.n; i++)
    emit_st(g, SZ_DW, f->framed ? R9 : R10, f->locks.v[i].off, 0);
  if (cond_framed(g, p))
    check_condition(g, p, finish);
  emit_blocks(g, f->region[0]);
  label_here(g, edge_label(g, TO_RET(f)));
  label_here(g, finish);
  release_locks(g, f);
  if (shared)
    call_leave(g);
  else if (f->framed)
    release_frame(g);
  label_here(g, out);
  emit_movi(g, R0, 0);
  emit_exit(g);
  if (g->target_label[TO_ERR(f)]) {
    label_here(g, edge_label(g, TO_ERR(f)));
    if (shared)
      call_report(g, f, p);
    else
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
  g->lock_sub = IR_NO;
  g->group = false;
  for (u32 i = 0; i < g->nfns; i++)
    g->gfn[i].sub = IR_NO;
  for (u32 i = 0; i < g->m->globals.n; i++)
    g->gmap[g->m->globals.v[i]->id].merge_sub = IR_NO;
  return u;
}

/* Handlers of system calls in one program: verified together, what they share once. */
enum { GROUP_MAX = 32, GROUP_SUBS = 150, GROUP_INS = 10000 };
enum { GROUP_SHARE = 4 }; /* from that many on, they share functions */

struct group {
  u32 handlers;
  u32 subs, ins; /* subprograms, about; instructions of the IR */
  bool *has;     /* per global: its callbacks are there */
};

/* A global's callbacks and functions (delete, evict, merge, set) are shared by all handlers. */
static void group_global(struct group *gr, u32 id)
{
  gr->subs += gr->has[id] ? 0 : 5;
  gr->has[id] = true;
}

static void group_add(struct group *gr, const struct ir_fn *fn)
{
  gr->handlers++;
  gr->subs += 1 + fn->loops.n;
  for (u32 k = 0; k < fn->blocks.n; k++)
    for (u32 i = 0; i < fn->blocks.v[k]->ins.n; i++) {
      const struct ir_ins *ins = &fn->blocks.v[k]->ins.v[i];
      gr->ins++;
      if (ins->op == IR_MCLEAR || ins->op == IR_MSET || ins->op == IR_MRMW || ins->op == IR_MCAT ||
          ins->op == IR_STATGET || ins->op == IR_HISTGET || ins->op == IR_HISTPRINT ||
          ins->op == IR_HISTSTR)
        group_global(gr, ins->global->id);
      else if (ins->op == IR_ITER_BEGIN || ins->op == IR_MIN_SLICE || ins->op == IR_MDEL_SLICE)
        gr->subs += 2;
    }
}

static bool same_call(const struct probe_inst *a, const struct probe_inst *b)
{
  return a->kind == b->kind && a->number == b->number;
}

static struct ir_probe *first_same(struct ir_probe *p)
{
  return p->same ? p->same : p;
}

static void take_probe(struct gen *g, struct bpf_unit *u, struct ir_probe *p, bool *done,
                       struct group *gr)
{
  bool known = false;
  for (u32 k = 0; k < u->probes.n; k++)
    known |= first_same(u->probes.v[k]) == first_same(p);
  done[p->id] = true;
  vec_push(g->a, &u->probes, p);
  if (!known)
    group_add(gr, p->handler);
}

/* A program can be attached to a tracepoint only once. */
static bool can_share(const struct gen *g, const struct bpf_unit *u, const struct ir_probe *p)
{
  if (g->opt->timing)
    return false;
  for (u32 k = 0; p->inst->kind == PROG_RAW_TP && k < u->probes.n; k++)
    if (!strcmp(u->probes.v[k]->inst->attach, p->inst->attach))
      return false;
  return true;
}

/* The probes that share the program of probe `first`: those that do the same; of a system call's,
 * all of the same call and others of the same tracepoint while there is room.  With -t each has its
 * own (each call's probes together), as the kernel times programs.  */
static void collect_unit(struct gen *g, struct bpf_unit *u, u32 first, bool *done)
{
  struct ir_module *m = g->m;
  struct ir_probe *p = m->probes.v[first];
  bool calls = is_syscall(p->inst);
  struct group gr = {.has = NEW_ARRAY(g->a, bool, g->nglobals + 1)};
  for (u32 i = first; i < m->probes.n; i++) {
    struct ir_probe *head = m->probes.v[i];
    bool same = first_same(head) == first_same(p);
    if (done[i] || (i != first &&
                    !(calls ? head->inst->kind == p->inst->kind : same && can_share(g, u, head))))
      continue;
    if (i != first && calls && !same_call(p->inst, head->inst) &&
        (g->opt->timing || gr.handlers >= GROUP_MAX || gr.subs >= GROUP_SUBS ||
         gr.ins >= GROUP_INS))
      continue;
    take_probe(g, u, head, done, &gr);
    for (u32 k = i + 1; calls && k < m->probes.n; k++)
      if (!done[k] && same_call(head->inst, m->probes.v[k]->inst))
        take_probe(g, u, m->probes.v[k], done, &gr);
  }
}

static int by_number(const void *pa, const void *pb)
{
  const struct ir_probe *a = *(struct ir_probe *const *)pa, *b = *(struct ir_probe *const *)pb;
  u32 x = a->inst->number, y = b->inst->number;
  return x != y ? (x < y ? -1 : 1) : (a->id < b->id ? -1 : 1);
}

/* A unit of system calls' handlers.  Calls with the same handlers share the code that calls these,
 * so that the verifier goes through them once.  */
struct calls {
  struct ir_probe *const *p; /* the unit's probes by number */
  u32 *sub;                  /* their handlers' subprograms in the unit */
  struct {
    u32 lo, n, label;
  } * lists; /* of probes, each with other handlers */
  u32 nlists, out;
};

/* The label of the code that runs the handlers of probes lo to hi - 1. */
static u32 list_label(struct gen *g, struct calls *c, u32 lo, u32 hi)
{
  for (u32 k = 0; k < c->nlists; k++)
    if (c->lists[k].n == hi - lo &&
        !memcmp(c->sub + c->lists[k].lo, c->sub + lo, (hi - lo) * sizeof(*c->sub)))
      return c->lists[k].label;
  u32 k = c->nlists++;
  c->lists[k].lo = lo;
  c->lists[k].n = hi - lo;
  return c->lists[k].label = label_new(g);
}

/* Jumps to the handlers of the call in R7, among the unit's probes lo to hi - 1. */
static void dispatch(struct gen *g, struct calls *c, u32 lo, u32 hi)
{
  struct ir_probe *const *p = c->p;
  u32 mid = lo + (hi - lo) / 2; /* then: where another number starts, or hi */
  while (mid > lo && same_call(p[mid - 1]->inst, p[mid]->inst))
    mid--;
  if (mid == lo)
    for (mid = lo + 1; mid < hi && same_call(p[lo]->inst, p[mid]->inst);)
      mid++;
  if (mid < hi) {
    u32 high = label_new(g);
    emit_jcci(g, BPF_JGE, R7, (s32)p[mid]->inst->number, high);
    dispatch(g, c, lo, mid);
    label_here(g, high);
    dispatch(g, c, mid, hi);
    return;
  }
  emit_jcci(g, BPF_JNE, R7, (s32)p[lo]->inst->number, c->out);
  emit_jmp(g, list_label(g, c, lo, hi));
}

static void run_lists(struct gen *g, const struct calls *c)
{
  for (u32 k = 0; k < c->nlists; k++) {
    label_here(g, c->lists[k].label);
    for (u32 i = 0; i < c->lists[k].n; i++) {
      emit_mov(g, R1, R6);
      emit_callsub(g, c->sub[c->lists[k].lo + i]);
    }
    emit_jmp(g, c->out);
  }
}

/* Declares the handlers' subprograms, and says how many there are. */
static u32 declare_handlers(struct gen *g, struct calls *c, u32 n)
{
  u32 before = g->unit->subs.n;
  for (u32 i = 0; i < n; i++) {
    u32 k = 0;
    while (first_same(c->p[k]) != first_same(c->p[i]))
      k++;
    if (k < i)
      c->sub[i] = c->sub[k];
    else
      sub_begin(g, arena_printf(g->a, "handler_%u", i), &c->sub[i]);
  }
  return g->unit->subs.n - before;
}

static void gen_group(struct gen *g, struct genfn **handler, struct bpf_sub *main_sub)
{
  struct bpf_unit *u = g->unit;
  u32 n = u->probes.n;
  qsort(u->probes.v, n, sizeof(*u->probes.v), by_number);
  struct calls c = {.p = u->probes.v, .sub = NEW_ARRAY(g->a, u32, n)};
  c.lists = arena_alloc(g->a, n * sizeof(*c.lists));
  g->group = declare_handlers(g, &c, n) >= GROUP_SHARE;
  g->s = main_sub;
  c.out = label_new(g);
  check_phase(g, c.out);
  emit_mov(g, R6, R1);
  check_syscall(g, u->probes.v[0]->inst->kind, IR_NO, c.out);
  dispatch(g, &c, 0, n);
  run_lists(g, &c);
  label_here(g, c.out);
  emit_movi(g, R0, 0);
  emit_exit(g);
  sub_end(g);
  u32 made = 0;
  for (u32 i = 0; i < n; i++)
    if (c.sub[i] > made) {
      made = c.sub[i];
      gen_handler(g, handler[u->probes.v[i]->id], u->subs.v[made]);
    }
}

/* The program that runs probe `first`, and others with it. */
void gen_unit(struct gen *g, struct genfn **handler, u32 first, bool *done)
{
  struct probe_inst *pi = g->m->probes.v[first]->inst;
  struct bpf_unit *u;
  if (pi->kind == PROG_SESSION) {
    u = unit_new(g, "session", BPF_PROG_TYPE_SYSCALL);
    u->flags = BPF_F_SLEEPABLE;
  } else {
    if (pi->kind != PROG_RAW_TP && pi->kind != PROG_PERF && !is_syscall(pi))
      diag_msg(g->diag, DIAG_ERROR, "probe %s is not possible in BPF", pi->pp);
    u = unit_new(g, "probe",
                 pi->kind == PROG_PERF ? BPF_PROG_TYPE_PERF_EVENT : BPF_PROG_TYPE_RAW_TRACEPOINT);
  }
  collect_unit(g, u, first, done);
  struct bpf_sub *main_sub = sub_begin(g, "stap_main", NULL);
  if (!is_syscall(pi) || u->probes.n == 1)
    gen_handler(g, handler[u->probes.v[0]->id], main_sub);
  else
    gen_group(g, handler, main_sub);
  gen_called(g);
}

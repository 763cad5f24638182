/* Where the IR's registers live: liveness over the whole function, then linear scan of R6 to R9
 * within each region; what crosses regions, and every string, gets a slot.  */
#include "bpf/gen.h"

#include "runtime/format.h"

static bool bit(const u64 *set, u32 i)
{
  return set[i / 64] >> (i % 64) & 1;
}

static void set_bit(u64 *set, u32 i)
{
  set[i / 64] |= 1ull << (i % 64);
}

static void clear_bit(u64 *set, u32 i)
{
  set[i / 64] &= ~(1ull << (i % 64));
}

static void use_val(u64 *set, const struct ir_val *v)
{
  if (v->kind == V_REG)
    set_bit(set, v->reg);
}

/* Steps `set` from after the instruction to before it. */
static void step_back(u64 *set, const struct ir_ins *i)
{
  if (i->dst != IR_NO)
    clear_bit(set, i->dst);
  for (u32 k = 0; k < i->nargs; k++)
    use_val(set, &i->args[k]);
}

static u32 successors(const struct ir_block *b, u32 to[2])
{
  if (b->term == T_RET)
    return 0;
  to[0] = b->to[0];
  to[1] = b->to[1];
  return b->term == T_BR ? 2 : 1;
}

static void add_set(u64 *to, const u64 *from, u32 words)
{
  for (u32 w = 0; w < words; w++)
    to[w] |= from[w];
}

/* Any instruction may leave for the handler. */
static void add_handler(const struct live *l, const struct ir_block *b, u64 *set)
{
  if (b->handler != IR_NO)
    add_set(set, l->in + b->handler * l->words, l->words);
}

static void before(const struct live *l, const struct ir_block *b, u32 at, u64 *set)
{
  memcpy(set, l->out + b->id * l->words, l->words * sizeof(u64));
  if (b->term == T_BR || (b->term == T_RET && b->has_val))
    use_val(set, &b->val);
  for (u32 k = b->ins.n; k-- > at;)
    step_back(set, &b->ins.v[k]);
  add_handler(l, b, set);
}

u64 *live_before(struct arena *a, const struct live *l, const struct ir_block *b, u32 at)
{
  u64 *set = NEW_ARRAY(a, u64, l->words);
  before(l, b, at, set);
  return set;
}

void live_make(struct arena *a, struct live *l, const struct ir_fn *fn)
{
  l->fn = fn;
  l->words = (fn->regs.n + 63) / 64 + 1;
  l->in = NEW_ARRAY(a, u64, l->words * fn->blocks.n);
  l->out = NEW_ARRAY(a, u64, l->words * fn->blocks.n);
  u64 *set = NEW_ARRAY(a, u64, l->words);
  for (bool changed = true; changed;) {
    changed = false;
    for (u32 n = fn->blocks.n; n--;) {
      const struct ir_block *b = fn->blocks.v[n];
      u64 *out = l->out + n * l->words, *in = l->in + n * l->words;
      u32 to[2], nto = successors(b, to);
      for (u32 s = 0; s < nto; s++)
        add_set(out, l->in + to[s] * l->words, l->words);
      before(l, b, 0, set);
      for (u32 w = 0; w < l->words; w++)
        if (set[w] & ~in[w]) {
          in[w] |= set[w];
          changed = true;
        }
    }
  }
}

struct interval {
  u32 reg; /* of the IR */
  u32 from, to;
};

static int by_start(const void *a, const void *b)
{
  const struct interval *x = a, *y = b;
  return x->from != y->from ? (x->from < y->from ? -1 : 1) : (x->reg < y->reg ? -1 : 1);
}

static u32 region_of(const struct ir_block *b)
{
  return b->loop == IR_NO ? 0 : 1 + b->loop;
}

struct scan {
  struct gen *g;
  struct genfn *f;
  struct live l;
  u32 *home;      /* per IR register: region + 1; UINT32_MAX: several */
  u32 *from, *to; /* interval within its region */
};

static void extend(struct scan *s, u32 reg, u32 at)
{
  s->from[reg] = MIN(s->from[reg], at);
  s->to[reg] = MAX(s->to[reg], at);
}

static void touch(struct scan *s, u32 reg, u32 region, u32 at)
{
  if (!s->home[reg])
    s->home[reg] = region + 1;
  else if (s->home[reg] != region + 1)
    s->home[reg] = UINT32_MAX;
  extend(s, reg, at);
}

static void extend_set(struct scan *s, const u64 *set, u32 at)
{
  for (u32 w = 0; w < s->l.words; w++)
    for (u64 left = set[w]; left; left &= left - 1)
      extend(s, w * 64 + (u32)__builtin_ctzll(left), at);
}

/* Records where every register is live, block by block in emission order. */
static void intervals(struct scan *s)
{
  struct genfn *f = s->f;
  u32 at = 1;
  for (u32 n = 0; n < f->nrpo; n++) {
    struct ir_block *b = f->fn->blocks.v[f->rpo[n]];
    u32 reg = region_of(b), start = at;
    const u64 *in = s->l.in + b->id * s->l.words, *out = s->l.out + b->id * s->l.words;
    extend_set(s, in, start);
    for (u32 k = 0; k < b->ins.n; k++, at += 2) {
      const struct ir_ins *i = &b->ins.v[k];
      for (u32 j = 0; j < i->nargs; j++)
        if (i->args[j].kind == V_REG)
          touch(s, i->args[j].reg, reg, at);
      if (i->dst != IR_NO)
        touch(s, i->dst, reg, at + 1);
    }
    if (b->term != T_JMP && b->val.kind == V_REG && (b->term == T_BR || b->has_val))
      touch(s, b->val.reg, reg, at);
    at += 2;
    extend_set(s, out, at);
    if (b->handler != IR_NO) {
      const u64 *h = s->l.in + b->handler * s->l.words;
      extend_set(s, h, start);
      extend_set(s, h, at);
    }
    at += 2;
  }
  /* Carried from one call of the callback to the next. */
  for (u32 k = 0; k < f->fn->loops.n; k++) {
    const u64 *in = s->l.in + f->fn->loops.v[k].header * s->l.words;
    for (u32 r = 0; r < f->fn->regs.n; r++)
      if (bit(in, r) && s->home[r] == 1 + k + 1)
        s->home[r] = UINT32_MAX;
  }
}

static s32 take_slot(struct gen *g, struct genfn *f, u32 size)
{
  size = ROUND_UP(size, 8);
  if (!f->framed) {
    f->stack_used += (s32)size;
    return -f->stack_used;
  }
  u32 *top = size == 8 ? &g->int_top : &g->str_top;
  s32 off = (s32)*top;
  *top += size;
  return off;
}

static void linear_scan(struct scan *s, u32 region)
{
  struct genfn *f = s->f;
  u32 n = 0, nregs = f->fn->regs.n;
  struct interval *iv = NEW_ARRAY(s->g->a, struct interval, nregs + 1);
  for (u32 r = 0; r < nregs; r++)
    if (s->home[r] == region + 1 && IS_INT(f, r))
      iv[n++] = (struct interval){r, s->from[r], s->to[r]};
  qsort(iv, n, sizeof(*iv), by_start);
  u32 busy_until[4] = {0};
  u32 nphys = f->framed ? 3 : 4;
  for (u32 k = 0; k < n; k++) {
    struct place *p = &f->place[iv[k].reg];
    for (u32 r = 0; r < nphys && p->kind == PL_NONE; r++)
      if (busy_until[r] <= iv[k].from) {
        busy_until[r] = iv[k].to;
        *p = (struct place){.kind = PL_REG, .reg = (u8)(R6 + r)};
      }
  }
}

/* ---- strings --------------------------------------------------------------- */

static bool small_val(const struct genfn *f, const struct ir_val *v)
{
  return v->kind == V_STR ? v->len < SMALL_STR : v->kind == V_REG && f->place[v->reg].small;
}

static bool small_source(const struct genfn *f, const struct ir_ins *i)
{
  if (i->op == IR_FN)
    return i->builtin->fn == FN_EXECNAME;
  return i->op == IR_MOV && small_val(f, &i->args[0]);
}

/* Strings all of whose definitions are short and zero-padded. */
static void find_small(struct genfn *f)
{
  struct ir_fn *fn = f->fn;
  for (u32 r = 0; r < fn->regs.n; r++)
    f->place[r].small = fn->regs.v[r].type == IR_STR && fn->regs.v[r].maxlen <= SMALL_STR;
  for (u32 k = 0; k < fn->params.n; k++)
    f->place[fn->params.v[k]].small = false;
  for (bool changed = true; changed;) {
    changed = false;
    for (u32 n = 0; n < fn->blocks.n; n++)
      for (u32 k = 0; k < fn->blocks.v[n]->ins.n; k++) {
        const struct ir_ins *i = &fn->blocks.v[n]->ins.v[k];
        if (i->dst != IR_NO && f->place[i->dst].small && !small_source(f, i)) {
          f->place[i->dst].small = false;
          changed = true;
        }
      }
  }
}

static u32 string_size(struct gen *g, struct genfn *f, u32 r)
{
  u32 max = f->fn->regs.v[r].maxlen;
  if (!max || max > g->M)
    max = g->M;
  /* execname() writes 16 bytes whatever the name's length; runtime functions write up to M. */
  return f->place[r].small ? MAX(ROUND_UP(max, 8), 16u) : g->M;
}

void alloc_fn(struct gen *g, struct genfn *f)
{
  struct ir_fn *fn = f->fn;
  struct scan s = {.g = g, .f = f};
  find_small(f);
  live_make(g->a, &s.l, fn);
  s.home = NEW_ARRAY(g->a, u32, fn->regs.n + 1);
  s.from = NEW_ARRAY(g->a, u32, fn->regs.n + 1);
  s.to = NEW_ARRAY(g->a, u32, fn->regs.n + 1);
  memset(s.from, 0xff, (fn->regs.n + 1) * sizeof(u32));
  intervals(&s);
  for (u32 k = 0; k < fn->params.n; k++)
    s.home[fn->params.v[k]] = UINT32_MAX;
  for (u32 region = 0; region <= fn->loops.n; region++)
    linear_scan(&s, region);
  for (u32 r = 0; r < fn->regs.n; r++) {
    struct place *p = &f->place[r];
    if (p->kind != PL_NONE || !s.home[r])
      continue;
    p->size = fn->regs.v[r].type == IR_STR ? string_size(g, f, r) : 8;
    p->off = take_slot(g, f, p->size);
    p->kind = PL_SLOT;
  }
}

/* ---- frame or stack ------------------------------------------------------------------- */

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
  case FN_MEM_CHECK:
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
  return v->kind == V_STR   ? v->len < SMALL_STR
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
  u64 statements = 0; /* without a frame nobody counts them */
  if (fn->loops.n)
    return true;
  for (u32 n = 0; n < fn->blocks.n; n++) {
    if (fn->blocks.v[n]->handler != IR_NO)
      return true;
    for (u32 k = 0; k < fn->blocks.v[n]->ins.n; k++) {
      const struct ir_ins *i = &fn->blocks.v[n]->ins.v[k];
      statements += i->op == IR_BUDGET ? (u64)i->imm : 0;
      if (!stack_ins(fn, i) || (i->op == IR_PRINT && fixed_print(i) > 4096))
        return true;
    }
  }
  return statements > g->m->maxaction && !g->m->no_budget;
}

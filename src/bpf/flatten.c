/* What BPF's call stack can't do, done by a loop.  BPF has no recursion, and allows 8 nested calls
 * (each script function, and each loop, as it is a callback, is one).  This pass works on the IR:
 * it puts functions that call each other into one, in which
 *
 *   - one loop encloses everything.  Its header jumps to the block that `state` says;
 *   - a call of a function of the set saves what is live behind it, and a number for the place
 *     behind it, on a stack in the frame, and jumps to the function's first block.  Of a foreach
 *     around a recursive call, its place in the snapshot is saved; the snapshots are a stack, too;
 *   - a return takes the number from the stack: the state to go on with, where what was saved is
 *     restored.  An error does the same with the number of the place's error entry, which goes to
 *     the handler there or further down;
 *   - loops with such a call inside are dissolved: their way back is by the state, too.  Others
 * stay.
 */
#include "bpf/gen.h"

#include "ir/flow.h"

struct member { /* a function of the set */
  struct ir_fn *fn;
  u32 reg, block, loop; /* what its numbers start at in the result */
  u32 *loop_map;        /* its loops' numbers in the result; IR_NO: dissolved */
  struct live live;
};
struct place_after { /* behind a call */
  u32 block;         /* restores and goes on */
  u32 error_block;   /* restores and goes to the handler, or drops and unwinds further */
};
struct flat {
  struct gen *g;
  struct arena *a;
  struct ir_fn *out;
  VEC(struct member) set;
  VEC(u32) targets;            /* blocks, by state */
  u32 state, ret_int, ret_str; /* registers */
  u32 header, next, unwind;    /* blocks */
  u32 record_max;
};

/* ---- small parts ---------------------------------------------------------------- */

static struct ir_val reg_val(u32 r)
{
  return (struct ir_val){.kind = V_REG, .reg = r};
}

static struct ir_val int_val(s64 n)
{
  return (struct ir_val){.kind = V_INT, .num = n};
}

static struct ir_block *new_block(struct flat *f, u32 handler)
{
  struct ir_block *b = NEW(f->a, struct ir_block);
  b->id = f->out->blocks.n;
  b->loop = 0;
  b->handler = handler;
  b->term = T_JMP;
  vec_push(f->a, &f->out->blocks, b);
  return b;
}

static u32 new_reg(struct flat *f, enum ir_type type)
{
  vec_push(f->a, &f->out->regs, ((struct ir_reg){.type = type}));
  return f->out->regs.n - 1;
}

static struct ir_ins *add(struct flat *f, struct ir_block *b, u32 op, u32 dst, u32 nargs)
{
  struct ir_ins i = {.op = op, .dst = dst, .nargs = nargs, .err = IR_NO};
  i.args = NEW_ARRAY(f->a, struct ir_val, nargs + 1);
  vec_push(f->a, &b->ins, i);
  return &vec_last(&b->ins);
}

static void add_mov(struct flat *f, struct ir_block *b, u32 dst, struct ir_val v)
{
  add(f, b, IR_MOV, dst, 1)->args[0] = v;
}

static u32 state_of(struct flat *f, u32 block)
{
  vec_push(f->a, &f->targets, block);
  return f->targets.n - 1;
}

/* Goes to the header with the state: the only way back in a loop. */
static void jump_state(struct flat *f, struct ir_block *b, u32 state)
{
  add_mov(f, b, f->state, int_val(state));
  b->term = T_JMP;
  b->to[0] = f->header;
}

static struct member *member_of(struct flat *f, const struct ir_fn *fn)
{
  for (u32 k = 0; k < f->set.n; k++)
    if (f->set.v[k].fn == fn)
      return &f->set.v[k];
  return NULL;
}

/* ---- loops ---------------------------------------------------------------------- */

static bool inside(const struct ir_fn *fn, u32 loop, u32 l)
{
  for (; l != IR_NO; l = fn->loops.v[l].parent)
    if (l == loop)
      return true;
  return false;
}

static bool calls_set(struct flat *f, const struct ir_block *b)
{
  for (u32 k = 0; k < b->ins.n; k++)
    if (b->ins.v[k].op == IR_CALL && member_of(f, b->ins.v[k].fn))
      return true;
  return false;
}

static void map_loops(struct flat *f, struct member *m, u32 depth)
{
  struct ir_fn *fn = m->fn;
  m->loop_map = NEW_ARRAY(f->a, u32, fn->loops.n + 1);
  bool *dissolved = NEW_ARRAY(f->a, bool, fn->loops.n + 1);
  for (u32 n = 0; n < fn->blocks.n; n++)
    for (u32 l = fn->blocks.v[n]->loop; l != IR_NO; l = fn->loops.v[l].parent)
      dissolved[l] |= calls_set(f, fn->blocks.v[n]);
  for (u32 l = 0; l < fn->loops.n; l++) {
    u32 below = 0; /* the deepest nest of loops inside */
    for (u32 k = 0; k < fn->loops.n; k++) {
      u32 d = 0;
      for (u32 up = k; inside(fn, l, k) && up != l; up = fn->loops.v[up].parent)
        d++;
      below = MAX(below, d);
    }
    dissolved[l] |= below + 1 > depth;
  }
  for (u32 l = 0; l < fn->loops.n; l++) {
    m->loop_map[l] = IR_NO;
    if (dissolved[l])
      continue;
    m->loop_map[l] = f->out->loops.n;
    vec_push(f->a, &f->out->loops, fn->loops.v[l]);
  }
  for (u32 l = 0; l < fn->loops.n; l++) {
    if (m->loop_map[l] == IR_NO)
      continue;
    u32 up = fn->loops.v[l].parent;
    struct ir_loop *to = &f->out->loops.v[m->loop_map[l]];
    to->header += m->block;
    to->parent = up == IR_NO || m->loop_map[up] == IR_NO ? 0 : m->loop_map[up];
  }
}

/* Where an edge goes: a dissolved loop's way back passes through the header. */
static u32 edge(struct flat *f, struct member *m, const struct ir_block *from, u32 to)
{
  u32 l = m->fn->blocks.v[to]->loop;
  bool back = l != IR_NO && m->fn->loops.v[l].header == to && inside(m->fn, l, from->loop);
  if (!back || m->loop_map[l] != IR_NO)
    return m->block + to;
  struct ir_block *b = new_block(f, IR_NO);
  jump_state(f, b, state_of(f, m->block + to));
  return b->id;
}

/* ---- calls ---------------------------------------------------------------------- */

/* Parameters take their values at once: one that another's argument is goes by a copy. */
static void pass_arguments(struct flat *f, struct ir_block *b, const struct ir_ins *call,
                           const struct member *callee, u32 caller_reg)
{
  struct ir_val *v = NEW_ARRAY(f->a, struct ir_val, call->nargs + 1);
  for (u32 k = 0; k < call->nargs; k++) {
    v[k] = call->args[k];
    if (v[k].kind != V_REG)
      continue;
    v[k].reg += caller_reg;
    for (u32 j = 0; j < call->nargs; j++)
      if (j != k && v[k].reg == callee->reg + callee->fn->params.v[j]) {
        u32 t = new_reg(f, f->out->regs.v[v[k].reg].type);
        f->out->regs.v[t].maxlen = f->out->regs.v[v[k].reg].maxlen;
        add_mov(f, b, t, v[k]);
        v[k].reg = t;
        break;
      }
  }
  for (u32 k = 0; k < call->nargs; k++)
    add_mov(f, b, callee->reg + callee->fn->params.v[k], v[k]);
}

u32 flat_reg_bytes(const struct gen *g, const struct ir_reg *r)
{
  return r->type == IR_INT ? 8 : ROUND_UP(r->maxlen && r->maxlen < g->M ? r->maxlen : g->M, 8);
}

/* The registers that the code behind the call needs. */
static u32 saved(struct flat *f, struct member *m, const struct ir_block *b, u32 at,
                 struct ir_val **out)
{
  const struct ir_fn *fn = m->fn;
  u64 *set = live_before(f->a, &m->live, b, at + 1);
  u32 n = 0;
  *out = NEW_ARRAY(f->a, struct ir_val, fn->regs.n + 1);
  for (u32 r = 0; r < fn->regs.n; r++)
    if (set[r / 64] >> (r % 64) & 1 && r != b->ins.v[at].dst)
      (*out)[n++] = reg_val(m->reg + r);
  return n;
}

/* Whether the block, from the instruction `at` on, leads to a use of the foreach's snapshot. */
static bool goes_on(const struct ir_fn *fn, u32 block, u32 at, const struct ir_iter *it, bool *seen)
{
  const struct ir_block *b = fn->blocks.v[block];
  if (b->handler != IR_NO && !seen[b->handler]) {
    seen[b->handler] = true;
    if (goes_on(fn, b->handler, 0, it, seen))
      return true;
  }
  for (u32 k = at; k < b->ins.n; k++)
    if (ir_has_iter(b->ins.v[k].op) && b->ins.v[k].iter == it)
      return b->ins.v[k].op != IR_ITER_BEGIN;
  u32 to[2], n = flow_succ(b, to);
  for (u32 k = 0; k < n; k++)
    if (!seen[to[k]]) {
      seen[to[k]] = true;
      if (goes_on(fn, to[k], 0, it, seen))
        return true;
    }
  return false;
}

/* The foreach's that a recursive call is inside of, as SAVE's arguments behind the first n. */
static u32 saved_iters(struct flat *f, const struct member *m, const struct ir_block *b, u32 at,
                       struct ir_val **args, u32 n)
{
  const struct ir_module *mod = f->g->m;
  if (!m->fn->recursive || !b->ins.v[at].fn->recursive)
    return n;
  struct ir_val *v = NEW_ARRAY(f->a, struct ir_val, n + mod->iters.n + 1);
  memcpy(v, *args, n * sizeof(*v));
  *args = v;
  for (u32 k = 0; k < mod->iters.n; k++) {
    bool *seen = NEW_ARRAY(f->a, bool, m->fn->blocks.n + 1);
    if (!goes_on(m->fn, b->id, at + 1, mod->iters.v[k], seen))
      continue;
    f->g->giter[mod->iters.v[k]->id].stacked = true;
    v[n++] = int_val(mod->iters.v[k]->id);
  }
  return n;
}

static u32 arg_bytes(const struct flat *f, const struct ir_val *v)
{
  return v->kind == V_REG ? flat_reg_bytes(f->g, &f->out->regs.v[v->reg]) : 8 * ITER_SLOTS;
}

/* Ends block `b` with the call; returns the block behind it. */
static struct ir_block *flat_call(struct flat *f, struct member *m, const struct ir_block *from,
                                  u32 at, struct ir_block *b, u32 handler)
{
  const struct ir_ins *call = &from->ins.v[at];
  struct member *callee = member_of(f, call->fn);
  struct ir_val *regs;
  u32 n = saved(f, m, from, at, &regs), bytes = 8;
  n = saved_iters(f, m, from, at, &regs, n);
  for (u32 k = 0; k < n; k++)
    bytes += arg_bytes(f, &regs[k]);
  f->record_max = MAX(f->record_max, bytes);
  struct ir_block *after = new_block(f, handler), *error = new_block(f, IR_NO);
  u32 state = state_of(f, after->id);
  state_of(f, error->id); /* the error's entry is the next number */
  struct ir_ins *save = add(f, b, BIR_SAVE, IR_NO, n);
  save->args = regs;
  save->imm = state | (call->fn->recursive ? BIR_NESTED : 0);
  save->imm2 = bytes;
  save->err = call->err;
  pass_arguments(f, b, call, callee, m->reg);
  b->term = T_JMP;
  jump_state(f, b, state_of(f, callee->block));
  struct ir_ins *restore = add(f, after, BIR_RESTORE, IR_NO, n);
  restore->args = regs;
  restore->imm2 = bytes - 8;
  if (call->dst != IR_NO)
    add_mov(f, after, m->reg + call->dst,
            reg_val(call->fn->result == IR_STR ? f->ret_str : f->ret_int));
  restore = add(f, error, BIR_RESTORE, IR_NO, n);
  restore->args = regs;
  restore->imm2 = bytes - 8;
  error->to[0] = handler;
  return after;
}

/* ---- blocks ---------------------------------------------------------------------- */

static void copy_ins(struct flat *f, struct member *m, struct ir_block *b,
                     const struct ir_ins *from)
{
  struct ir_ins i = *from;
  i.args = NEW_ARRAY(f->a, struct ir_val, i.nargs + 1);
  for (u32 k = 0; k < i.nargs; k++) {
    i.args[k] = from->args[k];
    if (i.args[k].kind == V_REG)
      i.args[k].reg += m->reg;
  }
  if (i.dst != IR_NO)
    i.dst += m->reg;
  vec_push(f->a, &b->ins, i);
}

static void copy_block(struct flat *f, struct member *m, const struct ir_block *from)
{
  struct ir_block *b = f->out->blocks.v[m->block + from->id];
  u32 handler = from->handler == IR_NO ? f->unwind : m->block + from->handler;
  b->handler = handler;
  b->loop = from->loop == IR_NO || m->loop_map[from->loop] == IR_NO ? 0 : m->loop_map[from->loop];
  for (u32 k = 0; k < from->ins.n; k++) {
    if (from->ins.v[k].op == IR_CALL && member_of(f, from->ins.v[k].fn))
      b = flat_call(f, m, from, k, b, handler);
    else
      copy_ins(f, m, b, &from->ins.v[k]);
  }
  b->term = from->term;
  b->val = from->val;
  b->has_val = from->has_val;
  if ((from->term == T_BR || from->has_val) && b->val.kind == V_REG)
    b->val.reg += m->reg;
  if (from->term == T_RET) {
    if (from->has_val)
      add_mov(f, b, m->fn->result == IR_STR ? f->ret_str : f->ret_int, b->val);
    b->term = T_JMP;
    b->to[0] = f->next;
    return;
  }
  b->to[0] = edge(f, m, from, from->to[0]);
  if (from->term == T_BR)
    b->to[1] = edge(f, m, from, from->to[1]);
}

/* The header: a search for the state's block. */
static void dispatch(struct flat *f, struct ir_block *b, u32 lo, u32 hi)
{
  if (hi - lo == 1) {
    b->term = T_JMP;
    b->to[0] = f->targets.v[lo];
    return;
  }
  u32 mid = lo + (hi - lo) / 2, less = new_reg(f, IR_INT);
  struct ir_ins *i = add(f, b, IR_LT, less, 2);
  i->args[0] = reg_val(f->state);
  i->args[1] = int_val(mid);
  struct ir_block *low = new_block(f, IR_NO), *high = new_block(f, IR_NO);
  b->term = T_BR;
  b->val = reg_val(less);
  b->to[0] = low->id;
  b->to[1] = high->id;
  dispatch(f, low, lo, mid);
  dispatch(f, high, mid, hi);
}

static void add_member(struct flat *f, struct ir_fn *fn)
{
  struct member m = {.fn = fn, .reg = f->out->regs.n};
  for (u32 r = 0; r < fn->regs.n; r++)
    vec_push(f->a, &f->out->regs, fn->regs.v[r]);
  live_make(f->a, &m.live, fn);
  vec_push(f->a, &f->set, m);
}

/* The fixed blocks: entry, header, return to the caller, unwinding, and the two ends. */
static void frame_blocks(struct flat *f)
{
  struct ir_block *start = new_block(f, IR_NO), *header = new_block(f, IR_NO);
  struct ir_block *next = new_block(f, IR_NO), *unwind = new_block(f, IR_NO);
  struct ir_block *done = new_block(f, IR_NO), *failed = new_block(f, IR_NO);
  f->header = header->id;
  f->next = next->id;
  f->unwind = unwind->id;
  start->loop = done->loop = failed->loop = IR_NO;
  state_of(f, done->id); /* states 0 and 1: the end of the outermost call */
  state_of(f, failed->id);
  add(f, start, BIR_BEGIN, IR_NO, 0)->imm = f->out->recursive ? BIR_NESTED : 0;
  start->to[0] = header->id;
  add(f, next, BIR_NEXT, f->state, 0);
  next->to[0] = header->id;
  add(f, unwind, BIR_NEXT, f->state, 0)->imm = 1;
  unwind->to[0] = header->id;
  done->term = T_RET;
  done->has_val = f->out->result != IR_VOID;
  if (done->has_val)
    done->val = reg_val(f->out->result == IR_STR ? f->ret_str : f->ret_int);
  add(f, failed, BIR_RERAISE, IR_NO, 0);
  failed->term = T_RET;
  failed->has_val = done->has_val;
  failed->val = done->val;
}

/* The outermost call's snapshots begin where the maps do. */
static void reset_iters(struct flat *f)
{
  const struct ir_module *mod = f->g->m;
  struct ir_ins *begin = &f->out->blocks.v[0]->ins.v[0];
  begin->args = NEW_ARRAY(f->a, struct ir_val, mod->iters.n + 1);
  for (u32 k = 0; k < mod->iters.n; k++)
    if (f->g->giter[mod->iters.v[k]->id].stacked)
      begin->args[begin->nargs++] = int_val(mod->iters.v[k]->id);
}

/* The set as one function that behaves as `entry`.  Loops of up to `depth` levels stay callbacks.
 */
static struct ir_fn *flatten(struct gen *g, struct ir_fn *const *fns, u32 n, struct ir_fn *entry,
                             u32 depth)
{
  struct flat fl = {.g = g, .a = g->a, .out = NEW(g->a, struct ir_fn)}, *f = &fl;
  *f->out = (struct ir_fn){.id = entry->id,
                           .name = entry->name,
                           .result = entry->result,
                           .recursive = entry->recursive,
                           .is_handler = entry->is_handler,
                           .probe = entry->probe};
  for (u32 k = 0; k < n; k++)
    add_member(f, fns[k]);
  f->state = new_reg(f, IR_INT);
  f->ret_int = new_reg(f, IR_INT);
  f->ret_str = new_reg(f, IR_STR);
  vec_push(f->a, &f->out->loops, ((struct ir_loop){.parent = IR_NO}));
  frame_blocks(f);
  f->out->loops.v[0].header = f->header;
  for (u32 k = 0; k < n; k++) {
    struct member *m = &f->set.v[k];
    m->block = f->out->blocks.n;
    for (u32 i = 0; i < m->fn->blocks.n; i++)
      new_block(f, IR_NO);
    map_loops(f, m, depth);
  }
  for (u32 k = 0; k < n; k++)
    for (u32 i = 0; i < fns[k]->blocks.n; i++)
      copy_block(f, &f->set.v[k], fns[k]->blocks.v[i]);
  reset_iters(f);
  struct member *e = member_of(f, entry);
  struct ir_block *start = f->out->blocks.v[0];
  add_mov(f, start, f->state, int_val(state_of(f, e->block)));
  for (u32 k = 0; k < entry->params.n; k++)
    vec_push(f->a, &f->out->params, e->reg + entry->params.v[k]);
  dispatch(f, f->out->blocks.v[f->header], 0, f->targets.n);
  u32 plain = 0;
  for (u32 k = 0; k < n; k++)
    plain += !fns[k]->recursive;
  vec_push(g->a, &g->flats, ((struct flat_fn){entry, f->record_max, plain}));
  return f->out;
}

/* ---- what needs it -------------------------------------------------------------------- */

/* Calls that a handler may nest, itself included: the kernel's limit is 8, and a program of several
 * handlers needs one to choose.  */
enum { MAX_DEPTH = 7 };

struct graph {
  struct gen *g;
  u32 n;
  struct ir_fn **fn; /* functions, then conditions and handlers */
  u32 nfns;          /* how many are functions */
  u32 *depth;        /* of calls below and including it; 0: not known yet */
  struct ir_fn *original;
};

static u32 index_of(const struct graph *gr, const struct ir_fn *fn)
{
  u32 k = 0;
  while (k < gr->n && gr->fn[k] != fn)
    k++;
  return k;
}

static u32 loop_depth(const struct ir_fn *fn, u32 l)
{
  u32 d = 0;
  for (; l != IR_NO; l = fn->loops.v[l].parent)
    d++;
  return d;
}

static bool reaches(const struct graph *gr, const struct ir_fn *from, const struct ir_fn *to,
                    bool *seen)
{
  for (u32 n = 0; n < from->blocks.n; n++)
    for (u32 k = 0; k < from->blocks.v[n]->ins.n; k++) {
      const struct ir_ins *i = &from->blocks.v[n]->ins.v[k];
      if (i->op != IR_CALL)
        continue;
      u32 x = index_of(gr, i->fn);
      if (i->fn == to)
        return true;
      if (x == gr->n || seen[x])
        continue;
      seen[x] = true;
      if (reaches(gr, i->fn, to, seen))
        return true;
    }
  return false;
}

static bool calls(const struct graph *gr, const struct ir_fn *from, const struct ir_fn *to)
{
  return reaches(gr, from, to, NEW_ARRAY(gr->g->a, bool, gr->n + 1));
}

/* Makes each function of the set that is called from outside do without the others. */
static void flatten_set(struct graph *gr, struct ir_fn *const *set, u32 n, u32 kept)
{
  struct ir_fn **out = NEW_ARRAY(gr->g->a, struct ir_fn *, n);
  for (u32 s = 0; s < n; s++) {
    bool outside = false;
    for (u32 k = 0; k < gr->n && !outside; k++) {
      bool member = false;
      for (u32 j = 0; j < n; j++)
        member |= set[j] == gr->fn[k];
      for (u32 b = 0; b < gr->fn[k]->blocks.n && !member; b++)
        for (u32 i = 0; i < gr->fn[k]->blocks.v[b]->ins.n; i++) {
          const struct ir_ins *in = &gr->fn[k]->blocks.v[b]->ins.v[i];
          outside |= in->op == IR_CALL && in->fn == set[s];
        }
    }
    if (outside)
      out[s] = flatten(gr->g, set, n, set[s], kept);
  }
  for (u32 s = 0; s < n; s++)
    if (out[s])
      *set[s] = *out[s];
    else
      set[s]->blocks.n = set[s]->loops.n = 0; /* nobody calls it any more */
}

static void flatten_recursive(struct graph *gr, u32 kept)
{
  bool *done = NEW_ARRAY(gr->g->a, bool, gr->nfns + 1);
  struct ir_fn **set = NEW_ARRAY(gr->g->a, struct ir_fn *, gr->nfns + 1);
  for (u32 k = 0; k < gr->nfns; k++) {
    if (done[k] || !gr->fn[k]->recursive)
      continue;
    u32 n = 0;
    for (u32 j = k; j < gr->nfns; j++)
      if (j == k || (gr->fn[j]->recursive && calls(gr, gr->fn[k], gr->fn[j]) &&
                     calls(gr, gr->fn[j], gr->fn[k]))) {
        done[j] = true;
        set[n++] = gr->fn[j];
      }
    flatten_set(gr, set, n, kept);
  }
}

static u32 depth_of(struct graph *gr, u32 k);

/* What an instruction nests: runtime functions call callbacks, and those others. */
static u32 ins_depth(struct graph *gr, const struct ir_ins *i)
{
  switch ((u32)i->op) {
  case IR_CALL:
    return depth_of(gr, index_of(gr, i->fn));
  case IR_ITER_BEGIN: /* the collector; merging, its callback, the runtime */
    return i->iter->map->type == TY_STATS ? 4 : 3;
  case IR_GGET:
  case IR_GSET:
  case IR_GRMW:
  case IR_MGET:
  case IR_BUDGET:
  case IR_ITER_NEXT:
  case IR_ITER_KEY:
  case IR_ITER_VALUE:
  case IR_ITER_END:
    return 0;
  case IR_MRMW: /* which may make room */
    return i->global->wrap;
  case IR_UNLOCK:
  case IR_MDEL_SLICE:
  case IR_MIN_SLICE:
  case IR_MCLEAR:
    return 1;
  }
  return (u32)i->op <= IR_GE ? 0 : 3;
}

static u32 depth_of(struct graph *gr, u32 k)
{
  if (gr->depth[k])
    return gr->depth[k];
  const struct ir_fn *fn = gr->fn[k];
  u32 max = 0;
  for (u32 n = 0; n < fn->blocks.n; n++) {
    const struct ir_block *b = fn->blocks.v[n];
    u32 here = loop_depth(fn, b->loop), below = 0;
    for (u32 i = 0; i < b->ins.n; i++)
      below = MAX(below, ins_depth(gr, &b->ins.v[i]));
    max = MAX(max, here + below);
  }
  return gr->depth[k] = 1 + max;
}

static u32 deepest(struct graph *gr)
{
  u32 max = 0;
  memset(gr->depth, 0, gr->n * sizeof(u32));
  for (u32 k = 0; k < gr->n; k++)
    max = MAX(max, depth_of(gr, k));
  return max;
}

/* Loops nested deeper than `most`, in what is as it was. */
static void flatten_loops(struct graph *gr, u32 most, u32 kept)
{
  for (u32 k = 0; k < gr->n; k++) {
    u32 max = 0;
    for (u32 l = 0; l < gr->fn[k]->loops.n; l++)
      max = MAX(max, loop_depth(gr->fn[k], l));
    if (max > most && !is_flat(gr->g, gr->fn[k]))
      *gr->fn[k] = *flatten(gr->g, &gr->fn[k], 1, gr->fn[k], kept);
  }
}

static void flatten_calls(struct graph *gr, u32 kept)
{
  struct ir_fn **set = NEW_ARRAY(gr->g->a, struct ir_fn *, gr->nfns + 1);
  for (u32 k = 0; k < gr->nfns; k++)
    set[k] = gr->fn[k];
  flatten_set(gr, set, gr->nfns, kept);
}

/* Tries, from what changes the least to what nests the least; each starts from the original, so
 * that no function is flattened twice. */
static void find_flat_form(struct graph *gr)
{
  static const struct {
    bool all_functions; /* in one; else recursive ones */
    u32 loops, kept;    /* deeper loops are dissolved, all but so many levels */
  } tries[] = {{false, 99, 1}, {false, 2, 1}, {false, 1, 0}, {true, 2, 1}, {true, 1, 0}};
  for (u32 t = 0; t < ARRAY_SIZE(tries); t++) {
    for (u32 k = 0; k < gr->n; k++)
      *gr->fn[k] = gr->original[k];
    gr->g->flats.n = 0;
    if (tries[t].all_functions)
      flatten_calls(gr, tries[t].kept);
    else
      flatten_recursive(gr, tries[t].kept);
    flatten_loops(gr, tries[t].loops, tries[t].kept);
    if (deepest(gr) <= MAX_DEPTH)
      return;
  }
}

void flatten_module(struct gen *g)
{
  struct ir_module *m = g->m;
  struct graph gr = {.g = g, .nfns = m->fns.n};
  gr.fn = NEW_ARRAY(g->a, struct ir_fn *, m->fns.n + 2 * m->probes.n + 1);
  for (u32 i = 0; i < m->fns.n; i++)
    gr.fn[gr.n++] = m->fns.v[i];
  for (u32 i = 0; i < m->probes.n; i++) {
    if (m->probes.v[i]->same)
      continue;
    gr.fn[gr.n++] = m->probes.v[i]->handler;
    if (m->probes.v[i]->cond)
      gr.fn[gr.n++] = m->probes.v[i]->cond;
  }
  gr.depth = NEW_ARRAY(g->a, u32, gr.n + 1);
  gr.original = NEW_ARRAY(g->a, struct ir_fn, gr.n + 1);
  for (u32 k = 0; k < gr.n; k++)
    gr.original[k] = *gr.fn[k];
  find_flat_form(&gr);
}

bool is_flat(const struct gen *g, const struct ir_fn *fn)
{
  for (u32 k = 0; k < g->flats.n; k++)
    if (g->flats.v[k].fn == fn)
      return true;
  return false;
}

/* A function that isn't recursive is on the stack once at most. */
u32 flat_stack_bytes(const struct gen *g, const struct ir_fn *fn)
{
  for (u32 k = g->flats.n; k--;)
    if (g->flats.v[k].fn == fn)
      return (g->m->maxnesting + 1 + g->flats.v[k].plain) * g->flats.v[k].record + 8;
  return 0;
}

/* ---- its instructions ------------------------------------------------------------------ */

/* The stack: a word for how much is on it, then the records. */
static u32 stack_area(const struct gen *g)
{
  return g->f->flat_off + 8;
}

static s32 top_off(const struct gen *g)
{
  return (s32)g->f->flat_off;
}

/* R1 = the stack's end, or `size` bytes below it.  Jumps to `bad` out of bounds (never). */
static void stack_at(struct gen *g, u32 below, u32 bad)
{
  emit_ldx(g, SZ_DW, R1, R9, top_off(g));
  if (below)
    emit_alui(g, BPF_SUB, R1, (s32)below);
  emit_jcci(g, BPF_JGT, R1, (s32)(g->f->flat_bytes - 8), bad);
  if (below) {
    emit_stx(g, SZ_DW, R9, top_off(g), R1);
  }
  emit_mov(g, R2, R9);
  emit_alui(g, BPF_ADD, R2, (s32)stack_area(g));
  emit_alu(g, BPF_ADD, R1, R2);
}

/* The word that ends a record, at R1 + off: the state to go on with, and the nesting before. */
static void end_record(struct gen *g, u32 off, s64 state)
{
  emit_ldx(g, SZ_W, R2, R9, offsetof(struct rt_frame, nesting));
  emit_st(g, SZ_W, R1, (s32)off, (s32)(state & ~BIR_NESTED));
  emit_stx(g, SZ_W, R1, (s32)off + 4, R2);
  if (state & BIR_NESTED) {
    emit_alui(g, BPF_ADD, R2, 1);
    emit_stx(g, SZ_W, R9, offsetof(struct rt_frame, nesting), R2);
  }
}

void check_nesting(struct gen *g, u32 full)
{
  emit_ldx(g, SZ_W, R1, R9, offsetof(struct rt_frame, nesting));
  emit_jcci(g, BPF_JGE, R1, (s32)g->m->maxnesting, full);
}

static void flat_save(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  u32 full = label_new(g), ok = label_new(g), off = 0;
  if (i->imm & BIR_NESTED)
    check_nesting(g, full);
  emit_ldx(g, SZ_DW, R1, R9, top_off(g));
  emit_jcci(g, BPF_JGT, R1, (s32)(g->f->flat_bytes - (u32)i->imm2), full);
  emit_mov(g, R2, R1);
  emit_alui(g, BPF_ADD, R2, (s32)i->imm2);
  emit_stx(g, SZ_DW, R9, top_off(g), R2);
  emit_mov(g, R2, R9);
  emit_alui(g, BPF_ADD, R2, (s32)stack_area(g));
  emit_alu(g, BPF_ADD, R1, R2);
  for (u32 k = 0; k < i->nargs; k++) {
    const struct ir_val *v = &i->args[k];
    if (v->kind == V_INT) {
      iter_save(g, (u32)v->num, off);
      off += 8 * ITER_SLOTS;
      continue;
    }
    if (IS_INT(g->f, v->reg)) {
      emit_stx(g, SZ_DW, R1, (s32)off, use_int(g, v, R2));
      off += 8;
      continue;
    }
    u32 size = flat_reg_bytes(g, &g->f->fn->regs.v[v->reg]);
    emit_stx(g, SZ_DW, R10, STK_TMP, R1);
    emit_alui(g, BPF_ADD, R1, (s32)off);
    emit_movi(g, R2, size);
    str_addr(g, R3, v);
    emit_helper(g, BPF_FUNC_probe_read_kernel_str);
    emit_ldx(g, SZ_DW, R1, R10, STK_TMP);
    off += size;
  }
  end_record(g, off, i->imm);
  emit_jmp(g, ok);
  label_here(g, full);
  fail(g, b, i);
  label_here(g, ok);
}

static void flat_restore(struct gen *g, const struct ir_ins *i)
{
  u32 bad = label_new(g), off = 0;
  if (!i->imm2)
    return;
  stack_at(g, (u32)i->imm2, bad);
  for (u32 k = 0; k < i->nargs; k++) {
    u32 r = i->args[k].reg;
    if (i->args[k].kind == V_INT) {
      iter_restore(g, (u32)i->args[k].num, off);
      off += 8 * ITER_SLOTS;
      continue;
    }
    if (IS_INT(g->f, r)) {
      emit_ldx(g, SZ_DW, R2, R1, (s32)off);
      def_done(g, r, R2);
      off += 8;
      continue;
    }
    const struct place *p = &g->f->place[r];
    u32 size = flat_reg_bytes(g, &g->f->fn->regs.v[r]);
    emit_stx(g, SZ_DW, R10, STK_TMP, R1);
    emit_mov(g, R3, R1);
    emit_alui(g, BPF_ADD, R3, (s32)off);
    addr_of(g, R1, p);
    emit_movi(g, R2, p->size);
    emit_helper(g, BPF_FUNC_probe_read_kernel_str);
    emit_ldx(g, SZ_DW, R1, R10, STK_TMP);
    off += size;
  }
  label_here(g, bad);
}

bool sel_flat(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  switch ((u32)i->op) {
  case BIR_BEGIN:
    emit_st(g, SZ_DW, R9, top_off(g), 8);
    emit_mov(g, R1, R9);
    emit_alui(g, BPF_ADD, R1, (s32)stack_area(g));
    end_record(g, 0, i->imm);
    for (u32 k = 0; k < i->nargs; k++)
      iter_reset(g, (u32)i->args[k].num);
    return true;
  case BIR_NEXT: {
    u32 bad = label_new(g);
    emit_movi(g, R0, 0);
    stack_at(g, 8, bad);
    emit_ldx(g, SZ_W, R0, R1, 0);
    emit_ldx(g, SZ_W, R2, R1, 4);
    emit_stx(g, SZ_W, R9, offsetof(struct rt_frame, nesting), R2);
    label_here(g, bad);
    emit_alui(g, BPF_ADD, R0, (s32)i->imm);
    def_done(g, i->dst, R0);
    return true;
  }
  case BIR_SAVE:
    flat_save(g, b, i);
    return true;
  case BIR_RESTORE:
    flat_restore(g, i);
    return true;
  case BIR_RERAISE:
    emit_jmp(g, fail_label(g, b));
    return true;
  }
  return false;
}

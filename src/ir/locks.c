/* Locks.  SystemTap promises that a handler sees and changes globals atomically.  This pass keeps
 * the promise with as few locks as it can; each global has one, which a handler takes by LOCK.
 *
 * Who runs beside whom.  Handlers of events run on any CPU at any time, beside each other and
 * beside the timers' handlers.  The session runs the timers' handlers one after the other; `begin`
 * handlers before any event is let in, `end` and `error` handlers after the last one has finished
 * (the executors see to that), so these need no locks.
 *
 * What an access is to others.  A global is contested when an event handler writes it, or reads it
 * while a timer's handler writes it.  Accesses of contested globals fall into
 *
 *   actions    one atomic step: reading or storing an integer, an update by an atomic instruction
 *              (+ - & | ^), adding to a statistic, `in`.  Taking a foreach's snapshot and merging a
 *              statistic count as one, too: each element is seen as it is at some moment during it
 *   fragile    several steps: strings, updates by other operators, deleting elements (what is
 *              deleted may be reused while another handler still works on it), writing to arrays
 *              that replace the oldest
 *   blind      updates whose result isn't used, and which can be made in any order: n++, a[k] += x,
 *              s <<< x
 *
 * The rule.  A global that is only ever updated blindly while events run needs no lock: nobody
 * can tell an order.  Of the others, a global needs one when some access of it is fragile, or when
 * some handler makes more than one action on contested globals, this one among them.  Every handler
 * then takes the locks of all globals it touches that need one, before the first access to any of
 * them and until after the last: so handlers appear to run one after the other (two-phase locking),
 * and a handler that makes a single action fits between any two of them.
 *
 * Where.  At each point of a handler it is known whether an access may have happened, and whether
 * one may still come; where both hold the locks are held.  So a path takes them once at most, and
 * loops with accesses are inside as a whole.  A try block and its catch block agree: where one
 * could be entered with the locks and without, the region grows.  An error that ends the handler
 * leaves them to the executor.  Locks are taken in the order of the globals' numbers, all at once:
 * no deadlock.
 *
 * A foreach of an event handler uses a snapshot that belongs to the statement and not to the CPU:
 * it holds its array's lock from the snapshot to the last element.
 *
 * Accesses by functions count where they are called.  */
#include "ir/flow.h"

#include <stdlib.h>

#include "elaborate/program.h"

/* Kinds of access to a global, as bits. */
enum {
  READ = 1,     /* one integer, membership */
  WRITE = 2,    /* stores one integer */
  SNAPSHOT = 4, /* many elements, or all CPUs' parts of a statistic */
  UPDATE = 8,   /* atomic, its result used */
  ADDS = 16,    /* atomic, its result not used; these don't mix with each other: */
  ANDS = 32,
  ORS = 64,
  XORS = 128,
  SAMPLE = 256,      /* <<< */
  READ_SLOW = 512,   /* strings */
  WRITE_SLOW = 1024, /* strings, updates that no instruction makes at once, deleting */
  STEP = 2048,       /* of a foreach: its snapshot is used */
  WRITES = WRITE | UPDATE | ADDS | ANDS | ORS | XORS | SAMPLE | WRITE_SLOW,
  READS = READ | SNAPSHOT | UPDATE | READ_SLOW | WRITE_SLOW,
  FRAGILE = READ_SLOW | WRITE_SLOW,
};

enum runs { RUNS_ALONE = 1, RUNS_TIMER = 2, RUNS_EVENT = 4 };

struct locks {
  struct ir_module *m;
  u32 nglobals;
  struct flow_fns fns;
  u32 *runs;            /* per function: enum runs of the handlers that reach it */
  u32 **access;         /* per function and global: kinds, callees' included */
  u32 *events, *timers; /* per global: kinds by such handlers */
  bool *contested;      /* and not only updated blindly */
  bool *locked;
  u32 *iter_runs; /* per foreach */
};

/* ---- accesses -----------------------------------------------------------------------------------
 */

static u32 update_kind(const struct ir_ins *i)
{
  switch (i->imm & ~(s64)IR_RMW_OLD) {
  case IR_ADD:
  case IR_SUB:
    return i->dst == IR_NO ? ADDS : UPDATE;
  case IR_AND:
    return i->dst == IR_NO ? ANDS : UPDATE;
  case IR_OR:
    return i->dst == IR_NO ? ORS : UPDATE;
  case IR_XOR:
    return i->dst == IR_NO ? XORS : UPDATE;
  default:
    return WRITE_SLOW;
  }
}

/* The kind of access that the instruction itself makes to flow_global(). */
static u32 kind_of(const struct ir_ins *i)
{
  const struct ir_global *g = flow_global(i);
  switch (i->op) {
  case IR_GGET:
  case IR_MGET:
    return g->type == TY_STRING ? READ_SLOW : READ;
  case IR_MIN_:
    return READ;
  case IR_GSET:
  case IR_MSET:
    return g->type == TY_STRING || g->wrap ? WRITE_SLOW : WRITE;
  case IR_GRMW:
  case IR_MRMW:
    return g->wrap ? WRITE_SLOW : update_kind(i);
  case IR_STATADD:
    return g->wrap ? WRITE_SLOW : SAMPLE;
  case IR_MCAT:
  case IR_MDEL:
  case IR_MDEL_SLICE:
    return WRITE_SLOW;
  case IR_MCLEAR:
    return g->nkeys || g->type != TY_LONG ? WRITE_SLOW : WRITE;
  case IR_STATGET:
  case IR_HISTGET:
  case IR_HISTPRINT:
  case IR_HISTSTR:
  case IR_MIN_SLICE:
    return SNAPSHOT;
  case IR_ITER_BEGIN:
    return SNAPSHOT | STEP | (g->type == TY_STRING ? READ_SLOW : 0);
  case IR_ITER_NEXT:
  case IR_ITER_KEY:
  case IR_ITER_VALUE:
    return STEP;
  default:
    return 0;
  }
}

static u32 index_of(const struct locks *l, const struct ir_fn *f)
{
  for (u32 k = 0; k < l->fns.n; k++)
    if (l->fns.v[k] == f)
      return k;
  return 0;
}

/* Adds what the function's own instructions do, and its callees'; true when that was news. */
static bool collect(struct locks *l, u32 index)
{
  const struct ir_fn *f = l->fns.v[index];
  u32 *own = l->access[index];
  bool news = false;
  for (u32 n = 0; n < f->blocks.n; n++)
    for (u32 k = 0; k < f->blocks.v[n]->ins.n; k++) {
      const struct ir_ins *i = &f->blocks.v[n]->ins.v[k];
      const struct ir_global *g = flow_global(i);
      if (g && kind_of(i) & ~own[g->id]) {
        own[g->id] |= kind_of(i);
        news = true;
      }
      if (i->op != IR_CALL)
        continue;
      const u32 *theirs = l->access[i->fn->id]; /* functions come first, by id */
      for (u32 j = 0; j < l->nglobals; j++) {
        news |= (theirs[j] & ~own[j]) != 0;
        own[j] |= theirs[j];
      }
    }
  return news;
}

static u32 runs_as(const struct ir_probe *p)
{
  if (p->inst->kind == PROG_NEVER)
    return 0;
  if (p->inst->kind != PROG_SESSION)
    return RUNS_EVENT;
  return p->inst->when == RUN_TIMER ? RUNS_TIMER : RUNS_ALONE;
}

/* The function, and what it calls, may run in such a handler. */
static void reaches(struct locks *l, u32 index, u32 as)
{
  const struct ir_fn *f = l->fns.v[index];
  if (!(as & ~l->runs[index]))
    return;
  l->runs[index] |= as;
  for (u32 n = 0; n < f->blocks.n; n++)
    for (u32 k = 0; k < f->blocks.v[n]->ins.n; k++) {
      const struct ir_ins *i = &f->blocks.v[n]->ins.v[k];
      if (i->op == IR_ITER_BEGIN)
        l->iter_runs[i->iter->id] |= as;
      if (i->op == IR_CALL)
        reaches(l, i->fn->id, as);
    }
}

static void gather(struct locks *l)
{
  struct ir_module *m = l->m;
  for (u32 k = 0; k < l->fns.n; k++)
    l->access[k] = NEW_ARRAY(m->a, u32, l->nglobals + 1);
  for (bool news = true; news;) {
    news = false;
    for (u32 k = 0; k < l->fns.n; k++)
      news |= collect(l, k);
  }
  for (u32 k = 0; k < m->probes.n; k++) {
    const struct ir_probe *p = m->probes.v[k];
    reaches(l, index_of(l, p->handler), runs_as(p));
  }
  for (u32 k = m->fns.n; k < l->fns.n; k++)
    for (u32 g = 0; g < l->nglobals; g++) {
      if (l->runs[k] & RUNS_EVENT)
        l->events[g] |= l->access[k][g] & ~(u32)STEP;
      if (l->runs[k] & RUNS_TIMER)
        l->timers[g] |= l->access[k][g] & ~(u32)STEP;
    }
}

/* ---- which globals
 * ------------------------------------------------------------------------------- */

static bool only_blind(u32 kinds)
{
  return kinds == ADDS || kinds == ANDS || kinds == ORS || kinds == XORS || kinds == SAMPLE;
}

static void find_contested(struct locks *l)
{
  for (u32 g = 0; g < l->nglobals; g++) {
    u32 ev = l->events[g], ti = l->timers[g];
    bool contested = ev & WRITES || (ev & READS && ti & WRITES);
    l->contested[g] = contested && !only_blind(ev | ti);
    l->locked[g] = l->contested[g] && (ev | ti) & FRAGILE;
  }
}

/* What counts as an access while a function is looked at. */
struct region {
  struct locks *l;
  struct ir_fn *f;
  const bool *of;               /* accesses of these globals */
  const bool *step_of;          /* steps of a foreach over these; NULL: none */
  bool *before_in, *before_out; /* per block: may an access have happened at its start, its end? */
  bool *ahead_in, *ahead_out;   /* may one still come? */
  bool **extra;                 /* per block: further instructions that count; NULL: none */
};

static bool counts(const struct region *r, u32 global, u32 kinds)
{
  return (r->of[global] && kinds & ~(u32)STEP) ||
         (r->step_of && r->step_of[global] && kinds & STEP);
}

static bool uses(const struct region *r, const struct ir_block *b, u32 k)
{
  const struct ir_ins *i = &b->ins.v[k];
  const struct ir_global *g = flow_global(i);
  if (r->extra && r->extra[b->id] && r->extra[b->id][k])
    return true;
  if (g)
    return counts(r, g->id, kind_of(i));
  if (i->op != IR_CALL)
    return false;
  for (u32 n = 0; n < r->l->nglobals; n++)
    if (counts(r, n, r->l->access[i->fn->id][n]))
      return true;
  return false;
}

static bool raise(bool *to, bool v)
{
  if (*to || !v)
    return false;
  return *to = true;
}

/* One step of both analyses for the block; true when something became true. */
static bool spread(struct region *r, const struct ir_block *b)
{
  bool before = r->before_in[b->id], ahead = r->ahead_out[b->id], news = false;
  u32 to[2], n = flow_succ(b, to), h = b->handler;
  for (u32 s = 0; s < n; s++)
    ahead |= r->ahead_in[to[s]];
  news |= raise(&r->ahead_out[b->id], ahead);
  for (u32 k = b->ins.n; k--;)
    ahead |= uses(r, b, k) || (h != IR_NO && ir_can_fail(&b->ins.v[k]) && r->ahead_in[h]);
  news |= raise(&r->ahead_in[b->id], ahead);
  for (u32 k = 0; k < b->ins.n; k++) {
    before |= uses(r, b, k);
    if (h != IR_NO && ir_can_fail(&b->ins.v[k]))
      news |= raise(&r->before_in[h], before);
  }
  news |= raise(&r->before_out[b->id], before);
  for (u32 s = 0; s < n; s++)
    news |= raise(&r->before_in[to[s]], before);
  return news;
}

static void region_init(struct region *r)
{
  struct arena *a = r->l->m->a;
  u32 n = r->f->blocks.n;
  r->before_in = NEW_ARRAY(a, bool, n);
  r->before_out = NEW_ARRAY(a, bool, n);
  r->ahead_in = NEW_ARRAY(a, bool, n);
  r->ahead_out = NEW_ARRAY(a, bool, n);
}

static void region_spread(struct region *r)
{
  for (bool news = true; news;) {
    news = false;
    for (u32 n = r->f->blocks.n; n--;)
      news |= spread(r, r->f->blocks.v[n]);
  }
}

/* Does some path make more than one access?  `many` says it of the functions. */
static bool makes_many(struct locks *l, struct ir_fn *f, const bool *many)
{
  struct region r = {.l = l, .f = f, .of = l->contested};
  region_init(&r);
  region_spread(&r);
  for (u32 n = 0; n < f->blocks.n; n++) {
    const struct ir_block *b = f->blocks.v[n];
    bool before = r.before_in[n];
    for (u32 k = 0; k < b->ins.n; k++) {
      if (!uses(&r, b, k))
        continue;
      if (before || (b->ins.v[k].op == IR_CALL && many[b->ins.v[k].fn->id]))
        return true;
      before = true;
    }
  }
  return false;
}

/* Handlers of more than one action have their contested globals locked. */
static void find_locked(struct locks *l)
{
  u32 nfns = l->m->fns.n;
  bool *many = calloc(nfns + 1, sizeof(bool));
  for (bool news = true; news;) {
    news = false;
    for (u32 k = 0; k < nfns; k++)
      news |= !many[k] && makes_many(l, l->fns.v[k], many) && (many[k] = true);
  }
  for (u32 k = nfns; k < l->fns.n; k++) {
    if (!(l->runs[k] & (RUNS_EVENT | RUNS_TIMER)) || !makes_many(l, l->fns.v[k], many))
      continue;
    for (u32 g = 0; g < l->nglobals; g++)
      l->locked[g] |= l->contested[g] && l->access[k][g] & ~(u32)STEP;
  }
  free(many);
}

/* ---- placing them
 * -------------------------------------------------------------------------------- */

static struct ir_lockset *lockset(const struct locks *l, const struct region *r, u32 index)
{
  struct arena *a = l->m->a;
  struct ir_lockset *s = NEW(a, struct ir_lockset);
  s->g = NEW_ARRAY(a, struct ir_global *, l->nglobals + 1);
  s->write = NEW_ARRAY(a, bool, l->nglobals + 1);
  for (u32 g = 0; g < l->nglobals; g++) {
    u32 kinds = l->access[index][g];
    if (!counts(r, g, kinds))
      continue;
    const struct ir_global *v = l->m->globals.v[g];
    /* Samples go to the CPU's own part: they may be added beside each other, but not be read. */
    u32 alone = v->type == TY_STATS ? (WRITES & ~(u32)SAMPLE) | SNAPSHOT : WRITES;
    s->write[s->n] = kinds & alone || (r->step_of[g] && kinds & STEP);
    s->g[s->n++] = l->m->globals.v[g];
  }
  return s;
}

static bool held_at_start(const struct region *r, u32 block)
{
  return r->before_in[block] && r->ahead_in[block];
}

static bool held_at_end(const struct region *r, u32 block)
{
  return r->before_out[block] && r->ahead_out[block];
}

/* May an access come at instruction k or behind it? */
static bool ahead_of(const struct region *r, const struct ir_block *b, u32 k)
{
  for (; k < b->ins.n; k++)
    if (uses(r, b, k) ||
        (b->handler != IR_NO && ir_can_fail(&b->ins.v[k]) && r->ahead_in[b->handler]))
      return true;
  return r->ahead_out[b->id];
}

static bool force(struct region *r, u32 block, u32 k)
{
  if (!r->extra[block])
    r->extra[block] = NEW_ARRAY(r->l->m->a, bool, r->f->blocks.v[block]->ins.n);
  return raise(&r->extra[block][k], true);
}

/* Makes a catch block and what leads to it agree on whether the locks are held. */
static bool agree(struct region *r, const struct ir_block *b)
{
  bool before = r->before_in[b->id], news = false;
  u32 h = b->handler;
  for (u32 k = 0; h != IR_NO && k < b->ins.n; k++) {
    bool access = uses(r, b, k);
    bool held = access || (before && ahead_of(r, b, k));
    before |= access;
    if (!ir_can_fail(&b->ins.v[k]) || held == held_at_start(r, h))
      continue;
    news |= held ? force(r, h, 0) : force(r, b->id, k);
  }
  return news;
}

static struct ir_ins lock_ins(enum ir_op op, struct ir_lockset *s)
{
  return (struct ir_ins){.op = op, .dst = IR_NO, .err = IR_NO, .lock = s};
}

/* Where the region begins or ends within a block: around an access, or behind the last instruction
 * that may leave for a catch block with an access.  From the end, so that the numbers of
 * instructions in front stay. */
static void place_in_block(struct region *r, struct ir_block *b, struct ir_lockset *s)
{
  struct arena *a = r->l->m->a;
  u32 n = b->ins.n;
  bool *before = NEW_ARRAY(a, bool, n + 1), *ahead = NEW_ARRAY(a, bool, n + 1);
  bool *access = NEW_ARRAY(a, bool, n + 1);
  before[0] = r->before_in[b->id];
  for (u32 k = 0; k < n; k++) {
    access[k] = uses(r, b, k);
    before[k + 1] = before[k] || access[k];
    ahead[k] = ahead_of(r, b, k);
  }
  ahead[n] = r->ahead_out[b->id];
  for (u32 k = n; k--;) {
    bool held = before[k] && ahead[k];
    if (!access[k] && !held)
      continue;
    if (!(before[k + 1] && ahead[k + 1]))
      flow_insert(a, b, k + 1, lock_ins(IR_UNLOCK, s));
    if (!held)
      flow_insert(a, b, k, lock_ins(IR_LOCK, s));
  }
}

static u32 common_loop(const struct ir_fn *f, u32 x, u32 y)
{
  while (!flow_in_loop(f, y, x))
    x = f->loops.v[x].parent;
  return x;
}

/* Puts LOCK or UNLOCK on the way from one block to another: in front of the jump when there is no
 * other way out, else into a block of its own.  */
static void place_on_edge(struct region *r, struct ir_block *b, u32 which, enum ir_op op,
                          struct ir_lockset *s)
{
  struct arena *a = r->l->m->a;
  struct ir_block *to = r->f->blocks.v[b->to[which]];
  if (b->term == T_JMP) {
    vec_push(a, &b->ins, lock_ins(op, s));
    return;
  }
  struct ir_block *mid = flow_new_block(a, r->f, common_loop(r->f, b->loop, to->loop), IR_NO);
  vec_push(a, &mid->ins, lock_ins(op, s));
  mid->term = T_JMP;
  mid->to[0] = to->id;
  b->to[which] = mid->id;
}

static void place(struct region *r, struct ir_lockset *s)
{
  struct ir_fn *f = r->f;
  u32 nblocks = f->blocks.n;
  for (u32 n = 0; n < nblocks; n++)
    place_in_block(r, f->blocks.v[n], s);
  for (u32 n = 0; n < nblocks; n++) {
    struct ir_block *b = f->blocks.v[n];
    u32 to[2], nto = flow_succ(b, to);
    for (u32 e = 0; e < nto; e++)
      if (held_at_end(r, n) != held_at_start(r, to[e]))
        place_on_edge(r, b, e, held_at_end(r, n) ? IR_UNLOCK : IR_LOCK, s);
  }
}

static void lock_handler(struct locks *l, u32 index, const bool *step_of)
{
  struct region r = {.l = l, .f = l->fns.v[index], .of = l->locked, .step_of = step_of};
  struct ir_lockset *s = lockset(l, &r, index);
  if (!s->n)
    return;
  r.extra = NEW_ARRAY(l->m->a, bool *, r.f->blocks.n);
  region_init(&r);
  for (bool news = true; news;) {
    news = false;
    region_spread(&r);
    for (u32 n = 0; n < r.f->blocks.n; n++)
      news |= agree(&r, r.f->blocks.v[n]);
  }
  place(&r, s);
}

void ir_pass_locks(struct ir_module *m)
{
  struct arena *a = m->a;
  struct locks l = {.m = m, .nglobals = m->globals.n, .fns = flow_all(a, m)};
  l.runs = NEW_ARRAY(a, u32, l.fns.n + 1);
  l.access = NEW_ARRAY(a, u32 *, l.fns.n + 1);
  l.events = NEW_ARRAY(a, u32, l.nglobals + 1);
  l.timers = NEW_ARRAY(a, u32, l.nglobals + 1);
  l.contested = NEW_ARRAY(a, bool, l.nglobals + 1);
  l.locked = NEW_ARRAY(a, bool, l.nglobals + 1);
  l.iter_runs = NEW_ARRAY(a, u32, m->iters.n + 1);
  gather(&l);
  find_contested(&l);
  find_locked(&l);
  bool *step_of = NEW_ARRAY(a, bool, l.nglobals + 1);
  for (u32 k = 0; k < m->iters.n; k++)
    if (l.iter_runs[m->iters.v[k]->id] & RUNS_EVENT)
      step_of[m->iters.v[k]->map->id] = true;
  for (u32 k = m->fns.n; k < l.fns.n; k++)
    if (l.runs[k] & (RUNS_EVENT | RUNS_TIMER))
      lock_handler(&l, k, step_of);
}

/* From a regular expression's program to the automata of table.h, by following all threads at
 * once: a state is the set of places where threads stand.  What happens between two bytes (jumps,
 * assertions, tags) is worked out when the second of them is known, so assertions need no more than
 * the kind of the byte before, which is part of the state.
 *
 * For groups a thread also carries tags: positions where groups began and ended.  Equal positions
 * share a register, and registers are ranked by age, which is all that identifies a state.  Of
 * threads at the same place the best lives, in POSIX's sense: the earliest start; then each part of
 * the expression, from left to right and outer ones first, as long as can be.  How that is decided
 * from one byte to the next, with a matrix of the relations between all threads, is due to Okui and
 * Suzuki
 * ("Disambiguation in Regular Expression Matching via Position Automata with Augmented
 * Transitions", 2010): of two threads that went different ways the better is the one whose marks
 * since then are higher, judged by the lowest: it left no outer part when the other did.  Where
 * that is equal, the one is better that was so before.  A match keeps only threads that started no
 * later, which may find a longer one.  */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "regex/regex_in.h"

enum { MAX_TAGS = 2 * REGEX_MAX_GROUPS, MAX_ENTRIES = 32000, MAX_THREADS = 400, MAX_PATH = 4000 };
enum { NEVER = RX_MAX_HEIGHT + 1 }; /* a height above all */
enum {
  NOW = 0xfe,
  NONE = 0xff
}; /* tags: the position itself, unset; else the rank of a register */
enum context { AT_BEGIN, AFTER_OTHER, AFTER_WORD };
enum kind { NEXT_NUL, NEXT_OTHER, NEXT_WORD, NKINDS };

struct thread {
  u32 pc;
  u32 origin,
      path; /* in a closure: thread of the state, or how many it has: a start; marks since */
  u8 tag[MAX_TAGS];
};
/* Of one thread to another, when both started at the same place. */
struct relation {
  u8 lowest;    /* height of the lowest mark since their ways parted */
  int8_t order; /* < 0: better */
};
struct state {
  struct thread *thread;
  struct relation *relation; /* nthreads * nthreads */
  u32 nthreads;
  bool starting; /* a match may still start here */
  enum context ctx;
  u32 nregs; /* live ones, by rank: the oldest first */
  u8 reg[RX_REGS];
};

/* The last mark of a path. */
enum mark_kind { CLOSE, OPEN, NIL }; /* the better first */
struct mark {
  u32 before; /* the path without it; 0: empty */
  u32 length;
  u32 part;
  enum mark_kind kind;
};

struct dfa {
  struct rx_prog *p;
  struct arena *a;
  u32 ntags; /* 0: only whether there is a match */
  u8 class_of[256];
  u8 byte_of[256]; /* one byte of each class */
  u32 nclasses;
  VEC(struct state *) states;
  VEC(u32) next; /* nclasses per state: RX_NO, RX_YES or RX_YES + 1 + state; program << 16 */
  u32 *buckets;  /* hash table of states: number + 1 */
  u32 nbuckets;
  VEC(u16) moves;
  u16 *programs; /* hash table of what is in moves */
  /* of the closure being made */
  struct thread *best; /* per instruction */
  u32 *seen, round;
  VEC(struct thread) stack;
  u32 *reached, nreached;
  VEC(struct mark) marks;     /* [0] unused */
  u32 *mine, *theirs;         /* two paths that are compared, at most MAX_PATH long */
  struct relation *relations; /* of the state being made */
};

static bool too_large(struct dfa *d)
{
  if (!d->p->why)
    d->p->why = "regular expression is too complex";
  return false;
}

/* ---- classes of bytes ---------------------------------------------------------------- */

static void split_classes(struct dfa *d, const struct rx_set *set)
{
  u8 other[256];
  bool split[256] = {0};
  for (u32 c = 1; c < 256; c++) {
    u32 k = d->class_of[c];
    if (rx_has(set, c) == rx_has(set, d->byte_of[k]))
      continue;
    if (!split[k]) {
      split[k] = true;
      other[k] = (u8)d->nclasses;
      d->byte_of[d->nclasses++] = (u8)c;
    }
    d->class_of[c] = other[k];
  }
}

static void make_classes(struct dfa *d)
{
  memset(d->class_of, 1, sizeof(d->class_of));
  d->class_of[0] = 0;
  d->byte_of[1] = 1;
  d->nclasses = 2;
  for (u32 i = 0; i < d->p->sets.n; i++)
    split_classes(d, &d->p->sets.v[i]);
  if (d->p->words) {
    struct rx_set words = {0};
    for (u32 c = 1; c < 256; c++)
      if (rx_is_word(c))
        words.bits[c >> 5] |= 1u << (c & 31);
    split_classes(d, &words);
  }
}

/* ---- threads -------------------------------------------------------------------------- */

static u32 mark(struct dfa *d, u32 path, enum mark_kind kind, u32 part)
{
  vec_push(d->a, &d->marks, ((struct mark){path, d->marks.v[path].length + 1, part, kind}));
  return d->marks.n - 1;
}

/* The marks of a path, in order; how many. */
static u32 unroll(const struct dfa *d, u32 path, u32 *out)
{
  u32 n = d->marks.v[path].length;
  for (u32 i = n; i--; path = d->marks.v[path].before)
    out[i] = path;
  return n;
}

/* How deep inside parts a path is behind its last mark. */
static u32 height(const struct dfa *d, u32 path)
{
  const struct mark *m = &d->marks.v[path];
  return d->p->parts.v[m->part].height - (m->kind != OPEN);
}

static u32 lowest(const struct dfa *d, const u32 *marks, u32 from, u32 to, u32 low)
{
  for (u32 i = from; i < to; i++)
    low = MIN(low, height(d, marks[i]));
  return low;
}

/* The order of ways that part at mark i and are equal otherwise. */
static int first_mark(const struct dfa *d, u32 i, u32 nx, u32 ny)
{
  if (i == nx || i == ny)
    return i == nx ? (i == ny ? 0 : -1) : 1;
  return (int)d->marks.v[d->mine[i]].kind - (int)d->marks.v[d->theirs[i]].kind;
}

/* How x relates to y; *back: and y to x. */
static struct relation relate(struct dfa *d, const struct state *s, const struct thread *x,
                              const struct thread *y, struct relation *back)
{
  bool parting = x->origin == y->origin;
  u32 nx = unroll(d, x->path, d->mine), ny = unroll(d, y->path, d->theirs), same = 0;
  u32 low_x = NEVER, low_y = NEVER;
  d->p->work += nx + ny;
  if (parting) {
    while (same < nx && same < ny && d->mine[same] == d->theirs[same])
      same++;
    if (same)
      low_x = low_y = height(d, d->mine[same - 1]);
  } else {
    low_x = s->relation[x->origin * s->nthreads + y->origin].lowest;
    low_y = s->relation[y->origin * s->nthreads + x->origin].lowest;
  }
  low_x = lowest(d, d->mine, same, nx, low_x);
  low_y = lowest(d, d->theirs, same, ny, low_y);
  int order = low_x != low_y ? (int)low_y - (int)low_x
              : parting      ? first_mark(d, same, nx, ny)
                             : s->relation[x->origin * s->nthreads + y->origin].order;
  order = order < 0 ? -1 : order > 0;
  *back = (struct relation){(u8)low_y, (int8_t)-order};
  return (struct relation){(u8)low_x, (int8_t)order};
}

/* Whether x, which came to the place of y, is better. */
static bool better(struct dfa *d, const struct state *s, const struct thread *x,
                   const struct thread *y)
{
  struct relation back;
  if (!d->ntags)
    return false;
  if (x->tag[0] != y->tag[0])
    return x->tag[0] < y->tag[0];
  return relate(d, s, x, y, &back).order < 0;
}

static bool holds(enum rx_assert what, enum context before, enum kind after)
{
  bool from = before == AFTER_WORD, to = after == NEXT_WORD;
  switch (what) {
  case RX_BOL:
    return before == AT_BEGIN;
  case RX_EOL:
    return after == NEXT_NUL;
  case RX_WORD_EDGE:
    return from != to;
  case RX_NOT_EDGE:
    return from == to;
  case RX_WORD_BEGIN:
    return !from && to;
  case RX_WORD_END:
    return from && !to;
  }
  return false;
}

static void push(struct dfa *d, struct thread t, u32 pc)
{
  t.pc = pc;
  vec_push(d->a, &d->stack, t);
}

static void pass_mark(struct dfa *d, struct thread *t, enum rx_op op, u32 n)
{
  const struct rx_part *part = &d->p->parts.v[n];
  t->path = mark(d, t->path, op == RX_OPEN ? OPEN : op == RX_CLOSE ? CLOSE : NIL, n);
  if (part->group != RX_NO_GROUP) {
    if (op != RX_CLOSE)
      t->tag[2 * part->group] = op == RX_OPEN ? NOW : NONE;
    t->tag[2 * part->group + 1] = op == RX_CLOSE ? NOW : NONE;
  }
  for (u32 g = part->inside; g < part->end && op != RX_CLOSE; g++)
    t->tag[2 * g] = t->tag[2 * g + 1] = NONE;
}

static void follow(struct dfa *d, struct thread t, enum context ctx, enum kind kind)
{
  const struct rx_ins *i = &d->p->ins.v[t.pc];
  switch (i->op) {
  case RX_SET:
  case RX_MATCH:
    break;
  case RX_JMP:
    push(d, t, i->a);
    break;
  case RX_SPLIT:
    push(d, t, i->b);
    push(d, t, i->a);
    break;
  case RX_OPEN:
  case RX_CLOSE:
  case RX_NIL:
    if (d->ntags)
      pass_mark(d, &t, i->op, i->a);
    push(d, t, t.pc + 1);
    break;
  case RX_ASSERT:
    if (holds(i->a, ctx, kind))
      push(d, t, t.pc + 1);
    break;
  }
}

static int by_pc(const void *a, const void *b)
{
  u32 x = *(const u32 *)a, y = *(const u32 *)b;
  return x < y ? -1 : x > y;
}

/* Where threads of a state get before a byte of that kind: d->reached, in order, and d->best. */
static bool closure(struct dfa *d, const struct state *s, enum kind kind)
{
  d->round++;
  d->nreached = 0;
  d->marks.n = 1;
  for (u32 k = 0; k <= s->nthreads; k++) {
    struct thread t;
    if (k < s->nthreads) {
      t = s->thread[k];
    } else if (s->starting) {
      memset(&t, NONE, sizeof(t));
      t.pc = 0;
      t.tag[0] = NOW;
    } else {
      break;
    }
    t.origin = k;
    t.path = 0;
    d->stack.n = 0;
    push(d, t, t.pc);
    while (d->stack.n) {
      t = d->stack.v[--d->stack.n];
      if (++d->p->work > RX_MAX_WORK || d->marks.v[t.path].length > MAX_PATH)
        return too_large(d);
      if (d->seen[t.pc] == d->round && !better(d, s, &t, &d->best[t.pc]))
        continue;
      enum rx_op op = d->p->ins.v[t.pc].op;
      if (d->seen[t.pc] != d->round && (op == RX_SET || op == RX_MATCH))
        d->reached[d->nreached++] = t.pc;
      d->seen[t.pc] = d->round;
      d->best[t.pc] = t;
      follow(d, t, s->ctx, kind);
    }
  }
  qsort(d->reached, d->nreached, sizeof(u32), by_pc);
  return true;
}

/* ---- states --------------------------------------------------------------------------- */

static u64 hash_bytes(u64 h, const void *p, size_t n)
{
  const u8 *s = p;
  for (size_t i = 0; i < n; i++)
    h = (h ^ s[i]) * 0x100000001b3ull;
  return h;
}

static size_t relation_bytes(const struct state *s)
{
  return (size_t)s->nthreads * s->nthreads * sizeof(struct relation);
}

static u64 hash_state(const struct dfa *d, const struct state *s)
{
  u64 h = 0xcbf29ce484222325ull + s->ctx * 2 + s->starting + s->nregs * 16;
  for (u32 i = 0; i < s->nthreads; i++) {
    h = hash_bytes(h, &s->thread[i].pc, sizeof(u32));
    h = hash_bytes(h, s->thread[i].tag, d->ntags);
  }
  if (d->ntags)
    h = hash_bytes(h, s->relation, relation_bytes(s));
  return h ^ h >> 29;
}

static bool same_state(const struct dfa *d, const struct state *x, const struct state *y)
{
  if (x->nthreads != y->nthreads || x->starting != y->starting || x->ctx != y->ctx ||
      x->nregs != y->nregs)
    return false;
  for (u32 i = 0; i < x->nthreads; i++)
    if (x->thread[i].pc != y->thread[i].pc || memcmp(x->thread[i].tag, y->thread[i].tag, d->ntags))
      return false;
  return !d->ntags || !x->nthreads || !memcmp(x->relation, y->relation, relation_bytes(x));
}

static void rehash(struct dfa *d)
{
  d->nbuckets = d->nbuckets ? 2 * d->nbuckets : 256;
  d->buckets = NEW_ARRAY(d->a, u32, d->nbuckets);
  for (u32 i = 0; i < d->states.n; i++) {
    u64 at = hash_state(d, d->states.v[i]);
    while (d->buckets[at & (d->nbuckets - 1)])
      at++;
    d->buckets[at & (d->nbuckets - 1)] = i + 1;
  }
}

/* The number of a state, which is copied when it is new (*is_new says). */
static u32 state_number(struct dfa *d, const struct state *s, bool *is_new)
{
  if (2 * d->states.n >= d->nbuckets)
    rehash(d);
  u64 at = hash_state(d, s);
  for (u32 k; (k = d->buckets[at & (d->nbuckets - 1)]); at++)
    if (same_state(d, d->states.v[k - 1], s)) {
      *is_new = false;
      return k - 1;
    }
  struct state *copy = NEW(d->a, struct state);
  *copy = *s;
  copy->thread = NEW_ARRAY(d->a, struct thread, s->nthreads + 1);
  if (s->nthreads)
    memcpy(copy->thread, s->thread, s->nthreads * sizeof(*s->thread));
  if (d->ntags && s->nthreads) {
    copy->relation = arena_alloc(d->a, relation_bytes(s) + 1);
    memcpy(copy->relation, s->relation, relation_bytes(s));
  }
  vec_push(d->a, &d->states, copy);
  d->buckets[at & (d->nbuckets - 1)] = d->states.n;
  *is_new = true;
  return d->states.n - 1;
}

/* ---- registers -------------------------------------------------------------------------- */

/* Ranks the registers that a state's threads use anew, without gaps; source[] says where each
 * gets its value from: a rank in the state before, or NOW.  */
static bool rank_registers(struct dfa *d, struct state *s, u8 source[RX_REGS])
{
  u8 rank_of[256];
  bool used[256] = {0};
  for (u32 i = 0; i < s->nthreads; i++)
    for (u32 t = 0; t < d->ntags; t++)
      used[s->thread[i].tag[t]] = true;
  s->nregs = 0;
  for (u32 r = 0; r < NONE; r++) {
    if (!used[r])
      continue;
    if (s->nregs == RX_REGS - 1) /* one is kept for swaps */
      return too_large(d);
    source[s->nregs] = (u8)r;
    rank_of[r] = (u8)s->nregs++;
  }
  for (u32 i = 0; i < s->nthreads; i++)
    for (u32 t = 0; t < d->ntags; t++)
      if (s->thread[i].tag[t] != NONE)
        s->thread[i].tag[t] = rank_of[s->thread[i].tag[t]];
  return true;
}

/* A new state's registers: the ones that its values are in already, a free one for the position. */
static void choose_registers(struct state *s, const struct state *from, const u8 *source)
{
  bool taken[RX_REGS] = {0};
  for (u32 i = 0; i < s->nregs; i++)
    if (source[i] != NOW) {
      s->reg[i] = from->reg[source[i]];
      taken[s->reg[i]] = true;
    }
  for (u32 i = 0, r = 0; i < s->nregs; i++)
    if (source[i] == NOW) {
      while (taken[r])
        r++;
      s->reg[i] = (u8)r;
    }
}

struct moves {
  u16 v[2 * RX_REGS + MAX_TAGS + 1];
  u32 n;
};

static void move(struct moves *m, u32 to, u32 from)
{
  m->v[m->n++] = (u16)(to << 8 | from);
}

/* Emits the moves whose target nothing needs any more; how many. */
static u32 free_moves(struct moves *m, s32 *want, u32 nregs)
{
  u32 done = 0;
  for (u32 r = 0; r < nregs; r++) {
    bool needed = want[r] < 0;
    for (u32 k = 0; k < nregs && !needed; k++)
      needed = want[k] == (s32)r;
    if (needed)
      continue;
    move(m, r, (u32)want[r]);
    want[r] = -1;
    done++;
  }
  return done;
}

/* All that are left are in circles: breaks one by way of the last register. */
static void break_circle(struct moves *m, s32 *want, u32 nregs)
{
  u32 r = 0;
  while (r < nregs && want[r] < 0)
    r++;
  assert(r < nregs);
  move(m, RX_REGS - 1, r);
  for (u32 k = 0; k < nregs; k++)
    if (want[k] == (s32)r)
      want[k] = RX_REGS - 1;
}

/* Moves all at once, as a sequence. */
static void move_registers(struct moves *m, const struct state *to, const struct state *from,
                           const u8 *source)
{
  s32 want[RX_REGS]; /* of each register, the one whose value it gets; -1: done */
  u32 left = 0, now = RX_REGS, nregs = 0;
  for (u32 i = 0; i < to->nregs; i++)
    nregs = MAX(nregs, to->reg[i] + 1u);
  for (u32 r = 0; r < nregs; r++)
    want[r] = -1;
  for (u32 i = 0; i < to->nregs; i++) {
    if (source[i] == NOW) {
      now = to->reg[i];
    } else if (to->reg[i] != from->reg[source[i]]) {
      want[to->reg[i]] = from->reg[source[i]];
      left++;
    }
  }
  while (left) {
    u32 done = free_moves(m, want, nregs);
    left -= done;
    if (!done)
      break_circle(m, want, nregs);
  }
  if (now < RX_REGS)
    move(m, now, RX_FROM_POS);
}

/* The number of a program of moves; the same one is kept once, as long as the table has room. */
enum { PROGRAM_SLOTS = 4096, PROGRAM_PROBES = 64 };
static u32 program_number(struct dfa *d, const struct moves *m)
{
  if (!m->n)
    return 0;
  u64 h = hash_bytes(m->n, m->v, m->n * sizeof(u16));
  u16 *slot = &d->programs[h % PROGRAM_SLOTS];
  for (u32 k = 0; k < PROGRAM_PROBES; k++) {
    slot = &d->programs[(h + k) % PROGRAM_SLOTS];
    const u16 *known = &d->moves.v[*slot];
    if (!*slot)
      break;
    if (known[0] == m->n && !memcmp(known + 1, m->v, m->n * sizeof(u16)))
      return *slot;
  }
  u32 at = d->moves.n;
  if (at + m->n >= 0xffff)
    return too_large(d);
  vec_push(d->a, &d->moves, (u16)m->n);
  for (u32 i = 0; i < m->n; i++)
    vec_push(d->a, &d->moves, m->v[i]);
  *slot = (u16)at;
  return at;
}

/* ---- transitions ------------------------------------------------------------------------- */

/* The match found by a closure: its tags; NULL: none. */
static const u8 *found(const struct dfa *d)
{
  for (u32 i = 0; i < d->nreached; i++)
    if (d->p->ins.v[d->reached[i]].op == RX_MATCH)
      return d->best[d->reached[i]].tag;
  return NULL;
}

static void save_match(const struct dfa *d, struct moves *m, const struct state *s, const u8 *tag)
{
  for (u32 t = 0; t < d->ntags; t++)
    move(m, RX_TO_TAG | t,
         t == 1 || tag[t] == NOW ? RX_FROM_POS
         : tag[t] == NONE        ? RX_FROM_NONE
                                 : s->reg[tag[t]]);
}

/* The relations of a new state's threads, which came from state s. */
static bool relate_all(struct dfa *d, const struct state *s, struct state *to)
{
  u32 n = to->nthreads;
  if (n > MAX_THREADS)
    return too_large(d);
  memset(to->relation, 0, relation_bytes(to));
  for (u32 i = 0; i < n; i++)
    for (u32 k = i + 1; k < n; k++)
      if (to->thread[i].tag[0] == to->thread[k].tag[0])
        to->relation[i * n + k] =
            relate(d, s, &to->thread[i], &to->thread[k], &to->relation[k * n + i]);
  return d->p->work <= RX_MAX_WORK || too_large(d);
}

/* The entry of a state for a class, after the closure for its kind. */
static bool transition(struct dfa *d, const struct state *s, u32 class, struct thread *room,
                       u32 *entry)
{
  u8 byte = class ? d->byte_of[class] : 0, source[RX_REGS];
  const u8 *match = found(d);
  struct moves m = {.n = 0};
  struct state to = {
      .thread = room, .relation = d->relations, .starting = class && s->starting && !match};
  *entry = RX_NO;
  if (match && !d->ntags) {
    *entry = RX_YES;
    return true;
  }
  if (match)
    save_match(d, &m, s, match);
  for (u32 i = 0; class && i < d->nreached; i++) {
    const struct thread *t = &d->best[d->reached[i]];
    const struct rx_ins *in = &d->p->ins.v[t->pc];
    if (in->op != RX_SET || !rx_has(&d->p->sets.v[in->a], byte))
      continue;
    if (match && t->tag[0] > match[0]) /* started later */
      continue;
    to.thread[to.nthreads] = *t;
    to.thread[to.nthreads++].pc = t->pc + 1;
  }
  to.ctx = d->p->words && rx_is_word(byte) ? AFTER_WORD : AFTER_OTHER;
  if (to.nthreads || to.starting) {
    bool is_new;
    if (d->ntags && !relate_all(d, s, &to))
      return false;
    if (!rank_registers(d, &to, source))
      return false;
    u32 n = state_number(d, &to, &is_new);
    if (is_new)
      choose_registers(d->states.v[n], s, source);
    move_registers(&m, d->states.v[n], s, source);
    *entry = RX_YES + 1 + n;
  }
  *entry |= program_number(d, &m) << 16;
  return !d->p->why;
}

static enum kind kind_of(const struct dfa *d, u32 class)
{
  return !class ? NEXT_NUL : d->p->words && rx_is_word(d->byte_of[class]) ? NEXT_WORD : NEXT_OTHER;
}

static bool expand(struct dfa *d, u32 n, struct thread *room)
{
  const struct state *s = d->states.v[n];
  u32 row = d->next.n;
  for (u32 c = 0; c < d->nclasses; c++)
    vec_push(d->a, &d->next, RX_NO);
  for (enum kind kind = 0; kind < NKINDS; kind++) {
    bool made = false;
    for (u32 c = 0; c < d->nclasses; c++) {
      if (kind_of(d, c) != kind)
        continue;
      if (!made && !closure(d, s, kind))
        return false;
      made = true;
      if (!transition(d, s, c, room, &d->next.v[row + c]))
        return false;
    }
  }
  return true;
}

static bool make_dfa(struct dfa *d, struct rx_prog *p, u32 ntags)
{
  *d = (struct dfa){.p = p, .a = p->a, .ntags = ntags};
  make_classes(d);
  d->best = NEW_ARRAY(d->a, struct thread, p->ins.n);
  d->seen = NEW_ARRAY(d->a, u32, p->ins.n);
  d->reached = NEW_ARRAY(d->a, u32, p->ins.n);
  struct thread *room = NEW_ARRAY(d->a, struct thread, p->ins.n);
  vec_push(d->a, &d->marks, ((struct mark){0}));
  if (ntags) {
    d->mine = NEW_ARRAY(d->a, u32, MAX_PATH + 1);
    d->theirs = NEW_ARRAY(d->a, u32, MAX_PATH + 1);
    d->relations = NEW_ARRAY(d->a, struct relation, MAX_THREADS * MAX_THREADS);
  }
  vec_push(d->a, &d->moves, (u16)0);
  d->programs = NEW_ARRAY(d->a, u16, PROGRAM_SLOTS);
  struct state start = {.thread = room, .starting = true, .ctx = AT_BEGIN};
  bool is_new;
  state_number(d, &start, &is_new);
  for (u32 n = 0; n < d->states.n; n++) {
    if ((u64)(n + 1) * d->nclasses > MAX_ENTRIES)
      return too_large(d);
    if (!expand(d, n, room))
      return false;
  }
  return true;
}

/* ---- the table without groups -------------------------------------------------------------- */

/* Merges states that no string tells apart.  Blocks are refined until nothing changes, from "states
 * and RX_NO are one, RX_YES another"; block[] is by entry (RX_NO, RX_YES, states).  */
struct blocks {
  u32 *block, *fresh, count;
  u32 *slot, mask; /* hash table of the entries that began a block in this round, or 0 */
};

static const u32 *row_of(const struct dfa *d, u32 entry)
{
  return &d->next.v[(entry - RX_YES - 1) * d->nclasses];
}

static bool same_followers(const struct dfa *d, const struct blocks *b, u32 x, u32 y)
{
  bool same = b->block[x] == b->block[y];
  for (u32 c = 0; c < d->nclasses && same; c++)
    same = b->block[row_of(d, x)[c]] == b->block[row_of(d, y)[c]];
  return same;
}

/* The block of an entry after this round. */
static u32 fresh_block(const struct dfa *d, struct blocks *b, u32 entry)
{
  u64 h = b->block[entry];
  bool dead = h == RX_NO; /* so far like RX_NO, all of whose followers are itself */
  for (u32 c = 0; c < d->nclasses; c++) {
    u32 to = b->block[row_of(d, entry)[c]];
    dead &= to == RX_NO;
    h = (h ^ to) * 0x9e3779b97f4a7c15ull;
    h ^= h >> 31;
  }
  if (dead)
    return RX_NO;
  for (;; h++) {
    u32 *k = &b->slot[h & b->mask];
    if (!*k) {
      *k = entry;
      return b->count++;
    }
    if (same_followers(d, b, *k, entry))
      return b->fresh[*k];
  }
}

static void minimise(const struct dfa *d, struct blocks *b)
{
  u32 n = d->states.n + RX_YES + 1, before = 0;
  for (b->mask = 16; b->mask < 2 * n; b->mask *= 2)
    ;
  b->slot = NEW_ARRAY(d->a, u32, b->mask--);
  b->block = NEW_ARRAY(d->a, u32, n);
  b->fresh = NEW_ARRAY(d->a, u32, n);
  b->block[RX_YES] = b->fresh[RX_YES] = RX_YES;
  while (b->count != before || !before) {
    before = b->count;
    b->count = RX_YES + 1;
    memset(b->slot, 0, (b->mask + 1) * sizeof(u32));
    for (u32 i = RX_YES + 1; i < n; i++)
      b->fresh[i] = fresh_block(d, b, i);
    memcpy(b->block, b->fresh, n * sizeof(u32));
  }
}

/* The index of a block's row. */
static u32 row_index(const struct dfa *d, u32 block)
{
  return block <= RX_YES ? block : RX_YES + 1 + (block - RX_YES - 1) * d->nclasses;
}

/* As the table without groups names it. */
static u32 row_offset(const struct dfa *d, u32 block)
{
  return block <= RX_YES ? block : (u32)sizeof(u16) * row_index(d, block);
}

bool rx_match_table(struct rx_prog *p, struct regex *re)
{
  struct dfa dfa, *d = &dfa;
  struct blocks b = {0};
  if (!make_dfa(d, p, 0))
    return false;
  minimise(d, &b);
  u32 entries = row_index(d, b.count);
  re->match_size = (u32)(sizeof(struct rx_match_table) + sizeof(u16) * entries);
  struct rx_match_table *t = arena_alloc(d->a, ROUND_UP(re->match_size, 8));
  for (u32 c = 0; c < 256; c++)
    t->class_of[c] = (u16)(sizeof(u16) * d->class_of[c]);
  t->start = row_offset(d, b.block[RX_YES + 1]);
  for (u32 i = RX_YES + 1; i < d->states.n + RX_YES + 1; i++)
    for (u32 c = 0; c < d->nclasses && b.block[i] > RX_YES; c++)
      t->next[row_index(d, b.block[i]) + c] = (u16)row_offset(d, b.block[row_of(d, i)[c]]);
  re->match = t;
  return true;
}

/* ---- the table with groups ----------------------------------------------------------------- */

bool rx_group_table(struct rx_prog *p, struct regex *re)
{
  struct dfa dfa, *d = &dfa;
  if (!make_dfa(d, p, 2 * re->ngroups))
    return false;
  u32 rows = sizeof(u32) * (2 + d->states.n * d->nclasses);
  u32 moves = (u32)sizeof(struct rx_group_table) + rows;
  u32 match = ROUND_UP(moves + d->moves.n * (u32)sizeof(u16), 8);
  u8 *table = arena_alloc(d->a, ROUND_UP(match + re->match_size, 8));
  struct rx_group_table *t = (struct rx_group_table *)table;
  t->start = RX_YES + 1;
  t->ngroups = re->ngroups;
  t->moves = moves;
  t->match = match;
  memcpy(t->class_of, d->class_of, sizeof(t->class_of));
  for (u32 i = 0; i < d->next.n; i++) {
    u32 e = d->next.v[i], to = e & 0xffff;
    t->next[RX_YES + 1 + i] = row_index(d, to) | (e & 0xffff0000);
  }
  memcpy(table + moves, d->moves.v, d->moves.n * sizeof(u16));
  memcpy(table + match, re->match, re->match_size);
  re->groups = table;
  re->groups_size = match + re->match_size;
  return true;
}

/* Jumps that are farther than an instruction's 16-bit offset reaches (Linux 6.1 knows no longer
 * ones) go by way of islands: every STEP instructions there may be one, made of jumps that go on to
 * where others want.  Code that runs into an island jumps over it.  */
#include "bpf/gen.h"

enum { STEP = 16000, HOP = 28000 }; /* the rest of the reach is for the islands between */

struct hop {
  u32 target;      /* where it leads in the end: an instruction of the code without islands */
  s32 next_island; /* the island that it goes by; -1: none */
  u32 next;        /* its hop there */
};
struct island {
  u32 at;    /* stands in front of this instruction */
  bool skip; /* code runs into it */
  VEC(struct hop) hops;
  u32 start; /* its place in the end */
};
struct far {
  struct gen *g;
  struct bpf_sub *s;
  const s32 *target;
  struct island *island;
  u32 nislands;
};

static bool reaches(u32 from, u32 to, u32 reach)
{
  u32 distance = from < to ? to - from : from - to;
  return distance <= reach;
}

static bool is_far(const struct bpf_sub *s, const s32 *target)
{
  for (u32 i = 0; i < s->insns.n; i++)
    if (target[i] >= 0 && !reaches(i + 1, (u32)target[i], INT16_MAX))
      return true;
  return false;
}

static void place_islands(struct far *f)
{
  const struct bpf_sub *s = f->s;
  u32 n = s->insns.n, last = 0;
  f->island = NEW_ARRAY(f->g->a, struct island, n / STEP + 1);
  for (u32 i = 0, w; i < n; last = i, i += w) {
    w = insn_width(&s->insns.v[i]);
    if (i >= (f->nislands + 1) * STEP)
      f->island[f->nislands++] =
          (struct island){.at = i, .skip = insn_falls_through(&s->insns.v[last])};
  }
}

/* The hop by which a jump at `from` gets to `target`; its island, or -1: it gets there by itself.
 */
static s32 hop_to(struct far *f, u32 from, u32 target, u32 *hop)
{
  if (reaches(from, target, HOP))
    return -1;
  s32 best = -1;
  for (u32 k = 0; k < f->nislands; k++) {
    u32 at = f->island[k].at;
    bool between = target > from ? at > from && at < target : at < from && at > target;
    if (between && reaches(from, at, HOP) && (best < 0 || target > from))
      best = (s32)k;
  }
  if (best < 0)
    return -1;
  struct island *is = &f->island[best];
  for (*hop = 0; *hop < is->hops.n; ++*hop)
    if (is->hops.v[*hop].target == target)
      return best;
  vec_push(f->g->a, &is->hops, ((struct hop){.target = target, .next_island = -1}));
  u32 next = 0;
  s32 next_island = hop_to(f, is->at, target, &next);
  is->hops.v[*hop].next_island = next_island;
  is->hops.v[*hop].next = next;
  return best;
}

static void add(struct far *f, struct bpf_sub *to, s32 *target, struct bpf_insn i, s32 t)
{
  target[to->insns.n] = t;
  vec_push(f->g->a, &to->insns, i);
}

static s32 place_of(const struct far *f, s32 island, u32 hop, s32 direct)
{
  return island < 0 ? direct : (s32)(f->island[island].start + f->island[island].skip + hop);
}

s32 *far_jumps(struct gen *g, struct bpf_sub *s, s32 *target)
{
  if (!is_far(s, target))
    return target;
  struct far f = {.g = g, .s = s, .target = target};
  u32 n = s->insns.n, added = 0, k = 0;
  place_islands(&f);
  s32 *by = NEW_ARRAY(g->a, s32, n); /* each jump's first island and hop */
  u32 *hop = NEW_ARRAY(g->a, u32, n);
  for (u32 i = 0; i < n; i++)
    by[i] = target[i] < 0 ? -1 : hop_to(&f, i, (u32)target[i], &hop[i]);

  u32 *moved = NEW_ARRAY(g->a, u32, n + 1);
  for (u32 i = 0; i <= n; i++) {
    if (k < f.nislands && f.island[k].at == i) {
      f.island[k].start = i + added;
      f.island[k].skip &= f.island[k].hops.n != 0;
      added += f.island[k].hops.n + f.island[k].skip;
      k++;
    }
    moved[i] = i + added;
  }
  struct bpf_sub out = {0};
  s32 *to = NEW_ARRAY(g->a, s32, n + added + 1);
  const struct bpf_insn jump = {.code = BPF_JMP | BPF_JA};
  k = 0;
  for (u32 i = 0; i < n; i++) {
    if (k < f.nislands && f.island[k].at == i) {
      const struct island *is = &f.island[k++];
      if (is->skip)
        add(&f, &out, to, jump, (s32)moved[i]);
      for (u32 h = 0; h < is->hops.n; h++)
        add(&f, &out, to, jump,
            place_of(&f, is->hops.v[h].next_island, is->hops.v[h].next,
                     (s32)moved[is->hops.v[h].target]));
    }
    s32 direct = target[i] < 0 ? -1 : (s32)moved[target[i]];
    add(&f, &out, to, s->insns.v[i], place_of(&f, by[i], hop[i], direct));
  }
  s->insns.v = out.insns.v;
  s->insns.n = out.insns.n;
  s->insns.cap = out.insns.cap;
  for (u32 r = 0; r < s->relocs.n; r++)
    s->relocs.v[r].insn = moved[s->relocs.v[r].insn];
  return to;
}

/* IR to BPF units: the maps, the frame's layout, and the order of things.
 *
 *   flatten.c   functions and loops that BPF's call stack can't hold
 *   alloc.c     where registers live
 *   handler.c   programs: handlers' entry and exit
 *   cfg.c       blocks, edges, loops, functions
 *   turns.c     loops that need no call per turn
 *   sel.c       instructions; context.c, output.c, mapop.c, lock.c, statiter.c, iters.c theirs
 *   emit.c      the builder of BPF instructions  */
#include "bpf/gen.h"

#include <bpf/libbpf.h>

#include "runtime/format.h"

enum { CTL_BYTES = sizeof(struct rt_ctl) };

/* ---- functions that can fail --------------------------------------------------- */

static bool body_can_fail(const struct gen *g, const struct ir_fn *fn)
{
  for (u32 l = 0; l < fn->loops.n && g->endless; l++)
    if (fn->blocks.v[fn->loops.v[l].header]->handler == IR_NO)
      return true;
  for (u32 n = 0; n < fn->blocks.n; n++)
    for (u32 k = 0; k < fn->blocks.v[n]->ins.n; k++)
      if (fn->blocks.v[n]->handler == IR_NO ? ins_can_fail(g, &fn->blocks.v[n]->ins.v[k])
                                            : ins_can_abort(g, &fn->blocks.v[n]->ins.v[k]))
        return true;
  return false;
}

static bool calls_abort(const struct ir_fn *fn)
{
  for (u32 n = 0; n < fn->blocks.n; n++)
    for (u32 k = 0; k < fn->blocks.v[n]->ins.n; k++) {
      const struct ir_ins *i = &fn->blocks.v[n]->ins.v[k];
      if (i->op == IR_FN && i->builtin->fn == FN_ABORT)
        return true;
    }
  return false;
}

/* May a loop turn more often than bpf_loop lets it? */
static void find_endless(struct gen *g)
{
  g->endless = g->m->no_budget || MAX(g->m->maxaction, g->m->maxaction_interruptible) > LOOP_MAX;
  if (!g->endless)
    return;
  struct ir_error e = {.text = "MAXACTION exceeded"};
  g->endless_err = g->m->errors.n;
  vec_push(g->m->a, &g->m->errors, e);
}

static void find_failing(struct gen *g)
{
  for (u32 i = 0; i < g->m->fns.n; i++)
    g->aborts |= calls_abort(g->m->fns.v[i]);
  for (bool changed = true; changed;) {
    changed = false;
    for (u32 i = 0; i < g->m->fns.n; i++) {
      struct genfn *f = g->gfn[g->m->fns.v[i]->id].gf;
      if (f && !f->can_fail && body_can_fail(g, f->fn))
        changed = f->can_fail = true;
    }
  }
}

/* ---- the image -------------------------------------------------------------- */

static void add_map(struct gen *g, const char *name, enum bpf_map_type type, u32 key, u32 value,
                    u32 entries, u32 flags)
{
  struct bpf_mapdef d = {.name = name,
                         .type = type,
                         .key_size = key,
                         .value_size = value,
                         .max_entries = entries,
                         .flags = flags,
                         .fd = -1};
  vec_push(g->a, &g->img->maps, d);
}

static u32 ring_bytes(const struct ir_module *m, const struct run_options *o)
{
  u32 mb = 1;
  for (u32 i = 0; i < m->probes.n; i++)
    if (m->probes.v[i]->inst->kind != PROG_SESSION)
      mb = 16;
  if (o->buffer_mb)
    mb = o->buffer_mb;
  u32 bytes = 1u << 20;
  while (bytes < mb << 20 && bytes < 1u << 30)
    bytes <<= 1;
  return mb == 1 && !o->buffer_mb ? 256u << 10 : bytes;
}

static void well_known_maps(struct gen *g)
{
  u32 ncpu = (u32)libbpf_num_possible_cpus();
  struct bpf_image *img = g->img;
  img->nslots = 4;
  add_map(g, "state", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct rt_state), 1, BPF_F_MMAPABLE);
  add_map(g, "frames", BPF_MAP_TYPE_ARRAY, 4, 8, ncpu * img->nslots, 0);
  add_map(g, "slots", BPF_MAP_TYPE_ARRAY, 4, 8 * ncpu * img->nslots, 1, 0);
  add_map(g, "rodata", BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0);
  add_map(g, "globals", BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_MMAPABLE);
  add_map(g, "ring", BPF_MAP_TYPE_RINGBUF, 0, 0, ring_bytes(g->m, g->opt), 0);
  add_map(g, "ctl", BPF_MAP_TYPE_RINGBUF, 0, 0, 64u << 10, 0);
}

static u32 count_ints(const struct ir_fn *fn)
{
  u32 n = 0;
  for (u32 r = 0; r < fn->regs.n; r++)
    n += fn->regs.v[r].type == IR_INT;
  return n;
}

static u32 scratch_size(struct gen *g, const struct ir_fn *fn, u32 *key, u32 *rec)
{
  *key = *rec = 0;
  u32 val = 0;
  for (u32 n = 0; n < fn->blocks.n; n++)
    for (u32 k = 0; k < fn->blocks.v[n]->ins.n; k++) {
      const struct ir_ins *i = &fn->blocks.v[n]->ins.v[k];
      bool log = i->op == IR_FN && i->builtin->fn == FN_LOG;
      if (i->op == IR_PRINT || i->op == IR_HISTPRINT || log) {
        u32 size = sizeof(struct rt_rec) + 16;
        for (u32 j = 0; j < i->nargs; j++)
          size += i->args[j].kind == V_INT && !(i->op == IR_PRINT && fmt_memory(i->fmt, j))
                      ? 8
                      : g->M + 16;
        if (i->op == IR_HISTPRINT)
          size += 8 * hist_buckets(&i->global->hists.v[i->imm]);
        *rec = MAX(*rec, size);
      } else if (i->op == IR_SPRINT) {
        *rec = MAX(*rec, g->M);
      } else if (i->op >= IR_MGET && i->op <= IR_MDEL_SLICE) {
        const struct bpf_gmap *gm = &g->gmap[i->global->id];
        *key = MAX(*key, gm->key_size);
        val = MAX(val, gm->val_size);
        if (i->op == IR_MCAT) /* cut only when it's there */
          val = MAX(val, gm->val_off + g->M);
      } else if (i->op == IR_ITER_BEGIN) {
        *key = MAX(*key, g->gmap[i->iter->map->id].key_size);
      }
    }
  return val;
}

static u32 take_area(struct gen *g, struct genfn *f, u32 size)
{
  if (!size)
    return 0;
  size = ROUND_UP(size, 8);
  if (!f->framed) {
    f->stack_used += (s32)size;
    return (u32)-f->stack_used;
  }
  u32 off = g->str_top;
  g->str_top += size;
  return off;
}

static void find_locks(struct gen *g, struct genfn *f)
{
  for (u32 n = 0; n < f->fn->blocks.n; n++)
    for (u32 k = 0; k < f->fn->blocks.v[n]->ins.n; k++) {
      const struct ir_ins *i = &f->fn->blocks.v[n]->ins.v[k];
      if (i->op != IR_LOCK)
        continue;
      bool known = false;
      for (u32 l = 0; l < f->locks.n; l++)
        known |= f->locks.v[l].set == i->lock;
      if (known)
        continue;
      u32 at = f->locks.n;
      if (f->locks.n == f->locks.cap)
        f->locks.v = vec_grow(g->a, f->locks.v, at, &f->locks.cap, sizeof(*f->locks.v));
      f->locks.v[at].set = i->lock;
      if (f->framed) {
        f->locks.v[at].off = (s32)g->int_top;
        g->int_top += 8;
      } else {
        f->stack_used += 8;
        f->locks.v[at].off = -f->stack_used;
      }
      f->locks.n++;
    }
}

static void place_fn(struct gen *g, struct genfn *f)
{
  u32 key, rec, val = scratch_size(g, f->fn, &key, &rec);
  if (f->fn->is_handler && f->framed) {
    key = g->handler_key;
    val = g->handler_val;
  }
  f->key_off = take_area(g, f, key);
  f->val_off = take_area(g, f, val);
  alloc_fn(g, f);
  if (f->framed)
    f->rec_off = take_area(g, f, rec);
  if (f->framed && !f->fn->is_handler) {
    f->ret_off = f->fn->result == IR_STR ? g->str_top : g->int_top;
    if (f->fn->result == IR_STR)
      g->str_top += g->M;
    else
      g->int_top += 8;
  }
  if (is_flat(g, f->fn)) {
    f->flat_bytes = flat_stack_bytes(g, f->fn);
    f->flat_off = take_area(g, f, 8 + f->flat_bytes);
  }
  find_locks(g, f);
}

/* Places a handler or a condition: on the stack if it may be without a frame and takes no more than
 * `max` bytes there, else in the frame. */
static struct genfn *place_within(struct gen *g, struct genfn *f, s32 max)
{
  place_fn(g, f);
  if (!f->framed && f->stack_used > max) {
    struct genfn *again = genfn_new(g, f->fn);
    again->probe = f->probe;
    again->framed = true;
    place_fn(g, again);
    f = again;
  }
  find_exits(g, f);
  return f;
}

/* Has the probe a condition that no earlier one shares? */
static bool own_cond(const struct ir_probe *p)
{
  return p->cond && !p->same;
}

/* Gives every function and handler its part of the frame: functions each their own, handlers
 * all the same, since one frame serves one handler. */
static struct genfn **place_all(struct gen *g)
{
  struct ir_module *m = g->m;
  struct genfn **handler = NEW_ARRAY(g->a, struct genfn *, m->probes.n + 1);
  u32 fn_ints = 0, handler_ints = 0;
  for (u32 i = 0; i < m->fns.n; i++)
    fn_ints += count_ints(m->fns.v[i]) + 2;
  for (u32 i = 0; i < m->probes.n; i++) {
    handler_ints = MAX(handler_ints, count_ints(m->probes.v[i]->handler) + 18);
    if (own_cond(m->probes.v[i]))
      fn_ints += count_ints(m->probes.v[i]->cond) + 2;
  }
  g->int_top = RT_OFF_VARS(g->M);
  g->str_top = g->int_top + 8 * (ITER_SLOTS * m->iters.n + fn_ints + handler_ints);
  layout_frame_areas(g);
  for (u32 i = 0; i < m->fns.n; i++) {
    struct genfn *f = g->gfn[m->fns.v[i]->id].gf;
    if (!f)
      continue;
    f->framed = true;
    place_fn(g, f);
    find_exits(g, f);
  }
  for (u32 i = 0; i < m->probes.n; i++)
    if (own_cond(m->probes.v[i])) {
      struct genfn **f = &g->gfn[m->probes.v[i]->cond->id].gf;
      (*f)->framed = needs_frame(g, (*f)->fn);
      *f = place_within(g, *f, COND_STACK_MAX);
    }
  for (u32 i = 0; i < m->probes.n; i++) {
    u32 key, rec, val = scratch_size(g, m->probes.v[i]->handler, &key, &rec);
    g->handler_key = MAX(g->handler_key, key);
    g->handler_val = MAX(g->handler_val, val);
  }
  u32 ints = g->int_top, strs = g->str_top, max = strs;
  for (u32 i = 0; i < m->probes.n; i++) {
    if (m->probes.v[i]->same) {
      handler[i] = handler[m->probes.v[i]->same->id];
      continue;
    }
    g->int_top = ints;
    g->str_top = strs;
    struct genfn *f = genfn_new(g, m->probes.v[i]->handler);
    f->probe = m->probes.v[i];
    const struct ir_fn *cond = f->probe->cond;
    f->framed = (cond && g->gfn[cond->id].gf->framed) || f->probe->inst->kind == PROG_SESSION ||
                needs_frame(g, f->fn);
    handler[i] = place_within(g, f, STACK_MODE_MAX - CTL_BYTES);
    max = MAX(max, g->str_top);
  }
  g->img->frame_size = ROUND_UP(max, 8) + RT_SLACK(g->M);
  return handler;
}

static void finish_maps(struct gen *g)
{
  struct bpf_image *img = g->img;
  struct bpf_mapdef *maps = img->maps.v;
  rodata_add(g, "\0\0\0\0\0\0\0", 8, 8);
  u32 size = 64;
  while (size < g->rodata.n + 2 * g->M + 8)
    size *= 2;
  img->rodata_size = size;
  maps[BMAP_RODATA].value_size = size;
  maps[BMAP_RODATA].init = arena_strndup(g->a, g->rodata.s, g->rodata.n);
  maps[BMAP_RODATA].init_len = (u32)g->rodata.n;
  maps[BMAP_FRAMES].value_size = img->frame_size;
}

struct bpf_image *bpf_gen(struct arena *a, struct ir_module *m, const struct run_options *o,
                          struct diag *d)
{
  struct gen gen = {.a = a, .m = m, .diag = d, .opt = o}, *g = &gen;
  g->L = m->maxstringlen;
  g->M = RT_BUFFER(g->L);
  g->img = NEW(a, struct bpf_image);
  g->img->a = a;
  g->img->m = m;
  g->img->maxstringlen = m->maxstringlen;
  strmap_init(&g->lits, a);
  rodata_add(g, "\0\0\0\0\0\0\0", 8, 8);
  well_known_maps(g);
  layout_globals(g);
  /* Conditions are functions behind the script's. */
  g->nfns = m->fns.n;
  for (u32 i = 0; i < m->probes.n; i++)
    if (own_cond(m->probes.v[i]))
      m->probes.v[i]->cond->id = g->nfns++;
  g->gfn = NEW_ARRAY(a, struct gfn, g->nfns + 1);
  flatten_module(g);
  for (u32 i = 0; i < m->fns.n; i++)
    if (m->fns.v[i]->blocks.n)
      g->gfn[m->fns.v[i]->id].gf = genfn_new(g, m->fns.v[i]);
  for (u32 i = 0; i < m->probes.n; i++)
    if (own_cond(m->probes.v[i]))
      g->gfn[m->probes.v[i]->cond->id].gf = genfn_new(g, m->probes.v[i]->cond);
  find_endless(g);
  find_failing(g);
  struct genfn **handler = place_all(g);
  bool *done = NEW_ARRAY(a, bool, m->probes.n + 1);
  for (u32 i = 0; i < m->probes.n && !d->nerrors; i++)
    if (!done[i] && m->probes.v[i]->inst->kind != PROG_NEVER)
      gen_unit(g, handler, i, done);
  finish_maps(g);
  sb_free(&g->rodata);
  return g->failed || d->nerrors ? NULL : g->img;
}

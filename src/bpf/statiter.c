/* Statistics and foreach.
 *
 * A statistic is one struct rt_stat per CPU; reading it calls the global's merge(), a subprogram
 * that adds up the CPUs' parts into an area of the frame.
 *
 * foreach copies the elements' keys (and values) into a snapshot map, and one rt_sort_entry each
 * into a sort map; the runtime sorts those.  Where a recursive function may call itself from within
 * its foreach, both maps are stacks: the inner snapshot begins behind the outer's.  */
#include "bpf/gen.h"

#include "runtime/format.h"

enum { STACKED_BYTES = 64 << 20 };

static u32 take(u32 *top, u32 size)
{
  u32 off = *top;
  *top += ROUND_UP(size, 8);
  return off;
}

/* Entries of a foreach's maps: an array's, as often as its function may be active (but see how much
 * memory that takes: the rest is an error of the script that needs it).  */
static u32 iter_capacity(const struct gen *g, const struct ir_iter *it, const struct giter *gi)
{
  u64 n = it->map->maxentries;
  if (!gi->stacked)
    return (u32)n;
  u64 most = STACKED_BYTES / (gi->entry_size + 2 * sizeof(struct rt_sort_entry));
  return (u32)MAX(n, MIN(n * ((u64)g->m->maxnesting + 1), most));
}

/* Frame areas that belong to a global or a foreach rather than to a function. */
void layout_frame_areas(struct gen *g)
{
  struct ir_module *m = g->m;
  for (u32 i = 0; i < m->globals.n; i++) {
    struct ir_global *v = m->globals.v[i];
    struct bpf_gmap *gm = &g->gmap[v->id];
    if (v->type != TY_STATS)
      continue;
    gm->stat_key = take(&g->str_top, MAX(gm->key_size, 8u));
    gm->stat_val = take(&g->str_top, gm->val_size);
  }
  const u32 *owners = iters_share(g);
  for (u32 i = 0; i < m->iters.n; i++) {
    struct ir_iter *it = m->iters.v[i];
    struct giter *gi = &g->giter[it->id];
    if (owners[i] != i) {
      *gi = g->giter[owners[i]];
      continue;
    }
    const struct bpf_gmap *gm = &g->gmap[it->map->id];
    gi->pos_off = (s32)take(&g->int_top, 8);
    gi->cnt_off = (s32)take(&g->int_top, 8);
    gi->idx_off = (s32)take(&g->int_top, 8);
    gi->base_off = (s32)take(&g->int_top, 8);
    gi->top_off = (s32)take(&g->int_top, 8);
    gi->val_off = gm->key_size;
    gi->entry_size = gm->key_size + (it->map->type == TY_STATS ? 0 : gm->val_size - gm->val_off);
    gi->cap = iter_capacity(g, it, gi);
    struct bpf_mapdef snap = {.name = "snapshot",
                              .type = BPF_MAP_TYPE_ARRAY,
                              .key_size = 4,
                              .value_size = gi->entry_size,
                              .max_entries = gi->cap,
                              .fd = -1};
    /* the sort needs as much again to merge into */
    struct bpf_mapdef sort = {.name = "sort",
                              .type = BPF_MAP_TYPE_ARRAY,
                              .key_size = 4,
                              .value_size = sizeof(struct rt_sort_entry),
                              .max_entries = 2 * gi->cap,
                              .fd = -1};
    vec_push(g->a, &g->img->maps, snap);
    gi->snap = g->img->maps.n - 1;
    vec_push(g->a, &g->img->maps, sort);
    gi->sort = g->img->maps.n - 1;
  }
}

/* ---- merging statistics ------------------------------------------------------------ */

static s32 stat_at(u32 field)
{
  return (s32)field;
}

/* Adds the CPU's part at R0 to the area at R9 + at.  R1-R5 are free. */
static void merge_part(struct gen *g, const struct ir_global *v, const struct bpf_gmap *gm)
{
  s32 at = (s32)gm->stat_val + (s32)gm->val_off, from = (s32)gm->val_off;
  u32 first = label_new(g), done = label_new(g), min_ok = label_new(g), max_ok = label_new(g);
  u32 sums = label_new(g);
  if (gm->val_off) { /* the insertion number: one CPU has it, the others zero */
    emit_ldx(g, SZ_DW, R1, R0, 0);
    emit_ldx(g, SZ_DW, R2, R9, (s32)gm->stat_val);
    emit_alu(g, BPF_ADD, R1, R2);
    emit_stx(g, SZ_DW, R9, (s32)gm->stat_val, R1);
  }
  emit_ldx(g, SZ_DW, R1, R0, from + stat_at(offsetof(struct rt_stat, count)));
  emit_jcci(g, BPF_JEQ, R1, 0, done);
  emit_mov(g, R6, R0);
  if (v->stat_ops >> STAT_VARIANCE & 1) {
    /* Two runs into one: by the runtime, on offsets. */
    for (u32 k = 0; k < sizeof(struct rt_stat); k += 8) {
      emit_ldx(g, SZ_DW, R2, R6, from + (s32)k);
      emit_stx(g, SZ_DW, R9, (s32)RT_OFF_TMP(g->M) + (s32)k, R2);
    }
    emit_mov(g, R1, R9);
    emit_movi(g, R2, at);
    emit_movi(g, R3, (s64)RT_OFF_TMP(g->M));
    emit_rt(g, "rt_stat_merge");
    emit_jmp(g, sums);
  }
  emit_ldx(g, SZ_DW, R2, R9, at + stat_at(offsetof(struct rt_stat, count)));
  emit_mov(g, R3, R2);
  emit_alu(g, BPF_ADD, R3, R1);
  emit_stx(g, SZ_DW, R9, at + stat_at(offsetof(struct rt_stat, count)), R3);
  emit_ldx(g, SZ_DW, R3, R9, at + stat_at(offsetof(struct rt_stat, sum)));
  emit_ldx(g, SZ_DW, R4, R6, from + stat_at(offsetof(struct rt_stat, sum)));
  emit_alu(g, BPF_ADD, R3, R4);
  emit_stx(g, SZ_DW, R9, at + stat_at(offsetof(struct rt_stat, sum)), R3);
  emit_ldx(g, SZ_DW, R4, R6, from + stat_at(offsetof(struct rt_stat, min)));
  emit_jcci(g, BPF_JEQ, R2, 0, first);
  emit_ldx(g, SZ_DW, R3, R9, at + stat_at(offsetof(struct rt_stat, min)));
  emit_jcc(g, BPF_JSGE, R4, R3, min_ok);
  label_here(g, first);
  emit_stx(g, SZ_DW, R9, at + stat_at(offsetof(struct rt_stat, min)), R4);
  label_here(g, min_ok);
  u32 take_max = label_new(g);
  emit_ldx(g, SZ_DW, R4, R6, from + stat_at(offsetof(struct rt_stat, max)));
  emit_jcci(g, BPF_JEQ, R2, 0, take_max);
  emit_ldx(g, SZ_DW, R3, R9, at + stat_at(offsetof(struct rt_stat, max)));
  emit_jcc(g, BPF_JSLE, R4, R3, max_ok);
  label_here(g, take_max);
  emit_stx(g, SZ_DW, R9, at + stat_at(offsetof(struct rt_stat, max)), R4);
  label_here(g, max_ok);
  label_here(g, sums);
  for (u32 off = sizeof(struct rt_stat); off < gm->val_size - gm->val_off; off += 8) {
    emit_ldx(g, SZ_DW, R1, R6, from + (s32)off);
    emit_ldx(g, SZ_DW, R2, R9, at + (s32)off);
    emit_alu(g, BPF_ADD, R1, R2);
    emit_stx(g, SZ_DW, R9, at + (s32)off, R1);
  }
  label_here(g, done);
}

/* merge(slot): sums the statistic under the frame's stat_key into stat_val; returns 1 when the
 * element exists.  */
static u32 merge_sub(struct gen *g, const struct ir_global *v)
{
  struct bpf_gmap *gm = &g->gmap[v->id];
  if (gm->merge_sub != IR_NO)
    return gm->merge_sub;
  struct genfn *f = g->f;
  struct genfn framed = {.framed = true};
  g->f = &framed;
  struct callback c = callback_begin(g, "merge_cpu", 2);
  u32 out = label_new(g);
  emit_ldx(g, SZ_DW, R9, R2, 0);
  emit_mov(g, R3, R1);
  emit_mov(g, R2, R9);
  emit_alui(g, BPF_ADD, R2, (s32)gm->stat_key);
  emit_map(g, R1, gm->map);
  emit_helper(g, BPF_FUNC_map_lookup_percpu_elem);
  emit_jcci(g, BPF_JEQ, R0, 0, out);
  merge_part(g, v, gm);
  label_here(g, out);
  emit_movi(g, R0, 0);
  u32 cb = callback_end(g, &c);

  c = callback_begin(g, arena_printf(g->a, "merge_%u", v->id), 1);
  g->s->callback = false;
  g->s->global = true;
  u32 none = label_new(g), found = label_new(g);
  emit_stx(g, SZ_W, R10, STK_TMP, R1);
  emit_mov(g, R2, R10);
  emit_alui(g, BPF_ADD, R2, STK_TMP);
  emit_map(g, R1, BMAP_FRAMES);
  emit_helper(g, BPF_FUNC_map_lookup_elem);
  emit_jcci(g, BPF_JEQ, R0, 0, none);
  emit_mov(g, R9, R0);
  emit_stx(g, SZ_DW, R10, STK_FRAME, R9);
  for (u32 k = 0; k < gm->val_size; k += 8)
    emit_st(g, SZ_DW, R9, (s32)(gm->stat_val + k), 0);
  emit_mov(g, R2, R9);
  emit_alui(g, BPF_ADD, R2, (s32)gm->stat_key);
  emit_map(g, R1, gm->map);
  emit_helper(g, BPF_FUNC_map_lookup_elem);
  emit_jcci(g, BPF_JNE, R0, 0, found);
  emit_movi(g, R0, 0);
  emit_exit(g);
  label_here(g, found);
  emit_movi(g, R1, g->img->maps.v[BMAP_FRAMES].max_entries / g->img->nslots);
  emit_subptr(g, R2, cb);
  emit_mov(g, R3, R10);
  emit_alui(g, BPF_ADD, R3, STK_FRAME);
  emit_movi(g, R4, 0);
  emit_helper(g, BPF_FUNC_loop);
  emit_movi(g, R0, 1);
  emit_exit(g);
  label_here(g, none);
  emit_movi(g, R0, 0);
  gm->merge_sub = callback_end(g, &c);
  g->f = f;
  return gm->merge_sub;
}

static void call_merge(struct gen *g, const struct ir_global *v)
{
  u32 sub = merge_sub(g, v);
  emit_ldx(g, SZ_W, R1, R9, offsetof(struct rt_frame, slot));
  emit_callsub(g, sub);
}

static void stat_key(struct gen *g, const struct ir_global *v, const struct ir_ins *i)
{
  const struct bpf_gmap *gm = &g->gmap[v->id];
  if (!v->nkeys)
    emit_st(g, SZ_DW, R9, (s32)gm->stat_key, 0);
  for (u32 c = 0; c < v->nkeys; c++)
    key_column(g, &i->args[c], v->key_type[c] == TY_STRING,
               (s32)(gm->stat_key + column_off(g, v, c)), column_size(g, v, c));
}

static void sel_statget(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  const struct ir_global *v = i->global;
  const struct bpf_gmap *gm = &g->gmap[v->id];
  stat_key(g, v, i);
  call_merge(g, v);
  s32 at = (s32)(gm->stat_val + gm->val_off);
  emit_ldx(g, SZ_DW, R0, R9, at + stat_at(offsetof(struct rt_stat, count)));
  if (i->imm > STAT_SUM) {
    u32 some = label_new(g);
    emit_jcci(g, BPF_JNE, R0, 0, some);
    fail(g, b, i);
    label_here(g, some);
  }
  switch (i->imm) {
  case STAT_COUNT:
    break;
  case STAT_SUM:
    emit_ldx(g, SZ_DW, R0, R9, at + stat_at(offsetof(struct rt_stat, sum)));
    break;
  case STAT_MIN:
    emit_ldx(g, SZ_DW, R0, R9, at + stat_at(offsetof(struct rt_stat, min)));
    break;
  case STAT_MAX:
    emit_ldx(g, SZ_DW, R0, R9, at + stat_at(offsetof(struct rt_stat, max)));
    break;
  default:
    emit_mov(g, R1, R9);
    emit_movi(g, R2, at);
    emit_movi(g, R3, i->imm);
    emit_movi(g, R4, i->imm2);
    emit_rt(g, "rt_stat_get");
  }
  def_done(g, i->dst, R0);
}

static void sel_histget(struct gen *g, const struct ir_ins *i)
{
  const struct ir_global *v = i->global;
  const struct bpf_gmap *gm = &g->gmap[v->id];
  const struct hist *h = &v->hists.v[i->imm];
  u32 first = gm->stat_val + gm->val_off + (u32)sizeof(struct rt_stat) + 8 * gm->hist_first[i->imm];
  stat_key(g, v, i);
  call_merge(g, v);
  u32 out = label_new(g), in = label_new(g);
  load_int(g, &i->args[v->nkeys], R1);
  emit_movi(g, R0, 0);
  emit_jcci(g, BPF_JLT, R1, (s32)hist_buckets(h), in);
  emit_jmp(g, out);
  label_here(g, in);
  emit_alui(g, BPF_LSH, R1, 3);
  emit_mov(g, R2, R9);
  emit_alu(g, BPF_ADD, R2, R1);
  emit_alui(g, BPF_ADD, R2, (s32)first);
  emit_ldx(g, SZ_DW, R0, R2, 0);
  label_here(g, out);
  def_done(g, i->dst, R0);
}

/* The merged buckets of a histogram of what isn't empty; the frame offset of the first. */
static u32 read_buckets(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  const struct ir_global *v = i->global;
  const struct bpf_gmap *gm = &g->gmap[v->id];
  u32 off = gm->stat_val + gm->val_off;
  stat_key(g, v, i);
  call_merge(g, v);
  if (i->err != IR_NO) {
    u32 some = label_new(g);
    emit_ldx(g, SZ_DW, R0, R9, (s32)off + stat_at(offsetof(struct rt_stat, count)));
    emit_jcci(g, BPF_JNE, R0, 0, some);
    fail(g, b, i);
    label_here(g, some);
  }
  return off + (u32)sizeof(struct rt_stat) + 8 * gm->hist_first[i->imm];
}

/* The record: header, then the buckets. */
static void sel_histprint(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  struct rt_site site = {.hist_of = i->global, .hist = &i->global->hists.v[i->imm]};
  u32 n = hist_buckets(site.hist), first = read_buckets(g, b, i);
  vec_push(g->a, &g->img->sites, site);
  s32 rec = (s32)g->f->rec_off;
  emit_st(g, SZ_W, R9, rec, (s32)g->img->sites.n - 1);
  emit_st(g, SZ_W, R9, rec + 4, (s32)n * 8);
  for (u32 k = 0; k < n; k++) {
    emit_ldx(g, SZ_DW, R1, R9, (s32)(first + 8 * k));
    emit_stx(g, SZ_DW, R9, rec + (s32)(sizeof(struct rt_rec) + 8 * k), R1);
  }
  emit_movi(g, R0, sizeof(struct rt_rec) + 8 * n);
  send_record(g, sizeof(struct rt_rec) + 8 * n);
}

static void sel_histstr(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  u32 first = read_buckets(g, b, i);
  if (i->dst == IR_NO || g->f->place[i->dst].kind == PL_NONE)
    return;
  struct strbuf table = {0};
  hist_table(&table, &i->global->hists.v[i->imm]);
  emit_movi(g, R2, dst_off(g, i));
  emit_movi(g, R3, first);
  emit_movi(g, R4, rodata_add(g, table.s, table.n, 8));
  rt_call(g, "rt_hist_str");
  sb_free(&table);
}

/* ---- adding to a statistic ------------------------------------------------------------ */

/* Updates this CPU's part at R3 with the value in R2. */
static void stat_update(struct gen *g, const struct ir_global *v, const struct bpf_gmap *gm)
{
  u32 ops = v->stat_ops;
  if (v->show_at_exit)
    ops |= 1u << STAT_SUM | 1u << STAT_MIN | 1u << STAT_MAX;
  s32 at = (s32)gm->val_off;
  u32 avg = 1u << STAT_AVG | 1u << STAT_SUM | 1u << STAT_VARIANCE;
  bool var = ops >> STAT_VARIANCE & 1;
  bool min = var || ops >> STAT_MIN & 1, max = var || ops >> STAT_MAX & 1;
  emit_ldx(g, SZ_DW, R1, R3, at + stat_at(offsetof(struct rt_stat, count)));
  if (min || max) {
    u32 take_min = label_new(g), min_ok = label_new(g);
    u32 take_max = label_new(g), max_ok = label_new(g);
    emit_jcci(g, BPF_JEQ, R1, 0, take_min);
    emit_ldx(g, SZ_DW, R4, R3, at + stat_at(offsetof(struct rt_stat, min)));
    emit_jcc(g, BPF_JSGE, R2, R4, min_ok);
    label_here(g, take_min);
    emit_stx(g, SZ_DW, R3, at + stat_at(offsetof(struct rt_stat, min)), R2);
    label_here(g, min_ok);
    emit_jcci(g, BPF_JEQ, R1, 0, take_max);
    emit_ldx(g, SZ_DW, R4, R3, at + stat_at(offsetof(struct rt_stat, max)));
    emit_jcc(g, BPF_JSLE, R2, R4, max_ok);
    label_here(g, take_max);
    emit_stx(g, SZ_DW, R3, at + stat_at(offsetof(struct rt_stat, max)), R2);
    label_here(g, max_ok);
  }
  emit_alui(g, BPF_ADD, R1, 1);
  emit_stx(g, SZ_DW, R3, at + stat_at(offsetof(struct rt_stat, count)), R1);
  if (ops & avg) {
    emit_ldx(g, SZ_DW, R4, R3, at + stat_at(offsetof(struct rt_stat, sum)));
    emit_alu(g, BPF_ADD, R4, R2);
    emit_stx(g, SZ_DW, R3, at + stat_at(offsetof(struct rt_stat, sum)), R4);
  }
}

/* Running mean and squared deviations: the runtime works on copies in the frame. */
static void stat_variance(struct gen *g, const struct ir_global *v, const struct bpf_gmap *gm)
{
  s32 at = (s32)gm->val_off, tmp = (s32)RT_OFF_TMP(g->M);
  emit_stx(g, SZ_DW, R10, STK_TMP2, R3);
  for (u32 k = 0; k < sizeof(struct rt_stat); k += 8) {
    emit_ldx(g, SZ_DW, R1, R3, at + (s32)k);
    emit_stx(g, SZ_DW, R9, tmp + (s32)k, R1);
  }
  emit_stx(g, SZ_DW, R10, STK_TMP, R2);
  emit_mov(g, R1, R9);
  emit_mov(g, R3, R2);
  emit_movi(g, R2, tmp);
  emit_movi(g, R4, v->variance_shift);
  emit_rt(g, "rt_stat_variance");
  emit_ldx(g, SZ_DW, R3, R10, STK_TMP2);
  emit_ldx(g, SZ_DW, R2, R10, STK_TMP);
  for (u32 k = offsetof(struct rt_stat, mean); k < sizeof(struct rt_stat); k += 8) {
    emit_ldx(g, SZ_DW, R1, R9, tmp + (s32)k);
    emit_stx(g, SZ_DW, R3, at + (s32)k, R1);
  }
}

static void stat_buckets(struct gen *g, const struct ir_global *v, const struct bpf_gmap *gm)
{
  for (u32 h = 0; h < v->hists.n; h++) {
    const struct hist *hi = &v->hists.v[h];
    u32 n = hist_buckets(hi), skip = label_new(g);
    s32 first = (s32)gm->val_off + (s32)sizeof(struct rt_stat) + 8 * (s32)gm->hist_first[h];
    emit_stx(g, SZ_DW, R10, STK_TMP2, R3);
    emit_stx(g, SZ_DW, R10, STK_TMP, R2);
    emit_mov(g, R1, R2);
    if (hi->kind == HIST_LOG) {
      emit_rt(g, "rt_hist_log");
    } else {
      emit_movi(g, R2, hi->lo);
      emit_movi(g, R3, hi->hi);
      emit_movi(g, R4, hi->step);
      emit_rt(g, "rt_hist_linear");
    }
    emit_ldx(g, SZ_DW, R3, R10, STK_TMP2);
    emit_ldx(g, SZ_DW, R2, R10, STK_TMP);
    emit_jcci(g, BPF_JGE, R0, (s32)n, skip);
    emit_alui(g, BPF_LSH, R0, 3);
    emit_mov(g, R1, R3);
    emit_alu(g, BPF_ADD, R1, R0);
    emit_ldx(g, SZ_DW, R4, R1, first);
    emit_alui(g, BPF_ADD, R4, 1);
    emit_stx(g, SZ_DW, R1, first, R4);
    label_here(g, skip);
  }
}

/* Reading from address 0 fails without a fault, and then the helper zeroes the buffer. */
static void zero_area(struct gen *g, s32 off, u32 size)
{
  if (size > 128) {
    emit_mov(g, R1, base_reg(g));
    emit_alui(g, BPF_ADD, R1, off);
    emit_movi(g, R2, size);
    emit_movi(g, R3, 0);
    emit_helper(g, BPF_FUNC_probe_read_kernel);
    return;
  }
  for (u32 k = 0; k < size; k += 8)
    emit_st(g, SZ_DW, base_reg(g), off + (s32)k, 0);
}

static void sel_statadd(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  const struct ir_global *v = i->global;
  const struct bpf_gmap *gm = &g->gmap[v->id];
  u32 have = label_new(g), done = label_new(g);
  if (v->nkeys) {
    struct key k = build_key(g, v, i);
    lookup(g, gm, &k);
    emit_jcci(g, BPF_JNE, R0, 0, have);
    /* A new element: zero on every CPU, with its insertion number. */
    zero_area(g, (s32)g->f->val_off, gm->val_size);
    stage_seq(g, gm);
    insert(g, v, &k);
    u32 added = label_new(g);
    check_inserted(g, b, i, added, added);
    label_here(g, added);
    lookup(g, gm, &k);
    emit_jcci(g, BPF_JEQ, R0, 0, done);
  } else {
    emit_st(g, SZ_W, R10, STK_TMP, 0);
    emit_mov(g, R2, R10);
    emit_alui(g, BPF_ADD, R2, STK_TMP);
    emit_map(g, R1, gm->map);
    emit_helper(g, BPF_FUNC_map_lookup_elem);
    emit_jcci(g, BPF_JEQ, R0, 0, done);
  }
  label_here(g, have);
  emit_mov(g, R3, R0);
  load_int(g, &i->args[v->nkeys], R2);
  if (v->stat_ops >> STAT_VARIANCE & 1)
    stat_variance(g, v, gm);
  stat_update(g, v, gm);
  stat_buckets(g, v, gm);
  label_here(g, done);
}

/* delete of a scalar statistic: every CPU's part to zero. */
void emit_stat_reset(struct gen *g, const struct ir_global *v)
{
  const struct bpf_gmap *gm = &g->gmap[v->id];
  struct callback c = callback_begin(g, "stat_reset", 2);
  u32 out = label_new(g);
  emit_mov(g, R3, R1);
  emit_st(g, SZ_W, R10, STK_TMP, 0);
  emit_mov(g, R2, R10);
  emit_alui(g, BPF_ADD, R2, STK_TMP);
  emit_map(g, R1, gm->map);
  emit_helper(g, BPF_FUNC_map_lookup_percpu_elem);
  emit_jcci(g, BPF_JEQ, R0, 0, out);
  for (u32 k = 0; k < gm->val_size; k += 8)
    emit_st(g, SZ_DW, R0, (s32)k, 0);
  label_here(g, out);
  emit_movi(g, R0, 0);
  u32 cb = callback_end(g, &c);
  emit_movi(g, R1, g->img->maps.v[BMAP_FRAMES].max_entries / g->img->nslots);
  emit_subptr(g, R2, cb);
  emit_mov(g, R3, R10);
  emit_alui(g, BPF_ADD, R3, STK_TMP);
  emit_movi(g, R4, 0);
  emit_helper(g, BPF_FUNC_loop);
}

/* ---- foreach -------------------------------------------------------------------------- */

/* Address in R0 of entry `[R10 + STK_TMP2]` (32 bits) of an array map; leaves to `none` without. */
static void entry_at(struct gen *g, u32 map, u32 none)
{
  emit_mov(g, R2, R10);
  emit_alui(g, BPF_ADD, R2, STK_TMP2);
  emit_map(g, R1, map);
  emit_helper(g, BPF_FUNC_map_lookup_elem);
  emit_jcci(g, BPF_JEQ, R0, 0, none);
}

/* dst = src for `size` bytes at offsets; words by R1, or the kernel's copy when long. */
static void copy_words(struct gen *g, u8 dst, s32 dst_off, u8 src, s32 src_off, u32 size)
{
  if (size > 128) {
    emit_mov(g, R1, dst);
    emit_alui(g, BPF_ADD, R1, dst_off);
    emit_movi(g, R2, size);
    emit_mov(g, R3, src);
    emit_alui(g, BPF_ADD, R3, src_off);
    emit_helper(g, BPF_FUNC_probe_read_kernel);
    return;
  }
  for (u32 k = 0; k < size; k += 8) {
    emit_ldx(g, SZ_DW, R1, src, src_off + (s32)k);
    emit_stx(g, SZ_DW, dst, dst_off + (s32)k, R1);
  }
}

/* Makes an integer compare as unsigned in the wanted direction. */
static void sort_order(struct gen *g, const struct ir_iter *it, u8 reg, bool is_signed)
{
  if (is_signed) {
    emit_movi(g, R2, INT64_MIN);
    emit_alu(g, BPF_XOR, reg, R2);
  }
  if (it->sort_dir < 0)
    emit_alui(g, BPF_XOR, reg, -1);
}

static bool sorts_strings(const struct ir_iter *it)
{
  if (!it->sort_dir)
    return false;
  return it->sort_col ? it->map->key_type[it->sort_col - 1] == TY_STRING
                      : it->map->type == TY_STRING;
}

/* Eight bytes of a string value, which isn't padded: zero from the NUL on.  Uses R1 and R2. */
static void clear_behind_nul(struct gen *g, u8 reg)
{
  emit_movi(g, R1, -0x0101010101010101);
  emit_alu(g, BPF_ADD, R1, reg);
  emit_mov(g, R2, reg);
  emit_alui(g, BPF_XOR, R2, -1);
  emit_alu(g, BPF_AND, R1, R2);
  emit_movi(g, R2, (s64)0x8080808080808080);
  emit_alu(g, BPF_AND, R1, R2); /* the lowest bit set is the first NUL's highest */
  emit_mov(g, R2, R1);
  emit(g, BPF_ALU64 | BPF_NEG, R2, 0, 0, 0);
  emit_alu(g, BPF_AND, R1, R2);
  emit_alui(g, BPF_RSH, R1, 7);
  emit_alui(g, BPF_ADD, R1, -1);
  emit_alu(g, BPF_AND, reg, R1);
}

/* R4 = the first 8 bytes of the element's string, so that they compare as a number. */
static void string_sort_key(struct gen *g, const struct ir_iter *it)
{
  const struct bpf_gmap *gm = &g->gmap[it->map->id];
  if (it->sort_col)
    emit_ldx(g, SZ_DW, R4, R6, (s32)column_off(g, it->map, it->sort_col - 1));
  else
    emit_ldx(g, SZ_DW, R4, R7, (s32)gm->val_off);
  if (!it->sort_col)
    clear_behind_nul(g, R4);
  emit_be64(g, R4);
  if (it->sort_dir < 0)
    emit_alui(g, BPF_XOR, R4, -1);
}

/* R4 = sort key of the element whose key is at R6 and value at R7; frame in R9. */
static void element_sort_key(struct gen *g, const struct ir_iter *it)
{
  const struct ir_global *v = it->map;
  const struct bpf_gmap *gm = &g->gmap[v->id];
  if (!it->sort_dir) {
    emit_movi(g, R4, 0);
    return;
  }
  if (sorts_strings(it)) {
    string_sort_key(g, it);
    return;
  }
  if (it->sort_col) {
    emit_ldx(g, SZ_DW, R4, R6, (s32)column_off(g, v, it->sort_col - 1));
  } else if (v->type == TY_LONG) {
    emit_ldx(g, SZ_DW, R4, R7, (s32)gm->val_off);
  } else {
    s32 at = (s32)(gm->stat_val + gm->val_off);
    u32 op = it->sort_stat == STAT_NONE ? STAT_COUNT : it->sort_stat;
    emit_mov(g, R1, R9);
    emit_movi(g, R2, at);
    emit_movi(g, R3, op);
    emit_movi(g, R4, v->variance_shift);
    emit_rt(g, "rt_stat_get");
    emit_mov(g, R4, R0);
  }
  sort_order(g, it, R4, true);
}

/* Collects one element.  What it counts is in the frame: of the stack the verifier would follow
 * each value.  Context: the address of the caller's STK_TMP, STK_FRAME is above it.  */
static u32 collect_sub(struct gen *g, const struct ir_iter *it)
{
  const struct ir_global *v = it->map;
  const struct bpf_gmap *gm = &g->gmap[v->id];
  const struct giter *gi = &g->giter[it->id];
  struct callback c = callback_begin(g, "collect", 4);
  u32 skip = label_new(g), full = label_new(g);
  emit_mov(g, R6, R2);
  emit_mov(g, R7, R3);
  emit_ldx(g, SZ_DW, R9, R4, STK_FRAME - STK_TMP);
  if (it->slice_mask)
    compare_columns(g, v, it->slice_mask, R6, R9, (s32)g->f->key_off, skip);
  emit_ldx(g, SZ_DW, R8, R9, gi->cnt_off);
  emit_stx(g, SZ_W, R10, STK_TMP2, R8);
  entry_at(g, gi->snap, full);
  emit_stx(g, SZ_DW, R10, STK_TMP, R0);
  copy_words(g, R0, 0, R6, 0, gm->key_size);
  if (v->type == TY_STATS) {
    copy_words(g, R9, (s32)gm->stat_key, R6, 0, gm->key_size);
    call_merge(g, v);
  } else {
    emit_ldx(g, SZ_DW, R0, R10, STK_TMP);
    copy_words(g, R0, (s32)gi->val_off, R7, (s32)gm->val_off, gm->val_size - gm->val_off);
  }
  element_sort_key(g, it);
  emit_stx(g, SZ_DW, R10, STK_TMP, R4);
  entry_at(g, gi->sort, full);
  emit_ldx(g, SZ_DW, R4, R10, STK_TMP);
  emit_stx(g, SZ_DW, R0, offsetof(struct rt_sort_entry, key), R4);
  if (!gm->val_off)
    emit_mov(g, R1, R8);
  else if (v->type == TY_STATS)
    emit_ldx(g, SZ_DW, R1, R9, (s32)gm->stat_val);
  else
    emit_ldx(g, SZ_DW, R1, R7, 0);
  emit_stx(g, SZ_DW, R0, offsetof(struct rt_sort_entry, seq), R1);
  emit_stx(g, SZ_DW, R0, offsetof(struct rt_sort_entry, idx), R8);
  emit_alui(g, BPF_ADD, R8, 1);
  emit_stx(g, SZ_DW, R9, gi->cnt_off, R8);
  label_here(g, skip);
  emit_movi(g, R0, 0);
  emit_exit(g);
  label_here(g, full);
  if (gi->stacked)
    emit_st(g, SZ_DW, R9, gi->top_off, 1);
  emit_movi(g, R0, 1);
  return callback_end(g, &c);
}

/* Sorts R1 entries: only the first R2 need be in place. */
static void call_sort(struct gen *g, const struct ir_iter *it)
{
  const struct giter *gi = &g->giter[it->id];
  struct bpf_rt_params *p = NEW(g->a, struct bpf_rt_params);
  bool strings = sorts_strings(it);
  p->map[0] = gi->sort;
  p->c[RT_SORT_CAP] = (s32)gi->cap;
  if (strings) {
    u32 c = it->sort_col - 1;
    p->map[1] = gi->snap;
    p->c[RT_SORT_OFF] = (s32)(it->sort_col ? column_off(g, it->map, c) : gi->val_off);
    p->c[RT_SORT_SIZE] =
        (s32)(it->sort_col ? column_size(g, it->map, c) : gi->entry_size - gi->val_off);
    p->c[RT_SORT_DESC] = it->sort_dir < 0;
  }
  emit_mov(g, R3, R2);
  emit_mov(g, R2, R1);
  emit_mov(g, R1, R9);
  if (gi->stacked)
    emit_ldx(g, SZ_DW, R4, R9, gi->base_off);
  else
    emit_movi(g, R4, 0);
  emit_rt_template(g, strings ? "rt_sort_str" : "rt_sort", p);
}

/* A stacked snapshot begins at its base; what didn't fit is an error.  R1 = how many it has. */
static void stacked_collect(struct gen *g, const struct ir_block *b, const struct ir_ins *i,
                            u32 collect)
{
  const struct giter *gi = &g->giter[i->iter->id];
  u32 ok = label_new(g);
  emit_ldx(g, SZ_DW, R1, R9, gi->base_off);
  emit_stx(g, SZ_DW, R9, gi->cnt_off, R1);
  emit_st(g, SZ_DW, R9, gi->top_off, 0);
  for_each(g, g->gmap[i->iter->map->id].map, collect);
  emit_ldx(g, SZ_DW, R1, R9, gi->top_off);
  emit_jcci(g, BPF_JEQ, R1, 0, ok);
  fail(g, b, i);
  label_here(g, ok);
  emit_ldx(g, SZ_DW, R1, R9, gi->cnt_off);
  emit_stx(g, SZ_DW, R9, gi->top_off, R1);
  emit_ldx(g, SZ_DW, R2, R9, gi->base_off);
  emit_alu(g, BPF_SUB, R1, R2);
}

/* R2 = the limit, 0 to R1. */
static void iter_limit(struct gen *g, const struct ir_val *limit)
{
  u32 below = label_new(g), positive = label_new(g);
  load_int(g, limit, R2);
  emit_jcci(g, BPF_JSGE, R2, 0, positive);
  emit_movi(g, R2, 0);
  label_here(g, positive);
  emit_jcc(g, BPF_JSLE, R2, R1, below);
  emit_mov(g, R2, R1);
  label_here(g, below);
}

static void sel_iter_begin(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  const struct ir_iter *it = i->iter;
  const struct giter *gi = &g->giter[it->id];
  u32 nslice = (u32)__builtin_popcount(it->slice_mask);
  if (nslice)
    build_columns(g, it->map, it->slice_mask, i->args);
  u32 collect = collect_sub(g, it);
  emit_st(g, SZ_DW, R10, STK_TMP, 0);
  if (gi->stacked) {
    stacked_collect(g, b, i, collect);
  } else {
    emit_st(g, SZ_DW, R9, gi->cnt_off, 0);
    for_each(g, g->gmap[it->map->id].map, collect);
    emit_ldx(g, SZ_DW, R1, R9, gi->cnt_off);
  }
  emit_mov(g, R2, R1);
  if (it->has_limit) {
    iter_limit(g, &i->args[nslice]);
    emit_stx(g, SZ_DW, R9, gi->cnt_off, R2);
  }
  call_sort(g, it);
  emit_movi(g, R1, 0);
  if (gi->stacked)
    emit_ldx(g, SZ_DW, R1, R9, gi->base_off);
  emit_stx(g, SZ_DW, R9, gi->pos_off, R1);
  if (gi->stacked && it->has_limit) {
    emit_ldx(g, SZ_DW, R2, R9, gi->cnt_off);
    emit_alu(g, BPF_ADD, R2, R1);
    emit_stx(g, SZ_DW, R9, gi->cnt_off, R2);
  }
}

void iter_save(struct gen *g, u32 iter, u32 off)
{
  const struct giter *gi = &g->giter[iter];
  for (u32 k = 0; k < 8 * ITER_SLOTS; k += 8) {
    emit_ldx(g, SZ_DW, R2, R9, gi->pos_off + (s32)k);
    emit_stx(g, SZ_DW, R1, (s32)(off + k), R2);
  }
  emit_ldx(g, SZ_DW, R2, R9, gi->top_off);
  emit_stx(g, SZ_DW, R9, gi->base_off, R2);
}

void iter_restore(struct gen *g, u32 iter, u32 off)
{
  const struct giter *gi = &g->giter[iter];
  for (u32 k = 0; k < 8 * ITER_SLOTS; k += 8) {
    emit_ldx(g, SZ_DW, R2, R1, (s32)(off + k));
    emit_stx(g, SZ_DW, R9, gi->pos_off + (s32)k, R2);
  }
}

void iter_reset(struct gen *g, u32 iter)
{
  emit_st(g, SZ_DW, R9, g->giter[iter].base_off, 0);
}

static void sel_iter_next(struct gen *g, const struct ir_ins *i)
{
  const struct giter *gi = &g->giter[i->iter->id];
  u32 end = label_new(g), none = label_new(g);
  emit_ldx(g, SZ_DW, R1, R9, gi->pos_off);
  emit_ldx(g, SZ_DW, R2, R9, gi->cnt_off);
  emit_jcc(g, BPF_JSGE, R1, R2, none);
  emit_stx(g, SZ_W, R10, STK_TMP2, R1);
  emit_alui(g, BPF_ADD, R1, 1);
  emit_stx(g, SZ_DW, R9, gi->pos_off, R1);
  entry_at(g, gi->sort, none);
  emit_ldx(g, SZ_DW, R1, R0, offsetof(struct rt_sort_entry, idx));
  emit_stx(g, SZ_DW, R9, gi->idx_off, R1);
  emit_movi(g, R0, 1);
  emit_jmp(g, end);
  label_here(g, none);
  emit_movi(g, R0, 0);
  label_here(g, end);
  def_done(g, i->dst, R0);
}

/* A column or the value of the current entry. */
static void iter_get(struct gen *g, const struct ir_ins *i, u32 off, bool string)
{
  const struct giter *gi = &g->giter[i->iter->id];
  u32 none = label_new(g), end = label_new(g);
  const struct place *p = &g->f->place[i->dst];
  emit_ldx(g, SZ_DW, R1, R9, gi->idx_off);
  emit_stx(g, SZ_W, R10, STK_TMP2, R1);
  entry_at(g, gi->snap, none);
  if (string) {
    emit_mov(g, R3, R0);
    emit_alui(g, BPF_ADD, R3, (s32)off);
    addr_of(g, R1, p);
    emit_movi(g, R2, p->size);
    emit_helper(g, BPF_FUNC_probe_read_kernel_str);
    emit_jmp(g, end);
    label_here(g, none);
    emit_st(g, SZ_B, base_reg(g), p->off, 0);
    label_here(g, end);
  } else {
    emit_ldx(g, SZ_DW, R0, R0, (s32)off);
    label_here(g, none);
    def_done(g, i->dst, R0);
  }
}

bool sel_stat_iter(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  const struct ir_global *v;
  switch (i->op) {
  case IR_STATADD:
    sel_statadd(g, b, i);
    return true;
  case IR_STATGET:
    sel_statget(g, b, i);
    return true;
  case IR_HISTGET:
    sel_histget(g, i);
    return true;
  case IR_HISTPRINT:
    sel_histprint(g, b, i);
    return true;
  case IR_HISTSTR:
    sel_histstr(g, b, i);
    return true;
  case IR_ITER_BEGIN:
    sel_iter_begin(g, b, i);
    return true;
  case IR_ITER_NEXT:
    sel_iter_next(g, i);
    return true;
  case IR_ITER_KEY:
    v = i->iter->map;
    iter_get(g, i, column_off(g, v, (u32)i->imm), v->key_type[i->imm] == TY_STRING);
    return true;
  case IR_ITER_VALUE:
    v = i->iter->map;
    iter_get(g, i, g->giter[i->iter->id].val_off, v->type == TY_STRING);
    return true;
  case IR_ITER_END:
    return true;
  default:
    return false;
  }
}

/* Globals: scalars in one array map that code addresses directly, arrays in hash maps, statistics
 * in per-CPU maps.  */
#include "bpf/gen.h"

#include <errno.h>

#include "runtime/format.h"

enum { COPY_WORDS_MAX = 64 };   /* longer strings are copied by a call */
enum { LITERAL_KEY_MAX = 128 }; /* bytes of a column that a literal is stored in word by word */

u8 base_reg(const struct gen *g)
{
  return g->f->framed ? R9 : R10;
}

/* ---- layout ------------------------------------------------------------------ */

static u32 globals_take(struct gen *g, u32 size)
{
  u32 off = g->globals_top;
  g->globals_top += ROUND_UP(size, 8);
  return off;
}

static u32 str_bytes(const struct gen *g, u32 maxlen)
{
  u32 n = maxlen && maxlen < g->M ? maxlen : g->M;
  return ROUND_UP(MAX(n, 16u), 8);
}

u32 column_size(const struct gen *g, const struct ir_global *v, u32 c)
{
  return v->key_type[c] == TY_STRING ? str_bytes(g, v->key_maxlen[c]) : 8;
}

u32 column_off(const struct gen *g, const struct ir_global *v, u32 c)
{
  u32 off = 0;
  for (u32 k = 0; k < c; k++)
    off += column_size(g, v, k);
  return off;
}

static u32 stat_bytes(struct gen *g, const struct ir_global *v, struct bpf_gmap *gm)
{
  u32 size = sizeof(struct rt_stat);
  gm->hist_first = NEW_ARRAY(g->a, u32, v->hists.n + 1);
  for (u32 k = 0; k < v->hists.n; k++) {
    gm->hist_first[k] = (size - (u32)sizeof(struct rt_stat)) / 8;
    size += 8 * hist_buckets(&v->hists.v[k]);
  }
  return size;
}

static u32 new_map(struct gen *g, const struct ir_global *v, enum bpf_map_type type, u32 key,
                   u32 value, u32 entries)
{
  struct bpf_mapdef d = {.name = v->name,
                         .type = type,
                         .key_size = key,
                         .value_size = value,
                         .max_entries = entries,
                         .fd = -1};
  vec_push(g->a, &g->img->maps, d);
  return g->img->maps.n - 1;
}

/* The display at exit shows equal values in the order of their insertion. */
static bool ordered(const struct ir_global *v)
{
  return v->ordered || v->show_at_exit;
}

static void layout_array(struct gen *g, const struct ir_global *v, struct bpf_gmap *gm)
{
  for (u32 k = 0; k < v->nkeys; k++)
    gm->key_size += gm->col_size[k] = column_size(g, v, k);
  if (v->type == TY_STATS) {
    gm->val_off = ordered(v) ? 8 : 0;
    gm->val_size = gm->val_off + stat_bytes(g, v, gm);
    gm->map = new_map(g, v, BPF_MAP_TYPE_PERCPU_HASH, gm->key_size, gm->val_size, v->maxentries);
  } else {
    gm->val_off = ordered(v) || v->wrap ? 8 : 0;
    gm->val_size = gm->val_off + (v->type == TY_STRING ? str_bytes(g, v->val_maxlen) : 8);
    gm->map = new_map(g, v, BPF_MAP_TYPE_HASH, gm->key_size, gm->val_size, v->maxentries);
  }
  gm->seq_off = globals_take(g, 8);
}

void layout_globals(struct gen *g)
{
  struct ir_module *m = g->m;
  u32 n = 0;
  for (u32 i = 0; i < m->globals.n; i++)
    n = MAX(n, m->globals.v[i]->id + 1);
  g->img->gmap = g->gmap = NEW_ARRAY(g->a, struct bpf_gmap, n + 1);
  g->nglobals = n;
  g->giter = NEW_ARRAY(g->a, struct giter, m->iters.n + 1);
  g->globals_top = 8;
  for (u32 i = 0; i < m->globals.n; i++) {
    struct ir_global *v = m->globals.v[i];
    struct bpf_gmap *gm = &g->gmap[v->id];
    gm->lock_off = globals_take(g, 8);
    if (v->nkeys) {
      layout_array(g, v, gm);
    } else if (v->type == TY_STATS) {
      gm->val_size = stat_bytes(g, v, gm);
      gm->map = new_map(g, v, BPF_MAP_TYPE_PERCPU_ARRAY, 4, gm->val_size, 1);
    } else {
      gm->val_size = v->type == TY_STRING ? str_bytes(g, v->val_maxlen) : 8;
      gm->off = globals_take(g, gm->val_size);
    }
  }
  u8 *init = arena_alloc(g->a, g->globals_top);
  for (u32 i = 0; i < m->globals.n; i++) {
    struct ir_global *v = m->globals.v[i];
    const struct bpf_gmap *gm = &g->gmap[v->id];
    if (v->nkeys || v->type == TY_STATS)
      continue;
    if (v->type == TY_STRING && v->init_str)
      memcpy(init + gm->off, v->init_str, MIN(strlen(v->init_str), gm->val_size - 1));
    else if (v->type == TY_LONG)
      memcpy(init + gm->off, &v->init_num, 8);
  }
  g->img->maps.v[BMAP_GLOBALS].value_size = g->globals_top;
  g->img->maps.v[BMAP_GLOBALS].init = init;
  g->img->maps.v[BMAP_GLOBALS].init_len = g->globals_top;
}

/* ---- keys -------------------------------------------------------------------- */

static bool key_in_place(struct gen *g, const struct ir_global *v, const struct ir_ins *i,
                         struct key *k)
{
  if (v->nkeys != 1 || i->args[0].kind != V_REG)
    return false;
  const struct place *p = &g->f->place[i->args[0].reg];
  if (p->kind != PL_SLOT)
    return false;
  bool ok = v->key_type[0] == TY_STRING ? p->small && p->size == g->gmap[v->id].key_size : true;
  if (ok)
    *k = (struct key){true, p};
  return ok;
}

void key_column(struct gen *g, const struct ir_val *a, bool string, s32 off, u32 size)
{
  u8 base = base_reg(g);
  if (!string) {
    if (a->kind == V_INT && a->num == (s32)a->num)
      emit_st(g, SZ_DW, base, off, (s32)a->num);
    else
      emit_stx(g, SZ_DW, base, off, use_int(g, a, R0));
  } else if (a->kind == V_STR ? a->len < SMALL_STR || size <= LITERAL_KEY_MAX
                              : str_small(g, a) && str_bound(g, a) <= size) {
    put_small(g, base, off, size, a);
  } else {
    emit_mov(g, R1, R9);
    emit_movi(g, R2, off);
    emit_movi(g, R3, (s64)str_off(g, a));
    emit_movi(g, R4, size);
    emit_rt(g, "rt_copy_pad");
  }
}

/* Writes the key columns into the function's key area. */
struct key build_key(struct gen *g, const struct ir_global *v, const struct ir_ins *i)
{
  struct key k = {0};
  if (key_in_place(g, v, i, &k))
    return k;
  s32 off = (s32)g->f->key_off;
  for (u32 c = 0; c < v->nkeys; c++) {
    bool string = v->key_type[c] == TY_STRING;
    u32 size = string ? str_bytes(g, v->key_maxlen[c]) : 8;
    key_column(g, &i->args[c], string, off, size);
    off += (s32)size;
  }
  return k;
}

static void key_addr(struct gen *g, u8 reg, const struct key *k)
{
  emit_mov(g, reg, base_reg(g));
  emit_alui(g, BPF_ADD, reg, k->in_place ? k->p->off : (s32)g->f->key_off);
}

void lookup(struct gen *g, const struct bpf_gmap *gm, const struct key *k)
{
  key_addr(g, R2, k);
  emit_map(g, R1, gm->map);
  emit_helper(g, BPF_FUNC_map_lookup_elem);
}

/* ---- adding an element ---------------------------------------------------------- */

/* Puts the element's insertion number into the value area. */
void stage_seq(struct gen *g, const struct bpf_gmap *gm)
{
  if (!gm->val_off)
    return;
  emit_mapval(g, R1, BMAP_GLOBALS, gm->seq_off);
  emit_movi(g, R2, 1);
  emit_atomic(g, BPF_ADD | BPF_FETCH, R1, 0, R2);
  emit_stx(g, SZ_DW, base_reg(g), (s32)g->f->val_off, R2);
}

static void insert_once(struct gen *g, const struct bpf_gmap *gm, const struct key *k)
{
  key_addr(g, R2, k);
  emit_mov(g, R3, base_reg(g));
  emit_alui(g, BPF_ADD, R3, (s32)g->f->val_off);
  emit_map(g, R1, gm->map);
  emit_movi(g, R4, BPF_NOEXIST);
  emit_helper(g, BPF_FUNC_map_update_elem);
  /* Linux 6.1 calls a function that yields an int, and leaves R0's upper half as it may be. */
  emit_alui(g, BPF_LSH, R0, 32);
  emit_alui(g, BPF_ARSH, R0, 32);
}

void for_each(struct gen *g, u32 map, u32 sub)
{
  emit_map(g, R1, map);
  emit_subptr(g, R2, sub);
  emit_mov(g, R3, R10);
  emit_alui(g, BPF_ADD, R3, STK_TMP);
  emit_movi(g, R4, 0);
  emit_helper(g, BPF_FUNC_for_each_map_elem);
}

/* Deletes the element that was inserted first: one pass finds the lowest number, a second
 * deletes its owner. */
static void evict(struct gen *g, const struct bpf_gmap *gm)
{
  struct callback c = callback_begin(g, "oldest", 4);
  u32 out = label_new(g);
  emit_ldx(g, SZ_DW, R1, R3, 0);
  emit_ldx(g, SZ_DW, R2, R4, 0);
  emit_movi(g, R0, 0);
  emit_jcc(g, BPF_JGE, R1, R2, out);
  emit_stx(g, SZ_DW, R4, 0, R1);
  label_here(g, out);
  u32 find = callback_end(g, &c);
  c = callback_begin(g, "evict", 4);
  out = label_new(g);
  emit_ldx(g, SZ_DW, R3, R3, 0);
  emit_ldx(g, SZ_DW, R4, R4, 0);
  emit_movi(g, R0, 0);
  emit_jcc(g, BPF_JNE, R3, R4, out);
  emit_helper(g, BPF_FUNC_map_delete_elem);
  emit_movi(g, R0, 1);
  label_here(g, out);
  u32 del = callback_end(g, &c);
  emit_st(g, SZ_DW, R10, STK_TMP, -1);
  for_each(g, gm->map, find);
  for_each(g, gm->map, del);
}

/* Inserts the value area under the key: R0 = 0, -EEXIST, or the failure.  A wrapping array makes
 * room first. */
void insert(struct gen *g, const struct ir_global *v, const struct key *k)
{
  const struct bpf_gmap *gm = &g->gmap[v->id];
  insert_once(g, gm, k);
  if (!v->wrap)
    return;
  u32 ok = label_new(g);
  emit_jcci(g, BPF_JEQ, R0, 0, ok);
  emit_jcci(g, BPF_JEQ, R0, -EEXIST, ok);
  evict(g, gm);
  insert_once(g, gm, k);
  label_here(g, ok);
}

/* ---- reading ----------------------------------------------------------------- */

static void area_addr(struct gen *g, u8 reg, u32 off)
{
  emit_mov(g, reg, R9);
  emit_alui(g, BPF_ADD, reg, (s32)off);
}

/* dst = the string at register src, which has `size` bytes. */
static void copy_to(struct gen *g, u32 dst, u8 src, u32 size)
{
  const struct place *p = &g->f->place[dst];
  emit_mov(g, R3, src);
  if (size <= COPY_WORDS_MAX && size <= p->size) {
    for (u32 at = 0; at < size; at += 8) {
      emit_ldx(g, SZ_DW, R0, R3, (s32)at);
      emit_stx(g, SZ_DW, base_reg(g), p->off + (s32)at, R0);
    }
    return;
  }
  addr_of(g, R1, p);
  emit_movi(g, R2, p->size);
  emit_helper(g, BPF_FUNC_probe_read_kernel_str);
}

static void sel_get(struct gen *g, const struct ir_ins *i)
{
  const struct ir_global *v = i->global;
  const struct bpf_gmap *gm = &g->gmap[v->id];
  if (i->dst == IR_NO || g->f->place[i->dst].kind == PL_NONE)
    return;
  if (v->type == TY_STRING) {
    emit_mapval(g, R3, BMAP_GLOBALS, gm->off);
    copy_to(g, i->dst, R3, gm->val_size);
    return;
  }
  u8 d = def_reg(g, i->dst, R0);
  emit_mapval(g, R1, BMAP_GLOBALS, gm->off);
  emit_ldx(g, SZ_DW, d, R1, 0);
  def_done(g, i->dst, d);
}

static void store_string(struct gen *g, const struct ir_val *v, u32 size)
{
  /* R1 = destination */
  emit_movi(g, R2, size);
  str_addr(g, R3, v);
  emit_helper(g, BPF_FUNC_probe_read_kernel_str);
}

static void sel_set(struct gen *g, const struct ir_ins *i)
{
  const struct ir_global *v = i->global;
  const struct bpf_gmap *gm = &g->gmap[v->id];
  if (v->type == TY_STRING) {
    emit_mapval(g, R1, BMAP_GLOBALS, gm->off);
    store_string(g, &i->args[0], gm->val_size);
    return;
  }
  u8 r = use_int(g, &i->args[0], R2);
  emit_mapval(g, R1, BMAP_GLOBALS, gm->off);
  emit_stx(g, SZ_DW, R1, 0, r);
}

static void sel_mget(struct gen *g, const struct ir_ins *i)
{
  const struct ir_global *v = i->global;
  const struct bpf_gmap *gm = &g->gmap[v->id];
  if (i->dst == IR_NO || g->f->place[i->dst].kind == PL_NONE)
    return;
  u32 missing = label_new(g), done = label_new(g);
  struct key k = build_key(g, v, i);
  lookup(g, gm, &k);
  emit_jcci(g, BPF_JEQ, R0, 0, missing);
  if (v->type == TY_STRING) {
    emit_alui(g, BPF_ADD, R0, (s32)gm->val_off);
    copy_to(g, i->dst, R0, gm->val_size - gm->val_off);
    emit_jmp(g, done);
    label_here(g, missing);
    emit_st(g, SZ_B, base_reg(g), g->f->place[i->dst].off, 0);
    label_here(g, done);
  } else {
    emit_ldx(g, SZ_DW, R0, R0, (s32)gm->val_off);
    label_here(g, missing); /* R0 is 0 there */
    def_done(g, i->dst, R0);
  }
}

/* ---- writing ------------------------------------------------------------------ */

void check_inserted(struct gen *g, const struct ir_block *b, const struct ir_ins *i, u32 ok,
                    u32 exists)
{
  emit_jcci(g, BPF_JEQ, R0, 0, ok);
  emit_jcci(g, BPF_JEQ, R0, -EEXIST, exists);
  fail(g, b, i);
}

/* The value to be assigned, at R`ptr` + off; `val` NULL: it, or the address of the string, is in
 * R7. */
static void put_value(struct gen *g, const struct ir_global *v, u8 ptr, s32 off,
                      const struct ir_val *val)
{
  const struct bpf_gmap *gm = &g->gmap[v->id];
  if (v->type != TY_STRING) {
    emit_stx(g, SZ_DW, ptr, off, val ? use_int(g, val, R1) : R7);
    return;
  }
  emit_mov(g, R1, ptr);
  emit_alui(g, BPF_ADD, R1, off);
  if (val) {
    store_string(g, val, gm->val_size - gm->val_off);
    return;
  }
  emit_movi(g, R2, gm->val_size - gm->val_off);
  emit_mov(g, R3, R7);
  emit_helper(g, BPF_FUNC_probe_read_kernel_str);
}

/* Stores the value under the key; goes to `failed` when there is no room. */
static void assign(struct gen *g, const struct ir_global *v, const struct key *k,
                   const struct ir_val *val, u32 failed)
{
  const struct bpf_gmap *gm = &g->gmap[v->id];
  u32 done = label_new(g), absent = label_new(g);
  lookup(g, gm, k);
  emit_jcci(g, BPF_JEQ, R0, 0, absent);
  put_value(g, v, R0, (s32)gm->val_off, val);
  emit_jmp(g, done);
  label_here(g, absent);
  stage_seq(g, gm);
  put_value(g, v, base_reg(g), (s32)(g->f->val_off + gm->val_off), val);
  insert(g, v, k);
  emit_jcci(g, BPF_JEQ, R0, 0, done);
  emit_jcci(g, BPF_JNE, R0, -EEXIST, failed);
  /* Another CPU was first: overwrite its value. */
  lookup(g, gm, k);
  emit_jcci(g, BPF_JEQ, R0, 0, done);
  put_value(g, v, R0, (s32)gm->val_off, val);
  label_here(g, done);
}

/* set(frame, value), with the key in the handlers' key area: 1 when there was no room. */
static u32 set_function(struct gen *g, const struct ir_global *v)
{
  struct genfn f = {.framed = true, .key_off = g->f->key_off, .val_off = g->f->val_off};
  struct genfn *user = g->f;
  const struct key k = {0};
  struct callback c = callback_begin(g, "set", 2); /* static: the value is anywhere */
  u32 failed = label_new(g);
  g->f = &f;
  emit_mov(g, R9, R1);
  emit_mov(g, R7, R2);
  assign(g, v, &k, NULL, failed);
  emit_movi(g, R0, 0);
  emit_exit(g);
  label_here(g, failed);
  emit_movi(g, R0, 1);
  u32 set = callback_end(g, &c);
  g->f = user;
  return set;
}

/* Calls that function; what comes next are failures. */
static void call_set(struct gen *g, const struct ir_ins *i)
{
  const struct ir_global *v = i->global;
  const struct ir_val *val = &i->args[v->nkeys];
  build_columns(g, v, ((u64)1 << v->nkeys) - 1, i->args);
  if (v->type == TY_STRING)
    str_addr(g, R2, val);
  else
    load_int(g, val, R2);
  emit_mov(g, R1, R9);
  emit_callsub(g, set_function(g, v));
}

static void sel_mset(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  u32 failed = label_new(g), done = label_new(g);
  if (g->group && g->f->framed && g->f->fn->is_handler) {
    call_set(g, i);
    emit_jcci(g, BPF_JEQ, R0, 0, done);
  } else {
    struct key k = build_key(g, i->global, i);
    assign(g, i->global, &k, &i->args[i->global->nkeys], failed);
    emit_jmp(g, done);
  }
  label_here(g, failed);
  fail(g, b, i);
  label_here(g, done);
}

static bool is_atomic(u32 op)
{
  return op == IR_ADD || op == IR_SUB || op == IR_AND || op == IR_OR || op == IR_XOR;
}

static u8 alu_op(u32 op)
{
  static const u8 ops[] = {[IR_ADD] = BPF_ADD, [IR_SUB] = BPF_SUB,  [IR_MUL] = BPF_MUL,
                           [IR_AND] = BPF_AND, [IR_OR] = BPF_OR,    [IR_XOR] = BPF_XOR,
                           [IR_SHL] = BPF_LSH, [IR_SHR] = BPF_ARSH, [IR_USHR] = BPF_RSH};
  return ops[op];
}

/* Updates the word at [ptr + off]; leaves the wanted result in R0 when there is one.  Updates
 * that the hardware can't do at once are made under a lock that the lock analysis placed. */
static void rmw(struct gen *g, const struct ir_ins *i, u8 ptr, s32 off, const struct ir_val *val)
{
  u32 op = (u32)i->imm & 0xff;
  bool want = i->dst != IR_NO && g->f->place[i->dst].kind != PL_NONE;
  bool want_new = want && !(i->imm & IR_RMW_OLD);
  if (is_atomic(op)) {
    load_int(g, val, R2);
    if (op == IR_SUB)
      emit(g, BPF_ALU64 | BPF_NEG, R2, 0, 0, 0);
    u8 hw = op == IR_SUB ? BPF_ADD : alu_op(op);
    if (!want) {
      emit_atomic(g, hw, ptr, off, R2);
      return;
    }
    emit_mov(g, R4, R2);
    emit_atomic(g, hw | BPF_FETCH, ptr, off, R2);
    emit_mov(g, R0, R2);
    if (want_new)
      emit_alu(g, hw, R0, R4);
    return;
  }
  emit_ldx(g, SZ_DW, R0, ptr, off);
  emit_mov(g, R4, R0);
  load_int(g, val, R2);
  if (op == IR_SHL || op == IR_SHR || op == IR_USHR)
    emit_alui(g, BPF_AND, R2, 63);
  emit_alu(g, alu_op(op), R4, R2);
  emit_stx(g, SZ_DW, ptr, off, R4);
  if (want_new)
    emit_mov(g, R0, R4);
}

static void sel_grmw(struct gen *g, const struct ir_ins *i)
{
  emit_mapval(g, R1, BMAP_GLOBALS, g->gmap[i->global->id].off);
  rmw(g, i, R1, 0, &i->args[0]);
  def_done(g, i->dst, R0);
}

static void sel_mrmw(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  const struct ir_global *v = i->global;
  const struct bpf_gmap *gm = &g->gmap[v->id];
  const struct ir_val *val = &i->args[v->nkeys];
  u32 op = (u32)i->imm & 0xff;
  s32 at = (s32)(g->f->val_off + gm->val_off);
  u8 base = base_reg(g);
  struct key k = build_key(g, v, i);
  u32 done = label_new(g), absent = label_new(g), exists = label_new(g), added = label_new(g);
  lookup(g, gm, &k);
  emit_jcci(g, BPF_JEQ, R0, 0, absent);
  emit_mov(g, R3, R0);
  rmw(g, i, R3, (s32)gm->val_off, val);
  emit_jmp(g, done);
  label_here(g, absent);
  stage_seq(g, gm);
  /* the new element's value: 0 op operand */
  if (op == IR_ADD || op == IR_OR || op == IR_XOR) {
    if (val->kind == V_INT && val->num == (s32)val->num)
      emit_st(g, SZ_DW, base, at, (s32)val->num);
    else
      emit_stx(g, SZ_DW, base, at, use_int(g, val, R1));
  } else if (op == IR_SUB) {
    load_int(g, val, R1);
    emit(g, BPF_ALU64 | BPF_NEG, R1, 0, 0, 0);
    emit_stx(g, SZ_DW, base, at, R1);
  } else {
    emit_st(g, SZ_DW, base, at, 0);
  }
  insert(g, v, &k);
  check_inserted(g, b, i, added, exists);
  label_here(g, exists);
  lookup(g, gm, &k);
  emit_jcci(g, BPF_JEQ, R0, 0, added);
  emit_mov(g, R3, R0);
  rmw(g, i, R3, (s32)gm->val_off, val);
  emit_jmp(g, done);
  label_here(g, added);
  if (i->imm & IR_RMW_OLD)
    emit_movi(g, R0, 0);
  else
    emit_ldx(g, SZ_DW, R0, base, at);
  label_here(g, done);
  def_done(g, i->dst, R0);
}

/* a[k] .= s: the new value is put together in the value area. */
static void sel_mcat(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  const struct ir_global *v = i->global;
  const struct bpf_gmap *gm = &g->gmap[v->id];
  u32 area = g->f->val_off + gm->val_off, size = gm->val_size - gm->val_off;
  u32 read = label_new(g), done = label_new(g), add = label_new(g);
  struct key k = build_key(g, v, i);
  lookup(g, gm, &k);
  emit_st(g, SZ_B, R9, (s32)area, 0);
  emit_jcci(g, BPF_JEQ, R0, 0, read);
  emit_mov(g, R3, R0);
  emit_alui(g, BPF_ADD, R3, (s32)gm->val_off);
  area_addr(g, R1, area);
  emit_movi(g, R2, size);
  emit_helper(g, BPF_FUNC_probe_read_kernel_str);
  label_here(g, read);
  emit_mov(g, R1, R9);
  emit_movi(g, R2, area);
  emit_movi(g, R3, area);
  emit_movi(g, R4, (s64)str_off(g, &i->args[v->nkeys]));
  emit_rt(g, "rt_concat");
  lookup(g, gm, &k);
  emit_jcci(g, BPF_JEQ, R0, 0, add);
  emit_mov(g, R1, R0);
  emit_alui(g, BPF_ADD, R1, (s32)gm->val_off);
  emit_movi(g, R2, size);
  area_addr(g, R3, area);
  emit_helper(g, BPF_FUNC_probe_read_kernel_str);
  emit_jmp(g, done);
  label_here(g, add);
  stage_seq(g, gm);
  insert(g, v, &k);
  check_inserted(g, b, i, done, done);
  label_here(g, done);
  if (i->dst == IR_NO || g->f->place[i->dst].kind == PL_NONE)
    return;
  area_addr(g, R3, area);
  copy_to(g, i->dst, R3, size);
}

/* ---- deleting ------------------------------------------------------------------ */

static void delete_all(struct gen *g, u32 map)
{
  struct callback c = callback_begin(g, "delete_all", 4);
  emit_helper(g, BPF_FUNC_map_delete_elem);
  emit_movi(g, R0, 0);
  u32 sub = callback_end(g, &c);
  emit_st(g, SZ_DW, R10, STK_TMP, 0);
  for_each(g, map, sub);
}

static void sel_mclear(struct gen *g, const struct ir_ins *i)
{
  const struct ir_global *v = i->global;
  const struct bpf_gmap *gm = &g->gmap[v->id];
  if (v->nkeys) {
    delete_all(g, gm->map);
  } else if (v->type == TY_STATS) {
    emit_stat_reset(g, v);
  } else {
    emit_mapval(g, R1, BMAP_GLOBALS, gm->off);
    if (v->type == TY_STRING)
      emit_st(g, SZ_B, R1, 0, 0);
    else
      emit_st(g, SZ_DW, R1, 0, 0);
  }
}

/* Compares the columns of `mask` of the element at R2 with the key area; jumps to `differs`.
 * Runs in a callback whose context holds the address of the key area's frame. */
void compare_columns(struct gen *g, const struct ir_global *v, u64 mask, u8 elem, u8 key,
                     s32 key_off, u32 differs)
{
  s32 off = 0;
  for (u32 c = 0; c < v->nkeys; c++) {
    u32 size = column_size(g, v, c);
    for (u32 w = 0; mask >> c & 1 && w < size; w += 8) {
      emit_ldx(g, SZ_DW, R0, elem, off + (s32)w);
      emit_ldx(g, SZ_DW, R5, key, key_off + off + (s32)w);
      emit_jcc(g, BPF_JNE, R0, R5, differs);
    }
    off += (s32)size;
  }
}

void build_columns(struct gen *g, const struct ir_global *v, u64 mask, const struct ir_val *args)
{
  s32 off = (s32)g->f->key_off;
  for (u32 c = 0, n = 0; c < v->nkeys; c++) {
    bool string = v->key_type[c] == TY_STRING;
    u32 size = string ? str_bytes(g, v->key_maxlen[c]) : 8;
    if (mask >> c & 1)
      key_column(g, &args[n++], string, off, size);
    off += (s32)size;
  }
}

/* delete a[*, 3] and [*, 3] in a: a pass over the elements. */
static void sel_slice(struct gen *g, const struct ir_ins *i)
{
  const struct ir_global *v = i->global;
  bool del = i->op == IR_MDEL_SLICE;
  build_columns(g, v, (u64)i->imm, i->args);
  struct callback c = callback_begin(g, del ? "delete_slice" : "find_slice", 4);
  u32 differs = label_new(g);
  emit_mov(g, R6, R4);
  emit_ldx(g, SZ_DW, R7, R4, STK_FRAME - STK_TMP);
  compare_columns(g, v, (u64)i->imm, R2, R7, (s32)g->f->key_off, differs);
  if (del) {
    emit_helper(g, BPF_FUNC_map_delete_elem);
    emit_movi(g, R0, 0);
    emit_exit(g);
  } else {
    emit_movi(g, R0, 1);
    emit_stx(g, SZ_DW, R6, 0, R0);
    emit_exit(g);
  }
  label_here(g, differs);
  emit_movi(g, R0, 0);
  u32 sub = callback_end(g, &c);
  emit_st(g, SZ_DW, R10, STK_TMP, 0);
  for_each(g, g->gmap[v->id].map, sub);
  if (!del) {
    emit_ldx(g, SZ_DW, R0, R10, STK_TMP);
    def_done(g, i->dst, R0);
  }
}

bool sel_map(struct gen *g, const struct ir_block *b, const struct ir_ins *i)
{
  switch (i->op) {
  case IR_GGET:
    sel_get(g, i);
    return true;
  case IR_GSET:
    sel_set(g, i);
    return true;
  case IR_GRMW:
    sel_grmw(g, i);
    return true;
  case IR_MGET:
    sel_mget(g, i);
    return true;
  case IR_MSET:
    sel_mset(g, b, i);
    return true;
  case IR_MRMW:
    sel_mrmw(g, b, i);
    return true;
  case IR_MCAT:
    sel_mcat(g, b, i);
    return true;
  case IR_MIN_: {
    u32 missing = label_new(g);
    struct key k = build_key(g, i->global, i);
    lookup(g, &g->gmap[i->global->id], &k);
    emit_jcci(g, BPF_JEQ, R0, 0, missing);
    emit_movi(g, R0, 1);
    label_here(g, missing);
    def_done(g, i->dst, R0);
    return true;
  }
  case IR_MDEL: {
    struct key k = build_key(g, i->global, i);
    key_addr(g, R2, &k);
    emit_map(g, R1, g->gmap[i->global->id].map);
    emit_helper(g, BPF_FUNC_map_delete_elem);
    return true;
  }
  case IR_MCLEAR:
    sel_mclear(g, i);
    return true;
  case IR_MIN_SLICE:
  case IR_MDEL_SLICE:
    sel_slice(g, i);
    return true;
  case IR_LOCK:
    sel_lock(g, i);
    return true;
  case IR_UNLOCK:
    emit_unlock(g, i->lock);
    return true;
  default:
    return sel_stat_iter(g, b, i);
  }
}

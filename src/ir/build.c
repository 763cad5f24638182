/* The typed syntax tree to IR: globals, handlers, functions.  Locals are registers of their own;
 * everything else gets a fresh temporary, and the passes make it small.  */
#include "ir/build.h"

#include <stdlib.h>
#include <string.h>

/* ---- values and blocks ---------------------------------------------------------------------- */

struct ir_val irb_val_str(const char *s)
{
  return (struct ir_val){.kind = V_STR, .str = s, .len = (u32)strlen(s)};
}

enum ir_type ir_type_of(enum type t)
{
  return t == TY_STRING ? IR_STR : t == TY_LONG ? IR_INT : IR_VOID;
}

u32 irb_reg_new(struct build *b, enum ir_type type, const char *name)
{
  vec_push(b->a, &b->fn->regs, (struct ir_reg){.type = type, .name = name});
  return b->fn->regs.n - 1;
}

u32 irb_block_new(struct build *b)
{
  struct ir_block *k = NEW(b->a, struct ir_block);
  k->id = b->fn->blocks.n;
  k->term = T_RET;
  k->loop = b->loop;
  k->handler = b->handler;
  k->to[0] = k->to[1] = IR_NO;
  vec_push(b->a, &b->fn->blocks, k);
  return k->id;
}

void irb_block_start(struct build *b, u32 id)
{
  b->cur = b->fn->blocks.v[id];
  vec_push(b->a, &b->order, id);
}

void irb_end_br(struct build *b, struct ir_val v, u32 yes, u32 no)
{
  if (v.kind == V_INT) {
    irb_end_jmp(b, v.num ? yes : no);
    return;
  }
  b->cur->term = T_BR;
  b->cur->val = v;
  b->cur->to[0] = yes;
  b->cur->to[1] = no;
  irb_block_start(b, irb_block_new(b));
}

void irb_end_jmp(struct build *b, u32 to)
{
  b->cur->term = T_JMP;
  b->cur->to[0] = to;
  irb_block_start(b, irb_block_new(b));
}

void irb_end_ret(struct build *b, const struct ir_val *v)
{
  b->cur->term = T_RET;
  b->cur->has_val = v != NULL;
  if (v)
    b->cur->val = *v;
  irb_block_start(b, irb_block_new(b));
}

struct ir_ins *irb_emit(struct build *b, enum ir_op op, const struct ir_val *args, u32 n)
{
  struct ir_ins ins = {.op = op, .dst = IR_NO, .nargs = n, .err = IR_NO};
  ins.args = NEW_ARRAY(b->a, struct ir_val, n);
  if (n)
    memcpy(ins.args, args, n * sizeof(*args));
  vec_push(b->a, &b->cur->ins, ins);
  return &vec_last(&b->cur->ins);
}

static bool block_can_fail(const struct ir_block *k)
{
  for (u32 i = 0; i < k->ins.n; i++)
    if (ir_can_fail(&k->ins.v[i]))
      return true;
  return false;
}

/* A variable keeps its value when the instruction fails and the handler may look at it; a string
 * being made from pieces can't be one of them.  */
struct ir_val irb_result(struct build *b, struct ir_ins *ins, enum ir_type type, u32 dst)
{
  if (dst == DST_UNUSED)
    return val_int(0);
  bool other = dst == DST_ANY || (b->handler != IR_NO && ir_can_fail(ins));
  for (u32 i = 0; i < ins->nargs && ins->op == IR_SPRINT; i++)
    other |= ins->args[i].kind == V_REG && ins->args[i].reg == dst;
  ins->dst = other ? irb_reg_new(b, type, NULL) : dst;
  return val_reg(ins->dst);
}

u32 irb_error_at(struct build *b, const char *text, const char *what, const char *token,
                 const struct loc *loc)
{
  struct ir_error e = {.text = text, .what = what, .token = token, .loc = *loc};
  vec_push(b->a, &b->m->errors, e);
  return b->m->errors.n - 1;
}

u32 irb_error_new(struct build *b, const char *text, const struct expr *x)
{
  const char *what, *token;
  ast_token(b->a, x, &what, &token);
  return irb_error_at(b, text, what, token, &x->loc);
}

/* ---- globals -------------------------------------------------------------------------------- */

static void build_global(struct build *b, struct sym_global *s)
{
  struct ir_global *g = NEW(b->a, struct ir_global);
  g->id = b->m->globals.n;
  g->name = s->name;
  g->type = s->type;
  g->nkeys = s->nkeys;
  memcpy(g->key_type, s->key_type, sizeof(g->key_type));
  g->maxentries = (u32)s->decl->maxsize;
  g->wrap = s->decl->wrap;
  if (s->decl->init && s->decl->init->kind == E_STR)
    g->init_str = s->decl->init->str;
  else if (s->decl->init)
    g->init_num = s->decl->init->num;
  g->stat_ops = s->stat_ops;
  g->variance_shift = s->variance_shift;
  for (u32 i = 0; i < s->hists.n; i++)
    vec_push(b->a, &g->hists, s->hists.v[i]);
  g->is_read = s->is_read;
  g->is_written = s->is_written;
  g->show_at_exit = s->is_written && !s->is_read && !s->from_tapset;
  if (g->show_at_exit && g->type == TY_STATS)
    g->stat_ops |= 1u << STAT_COUNT | 1u << STAT_SUM | 1u << STAT_MIN | 1u << STAT_MAX;
  g->ordered = g->nkeys && (g->show_at_exit || g->wrap);
  g->loc = s->decl->loc;
  s->ir = g;
  vec_push(b->a, &b->m->globals, g);
}

/* ---- blocks without a way in ---------------------------------------------------------------- */

static void reach(struct ir_fn *f, bool *seen)
{
  u32 *stack = calloc(f->blocks.n, sizeof(*stack)), n = 0;
  stack[n++] = 0;
  seen[0] = true;
  while (n) {
    struct ir_block *k = f->blocks.v[stack[--n]];
    u32 next[3] = {k->to[0], k->to[1], block_can_fail(k) ? k->handler : IR_NO};
    for (u32 i = 0; i < 3; i++)
      if (next[i] != IR_NO && !seen[next[i]]) {
        seen[next[i]] = true;
        stack[n++] = next[i];
      }
  }
  free(stack);
}

/* Numbers the loops that still have a header. */
static void compact_loops(struct ir_fn *f, const u32 *new_block)
{
  u32 *new_loop = calloc(f->loops.n + 1, sizeof(u32)), n = 0;
  for (u32 i = 0; i < f->loops.n; i++) {
    bool alive = new_block[f->loops.v[i].header] != IR_NO;
    new_loop[i] = alive ? n : IR_NO;
    if (!alive)
      continue;
    u32 parent = f->loops.v[i].parent;
    f->loops.v[n].header = new_block[f->loops.v[i].header];
    f->loops.v[n++].parent = parent == IR_NO ? IR_NO : new_loop[parent];
  }
  f->loops.n = n;
  for (u32 i = 0; i < f->blocks.n; i++)
    if (f->blocks.v[i]->loop != IR_NO)
      f->blocks.v[i]->loop = new_loop[f->blocks.v[i]->loop];
  free(new_loop);
}

static u32 renamed(const u32 *map, u32 id)
{
  return id == IR_NO ? IR_NO : map[id];
}

/* Ends the function: blocks that can be reached, in the order of the source. */
static void fn_finish(struct build *b)
{
  struct ir_fn *f = b->fn;
  bool *seen = calloc(f->blocks.n, sizeof(bool));
  u32 *map = calloc(f->blocks.n, sizeof(u32)), n = 0;
  struct ir_block **old = calloc(f->blocks.n, sizeof(*old));
  reach(f, seen);
  memcpy(old, f->blocks.v, f->blocks.n * sizeof(*old));
  memset(map, 0xff, f->blocks.n * sizeof(*map));
  for (u32 i = 0; i < b->order.n; i++) {
    u32 id = b->order.v[i];
    if (!seen[id] || map[id] != IR_NO)
      continue;
    f->blocks.v[n] = old[id];
    map[id] = n++;
  }
  f->blocks.n = n;
  for (u32 i = 0; i < n; i++) {
    struct ir_block *k = f->blocks.v[i];
    k->id = i;
    k->to[0] = renamed(map, k->to[0]);
    k->to[1] = renamed(map, k->to[1]);
    k->handler = renamed(map, k->handler);
  }
  compact_loops(f, map);
  free(seen);
  free(map);
  free(old);
}

/* ---- functions and handlers ----------------------------------------------------------------- */

static struct ir_fn *fn_new(struct build *b, const char *name, enum ir_type result_type)
{
  struct ir_fn *f = NEW(b->a, struct ir_fn);
  f->name = name;
  f->result = result_type;
  return f;
}

static void fn_start(struct build *b, struct ir_fn *f)
{
  b->fn = f;
  b->loop = b->handler = b->on_next = IR_NO;
  b->loops = NULL;
  b->budget_block = NULL;
  b->order.n = 0;
  irb_block_start(b, irb_block_new(b));
}

static struct ir_val zero(enum ir_type t)
{
  return t == IR_STR ? irb_val_str("") : val_int(0);
}

/* Locals start as 0 or "". */
static void start_locals(struct build *b, struct sym_local *const *v, u32 n)
{
  for (u32 i = 0; i < n; i++) {
    enum ir_type t = v[i]->type == TY_STRING ? IR_STR : IR_INT;
    v[i]->ir_reg = irb_reg_new(b, t, v[i]->name);
    EMIT(b, IR_MOV, zero(t))->dst = v[i]->ir_reg;
  }
}

/* Falling off the end gives 0 or "". */
void irb_fn_fall_off(struct build *b)
{
  struct ir_val v = zero(b->fn->result);
  irb_end_ret(b, b->fn->result == IR_VOID ? NULL : &v);
}

struct ir_fn *irb_function_of(struct build *b, struct sym_func *f)
{
  if (f->ir)
    return f->ir;
  f->ir = fn_new(b, f->name, ir_type_of(f->type));
  f->ir->id = b->m->fns.n;
  vec_push(b->a, &b->m->fns, f->ir);
  vec_push(b->a, &b->queue, f);
  return f->ir;
}

/* One overload.  Its parameters are copies when another may have to start from the same ones. */
static void build_overload(struct build *b, struct sym_func *f)
{
  bool alone = f->ir == b->fn && !f->next_overload;
  for (u32 i = 0; i < f->params.n; i++) {
    struct sym_local *p = f->params.v[i];
    if (alone) {
      p->ir_reg = b->fn->params.v[i];
      b->fn->regs.v[p->ir_reg].name = p->name;
    } else {
      p->ir_reg = irb_reg_new(b, ir_type_of(p->type), p->name);
      EMIT(b, IR_MOV, val_reg(b->fn->params.v[i]))->dst = p->ir_reg;
    }
  }
  start_locals(b, f->locals.v, f->locals.n);
  irb_statement(b, f->body);
  irb_fn_fall_off(b);
}

static void build_function(struct build *b, struct sym_func *f)
{
  fn_start(b, f->ir);
  for (u32 i = 0; i < f->params.n; i++) {
    u32 r = irb_reg_new(b, ir_type_of(f->params.v[i]->type), NULL);
    vec_push(b->a, &b->fn->params, r);
  }
  for (; f; f = f->next_overload) {
    b->on_next = f->next_overload ? irb_block_new(b) : IR_NO;
    build_overload(b, f);
    if (b->on_next != IR_NO)
      irb_block_start(b, b->on_next);
  }
  fn_finish(b);
}

static struct ir_fn *build_cond(struct build *b, struct probe_inst *pi)
{
  struct ir_fn *f = fn_new(b, pi->pp, IR_INT);
  f->probe = pi;
  fn_start(b, f);
  start_locals(b, pi->locals.v, pi->locals.n);
  struct ir_val v = irb_value(b, pi->cond);
  irb_end_ret(b, &v);
  fn_finish(b);
  return f;
}

static void build_probe(struct build *b, struct probe_inst *pi)
{
  struct ir_probe *p = NEW(b->a, struct ir_probe);
  p->id = b->m->probes.n;
  p->inst = pi;
  p->handler = fn_new(b, pi->pp, IR_VOID);
  p->handler->is_handler = true;
  p->handler->probe = pi;
  p->handler->id = p->id;
  vec_push(b->a, &b->m->probes, p);
  fn_start(b, p->handler);
  start_locals(b, pi->locals.v, pi->locals.n);
  if (pi->body)
    irb_statement(b, pi->body);
  irb_end_ret(b, NULL);
  fn_finish(b);
  if (pi->cond)
    p->cond = build_cond(b, pi);
}

/* ---- recursion ------------------------------------------------------------------------------ */

/* Tarjan's strongly connected components of the call graph. */
struct scc {
  u32 *index, *low; /* by function; index 0: not visited */
  u32 *stack, n, next;
  bool *on_stack;
};

static void scc_pop(struct scc *s, struct ir_module *m, u32 root)
{
  bool cycle = s->stack[s->n - 1] != root;
  u32 id;
  do {
    id = s->stack[--s->n];
    s->on_stack[id] = false;
    m->fns.v[id]->recursive |= cycle;
  } while (id != root);
}

static void scc_visit(struct scc *s, struct ir_module *m, struct ir_fn *f)
{
  u32 v = f->id;
  s->index[v] = s->low[v] = ++s->next;
  s->stack[s->n++] = v;
  s->on_stack[v] = true;
  for (u32 i = 0; i < f->blocks.n; i++)
    for (u32 k = 0; k < f->blocks.v[i]->ins.n; k++) {
      const struct ir_ins *ins = &f->blocks.v[i]->ins.v[k];
      if (ins->op != IR_CALL)
        continue;
      u32 w = ins->fn->id;
      f->recursive |= w == v;
      if (!s->index[w])
        scc_visit(s, m, ins->fn);
      if (s->on_stack[w])
        s->low[v] = MIN(s->low[v], s->low[w]);
    }
  if (s->low[v] == s->index[v])
    scc_pop(s, m, v);
}

static void mark_recursive(struct ir_module *m)
{
  struct scc s = {.next = 0};
  u32 *mem = calloc(m->fns.n + 1, 3 * sizeof(u32));
  s.index = mem;
  s.low = mem + m->fns.n;
  s.stack = s.low + m->fns.n;
  s.on_stack = calloc(m->fns.n + 1, sizeof(bool));
  for (u32 i = 0; i < m->fns.n; i++)
    if (!s.index[i])
      scc_visit(&s, m, m->fns.v[i]);
  free(mem);
  free(s.on_stack);
}

/* ---- what a probe's condition reads, functions that it calls included ----------------------- */

struct cond_walk {
  struct ir_lockset *set;
  bool *seen; /* functions, by id */
};

static void cond_fn(struct cond_walk *w, const struct ir_fn *f);

static void cond_ins(struct cond_walk *w, const struct ir_ins *ins)
{
  if (ins->op == IR_CALL && !w->seen[ins->fn->id]) {
    w->seen[ins->fn->id] = true;
    cond_fn(w, ins->fn);
  }
  struct ir_global *g = ir_has_global(ins->op) ? ins->global
                        : ir_has_iter(ins->op) ? ins->iter->map
                                               : NULL;
  if (!g)
    return;
  for (u32 i = 0; i < w->set->n; i++)
    if (w->set->g[i] == g)
      return;
  w->set->g[w->set->n++] = g;
}

static void cond_fn(struct cond_walk *w, const struct ir_fn *f)
{
  for (u32 i = 0; i < f->blocks.n; i++)
    for (u32 k = 0; k < f->blocks.v[i]->ins.n; k++)
      cond_ins(w, &f->blocks.v[i]->ins.v[k]);
}

static void cond_globals(struct build *b, struct ir_probe *p)
{
  struct ir_module *m = b->m;
  struct cond_walk w = {.set = NEW(b->a, struct ir_lockset)};
  w.set->g = NEW_ARRAY(b->a, struct ir_global *, m->globals.n);
  w.set->write = NEW_ARRAY(b->a, bool, m->globals.n);
  w.seen = calloc(m->fns.n + 1, sizeof(bool));
  cond_fn(&w, p->cond);
  free(w.seen);
  p->cond_globals = w.set;
}

/* ---- the module ----------------------------------------------------------------------------- */

struct ir_module *ir_build(struct arena *a, struct program *p, struct diag *diag)
{
  struct build b = {.a = a, .diag = diag};
  struct ir_module *m = b.m = NEW(a, struct ir_module);
  u32 errors = diag->nerrors;
  m->a = a;
  m->prog = p;
  vec_push(a, &m->errors, (struct ir_error){0});
  for (u32 i = 0; i < p->globals.n; i++)
    build_global(&b, p->globals.v[i]);
  for (u32 i = 0; i < p->probes.n; i++)
    build_probe(&b, p->probes.v[i]);
  for (u32 i = 0; i < b.queue.n; i++)
    build_function(&b, b.queue.v[i]);
  for (u32 i = 0; i < m->probes.n; i++)
    if (m->probes.v[i]->cond)
      cond_globals(&b, m->probes.v[i]);
  mark_recursive(m);
  return diag->nerrors == errors ? m : NULL;
}

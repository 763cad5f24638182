/* The module's functions as code for the interpreter: blocks in a row, jumps to instructions,
 * operands that are plain indices.  Integer constants become words behind the registers, so that
 * no instruction has to ask what an operand is.  */
#include <string.h>

#include "user/user.h"

struct build {
  struct user *u;
  struct code *c;
  const struct ir_fn *fn;
  u32 *start; /* per block: its first instruction */
  VEC(const struct ir_iter *) iters;
  u32 spare_int, spare_str; /* results that nobody wants; IR_NO: none yet */
};

/* ---- read-only data ------------------------------------------------------------------ */

static u32 rodata(struct user *u, const void *p, size_t n)
{
  while (u->rodata.n % 8)
    sb_putc(&u->rodata, 0);
  u32 off = (u32)u->rodata.n;
  sb_add(&u->rodata, p, n);
  return off;
}

/* Offset of a string. */
static u32 literal(struct user *u, const char *s, u32 len)
{
  const char *key = arena_strndup(u->a, s, MIN(strnlen(s, len), u->L - 1));
  uintptr_t known = (uintptr_t)strmap_get(&u->lits, key);
  if (!known) {
    known = (uintptr_t)rodata(u, key, strlen(key) + 1) + 1;
    strmap_put(&u->lits, key, (void *)known);
  }
  return (u32)known - 1;
}

static u32 string_table(struct user *u, const char *const *v, u32 n, const char *def)
{
  u32 *t = NEW_ARRAY(u->a, u32, n + 2);
  t[0] = n;
  t[1] = literal(u, def, UINT32_MAX);
  for (u32 i = 0; i < n; i++)
    t[2 + i] = v[i] ? literal(u, v[i], UINT32_MAX) : t[1];
  return rodata(u, t, (n + 2) * sizeof(*t));
}

static u32 flags_table(struct user *u, const struct ir_flags *f)
{
  struct rt_flags head = {
      .n = f->n,
      .zero = f->zero ? literal(u, f->zero, UINT32_MAX) : ~0u,
      .rest = f->rest,
  };
  struct rt_flag *row = NEW_ARRAY(u->a, struct rt_flag, f->n + 1);
  for (u32 i = 0; i < f->n; i++) {
    const char *name = f->v[i].name;
    row[i] = (struct rt_flag){f->v[i].mask, f->v[i].value, literal(u, name, UINT32_MAX),
                              (u32)strlen(name)};
  }
  u32 off = rodata(u, &head, sizeof(head));
  sb_add(&u->rodata, (const char *)row, f->n * sizeof(*row));
  return off;
}

/* A regular expression's table; each is placed once. */
static u32 regex_table(struct user *u, const struct regex *re)
{
  u32 k = 0;
  while (k < u->regexes.n && u->regexes.v[k].re != re)
    k++;
  if (k == u->regexes.n) {
    u32 off =
        re->groups ? rodata(u, re->groups, re->groups_size) : rodata(u, re->match, re->match_size);
    vec_push(u->a, &u->regexes, ((struct regex_place){re, off}));
  }
  return u->regexes.v[k].off;
}

/* ---- operands ------------------------------------------------------------------------ */

static u32 constant(struct build *b, s64 n)
{
  struct code *c = b->c;
  u32 i = 0;
  while (i < c->consts.n && c->consts.v[i] != n)
    i++;
  if (i == c->consts.n)
    vec_push(b->u->a, &c->consts, n);
  return c->nints + i;
}

static u32 operand(struct build *b, const struct ir_val *v)
{
  switch (v->kind) {
  case V_REG:
    return b->c->place[v->reg];
  case V_INT:
    return constant(b, v->num);
  default:
    return literal(b->u, v->str, v->len) | RT_LIT;
  }
}

static bool is_string(const struct build *b, const struct ir_val *v)
{
  return v->kind == V_STR || (v->kind == V_REG && b->fn->regs.v[v->reg].type == IR_STR);
}

/* Places the registers; both kinds get a spare one. */
static void place_registers(struct build *b)
{
  struct code *c = b->c;
  c->place = NEW_ARRAY(b->u->a, u32, b->fn->regs.n + 1);
  for (u32 i = 0; i < b->fn->regs.n; i++) {
    if (b->fn->regs.v[i].type == IR_STR) {
      c->place[i] = c->str_bytes;
      c->str_bytes += b->u->M;
    } else {
      c->place[i] = c->nints++;
    }
  }
  b->spare_int = c->nints++;
  b->spare_str = c->str_bytes;
  c->str_bytes += b->u->M;
}

static bool string_result(const struct build *b, const struct ir_ins *i)
{
  switch (i->op) {
  case IR_MOV:
    return is_string(b, &i->args[0]);
  case IR_GGET:
  case IR_MGET:
    return i->global->type == TY_STRING;
  case IR_ITER_KEY:
    return i->iter->map->key_type[i->imm] == TY_STRING;
  case IR_ITER_VALUE:
    return i->iter->map->type == TY_STRING;
  case IR_CALL:
    return i->fn->result == IR_STR;
  case IR_FN:
    return i->builtin->result == 'S';
  default:
    return ir_ops[i->op].result == 'S';
  }
}

/* ---- instructions ---------------------------------------------------------------------- */

static u32 new_site(struct user *u, const struct ir_ins *i)
{
  struct rt_site site = {0};
  if (i->op == IR_HISTPRINT) {
    site.hist_of = i->global;
    site.hist = &i->global->hists.v[i->imm];
  } else {
    site.fmt = i->fmt;
    site.width = NEW_ARRAY(u->a, u16, i->nargs + 1);
  }
  vec_push(u->a, &u->sites, site);
  return u->sites.n - 1;
}

static u32 iter_slot(struct build *b, const struct ir_iter *it)
{
  u32 k = 0;
  while (k < b->iters.n && b->iters.v[k] != it)
    k++;
  if (k == b->iters.n)
    vec_push(b->u->a, &b->iters, it);
  return k;
}

static u32 aux(struct build *b, const struct ir_ins *i)
{
  switch (i->op) {
  case IR_PRINT:
  case IR_HISTPRINT:
    return new_site(b->u, i);
  case IR_ITER_BEGIN:
  case IR_ITER_NEXT:
  case IR_ITER_KEY:
  case IR_ITER_VALUE:
  case IR_ITER_END:
    return iter_slot(b, i->iter);
  case IR_MATCH:
    return regex_table(b->u, i->regex);
  case IR_STRTAB:
    return string_table(b->u, i->strtab->v, i->strtab->n, i->strtab->def ? i->strtab->def : "");
  case IR_FN:
    return i->flags ? flags_table(b->u, i->flags) : 0;
  default:
    return 0;
  }
}

static void build_ins(struct build *b, const struct ir_block *blk, const struct ir_ins *i)
{
  struct code *c = b->c;
  struct insn x = {.op = (u16)i->op,
                   .nargs = (u16)i->nargs,
                   .args = c->args.n,
                   .ir = i,
                   .handler = blk->handler};
  bool string = string_result(b, i);
  if (i->dst != IR_NO)
    x.dst = c->place[i->dst];
  else
    x.dst = string ? b->spare_str : b->spare_int;
  if (i->op == IR_MOV && string)
    x.op = U_MOV_STR;
  for (u32 k = 0; k < i->nargs; k++)
    vec_push(b->u->a, &c->args, operand(b, &i->args[k]));
  x.a = i->nargs > 0 ? c->args.v[x.args] : 0;
  x.b = i->nargs > 1 ? c->args.v[x.args + 1] : 0;
  x.aux = aux(b, i);
  vec_push(b->u->a, &c->ins, x);
}

static void build_term(struct build *b, const struct ir_block *blk)
{
  struct insn x = {.op = U_JMP, .handler = blk->handler};
  if (blk->term == T_JMP) {
    if (blk->to[0] == blk->id + 1)
      return;
    x.dst = blk->to[0];
  } else if (blk->term == T_BR) {
    x.op = U_BR;
    x.a = operand(b, &blk->val);
    x.b = blk->to[0];
    x.dst = blk->to[1];
  } else if (!blk->has_val) {
    x.op = U_RET;
  } else {
    x.op = is_string(b, &blk->val) ? U_RET_STR : U_RET_INT;
    x.a = operand(b, &blk->val);
  }
  vec_push(b->u->a, &b->c->ins, x);
}

/* Block numbers become instruction numbers. */
static void link_jumps(struct build *b)
{
  for (u32 i = 0; i < b->c->ins.n; i++) {
    struct insn *x = &b->c->ins.v[i];
    if (x->handler != IR_NO)
      x->handler = b->start[x->handler];
    if (x->op == U_JMP || x->op == U_BR)
      x->dst = b->start[x->dst];
    if (x->op == U_BR)
      x->b = b->start[x->b];
  }
}

static struct code *build_fn(struct user *u, const struct ir_fn *fn)
{
  struct code *c = NEW(u->a, struct code);
  struct build b = {.u = u, .c = c, .fn = fn, .start = NEW_ARRAY(u->a, u32, fn->blocks.n + 1)};
  c->fn = fn;
  place_registers(&b);
  for (u32 i = 0; i < fn->blocks.n; i++) {
    const struct ir_block *blk = fn->blocks.v[i];
    b.start[i] = c->ins.n;
    for (u32 k = 0; k < blk->ins.n; k++)
      build_ins(&b, blk, &blk->ins.v[k]);
    build_term(&b, blk);
  }
  link_jumps(&b);
  c->niters = b.iters.n;
  return c;
}

void code_build(struct user *u)
{
  struct ir_module *m = u->m;
  strmap_init(&u->lits, u->a);
  u32 top = 0;
  for (u32 i = 0; i < m->fns.n; i++)
    top = MAX(top, m->fns.v[i]->id + 1);
  u->fns = NEW_ARRAY(u->a, struct code *, top);
  for (u32 i = 0; i < m->fns.n; i++)
    u->fns[m->fns.v[i]->id] = build_fn(u, m->fns.v[i]);
  top = 0;
  for (u32 i = 0; i < m->probes.n; i++)
    top = MAX(top, m->probes.v[i]->id + 1);
  u->handlers = NEW_ARRAY(u->a, struct code *, top);
  u->conds = NEW_ARRAY(u->a, struct code *, top);
  for (u32 i = 0; i < m->probes.n; i++) {
    const struct ir_probe *p = m->probes.v[i];
    u->handlers[p->id] = p->same ? u->handlers[p->same->id] : build_fn(u, p->handler);
    u->conds[p->id] = p->same ? u->conds[p->same->id] : p->cond ? build_fn(u, p->cond) : NULL;
  }
  u->errno_tab = string_table(u, rt_errno_names, RT_ERRNO_MAX, "");
}

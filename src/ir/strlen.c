/* Bounds of strings: how many bytes, NUL included, a register, a key column or the value of a
 * global can ever hold.  execname() has 16, a literal its own length, a concatenation the sum; what
 * flows from one place to another takes its bound along, through parameters, results and globals.
 *
 * Bounds start at 1, the empty string, and only grow, until nothing changes.  A place that has
 * grown in more than GROWTHS rounds is taken to hold anything (s .= "x" in a loop): so the
 * pass ends soon.
 *
 * A key column must be longer than every key that is stored, by one byte where longer keys are
 * looked up: cut to the column's size they are still different from every stored one.  */
#include "ir/flow.h"

#include <string.h>

#include "elaborate/program.h"

enum { GROWTHS = 6, INT_TEXT = 32 /* any 64-bit integer in base 8 or more, sign, prefix, NUL */ };

struct bound {
  u32 max;
  u32 growths; /* rounds in which it grew */
  u32 round;   /* the last of them */
};

struct bounds {
  struct ir_module *m;
  u32 M;
  struct ir_fn *f;      /* being looked at */
  struct bound **reg;   /* per function, by position in fns */
  struct bound *cur;    /* reg[] of f */
  struct bound *result; /* per function */
  struct flow_fns fns;
  u32 *index_of;             /* function id -> position; ids of m->fns */
  struct bound *value;       /* per global */
  struct bound (*stored)[9]; /* per global and key column */
  struct bound (*lookup)[9];
  struct bound subject, tokens; /* of =~ and tokenize() */
  u32 pp;                       /* longest pp() or pn() */
  u32 round;
  bool changed;
};

static void grow(struct bounds *b, struct bound *x, u64 to)
{
  to = MIN(to, b->M);
  if (to <= x->max)
    return;
  if (x->round != b->round)
    x->growths++;
  x->round = b->round;
  x->max = x->growths > GROWTHS ? b->M : (u32)to;
  b->changed = true;
}

static u32 of_text(const struct bounds *b, const char *s)
{
  size_t n = s ? strlen(s) + 1 : 1;
  return n > b->M ? b->M : (u32)n;
}

static u32 of_val(const struct bounds *b, const struct ir_val *v)
{
  if (v->kind == V_REG)
    return b->cur[v->reg].max;
  return v->kind == V_STR ? MIN(v->len + 1, b->M) : 1;
}

/* ---- results of operations ------------------------------------------------------------------- */

static u64 of_strtab(const struct bounds *b, const struct ir_strtab *t)
{
  u64 max = of_text(b, t->def);
  for (u32 k = 0; k < t->n; k++)
    max = MAX(max, of_text(b, t->v[k]));
  return max;
}

/* Names joined by "|", and what is left in hex. */
static u64 of_flags(const struct bounds *b, const struct ir_flags *t)
{
  u64 sum = INT_TEXT;
  for (u32 k = 0; k < t->n; k++)
    sum += of_text(b, t->v[k].name);
  return MAX(sum, of_text(b, t->zero));
}

static u64 of_enum(const struct bounds *b, const struct ir_flags *t)
{
  u64 max = INT_TEXT;
  for (u32 k = 0; k < t->n; k++)
    max = MAX(max, of_text(b, t->v[k].name));
  return max;
}

/* One conversion of sprintf(), without the NUL. */
static u64 of_piece(const struct bounds *b, const struct fmt_piece *p, const struct ir_val *arg)
{
  if (p->conv == CONV_LITERAL)
    return p->len;
  if (p->width_kind == FMT_DYNAMIC || p->prec_kind == FMT_DYNAMIC)
    return b->M;
  u64 width = p->width_kind == FMT_STATIC ? p->width : 0;
  u64 prec = p->prec_kind == FMT_STATIC ? p->prec : 0;
  switch (p->conv) {
  case CONV_S:
    return MAX(width, (u64)of_val(b, arg) - 1);
  case CONV_C:
    return MAX(width, 8u);
  case CONV_D:
  case CONV_U:
  case CONV_O:
  case CONV_X:
  case CONV_XX:
  case CONV_P:
    return MAX(width, prec + INT_TEXT);
  default:
    return b->M;
  }
}

static u64 of_sprint(const struct bounds *b, const struct ir_ins *i)
{
  const struct print_expr *pe = i->fmt->print;
  u64 sum = 1;
  for (u32 k = 0, arg = 0; k < pe->fmt.n; k++) {
    const struct fmt_piece *p = &pe->fmt.v[k];
    if (p->conv == CONV_LITERAL) {
      sum += p->len;
      continue;
    }
    arg += (p->width_kind == FMT_DYNAMIC) + (p->prec_kind == FMT_DYNAMIC);
    sum += of_piece(b, p, &i->args[arg++]);
  }
  return sum;
}

/* A string of at most n bytes, when that is known. */
static u64 of_count(const struct bounds *b, const struct ir_val *n)
{
  bool known = n->kind == V_INT && n->num >= 0 && n->num < b->M;
  return known ? (u64)n->num + 1 : b->M;
}

static u64 of_builtin(struct bounds *b, const struct ir_ins *i)
{
  const struct ir_val *arg = i->args;
  switch (i->builtin->fn) {
  case FN_EXECNAME:
  case FN_PEXECNAME:
    return 16;
  case FN_CTIME:
    return 25;
  case FN_PP:
  case FN_PN:
    return b->pp;
  case FN_SUBSTR:
    return MIN((u64)of_val(b, &arg[0]), of_count(b, &arg[2]));
  case FN_TOUPPER:
  case FN_TOLOWER:
    return of_val(b, &arg[0]);
  case FN_TEXT_STR: /* a byte becomes four at most; quotes and "..." add to that */
  case FN_TEXT_STRN:
  case FN_STRING_QUOTED:
    return 4ull * of_val(b, &arg[0]) + 6;
  case FN_TOKENIZE:
    grow(b, &b->tokens, of_val(b, &arg[0]));
    return of_val(b, &arg[0]);
  case FN_TOKENIZE_NEXT:
    return b->tokens.max;
  case FN_MATCHED:
    return b->subject.max;
  case FN_USER_STRING_N:
  case FN_KERNEL_STRING_N:
    return of_count(b, &arg[1]);
  case FN_USER_STRING_N2:
    return MAX(of_count(b, &arg[1]), (u64)of_val(b, &arg[2]));
  case FN_FLAGS_STR:
    return of_flags(b, i->flags);
  case FN_ENUM_STR:
    return of_enum(b, i->flags);
  default:
    return b->M;
  }
}

static u64 of_result(struct bounds *b, const struct ir_ins *i)
{
  switch (i->op) {
  case IR_MOV:
    return of_val(b, &i->args[0]);
  case IR_CONCAT:
    return (u64)of_val(b, &i->args[0]) + of_val(b, &i->args[1]) - 1;
  case IR_GGET:
  case IR_MGET:
  case IR_MCAT:
    return b->value[i->global->id].max;
  case IR_ITER_VALUE:
    return b->value[i->iter->map->id].max;
  case IR_ITER_KEY:
    return b->stored[i->iter->map->id][i->imm].max;
  case IR_SPRINT:
    return of_sprint(b, i);
  case IR_CALL:
    return b->result[b->index_of[i->fn->id]].max;
  case IR_STRTAB:
    return of_strtab(b, i->strtab);
  case IR_FN:
    return of_builtin(b, i);
  default:
    return b->M;
  }
}

/* ---- what instructions store ------------------------------------------------------------------
 */

/* Keys that the operation stores or looks up; `mask` says which columns are given. */
static void note_keys(struct bounds *b, const struct ir_global *g, const struct ir_val *keys,
                      u32 mask, bool stores)
{
  struct bound *column = stores ? b->stored[g->id] : b->lookup[g->id];
  for (u32 c = 0, k = 0; c < g->nkeys; c++)
    if (mask >> c & 1) {
      if (g->key_type[c] == TY_STRING)
        grow(b, &column[c], of_val(b, &keys[k]));
      k++;
    }
}

static void note_effects(struct bounds *b, const struct ir_ins *i)
{
  const struct ir_global *g;
  switch (i->op) {
  case IR_GSET:
    if (i->global->type == TY_STRING)
      grow(b, &b->value[i->global->id], of_val(b, &i->args[0]));
    break;
  case IR_MSET:
  case IR_MCAT:
  case IR_MRMW:
  case IR_STATADD:
    g = i->global;
    note_keys(b, g, i->args, ~0u, true);
    if (i->op == IR_MSET && g->type == TY_STRING)
      grow(b, &b->value[g->id], of_val(b, &i->args[g->nkeys]));
    if (i->op == IR_MCAT)
      grow(b, &b->value[g->id], (u64)b->value[g->id].max + of_val(b, &i->args[g->nkeys]) - 1);
    break;
  case IR_MGET:
  case IR_MIN_:
  case IR_MDEL:
  case IR_STATGET:
  case IR_HISTGET:
  case IR_HISTPRINT:
  case IR_HISTSTR:
    note_keys(b, i->global, i->args, ~0u, false);
    break;
  case IR_MIN_SLICE:
  case IR_MDEL_SLICE:
    note_keys(b, i->global, i->args, (u32)i->imm, false);
    break;
  case IR_ITER_BEGIN:
    note_keys(b, i->iter->map, i->args, i->iter->slice_mask, false);
    break;
  case IR_CALL:
    for (u32 k = 0; k < i->nargs; k++)
      if (i->fn->regs.v[i->fn->params.v[k]].type == IR_STR)
        grow(b, &b->reg[b->index_of[i->fn->id]][i->fn->params.v[k]], of_val(b, &i->args[k]));
    break;
  case IR_MATCH:
    grow(b, &b->subject, of_val(b, &i->args[0]));
    break;
  default:
    break;
  }
}

static void look_at(struct bounds *b, u32 index)
{
  struct ir_fn *f = b->f = b->fns.v[index];
  b->cur = b->reg[index];
  for (u32 n = 0; n < f->blocks.n; n++) {
    const struct ir_block *bl = f->blocks.v[n];
    for (u32 k = 0; k < bl->ins.n; k++) {
      const struct ir_ins *i = &bl->ins.v[k];
      note_effects(b, i);
      if (i->dst != IR_NO && f->regs.v[i->dst].type == IR_STR)
        grow(b, &b->cur[i->dst], of_result(b, i));
    }
    if (bl->term == T_RET && bl->has_val && f->result == IR_STR)
      grow(b, &b->result[index], of_val(b, &bl->val));
  }
}

/* ---- the pass
 * ------------------------------------------------------------------------------------ */

static void start(struct bounds *b)
{
  struct ir_module *m = b->m;
  struct arena *a = m->a;
  u32 nglobals = 0, nids = 0;
  for (u32 k = 0; k < m->globals.n; k++)
    nglobals = MAX(nglobals, m->globals.v[k]->id + 1);
  for (u32 k = 0; k < b->fns.n; k++)
    nids = MAX(nids, b->fns.v[k]->id + 1);
  b->value = NEW_ARRAY(a, struct bound, nglobals + 1);
  b->stored = arena_alloc(a, (nglobals + 1) * sizeof(*b->stored));
  b->lookup = arena_alloc(a, (nglobals + 1) * sizeof(*b->lookup));
  for (u32 k = 0; k < m->globals.n; k++)
    b->value[m->globals.v[k]->id].max = of_text(b, m->globals.v[k]->init_str);
  for (u32 k = 0; k < nglobals; k++)
    for (u32 c = 0; c < 9; c++)
      b->stored[k][c].max = b->lookup[k][c].max = 1;
  b->index_of = NEW_ARRAY(a, u32, nids + 1);
  for (u32 k = 0; k < m->fns.n; k++)
    b->index_of[m->fns.v[k]->id] = k; /* flow_all() lists these first */
  b->result = NEW_ARRAY(a, struct bound, b->fns.n + 1);
  b->reg = NEW_ARRAY(a, struct bound *, b->fns.n + 1);
  for (u32 k = 0; k < b->fns.n; k++) {
    b->result[k].max = 1;
    b->reg[k] = NEW_ARRAY(a, struct bound, b->fns.v[k]->regs.n + 1);
    for (u32 r = 0; r < b->fns.v[k]->regs.n; r++)
      b->reg[k][r].max = 1;
  }
  b->subject.max = b->tokens.max = b->pp = 1;
  for (u32 k = 0; k < m->probes.n; k++) {
    const struct probe_inst *pi = m->probes.v[k]->inst;
    b->pp = MAX(b->pp, MAX(of_text(b, pi->pp), of_text(b, pi->name)));
  }
}

static void finish(struct bounds *b)
{
  for (u32 k = 0; k < b->fns.n; k++)
    for (u32 r = 0; r < b->fns.v[k]->regs.n; r++)
      if (b->fns.v[k]->regs.v[r].type == IR_STR)
        b->fns.v[k]->regs.v[r].maxlen = b->reg[k][r].max;
  for (u32 k = 0; k < b->m->globals.n; k++) {
    struct ir_global *g = b->m->globals.v[k];
    if (g->type == TY_STRING)
      g->val_maxlen = b->value[g->id].max;
    for (u32 c = 0; c < g->nkeys; c++)
      if (g->key_type[c] == TY_STRING) {
        u32 stored = b->stored[g->id][c].max, lookup = b->lookup[g->id][c].max;
        g->key_maxlen[c] = MIN(b->M, lookup > stored ? stored + 1 : stored);
      }
  }
}

/* ---- literals ------------------------------------------------------------------ */

static void cut(const struct ir_module *m, struct ir_val *v)
{
  if (v->kind != V_STR || v->len < m->maxstringlen)
    return;
  v->len = m->maxstringlen - 1;
  v->str = arena_strndup(m->a, v->str, v->len);
}

void ir_cut_literals(struct ir_module *m)
{
  struct flow_fns all = flow_all(m->a, m);
  for (u32 k = 0; k < all.n; k++)
    for (u32 n = 0; n < all.v[k]->blocks.n; n++) {
      struct ir_block *b = all.v[k]->blocks.v[n];
      cut(m, &b->val);
      for (u32 i = 0; i < b->ins.n; i++)
        for (u32 j = 0; j < b->ins.v[i].nargs; j++)
          cut(m, &b->ins.v[i].args[j]);
    }
  for (u32 k = 0; k < m->globals.n; k++) {
    struct ir_global *g = m->globals.v[k];
    if (g->init_str)
      g->init_str = arena_strndup(m->a, g->init_str, strnlen(g->init_str, m->maxstringlen - 1));
  }
}

void ir_pass_strlen(struct ir_module *m)
{
  struct bounds b = {.m = m, .M = m->maxstringlen, .fns = flow_all(m->a, m)};
  start(&b);
  do {
    b.changed = false;
    b.round++;
    for (u32 k = 0; k < b.fns.n; k++)
      look_at(&b, k);
  } while (b.changed);
  finish(&b);
}

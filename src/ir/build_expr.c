/* Expressions to IR, evaluated from left to right.
 *
 * expr() takes the register that the value should end in, or DST_ANY, or DST_UNUSED, and says where
 * the value is: that register, a temporary, a constant, or the register of a variable.  */
#include "ir/build.h"

/* ---- operands that stay what they are ------------------------------------------------------- */

struct assigned {
  u32 reg;
  bool found;
};

static bool assigns_visit(struct expr **px, void *arg)
{
  struct assigned *as = arg;
  const struct expr *x = *px;
  if ((x->kind == E_ASSIGN || x->kind == E_INCDEC) && x->a->local && x->a->local->ir_reg == as->reg)
    as->found = true;
  return !as->found;
}

static bool assigns(struct expr *x, u32 reg)
{
  struct assigned as = {.reg = reg};
  expr_walk(&x, assigns_visit, &as);
  return as.found;
}

static struct ir_val keep(struct build *b, struct ir_val v, struct expr *const *later, u32 n)
{
  if (v.kind != V_REG || !b->fn->regs.v[v.reg].name)
    return v;
  for (u32 i = 0; i < n; i++)
    if (assigns(later[i], v.reg))
      return irb_result(b, EMIT(b, IR_MOV, v), b->fn->regs.v[v.reg].type, DST_ANY);
  return v;
}

void irb_values(struct build *b, struct expr *const *x, u32 n, struct ir_val *out)
{
  for (u32 i = 0; i < n; i++)
    out[i] = keep(b, irb_value(b, x[i]), x + i + 1, n - i - 1);
}

struct ir_val irb_value(struct build *b, const struct expr *x)
{
  return irb_expr(b, x, DST_ANY);
}

void irb_value_to(struct build *b, const struct expr *x, u32 dst)
{
  struct ir_val v = irb_expr(b, x, dst);
  if (dst != DST_UNUSED && (v.kind != V_REG || v.reg != dst))
    EMIT(b, IR_MOV, v)->dst = dst;
}

void irb_effect(struct build *b, const struct expr *x)
{
  irb_expr(b, x, DST_UNUSED);
}

/* ---- variables ------------------------------------------------------------------------------ */

/* The keys of a[…] and then more values. */
struct operands {
  struct ir_val v[16];
  u32 n;
};

static struct operands keys_and(struct build *b, const struct expr *var, struct expr *more)
{
  struct operands o = {0};
  struct expr *x[16];
  u32 n = 0;
  for (u32 i = 0; var->kind == E_INDEX && i < var->args.n; i++)
    x[n++] = var->args.v[i];
  if (more)
    x[n++] = more;
  irb_values(b, x, n, o.v);
  o.n = n;
  return o;
}

static struct ir_ins *emit_global(struct build *b, enum ir_op op, const struct expr *var,
                                  const struct operands *o)
{
  struct ir_ins *ins = irb_emit(b, op, o->v, o->n);
  ins->global = var->global->ir;
  return ins;
}

static void overflows(struct build *b, struct ir_ins *ins, const struct expr *var)
{
  if (!(ir_ops[ins->op].flags & BI_FAIL))
    return;
  s64 size = var->global->decl->maxsize;
  const char *limit =
      size ? arena_printf(b->a, "size limit (%lld)", (long long)size) : "MAXMAPENTRIES";
  ins->err = irb_error_new(b, arena_printf(b->a, "Array overflow, check %s", limit), var);
}

static struct ir_val load_global(struct build *b, const struct expr *x, u32 dst)
{
  struct operands o = keys_and(b, x, NULL);
  enum ir_op op = x->kind == E_INDEX ? IR_MGET : IR_GGET;
  return irb_result(b, emit_global(b, op, x, &o), ir_type_of(x->type), dst);
}

void irb_store(struct build *b, const struct expr *var, struct ir_val v)
{
  if (var->local)
    EMIT(b, IR_MOV, v)->dst = var->local->ir_reg;
  else
    EMIT(b, IR_GSET, v)->global = var->global->ir;
}

/* ---- histograms ----------------------------------------------------------------------------- */

u32 irb_hist_index(const struct ir_global *g, const struct hist *h)
{
  for (u32 i = 0; i < g->hists.n; i++) {
    const struct hist *k = &g->hists.v[i];
    if (k->kind == h->kind &&
        (k->kind == HIST_LOG || (k->lo == h->lo && k->hi == h->hi && k->step == h->step)))
      return i;
  }
  return IR_NO;
}

static struct ir_val in_range(struct build *b, struct ir_val bucket, const struct hist *h)
{
  struct ir_val n = val_int(hist_buckets(h));
  struct ir_val low = irb_result(b, EMIT(b, IR_GE, bucket, val_int(0)), IR_INT, DST_ANY);
  struct ir_val high = irb_result(b, EMIT(b, IR_LT, bucket, n), IR_INT, DST_ANY);
  return irb_result(b, EMIT(b, IR_AND, low, high), IR_INT, DST_ANY);
}

void irb_raise_unless(struct build *b, struct ir_val ok, const char *text, const struct expr *x)
{
  u32 bad = irb_block_new(b), good = irb_block_new(b);
  irb_end_br(b, ok, good, bad);
  irb_block_start(b, bad);
  EMIT(b, IR_ERROR, irb_val_str(text))->err = irb_error_new(b, NULL, x);
  irb_end_jmp(b, good);
  irb_block_start(b, good);
}

void irb_need_samples(struct build *b, const struct expr *h, const struct ir_val *keys)
{
  const struct expr *var = h->a;
  struct ir_ins *ins = irb_emit(b, IR_STATGET, keys, var->kind == E_INDEX ? var->args.n : 0);
  ins->global = var->global->ir;
  ins->global->stat_ops |= 1u << STAT_COUNT;
  ins->imm = STAT_COUNT;
  ins->err = irb_error_new(b, EMPTY_AGGREGATE, h);
  irb_raise_unless(b, irb_result(b, ins, IR_INT, DST_ANY), EMPTY_AGGREGATE, h);
}

/* @hist_log(s)[bucket] */
static struct ir_val bucket_count(struct build *b, const struct expr *x, u32 dst)
{
  const struct expr *h = x->a;
  struct operands o = keys_and(b, h->a, x->args.v[0]);
  irb_need_samples(b, h, o.v);
  irb_raise_unless(b, in_range(b, o.v[o.n - 1], &h->hist), "histogram index out of range", x);
  struct ir_ins *ins = emit_global(b, IR_HISTGET, h->a, &o);
  ins->imm = irb_hist_index(ins->global, &h->hist);
  return irb_result(b, ins, IR_INT, dst);
}

/* n in @hist_log(s): whether there is such a bucket. */
static struct ir_val bucket_in(struct build *b, const struct expr *x, u32 dst)
{
  (void)dst;
  return in_range(b, irb_value(b, x->args.v[0]), &x->a->hist);
}

static struct ir_val stat_op(struct build *b, const struct expr *x, u32 dst)
{
  struct operands o = keys_and(b, x->a, NULL);
  struct ir_ins *ins = emit_global(b, IR_STATGET, x->a, &o);
  ins->imm = x->stat;
  ins->imm2 = x->stat == STAT_VARIANCE ? x->num : 0;
  ins->err = irb_error_new(b, EMPTY_AGGREGATE, x);
  return irb_result(b, ins, IR_INT, dst);
}

/* ---- membership ----------------------------------------------------------------------------- */

static struct ir_val in_array(struct build *b, const struct expr *x, u32 dst)
{
  struct expr *given[16];
  struct operands o = {0};
  s64 mask = 0;
  if (x->a->kind == E_HIST)
    return bucket_in(b, x, dst);
  for (u32 i = 0; i < x->args.n; i++)
    if (x->args.v[i]->kind != E_STAR) {
      given[o.n++] = x->args.v[i];
      mask |= 1 << i;
    }
  irb_values(b, given, o.n, o.v);
  struct ir_ins *ins = emit_global(b, o.n == x->args.n ? IR_MIN_ : IR_MIN_SLICE, x->a, &o);
  ins->imm = ins->op == IR_MIN_SLICE ? mask : 0;
  return irb_result(b, ins, IR_INT, dst);
}

/* ---- operators ------------------------------------------------------------------------------ */

static const enum ir_op int_ops[OP_LAST] = {
    [OP_ADD] = IR_ADD, [OP_SUB] = IR_SUB,   [OP_MUL] = IR_MUL, [OP_DIV] = IR_DIV, [OP_MOD] = IR_MOD,
    [OP_SHL] = IR_SHL, [OP_SHR] = IR_SHR,   [OP_AND] = IR_AND, [OP_OR] = IR_OR,   [OP_XOR] = IR_XOR,
    [OP_EQ] = IR_EQ,   [OP_USHR] = IR_USHR, [OP_NE] = IR_NE,   [OP_LT] = IR_LT,   [OP_LE] = IR_LE,
    [OP_GT] = IR_GT,   [OP_GE] = IR_GE,     [OP_NEG] = IR_NEG, [OP_NOT] = IR_NOT};

/* l op r of integers; x is the operator's place. */
static struct ir_val arith(struct build *b, const struct expr *x, struct ir_val l, struct ir_val r,
                           u32 dst)
{
  struct ir_ins *ins = EMIT(b, int_ops[x->op], l, r);
  if (ir_ops[ins->op].flags & BI_FAIL)
    ins->err = irb_error_new(b, "division by 0", x);
  return irb_result(b, ins, IR_INT, dst);
}

/* 1 or 0 by control flow. */
static struct ir_val truth(struct build *b, const struct expr *x, u32 dst)
{
  u32 yes = irb_block_new(b), no = irb_block_new(b), join = irb_block_new(b);
  u32 r = dst == DST_ANY ? irb_reg_new(b, IR_INT, NULL) : dst;
  irb_condition(b, x, yes, no);
  irb_block_start(b, yes);
  if (dst != DST_UNUSED)
    EMIT(b, IR_MOV, val_int(1))->dst = r;
  irb_end_jmp(b, join);
  irb_block_start(b, no);
  if (dst != DST_UNUSED)
    EMIT(b, IR_MOV, val_int(0))->dst = r;
  irb_end_jmp(b, join);
  irb_block_start(b, join);
  return dst == DST_UNUSED ? val_int(0) : val_reg(r);
}

static struct ir_val binary(struct build *b, const struct expr *x, u32 dst)
{
  struct ir_val v[2];
  if (x->op == OP_LAND || x->op == OP_LOR)
    return truth(b, x, dst);
  irb_values(b, (struct expr *[]){x->a, x->b}, 2, v);
  if (x->op == OP_CONCAT)
    return irb_result(b, irb_emit(b, IR_CONCAT, v, 2), IR_STR, dst);
  if (x->a->type != TY_STRING)
    return arith(b, x, v[0], v[1], dst);
  struct ir_val order = irb_result(b, irb_emit(b, IR_SCMP, v, 2), IR_INT, DST_ANY);
  return arith(b, x, order, val_int(0), dst);
}

static struct ir_val unary(struct build *b, const struct expr *x, u32 dst)
{
  struct ir_val v = x->op == OP_PLUS ? irb_expr(b, x->a, dst) : irb_value(b, x->a);
  if (x->op == OP_PLUS)
    return v;
  if (x->op == OP_LNOT)
    return irb_result(b, EMIT(b, IR_EQ, v, val_int(0)), IR_INT, dst);
  return irb_result(b, EMIT(b, int_ops[x->op], v), IR_INT, dst);
}

static struct ir_val ternary(struct build *b, const struct expr *x, u32 dst)
{
  u32 yes = irb_block_new(b), no = irb_block_new(b), join = irb_block_new(b);
  u32 r = dst;
  if (dst == DST_ANY)
    r = ir_type_of(x->type) == IR_VOID ? DST_UNUSED : irb_reg_new(b, ir_type_of(x->type), NULL);
  irb_condition(b, x->a, yes, no);
  irb_block_start(b, yes);
  irb_value_to(b, x->b, r);
  irb_end_jmp(b, join);
  irb_block_start(b, no);
  irb_value_to(b, x->c, r);
  irb_end_jmp(b, join);
  irb_block_start(b, join);
  return r == DST_UNUSED ? val_int(0) : val_reg(r);
}

void irb_condition(struct build *b, const struct expr *x, u32 yes, u32 no)
{
  if (x->kind == E_UNARY && x->op == OP_LNOT) {
    irb_condition(b, x->a, no, yes);
  } else if (x->kind == E_BINARY && (x->op == OP_LAND || x->op == OP_LOR)) {
    u32 second = irb_block_new(b);
    irb_condition(b, x->a, x->op == OP_LAND ? second : yes, x->op == OP_LAND ? no : second);
    irb_block_start(b, second);
    irb_condition(b, x->b, yes, no);
  } else {
    irb_end_br(b, irb_value(b, x), yes, no);
  }
}

static struct ir_val match(struct build *b, const struct expr *x, u32 dst)
{
  struct ir_val s = irb_value(b, x->a);
  struct ir_ins *ins = EMIT(b, IR_MATCH, s);
  ins->regex = x->regex;
  if (x->op != OP_NOMATCH)
    return irb_result(b, ins, IR_INT, dst);
  struct ir_val v = irb_result(b, ins, IR_INT, DST_ANY);
  return irb_result(b, EMIT(b, IR_EQ, v, val_int(0)), IR_INT, dst);
}

/* ---- assignment ----------------------------------------------------------------------------- */

/* Whether a read-modify-write instruction exists for the update. */
static bool has_rmw(enum op op)
{
  return op != OP_DIV && op != OP_MOD && op != OP_CONCAT;
}

static struct ir_val update_op(struct build *b, const struct expr *x, struct ir_val old,
                               struct ir_val v, u32 dst)
{
  if (x->op == OP_CONCAT)
    return irb_result(b, EMIT(b, IR_CONCAT, old, v), IR_STR, dst);
  return arith(b, x, old, v, dst);
}

/* Read, change, write, where one instruction can't.  The operands are keys, then the value. */
static struct ir_val update_slowly(struct build *b, const struct expr *x, struct operands *o)
{
  const struct expr *var = x->a;
  bool element = var->kind == E_INDEX;
  enum ir_type type = ir_type_of(var->type);
  struct ir_val v = o->v[--o->n];
  struct ir_ins *get = emit_global(b, element ? IR_MGET : IR_GGET, var, o);
  struct ir_val old = irb_result(b, get, type, DST_ANY);
  o->v[o->n++] = update_op(b, x, old, v, DST_ANY);
  overflows(b, emit_global(b, element ? IR_MSET : IR_GSET, var, o), var);
  return o->v[o->n - 1];
}

/* var op= value */
static struct ir_val update_global(struct build *b, const struct expr *x, u32 dst)
{
  struct operands o = keys_and(b, x->a, x->b);
  bool element = x->a->kind == E_INDEX;
  struct ir_ins *ins;
  if (element && x->op == OP_CONCAT) {
    ins = emit_global(b, IR_MCAT, x->a, &o);
  } else if (has_rmw(x->op)) {
    ins = emit_global(b, element ? IR_MRMW : IR_GRMW, x->a, &o);
    ins->imm = int_ops[x->op];
  } else {
    return update_slowly(b, x, &o);
  }
  overflows(b, ins, x->a);
  return irb_result(b, ins, ir_type_of(x->a->type), dst);
}

static struct ir_val set_global(struct build *b, const struct expr *x)
{
  struct operands o = keys_and(b, x->a, x->b);
  struct ir_val v = o.v[o.n - 1];
  overflows(b, emit_global(b, x->a->kind == E_INDEX ? IR_MSET : IR_GSET, x->a, &o), x->a);
  return v;
}

static struct ir_val add_sample(struct build *b, const struct expr *x)
{
  struct operands o = keys_and(b, x->a, x->b);
  struct ir_val v = o.v[o.n - 1];
  overflows(b, emit_global(b, IR_STATADD, x->a, &o), x->a);
  return v;
}

static struct ir_val assign_local(struct build *b, const struct expr *x)
{
  u32 r = x->a->local->ir_reg;
  struct ir_val v;
  if (x->op == OP_NONE) {
    irb_value_to(b, x->b, r);
    return val_reg(r);
  }
  v = update_op(b, x, val_reg(r), irb_value(b, x->b), r);
  if (v.reg != r)
    EMIT(b, IR_MOV, v)->dst = r;
  return val_reg(r);
}

static struct ir_val assign(struct build *b, const struct expr *x, u32 dst)
{
  if (x->a->local)
    return assign_local(b, x);
  if (x->op == OP_NONE)
    return set_global(b, x);
  if (x->op == OP_STATADD)
    return add_sample(b, x);
  return update_global(b, x, dst);
}

static struct ir_val incdec_local(struct build *b, const struct expr *x, u32 dst)
{
  struct ir_val var = val_reg(x->a->local->ir_reg), v = var;
  bool up = x->op == OP_PREINC || x->op == OP_POSTINC;
  bool post = x->op == OP_POSTINC || x->op == OP_POSTDEC;
  if (post && dst != DST_UNUSED)
    v = irb_result(b, EMIT(b, IR_MOV, var), IR_INT, DST_ANY);
  EMIT(b, up ? IR_ADD : IR_SUB, var, val_int(1))->dst = var.reg;
  return v;
}

static struct ir_val incdec(struct build *b, const struct expr *x, u32 dst)
{
  if (x->a->local)
    return incdec_local(b, x, dst);
  bool up = x->op == OP_PREINC || x->op == OP_POSTINC;
  bool post = x->op == OP_POSTINC || x->op == OP_POSTDEC;
  struct operands o = keys_and(b, x->a, NULL);
  o.v[o.n++] = val_int(1);
  struct ir_ins *ins = emit_global(b, x->a->kind == E_INDEX ? IR_MRMW : IR_GRMW, x->a, &o);
  ins->imm = (up ? IR_ADD : IR_SUB) | (post && dst != DST_UNUSED ? IR_RMW_OLD : 0);
  overflows(b, ins, x->a);
  return irb_result(b, ins, IR_INT, dst);
}

/* ---- calls ---------------------------------------------------------------------------------- */

static struct ir_val call(struct build *b, const struct expr *x, u32 dst)
{
  struct ir_val *v = NEW_ARRAY(b->a, struct ir_val, x->args.n);
  irb_values(b, x->args.v, x->args.n, v);
  struct ir_ins *ins = irb_emit(b, IR_CALL, v, x->args.n);
  ins->fn = irb_function_of(b, x->func);
  ins->err = irb_error_new(b, "MAXNESTING exceeded", x);
  if (ins->fn->result == IR_VOID)
    return val_int(0);
  return irb_result(b, ins, ins->fn->result, dst);
}

static const char *builtin_error(enum ir_fn_id id)
{
  return id == FN_MATCHED ? "no such subexpression in the last match" : READ_FAULT;
}

static struct ir_flags *flags_of(struct build *b, const struct ir_flags *f)
{
  for (u32 i = 0; i < b->m->flags.n; i++)
    if (b->m->flags.v[i]->v == f->v && b->m->flags.v[i]->zero == f->zero)
      return b->m->flags.v[i];
  struct ir_flags *own = NEW(b->a, struct ir_flags);
  *own = *f;
  own->id = b->m->flags.n;
  vec_push(b->a, &b->m->flags, own);
  return own;
}

static struct ir_strtab *strtab_of(struct build *b, const struct ir_strtab *t)
{
  for (u32 i = 0; i < b->m->strtabs.n; i++)
    if (b->m->strtabs.v[i]->v == t->v && b->m->strtabs.v[i]->def == t->def)
      return b->m->strtabs.v[i];
  struct ir_strtab *own = NEW(b->a, struct ir_strtab);
  *own = *t;
  own->id = b->m->strtabs.n;
  vec_push(b->a, &b->m->strtabs, own);
  return own;
}

static struct ir_val builtin(struct build *b, const struct expr *x, u32 dst)
{
  struct ir_val *v = NEW_ARRAY(b->a, struct ir_val, x->args.n);
  irb_values(b, x->args.v, x->args.n, v);
  if (!x->builtin) {
    struct ir_ins *tab = irb_emit(b, IR_STRTAB, v, x->args.n);
    tab->strtab = strtab_of(b, x->strtab);
    return irb_result(b, tab, IR_STR, dst);
  }
  bool raise = x->builtin->fn == FN_ERROR;
  struct ir_ins *ins = irb_emit(b, raise ? IR_ERROR : IR_FN, v, x->args.n);
  if (!raise)
    ins->builtin = x->builtin;
  ins->imm = x->imm;
  ins->imm2 = x->imm2;
  if (x->flags)
    ins->flags = flags_of(b, x->flags);
  if (x->builtin->flags & BI_FAIL)
    ins->err = irb_error_new(b, raise ? NULL : builtin_error(x->builtin->fn), x);
  if (x->builtin->result == 'V')
    return val_int(0);
  return irb_result(b, ins, x->builtin->result == 'S' ? IR_STR : IR_INT, dst);
}

/* ---- all of them ---------------------------------------------------------------------------- */

struct ir_val irb_expr(struct build *b, const struct expr *x, u32 dst)
{
  switch (x->kind) {
  case E_NUM:
    return val_int(x->num);
  case E_STR:
    return irb_val_str(x->str);
  case E_SYM:
    return x->local ? val_reg(x->local->ir_reg) : load_global(b, x, dst);
  case E_INDEX:
    return x->a ? bucket_count(b, x, dst) : load_global(b, x, dst);
  case E_CALL:
    return call(b, x, dst);
  case E_UNARY:
    return unary(b, x, dst);
  case E_INCDEC:
    return incdec(b, x, dst);
  case E_BINARY:
    return binary(b, x, dst);
  case E_MATCH:
    return match(b, x, dst);
  case E_IN:
    return in_array(b, x, dst);
  case E_TERNARY:
    return ternary(b, x, dst);
  case E_ASSIGN:
    return assign(b, x, dst);
  case E_STATOP:
    return stat_op(b, x, dst);
  case E_PRINT:
    return irb_print_expr(b, x, dst);
  case E_OP:
    return builtin(b, x, dst);
  case E_STAR:
  case E_HIST:
  case E_TARGET:
  case E_EMBEDDED:
    break; /* pass 2 leaves none where a value is wanted */
  }
  return x->type == TY_STRING ? irb_val_str("") : val_int(0);
}

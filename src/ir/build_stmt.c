/* Statements to IR, and the counting of them.  A BUDGET instruction stands before the first
 * statement of a block and counts those that follow in the block; a loop's body counts one more for
 * the turn itself, so that no loop runs for free.  */
#include "ir/build.h"

static void count(struct build *b, const struct loc *loc, const char *what, const char *token)
{
  if (b->budget_block == b->cur) {
    b->cur->ins.v[b->budget_ins].imm++;
    return;
  }
  u32 err = irb_error_at(b, "MAXACTION exceeded", what, token, loc);
  if (b->loop != IR_NO && !b->fn->loops.v[b->loop].err)
    b->fn->loops.v[b->loop].err = err;
  b->budget_block = b->cur;
  b->budget_ins = b->cur->ins.n;
  struct ir_ins *ins = irb_emit(b, IR_BUDGET, NULL, 0);
  ins->imm = 1;
  ins->err = err;
}

static void count_keyword(struct build *b, const struct stmt *s, const char *word)
{
  count(b, &s->loc, "keyword", word);
}

static void count_expr(struct build *b, const struct expr *x)
{
  const char *what, *token;
  ast_token(b->a, x, &what, &token);
  count(b, &x->loc, what, token);
}

/* ---- loops ---------------------------------------------------------------------------------- */

/* Begins a loop whose header is the current, empty block's successor. */
static void loop_enter(struct build *b, struct loop_ctx *ctx, struct ir_iter *iter)
{
  *ctx = (struct loop_ctx){.outer = b->loops, .id = b->fn->loops.n, .iter = iter};
  ctx->on_break = irb_block_new(b);
  vec_push(b->a, &b->fn->loops, (struct ir_loop){.parent = b->loop});
  b->loop = ctx->id;
  b->loops = ctx;
  u32 header = irb_block_new(b);
  b->fn->loops.v[ctx->id].header = ctx->on_continue = header;
  irb_end_jmp(b, header);
  irb_block_start(b, header);
}

static void loop_leave(struct build *b, struct loop_ctx *ctx)
{
  b->loops = ctx->outer;
  b->loop = b->fn->loops.v[ctx->id].parent;
  irb_block_start(b, ctx->on_break);
}

/* while (cond) body;  for (; cond; step) body */
static void plain_loop(struct build *b, const struct stmt *s, const char *word)
{
  struct loop_ctx ctx;
  if (s->init)
    irb_effect(b, s->init);
  loop_enter(b, &ctx, NULL);
  u32 header = ctx.on_continue, body = irb_block_new(b);
  if (s->e)
    irb_condition(b, s->e, body, ctx.on_break);
  else
    irb_end_jmp(b, body);
  irb_block_start(b, body);
  count_keyword(b, s, word);
  if (s->step)
    ctx.on_continue = irb_block_new(b);
  irb_statement(b, s->then);
  irb_end_jmp(b, ctx.on_continue);
  if (s->step) {
    irb_block_start(b, ctx.on_continue);
    irb_effect(b, s->step);
    irb_end_jmp(b, header);
  }
  loop_leave(b, &ctx);
}

/* ---- foreach -------------------------------------------------------------------------------- */

static struct ir_iter *iter_new(struct build *b, const struct foreach_stmt *f)
{
  struct ir_iter *it = NEW(b->a, struct ir_iter);
  it->id = b->m->iters.n;
  it->map = f->base->global->ir;
  it->map->ordered = true;
  it->sort_dir = f->sort_dir;
  it->sort_col = f->sort_dir ? f->sort_col : 0;
  it->sort_stat = STAT_NONE;
  if (f->sort_dir && !f->sort_col && it->map->type == TY_STATS)
    it->sort_stat = f->sort_stat == STAT_NONE ? STAT_COUNT : f->sort_stat;
  it->has_limit = f->limit != NULL;
  vec_push(b->a, &b->m->iters, it);
  return it;
}

/* Evaluates the slice's keys and the limit. */
static void iter_begin(struct build *b, const struct foreach_stmt *f, struct ir_iter *it)
{
  struct expr *x[16];
  struct ir_val v[16];
  u32 n = 0;
  for (u32 i = 0; i < f->slice.n; i++)
    if (f->slice.v[i]->kind != E_STAR) {
      x[n++] = f->slice.v[i];
      it->slice_mask |= 1u << i;
    }
  if (f->limit)
    x[n++] = f->limit;
  irb_values(b, x, n, v);
  struct ir_ins *ins = irb_emit(b, IR_ITER_BEGIN, v, n);
  ins->iter = it;
  ins->err = irb_error_new(b, "out of memory for foreach", f->base);
}

static void iter_end(struct build *b, struct ir_iter *it)
{
  irb_emit(b, IR_ITER_END, NULL, 0)->iter = it;
}

/* The element's key or value into the script's variable. */
static void iter_get(struct build *b, struct ir_iter *it, enum ir_op op, s64 col,
                     const struct expr *var)
{
  if (!var->local && !var->global)
    return;
  struct ir_ins *ins = irb_emit(b, op, NULL, 0);
  ins->iter = it;
  ins->imm = col;
  u32 dst = var->local ? var->local->ir_reg : DST_ANY;
  struct ir_val v = irb_result(b, ins, ir_type_of(var->type), dst);
  if (var->global)
    irb_store(b, var, v);
}

static void foreach_array(struct build *b, const struct stmt *s)
{
  const struct foreach_stmt *f = s->foreach;
  struct loop_ctx ctx;
  struct ir_iter *it = iter_new(b, f);
  iter_begin(b, f, it);
  loop_enter(b, &ctx, it);
  u32 body = irb_block_new(b);
  struct ir_ins *next = irb_emit(b, IR_ITER_NEXT, NULL, 0);
  next->iter = it;
  irb_end_br(b, irb_result(b, next, IR_INT, DST_ANY), body, ctx.on_break);
  irb_block_start(b, body);
  count_keyword(b, s, "foreach");
  for (u32 i = 0; i < f->keys.n; i++)
    iter_get(b, it, IR_ITER_KEY, i, f->keys.v[i]);
  if (f->value)
    iter_get(b, it, IR_ITER_VALUE, 0, f->value);
  irb_statement(b, s->then);
  irb_end_jmp(b, ctx.on_continue);
  loop_leave(b, &ctx);
  iter_end(b, it);
}

static void hist_more(struct build *b, u32 bucket, struct ir_val n, u32 yes, u32 no)
{
  irb_end_br(b, irb_result(b, EMIT(b, IR_LT, val_reg(bucket), n), IR_INT, DST_ANY), yes, no);
}

/* foreach (v = [bucket] in @hist_…(s)): counts through the buckets. */
static void foreach_hist(struct build *b, const struct stmt *s)
{
  const struct foreach_stmt *f = s->foreach;
  const struct expr *var = f->base->a;
  struct loop_ctx ctx;
  u32 nkeys = var->kind == E_INDEX ? var->args.n : 0;
  struct ir_val keys[16], limit = val_int(hist_buckets(&f->base->hist));
  irb_values(b, var->args.v, nkeys, keys);
  for (u32 i = 0; i < nkeys; i++) /* the body may assign what the keys were read from */
    keys[i] = irb_result(b, EMIT(b, IR_MOV, keys[i]), ir_type_of(var->args.v[i]->type), DST_ANY);
  irb_need_samples(b, f->base, keys);
  u32 bucket = irb_reg_new(b, IR_INT, NULL);
  EMIT(b, IR_MOV, val_int(0))->dst = bucket;
  struct ir_val most = f->limit ? irb_value(b, f->limit) : limit;
  if (f->limit)
    most = irb_result(b, EMIT(b, IR_MOV, most), IR_INT, DST_ANY);
  loop_enter(b, &ctx, NULL);
  u32 header = ctx.on_continue, body = irb_block_new(b);
  hist_more(b, bucket, limit, body, ctx.on_break);
  if (f->limit) {
    irb_block_start(b, body);
    body = irb_block_new(b);
    hist_more(b, bucket, most, body, ctx.on_break);
  }
  irb_block_start(b, body);
  count_keyword(b, s, "foreach");
  irb_store(b, f->keys.v[0], val_reg(bucket));
  if (f->value) {
    keys[nkeys] = val_reg(bucket);
    struct ir_ins *get = irb_emit(b, IR_HISTGET, keys, nkeys + 1);
    get->global = var->global->ir;
    get->imm = irb_hist_index(get->global, &f->base->hist);
    irb_store(b, f->value, irb_result(b, get, IR_INT, DST_ANY));
  }
  ctx.on_continue = irb_block_new(b);
  irb_statement(b, s->then);
  irb_end_jmp(b, ctx.on_continue);
  irb_block_start(b, ctx.on_continue);
  EMIT(b, IR_ADD, val_reg(bucket), val_int(1))->dst = bucket;
  irb_end_jmp(b, header);
  loop_leave(b, &ctx);
}

/* ---- leaving -------------------------------------------------------------------------------- */

/* Ends the foreach loops that are left on the way out of the body. */
static void leave_loops(struct build *b)
{
  for (struct loop_ctx *c = b->loops; c; c = c->outer)
    if (c->iter)
      iter_end(b, c->iter);
}

static void return_stmt(struct build *b, const struct stmt *s)
{
  if (!s->e || b->fn->result == IR_VOID) {
    struct ir_val none = b->fn->result == IR_STR ? irb_val_str("") : val_int(0);
    if (s->e)
      irb_effect(b, s->e);
    leave_loops(b);
    irb_end_ret(b, b->fn->result == IR_VOID ? NULL : &none);
    return;
  }
  struct ir_val v = irb_value(b, s->e);
  leave_loops(b);
  irb_end_ret(b, &v);
}

/* In a handler: done.  In a function: the next overload takes over. */
static void next_stmt(struct build *b, const struct stmt *s)
{
  if (!b->fn->is_handler && b->on_next == IR_NO) {
    struct ir_ins *ins = EMIT(b, IR_ERROR, irb_val_str("all functions exhausted"));
    ins->err = irb_error_at(b, NULL, "keyword", "next", &s->loc);
    irb_fn_fall_off(b);
    return;
  }
  leave_loops(b);
  if (b->fn->is_handler)
    irb_end_ret(b, NULL);
  else
    irb_end_jmp(b, b->on_next);
}

/* ---- the rest ------------------------------------------------------------------------------- */

static void if_stmt(struct build *b, const struct stmt *s)
{
  u32 yes = irb_block_new(b), join = irb_block_new(b), no = s->els ? irb_block_new(b) : join;
  irb_condition(b, s->e, yes, no);
  irb_block_start(b, yes);
  irb_statement(b, s->then);
  irb_end_jmp(b, join);
  if (s->els) {
    irb_block_start(b, no);
    irb_statement(b, s->els);
    irb_end_jmp(b, join);
  }
  irb_block_start(b, join);
}

static void try_stmt(struct build *b, const struct stmt *s)
{
  u32 outer = b->handler, caught = irb_block_new(b), join = irb_block_new(b);
  b->handler = caught;
  u32 body = irb_block_new(b);
  irb_end_jmp(b, body);
  irb_block_start(b, body);
  irb_statement(b, s->then);
  b->handler = outer;
  irb_end_jmp(b, join);
  irb_block_start(b, caught);
  const struct expr *var = s->catch_var;
  struct ir_ins *ins = irb_emit(b, IR_CATCH, NULL, 0);
  if (var && var->local)
    ins->dst = var->local->ir_reg;
  else if (var)
    irb_store(b, var, irb_result(b, ins, IR_STR, DST_ANY));
  if (s->els)
    irb_statement(b, s->els);
  irb_end_jmp(b, join);
  irb_block_start(b, join);
}

static void delete_stmt(struct build *b, const struct stmt *s)
{
  const struct expr *x = s->e;
  struct expr *given[16];
  struct ir_val keys[16];
  u32 n = 0;
  s64 mask = 0;
  if (x->local) {
    irb_store(b, x, x->type == TY_STRING ? irb_val_str("") : val_int(0));
    return;
  }
  for (u32 i = 0; x->kind == E_INDEX && i < x->args.n; i++)
    if (x->args.v[i]->kind != E_STAR) {
      given[n++] = x->args.v[i];
      mask |= 1 << i;
    }
  irb_values(b, given, n, keys);
  bool all = x->kind != E_INDEX, slice = !all && n < x->args.n;
  struct ir_ins *ins = irb_emit(b, all ? IR_MCLEAR : slice ? IR_MDEL_SLICE : IR_MDEL, keys, n);
  ins->global = x->global->ir;
  ins->imm = slice ? mask : 0;
}

void irb_statement(struct build *b, const struct stmt *s)
{
  if (!s)
    return;
  switch (s->kind) {
  case S_BLOCK:
    for (u32 i = 0; i < s->body.n; i++)
      irb_statement(b, s->body.v[i]);
    return;
  case S_EXPR:
    count_expr(b, s->e);
    irb_effect(b, s->e);
    return;
  case S_IF:
    count_keyword(b, s, "if");
    if_stmt(b, s);
    return;
  case S_WHILE:
    plain_loop(b, s, "while");
    return;
  case S_FOR:
    count_keyword(b, s, "for");
    plain_loop(b, s, "for");
    return;
  case S_FOREACH:
    count_keyword(b, s, "foreach");
    if (s->foreach->base->kind == E_HIST)
      foreach_hist(b, s);
    else
      foreach_array(b, s);
    return;
  case S_RETURN:
    count_keyword(b, s, "return");
    return_stmt(b, s);
    return;
  case S_BREAK:
    count_keyword(b, s, "break");
    irb_end_jmp(b, b->loops->on_break);
    return;
  case S_CONTINUE:
    count_keyword(b, s, "continue");
    irb_end_jmp(b, b->loops->on_continue);
    return;
  case S_NEXT:
    count_keyword(b, s, "next");
    next_stmt(b, s);
    return;
  case S_DELETE:
    count_keyword(b, s, "delete");
    delete_stmt(b, s);
    return;
  case S_TRY:
    count_keyword(b, s, "try");
    try_stmt(b, s);
    return;
  case S_EMPTY:
  case S_EMBEDDED: /* pass 2 refuses it */
    return;
  }
}

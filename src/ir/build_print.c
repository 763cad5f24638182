/* The print family.  Every call becomes a list of pieces: delimiters, newlines and constant
 * arguments are literal text in it, so a handler sends only what it has computed.  */
#include "ir/build.h"

#include <string.h>

struct pieces {
  struct build *b;
  struct print_expr *out;
  VEC(struct ir_val) args;
  VEC(enum ir_type) types;
};

static void add_text(struct pieces *p, const char *s, u32 n)
{
  print_add_text(p->b->a, p->out, s, n);
}

static bool is_plain(const struct fmt_piece *f)
{
  return !f->flags && f->width_kind == FMT_NONE && f->prec_kind == FMT_NONE;
}

static void add_arg(struct pieces *p, const struct ir_val *v, enum ir_type type)
{
  vec_push(p->b->a, &p->args, *v);
  vec_push(p->b->a, &p->types, type);
}

/* "%#s" shows what text_str() makes of the argument. */
static void add_escaped(struct pieces *p, struct fmt_piece f, const struct ir_val *v)
{
  struct ir_ins *ins = irb_emit(p->b, IR_FN, v, 1);
  ins->builtin = &ir_builtins[FN_TEXT_STR];
  struct ir_val text = irb_result(p->b, ins, IR_STR, DST_ANY);
  f.flags &= ~(u32)FMT_ALT;
  vec_push(p->b->a, &p->out->fmt, f);
  add_arg(p, &text, IR_STR);
}

/* Memory that can't be read fails the call before it prints anything. */
static void check_memory(struct pieces *p, const struct fmt_piece *f, const struct ir_val *addr,
                         const struct ir_val *prec, const struct expr *x)
{
  struct ir_val v[2] = {*addr, val_int(f->prec_kind == FMT_STATIC ? f->prec : 1)};
  if (f->prec_kind == FMT_DYNAMIC)
    v[1] = *prec;
  struct ir_ins *ins = irb_emit(p->b, IR_FN, v, 2);
  ins->builtin = &ir_builtins[FN_MEM_CHECK];
  ins->imm = f->flags & FMT_ALT;
  ins->err = irb_error_new(p->b, READ_FAULT, x);
}

/* One conversion and its argument, which is v, of x.  A literal is printed whole, however long;
 * other strings are not longer than a variable could hold.  */
static void add_conv(struct pieces *p, const struct fmt_piece *f, const struct ir_val *v,
                     const struct expr *x)
{
  char digits[24];
  if (f->conv == CONV_S && f->flags & FMT_ALT) {
    add_escaped(p, *f, v);
  } else if (is_plain(f) && f->conv == CONV_S && v->kind == V_STR && x->kind == E_STR) {
    add_text(p, v->str, v->len);
  } else if (is_plain(f) && f->conv == CONV_D && v->kind == V_INT) {
    int n = snprintf(digits, sizeof(digits), "%lld", (long long)v->num);
    add_text(p, digits, (u32)n);
  } else {
    vec_push(p->b->a, &p->out->fmt, *f);
    add_arg(p, v, f->conv == CONV_S ? IR_STR : IR_INT);
  }
}

static void add_formatted(struct pieces *p, const struct expr *x, const struct ir_val *vals)
{
  const struct print_expr *in = x->print;
  const struct ir_val *v = vals;
  for (u32 i = 0; i < in->fmt.n; i++) {
    const struct fmt_piece *f = &in->fmt.v[i];
    if (f->conv == CONV_LITERAL) {
      add_text(p, f->text, f->len);
      continue;
    }
    if (f->width_kind == FMT_DYNAMIC)
      add_arg(p, v++, IR_INT);
    if (f->prec_kind == FMT_DYNAMIC)
      add_arg(p, v++, IR_INT);
    if (f->conv == CONV_M || f->conv == CONV_MM)
      check_memory(p, f, v, v - 1, x->args.v[v - vals]);
    add_conv(p, f, v, x->args.v[v - vals]);
    v++;
  }
}

static void add_plain(struct pieces *p, const struct expr *x, const struct ir_val *v)
{
  for (u32 i = 0; i < x->args.n; i++) {
    struct fmt_piece f = {.conv = x->print->is_char                 ? CONV_C
                                  : x->args.v[i]->type == TY_STRING ? CONV_S
                                                                    : CONV_D};
    if (i && x->print->delim)
      add_text(p, x->print->delim, (u32)strlen(x->print->delim));
    add_conv(p, &f, &v[i], x->args.v[i]);
  }
  if (x->print->newline)
    add_text(p, "\n", 1);
}

static struct ir_fmt *fmt_new(struct pieces *p)
{
  struct ir_module *m = p->b->m;
  struct ir_fmt *f = NEW(p->b->a, struct ir_fmt);
  f->id = m->fmts.n;
  f->print = p->out;
  f->nargs = p->args.n;
  f->arg_type = p->types.v;
  vec_push(p->b->a, &m->fmts, f);
  return f;
}

static struct ir_val finish(struct pieces *p, u32 dst)
{
  struct build *b = p->b;
  u32 n = p->out->fmt.n;
  if (p->out->to_string && !p->args.n)
    return irb_val_str(n ? p->out->fmt.v[0].text : "");
  if (!n)
    return val_int(0);
  struct ir_ins *ins = irb_emit(b, p->out->to_string ? IR_SPRINT : IR_PRINT, p->args.v, p->args.n);
  ins->fmt = fmt_new(p);
  return p->out->to_string ? irb_result(b, ins, IR_STR, dst) : val_int(0);
}

static struct pieces pieces_new(struct build *b, bool to_string)
{
  struct pieces p = {.b = b, .out = NEW(b->a, struct print_expr)};
  p.out->formatted = true;
  p.out->to_string = to_string;
  return p;
}

/* SystemTap ends no line behind a histogram: println is print, and sprintln sprint. */
static struct ir_val print_hist(struct build *b, const struct expr *x, u32 dst)
{
  const struct expr *h = x->args.v[0], *var = h->a;
  u32 n = var->kind == E_INDEX ? var->args.n : 0;
  struct ir_val *keys = NEW_ARRAY(b->a, struct ir_val, n);
  irb_values(b, var->args.v, n, keys);
  struct ir_ins *ins = irb_emit(b, x->print->to_string ? IR_HISTSTR : IR_HISTPRINT, keys, n);
  ins->global = var->global->ir;
  ins->imm = irb_hist_index(ins->global, &h->hist);
  ins->err = irb_error_new(b, EMPTY_AGGREGATE, h);
  return x->print->to_string ? irb_result(b, ins, IR_STR, dst) : val_int(0);
}

struct ir_val irb_print_expr(struct build *b, const struct expr *x, u32 dst)
{
  if (x->args.n == 1 && x->args.v[0]->kind == E_HIST)
    return print_hist(b, x, dst);
  struct ir_val *v = NEW_ARRAY(b->a, struct ir_val, x->args.n);
  irb_values(b, x->args.v, x->args.n, v);
  struct pieces p = pieces_new(b, x->print->to_string);
  if (x->print->formatted)
    add_formatted(&p, x, v);
  else
    add_plain(&p, x, v);
  return finish(&p, dst);
}

/* The IR as text, for --dump and tests: one line per instruction, registers as %N, variables with
 * their names, the block that an error leads to behind the block's label.  Once they are known,
 * strings have their bounds, as in string(16): bytes with the NUL.  */
#include "elaborate/program.h"
#include "ir/ir.h"

static void put_str(struct strbuf *b, const char *s, u32 n)
{
  sb_putc(b, '"');
  for (u32 i = 0; i < n; i++) {
    unsigned char c = (unsigned char)s[i];
    if (c == '"' || c == '\\')
      sb_printf(b, "\\%c", c);
    else if (c == '\n')
      sb_puts(b, "\\n");
    else if (c < 0x20 || c >= 0x7f)
      sb_printf(b, "\\%03o", c);
    else
      sb_putc(b, (char)c);
  }
  sb_putc(b, '"');
}

static void put_reg(struct strbuf *b, const struct ir_fn *f, u32 r)
{
  if (r < f->regs.n && f->regs.v[r].name)
    sb_printf(b, "%%%u.%s", r, f->regs.v[r].name);
  else
    sb_printf(b, "%%%u", r);
}

static void put_bound(struct strbuf *b, u32 maxlen)
{
  if (maxlen)
    sb_printf(b, "(%u)", maxlen);
}

static void put_val(struct strbuf *b, const struct ir_fn *f, const struct ir_val *v)
{
  switch (v->kind) {
  case V_REG:
    put_reg(b, f, v->reg);
    break;
  case V_INT:
    sb_printf(b, "%lld", (long long)v->num);
    break;
  case V_STR:
    put_str(b, v->str, v->len);
    break;
  }
}

static const char *stat_name(s64 op)
{
  static const char *const name[] = {"@count", "@sum", "@min", "@max", "@avg", "@variance"};
  return op >= 0 && op < (s64)ARRAY_SIZE(name) ? name[op] : "@?";
}

static void put_lockset(struct strbuf *b, const struct ir_lockset *l)
{
  for (u32 i = 0; i < l->n; i++)
    sb_printf(b, "%s%s:%s", i ? ", " : " ", l->g[i]->name, l->write[i] ? "write" : "read");
}

static void put_fmt(struct strbuf *b, const struct ir_fmt *f)
{
  sb_printf(b, " #%u", f->id);
  for (u32 i = 0; i < f->print->fmt.n; i++) {
    const struct fmt_piece *p = &f->print->fmt.v[i];
    static const char conv[] = "_duoxXpcsbmM";
    sb_putc(b, ' ');
    if (p->conv == CONV_LITERAL)
      put_str(b, p->text, p->len);
    else
      sb_printf(b, "%%%c", conv[p->conv]);
  }
}

static void put_iter(struct strbuf *b, const struct ir_ins *ins)
{
  const struct ir_iter *it = ins->iter;
  sb_printf(b, " #%u", it->id);
  if (ins->op == IR_ITER_KEY)
    sb_printf(b, " column %lld", (long long)ins->imm + 1);
  if (ins->op != IR_ITER_BEGIN)
    return;
  sb_printf(b, " %s", it->map->name);
  if (it->sort_dir)
    sb_printf(b, " %s by %u", it->sort_dir > 0 ? "up" : "down", it->sort_col);
  if (it->sort_stat != STAT_NONE)
    sb_printf(b, " %s", stat_name(it->sort_stat));
  if (it->slice_mask)
    sb_printf(b, " slice 0x%x", it->slice_mask);
  if (it->has_limit)
    sb_puts(b, " limit");
}

/* What the instruction names besides its operands. */
static void put_aux(struct strbuf *b, const struct ir_ins *ins)
{
  if (ir_has_global(ins->op))
    sb_printf(b, " %s", ins->global->name);
  if (ir_has_iter(ins->op))
    put_iter(b, ins);
  switch (ins->op) {
  case IR_GRMW:
  case IR_MRMW:
    sb_printf(b, " %s%s", ir_ops[ins->imm & 0xff].name, ins->imm & IR_RMW_OLD ? " old" : "");
    break;
  case IR_STATGET:
    sb_printf(b, " %s", stat_name(ins->imm));
    if (ins->imm == STAT_VARIANCE)
      sb_printf(b, " shift %lld", (long long)ins->imm2);
    break;
  case IR_HISTGET:
  case IR_HISTPRINT:
  case IR_HISTSTR:
    sb_printf(b, " histogram %lld", (long long)ins->imm);
    break;
  case IR_MIN_SLICE:
  case IR_MDEL_SLICE:
    sb_printf(b, " slice 0x%llx", (long long)ins->imm);
    break;
  case IR_PRINT:
  case IR_SPRINT:
    put_fmt(b, ins->fmt);
    break;
  case IR_CALL:
    sb_printf(b, " %s", ins->fn->name);
    break;
  case IR_BUDGET:
    sb_printf(b, " %lld", (long long)ins->imm);
    break;
  case IR_LOCK:
  case IR_UNLOCK:
    put_lockset(b, ins->lock);
    break;
  case IR_FN:
    sb_printf(b, " %s", ins->builtin->id);
    if (ins->imm || ins->imm2)
      sb_printf(b, " 0x%llx 0x%llx", (long long)ins->imm, (long long)ins->imm2);
    if (ins->flags)
      sb_printf(b, " flags#%u", ins->flags->id);
    break;
  case IR_STRTAB:
    sb_printf(b, " table#%u", ins->strtab->id);
    break;
  default:
    break;
  }
}

static void put_ins(struct strbuf *b, const struct ir_fn *f, const struct ir_ins *ins)
{
  sb_puts(b, "  ");
  if (ins->dst != IR_NO) {
    put_reg(b, f, ins->dst);
    put_bound(b, f->regs.v[ins->dst].maxlen);
    sb_puts(b, " = ");
  }
  sb_puts(b, ir_ops[ins->op].name);
  put_aux(b, ins);
  for (u32 i = 0; i < ins->nargs; i++) {
    sb_puts(b, i ? ", " : " : ");
    put_val(b, f, &ins->args[i]);
  }
  if (ins->err != IR_NO)
    sb_printf(b, "  !%u", ins->err);
  sb_putc(b, '\n');
}

static void put_term(struct strbuf *b, const struct ir_fn *f, const struct ir_block *k)
{
  switch (k->term) {
  case T_JMP:
    sb_printf(b, "  jmp @%u\n", k->to[0]);
    break;
  case T_BR:
    sb_puts(b, "  br ");
    put_val(b, f, &k->val);
    sb_printf(b, " ? @%u : @%u\n", k->to[0], k->to[1]);
    break;
  case T_RET:
    sb_puts(b, "  ret");
    if (k->has_val) {
      sb_putc(b, ' ');
      put_val(b, f, &k->val);
    }
    sb_putc(b, '\n');
    break;
  }
}

static const char *type_name(enum ir_type t)
{
  return t == IR_INT ? "long" : t == IR_STR ? "string" : "void";
}

void ir_print_fn(struct strbuf *b, const struct ir_fn *f)
{
  sb_printf(b, "%s %s(", f->is_handler ? "probe" : type_name(f->result), f->name);
  for (u32 i = 0; i < f->params.n; i++) {
    sb_printf(b, "%s%s ", i ? ", " : "", type_name(f->regs.v[f->params.v[i]].type));
    put_reg(b, f, f->params.v[i]);
  }
  sb_printf(b, ")%s\n", f->recursive ? " recursive" : "");
  for (u32 i = 0; i < f->blocks.n; i++) {
    const struct ir_block *k = f->blocks.v[i];
    sb_printf(b, "@%u", i);
    if (k->loop != IR_NO)
      sb_printf(b, " loop %u%s", k->loop, f->loops.v[k->loop].header == i ? " header" : "");
    if (k->handler != IR_NO)
      sb_printf(b, " catch @%u", k->handler);
    sb_putc(b, '\n');
    for (u32 n = 0; n < k->ins.n; n++)
      put_ins(b, f, &k->ins.v[n]);
    put_term(b, f, k);
  }
}

static void put_global(struct strbuf *b, const struct ir_global *g)
{
  sb_printf(b, "global %s", g->name);
  for (u32 i = 0; i < g->nkeys; i++) {
    sb_printf(b, "%s%s", i ? ", " : "[", ast_type_text(g->key_type[i]));
    put_bound(b, g->key_maxlen[i]);
  }
  sb_printf(b, "%s:%s", g->nkeys ? "]" : "", ast_type_text(g->type));
  put_bound(b, g->val_maxlen);
  if (g->maxentries)
    sb_printf(b, " %u entries", g->maxentries);
  if (g->wrap)
    sb_puts(b, " wrap");
  if (g->init_str) {
    sb_puts(b, " = ");
    put_str(b, g->init_str, (u32)__builtin_strlen(g->init_str));
  } else if (g->init_num) {
    sb_printf(b, " = %lld", (long long)g->init_num);
  }
  for (u32 i = 0; i <= STAT_VARIANCE; i++)
    if (g->stat_ops >> i & 1)
      sb_printf(b, " %s", stat_name(i));
  for (u32 i = 0; i < g->hists.n; i++)
    if (g->hists.v[i].kind == HIST_LOG)
      sb_puts(b, " @hist_log");
    else
      sb_printf(b, " @hist_linear(%lld, %lld, %lld)", (long long)g->hists.v[i].lo,
                (long long)g->hists.v[i].hi, (long long)g->hists.v[i].step);
  sb_printf(b, "%s%s\n", g->ordered ? " ordered" : "", g->show_at_exit ? " shown" : "");
}

void ir_print(struct strbuf *b, const struct ir_module *m)
{
  for (u32 i = 0; i < m->globals.n; i++)
    put_global(b, m->globals.v[i]);
  for (u32 i = 0; i < m->probes.n; i++) {
    const struct ir_probe *p = m->probes.v[i];
    if (p->same) {
      sb_printf(b, "probe %s as %s\n", p->inst->pp, p->same->inst->pp);
      continue;
    }
    if (p->cond) {
      sb_puts(b, "condition ");
      ir_print_fn(b, p->cond);
    }
    ir_print_fn(b, p->handler);
  }
  for (u32 i = 0; i < m->fns.n; i++)
    ir_print_fn(b, m->fns.v[i]);
  for (u32 i = 1; i < m->errors.n; i++) {
    const struct ir_error *e = &m->errors.v[i];
    sb_printf(b, "!%u %s", i, e->text ? e->text : "(message)");
    if (e->what)
      sb_printf(b, " near %s '%s'", e->what, e->token ? e->token : "");
    if (e->loc.file)
      sb_printf(b, " at %u:%u", e->loc.line, e->loc.col);
    sb_putc(b, '\n');
  }
}

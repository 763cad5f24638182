/* The tree as text, every operand in parentheses, so that parsing it again gives the same tree. */
#include "lang/ast.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* A string literal; escapes that the lexer leaves alone (regular expressions') survive. */
static void print_string(struct strbuf *b, const char *s, u32 len)
{
  sb_putc(b, '"');
  for (u32 i = 0; i < len; i++) {
    u8 c = (u8)s[i];
    static const char from[] = "\a\b\f\n\r\t\v", to[] = "abfnrtv";
    const char *k = c ? strchr(from, c) : NULL;
    if (k)
      sb_printf(b, "\\%c", to[k - from]);
    else if (c == '"' || c == '\\')
      sb_printf(b, "\\%c", c);
    else if (isprint(c) || c >= 0x80)
      sb_putc(b, (char)c);
    else
      sb_printf(b, "\\%03o", c);
  }
  sb_putc(b, '"');
}

static void print_list(struct strbuf *b, struct expr *const *v, u32 n)
{
  for (u32 i = 0; i < n; i++) {
    if (i)
      sb_puts(b, ", ");
    ast_print_expr(b, v[i]);
  }
}

static void operand(struct strbuf *b, const struct expr *e)
{
  sb_putc(b, '(');
  ast_print_expr(b, e);
  sb_putc(b, ')');
}

static void print_suffixes(struct strbuf *b, const struct target_expr *t)
{
  for (u32 i = 0; i < t->suffix.n; i++) {
    const struct target_suffix *s = &t->suffix.v[i];
    if (s->kind == SUFFIX_INDEX) {
      sb_putc(b, '[');
      ast_print_expr(b, s->index);
      sb_putc(b, ']');
    } else {
      sb_printf(b, "%s%s", s->kind == SUFFIX_ARROW ? "->" : "", s->name);
    }
  }
}

static void print_target(struct strbuf *b, const struct expr *e)
{
  const struct target_expr *t = e->target;
  if (t->addressof)
    sb_putc(b, '&');
  if (t->kind == TARGET_VAR) {
    sb_puts(b, t->name);
  } else if (t->kind == TARGET_AUTOCAST) {
    operand(b, e->a);
  } else {
    bool name_first = t->kind != TARGET_CAST;
    sb_printf(b, "%s(", e->name);
    if (t->name && name_first)
      print_string(b, t->name, (u32)strlen(t->name));
    if (t->name && name_first && e->a)
      sb_puts(b, ", ");
    if (e->a)
      ast_print_expr(b, e->a);
    if (e->b) {
      sb_puts(b, ", ");
      ast_print_expr(b, e->b);
    }
    if (t->name && !name_first) {
      sb_puts(b, ", ");
      print_string(b, t->name, (u32)strlen(t->name));
    }
    if (t->module) {
      sb_puts(b, ", ");
      print_string(b, t->module, (u32)strlen(t->module));
    }
    sb_putc(b, ')');
  }
  print_suffixes(b, t);
}

static void print_print(struct strbuf *b, const struct expr *e)
{
  sb_printf(b, "%s(", e->name);
  bool first = e->print->formatted || e->print->delimited;
  if (e->print->formatted)
    print_string(b, e->str, e->len);
  else if (e->print->delimited)
    print_string(b, e->print->delim, (u32)strlen(e->print->delim));
  if (first && e->args.n)
    sb_puts(b, ", ");
  print_list(b, e->args.v, e->args.n);
  sb_putc(b, ')');
}

static void print_in(struct strbuf *b, const struct expr *e)
{
  sb_putc(b, '[');
  print_list(b, e->args.v, e->args.n);
  sb_puts(b, "] in ");
  ast_print_expr(b, e->a);
}

static void print_op(struct strbuf *b, const struct expr *e)
{
  const char *name = e->name ? e->name : "table";
  sb_puts(b, name);
  if (name[0] == '$' || name[0] == '%') /* a register, an argument */
    return;
  sb_putc(b, '(');
  if (name[0] == '@' && e->imm) /* @kderef and kin: size */
    sb_printf(b, "%" PRId64 ", ", e->imm & 0xff);
  print_list(b, e->args.v, e->args.n);
  sb_putc(b, ')');
}

void ast_print_expr(struct strbuf *b, const struct expr *e)
{
  switch (e->kind) {
  case E_NUM:
    if (e->num < 0 && e->type == TY_UNKNOWN) /* a literal that was parsed has no sign */
      sb_printf(b, "0x%" PRIx64, e->num);
    else
      sb_printf(b, "%" PRId64, e->num);
    break;
  case E_STR:
    print_string(b, e->str, e->len);
    break;
  case E_SYM:
    sb_puts(b, e->name);
    break;
  case E_STAR:
    sb_putc(b, '*');
    break;
  case E_INDEX:
    if (e->a)
      ast_print_expr(b, e->a);
    else
      sb_puts(b, e->name);
    sb_putc(b, '[');
    print_list(b, e->args.v, e->args.n);
    sb_putc(b, ']');
    break;
  case E_CALL:
    sb_printf(b, "%s(", e->name);
    print_list(b, e->args.v, e->args.n);
    sb_putc(b, ')');
    break;
  case E_UNARY:
    sb_puts(b, ast_op_text(e->op));
    operand(b, e->a);
    break;
  case E_INCDEC:
    if (e->op == OP_PREINC || e->op == OP_PREDEC)
      sb_puts(b, ast_op_text(e->op));
    operand(b, e->a);
    if (e->op == OP_POSTINC || e->op == OP_POSTDEC)
      sb_puts(b, ast_op_text(e->op));
    break;
  case E_BINARY:
    operand(b, e->a);
    sb_printf(b, " %s ", ast_op_text(e->op));
    operand(b, e->b);
    break;
  case E_MATCH:
    operand(b, e->a);
    sb_printf(b, " %s ", ast_op_text(e->op));
    ast_print_expr(b, e->b);
    break;
  case E_IN:
    print_in(b, e);
    break;
  case E_TERNARY:
    operand(b, e->a);
    sb_putc(b, '?');
    operand(b, e->b);
    sb_putc(b, ':');
    operand(b, e->c);
    break;
  case E_ASSIGN:
    operand(b, e->a);
    sb_printf(b, " %s%s ", e->op == OP_NONE ? "" : ast_op_text(e->op),
              e->op == OP_STATADD ? "" : "=");
    operand(b, e->b);
    break;
  case E_STATOP:
    sb_printf(b, "%s(", e->name);
    ast_print_expr(b, e->a);
    if (e->stat == STAT_VARIANCE && e->num)
      sb_printf(b, ", %" PRId64, e->num);
    sb_putc(b, ')');
    break;
  case E_HIST:
    sb_printf(b, "%s(", e->name);
    ast_print_expr(b, e->a);
    if (e->hist.kind == HIST_LINEAR)
      sb_printf(b, ", %" PRId64 ", %" PRId64 ", %" PRId64, e->hist.lo, e->hist.hi, e->hist.step);
    sb_putc(b, ')');
    break;
  case E_PRINT:
    print_print(b, e);
    break;
  case E_TARGET:
    print_target(b, e);
    break;
  case E_EMBEDDED:
    sb_printf(b, "%%{%s%%}", e->str);
    break;
  case E_OP:
    print_op(b, e);
    break;
  }
}

static const char *sort_text(const struct foreach_stmt *f, u32 col)
{
  if (!f->sort_dir || f->sort_col != col)
    return "";
  return f->sort_dir > 0 ? "+" : "-";
}

static void print_foreach(struct strbuf *b, const struct foreach_stmt *f)
{
  static const char *const stat[] = {" @count ", " @sum ",      " @min ", " @max ",
                                     " @avg ",   " @variance ", ""};
  sb_puts(b, "foreach (");
  if (f->value)
    sb_printf(b, "%s = ", f->value->name);
  sb_putc(b, '[');
  for (u32 i = 0; i < f->keys.n; i++)
    sb_printf(b, "%s%s%s", i ? ", " : "", f->keys.v[i]->name, sort_text(f, i + 1));
  sb_puts(b, "] in ");
  ast_print_expr(b, f->base);
  if (f->slice.n) {
    sb_putc(b, '[');
    print_list(b, f->slice.v, f->slice.n);
    sb_putc(b, ']');
  }
  if (f->sort_dir && !f->sort_col)
    sb_printf(b, "%s%s", stat[f->sort_stat], sort_text(f, 0));
  if (f->limit) {
    sb_puts(b, " limit ");
    ast_print_expr(b, f->limit);
  }
  sb_puts(b, ")\n");
}

static void line(struct strbuf *b, u32 indent)
{
  for (u32 i = 0; i < indent; i++)
    sb_puts(b, "  ");
}

static void print_body(struct strbuf *b, const struct stmt *s, u32 indent)
{
  ast_print_stmt(b, s, s->kind == S_BLOCK ? indent : indent + 1);
}

static void print_simple(struct strbuf *b, const char *w, const struct expr *e)
{
  sb_puts(b, w);
  if (e) {
    sb_putc(b, ' ');
    ast_print_expr(b, e);
  }
  sb_puts(b, ";\n");
}

void ast_print_stmt(struct strbuf *b, const struct stmt *s, u32 indent)
{
  line(b, indent);
  switch (s->kind) {
  case S_BLOCK:
    sb_puts(b, "{\n");
    for (u32 i = 0; i < s->body.n; i++)
      ast_print_stmt(b, s->body.v[i], indent + 1);
    line(b, indent);
    sb_puts(b, "}\n");
    break;
  case S_EMPTY:
    sb_puts(b, ";\n");
    break;
  case S_EXPR:
    ast_print_expr(b, s->e);
    sb_puts(b, ";\n");
    break;
  case S_IF:
    sb_puts(b, "if (");
    ast_print_expr(b, s->e);
    sb_puts(b, ")\n");
    print_body(b, s->then, indent);
    if (s->els) {
      line(b, indent);
      sb_puts(b, "else\n");
      print_body(b, s->els, indent);
    }
    break;
  case S_WHILE:
    sb_puts(b, "while (");
    ast_print_expr(b, s->e);
    sb_puts(b, ")\n");
    print_body(b, s->then, indent);
    break;
  case S_FOR:
    sb_puts(b, "for (");
    if (s->init)
      ast_print_expr(b, s->init);
    sb_puts(b, "; ");
    if (s->e)
      ast_print_expr(b, s->e);
    sb_puts(b, "; ");
    if (s->step)
      ast_print_expr(b, s->step);
    sb_puts(b, ")\n");
    print_body(b, s->then, indent);
    break;
  case S_FOREACH:
    print_foreach(b, s->foreach);
    print_body(b, s->then, indent);
    break;
  case S_RETURN:
    print_simple(b, "return", s->e);
    break;
  case S_BREAK:
    print_simple(b, "break", NULL);
    break;
  case S_CONTINUE:
    print_simple(b, "continue", NULL);
    break;
  case S_NEXT:
    print_simple(b, "next", NULL);
    break;
  case S_DELETE:
    print_simple(b, "delete", s->e);
    break;
  case S_TRY:
    sb_puts(b, "try\n");
    ast_print_stmt(b, s->then, indent);
    line(b, indent);
    if (s->catch_var)
      sb_printf(b, "catch (%s)\n", s->catch_var->name);
    else
      sb_puts(b, "catch\n");
    ast_print_stmt(b, s->els, indent);
    break;
  case S_EMBEDDED:
    sb_printf(b, "%%{%s%%}\n", s->text);
    break;
  }
}

void ast_print_point(struct strbuf *b, const struct probe_point *p)
{
  for (u32 i = 0; i < p->parts.n; i++) {
    const struct point_part *c = &p->parts.v[i];
    sb_printf(b, "%s%s", i ? "." : "", c->name);
    if (!c->has_arg)
      continue;
    sb_putc(b, '(');
    if (c->arg_is_string)
      print_string(b, c->str, (u32)strlen(c->str));
    else
      sb_printf(b, "%" PRId64, c->num);
    sb_putc(b, ')');
  }
  if (p->sufficient)
    sb_putc(b, '!');
  else if (p->optional)
    sb_putc(b, '?');
  if (p->cond) {
    sb_puts(b, " if (");
    ast_print_expr(b, p->cond);
    sb_putc(b, ')');
  }
}

static void print_points(struct strbuf *b, struct probe_point *const *v, u32 n)
{
  for (u32 i = 0; i < n; i++) {
    if (i)
      sb_puts(b, ", ");
    ast_print_point(b, v[i]);
  }
}

static void print_probe(struct strbuf *b, const struct probe_decl *d)
{
  sb_printf(b, "%sprobe ", d->private_ ? "private " : "");
  if (d->is_alias) {
    print_points(b, d->alias_names.v, d->alias_names.n);
    sb_puts(b, d->epilogue ? " += " : " = ");
  }
  print_points(b, d->points.v, d->points.n);
  sb_putc(b, '\n');
  ast_print_stmt(b, d->body, 0);
  if (d->tail) {
    sb_puts(b, ",\n");
    ast_print_stmt(b, d->tail, 0);
  }
}

static void print_func(struct strbuf *b, const struct func_decl *d)
{
  sb_printf(b, "%sfunction %s", d->private_ ? "private " : "", d->name);
  if (d->type != TY_UNKNOWN)
    sb_printf(b, ":%s", ast_type_text(d->type));
  sb_puts(b, " (");
  for (u32 i = 0; i < d->params.n; i++) {
    sb_printf(b, "%s%s", i ? ", " : "", d->params.v[i].name);
    if (d->params.v[i].type != TY_UNKNOWN)
      sb_printf(b, ":%s", ast_type_text(d->params.v[i].type));
  }
  sb_putc(b, ')');
  if (d->has_priority)
    sb_printf(b, ":%" PRId64, d->priority);
  sb_putc(b, '\n');
  if (d->embedded)
    sb_printf(b, "%%{%s%%}\n", d->embedded);
  else
    ast_print_stmt(b, d->body, 0);
}

void ast_print_file(struct strbuf *b, const struct ast_file *f)
{
  sb_printf(b, "# file %s\n", f->src->name);
  for (u32 i = 0; i < f->embeds.n; i++)
    sb_printf(b, "%%{%s%%}\n", f->embeds.v[i]);
  for (u32 i = 0; i < f->globals.n; i++) {
    const struct global_decl *g = f->globals.v[i];
    sb_printf(b, "%sglobal %s%s", g->private_ ? "private " : "", g->name, g->wrap ? "%" : "");
    if (g->maxsize)
      sb_printf(b, "[%" PRId64 "]", g->maxsize);
    if (g->init) {
      sb_puts(b, " = ");
      if (g->init->kind == E_NUM)
        sb_printf(b, "%" PRId64, g->init->num);
      else
        ast_print_expr(b, g->init);
    }
    sb_putc(b, '\n');
  }
  for (u32 i = 0; i < f->aliases.n; i++)
    print_probe(b, f->aliases.v[i]);
  for (u32 i = 0; i < f->probes.n; i++)
    print_probe(b, f->probes.v[i]);
  for (u32 i = 0; i < f->funcs.n; i++)
    print_func(b, f->funcs.v[i]);
}

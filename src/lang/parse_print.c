/* The print family: its names, its arguments, and print formats taken apart. */
#include "lang/parser.h"

#include <string.h>

/* ---- print formats ----------------------------------------------------------------- */

static void add_literal(struct parser *p, struct print_expr *pe, struct strbuf *b)
{
  print_add_text(p->a, pe, b->s, (u32)b->n);
  sb_reset(b);
}

static bool conversion(char c, enum conv *conv)
{
  static const struct {
    char c;
    enum conv conv;
  } table[] = {{'d', CONV_D}, {'i', CONV_D},  {'u', CONV_U}, {'o', CONV_O},
               {'x', CONV_X}, {'X', CONV_XX}, {'p', CONV_P}, {'c', CONV_C},
               {'s', CONV_S}, {'b', CONV_B},  {'m', CONV_M}, {'M', CONV_MM}};
  for (u32 i = 0; i < ARRAY_SIZE(table); i++)
    if (table[i].c == c) {
      *conv = table[i].conv;
      return true;
    }
  return false;
}

static const char *format_number(const char *s, enum fmt_width *kind, u32 *n)
{
  if (*s == '*') {
    *kind = FMT_DYNAMIC;
    return s + 1;
  }
  for (; *s >= '0' && *s <= '9'; s++) {
    *kind = FMT_STATIC;
    *n = MIN(*n * 10 + (u32)(*s - '0'), 100000u);
  }
  return s;
}

/* format := { text | "%%" | "%" [flags] [width] ["." precision] [length] conversion } */
static void parse_format(struct parser *p, struct token *t, const char *s, struct print_expr *pe)
{
  struct strbuf b = {0};
  while (*s) {
    if (*s != '%') {
      sb_putc(&b, *s++);
      continue;
    }
    if (*++s == '%') {
      sb_putc(&b, *s++);
      continue;
    }
    add_literal(p, pe, &b);
    struct fmt_piece f = {0};
    for (; *s && strchr("0 +-#", *s); s++)
      f.flags |= *s == '0'   ? FMT_ZERO
                 : *s == ' ' ? FMT_SPACE
                 : *s == '+' ? FMT_PLUS
                 : *s == '-' ? FMT_LEFT
                             : FMT_ALT;
    s = format_number(s, &f.width_kind, &f.width);
    if (*s == '.') {
      f.prec_kind = FMT_STATIC;
      s = format_number(s + 1, &f.prec_kind, &f.prec);
    }
    s += *s == 'l';
    if (!*s || !conversion(*s, &f.conv)) {
      sb_free(&b);
      fail_at(p, t,
              *s ? "invalid or missing conversion specifier"
                 : "trailing incomplete print format conversion");
    }
    s++;
    if (f.conv == CONV_B)
      f.size = f.width_kind == FMT_STATIC ? f.width : 8;
    vec_push(p->a, &pe->fmt, f);
  }
  add_literal(p, pe, &b);
  sb_free(&b);
}

bool print_name(const char *name, struct print_expr *pe)
{
  *pe = (struct print_expr){0};
  if (!strcmp(name, "print_char")) {
    pe->is_char = true;
    return true;
  }
  if (*name == 's') {
    pe->to_string = true;
    name++;
  }
  if (strncmp(name, "print", 5))
    return false;
  name += 5;
  if (!strcmp(name, "f")) {
    pe->formatted = true;
    return true;
  }
  if (*name == 'd') {
    pe->delimited = true;
    name++;
  }
  if (!strcmp(name, "ln")) {
    pe->newline = true;
    name += 2;
  }
  return !*name;
}

/* The format of printf, or the delimiter of printd. */
static void first_string(struct parser *p, struct expr *e)
{
  struct token *t = cur(p);
  const char *s;
  u32 len;
  string_literal(p, &s, &len);
  if (!e->print->formatted) {
    e->print->delim = s;
    return;
  }
  e->str = s;
  e->len = len;
  parse_format(p, t, s, e->print);
}

/* argument := expression | histogram; the latter of print, println and their kin alone */
static void print_argument(struct parser *p, struct expr *print)
{
  struct token *t = cur(p);
  u32 at = p->at;
  struct expr *h = print->print->formatted ? NULL : histogram(p);
  if (!h || is_op(cur(p), "[")) {
    p->at = at; /* a bucket starts an expression */
    h = expression(p);
  } else if (print->args.n || is_op(cur(p), ",")) {
    fail_at(p, t, "histogram must be the only thing printed");
  }
  vec_push(p->a, &print->args, h);
}

/* print := ("print" | "println" | "printd" | "printdln" | "printf" | "s"…) "(" args ")" */
struct expr *print_call(struct parser *p, struct token *name, struct print_expr *pe)
{
  struct expr *e = new_expr(p, E_PRINT, name);
  e->name = name->text;
  e->print = NEW(p->a, struct print_expr);
  *e->print = *pe;
  want_op(p, "(");
  if (pe->newline && !pe->delimited && op(p, ")"))
    return e;
  if (pe->formatted || pe->delimited)
    first_string(p, e);
  else
    print_argument(p, e);
  while (op(p, ","))
    print_argument(p, e);
  if (pe->delimited && e->args.n < 2)
    fail_at(p, cur(p), e->args.n ? "expected ','" : "expected literal string or number");
  if (!op(p, ")"))
    fail_at(p, cur(p), "expected ',' or ')'");
  return e;
}

/* Builds sprintf() expressions piece by piece. */
#include "probe/sprint.h"

#include <assert.h>
#include <string.h>

#include "probe/family.h"

struct expr *sprint_new(struct elab *e, const struct loc *loc)
{
  struct expr *x = expr_new(e->a, E_PRINT, loc);
  x->name = "sprintf";
  x->type = TY_STRING;
  x->print = NEW(e->a, struct print_expr);
  x->print->to_string = x->print->formatted = true;
  return x;
}

/* The format as a script would write it, for whoever prints the expression. */
static void add_format(struct elab *e, struct expr *x, const char *text)
{
  x->str = arena_printf(e->a, "%s%s", x->str ? x->str : "", text);
  x->len = (u32)strlen(x->str);
}

void sprint_text(struct elab *e, struct expr *x, const char *text)
{
  add_format(e, x, text);
  print_add_text(e->a, x->print, text, (u32)strlen(text));
}

/* conversion = "%" { "#" | "0" | "-" | "+" | " " } [width] ["." precision] { "l" } letter */
static const char *conversion(const char *s, struct fmt_piece *p)
{
  static const struct {
    char letter;
    u32 flag;
  } flags[] = {{'#', FMT_ALT}, {'0', FMT_ZERO}, {'-', FMT_LEFT}, {'+', FMT_PLUS}, {' ', FMT_SPACE}};
  static const struct {
    char letter;
    enum conv conv;
  } convs[] = {{'d', CONV_D},  {'i', CONV_D}, {'u', CONV_U}, {'o', CONV_O}, {'x', CONV_X},
               {'X', CONV_XX}, {'p', CONV_P}, {'c', CONV_C}, {'s', CONV_S}};
  assert(*s == '%');
  for (bool more = true; more;) {
    s++;
    more = false;
    for (u32 i = 0; i < ARRAY_SIZE(flags); i++)
      if (*s == flags[i].letter) {
        p->flags |= flags[i].flag;
        more = true;
      }
  }
  for (; *s >= '0' && *s <= '9'; s++) {
    p->width_kind = FMT_STATIC;
    p->width = p->width * 10 + (u32)(*s - '0');
  }
  if (*s == '.') {
    p->prec_kind = FMT_STATIC;
    for (s++; *s >= '0' && *s <= '9'; s++)
      p->prec = p->prec * 10 + (u32)(*s - '0');
  }
  s += strspn(s, "lh");
  for (u32 i = 0; i < ARRAY_SIZE(convs); i++)
    if (*s == convs[i].letter) {
      p->conv = convs[i].conv;
      return s + 1;
    }
  assert(!"conversion of a family's format");
  return s;
}

void sprint_arg(struct elab *e, struct expr *x, const char *fmt, struct expr *arg)
{
  size_t before = strcspn(fmt, "%");
  struct fmt_piece piece = {0};
  print_add_text(e->a, x->print, fmt, (u32)before);
  const char *after = conversion(fmt + before, &piece);
  vec_push(e->a, &x->print->fmt, piece);
  vec_push(e->a, &x->args, arg);
  add_format(e, x, fmt);
  print_add_text(e->a, x->print, after, (u32)strlen(after));
}

struct expr *sprint_done(struct elab *e, struct expr *x)
{
  const struct print_expr *p = x->print;
  if (p->fmt.n == 0)
    return op_str(e, &x->loc, "");
  if (p->fmt.n > 1)
    return x;
  const struct fmt_piece *only = &p->fmt.v[0];
  if (only->conv == CONV_LITERAL)
    return op_str(e, &x->loc, only->text);
  if (only->conv == CONV_S && !only->flags && !only->width_kind && !only->prec_kind)
    return x->args.v[0];
  return x;
}

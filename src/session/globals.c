/* Globals at the end of a run, one line each, as SystemTap's implied end probe prints them:
 *   n=5   s="foo"   a["k",1]=3   st @count=2 @min=1 @max=3 @sum=4 @avg=2   */
#include "session/globals.h"

#include <string.h>

struct show {
  struct strbuf *b;
  const struct ir_global *g;
};

/* A string as "%#s" prints it: escapes of C for what isn't printable. */
static void put_string(struct strbuf *b, const struct ir_val *v)
{
  static const char plain[] = "\a\b\f\n\r\t\v\"\\", letter[] = "abfnrtv\"\\";
  sb_putc(b, '"');
  for (u32 i = 0; i < v->len; i++) {
    unsigned char c = (unsigned char)v->str[i];
    const char *esc = c ? strchr(plain, c) : NULL;
    if (esc)
      sb_printf(b, "\\%c", letter[esc - plain]);
    else if (c >= 0x20 && c < 0x7f)
      sb_putc(b, (char)c);
    else
      sb_printf(b, "\\%03o", c);
  }
  sb_putc(b, '"');
}

static void put_value(struct strbuf *b, const struct ir_val *v)
{
  if (v->kind == V_STR)
    put_string(b, v);
  else
    sb_printf(b, "%lld", (long long)v->num);
}

static void put_stat(struct strbuf *b, const struct rt_stat *st)
{
  if (!st || st->count == 0) {
    sb_puts(b, " @count=0x0\n");
    return;
  }
  sb_printf(b, " @count=%lld @min=%lld @max=%lld @sum=%lld @avg=%lld\n", (long long)st->count,
            (long long)st->min, (long long)st->max, (long long)st->sum,
            (long long)(st->sum / st->count));
}

static void visit(void *arg, const struct ir_val *keys, const struct ir_val *val,
                  const struct rt_stat *stat)
{
  struct show *sh = arg;
  sb_puts(sh->b, sh->g->name);
  for (u32 i = 0; i < sh->g->nkeys; i++) {
    sb_putc(sh->b, i ? ',' : '[');
    put_value(sh->b, &keys[i]);
  }
  if (sh->g->nkeys)
    sb_putc(sh->b, ']');
  if (sh->g->type == TY_STATS) {
    put_stat(sh->b, stat);
  } else {
    sb_putc(sh->b, '=');
    put_value(sh->b, val);
    sb_putc(sh->b, '\n');
  }
}

int globals_show(struct strbuf *b, struct executor *x, const struct ir_global *g)
{
  struct show sh = {b, g};
  return x->read_global(x, g, &sh, visit);
}

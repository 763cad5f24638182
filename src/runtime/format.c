/* printf and its family, and records.  A value is laid out by rt_conv.h, as in BPF; here the layout
 * goes to a growing buffer.  */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "session/exec.h"
#include "runtime/format.h"
#define RT_NATIVE
#include "runtime/rt_conv.h"

_Static_assert((int)RT_CONV_D == (int)CONV_D && (int)RT_CONV_C == (int)CONV_C &&
                   (int)RT_CONV_MM == (int)CONV_MM,
               "conversions");
_Static_assert((int)RT_ZERO == (int)FMT_ZERO && (int)RT_ALT == (int)FMT_ALT &&
                   (int)RT_LEFT == (int)FMT_LEFT,
               "flags");

/* ---- values --------------------------------------------------------------------- */

static void repeat(struct strbuf *out, char c, u64 n)
{
  char block[64];
  memset(block, c, sizeof(block));
  for (; n > sizeof(block); n -= sizeof(block))
    sb_add(out, block, sizeof(block));
  sb_add(out, block, n);
}

static void put_int(struct strbuf *out, s64 value, u64 spec)
{
  struct rt_loop l;
  struct rt_layout o;
  u64 conv = SPEC_CONV(spec);
  layout_int(&l, &o, value, spec, digits_of(&l, magnitude(value, conv), conv));
  char blank = (char)o.blank, prefix[2] = {(char)o.prefix, (char)(o.prefix >> 8)};
  if (o.lead)
    repeat(out, blank, o.lead);
  if (o.nprefix)
    sb_add(out, prefix, o.nprefix);
  if (o.zeros)
    repeat(out, '0', o.zeros);
  sb_add(out, (const char *)l.buf + DIGITS - o.ndigits, o.ndigits);
  if (o.trail)
    repeat(out, blank, o.trail);
}

static void put_padded(struct strbuf *out, const char *s, u64 len, u64 spec)
{
  u64 width = SPEC_WIDTH(spec), pad = width > len ? width - len : 0;
  if (!(SPEC_FLAGS(spec) & RT_LEFT))
    repeat(out, ' ', pad);
  sb_add(out, s, len);
  if (SPEC_FLAGS(spec) & RT_LEFT)
    repeat(out, ' ', pad);
}

static void put_str(struct strbuf *out, const struct fmt_arg *arg, u64 spec)
{
  u64 len = arg->len;
  if (SPEC_PREC(spec) != RT_NO_PREC)
    len = MIN(len, SPEC_PREC(spec));
  put_padded(out, arg->str, len, spec);
}

static void put_memory(struct strbuf *out, const struct fmt_arg *arg, u64 spec)
{
  static const char hex[] = "0123456789abcdef";
  if (SPEC_CONV(spec) == RT_CONV_M) {
    put_padded(out, arg->str, arg->len, spec);
    return;
  }
  struct strbuf b = {0};
  for (u32 i = 0; i < arg->len; i++) {
    sb_putc(&b, hex[(u8)arg->str[i] >> 4]);
    sb_putc(&b, hex[arg->str[i] & 15]);
  }
  put_padded(out, b.s ? b.s : "", b.n, spec);
  sb_free(&b);
}

/* ---- calls ---------------------------------------------------------------------- */

u64 fmt_spec(const struct fmt_piece *p)
{
  u32 width = p->width_kind == FMT_STATIC ? MIN(p->width, 0xffffu) : 0;
  u32 prec = p->prec_kind == FMT_STATIC ? MIN(p->prec, RT_NO_PREC - 1) : RT_NO_PREC;
  return RT_SPEC(p->conv, p->flags, width, prec, p->size);
}

/* Arguments that no conversion has taken yet. */
struct rest {
  const struct fmt_arg *v;
  u32 n;
};

static const struct fmt_arg *next_arg(struct rest *args)
{
  assert(args->n);
  args->n--;
  return args->v++;
}

static void render_piece(struct strbuf *out, const struct fmt_piece *p, struct rest *args)
{
  u64 spec = fmt_spec(p);
  if (p->width_kind == FMT_DYNAMIC)
    spec = spec_with_width(spec, next_arg(args)->num);
  if (p->prec_kind == FMT_DYNAMIC)
    spec = spec_with_prec(spec, next_arg(args)->num);
  const struct fmt_arg *arg = next_arg(args);
  if (p->conv == CONV_S)
    put_str(out, arg, spec);
  else if (p->conv == CONV_M || p->conv == CONV_MM)
    put_memory(out, arg, spec);
  else
    put_int(out, arg->num, spec);
}

void fmt_render(struct strbuf *out, const struct ir_fmt *fmt, const struct fmt_arg *args)
{
  const struct print_expr *pe = fmt->print;
  struct rest rest = {args, fmt->nargs};
  size_t start = out->n;
  for (u32 i = 0; i < pe->fmt.n; i++) {
    const struct fmt_piece *p = &pe->fmt.v[i];
    if (p->conv == CONV_LITERAL)
      sb_add(out, p->text, p->len);
    else
      render_piece(out, p, &rest);
  }
  if (pe->line && (out->n == start || out->s[out->n - 1] != '\n'))
    sb_putc(out, '\n');
}

const struct fmt_piece *fmt_memory(const struct ir_fmt *fmt, u32 n)
{
  const struct print_expr *pe = fmt->print;
  u32 arg = 0;
  for (u32 i = 0; i < pe->fmt.n && arg <= n; i++) {
    const struct fmt_piece *p = &pe->fmt.v[i];
    if (p->conv == CONV_LITERAL)
      continue;
    arg += (p->width_kind == FMT_DYNAMIC) + (p->prec_kind == FMT_DYNAMIC);
    if (arg == n)
      return p->conv == CONV_M || p->conv == CONV_MM ? p : NULL;
    arg++;
  }
  return NULL;
}

/* ---- records -------------------------------------------------------------------- */

struct items {
  const u8 *p, *end;
};

static bool take_int(struct items *it, struct fmt_arg *arg)
{
  s64 num;
  if (it->end - it->p < 8)
    return false;
  memcpy(&num, it->p, 8);
  *arg = (struct fmt_arg){.num = num};
  it->p += 8;
  return true;
}

static bool take_fixed(struct items *it, u32 width, struct fmt_arg *arg)
{
  u32 bytes = ROUND_UP(width, 8);
  if (it->end - it->p < bytes)
    return false;
  const char *str = (const char *)it->p;
  *arg = (struct fmt_arg){.str = str, .len = (u32)strnlen(str, width)};
  it->p += bytes;
  return true;
}

static bool take_string(struct items *it, struct fmt_arg *arg)
{
  u32 len;
  if (it->end - it->p < 8)
    return false;
  memcpy(&len, it->p, 4);
  u64 bytes = ROUND_UP(4ull + len, 8);
  if ((u64)(it->end - it->p) < bytes)
    return false;
  *arg = (struct fmt_arg){.str = (const char *)it->p + 4, .len = len};
  it->p += bytes;
  return true;
}

static bool print_record(struct strbuf *out, const struct rt_site *site, struct items *it)
{
  const struct ir_fmt *fmt = site->fmt;
  struct fmt_arg args[fmt->nargs + 1];
  for (u32 i = 0; i < fmt->nargs; i++) {
    bool ok;
    if (fmt->arg_type[i] != IR_STR && !fmt_memory(fmt, i))
      ok = take_int(it, &args[i]);
    else if (site->width && site->width[i])
      ok = take_fixed(it, site->width[i], &args[i]);
    else
      ok = take_string(it, &args[i]);
    if (!ok)
      return false;
  }
  fmt_render(out, fmt, args);
  return true;
}

bool fmt_record(struct strbuf *out, const struct rt_site *site, const void *items, u32 len)
{
  struct items it = {items, (const u8 *)items + len};
  if (site->fmt)
    return print_record(out, site, &it);
  u32 n = hist_buckets(site->hist);
  if (len != 8 * n)
    return false;
  s64 *bucket = malloc(len);
  if (!bucket)
    return false;
  memcpy(bucket, items, len);
  bool ok = true;
  for (u32 i = 0; i < n; i++)
    ok &= bucket[i] >= 0;
  if (ok)
    hist_render(out, site->hist, bucket);
  free(bucket);
  return ok;
}

/* The decoder of ring records.  An input is one line, the printf statement of a site, and behind it the record's bytes, or the
 * buckets of a histogram.  Nothing that stands in a record may make the decoder read beyond it; a result is bounded.  */
#include "fuzz.h"
#include "lang/parse.h"
#include "runtime/format.h"
#include "session/exec.h"

static FILE *nowhere;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  nowhere = fopen("/dev/null", "w");
  return 0;
}

/* The first printf expression of the line, or NULL. */
static struct expr *print_of(struct arena *a, const char *line)
{
  struct diag *d = NEW(a, struct diag);
  diag_init(d, a, nowhere);
  struct strmap macros;
  strmap_init(&macros, a);
  struct parse_env env = {.a = a, .diag = d, .kernel_vr = "6.1.0", .arch = "x86_64", .runtime = "bpf", .compat = "5.2", .privilege = "stapdev",
                          .macros = &macros};
  struct src_file *src = NEW(a, struct src_file);
  src->name = "<input>";
  src->text = arena_printf(a, "probe begin { %s }", line);
  src->len = strlen(src->text);
  struct ast_file *f = parse_file(&env, src);
  if (!f || !f->probes.n)
    return NULL;
  struct stmt *s = f->probes.v[0]->body;
  while (s && s->kind == S_BLOCK)
    s = s->body.n ? s->body.v[0] : NULL;
  return s && s->kind == S_EXPR && s->e->kind == E_PRINT && s->e->print->formatted ? s->e : NULL;
}

/* As pass 2 has it: conversions decide what is a string; a width or precision of "*" takes an argument. */
static bool types_of(struct ir_fmt *fmt, const struct expr *e, struct arena *a)
{
  const struct print_expr *pe = e->print;
  u32 n = 0;
  fmt->nargs = e->args.n;
  fmt->arg_type = NEW_ARRAY(a, enum ir_type, e->args.n + 1);
  for (u32 i = 0; i < e->args.n; i++)
    fmt->arg_type[i] = IR_INT;
  for (u32 i = 0; i < pe->fmt.n; i++) {
    const struct fmt_piece *p = &pe->fmt.v[i];
    if (p->conv == CONV_LITERAL)
      continue;
    n += (p->width_kind == FMT_DYNAMIC) + (p->prec_kind == FMT_DYNAMIC);
    if (n < fmt->nargs && p->conv == CONV_S)
      fmt->arg_type[n] = IR_STR;
    n++;
  }
  return n == fmt->nargs;
}

static void decode(const struct rt_site *site, const u8 *data, size_t size)
{
  struct strbuf out = {0};
  u8 *copy = malloc(size ? size : 1);
  memcpy(copy, data, size);
  fmt_record(&out, site, copy, (u32)size);
  if (out.n > (1u << 20) + 16 * size)
    fuzz_bug("%zu bytes of record made %zu of text", size, out.n);
  free(copy);
  sb_free(&out);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
  const u8 *end = memchr(data, '\n', size);
  if (!end)
    return 0;
  struct arena *a = arena_new();
  char *line = arena_strndup(a, (const char *)data, (size_t)(end - data));
  size_t left = size - (size_t)(end + 1 - data);
  struct hist h = {.kind = HIST_LOG};
  long long lo, hi, step;
  struct rt_site site = {0};
  if (!strcmp(line, "hist_log") || sscanf(line, "hist_linear %lld %lld %lld", &lo, &hi, &step) == 3) {
    if (line[5] == 'l' && line[6] == 'i')
      h = (struct hist){.kind = HIST_LINEAR, .lo = lo, .hi = hi, .step = step};
    site.hist = &h;
    decode(&site, end + 1, left);
  } else {
    struct expr *e = print_of(a, line);
    struct ir_fmt *fmt = NEW(a, struct ir_fmt);
    if (e && types_of(fmt, e, a)) {
      fmt->print = e->print;
      site.fmt = fmt;
      site.width = NEW_ARRAY(a, u16, fmt->nargs + 1);
      decode(&site, end + 1, left);
      for (u32 i = 0; i < fmt->nargs; i++)
        site.width[i] = fmt->arg_type[i] == IR_STR ? 16 : 0;
      decode(&site, end + 1, left);
    }
  }
  arena_free(a);
  return 0;
}

/* printf, records and histograms: known answers, records that are malformed, and sprintf() of the
 * runtime against the session's printf.  */
#include <stdlib.h>
#include <string.h>

#include "runtime/format.h"
#include "runtime/rt.h"
#include "session/exec.h"

static u32 checks, failures;

static void check(const struct strbuf *got, const char *want, u32 len, const char *what)
{
  checks++;
  if (got->n == len && !memcmp(got->s ? got->s : "", want, len))
    return;
  failures++;
  printf("FAIL %s\ngot:\n%.*s\nwant:\n%s\n", what, (int)got->n, got->s ? got->s : "", want);
}

/* ---- conversions ---------------------------------------------------------------------- */

/* width, prec: -1: none */
static const struct {
  enum conv conv;
  u32 flags;
  s32 width, prec;
  s64 value;
  const char *text;
} numbers[] = {
    {CONV_D, 0, -1, -1, 0, "0"},
    {CONV_D, 0, -1, -1, -1, "-1"},
    {CONV_D, 0, -1, -1, INT64_MIN, "-9223372036854775808"},
    {CONV_D, 0, 5, -1, 42, "   42"},
    {CONV_D, FMT_LEFT, 5, -1, 42, "42   "},
    {CONV_D, FMT_ZERO, 5, -1, -42, "-0042"},
    {CONV_D, FMT_ZERO | FMT_LEFT, 5, -1, -42, "-42  "},
    {CONV_D, FMT_ZERO, 5, 3, 42, "  042"},
    {CONV_D, FMT_PLUS, -1, -1, 42, "+42"},
    {CONV_D, FMT_PLUS | FMT_SPACE, -1, -1, 42, "+42"},
    {CONV_D, FMT_SPACE, -1, -1, 42, " 42"},
    {CONV_D, 0, -1, 0, 0, ""},
    {CONV_D, 0, 3, 0, 0, "   "},
    {CONV_D, 0, -1, 5, 42, "00042"},
    {CONV_U, 0, -1, -1, -1, "18446744073709551615"},
    {CONV_U, FMT_PLUS, -1, -1, 1, "1"},
    {CONV_O, 0, -1, -1, -1, "1777777777777777777777"},
    {CONV_O, FMT_ALT, -1, -1, 1, "01"},
    {CONV_O, FMT_ALT, -1, -1, 0, "0"},
    {CONV_O, FMT_ALT, -1, 0, 0, "0"},
    {CONV_O, FMT_ALT, -1, 4, 8, "0010"},
    {CONV_X, 0, -1, -1, 0x1234abcd, "1234abcd"},
    {CONV_XX, 0, -1, -1, 0x1234abcd, "1234ABCD"},
    {CONV_X, FMT_ALT, -1, -1, 2, "0x2"},
    {CONV_XX, FMT_ALT, -1, -1, 3, "0X3"},
    {CONV_X, FMT_ALT, -1, -1, 0, "0"},
    {CONV_X, FMT_ALT | FMT_ZERO, 8, -1, 255, "0x0000ff"},
    {CONV_X, FMT_ALT, 8, -1, 255, "    0xff"},
    {CONV_P, 0, -1, -1, 0x1234abcd, "0x1234abcd"},
    {CONV_P, 0, -1, -1, 0, "0x0"},
    {CONV_P, 0, 12, -1, 255, "        0xff"},
    {CONV_C, 0, -1, -1, 97, "a"},
    {CONV_C, 0, 3, -1, 97, "  a"},
    {CONV_C, 0, -1, -1, 256 + 97, "a"},
    {CONV_C, FMT_ALT, -1, -1, 0, "\\000"},
    {CONV_C, FMT_ALT, -1, -1, 9, "\\t"},
    {CONV_C, FMT_ALT, -1, -1, 42, "*"},
    {CONV_C, FMT_ALT, -1, -1, 200, "\\310"},
};

static struct fmt_piece piece_of(enum conv conv, u32 flags, s32 width, s32 prec)
{
  struct fmt_piece p = {.conv = conv, .flags = flags};
  if (width >= 0) {
    p.width_kind = FMT_STATIC;
    p.width = (u32)width;
  }
  if (prec >= 0) {
    p.prec_kind = FMT_STATIC;
    p.prec = (u32)prec;
  }
  return p;
}

static void render(struct strbuf *b, struct arena *a, struct fmt_piece p, u32 nargs,
                   const struct fmt_arg *args)
{
  static enum ir_type types[3] = {IR_INT, IR_INT, IR_INT};
  struct print_expr pe = {0};
  struct fmt_piece text = {.conv = CONV_LITERAL, .text = "<", .len = 1}, end = text;
  end.text = ">";
  vec_push(a, &pe.fmt, text);
  vec_push(a, &pe.fmt, p);
  vec_push(a, &pe.fmt, end);
  struct ir_fmt fmt = {.print = &pe, .nargs = nargs, .arg_type = types};
  sb_reset(b);
  fmt_render(b, &fmt, args);
}

/* The same value by sprintf's code. */
static void check_sprint(struct strbuf *b, struct fmt_piece p, s64 value)
{
  enum { M = 128 };
  static u8 frame[ROUND_UP(RT_OFF_VARS(M) + M + RT_SLACK(M), 8)] __attribute__((aligned(8)));
  static u8 rodata[2048];
  u32 at = RT_OFF_VARS(M);
  rt_L = rt_M = M;
  rt_F = sizeof(frame);
  rt_R = sizeof(rodata);
  rt_rodata = rodata;
  struct rt_mem *f = (struct rt_mem *)frame;
  frame[at] = 0;
  u64 spec =
      RT_SPEC(p.conv, p.flags, p.width_kind ? p.width : 0, p.prec_kind ? p.prec : RT_NO_PREC, 0);
  u64 pos = rt_put_int(f, RT_POS(at, M), value, spec);
  checks++;
  if ((u32)pos - at != b->n - 2 || memcmp(frame + at, b->s + 1, b->n - 2)) {
    failures++;
    printf("FAIL sprintf: %s, printf: %s\n", frame + at, b->s);
  }
}

static void test_numbers(struct arena *a)
{
  struct strbuf b = {0};
  char want[64];
  for (u32 i = 0; i < ARRAY_SIZE(numbers); i++) {
    struct fmt_piece p =
        piece_of(numbers[i].conv, numbers[i].flags, numbers[i].width, numbers[i].prec);
    struct fmt_arg arg = {.num = numbers[i].value};
    render(&b, a, p, 1, &arg);
    u32 len = (u32)snprintf(want, sizeof(want), "<%s>", numbers[i].text);
    check(&b, want, len, "number");
    check_sprint(&b, p, numbers[i].value);
  }
  sb_free(&b);
}

static void test_pieces(struct arena *a)
{
  struct strbuf b = {0};
  struct fmt_arg s = {.str = "hello", .len = 5}, m = {.str = "\0\x1f\xff", .len = 3};
  render(&b, a, piece_of(CONV_S, 0, 7, -1), 1, &s);
  check(&b, "<  hello>", 9, "%7s");
  render(&b, a, piece_of(CONV_S, FMT_LEFT, 7, 2), 1, &s);
  check(&b, "<he     >", 9, "%-7.2s");
  render(&b, a, piece_of(CONV_S, 0, -1, 0), 1, &s);
  check(&b, "<>", 2, "%.0s");
  render(&b, a, piece_of(CONV_M, 0, 5, 3), 1, &m);
  check(&b, "<  \0\x1f\xff>", 7, "%5.3m");
  render(&b, a, piece_of(CONV_MM, FMT_LEFT, 8, 3), 1, &m);
  check(&b, "<001fff  >", 10, "%-8.3M");
  struct fmt_arg n = {.num = 0xdeadbeef};
  render(&b, a, piece_of(CONV_B, 0, -1, -1), 1, &n);
  check(&b, "<\xef\xbe\xad\xde\0\0\0\0>", 10, "%b");
  render(&b, a, piece_of(CONV_B, 0, 4, -1), 1, &n);
  check(&b, "<\xef\xbe\xad\xde>", 6, "%4b");
  render(&b, a, piece_of(CONV_B, 0, 4, 2), 1, &n);
  check(&b, "<\0\0\xef\xbe>", 6, "%4.2b");
  struct fmt_piece star = piece_of(CONV_D, 0, -1, -1);
  star.width_kind = star.prec_kind = FMT_DYNAMIC;
  struct fmt_arg args[3] = {{.num = -6}, {.num = 3}, {.num = 7}};
  render(&b, a, star, 3, args);
  check(&b, "<007   >", 8, "%*.*d, width -6");
  args[0].num = 4;
  args[1].num = -1;
  render(&b, a, star, 3, args);
  check(&b, "<   7>", 6, "%*.*d, precision -1");
  sb_free(&b);
}

static void test_line(void)
{
  struct strbuf b = {0};
  enum ir_type type = IR_STR;
  struct fmt_piece text = {.conv = CONV_S};
  struct print_expr pe = {.line = true, .fmt = {.v = &text, .n = 1}};
  struct ir_fmt fmt = {.print = &pe, .nargs = 1, .arg_type = &type};
  struct fmt_arg args[] = {{.str = "a", .len = 1}, {.str = "b\n", .len = 2}, {.str = ""}};
  for (u32 i = 0; i < ARRAY_SIZE(args); i++)
    fmt_render(&b, &fmt, &args[i]);
  check(&b, "a\nb\n\n", 5, "log");
  sb_free(&b);
}

/* ---- records --------------------------------------------------------------------------- */

static void test_records(void)
{
  enum ir_type types[] = {IR_INT, IR_STR, IR_STR};
  u16 width[] = {0, 16, 0};
  struct fmt_piece shown[] = {{.conv = CONV_D},
                              {.text = "|", .len = 1},
                              {.conv = CONV_S},
                              {.text = "|", .len = 1},
                              {.conv = CONV_S}};
  struct print_expr pe = {.fmt = {.v = shown, .n = ARRAY_SIZE(shown)}};
  struct ir_fmt fmt = {.print = &pe, .nargs = 3, .arg_type = types};
  struct rt_site site = {.fmt = &fmt, .width = width};
  struct {
    s64 n;
    char fixed[16];
    u32 len;
    char text[12];
  } rec = {-7, "bash", 9, "long text"};
  struct strbuf b = {0};
  checks++;
  if (!fmt_record(&b, &site, &rec, sizeof(rec)))
    failures++;
  check(&b, "-7|bash|long text", 17, "record");
  for (u32 len = 0; len < sizeof(rec); len++) { /* cut anywhere */
    u8 *copy = malloc(len + 1);
    memcpy(copy, &rec, len);
    checks++;
    if (fmt_record(&b, &site, copy, len)) {
      failures++;
      printf("FAIL a record of %u bytes is taken\n", len);
    }
    free(copy);
  }
  rec.len = 0xfffffffc;
  checks++;
  failures += fmt_record(&b, &site, &rec, sizeof(rec));
  struct hist h = {.kind = HIST_LINEAR, .lo = 0, .hi = 20, .step = 10};
  s64 bucket[] = {0, 1, 2, 0, 0};
  site = (struct rt_site){.hist = &h};
  checks += 3;
  failures += !fmt_record(&b, &site, bucket, sizeof(bucket));
  failures += fmt_record(&b, &site, bucket, sizeof(bucket) - 8);
  bucket[1] = -1;
  failures += fmt_record(&b, &site, bucket, sizeof(bucket));
  sb_free(&b);
}

/* ---- histograms ------------------------------------------------------------------------- */

/* The same as a string of the runtime's: cut to M - 1 bytes. */
static void check_string(const struct hist *h, const s64 *bucket, const struct strbuf *text, u32 M)
{
  static u8 frame[1 << 15] __attribute__((aligned(8))), rodata[1 << 15];
  u32 at = RT_OFF_VARS(M), n = hist_buckets(h), len = (u32)MIN(text->n, (size_t)M - 1);
  struct strbuf table = {0};
  hist_table(&table, h);
  memcpy(rodata, table.s, table.n);
  rt_L = rt_M = M;
  rt_F = sizeof(frame);
  rt_R = sizeof(rodata);
  rt_rodata = rodata;
  memcpy(frame + at + M, bucket, 8 * n);
  u64 got = rt_hist_str((struct rt_mem *)frame, at, at + M, 0);
  checks++;
  if (got != len || memcmp(frame + at, text->s, len) || frame[at + len]) {
    failures++;
    printf("FAIL histogram as string of %u:\n%s\n", M, frame + at);
  }
  sb_free(&table);
}

static void chart(const struct hist *h, const s64 *value, u32 n, const char *want, const char *what)
{
  u32 buckets = hist_buckets(h);
  s64 *bucket = calloc(buckets, sizeof(*bucket));
  for (u32 i = 0; i < n; i += 2) { /* value, how often */
    u64 k = h->kind == HIST_LOG ? rt_hist_log(value[i])
                                : rt_hist_linear(value[i], h->lo, h->hi, h->step);
    bucket[k] += value[i + 1];
  }
  struct strbuf b = {0};
  hist_render(&b, h, bucket);
  check(&b, want, (u32)strlen(want), what);
  check_string(h, bucket, &b, RT_MIN_BUFFER);
  check_string(h, bucket, &b, 512);
  check_string(h, bucket, &b, RT_MAX_STRING);
  sb_free(&b);
  free(bucket);
}

static void test_charts(void)
{
  static const struct hist log = {.kind = HIST_LOG},
                           reads = {.kind = HIST_LINEAR, .lo = 0, .hi = 10240, .step = 200},
                           small = {.kind = HIST_LINEAR, .lo = 1, .hi = 3, .step = 1};
  /* the language reference's example */
  static const s64 a[] = {100, 1650, 300, 8, 1500, 1};
  chart(&reads, a, ARRAY_SIZE(a),
        "value |-------------------------------------------------- count\n"
        "    0 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@ 1650\n"
        "  200 |                                                      8\n"
        "  400 |                                                      0\n"
        "  600 |                                                      0\n"
        "      ~\n"
        " 1000 |                                                      0\n"
        " 1200 |                                                      0\n"
        " 1400 |                                                      1\n"
        " 1600 |                                                      0\n"
        " 1800 |                                                      0\n"
        "\n",
        "linear");
  static const s64 b[] = {40, 254, 64, 3, 1024, 334 * 49};
  chart(&log, b, ARRAY_SIZE(b),
        "value |-------------------------------------------------- count\n"
        "    8 |                                                       0\n"
        "   16 |                                                       0\n"
        "   32 |                                                     254\n"
        "   64 |                                                       3\n"
        "  128 |                                                       0\n"
        "  256 |                                                       0\n"
        "  512 |                                                       0\n"
        " 1024 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@  16366\n"
        " 2048 |                                                       0\n"
        " 4096 |                                                       0\n"
        "\n",
        "log");
  static const s64 c[] = {-100, 1, 1, 1, 2, 1, 3, 1, 100, 2};
  chart(&small, c, ARRAY_SIZE(c),
        "value |-------------------------------------------------- count\n"
        "   <1 |@                                                  1\n"
        "    1 |@                                                  1\n"
        "    2 |@                                                  1\n"
        "    3 |@                                                  1\n"
        "   >3 |@@                                                 2\n"
        "\n",
        "below and above");
  static const s64 d[] = {-3, 1, 0, 2, 1, 3};
  chart(&log, d, ARRAY_SIZE(d),
        "value |-------------------------------------------------- count\n"
        "   -8 |                                                   0\n"
        "   -4 |                                                   0\n"
        "   -2 |@                                                  1\n"
        "   -1 |                                                   0\n"
        "    0 |@@                                                 2\n"
        "    1 |@@@                                                3\n"
        "    2 |                                                   0\n"
        "    4 |                                                   0\n"
        "\n",
        "negative");
  static const s64 e[] = {0, 1};
  chart(&log, e, ARRAY_SIZE(e),
        "value |-------------------------------------------------- count\n"
        "    0 |@                                                  1\n"
        "    1 |                                                   0\n"
        "    2 |                                                   0\n"
        "\n",
        "only zeroes");
  static const s64 f[] = {INT64_MAX, 1, INT64_MIN, 1};
  hist_set_style(10, 0);
  chart(&log, f, ARRAY_SIZE(f),
        "               value |---------- count\n"
        "-9223372036854775808 |@          1\n"
        "                     ~\n"
        " 4611686018427387904 |@          1\n"
        "\n",
        "narrow, no empty rows");
  hist_set_style(4, -1);
  static const struct hist ten = {.kind = HIST_LINEAR, .lo = -20, .hi = 20, .step = 10};
  static const s64 g[] = {-15, 9, 15, 4};
  chart(&ten, g, ARRAY_SIZE(g),
        "value |---- count\n"
        "  -20 |@@@  9\n"
        "  -10 |     0\n"
        "    0 |     0\n"
        "   10 |@    4\n"
        "   20 |     0\n"
        "\n",
        "all rows");
  static const struct hist below = {.kind = HIST_LINEAR, .lo = -3000, .hi = -1000, .step = 1000};
  static const s64 k[] = {-1500, 1, 0, 2};
  chart(&below, k, ARRAY_SIZE(k),
        "value |---- count\n"
        "-3000 |     0\n"
        "-2000 |@    1\n"
        "-1000 |     0\n"
        ">-1000 |@@   2\n"
        "\n",
        "a value that is wider");
  hist_set_style(50, 2);
  checks += 2;
  failures += hist_buckets(&small) != 5;
  failures += hist_buckets(&log) != RT_HIST_LOG_BUCKETS;
}

int main(void)
{
  struct arena *a = arena_new();
  test_numbers(a);
  test_pieces(a);
  test_line();
  test_records();
  test_charts();
  arena_free(a);
  printf("%u checks, %u failures\n", checks, failures);
  return failures != 0;
}

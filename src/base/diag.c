/* Diagnostics in SystemTap's form: message, place, source line, caret. */
#include "base/base.h"

#include <ctype.h>
#include <string.h>

void diag_init(struct diag *d, struct arena *a, FILE *out)
{
  *d = (struct diag){.a = a, .out = out};
  strmap_init(&d->seen, a);
}

static const char *kind_name(enum diag_kind kind)
{
  static const char *const names[] = {
      [DIAG_PARSE_ERROR] = "parse error",
      [DIAG_SEMANTIC_ERROR] = "semantic error",
      [DIAG_ERROR] = "ERROR",
      [DIAG_WARNING] = "WARNING",
  };
  return names[kind];
}

/* Longer lines were made by programs, and show a reader nothing. */
enum { MAX_SOURCE_LINE = 1000 };

/* The line and a caret below the place; the heading differs by what is reported. */
static void put_source_line(struct strbuf *b, const char *heading, const struct loc *loc)
{
  const struct src_file *f = loc->file;
  if (!f->text || loc->off > f->len)
    return;
  const char *start = f->text + loc->off, *end = start;
  while (start > f->text && start[-1] != '\n' && end - start <= MAX_SOURCE_LINE)
    start--;
  while (*end && *end != '\n' && end - start <= MAX_SOURCE_LINE)
    end++;
  if (end - start > MAX_SOURCE_LINE)
    return;
  sb_puts(b, heading);
  sb_add(b, start, (size_t)(end - start));
  sb_printf(b, "\n%*s", (int)strlen(heading), "");
  for (const char *p = start; p < f->text + loc->off; p++)
    sb_putc(b, *p == '\t' ? '\t' : ' ');
  sb_puts(b, "^\n");
}

/* The macro calls and script arguments that a place lies in, innermost first; the text there is
 * "@name" or "$1". */
static void put_expansions(struct strbuf *b, const char *heading, const struct loc *loc)
{
  enum { MAX_SHOWN = 5 };
  u32 n = 0;
  for (const struct loc *m = loc->macro; m && m->file && n < MAX_SHOWN; m = m->macro, n++) {
    const char *name = m->file->text && m->off < m->file->len ? m->file->text + m->off : "@";
    size_t len = 1;
    while (isalnum((u8)name[len]) || name[len] == '_')
      len++;
    sb_printf(b, "        in expansion of %s '%.*s' at %s:%u:%u\n",
              *name == '$' ? "argument" : "macro: operator", (int)len, name, m->file->name, m->line,
              m->col);
    put_source_line(b, heading, m);
  }
}

/* A token's text on one line, as it may have been written: control characters as escapes. */
static void put_visible(struct strbuf *b, const char *s)
{
  static const char from[] = "\a\b\f\n\r\t\v", to[] = "abfnrtv";
  for (; *s; s++) {
    const char *k = strchr(from, *s);
    if (k)
      sb_printf(b, "\\%c", to[k - from]);
    else if (iscntrl((u8)*s) && (u8)*s < 0x80)
      sb_printf(b, "\\%03o", (u8)*s);
    else
      sb_putc(b, *s);
  }
}

static void emit(struct diag *d, enum diag_kind kind, struct strbuf *b)
{
  if (!strmap_get(&d->seen, b->s)) {
    strmap_put(&d->seen, arena_strdup(d->a, b->s), d);
    fputs(b->s, d->out);
  }
  if (kind == DIAG_WARNING && !d->warnings_are_errors)
    d->nwarnings++;
  else
    d->nerrors++;
  sb_free(b);
}

static void put_head(struct diag *d, struct strbuf *b, enum diag_kind kind, const char *fmt,
                     va_list ap)
{
  const char *on = "", *off = "";
  if (d->color) {
    on = kind == DIAG_WARNING ? "\033[33m" : "\033[31m";
    off = "\033[0m";
  }
  sb_printf(b, "%s%s:%s ", on, kind_name(kind), off);
  sb_vprintf(b, fmt, ap);
}

static const char *heading(enum diag_kind kind)
{
  return kind == DIAG_WARNING ? " source: " : "        source: ";
}

void diag_at(struct diag *d, enum diag_kind kind, const struct loc *loc, const char *what,
             const char *token, const char *fmt, ...)
{
  if (kind == DIAG_WARNING && d->no_warnings)
    return;
  struct strbuf b = {0};
  va_list ap;
  va_start(ap, fmt);
  put_head(d, &b, kind, fmt, ap);
  va_end(ap);
  if (token) {
    sb_printf(&b, ": %s '", what ? what : "identifier");
    put_visible(&b, token);
    sb_putc(&b, '\'');
  }
  if (loc && loc->file) {
    sb_printf(&b, " at %s:%u:%u\n", loc->file->name, loc->line, loc->col);
    put_source_line(&b, heading(kind), loc);
    put_expansions(&b, heading(kind), loc);
  } else {
    sb_putc(&b, '\n');
  }
  if (kind != DIAG_WARNING)
    sb_putc(&b, '\n');
  emit(d, kind, &b);
}

void diag_msg(struct diag *d, enum diag_kind kind, const char *fmt, ...)
{
  if (kind == DIAG_WARNING && d->no_warnings)
    return;
  struct strbuf b = {0};
  va_list ap;
  va_start(ap, fmt);
  put_head(d, &b, kind, fmt, ap);
  va_end(ap);
  sb_putc(&b, '\n');
  emit(d, kind, &b);
}

void diag_parse(struct diag *d, const struct loc *loc, const char *msg, const char *saw)
{
  struct strbuf b = {0};
  sb_printf(&b, "%sparse error:%s %s\n", d->color ? "\033[31m" : "", d->color ? "\033[0m" : "",
            msg);
  sb_puts(&b, "        saw: ");
  put_visible(&b, saw);
  if (loc && loc->file) {
    sb_printf(&b, " at %s:%u:%u\n", loc->file->name, loc->line, loc->col);
    put_source_line(&b, "     source: ", loc);
    put_expansions(&b, "     source: ", loc);
  } else {
    sb_putc(&b, '\n');
  }
  emit(d, DIAG_PARSE_ERROR, &b);
}

/* Levenshtein distance with adjacent transpositions, cut off at `limit`. */
static u32 edit_distance(const char *a, const char *b, u32 limit)
{
  enum { MAX_LEN = 64 };
  size_t n = strlen(a), m = strlen(b);
  if (n >= MAX_LEN || m >= MAX_LEN || (n > m ? n - m : m - n) > limit)
    return limit + 1;
  u32 row[3][MAX_LEN];
  for (u32 j = 0; j <= m; j++)
    row[0][j] = j;
  for (u32 i = 1; i <= n; i++) {
    u32 *cur = row[i % 3], *prev = row[(i + 2) % 3], *prev2 = row[(i + 1) % 3];
    cur[0] = i;
    for (u32 j = 1; j <= m; j++) {
      u32 d = prev[j - 1] + (a[i - 1] != b[j - 1]);
      d = MIN(d, prev[j] + 1);
      d = MIN(d, cur[j - 1] + 1);
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d = MIN(d, prev2[j - 2] + 1);
      cur[j] = d;
    }
  }
  return row[n % 3][m];
}

const char *diag_similar(struct arena *a, const char *name, const char *const *names, u32 nnames,
                         u32 max)
{
  u32 limit = (u32)strlen(name) / 3 + 1;
  struct strbuf b = {0};
  u32 found = 0, *distance = NEW_ARRAY(a, u32, nnames + 1);
  for (u32 i = 0; i < nnames; i++)
    distance[i] = edit_distance(name, names[i], limit);
  for (u32 dist = 0; dist <= limit && found < max; dist++)
    for (u32 i = 0; i < nnames && found < max; i++)
      if (names[i][0] && distance[i] == dist) {
        sb_printf(&b, "%s%s", found ? ", " : "", names[i]);
        found++;
      }
  const char *res = found ? arena_strdup(a, b.s) : NULL;
  sb_free(&b);
  return res;
}

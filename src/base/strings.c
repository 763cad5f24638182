/* String buffers and string maps. */
#include "base/base.h"

#include <stdlib.h>
#include <string.h>

static void sb_need(struct strbuf *b, size_t more)
{
  if (b->n + more + 1 <= b->cap)
    return;
  size_t cap = b->cap ? b->cap : 64;
  while (cap < b->n + more + 1)
    cap *= 2;
  char *s = realloc(b->s, cap);
  if (!s) {
    fputs("ERROR: out of memory\n", stderr);
    exit(1);
  }
  b->s = s;
  b->cap = cap;
}

void sb_add(struct strbuf *b, const char *s, size_t n)
{
  sb_need(b, n);
  if (n)
    memcpy(b->s + b->n, s, n);
  b->n += n;
  b->s[b->n] = 0;
}

void sb_puts(struct strbuf *b, const char *s)
{
  sb_add(b, s, strlen(s));
}

void sb_putc(struct strbuf *b, char c)
{
  sb_add(b, &c, 1);
}

void sb_vprintf(struct strbuf *b, const char *fmt, va_list ap)
{
  va_list ap2;
  va_copy(ap2, ap);
  int n = vsnprintf(NULL, 0, fmt, ap2);
  va_end(ap2);
  if (n < 0)
    return;
  sb_need(b, (size_t)n);
  vsnprintf(b->s + b->n, (size_t)n + 1, fmt, ap);
  b->n += (size_t)n;
}

void sb_printf(struct strbuf *b, const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  sb_vprintf(b, fmt, ap);
  va_end(ap);
}

void sb_reset(struct strbuf *b)
{
  b->n = 0;
  if (b->s)
    b->s[0] = 0;
}

void sb_free(struct strbuf *b)
{
  free(b->s);
  *b = (struct strbuf){0};
}

static u32 str_hash(const char *s)
{
  u32 h = 2166136261u;
  for (; *s; s++)
    h = (h ^ (u8)*s) * 16777619u;
  return h;
}

void strmap_init(struct strmap *m, struct arena *a)
{
  *m = (struct strmap){.a = a};
}

/* The slot that holds `key`, or the free slot where it would go. */
static u32 strmap_slot(const struct strmap *m, const char *key)
{
  u32 i = str_hash(key) & (m->nslots - 1);
  while (m->slots[i]) {
    const char *k = m->keys[m->slots[i] - 1];
    if (k && !strcmp(k, key))
      break;
    i = (i + 1) & (m->nslots - 1);
  }
  return i;
}

void *strmap_get(const struct strmap *m, const char *key)
{
  if (!m->nslots)
    return NULL;
  u32 i = strmap_slot(m, key);
  return m->slots[i] ? m->vals[m->slots[i] - 1] : NULL;
}

static void strmap_grow(struct strmap *m)
{
  u32 cap = m->cap ? m->cap * 2 : 16;
  const char **keys = NEW_ARRAY(m->a, const char *, cap);
  void **vals = NEW_ARRAY(m->a, void *, cap);
  if (m->n) {
    memcpy(keys, m->keys, m->n * sizeof(*keys));
    memcpy(vals, m->vals, m->n * sizeof(*vals));
  }
  m->keys = keys;
  m->vals = vals;
  m->cap = cap;
  m->nslots = cap * 2;
  m->slots = NEW_ARRAY(m->a, u32, m->nslots);
  for (u32 i = 0; i < m->n; i++)
    if (m->keys[i])
      m->slots[strmap_slot(m, m->keys[i])] = i + 1;
}

void strmap_put(struct strmap *m, const char *key, void *val)
{
  if (m->n == m->cap)
    strmap_grow(m);
  u32 i = strmap_slot(m, key);
  if (!m->slots[i]) {
    m->keys[m->n] = key;
    m->slots[i] = ++m->n;
  }
  m->vals[m->slots[i] - 1] = val;
}

void strmap_del(struct strmap *m, const char *key)
{
  if (!m->nslots)
    return;
  u32 i = strmap_slot(m, key);
  if (m->slots[i]) {
    m->keys[m->slots[i] - 1] = NULL;
    m->vals[m->slots[i] - 1] = NULL;
  }
}

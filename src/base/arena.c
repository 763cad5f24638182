/* Bump allocation in chunks that double up to a megabyte. */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct chunk {
  struct chunk *next;
  size_t used, cap;
  _Alignas(16) char mem[];
};
struct arena {
  struct chunk *head;
};

static void out_of_memory(void)
{
  fputs("ERROR: out of memory\n", stderr);
  exit(1);
}

struct arena *arena_new(void)
{
  struct arena *a = calloc(1, sizeof(*a));
  if (!a)
    out_of_memory();
  return a;
}

void arena_free(struct arena *a)
{
  if (!a)
    return;
  for (struct chunk *c = a->head, *next; c; c = next) {
    next = c->next;
    free(c);
  }
  free(a);
}

void *arena_alloc(struct arena *a, size_t size)
{
  size = ROUND_UP(size ? size : 1, 16);
  struct chunk *c = a->head;
  if (!c || c->cap - c->used < size) {
    size_t cap = c ? MIN(c->cap * 2, (size_t)1 << 20) : 4096;
    cap = MAX(cap, size);
    struct chunk *fresh = calloc(1, sizeof(*fresh) + cap);
    if (!fresh)
      out_of_memory();
    fresh->cap = cap;
    if (c && size > cap / 2 && c->cap - c->used > cap / 4) {
      /* A large object gets its own chunk behind the current one. */
      fresh->used = size;
      fresh->next = c->next;
      c->next = fresh;
      return fresh->mem;
    }
    fresh->next = c;
    a->head = c = fresh;
  }
  void *p = c->mem + c->used;
  c->used += size;
  return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
  char *p = arena_alloc(a, n + 1);
  memcpy(p, s, n);
  return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
  return arena_strndup(a, s, strlen(s));
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
  va_list ap2;
  va_copy(ap2, ap);
  int n = vsnprintf(NULL, 0, fmt, ap2);
  va_end(ap2);
  char *p = arena_alloc(a, (size_t)n + 1);
  vsnprintf(p, (size_t)n + 1, fmt, ap);
  return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  char *p = arena_vprintf(a, fmt, ap);
  va_end(ap);
  return p;
}

void *vec_grow(struct arena *a, void *v, u32 n, u32 *cap, size_t elem)
{
  *cap = *cap ? *cap * 2 : 4;
  void *p = arena_alloc(a, *cap * elem);
  if (n)
    memcpy(p, v, n * elem);
  return p;
}

char *file_read(struct arena *a, const char *path, size_t *len)
{
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return NULL;
  struct strbuf b = {0};
  char buf[16384];
  ssize_t n;
  while ((n = read(fd, buf, sizeof(buf))) != 0) {
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      int err = errno;
      close(fd);
      sb_free(&b);
      errno = err;
      return NULL;
    }
    sb_add(&b, buf, (size_t)n);
  }
  close(fd);
  char *p = arena_strndup(a, b.s ? b.s : "", b.n);
  if (len)
    *len = b.n;
  sb_free(&b);
  return p;
}

/* Base library: memory arenas, vectors, string buffers, string maps, source
 * locations and diagnostics.  Everything that lives as long as one compilation
 * is allocated from an arena and freed with it; nothing here prints except
 * diag_flush().  */
#ifndef STAP_BASE_H
#define STAP_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define ROUND_UP(x, to) (((x) + (to) - 1) / (to) * (to))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* ---- arena ---------------------------------------------------------------
 * Bump allocator.  Memory is zeroed.  Never returns NULL: when the machine is
 * out of memory it prints one line and exits with status 1.  */
struct arena;
struct arena *arena_new(void);
void arena_free(struct arena *a); /* frees everything allocated from it */
void *arena_alloc(struct arena *a, size_t size);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n); /* NUL added */
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap);
#define NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define NEW_ARRAY(a, type, n) ((type *)arena_alloc((a), sizeof(type) * (n)))

/* ---- vectors ------------------------------------------------------------
 * VEC(T) declares a growable array living in an arena.
 *   VEC(struct expr *) args;  vec_push(a, &args, e);  args.v[0], args.n   */
#define VEC(type)                                                              \
  struct {                                                                     \
    type *v;                                                                   \
    u32 n, cap;                                                                \
  }
#define vec_push(a, vec, ...)                                                  \
  do {                                                                         \
    if ((vec)->n == (vec)->cap)                                                \
      (vec)->v = vec_grow((a), (vec)->v, (vec)->n, &(vec)->cap,                \
                          sizeof(*(vec)->v));                                  \
    (vec)->v[(vec)->n++] = (__VA_ARGS__);                                      \
  } while (0)
#define vec_last(vec) ((vec)->v[(vec)->n - 1])
void *vec_grow(struct arena *a, void *v, u32 n, u32 *cap, size_t elem);

/* ---- string buffer --------------------------------------------------------
 * Growable byte string on the heap; always NUL-terminated once written.  */
struct strbuf {
  char *s;
  size_t n, cap;
};
void sb_add(struct strbuf *b, const char *s, size_t n);
void sb_puts(struct strbuf *b, const char *s);
void sb_putc(struct strbuf *b, char c);
void sb_printf(struct strbuf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void sb_vprintf(struct strbuf *b, const char *fmt, va_list ap);
void sb_reset(struct strbuf *b); /* length 0, memory kept */
void sb_free(struct strbuf *b);

/* ---- string map ---------------------------------------------------------
 * Hash table from string to pointer; iteration in insertion order through
 * .keys/.vals (deleted entries have a NULL key).  Keys are not copied.  */
struct strmap {
  struct arena *a;
  const char **keys;
  void **vals;
  u32 n, cap; /* entries used in keys/vals */
  u32 *slots; /* open addressing: index + 1 */
  u32 nslots;
};
void strmap_init(struct strmap *m, struct arena *a);
void *strmap_get(const struct strmap *m, const char *key); /* NULL: absent */
void strmap_put(struct strmap *m, const char *key, void *val);
void strmap_del(struct strmap *m, const char *key);

/* ---- source text and diagnostics ------------------------------------------ */
struct src_file {
  const char *name;   /* as shown in messages: path, "<input>", "-" */
  const char *text;   /* whole text, NUL-terminated */
  size_t len;
  bool is_tapset;     /* library file: privileged constructs allowed */
};
struct loc {
  struct src_file *file; /* NULL: no place (command line, kernel) */
  u32 off;               /* byte offset of the token in file->text */
  u32 line, col;         /* from 1 */
  const struct loc *macro; /* where the macro this came from was invoked */
};

enum diag_kind { DIAG_PARSE_ERROR, DIAG_SEMANTIC_ERROR, DIAG_ERROR, DIAG_WARNING };

/* Collects messages of one compilation.  Messages are printed to `out` as they
 * come, in SystemTap's form:
 *   semantic error: unresolved function (similar: exit): identifier 'exot' at <input>:1:15
 *           source: probe begin { exot() }
 *                                 ^
 * The same message for the same place is printed once.  */
struct diag {
  struct arena *a;
  FILE *out;        /* usually stderr */
  bool color;
  bool no_warnings; /* -w */
  bool warnings_are_errors; /* -W */
  u32 nerrors, nwarnings;
  struct strmap seen;
};
void diag_init(struct diag *d, struct arena *a, FILE *out);
/* `token` may be NULL; else it is shown as in "identifier 'x' at f:1:2".
 * `what` names the token's class ("identifier", "operator", ...).  */
void diag_at(struct diag *d, enum diag_kind kind, const struct loc *loc,
             const char *what, const char *token, const char *fmt, ...)
    PRINTF_LIKE(6, 7);
void diag_msg(struct diag *d, enum diag_kind kind, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* A parse error: `saw` describes the token that was met ("operator ';'"). loc: NULL for none. */
void diag_parse(struct diag *d, const struct loc *loc, const char *msg, const char *saw);
/* Up to `max` names nearest to `name` by edit distance, nearest first, joined by
 * ", "; NULL when none is near.  */
const char *diag_similar(struct arena *a, const char *name,
                         const char *const *names, u32 nnames, u32 max);

/* ---- files ------------------------------------------------------------------
 * Reads a whole file (or pipe).  NULL and errno when it can't.  */
char *file_read(struct arena *a, const char *path, size_t *len);

#endif

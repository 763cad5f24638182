/* Index of the tapset.  The index file is text, one declaration a line:
 *   tapset-index 1
 *   F <size> <mtime in ns> <file name>     files follow each other; what they declare comes below
 *   f name / g name / a dotted.name / m name
 * It is trusted only while every file of the directory is listed with the size and time it has;
 * otherwise a scanner, which knows just enough of the language to skip strings, comments, bodies
 * and embedded code, reads the files.  */
#include "elaborate/tapset.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INDEX_HEAD "tapset-index 1\n"

struct dir_file {
  const char *name, *path;
  long long size, mtime;
};
struct dir_list {
  VEC(struct dir_file) v;
};

static bool has_suffix(const char *s, const char *suffix)
{
  size_t n = strlen(s), m = strlen(suffix);
  return n >= m && !strcmp(s + n - m, suffix);
}

static int by_name(const void *x, const void *y)
{
  return strcmp(((const struct dir_file *)x)->name, ((const struct dir_file *)y)->name);
}

/* The .stp and .stpm files of a directory, by name. */
static int list_dir(struct arena *a, const char *dir, struct dir_list *out)
{
  DIR *d = opendir(dir);
  if (!d)
    return -1;
  for (struct dirent *de; (de = readdir(d));) {
    if (de->d_name[0] == '.' ||
        !(has_suffix(de->d_name, ".stp") || has_suffix(de->d_name, ".stpm")))
      continue;
    struct dir_file f = {.name = arena_strdup(a, de->d_name),
                         .path = arena_printf(a, "%s/%s", dir, de->d_name)};
    struct stat st;
    if (stat(f.path, &st) || !S_ISREG(st.st_mode))
      continue;
    f.size = st.st_size;
    f.mtime = st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec;
    vec_push(a, &out->v, f);
  }
  closedir(d);
  if (out->v.n)
    qsort(out->v.v, out->v.n, sizeof(out->v.v[0]), by_name);
  return 0;
}

/* ---- the scanner ---------------------------------------------------------------------- */

struct scan {
  struct arena *a;
  const char *p, *end;
  void (*found)(void *arg, enum tapset_kind kind, const char *name);
  void *arg;
};

static void skip_string(struct scan *s)
{
  for (s->p++; s->p < s->end && *s->p != '"'; s->p++)
    if (*s->p == '\\' && s->p + 1 < s->end)
      s->p++;
  if (s->p < s->end)
    s->p++;
}

static void skip_to(struct scan *s, const char *text)
{
  size_t n = strlen(text);
  while (s->p < s->end && ((size_t)(s->end - s->p) < n || memcmp(s->p, text, n)))
    s->p++;
  s->p += MIN(n, (size_t)(s->end - s->p));
}

/* Steps over what means nothing between declarations: blanks, comments, strings, %{ %}. True if
 * it moved.  */
static bool skip_blank(struct scan *s)
{
  size_t left = (size_t)(s->end - s->p);
  if (!left)
    return false;
  if (isspace((u8)*s->p))
    s->p++;
  else if (*s->p == '#' || (left > 1 && s->p[0] == '/' && s->p[1] == '/'))
    skip_to(s, "\n");
  else if (left > 1 && s->p[0] == '/' && s->p[1] == '*')
    s->p += 2, skip_to(s, "*/");
  else if (*s->p == '"')
    skip_string(s);
  else if (left > 1 && s->p[0] == '%' && s->p[1] == '{')
    s->p += 2, skip_to(s, "%}");
  else
    return false;
  return true;
}

static void skip_body(struct scan *s)
{
  u32 depth = 0;
  while (s->p < s->end) {
    if (skip_blank(s))
      continue;
    char c = *s->p++;
    depth += c == '{';
    if (c == '}' && --depth == 0)
      return;
  }
}

static bool is_ident(char c)
{
  return isalnum((u8)c) || c == '_' || c == '$';
}

/* The identifier at the place, or NULL. */
static const char *word(struct scan *s)
{
  while (skip_blank(s))
    continue;
  const char *start = s->p;
  while (s->p < s->end && is_ident(*s->p))
    s->p++;
  return s->p > start ? arena_strndup(s->a, start, (size_t)(s->p - start)) : NULL;
}

static char next_char(struct scan *s)
{
  while (skip_blank(s))
    continue;
  return s->p < s->end ? *s->p : 0;
}

/* "probe" NAME {"." NAME} ("=" | "+=") … "{" … "}".  Braces in the name list are expanded by
 * the parser; for the index the text before them is enough to find the file.  */
static void scan_probe(struct scan *s)
{
  struct strbuf b = {0};
  bool alias = false;
  for (;;) {
    char c = next_char(s);
    if (!c || c == '{' || c == ',')
      break;
    if (c == '=' || c == '+') {
      alias = true;
      break;
    }
    if (c == '(') {
      skip_to(s, ")");
      sb_puts(&b, "()");
    } else {
      if (is_ident(c) || c == '.' || c == '*')
        sb_putc(&b, c);
      s->p++;
    }
  }
  s->found(s->arg, alias ? TAPSET_ALIAS : TAPSET_PROBE, b.n ? arena_strdup(s->a, b.s) : "");
  char name_end = b.n ? b.s[b.n - 1] : 0;
  sb_free(&b);
  /* A brace in the point list is not the body: the body is the first brace behind a blank or
   * parenthesis, the list's braces follow a dot or stand where a point begins.  */
  char before = name_end ? name_end : '=';
  while (s->p < s->end) {
    if (skip_blank(s))
      continue;
    if (*s->p == '{' && before != '.' && before != '=' && before != ',') {
      skip_body(s);
      return;
    }
    if (*s->p == '{')
      skip_body(s), before = '}';
    else
      before = *s->p++;
  }
}

static void scan_global(struct scan *s)
{
  for (;;) {
    const char *name = word(s);
    if (!name)
      return;
    s->found(s->arg, TAPSET_GLOBAL, name);
    char c = next_char(s);
    if (c == '%')
      s->p++, c = next_char(s);
    if (c == '[')
      skip_to(s, "]"), c = next_char(s);
    if (c == '=') {
      s->p++;
      c = next_char(s); /* a string was skipped as a blank */
      if (c == '-')
        s->p++;
      if (c == '-' || isdigit((u8)c))
        word(s);
      c = next_char(s);
    }
    if (c != ',')
      return;
    s->p++;
  }
}

static void found_nothing(void *arg, enum tapset_kind kind, const char *name)
{
  (void)arg, (void)kind, (void)name;
}

/* Private names are nobody else's: they aren't reported. */
static void scan_declaration(struct scan *s, const char *keyword, bool private)
{
  struct scan quiet = *s;
  if (private)
    quiet.found = found_nothing;
  if (!strcmp(keyword, "probe")) {
    scan_probe(&quiet);
  } else if (!strcmp(keyword, "global")) {
    scan_global(&quiet);
  } else {
    const char *name = word(&quiet);
    if (name)
      quiet.found(quiet.arg, TAPSET_FUNC, name);
  }
  s->p = quiet.p;
}

static void scan_text(struct scan *s)
{
  bool private = false;
  while (s->p < s->end) {
    if (skip_blank(s))
      continue;
    if (*s->p == '{') {
      skip_body(s);
      continue;
    }
    bool macro = *s->p == '@';
    if (macro)
      s->p++;
    const char *w = word(s);
    if (!w) {
      s->p += s->p < s->end;
      continue;
    }
    if (macro && !strcmp(w, "define")) {
      w = word(s);
      if (w)
        s->found(s->arg, TAPSET_MACRO, w);
      skip_to(s, "%(");
      for (u32 depth = 1; depth && s->p < s->end;) {
        if (skip_blank(s))
          continue;
        if (s->end - s->p > 1 && s->p[0] == '%' && s->p[1] == '(')
          depth++, s->p++;
        else if (s->end - s->p > 1 && s->p[0] == '%' && s->p[1] == ')')
          depth--, s->p++;
        s->p++;
      }
    } else if (!macro && (!strcmp(w, "function") || !strcmp(w, "probe") || !strcmp(w, "global"))) {
      scan_declaration(s, w, private);
    }
    private = !macro && !strcmp(w, "private");
  }
}

/* ---- reading and writing ----------------------------------------------------------------- */

struct adder {
  struct tapset *t;
  struct tapset_file *file;
};

static void add_entry(void *arg, enum tapset_kind kind, const char *name)
{
  struct adder *ad = arg;
  vec_push(ad->t->a, &ad->t->entries,
           (struct tapset_entry){.kind = kind, .name = name, .file = ad->file});
}

static struct tapset_file *add_file(struct tapset *t, const char *path)
{
  struct tapset_file *f = NEW(t->a, struct tapset_file);
  f->path = path;
  vec_push(t->a, &t->files, f);
  return f;
}

static void scan_file(struct tapset *t, const char *path)
{
  size_t len;
  const char *text = file_read(t->a, path, &len);
  if (!text) {
    diag_msg(t->diag, DIAG_WARNING, "tapset \"%s\" can't be read: %s", path, strerror(errno));
    return;
  }
  struct adder ad = {.t = t, .file = add_file(t, path)};
  struct scan s = {.a = t->a, .p = text, .end = text + len, .found = add_entry, .arg = &ad};
  scan_text(&s);
}

static const char kind_letters[] = "fgamp"; /* in the order of enum tapset_kind */

/* True when every listed file is as the index says, and no other is there. */
static bool read_index(struct tapset *t, const char *dir, struct dir_list *list)
{
  size_t len;
  char *text = file_read(t->a, arena_printf(t->a, "%s/index", dir), &len);
  if (!text || strncmp(text, INDEX_HEAD, strlen(INDEX_HEAD)))
    return false;
  u32 files = t->files.n, entries = t->entries.n, at = 0;
  struct adder ad = {.t = t};
  for (char *line = text + strlen(INDEX_HEAD), *next; *line; line = next) {
    next = strchr(line, '\n');
    if (!next)
      goto stale;
    *next++ = 0;
    const char *letter = strchr(kind_letters, line[0]);
    if (line[0] == 'F') {
      long long size, mtime;
      int name = 0;
      if (sscanf(line, "F %lld %lld %n", &size, &mtime, &name) < 2 || !name || at >= list->v.n)
        goto stale;
      struct dir_file *f = &list->v.v[at++];
      if (strcmp(f->name, line + name) || f->size != size || f->mtime != mtime)
        goto stale;
      ad.file = add_file(t, f->path);
    } else if (line[0] && letter && line[1] == ' ' && ad.file) {
      add_entry(&ad, (enum tapset_kind)(letter - kind_letters), line + 2);
    } else {
      goto stale;
    }
  }
  if (at == list->v.n)
    return true;
stale:
  t->files.n = files;
  t->entries.n = entries;
  return false;
}

static bool read_dir(struct tapset *t, const char *dir)
{
  struct dir_list list = {0};
  if (list_dir(t->a, dir, &list))
    return false;
  if (!read_index(t, dir, &list))
    for (u32 i = 0; i < list.v.n; i++)
      scan_file(t, list.v.v[i].path);
  return true;
}

struct writer {
  FILE *out;
};

static void write_entry(void *arg, enum tapset_kind kind, const char *name)
{
  fprintf(((struct writer *)arg)->out, "%c %s\n", kind_letters[kind], name);
}

int tapset_write_index(struct arena *a, const char *dir, FILE *out)
{
  struct dir_list list = {0};
  if (list_dir(a, dir, &list))
    return -1;
  fputs(INDEX_HEAD, out);
  for (u32 i = 0; i < list.v.n; i++) {
    struct dir_file *f = &list.v.v[i];
    size_t len;
    const char *text = file_read(a, f->path, &len);
    if (!text)
      return -1;
    fprintf(out, "F %lld %lld %s\n", f->size, f->mtime, f->name);
    struct writer w = {out};
    struct scan s = {.a = a, .p = text, .end = text + len, .found = write_entry, .arg = &w};
    scan_text(&s);
  }
  return ferror(out) ? -1 : 0;
}

const char *tapset_dir(struct arena *a)
{
  const char *env = getenv("SYSTEMTAP_TAPSET");
  if (env && *env)
    return env;
  char exe[4096];
  ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
  if (n <= 0)
    return NULL;
  exe[n] = 0;
  char *slash = strrchr(exe, '/');
  if (!slash)
    return NULL;
  *slash = 0;
  static const char *const places[] = {"../tapset", "../share/stap/tapset"};
  for (u32 i = 0; i < ARRAY_SIZE(places); i++) {
    char *dir = arena_printf(a, "%s/%s", exe, places[i]);
    char *real = realpath(dir, NULL);
    struct stat st;
    bool found = real && !stat(real, &st) && S_ISDIR(st.st_mode);
    const char *copy = found ? arena_strdup(a, real) : NULL;
    free(real);
    if (copy)
      return copy;
  }
  return NULL;
}

struct tapset *tapset_open(struct arena *a, struct diag *d, const char *arch,
                           const char *const *dirs, u32 ndirs)
{
  struct tapset *t = NEW(a, struct tapset);
  t->a = a;
  t->diag = d;
  for (u32 i = 0; i <= ndirs; i++) {
    const char *dir = i < ndirs ? dirs[i] : tapset_dir(a);
    if (!dir)
      continue;
    if (!read_dir(t, dir) && i < ndirs)
      diag_msg(d, DIAG_WARNING, "tapset directory \"%s\" can't be read: %s", dir, strerror(errno));
    if (arch)
      read_dir(t, arena_printf(a, "%s/%s", dir, arch));
  }
  return t;
}

/* ---- loading ---------------------------------------------------------------------------- */

static struct src_file *open_source(struct tapset *t, struct tapset_file *f)
{
  struct src_file *src = NEW(t->a, struct src_file);
  src->name = f->path;
  src->is_tapset = true;
  f->loaded = true;
  src->text = file_read(t->a, f->path, &src->len);
  if (!src->text) {
    diag_msg(t->diag, DIAG_ERROR, "tapset \"%s\" can't be read: %s", f->path, strerror(errno));
    return NULL;
  }
  return src;
}

void tapset_load_macros(struct tapset *t, const char *text, size_t len)
{
  for (const char *p = text, *end = text + len; (p = memchr(p, '@', (size_t)(end - p)));) {
    const char *start = ++p;
    while (p < end && is_ident(*p))
      p++;
    size_t n = (size_t)(p - start);
    for (u32 i = 0; n && i < t->entries.n; i++) {
      struct tapset_entry *en = &t->entries.v[i];
      if (en->kind != TAPSET_MACRO || en->file->loaded || !has_suffix(en->file->path, ".stpm") ||
          strncmp(en->name, start, n) || en->name[n])
        continue;
      struct src_file *src = open_source(t, en->file);
      if (!src)
        continue;
      tapset_load_macros(t, src->text, src->len);
      parse_macro_library(t->penv, src);
    }
  }
}

struct ast_file *tapset_load_file(struct tapset *t, struct tapset_file *f)
{
  if (f->loaded || has_suffix(f->path, ".stpm"))
    return NULL;
  struct src_file *src = open_source(t, f);
  if (!src)
    return NULL;
  tapset_load_macros(t, src->text, src->len);
  return parse_file(t->penv, src);
}

struct ast_file *tapset_load(struct tapset *t, enum tapset_kind kind, const char *name)
{
  for (u32 i = 0; i < t->entries.n; i++) {
    struct tapset_entry *en = &t->entries.v[i];
    if (en->kind != kind || en->file->loaded || strcmp(en->name, name))
      continue;
    struct ast_file *f = tapset_load_file(t, en->file);
    if (f)
      return f;
  }
  return NULL;
}

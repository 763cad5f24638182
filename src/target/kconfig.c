/* The running kernel's build configuration: lines CONFIG_NAME=VALUE.  Read whole the first time an
 * option is asked for; looked through line by line.  */
#include "target/target.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* gzread() hands plain files through as they are. */
static bool read_config(struct strbuf *b, const char *path)
{
  char buf[65536];
  int n;
  gzFile f = gzopen(path, "rbe");
  if (!f)
    return false;
  while ((n = gzread(f, buf, sizeof(buf))) > 0)
    sb_add(b, buf, (size_t)n);
  gzclose(f);
  if (n < 0)
    sb_reset(b);
  return b->n > 0;
}

static void load(struct target *t)
{
  const char *const places[] = {
      "/proc/config.gz",
      arena_printf(t->a, "/boot/config-%s", t->release),
      arena_printf(t->a, "/lib/modules/%s/config", t->release),
      arena_printf(t->a, "/lib/modules/%s/build/.config", t->release),
  };
  struct strbuf b = {0};
  for (u32 i = 0; i < ARRAY_SIZE(places) && !b.n; i++)
    read_config(&b, places[i]);
  t->kconfig = arena_strndup(t->a, b.s ? b.s : "", b.n);
  sb_free(&b);
}

s64 target_kconfig(struct target *t, const char *name, const char **value)
{
  size_t len = strlen(name);
  *value = NULL;
  if (!t->kconfig)
    load(t);
  if (!*t->kconfig)
    return -1;
  for (const char *line = t->kconfig; line; line = strchr(line, '\n')) {
    line += *line == '\n';
    if (!strncmp(line, name, len) && line[len] == '=') {
      const char *v = line + len + 1;
      *value = arena_strndup(t->a, v, strcspn(v, "\n"));
      return 1;
    }
  }
  return 0;
}

s64 target_hz(struct target *t)
{
  const char *value;
  s64 hz = target_kconfig(t, "CONFIG_HZ", &value) == 1 ? atoll(value) : 0;
  return hz > 0 ? hz : 250;
}

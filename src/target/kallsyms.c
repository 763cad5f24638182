/* What the kernel's symbol table says.  Reading it takes the kernel 50 ms, so it is asked only for
 * what can't be known otherwise.  A system call that the kernel is built without has its entry
 * point all the same: a weak symbol, an alias of the function that returns ENOSYS.  */
#include <string.h>

#include "target/target.h"

#define ENTRY_PREFIX "__x64_sys_"

static void read_symbols(struct target *t)
{
  struct arena *scratch = arena_new();
  size_t len;
  const char *text = file_read(scratch, "/proc/kallsyms", &len);
  strmap_init(&t->missing_calls, t->a);
  /* line = address " " type " " name [TAB "[" module "]"] */
  for (const char *p = text; p && *p;) {
    const char *end = strchr(p, '\n');
    const char *name = strchr(p, ' ');
    if (name && (name[1] == 'W' || name[1] == 'w') && name[2] == ' ' &&
        !strncmp(name + 3, ENTRY_PREFIX, strlen(ENTRY_PREFIX))) {
      name += 3 + strlen(ENTRY_PREFIX);
      strmap_put(&t->missing_calls, arena_strndup(t->a, name, strcspn(name, "\t\n")), t);
    }
    p = end ? end + 1 : NULL;
  }
  arena_free(scratch);
}

bool target_syscall_missing(struct target *t, const char *function)
{
  if (!t->missing_calls.a)
    read_symbols(t);
  return strmap_get(&t->missing_calls, function) != NULL;
}

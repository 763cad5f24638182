/* mkindex DIR: prints the index of a tapset directory, to be stored as DIR/index (see
 * elaborate/tapset.h). A program of its own: it is run when stap is built or installed.  */
#include "elaborate/tapset.h"

#include <errno.h>
#include <string.h>

int main(int argc, char **argv)
{
  if (argc != 2) {
    fputs("usage: mkindex DIR\n", stderr);
    return 2;
  }
  struct arena *a = arena_new();
  int rc = tapset_write_index(a, argv[1], stdout);
  if (rc)
    fprintf(stderr, "mkindex: %s: %s\n", argv[1], strerror(errno));
  arena_free(a);
  return rc ? 1 : 0;
}

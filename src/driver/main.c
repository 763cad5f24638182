/* stap: reads the command line, then compiles and runs the script, or lists what there is. */
#include "driver/passes.h"

int main(int argc, char **argv)
{
  struct arena *a = arena_new();
  struct options o;
  int rc = options_parse(&o, a, argc, argv);
  if (rc < 0)
    rc = o.listing == LIST_NONE ? passes_run(a, &o) : listing_run(a, &o);
  if (fflush(stdout) || ferror(stdout)) {
    fputs("ERROR: Couldn't write standard output\n", stderr);
    rc = 1;
  }
  arena_free(a);
  return rc;
}

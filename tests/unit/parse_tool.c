/* parse_tool FILE…: parses each and prints the tree; for tests of pass 1 alone. */
#include "lang/parse.h"

#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
  int bad = 0;
  for (int i = 1; i < argc; i++) {
    struct arena *a = arena_new();
    struct diag d;
    diag_init(&d, a, stderr);
    struct strmap macros;
    strmap_init(&macros, a);
    struct src_file src = {.name = argv[i]};
    src.text = file_read(a, argv[i], &src.len);
    const char *args[] = {"1", "2", "3"};
    struct parse_env env = {.a = a,
                            .diag = &d,
                            .kernel_vr = "6.1.0-1-amd64",
                            .arch = "x86_64",
                            .runtime = "bpf",
                            .compat = "5.2",
                            .guru_mode = true,
                            .macros = &macros,
                            .args = args,
                            .nargs = 3};
    struct ast_file *f = src.text ? parse_file(&env, &src) : NULL;
    struct strbuf b = {0};
    if (f) {
      ast_print_file(&b, f);
      fputs(b.s, stdout);
    } else {
      bad++;
    }
    sb_free(&b);
    arena_free(a);
  }
  return bad != 0;
}

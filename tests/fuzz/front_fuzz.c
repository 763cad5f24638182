/* Text to IR: any text must parse or be refused with a message, what parses must print as a text that parses to the same,
 * and what passes 2 and 3 accept must be IR that the checker accepts after every pass.  */
#include "driver/passes.h"
#include "elaborate/tapset.h"
#include "fuzz.h"
#include "ir/ir.h"
#include "target/target.h"

static FILE *messages; /* what a user would see */
static char *said;
static size_t said_len;
static struct options options;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  messages = open_memstream(&said, &said_len);
  if (!messages)
    return 1;
  setenv("SYSTEMTAP_TAPSET", "tapset", 0);
  options = (struct options){.compatible = STAP_VERSION, .privilege = "stapdev", .guru = true, .limits.maxstringlen = 128};
  return 0;
}

static struct ast_file *parse(struct compile *c, const char *text, size_t len)
{
  struct src_file *src = NEW(c->a, struct src_file);
  *src = (struct src_file){.name = "<input>", .text = text, .len = len};
  tapset_load_macros(c->tapset, text, len);
  struct ast_file *f = parse_file(&c->penv, src);
  if (!f && c->diag.out == messages && !ftello(messages))
    fuzz_bug("refused without a message:\n%s", text);
  return f;
}

static char *printed(struct arena *a, struct ast_file *f)
{
  struct strbuf b = {0};
  ast_print_file(&b, f);
  char *s = arena_strndup(a, b.s ? b.s : "", b.n);
  sb_free(&b);
  return s;
}

static void check_printer(struct compile *c, struct ast_file *f)
{
  char *first = printed(c->a, f);
  FILE *out = c->diag.out;
  c->diag.out = stderr;
  struct ast_file *again = parse(c, first, strlen(first));
  if (!again)
    fuzz_bug("printed text is refused:\n%s", first);
  c->diag.out = out;
  char *second = printed(c->a, again);
  if (strcmp(first, second))
    fuzz_bug("printed text prints differently:\n%s\n----\n%s", first, second);
}

static void check_ir(struct compile *c, const char *pass)
{
  struct strbuf why = {0};
  if (!ir_check(c->module, &why))
    fuzz_bug("IR after %s: %s", pass, why.s);
  ir_print(&why, c->module);
  sb_free(&why);
}

static void translate(struct compile *c)
{
  static const struct {
    const char *name;
    void (*run)(struct ir_module *m);
  } passes[] = {{"inline", ir_pass_inline}, {"simplify", ir_pass_simplify}, {"strlen", ir_pass_strlen}, {"locks", ir_pass_locks}};
  c->module = ir_build(c->a, c->program, &c->diag);
  if (!c->module || c->diag.nerrors)
    return;
  c->module->maxstringlen = (u32)options.limits.maxstringlen;
  ir_cut_literals(c->module);
  c->module->maxmapentries = 2048;
  check_ir(c, "build");
  for (u32 i = 0; i < ARRAY_SIZE(passes); i++) {
    passes[i].run(c->module);
    check_ir(c, passes[i].name);
  }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
  struct arena *a = arena_new();
  struct compile c;
  options.runtime = size & 1 ? RUNTIME_USER : RUNTIME_BPF;
  rewind(messages);
  compile_start(&c, a, &options, messages);
  c.ast = parse(&c, arena_strndup(a, (const char *)data, size), size);
  if (c.ast) {
    check_printer(&c, c.ast);
    c.program = elaborate(&c.elab, c.ast);
    if (!c.program && !c.diag.nerrors)
      fuzz_bug("pass 2 fails without a message");
    if (c.program && !c.diag.nerrors)
      translate(&c);
  }
  compile_end(&c);
  arena_free(a);
  return 0;
}

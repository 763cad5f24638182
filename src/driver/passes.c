/* The five passes, each one a function that takes the compilation one step on:
 *
 *   1  parse       script text          to syntax tree
 *   2  elaborate   syntax tree          to program: names, types, probes resolved
 *   3  translate   program              to IR, and the IR's own passes
 *   4  compile     IR                   to programs that an executor has loaded
 *   5  run                                                                              */
#include "driver/passes.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bpf/bpf.h"
#include "elaborate/tapset.h"
#include "runtime/format.h"
#include "target/target.h"

/* ---- pass 1 ------------------------------------------------------------------------- */

static const char *kernel_config(void *arg, const char *name)
{
  const char *value = NULL;
  target_kconfig(arg, name, &value);
  return value;
}

/* That of -m, or one of its own, as SystemTap makes them: stap_[0-9a-f]+_[0-9a-f]+. */
static const char *module_name(struct arena *a, const struct options *o)
{
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return o->module_name
             ? o->module_name
             : arena_printf(a, "stap_%llx_%x", (unsigned long long)t.tv_sec << 30 | (u32)t.tv_nsec,
                            (u32)getpid());
}

void compile_start(struct compile *c, struct arena *a, struct options *o, FILE *messages)
{
  static const char *const runtimes[] = {[RUNTIME_BPF] = "bpf", [RUNTIME_USER] = "user"};
  struct utsname u;
  uname(&u);
  *c = (struct compile){.a = a, .o = o};
  diag_init(&c->diag, a, messages);
  c->diag.color = o->color;
  c->diag.no_warnings = o->no_warnings;
  c->diag.warnings_are_errors = o->warnings_are_errors;
  c->target = target_new(a);
  c->penv = (struct parse_env){
      .a = a,
      .diag = &c->diag,
      .kernel_vr = arena_strdup(a, u.release),
      .arch = arena_strdup(a, u.machine),
      .runtime = runtimes[o->runtime],
      .compat = o->compatible,
      .privilege = o->privilege,
      .guru_mode = o->guru,
      .config = kernel_config,
      .config_arg = c->target,
      .args = o->args.v,
      .nargs = o->args.n,
      .args_used = NEW_ARRAY(a, bool, o->args.n + 1),
      .macros = NEW(a, struct strmap),
  };
  strmap_init(c->penv.macros, a);
  c->tapset = tapset_open(a, &c->diag, c->penv.arch, o->tapsets.v, o->tapsets.n);
  if (c->tapset)
    c->tapset->penv = &c->penv;
  c->elab = (struct elab){
      .a = a,
      .diag = &c->diag,
      .penv = &c->penv,
      .tapset = c->tapset,
      .target = c->target,
      .guru = o->guru,
      .unoptimized = o->unoptimized,
      .user_runtime = o->runtime == RUNTIME_USER,
      .runtime = c->penv.runtime,
      .target_pid = o->run.target_pid,
      .maxstringlen = (u32)o->limits.maxstringlen,
      .module_name = module_name(a, o),
  };
}

void compile_end(struct compile *c)
{
  target_free(c->target);
}

static struct ast_file *parse_text(struct compile *c, const char *name, char *text, size_t len)
{
  struct src_file *src = NEW(c->a, struct src_file);
  *src = (struct src_file){.name = name, .text = text, .len = len};
  if (c->tapset)
    tapset_load_macros(c->tapset, text, len);
  return parse_file(&c->penv, src);
}

static struct ast_file *parse_script(struct compile *c)
{
  const struct options *o = c->o;
  if (o->script)
    return parse_text(c, "<input>", arena_strdup(c->a, o->script), strlen(o->script));
  bool is_stdin = !strcmp(o->file, "-");
  size_t len;
  char *text = file_read(c->a, is_stdin ? "/dev/stdin" : o->file, &len);
  if (!text) {
    if (errno == ENOENT)
      fprintf(c->diag.out, "Input file '%s' is missing.\n", o->file);
    else
      fprintf(c->diag.out, "Input file '%s' can't be read: %s.\n", o->file, strerror(errno));
    return NULL;
  }
  if (!len) {
    fprintf(c->diag.out, "Input file '%s' is empty.\n", o->file);
    return NULL;
  }
  return parse_text(c, is_stdin ? "<input>" : o->file, text, len);
}

static bool pass_parse(struct compile *c)
{
  c->ast = parse_script(c);
  for (u32 i = 0; i < c->o->extra.n; i++) {
    const char *text = c->o->extra.v[i];
    struct ast_file *f = parse_text(c, arena_printf(c->a, "<input%u>", i + 1),
                                    arena_strdup(c->a, text), strlen(text));
    vec_push(c->a, &c->extra_asts, f);
    if (!f)
      c->ast = NULL;
  }
  if (c->diag.nerrors)
    fprintf(c->diag.out, "\n%u parse error%s.\n", c->diag.nerrors, c->diag.nerrors == 1 ? "" : "s");
  return c->ast && !c->diag.nerrors;
}

static void print_parse(struct compile *c, struct strbuf *b)
{
  sb_puts(b, "# parse tree dump\n");
  ast_print_file(b, c->ast);
  for (u32 i = 0; i < c->extra_asts.n; i++)
    ast_print_file(b, c->extra_asts.v[i]);
}

static void report_parse(struct compile *c, struct strbuf *b)
{
  u32 loaded = 0; /* so far: for their macros */
  for (u32 i = 0; c->tapset && i < c->tapset->files.n; i++)
    loaded += c->tapset->files.v[i]->loaded;
  sb_printf(b, "parsed user script and %u library script%s", loaded, loaded == 1 ? "" : "s");
}

/* ---- pass 2 --------------------------------------------------------------------------- */

/* -E scripts run as if they were part of the main one. */
static void merge_extra(struct compile *c)
{
#define APPEND(field)                                                                              \
  for (u32 k = 0; k < f->field.n; k++)                                                             \
  vec_push(c->a, &c->ast->field, f->field.v[k])
  for (u32 i = 0; i < c->extra_asts.n; i++) {
    struct ast_file *f = c->extra_asts.v[i];
    APPEND(globals);
    APPEND(funcs);
    APPEND(probes);
    APPEND(aliases);
    APPEND(embeds);
  }
#undef APPEND
}

/* -G: replaces a global's initial value; its type says how the text is read. */
static bool set_global(struct compile *c, const struct global_setting *g)
{
  for (u32 i = 0; i < c->ast->globals.n; i++) {
    struct global_decl *d = c->ast->globals.v[i];
    if (strcmp(d->name, g->name))
      continue;
    char *end;
    errno = 0;
    long long n = strtoll(g->value, &end, 0);
    bool is_number = *g->value && !*end && !errno && !(d->init && d->init->kind == E_STR);
    if (!is_number && d->init && d->init->kind == E_NUM) {
      diag_msg(&c->diag, DIAG_ERROR, "-G %s: '%s' is no number", g->name, g->value);
      return false;
    }
    d->init = expr_new(c->a, is_number ? E_NUM : E_STR, &d->loc);
    d->init->num = n;
    d->init->str = g->value;
    d->init->len = (u32)strlen(g->value);
    return true;
  }
  diag_msg(&c->diag, DIAG_ERROR, "-G %s: the script has no such global", g->name);
  return false;
}

static void warn_unused_args(struct compile *c)
{
  for (u32 i = 0; i < c->penv.nargs; i++)
    if (!c->penv.args_used[i])
      diag_msg(&c->diag, DIAG_WARNING, "unused command line option $%u/@%u", i + 1, i + 1);
}

static bool pass_elaborate(struct compile *c)
{
  merge_extra(c);
  for (u32 i = 0; i < c->o->globals.n; i++)
    if (!set_global(c, &c->o->globals.v[i]))
      return false;
  c->program = elaborate(&c->elab, c->ast);
  if (c->program)
    warn_unused_args(c);
  return c->program && !c->diag.nerrors;
}

static void print_elaborate(struct compile *c, struct strbuf *b)
{
  program_print(b, c->program);
}

static void count(struct strbuf *b, u32 n, const char *noun)
{
  sb_printf(b, "%u %s%s", n, noun, n == 1 ? "" : "s");
}

static void report_elaborate(struct compile *c, struct strbuf *b)
{
  sb_puts(b, "analyzed script: ");
  count(b, c->program->probes.n, "probe");
  sb_puts(b, ", ");
  count(b, c->program->funcs.n, "function");
  sb_puts(b, ", ");
  count(b, c->ast->embeds.n, "embed");
  sb_puts(b, ", ");
  count(b, c->program->globals.n, "global");
}

/* ---- pass 3 ------------------------------------------------------------------------------ */

static const struct ir_pass {
  const char *name;
  void (*run)(struct ir_module *m);
  bool optimizes; /* left out by -u */
} ir_passes[] = {
    {"inline", ir_pass_inline, true},     {"budget", ir_pass_budget, true},
    {"simplify", ir_pass_simplify, true}, {"strlen", ir_pass_strlen, false},
    {"locks", ir_pass_locks, false},      {"merge", ir_pass_merge, true},
};

static bool known_dump(const char *name)
{
  for (u32 i = 0; i < ARRAY_SIZE(ir_passes); i++)
    if (!strcmp(name, ir_passes[i].name))
      return true;
  return !strcmp(name, "build") || !strcmp(name, "ir") || !strcmp(name, "bpf");
}

static void apply_limits(struct ir_module *m, const struct options *o)
{
  m->maxstringlen = (u32)o->limits.maxstringlen;
  m->maxaction = (u32)o->limits.maxaction;
  m->maxaction_interruptible = (u32)o->limits.maxaction_interruptible;
  m->maxnesting = (u32)o->limits.maxnesting;
  m->maxtrylock = (u32)o->limits.maxtrylock;
  m->maxmapentries = (u32)o->limits.maxmapentries;
  m->no_budget = o->suppress_time_limits;
  for (u32 i = 0; i < m->globals.n; i++)
    if (m->globals.v[i]->nkeys && !m->globals.v[i]->maxentries)
      m->globals.v[i]->maxentries = m->maxmapentries;
  ir_cut_literals(m);
  hist_set_style((u32)o->limits.hist_width, (s32)o->limits.hist_elision);
}

/* After each pass: --dump's text, and the checker where it is wanted. */
static bool after_pass(struct compile *c, const char *name)
{
  const char *dump = c->o->dump;
#ifndef __SANITIZE_ADDRESS__
  if (!dump)
    return true;
#endif
  struct strbuf b = {0};
  bool ok = ir_check(c->module, &b);
  if (!ok)
    diag_msg(&c->diag, DIAG_ERROR, "internal error: IR after %s: %s", name, b.s);
  sb_reset(&b);
  if (dump && !strcmp(dump, name)) {
    ir_print(&b, c->module);
    fwrite(b.s, 1, b.n, stdout);
  }
  sb_free(&b);
  return ok;
}

static bool pass_translate(struct compile *c)
{
  c->module = ir_build(c->a, c->program, &c->diag);
  if (!c->module || c->diag.nerrors)
    return false;
  apply_limits(c->module, c->o);
  if (!after_pass(c, "build"))
    return false;
  for (u32 i = 0; i < ARRAY_SIZE(ir_passes); i++) {
    if (ir_passes[i].optimizes && c->o->unoptimized)
      continue;
    ir_passes[i].run(c->module);
    if (!after_pass(c, ir_passes[i].name))
      return false;
  }
  return after_pass(c, "ir");
}

static void print_translate(struct compile *c, struct strbuf *b)
{
  ir_print(b, c->module);
}

static void report_translate(struct compile *c, struct strbuf *b)
{
  u32 n = 0;
  for (u32 i = 0; i < c->module->probes.n; i++)
    n += c->module->probes.v[i]->same ? 0 : c->module->probes.v[i]->handler->blocks.n;
  for (u32 i = 0; i < c->module->fns.n; i++)
    n += c->module->fns.v[i]->blocks.n;
  sb_printf(b, "translated to IR of %u block%s", n, n == 1 ? "" : "s");
}

/* ---- pass 4 -------------------------------------------------------------------------------- */

/* Names the capabilities that the BPF runtime lacks; false: it has all. */
static bool missing_capabilities(struct strbuf *b)
{
  static const struct {
    int cap;
    const char *name;
  } needed[] = {{CAP_BPF, "CAP_BPF"}, {CAP_PERFMON, "CAP_PERFMON"}};
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {0};
  if (syscall(SYS_capget, &head, data))
    return false;
  u64 have = data[0].effective | (u64)data[1].effective << 32;
  if (have >> CAP_SYS_ADMIN & 1)
    return false;
  for (u32 i = 0; i < ARRAY_SIZE(needed); i++)
    if (!(have >> needed[i].cap & 1))
      sb_printf(b, "%s%s", b->n ? " and " : "", needed[i].name);
  return b->n != 0;
}

static bool allowed(struct compile *c)
{
  struct strbuf b = {0};
  bool missing = c->o->runtime == RUNTIME_BPF && missing_capabilities(&b);
  if (missing)
    diag_msg(&c->diag, DIAG_ERROR,
             "Running probes in the kernel needs privileges: %s missing. Run stap as root; "
             "scripts of begin, end, error and timer probes run for any user with --runtime=user.",
             b.s);
  sb_free(&b);
  return !missing;
}

static bool dump_bpf(struct compile *c)
{
  struct bpf_image *img = bpf_gen(c->a, c->module, &c->o->run, &c->diag);
  if (!img)
    return false;
  struct strbuf b = {0};
  for (u32 i = 0; i < img->units.n; i++)
    bpf_print_unit(&b, img->units.v[i]);
  fwrite(b.s, 1, b.n, stdout);
  sb_free(&b);
  return true;
}

static bool pass_compile(struct compile *c)
{
  if (c->o->dump)
    return dump_bpf(c);
  if (!allowed(c))
    return false;
  struct executor *x =
      c->o->runtime == RUNTIME_USER ? user_executor_new(c->a) : bpf_executor_new(c->a);
  c->session = session_load(c->a, c->module, x, &c->o->run, &c->diag);
  return c->session != NULL;
}

static void report_compile(struct compile *c, struct strbuf *b)
{
  sb_puts(b, c->o->runtime == RUNTIME_USER ? "loaded into the interpreter"
                                           : "compiled to BPF and loaded into the kernel");
}

/* ---- pass 5 ---------------------------------------------------------------------------------- */

/* -F: the run goes on in a process of its own, whose id is printed. */
static void go_background(void)
{
  pid_t pid = fork();
  if (pid < 0) {
    fprintf(stderr, "ERROR: Couldn't fork: %s\n", strerror(errno));
    exit(1);
  }
  if (pid > 0) {
    printf("%d\n", (int)pid);
    fflush(stdout);
    _exit(0);
  }
  setsid();
  if (!freopen("/dev/null", "r", stdin) || !freopen("/dev/null", "w", stdout))
    exit(1);
}

static bool pass_run(struct compile *c)
{
  if (c->o->verbose[5])
    fputs("Pass 5: starting run.\n", c->diag.out);
  if (c->o->background)
    go_background();
  int status = session_run(c->session);
  return status == 0;
}

static void report_run(struct compile *c, struct strbuf *b)
{
  (void)c;
  sb_puts(b, "run completed");
}

/* ---- all of them -------------------------------------------------------------------------------
 */

static const struct pass {
  bool (*run)(struct compile *c);                      /* false: errors were reported */
  void (*report)(struct compile *c, struct strbuf *b); /* -v */
  void (*print)(struct compile *c, struct strbuf *b);  /* -p; NULL: nothing */
  const char *failed;
  bool memory; /* report memory too */
} passes[] = {
    {pass_parse, report_parse, print_parse, "parse failed", true},
    {pass_elaborate, report_elaborate, print_elaborate, "analysis failed", true},
    {pass_translate, report_translate, print_translate, "translation failed", true},
    {pass_compile, report_compile, NULL, "compilation failed", false},
    {pass_run, report_run, NULL, "run failed", false},
};

/* Process time and wall time, in ms. */
struct clocks {
  long usr, sys, real;
};

static struct clocks clocks_now(void)
{
  struct rusage r, k;
  struct timeval t;
  getrusage(RUSAGE_SELF, &r);
  getrusage(RUSAGE_CHILDREN, &k);
  gettimeofday(&t, NULL);
  return (struct clocks){
      .usr = (r.ru_utime.tv_sec + k.ru_utime.tv_sec) * 1000 +
             (r.ru_utime.tv_usec + k.ru_utime.tv_usec) / 1000,
      .sys = (r.ru_stime.tv_sec + k.ru_stime.tv_sec) * 1000 +
             (r.ru_stime.tv_usec + k.ru_stime.tv_usec) / 1000,
      .real = t.tv_sec * 1000 + t.tv_usec / 1000,
  };
}

/* " using 1virt/1res/1shr/1data kb" */
static void put_memory(struct strbuf *b)
{
  long size, resident, shared, text, lib, data, kb = sysconf(_SC_PAGESIZE) / 1024;
  FILE *f = fopen("/proc/self/statm", "r");
  if (!f)
    return;
  if (fscanf(f, "%ld %ld %ld %ld %ld %ld", &size, &resident, &shared, &text, &lib, &data) == 6)
    sb_printf(b, " using %ldvirt/%ldres/%ldshr/%lddata kb,", size * kb, resident * kb, shared * kb,
              data * kb);
  fclose(f);
}

static void report(struct compile *c, u32 number, const struct pass *p, struct clocks from)
{
  struct clocks now = clocks_now();
  struct strbuf b = {0};
  sb_printf(&b, "Pass %u: ", number);
  p->report(c, &b);
  if (p->memory)
    put_memory(&b);
  sb_printf(&b, " in %ldusr/%ldsys/%ldreal ms.\n", now.usr - from.usr, now.sys - from.sys,
            now.real - from.real);
  fputs(b.s, c->diag.out);
  sb_free(&b);
}

static void print_result(struct compile *c, const struct pass *p)
{
  if (!p->print || c->o->dump)
    return;
  struct strbuf b = {0};
  p->print(c, &b);
  fwrite(b.s, 1, b.n, stdout);
  sb_free(&b);
}

/* True when the pass succeeded. */
static bool run_pass(struct compile *c, u32 number)
{
  const struct pass *p = &passes[number - 1];
  struct clocks from = clocks_now();
  bool ok = p->run(c);
  fflush(stdout);
  if (!ok)
    fprintf(c->diag.out, "Pass %u: %s.\n", number, p->failed);
  else if (c->o->verbose[number])
    report(c, number, p, from);
  return ok;
}

int passes_run(struct arena *a, struct options *o)
{
  struct compile c;
  if (o->dump && !known_dump(o->dump)) {
    fprintf(stderr,
            "ERROR: --dump=%s: no such pass; there are build, inline, budget, "
            "simplify, strlen, locks, merge, ir and bpf.\n",
            o->dump);
    return 1;
  }
  if (o->dump) /* whatever -p says */
    o->last_pass = strcmp(o->dump, "bpf") ? 3 : 4;
  compile_start(&c, a, o, stderr);
  u32 number = 1;
  bool ok = true;
  for (; ok && number <= o->last_pass; number++)
    ok = run_pass(&c, number);
  if (ok)
    print_result(&c, &passes[o->last_pass - 1]);
  if (c.session)
    session_free(c.session);
  compile_end(&c);
  return ok ? 0 : 1;
}

/* Parsing the command line: getopt_long over one table of options, then the checks that need
 * several of them.  Messages are SystemTap's own.  */
#include "driver/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <wordexp.h>

#include "runtime/rt.h"

static const char short_options[] = "hVp:vkgPuwWtbFis:I:D:B:G:R:r:a:m:d:o:c:x:e:E:l:L:S:T:q";

enum {
  OPT_VP = 256,
  OPT_RUNTIME,
  OPT_BPF,
  OPT_DYNINST,
  OPT_COMPATIBLE,
  OPT_NO_GLOBALS,
  OPT_DUMP_TYPES,
  OPT_DUMP_ALIASES,
  OPT_DUMP_FUNCTIONS,
  OPT_DUMP,
  OPT_SUPPRESS_ERRORS,
  OPT_SUPPRESS_LIMITS,
  OPT_COLOR,
  OPT_PRIVILEGE,
  OPT_UNPRIVILEGED,
  OPT_RLIMIT_AS,
  OPT_RLIMIT_CPU,
  OPT_RLIMIT_NPROC,
  OPT_RLIMIT_STACK,
  OPT_RLIMIT_FSIZE,
  OPT_PROLOGUE,
  OPT_NO_EFFECT, /* something that this implementation does not need */
  OPT_MISSING,   /* something that it does not have */
};

static const struct option long_options[] = {
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {"vp", required_argument, NULL, OPT_VP},
    {"runtime", required_argument, NULL, OPT_RUNTIME},
    {"bpf", no_argument, NULL, OPT_BPF},
    {"dyninst", no_argument, NULL, OPT_DYNINST},
    {"compatible", required_argument, NULL, OPT_COMPATIBLE},
    {"no-global-var-display", no_argument, NULL, OPT_NO_GLOBALS},
    {"dump-probe-types", no_argument, NULL, OPT_DUMP_TYPES},
    {"dump-probe-aliases", no_argument, NULL, OPT_DUMP_ALIASES},
    {"dump-functions", no_argument, NULL, OPT_DUMP_FUNCTIONS},
    {"dump", required_argument, NULL, OPT_DUMP},
    {"suppress-handler-errors", no_argument, NULL, OPT_SUPPRESS_ERRORS},
    {"suppress-time-limits", no_argument, NULL, OPT_SUPPRESS_LIMITS},
    {"color", optional_argument, NULL, OPT_COLOR},
    {"colour", optional_argument, NULL, OPT_COLOR},
    {"privilege", required_argument, NULL, OPT_PRIVILEGE},
    {"unprivileged", no_argument, NULL, OPT_UNPRIVILEGED},
    {"rlimit-as", required_argument, NULL, OPT_RLIMIT_AS},
    {"rlimit-cpu", required_argument, NULL, OPT_RLIMIT_CPU},
    {"rlimit-nproc", required_argument, NULL, OPT_RLIMIT_NPROC},
    {"rlimit-stack", required_argument, NULL, OPT_RLIMIT_STACK},
    {"rlimit-fsize", required_argument, NULL, OPT_RLIMIT_FSIZE},
    {"prologue-searching", optional_argument, NULL, OPT_PROLOGUE},
    {"disable-cache", no_argument, NULL, OPT_NO_EFFECT},
    {"poison-cache", no_argument, NULL, OPT_NO_EFFECT},
    {"clean-cache", no_argument, NULL, OPT_NO_EFFECT},
    {"check-version", no_argument, NULL, OPT_NO_EFFECT},
    {"ldd", no_argument, NULL, OPT_NO_EFFECT},
    {"all-modules", no_argument, NULL, OPT_NO_EFFECT},
    {"save-uprobes", no_argument, NULL, OPT_NO_EFFECT},
    {"tmpdir", required_argument, NULL, OPT_NO_EFFECT},
    {"download-debuginfo", optional_argument, NULL, OPT_NO_EFFECT},
    {"modinfo", required_argument, NULL, OPT_NO_EFFECT},
    {"sign-module", optional_argument, NULL, OPT_NO_EFFECT},
    {"use-server-on-error", optional_argument, NULL, OPT_NO_EFFECT},
    {"skip-badvars", no_argument, NULL, OPT_MISSING},
    {"interactive", no_argument, NULL, OPT_MISSING},
    {"monitor", optional_argument, NULL, OPT_MISSING},
    {"example", no_argument, NULL, OPT_MISSING},
    {"remote", required_argument, NULL, OPT_MISSING},
    {"remote-prefix", no_argument, NULL, OPT_MISSING},
    {"use-server", optional_argument, NULL, OPT_MISSING},
    {"list-servers", optional_argument, NULL, OPT_MISSING},
    {"trust-servers", optional_argument, NULL, OPT_MISSING},
    {"sysroot", required_argument, NULL, OPT_MISSING},
    {"sysenv", required_argument, NULL, OPT_MISSING},
    {"target-namespaces", required_argument, NULL, OPT_MISSING},
    {"target-namespace", required_argument, NULL, OPT_MISSING},
    {NULL, 0, NULL, 0},
};

static const char help[] =
    "Usage: stap [options] FILE                    Run script in file.\n"
    "   or: stap [options] -                       Run script on stdin.\n"
    "   or: stap [options] -e SCRIPT               Run given script.\n"
    "   or: stap [options] -l PROBE                List matching probes.\n"
    "   or: stap [options] -L PROBE                List matching probes and local variables.\n"
    "   or: stap [options] --dump-probe-types      List available probe types.\n"
    "   or: stap [options] --dump-probe-aliases    List available probe aliases.\n"
    "   or: stap [options] --dump-functions        List available functions.\n"
    "\n"
    "Options (in $SYSTEMTAP_DIR/rc and on command line):\n"
    "   --         end of translator options, script options follow\n"
    "   -h --help  show help\n"
    "   -V --version\n"
    "              show version\n"
    "   -p NUM     stop after pass NUM 1-5, instead of 5\n"
    "              (parse, elaborate, translate, compile, run)\n"
    "   -v         add verbosity to all passes\n"
    "   --vp {N}+  add per-pass verbosity [00000]\n"
    "   -u         unoptimized translation\n"
    "   -w         suppress warnings\n"
    "   -W         turn warnings into errors\n"
    "   -g         guru mode\n"
    "   -s NUM     buffer size in megabytes\n"
    "   -I DIR     look in DIR for additional .stp script files\n"
    "   -D NM=VAL  set a limit such as MAXACTION\n"
    "   -G VAR=VAL set global variable to value\n"
    "   -m MODULE  set the session's name\n"
    "   -o FILE    send script output to file, instead of stdout. This supports\n"
    "              strftime(3) formats for FILE\n"
    "   -E SCRIPT  run the SCRIPT in addition to the main script specified\n"
    "              through -e or a script file\n"
    "   -c CMD     start the probes, run CMD, and exit when it finishes\n"
    "   -x PID     sets target() to PID\n"
    "   -F         run in the background, with -o\n"
    "   -S size[,n] set maximum of the size and the number of files\n"
    "   -t         collect probe timing information\n"
    "   -T TIME    terminate the script after TIME seconds\n"
    "   --runtime=MODE\n"
    "              set the pass-5 runtime mode: bpf (in the kernel, the default)\n"
    "              or user (begin, end, error and timer probes, unprivileged)\n"
    "   --bpf      shorthand for --runtime=bpf\n"
    "   --privilege=PRIVILEGE_LEVEL\n"
    "              what systemtap_privilege says: stapusr, stapsys or stapdev\n"
    "   --unprivileged\n"
    "              equivalent to --privilege=stapusr\n"
    "   --compatible=VERSION\n"
    "              suppress incompatible language/tapset changes beyond VERSION,\n"
    "              instead of " STAP_VERSION "\n"
    "   --suppress-handler-errors\n"
    "              catch all runtime errors, quietly skip probe handlers\n"
    "   --suppress-time-limits\n"
    "              disable the MAXACTION limit; needs -g\n"
    "   --no-global-var-display\n"
    "              do not show unread globals at the end\n"
    "   --color[=WHEN]\n"
    "              color messages: never, always or auto\n"
    "   --dump=PASS\n"
    "              print the intermediate code after PASS: build, inline, budget,\n"
    "              simplify, strlen, locks (or ir: all passes), or the BPF code: bpf\n";

/* ---- small parsers ------------------------------------------------------------------ */

static int usage_error(void)
{
  fputs("Try '--help' for more information. [man stap]\n", stderr);
  return 1;
}

/* A whole decimal number within limits. */
static bool number(const char *s, s64 min, s64 max, s64 *out)
{
  char *end;
  errno = 0;
  long long n = strtoll(s, &end, 10);
  if (!*s || isspace((unsigned char)*s) || *end || errno || n < min || n > max)
    return false;
  *out = n;
  return true;
}

static bool is_word_char(char c)
{
  return isalnum((unsigned char)c) || c == '_';
}

/* name, or name=value where value is -?[A-Za-z0-9_]+ */
static bool safe_define(const char *s)
{
  if (!isalpha((unsigned char)*s) && *s != '_')
    return false;
  while (is_word_char(*s))
    s++;
  if (!*s)
    return true;
  if (*s++ != '=')
    return false;
  if (*s == '-')
    s++;
  if (!*s)
    return false;
  while (is_word_char(*s))
    s++;
  return !*s;
}

static int mismatch(const char *option, const char *arg, const char *pattern)
{
  fprintf(stderr, "ERROR: Safety pattern mismatch for %s parameter ('%s' vs. '%s')\n", option, arg,
          pattern);
  return 1;
}

/* ---- single options; 0 or the exit status -------------------------------------------- */

static const struct limit {
  const char *name;
  size_t offset;
  s64 def, min, max;
} limit_table[] = {
    {"MAXACTION", offsetof(struct limits, maxaction), 1000, 1, INT32_MAX},
    {"MAXACTION_INTERRUPTIBLE", offsetof(struct limits, maxaction_interruptible), -1, 1, INT32_MAX},
    {"MAXSTRINGLEN", offsetof(struct limits, maxstringlen), 512, 1, RT_MAX_STRING},
    {"MAXMAPENTRIES", offsetof(struct limits, maxmapentries), 2048, 1, 1 << 26},
    {"MAXNESTING", offsetof(struct limits, maxnesting), 10, 1, 1000},
    {"MAXTRYLOCK", offsetof(struct limits, maxtrylock), 1000, 1, INT32_MAX},
    {"MAXERRORS", offsetof(struct limits, maxerrors), 0, 0, INT32_MAX},
    {"MAXSKIPPED", offsetof(struct limits, maxskipped), 100, 0, INT32_MAX},
    {"HIST_WIDTH", offsetof(struct limits, hist_width), 50, 1, 1000},
    {"HIST_ELISION", offsetof(struct limits, hist_elision), 2, -1000000, 1000000},
};

static s64 *limit_field(struct limits *l, const struct limit *which)
{
  return (s64 *)((char *)l + which->offset);
}

/* -D: a limit of ours; other names are macros of the kernel runtime's C, which nobody reads. */
static int set_define(struct options *o, const char *arg)
{
  if (!safe_define(arg))
    return mismatch("-D", arg, "^[a-z_][a-z_0-9]*(=-?[a-z_0-9]+)?$");
  size_t len = strcspn(arg, "=");
  for (u32 i = 0; i < ARRAY_SIZE(limit_table); i++) {
    const struct limit *l = &limit_table[i];
    if (strlen(l->name) != len || strncmp(l->name, arg, len))
      continue;
    if (arg[len] != '=' || !number(arg + len + 1, l->min, l->max, limit_field(&o->limits, l))) {
      fprintf(stderr, "ERROR: Invalid value for -D %s: %s should be a number from %lld to %lld.\n",
              arg, l->name, (long long)l->min, (long long)l->max);
      return 1;
    }
  }
  return 0;
}

static int set_global(struct options *o, struct arena *a, const char *arg)
{
  const char *eq = strchr(arg, '=');
  if (!eq || eq == arg) {
    fprintf(stderr, "ERROR: -G expects NAME=VALUE, not '%s'.\n", arg);
    return 1;
  }
  for (const char *p = arg; p < eq; p++)
    if (!is_word_char(*p))
      return mismatch("-G", arg, "^[a-z_][a-z_0-9]*=.+$");
  struct global_setting g = {arena_strndup(a, arg, (size_t)(eq - arg)), eq + 1};
  vec_push(a, &o->globals, g);
  return 0;
}

/* -S size[,n] */
static int set_rotation(struct options *o, const char *arg)
{
  char *end;
  errno = 0;
  unsigned long size = strtoul(arg, &end, 10), n = 0;
  bool ok = isdigit((unsigned char)*arg);
  if (*end == ',' && isdigit((unsigned char)end[1]))
    n = strtoul(end + 1, &end, 10);
  if (!ok || *end)
    return mismatch("-S", arg, "^[0-9]+(,[0-9]+)?$");
  if (errno || size == 0 || size > 1 << 20 || n > 1 << 20) {
    fprintf(stderr, "Invalid file size or number of files for -S: %s.\n", arg);
    return 1;
  }
  o->run.rotate_mb = (u32)size;
  o->run.rotate_n = (u32)n;
  return 0;
}

static int set_verbosity(struct options *o, const char *arg)
{
  for (u32 i = 0; arg[i]; i++) {
    if (i >= 5 || !isdigit((unsigned char)arg[i])) {
      fprintf(stderr, "Invalid --vp argument: it takes 1 to 5 digits.\n");
      return 1;
    }
    o->verbose[i + 1] += (u32)(arg[i] - '0');
  }
  return 0;
}

static int set_runtime(struct options *o, const char *arg)
{
  if (!strcmp(arg, "bpf")) {
    o->runtime = RUNTIME_BPF;
  } else if (!strcmp(arg, "user")) {
    o->runtime = RUNTIME_USER;
  } else if (!strcmp(arg, "kernel") || !strcmp(arg, "dyninst")) {
    fprintf(stderr,
            "ERROR: --runtime=%s is not available yet; there are bpf (the default) and "
            "user.\n",
            arg);
    return 1;
  } else {
    fprintf(stderr, "ERROR: %s is an invalid argument for --runtime\n", arg);
    return 1;
  }
  return 0;
}

static int set_compatible(struct options *o, const char *arg)
{
  if (strverscmp(arg, STAP_VERSION) > 0) {
    fprintf(stderr, "ERROR: systemtap version %s cannot be compatible with future version %s\n",
            STAP_VERSION, arg);
    return 1;
  }
  if (!isdigit((unsigned char)*arg)) {
    fprintf(stderr, "ERROR: Invalid version '%s' for --compatible.\n", arg);
    return 1;
  }
  o->compatible = arg;
  return 0;
}

static int set_color(struct options *o, const char *arg)
{
  const char *colors = getenv("SYSTEMTAP_COLORS");
  bool wanted = !colors || *colors;
  if (!arg || !strcmp(arg, "always")) {
    o->color = wanted;
  } else if (!strcmp(arg, "never")) {
    o->color = false;
  } else if (!strcmp(arg, "auto")) {
    const char *term = getenv("TERM");
    o->color = wanted && isatty(STDERR_FILENO) && term && strcmp(term, "dumb");
  } else {
    fprintf(stderr, "Invalid argument '%s' for --color.\n", arg);
    return 1;
  }
  return 0;
}

static int set_privilege(struct options *o, const char *arg)
{
  static const char *const levels[] = {"stapusr", "stapsys", "stapdev"};
  for (u32 i = 0; i < ARRAY_SIZE(levels); i++)
    if (!strcmp(arg, levels[i])) {
      o->privilege = levels[i];
      return 0;
    }
  fprintf(stderr, "Invalid argument '%s' for --privilege.\n", arg);
  return 1;
}

static int set_rlimit(int code, const char *arg)
{
  static const struct {
    int resource;
    const char *name;
  } limits[] = {
      {RLIMIT_AS, "as"},       {RLIMIT_CPU, "cpu"},     {RLIMIT_NPROC, "nproc"},
      {RLIMIT_STACK, "stack"}, {RLIMIT_FSIZE, "fsize"},
  };
  int i = code - OPT_RLIMIT_AS;
  s64 n;
  if (!number(arg, 0, INT64_MAX, &n)) {
    fprintf(stderr, "Unable to convert rlimit-%s resource limit '%s'.\n", limits[i].name, arg);
    return 1;
  }
  struct rlimit rl = {(rlim_t)n, (rlim_t)n};
  if (setrlimit(limits[i].resource, &rl)) {
    fprintf(stderr, "Unable to set resource limits for rlimit_%s: %s\n", limits[i].name,
            strerror(errno));
    return 1;
  }
  return 0;
}

static int set_listing(struct options *o, enum listing what, const char *point)
{
  if (o->listing != LIST_NONE) {
    fputs("ERROR: only one of the -l/-L/--dump-* switches may be specified\n", stderr);
    return 1;
  }
  o->listing = what;
  o->list_point = point;
  return 0;
}

static int set_script(struct options *o, const char *text)
{
  if (o->script) {
    fputs("Only one script can be given on the command line.\n", stderr);
    return 1;
  }
  o->script = text;
  return 0;
}

static int bad(const char *message)
{
  fputs(message, stderr);
  return 1;
}

static int missing(const char *option)
{
  fprintf(stderr, "ERROR: %s is not supported. [man stap]\n", option);
  return 1;
}

static int show_version(void)
{
  printf("Systemtap translator/driver (version %s, eBPF)\n"
         "This is free software, under the GNU General Public License version 2 or later;\n"
         "see the source for copying conditions.\n"
         "runtimes: bpf user\n",
         STAP_VERSION);
  return 0;
}

/* One option that getopt_long returned as `c`.  -1 to go on, else the exit status. */
static int option(struct options *o, struct arena *a, int c, const char *name)
{
  s64 n;
  int rc = 0;
  switch (c) {
  case 'h':
    fputs(help, stdout);
    return 0;
  case 'V':
    return show_version();
  case 'p':
    if (!number(optarg, 1, 5, &n))
      return bad("Invalid pass number (should be 1-5).\n");
    o->last_pass = (u32)n;
    break;
  case 'v':
    for (u32 i = 0; i < ARRAY_SIZE(o->verbose); i++)
      o->verbose[i]++;
    break;
  case OPT_VP:
    rc = set_verbosity(o, optarg);
    break;
  case 'g':
    o->guru = true;
    break;
  case 'u':
    o->unoptimized = true;
    break;
  case 'w':
    o->no_warnings = true;
    break;
  case 'W':
    o->warnings_are_errors = true;
    break;
  case 't':
    o->run.timing = true;
    break;
  case 'F':
    o->background = true;
    break;
  case 's':
    if (!number(optarg, 1, 4095, &n))
      return bad("Invalid buffer size (should be 1-4095).\n");
    o->run.buffer_mb = (u32)n;
    break;
  case 'I':
    vec_push(a, &o->tapsets, optarg);
    break;
  case 'D':
    rc = set_define(o, optarg);
    break;
  case 'G':
    rc = set_global(o, a, optarg);
    break;
  case 'm':
    for (const char *p = optarg; *p; p++)
      if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '_')
        return mismatch("-m", optarg, "^[a-z0-9_]+$");
    o->module_name = optarg;
    break;
  case 'o':
    o->run.output = optarg;
    break;
  case 'c':
    o->run.command = optarg;
    break;
  case 'x':
    if (!number(optarg, 1, INT_MAX, &o->run.target_pid))
      return bad("Invalid target process ID number.\n");
    break;
  case 'e':
    rc = set_script(o, optarg);
    break;
  case 'E':
    vec_push(a, &o->extra, optarg);
    break;
  case 'l':
    rc = set_listing(o, LIST_POINTS, optarg);
    break;
  case 'L':
    rc = set_listing(o, LIST_VARS, optarg);
    break;
  case 'S':
    rc = set_rotation(o, optarg);
    break;
  case 'T':
    if (!number(optarg, 1, INT32_MAX, &n))
      return bad("Invalid timeout interval.\n");
    o->run.timeout_ns = (u64)n * 1000000000;
    break;
  case OPT_RUNTIME:
    rc = set_runtime(o, optarg);
    break;
  case OPT_BPF:
    rc = set_runtime(o, "bpf");
    break;
  case OPT_DYNINST:
    rc = set_runtime(o, "dyninst");
    break;
  case OPT_COMPATIBLE:
    rc = set_compatible(o, optarg);
    break;
  case OPT_NO_GLOBALS:
    o->run.show_globals_at_exit = false;
    break;
  case OPT_DUMP_TYPES:
    rc = set_listing(o, LIST_TYPES, NULL);
    break;
  case OPT_DUMP_ALIASES:
    rc = set_listing(o, LIST_ALIASES, NULL);
    break;
  case OPT_DUMP_FUNCTIONS:
    rc = set_listing(o, LIST_FUNCTIONS, NULL);
    break;
  case OPT_DUMP:
    o->dump = optarg;
    break;
  case OPT_SUPPRESS_ERRORS:
    o->run.suppress_handler_errors = true;
    break;
  case OPT_SUPPRESS_LIMITS:
    o->suppress_time_limits = true;
    break;
  case OPT_COLOR:
    rc = set_color(o, optarg);
    break;
  case OPT_PRIVILEGE:
    rc = set_privilege(o, optarg);
    break;
  case OPT_UNPRIVILEGED:
    rc = set_privilege(o, "stapusr");
    break;
  case OPT_RLIMIT_AS:
  case OPT_RLIMIT_CPU:
  case OPT_RLIMIT_NPROC:
  case OPT_RLIMIT_STACK:
  case OPT_RLIMIT_FSIZE:
    rc = set_rlimit(c, optarg);
    break;
  case OPT_PROLOGUE:
    if (optarg && strcmp(optarg, "never") && strcmp(optarg, "always") && strcmp(optarg, "auto")) {
      fprintf(stderr, "Invalid argument '%s' for --prologue-searching.\n", optarg);
      return 1;
    }
    break;
  case 'k': /* there is no temporary directory to keep, */
  case 'P': /* no prologue that BTF needs to be searched for, */
  case 'q': /* no coverage database, */
  case 'B': /* no kbuild, */
  case 'R': /* no runtime sources, */
  case 'd': /* and symbols come from the running system */
  case OPT_NO_EFFECT:
    break;
  case 'b':
  case 'i':
  case 'r':
  case 'a':
    return missing((const char[]){'-', (char)c, 0});
  case OPT_MISSING:
    return missing(arena_printf(a, "--%s", name));
  default: /* getopt_long has said what is wrong */
    return usage_error();
  }
  return rc ? rc : -1;
}

/* ---- the whole command line --------------------------------------------------------------- */

static int parse_words(struct options *o, struct arena *a, int argc, char **argv)
{
  int c, index = 0;
  optind = 0; /* glibc: start afresh */
  while ((c = getopt_long(argc, argv, short_options, long_options, &index)) != -1) {
    int rc = option(o, a, c, long_options[index].name);
    if (rc >= 0)
      return rc;
  }
  return -1;
}

/* Options in $SYSTEMTAP_DIR/rc come first; words are split and quoted as by the shell. */
static int parse_rc(struct options *o, struct arena *a, const char *self)
{
  const char *dir = getenv("SYSTEMTAP_DIR"), *home = getenv("HOME");
  const char *path =
      dir ? arena_printf(a, "%s/rc", dir) : arena_printf(a, "%s/.systemtap/rc", home ? home : "");
  char *text = file_read(a, path, NULL);
  if (!text)
    return -1;
  for (char *p = text; *p; p++)
    if (*p == '\n')
      *p = ' ';
  wordexp_t w;
  if (wordexp(text, &w, WRDE_NOCMD)) {
    fprintf(stderr, "ERROR: Couldn't read the options in %s\n", path);
    return 1;
  }
  int argc = (int)w.we_wordc + 1;
  char **argv = NEW_ARRAY(a, char *, w.we_wordc + 2);
  argv[0] = arena_strdup(a, self);
  for (size_t i = 0; i < w.we_wordc; i++)
    argv[i + 1] = arena_strdup(a, w.we_wordv[i]);
  wordfree(&w);
  int rc = parse_words(o, a, argc, argv);
  if (rc < 0 && optind < argc) {
    fprintf(stderr, "ERROR: '%s' in %s is no option\n", argv[optind], path);
    rc = 1;
  }
  return rc;
}

static int check_combinations(struct options *o)
{
  bool listing = o->listing != LIST_NONE;
  if (listing && (o->script || o->file)) {
    fputs("Cannot specify a script with -l/-L/--dump-* switches.\n", stderr);
    return usage_error();
  }
  if (listing && o->last_pass) {
    fputs("Cannot specify -p with -l/-L/--dump-* switches.\n", stderr);
    return usage_error();
  }
  if (!listing && !o->script && !o->file) {
    fputs("A script must be specified.\n", stderr);
    return usage_error();
  }
  if (o->run.command && o->run.target_pid) {
    fputs("You can't specify -c and -x together.\n", stderr);
    return usage_error();
  }
  if (o->suppress_time_limits && !o->guru)
    return bad("ERROR --suppress-time-limits requires guru mode (-g)\n");
  if (o->run.rotate_mb && !o->run.output)
    return bad("ERROR: -S needs the name of the files, by -o.\n");
  if (o->background && !o->run.output)
    return bad("ERROR: -F needs a file for the output, by -o.\n");
  return -1;
}

int options_parse(struct options *o, struct arena *a, int argc, char **argv)
{
  *o = (struct options){.privilege = "stapdev", .compatible = STAP_VERSION};
  for (u32 i = 0; i < ARRAY_SIZE(limit_table); i++)
    *limit_field(&o->limits, &limit_table[i]) = limit_table[i].def;
  o->run.show_globals_at_exit = true;
  set_color(o, "auto");

  int rc = parse_rc(o, a, argv[0]);
  if (rc < 0)
    rc = parse_words(o, a, argc, argv);
  if (rc >= 0)
    return rc;

  int i = optind;
  if (!o->script && o->listing == LIST_NONE && i < argc)
    o->file = argv[i++];
  for (; i < argc; i++)
    vec_push(a, &o->args, argv[i]);
  rc = check_combinations(o);
  if (rc >= 0)
    return rc;

  if (!o->last_pass)
    o->last_pass = 5;
  if (o->limits.maxaction_interruptible < 0)
    o->limits.maxaction_interruptible = o->limits.maxaction * 10;
  o->run.maxerrors = (u32)o->limits.maxerrors;
  o->run.maxskipped = (u32)o->limits.maxskipped;
  o->run.verbose = o->verbose[5];
  o->run.color = o->color;
  o->run.no_warnings = o->no_warnings;
  return -1;
}

/* The command line: what each option sets, and what is said about bad ones.
 * Built from: src/driver/options.c src/base */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver/options.h"

static struct arena *a;
static struct options o;
static char err[4096];

/* Parses a command line given as words separated by '|'; returns options_parse()'s result and
 * leaves what it wrote to stderr in err.  */
static int parse(const char *line)
{
  char *argv[32] = {"stap"}, *words = arena_strdup(a, line);
  int argc = 1;
  for (char *w = strtok(words, "|"); w; w = strtok(NULL, "|"))
    argv[argc++] = w;
  FILE *f = tmpfile();
  int saved = dup(2);
  dup2(fileno(f), 2);
  int rc = options_parse(&o, a, argc, argv);
  dup2(saved, 2);
  close(saved);
  rewind(f);
  err[fread(err, 1, sizeof(err) - 1, f)] = 0;
  fclose(f);
  return rc;
}

static int failures;
#define CHECK(cond)                                                                                \
  do {                                                                                             \
    if (!(cond)) {                                                                                 \
      fprintf(stderr, "%s:%d: not so: %s; stderr: %s\n", __FILE__, __LINE__, #cond, err);          \
      failures++;                                                                                  \
    }                                                                                              \
  } while (0)

static void good(void)
{
  CHECK(parse("-e|probe begin {}") == -1);
  CHECK(!strcmp(o.script, "probe begin {}") && o.last_pass == 5 && o.runtime == RUNTIME_BPF);
  CHECK(o.limits.maxaction == 1000 && o.limits.maxaction_interruptible == 10000);
  CHECK(o.limits.maxstringlen == 512 && o.limits.maxmapentries == 2048 && o.run.maxskipped == 100);
  CHECK(o.run.show_globals_at_exit && !o.run.timeout_ns && !o.run.output);

  /* options may follow the script; what follows "--" may not be one */
  CHECK(parse("x.stp|-p|2|one|--|-v|two") == -1);
  CHECK(!strcmp(o.file, "x.stp") && o.last_pass == 2 && o.args.n == 3 && !o.verbose[1]);
  CHECK(!strcmp(o.args.v[0], "one") && !strcmp(o.args.v[1], "-v") && !strcmp(o.args.v[2], "two"));
  CHECK(parse("-e|x|file") == -1 && !o.file && o.args.n == 1);
  CHECK(parse("-") == -1 && !strcmp(o.file, "-"));

  CHECK(parse("-vv|--vp|0003|-|-DMAXACTION=7|-D|MAXERRORS=3|-DSTP_NO_OVERLOAD|-gkuwWt") == -1);
  CHECK(o.verbose[1] == 2 && o.verbose[4] == 5 && o.run.verbose == 2);
  CHECK(o.limits.maxaction == 7 && o.limits.maxaction_interruptible == 70 && o.run.maxerrors == 3);
  CHECK(o.guru && o.unoptimized && o.no_warnings && o.warnings_are_errors && o.run.timing);

  CHECK(parse("-|-c|ls -l|-o|out|-S|10,3|-T|2|-s|64|-m|my_1|-I|d1|-I|d2|-G|n=5|-E|probe end {}") ==
        -1);
  CHECK(!strcmp(o.run.command, "ls -l") && !strcmp(o.run.output, "out") && o.run.rotate_mb == 10);
  CHECK(o.run.rotate_n == 3 && o.run.timeout_ns == 2000000000 && o.run.buffer_mb == 64);
  CHECK(o.tapsets.n == 2 && o.globals.n == 1 && !strcmp(o.globals.v[0].value, "5"));
  CHECK(o.extra.n == 1);
  CHECK(parse("-|-x|12|--runtime=user|--compatible=4.8|--no-global-var-display|--color|"
              "--privilege=stapsys|--suppress-handler-errors|--prologue-searching=never") == -1);
  CHECK(o.run.target_pid == 12 && o.runtime == RUNTIME_USER && !strcmp(o.compatible, "4.8"));
  CHECK(!o.run.show_globals_at_exit && o.color && o.run.color);
  CHECK(!strcmp(o.privilege, "stapsys") && o.run.suppress_handler_errors);
  CHECK(parse("-l|syscall.*|-E|probe begin {}|x") == -1 && o.listing == LIST_POINTS);
  CHECK(!strcmp(o.list_point, "syscall.*") && o.args.n == 1);
  CHECK(parse("-g|--suppress-time-limits|-") == -1 && o.suppress_time_limits);
}

static void bad_line(const char *line, const char *message)
{
  CHECK(parse(line) == 1);
  if (strcmp(err, message)) {
    fprintf(stderr, "%s: said: %s instead of: %s\n", line, err, message);
    failures++;
  }
}

static void bad(void)
{
#define TRY "Try '--help' for more information. [man stap]\n"
  bad_line("", "A script must be specified.\n" TRY);
  bad_line("-Z", "stap: invalid option -- 'Z'\n" TRY);
  bad_line("--frob", "stap: unrecognized option '--frob'\n" TRY);
  bad_line("-e", "stap: option requires an argument -- 'e'\n" TRY);
  bad_line("-p9|-", "Invalid pass number (should be 1-5).\n");
  bad_line("-p|1x|-", "Invalid pass number (should be 1-5).\n");
  bad_line("-s|0|-", "Invalid buffer size (should be 1-4095).\n");
  bad_line("-x|abc|-", "Invalid target process ID number.\n");
  bad_line("-T|0|-", "Invalid timeout interval.\n");
  bad_line("-S|abc|-", "ERROR: Safety pattern mismatch for -S parameter ('abc' vs. "
                       "'^[0-9]+(,[0-9]+)?$')\n");
  bad_line("-m|bad name|-",
           "ERROR: Safety pattern mismatch for -m parameter ('bad name' vs. '^[a-z0-9_]+$')\n");
  bad_line("-D|9FOO|-", "ERROR: Safety pattern mismatch for -D parameter ('9FOO' vs. "
                        "'^[a-z_][a-z_0-9]*(=-?[a-z_0-9]+)?$')\n");
  bad_line("-DMAXACTION=x|-", "ERROR: Invalid value for -D MAXACTION=x: MAXACTION should be a "
                              "number from 1 to 2147483647.\n");
  bad_line("-DMAXSTRINGLEN=-5|-", "ERROR: Invalid value for -D MAXSTRINGLEN=-5: MAXSTRINGLEN "
                                  "should be a number from 1 to 4096.\n");
  bad_line("--runtime=foo|-", "ERROR: foo is an invalid argument for --runtime\n");
  bad_line("--compatible=99|-",
           "ERROR: systemtap version 5.2 cannot be compatible with future version 99\n");
  bad_line("--color=foo|-", "Invalid argument 'foo' for --color.\n");
  bad_line("--privilege=foo|-", "Invalid argument 'foo' for --privilege.\n");
  bad_line("--rlimit-as=x|-", "Unable to convert rlimit-as resource limit 'x'.\n");
  bad_line("-e|a|-e|b", "Only one script can be given on the command line.\n");
  bad_line("-c|a|-x|1|-", "You can't specify -c and -x together.\n" TRY);
  bad_line("-l|a|-L|b", "ERROR: only one of the -l/-L/--dump-* switches may be specified\n");
  bad_line("-l|a|-e|b", "Cannot specify a script with -l/-L/--dump-* switches.\n" TRY);
  bad_line("-l|a|-p2", "Cannot specify -p with -l/-L/--dump-* switches.\n" TRY);
  bad_line("--suppress-time-limits|-", "ERROR --suppress-time-limits requires guru mode (-g)\n");
  bad_line("--remote=host|-", "ERROR: --remote is not supported. [man stap]\n");
  bad_line("-b|-", "ERROR: -b is not supported. [man stap]\n");
}

static void rc_file(void)
{
  char dir[] = "/tmp/options_test.XXXXXX";
  CHECK(mkdtemp(dir));
  setenv("SYSTEMTAP_DIR", dir, 1);
  char *path = arena_printf(a, "%s/rc", dir);
  FILE *f = fopen(path, "w");
  fputs("-v -G 'n=a b'\n-DMAXERRORS=2\n", f);
  fclose(f);
  CHECK(parse("-v|-DMAXERRORS=4|-") == -1);
  CHECK(o.verbose[0] == 2 && o.run.maxerrors == 4 && !strcmp(o.globals.v[0].value, "a b"));
  unlink(path);
  rmdir(dir);
}

int main(void)
{
  setenv("SYSTEMTAP_DIR", "/nonexistent", 1);
  a = arena_new();
  good();
  bad();
  rc_file();
  arena_free(a);
  return failures != 0;
}

/* Regular expressions: known answers, and generated patterns and subjects against regexec(3).
 * flags: slow
 * timeout: 120
 *
 *   regex_test           all tests
 *   regex_test P S       what pattern P finds in S  */
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "regex/regex.h"
#include "runtime/rt.h"

enum { M = 512, FRAME = RT_OFF_VARS(M) + M + RT_SLACK(M), RODATA = 1 << 19, TABLE = 8 };

static u8 frame[ROUND_UP(FRAME, 8)] __attribute__((aligned(8)));
static u8 rodata[RODATA] __attribute__((aligned(8)));
static u32 checks, failures;

static struct rt_frame *head(void)
{
  return (struct rt_frame *)frame;
}

/* Whether the compiled pattern matches; with groups sets head()->match. */
static bool run(const struct regex *re, const char *subject, bool groups)
{
  const void *table = groups ? re->groups : re->match;
  u32 size = groups ? re->groups_size : re->match_size;
  struct rt_mem *f = (struct rt_mem *)frame;
  memcpy(rodata + TABLE, table, size);
  memset(frame, 0x5a, sizeof(frame));
  strcpy((char *)frame + RT_OFF_VARS(M), subject);
  return (groups ? rt_match_groups : rt_match)(f, RT_OFF_VARS(M), TABLE);
}

static void bad(const char *pattern, const char *subject, const char *what)
{
  failures++;
  printf("FAIL /%s/ on \"%s\": %s\n", pattern, subject, what);
}

/* "(0,3)(1,2)(?,?)" of the last match */
static const char *groups_text(const struct regex *re)
{
  static char text[256];
  size_t n = 0;
  for (u32 i = 0; i < re->ngroups; i++) {
    u32 from = head()->match[2 * i], to = head()->match[2 * i + 1];
    if (from == ~0u)
      n += (size_t)sprintf(text + n, "(?,?)");
    else
      n += (size_t)sprintf(text + n, "(%u,%u)", from, to);
  }
  return text;
}

/* ---- known answers -------------------------------------------------------------------- */

/* groups: NULL: no match; else where the groups are. */
static const struct {
  const char *pattern, *subject, *groups;
} cases[] = {
    {"abc", "xabcy", "(1,4)"},
    {"abc", "ab", NULL},
    {"", "abc", "(0,0)"},
    {"a*", "baaa", "(0,0)"},
    {"a+", "baaa", "(1,4)"},
    {"^a", "ba", NULL},
    {"^a", "ab", "(0,1)"},
    {"a$", "ab", NULL},
    {"a$", "ba", "(1,2)"},
    {"^$", "", "(0,0)"},
    {"^$", "x", NULL},
    {"(^|b)a", "ba", "(0,2)(0,1)"},
    {"a(b|$)", "xa", "(1,2)(2,2)"},
    {"reg(ex.*p).*r", "regexculpicator", "(0,15)(3,9)"},
    {"str(ing)", "an example string", "(11,17)(14,17)"},
    {"q*b", "aqqqqqb", "(1,7)"},
    {"a|b|", "b", "(0,1)"},
    {"(a|ab)(c|bcd)(d*)", "abcd", "(0,4)(0,2)(2,3)(3,4)"},
    {"(foo|foobar)(.*)", "foobarbaz", "(0,9)(0,6)(6,9)"},
    {"(a*)(a*)", "aa", "(0,2)(0,2)(2,2)"},
    {"(a*)*", "aa", "(0,2)(0,2)"},
    {"(a*)*", "b", "(0,0)(0,0)"},
    {"(a*)+", "b", "(0,0)(0,0)"},
    {"(a|(b))*", "ba", "(0,2)(1,2)(?,?)"},
    {"(a)|(b)", "b", "(0,1)(?,?)(0,1)"},
    {"(ab|a)(bc)?", "abc", "(0,3)(0,1)(1,3)"},
    {"a{3}", "aaaa", "(0,3)"},
    {"a{2,}", "xaaaa", "(1,5)"},
    {"^a{,2}$", "aaa", NULL},
    {"^a{,2}$", "aa", "(0,2)"},
    {"^(ab){2,3}$", "ababab", "(0,6)(4,6)"},
    {"a{", "a{", "(0,2)"},
    {"a{x}", "a{x}", "(0,4)"},
    {"a{,}", "a{,}", "(0,4)"},
    {"x{0}y", "xy", "(1,2)"},
    {"[a-c]+", "xxabcd", "(2,5)"},
    {"[^a-c]+", "abxyc", "(2,4)"},
    {"[]a]+", "x]a]", "(1,4)"},
    {"[^]a]", "]ab", "(2,3)"},
    {"[a-]+", "b-a-", "(1,4)"},
    {"[[:digit:]]+", "ab123", "(2,5)"},
    {"[[:alpha:]_]+", "1ab_2", "(1,4)"},
    {"[[:space:][:upper:]]+", "a B\tc", "(1,4)"},
    {"[[=a=]b]+", "cab", "(1,3)"},
    {"[[.-.]x]+", "a-x", "(1,3)"},
    {"[\\.]", "\\", "(0,1)"},
    {"\\.", "a.b", "(1,2)"},
    {"\\*\\\\", "a*\\", "(1,3)"},
    {".", "\n", "(0,1)"},
    {"a.c", "a\377c", "(0,3)"},
    {"[^a]", "a\200", "(1,2)"},
    {"\\w+", "-ab_1-", "(1,5)"},
    {"\\W", "ab-", "(2,3)"},
    {"\\<b", "ab b", "(3,4)"},
    {"a\\>", "ab a", "(3,4)"},
    {"\\bfoo\\b", "xfoo foo", "(5,8)"},
    {"\\bfoo\\b", "xfoo foox", NULL},
    {"\\Boo\\B", "foox", "(1,3)"},
    {"\\s\\S", "a b", "(1,3)"},
    {"^([a-z]+)=([0-9]*)$", "key=12", "(0,6)(0,3)(4,6)"},
    {"(.*)-(.*)", "a-b-c", "(0,5)(0,3)(4,5)"},
    {"(/[^/]*)+$", "/usr/bin/stap", "(0,13)(8,13)"},
    {"(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)", "abcdefghij",
     "(0,10)(0,1)(1,2)(2,3)(3,4)(4,5)(5,6)(6,7)(7,8)(8,9)"},
    {"(\\w+) (\\w+) (\\w+) (\\w+)", "aa bb cc dd", "(0,11)(0,2)(3,5)(6,8)(9,11)"},
    {"a+(a*)b", "aaab", "(0,4)(3,3)"},
    {"(a|aa)*", "aa", "(0,2)(0,2)"},
    {"([ab]{1,3})*", "aaaaaaaa", "(0,8)(6,8)"},
    {"(.{2,}){2}", "abcdefghijkl", "(0,12)(10,12)"},
    {"([^bc]|[ab][^a]{2})[^a]*", "a.bc.bd.ac", "(0,8)(0,3)"},
    {"(ab|a)(bcd|c)(d*)", "abcd", "(0,4)(0,2)(2,3)(3,4)"},
    {"(a|ab)(bcd|c)(d|.*)", "abcd", "(0,4)(0,2)(2,3)(3,4)"},
    {"(a)*|b", "b", "(0,1)(?,?)"},
    {"((a)|b)*", "ab", "(0,2)(1,2)(?,?)"},
    {"x(ab)*y", "abxababy", "(2,8)(5,7)"},
};

static void known_answers(struct arena *a)
{
  for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
    const char *why = NULL, *pattern = cases[i].pattern, *subject = cases[i].subject;
    u32 at;
    struct regex *re = regex_compile(a, pattern, (u32)strlen(pattern), true, &why, &at);
    checks++;
    if (!re) {
      bad(pattern, subject, why);
      continue;
    }
    bool want = cases[i].groups, got = run(re, subject, true);
    if (got != want || got != run(re, subject, false)) {
      bad(pattern, subject, want ? "no match" : "a match");
    } else if (want) {
      run(re, subject, true);
      if (strcmp(groups_text(re), cases[i].groups))
        bad(pattern, subject, groups_text(re));
    }
  }
}

static const struct {
  const char *pattern, *why;
  u32 at;
} errors[] = {
    {"a(b", "unmatched (", 1},
    {"a)b", "unmatched )", 1},
    {"[a", "unmatched [", 0},
    {"x[[:foo:]]", "invalid character class name", 2},
    {"[b-a]", "invalid range end", 1},
    {"*a", "nothing to repeat", 0},
    {"a|+", "nothing to repeat", 2},
    {"a{3,2}", "invalid range of counts", 1},
    {"a{1001}", "count too large", 1},
    {"a\\", "trailing backslash", 1},
    {"(a)\\1", "back references are not supported", 3},
    {"[[.ab.]]", "invalid collating element", 1},
    {"((((a{100}){100}){100}){100})", "regular expression is too large", 0},
    {"()()()()()()()()()((((){1000}){1000}){1000}){1000}", "regular expression is too large", 0},
    {"(a|b)*a(a|b){20}", "regular expression is too complex", 0},
};

static void bad_patterns(struct arena *a)
{
  for (u32 i = 0; i < ARRAY_SIZE(errors); i++) {
    const char *why = "none", *pattern = errors[i].pattern;
    u32 at = 0;
    checks++;
    if (regex_compile(a, pattern, (u32)strlen(pattern), true, &why, &at))
      bad(pattern, "", "compiles");
    else if (strcmp(why, errors[i].why) || at != errors[i].at)
      bad(pattern, "", why);
  }
}

/* ---- regexec(3) ------------------------------------------------------------------------ */

static u64 seed;

static u32 below(u32 n)
{
  seed = seed * 6364136223846793005ull + 1442695040888963407ull;
  return (u32)(seed >> 33) % n;
}

/* A pattern of the syntax that both know, with `groups` or without. */
static void generate(struct strbuf *b, u32 depth)
{
  static const char *const atoms[] = {"a",     "b",           "c",   ".", "[ab]",  "ab", "[^a]",
                                      "[b-d]", "[[:alpha:]]", "abc", "d", "[^bc]", "-",  "\\."};
  static const char *const counts[] = {"", "", "", "", "*", "+", "?", "{2}", "{1,3}", "{2,}"};
  for (u32 n = 1 + below(3); n; n--) {
    if (depth && below(3) == 0) {
      sb_putc(b, '(');
      generate(b, depth - 1);
      for (u32 k = below(3); k > 1; k--) {
        sb_putc(b, '|');
        generate(b, depth - 1);
      }
      sb_putc(b, ')');
    } else {
      sb_puts(b, atoms[below(ARRAY_SIZE(atoms))]);
    }
    sb_puts(b, counts[below(ARRAY_SIZE(counts))]);
  }
}

static void random_subject(char *s)
{
  u32 n = below(14);
  for (u32 i = 0; i < n; i++)
    s[i] = "aaabbbccd-."[below(11)];
  s[n] = 0;
}

/* The whole match must be regexec's; groups may differ where glibc strays from the standard, so
 * they are only counted.  */
static u32 group_checks, group_differences;

static void compare(const struct regex *re, const regex_t *theirs, const char *subject)
{
  regmatch_t m[REGEX_MAX_GROUPS];
  bool want = !regexec(theirs, subject, REGEX_MAX_GROUPS, m, 0);
  checks++;
  if (run(re, subject, false) != want) {
    bad(re->pattern, subject, want ? "no match" : "a match");
    return;
  }
  if (run(re, subject, true) != want) {
    bad(re->pattern, subject, "groups disagree");
    return;
  }
  if (!want)
    return;
  if ((s32)head()->match[0] != m[0].rm_so || (s32)head()->match[1] != m[0].rm_eo) {
    char text[64];
    sprintf(text, "%s, not (%d,%d)", groups_text(re), m[0].rm_so, m[0].rm_eo);
    bad(re->pattern, subject, text);
  }
  for (u32 i = 1; i < re->ngroups; i++) {
    group_checks++;
    group_differences +=
        (s32)head()->match[2 * i] != m[i].rm_so || (s32)head()->match[2 * i + 1] != m[i].rm_eo;
  }
}

static void against_regexec(u32 patterns)
{
  struct strbuf b = {0};
  for (u32 i = 0; i < patterns; i++) {
    sb_reset(&b);
    if (below(4) == 0)
      sb_putc(&b, '^');
    generate(&b, 2);
    if (below(4) == 0)
      sb_putc(&b, '$');
    struct arena *a = arena_new();
    regex_t theirs;
    const char *why = NULL;
    u32 at;
    struct regex *re = regex_compile(a, b.s, (u32)b.n, true, &why, &at);
    if (!re) {
      if (strcmp(why, "regular expression is too complex"))
        bad(b.s, "", why);
    } else if (!regcomp(&theirs, b.s, REG_EXTENDED)) {
      for (u32 k = 0; k < 20; k++) {
        char subject[16];
        random_subject(subject);
        compare(re, &theirs, subject);
      }
      regfree(&theirs);
    }
    arena_free(a);
  }
  sb_free(&b);
}

int main(int argc, char **argv)
{
  rt_L = rt_M = M;
  rt_F = sizeof(frame);
  rt_R = RODATA;
  rt_rodata = rodata;
  struct arena *a = arena_new();
  if (argc == 3) {
    const char *why;
    u32 at;
    struct regex *re = regex_compile(a, argv[1], (u32)strlen(argv[1]), true, &why, &at);
    if (!re)
      printf("%s at %u\n", why, at);
    else
      printf("%s; tables of %u and %u bytes\n",
             run(re, argv[2], true) ? groups_text(re) : "no match", re->match_size,
             re->groups_size);
    arena_free(a);
    return 0;
  }
  seed = argc == 2 ? strtoull(argv[1], NULL, 0) : 1;
  known_answers(a);
  bad_patterns(a);
  against_regexec(argc == 2 ? 20000 : 3000);
  arena_free(a);
  printf("%u checks, %u failures; %u of %u groups unlike regexec's\n", checks, failures,
         group_differences, group_checks);
  return failures != 0;
}

/* Regular expressions.  An input is a pattern, a newline and a subject.  Whatever the pattern, compiling ends, and matching
 * stays within the table and the frame; whether the subject matches does not depend on whether groups are asked for.
 * (That matches are the right ones is what tests/unit/regex_test.c is about.)  */
#include "fuzz.h"
#include "regex/regex.h"
#include "runtime/rt.h"

enum { M = RT_MIN_BUFFER, FRAME = RT_OFF_VARS(M) + M + RT_SLACK(M), TABLE = 8, RODATA = 1 << 20 };

extern u32 rt_L, rt_M, rt_F, rt_R;
extern const u8 *rt_rodata;
static _Alignas(8) u8 frame[ROUND_UP(FRAME, 8)];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  rt_L = rt_M = M;
  rt_F = sizeof(frame);
  rt_R = RODATA;
  return 0;
}

static bool run(const void *table, u32 size, const char *subject,
                u64 (*match)(struct rt_mem *f, u64 s, u64 table))
{
  u8 *rodata = malloc(TABLE + size); /* not a byte more */
  memset(rodata, 0, TABLE);
  memcpy(rodata + TABLE, table, size);
  rt_rodata = rodata;
  memset(frame, 0x5a, sizeof(frame));
  strcpy((char *)frame + RT_OFF_VARS(M), subject);
  bool found = match((struct rt_mem *)frame, RT_OFF_VARS(M), TABLE);
  free(rodata);
  return found;
}

static void check_groups(const struct regex *re, const char *subject)
{
  const struct rt_frame *f = (const struct rt_frame *)frame;
  for (u32 i = 0; i < re->ngroups; i++) {
    u32 from = f->match[2 * i], to = f->match[2 * i + 1];
    if ((from == ~0u) != (to == ~0u) || (from != ~0u && (from > to || to > strlen(subject))))
      fuzz_bug("group %u of /%s/ on \"%s\": %u to %u", i, re->pattern, subject, from, to);
  }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
  const u8 *end = memchr(data, '\n', size);
  if (!end)
    return 0;
  char subject[M] = "";
  memcpy(subject, end + 1, MIN(size - (size_t)(end + 1 - data), sizeof(subject) - 1));
  struct arena *a = arena_new();
  u32 len = (u32)strnlen((const char *)data, (size_t)(end - data)), at = ~0u;
  const char *pattern = arena_strndup(a, (const char *)data, len), *why = NULL;
  struct regex *plain = regex_compile(a, pattern, len, false, &why, &at);
  if (!plain && (!why || at > len))
    fuzz_bug("/%s/ is refused for \"%s\" at %u", pattern, why ? why : "", at);
  struct regex *grouped = regex_compile(a, pattern, len, true, &why, &at);
  if (plain && grouped) {
    bool found = run(plain->match, plain->match_size, subject, rt_match);
    if (run(grouped->groups, grouped->groups_size, subject, rt_match_groups) != found)
      fuzz_bug("/%s/ on \"%s\": %d, but not with groups", pattern, subject, found);
    if (found)
      check_groups(grouped, subject);
  }
  arena_free(a);
  return 0;
}

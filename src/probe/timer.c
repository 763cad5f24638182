/* timer.s(n) and its kin: handlers that the session runs again and again.
 *   point := "timer" "." unit "(" n ")" [ "." "randomize" "(" m ")" ]
 * The time between two runs is n units, plus or minus up to m.  */
#include "probe/family.h"

#include <string.h>

#include "target/target.h"

static const struct unit {
  const char *name;
  u64 ns; /* 0: hz, jiffies */
  s64 min, max;
} units[] = {
    {"s", 1000000000, 1, 86400},
    {"sec", 1000000000, 1, 86400},
    {"ms", 1000000, 1, 86400000},
    {"msec", 1000000, 1, 86400000},
    {"us", 1000, 100, 86400000000},
    {"usec", 1000, 100, 86400000000},
    {"ns", 1, 100000, 86400000000000},
    {"nsec", 1, 100000, 86400000000000},
    {"hz", 0, 1, 10000},
    {"jiffies", 0, 1, 86400000},
};

static const struct unit *find_unit(const char *name)
{
  for (u32 i = 0; i < ARRAY_SIZE(units); i++)
    if (!strcmp(units[i].name, name))
      return &units[i];
  return NULL;
}

static int bad_unit(struct elab *e, struct point_part *part, const char **why)
{
  const char *names[ARRAY_SIZE(units)];
  for (u32 i = 0; i < ARRAY_SIZE(units); i++)
    names[i] = units[i].name;
  const char *near = diag_similar(e->a, part->name, names, ARRAY_SIZE(units), 5);
  *why = near ? arena_printf(e->a, "probe point mismatch (similar: %s)", near)
              : "probe point mismatch (similar: s, ms, us, ns, hz, jiffies)";
  e->why_part = part;
  return -1;
}

static const char *bad_period(struct elab *e, const struct unit *u, s64 n)
{
  if (!strcmp(u->name, "hz"))
    return n < 1 ? "frequency must be greater than 0" : n > u->max ? "frequency is too high" : NULL;
  if (!strcmp(u->name, "jiffies"))
    return n < 1 || n > u->max ? "invalid interval for jiffies timer" : NULL;
  if (n < u->min || n > u->max)
    return arena_printf(e->a, "interval value out of range (%lld, %lld)", (long long)u->min,
                        (long long)u->max);
  return NULL;
}

extern const struct probe_family timer_family;

/* point := "timer" "." "profile" [ "." "tick" ] */
static int expand_profile(struct elab *e, struct probe_point *pt, struct probe_insts *out,
                          const char **why)
{
  bool tick = pt->parts.n > 2 && !strcmp(pt->parts.v[2].name, "tick") && !pt->parts.v[2].has_arg;
  if (pt->parts.n > (tick ? 3u : 2u)) {
    e->why_part = &pt->parts.v[tick ? 3 : 2];
    *why = "invalid suffix for probe";
    return -1;
  }
  vec_push(e->a, &out->v, perf_profile(e, &timer_family, pt));
  return 1;
}

static int expand(struct elab *e, struct probe_point *pt, struct probe_insts *out, const char **why)
{
  if (pt->parts.n < 2 || pt->parts.v[0].has_arg)
    return -1;
  struct point_part *part = &pt->parts.v[1];
  const struct unit *u = find_unit(part->name);
  if (probe_wildcard(part->name)) {
    if (part->has_arg || !probe_match(part->name, "profile"))
      return 0;
    part->name = "profile"; /* the units need a number */
  }
  if (!strcmp(part->name, "profile") && !part->has_arg)
    return expand_profile(e, pt, out, why);
  if (!u || !part->has_arg || part->arg_is_string)
    return bad_unit(e, part, why);
  if ((*why = bad_period(e, u, part->num))) {
    e->why_part = part;
    return -1;
  }
  u64 unit_ns = u->ns ? u->ns : 1000000000 / (u64)target_hz(e->target);
  struct probe_inst *pi = probe_inst_new(e, &timer_family, pt);
  pi->kind = PROG_SESSION;
  pi->when = RUN_TIMER;
  pi->period_ns = strcmp(u->name, "hz") ? (u64)part->num * unit_ns : (1000000000 / (u64)part->num);
  if (pt->parts.n > 2) {
    struct point_part *r = &pt->parts.v[2];
    bool hz = !strcmp(u->name, "hz");
    if (hz || strcmp(r->name, "randomize") || !r->has_arg || r->arg_is_string || pt->parts.n > 3) {
      e->why_part = strcmp(r->name, "randomize") || hz || pt->parts.n == 3 ? r : &pt->parts.v[3];
      *why = "invalid suffix for probe";
      return -1;
    }
    if (r->num < 0 || r->num > part->num) {
      *why = "randomization value out of range";
      e->why_part = r;
      return -1;
    }
    pi->random_ns = (u64)r->num * unit_ns;
  }
  vec_push(e->a, &out->v, pi);
  return 1;
}

static const char *const heads[] = {"timer", NULL};
static const char *const forms[] = {
#define FORMS(u) "timer." u "(number)", "timer." u "(number).randomize(number)"
    FORMS("s"),      FORMS("sec"),         FORMS("ms"),   FORMS("msec"),    FORMS("us"),
    FORMS("usec"),   FORMS("ns"),          FORMS("nsec"), FORMS("jiffies"), "timer.hz(number)",
    "timer.profile", "timer.profile.tick", NULL,
};
const struct probe_family timer_family = {
    .name = "timer", .heads = heads, .forms = forms, .expand = expand};

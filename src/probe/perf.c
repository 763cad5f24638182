/* perf.type(N).config(M): the kernel's performance events, and timer.profile, which is one of them:
 * a clock that ticks on every processor. point := "perf" "." "type" "(" N ")" "." "config" "(" M
 * ")" [ "." ("sample" | "hz") "(" K ")" ] What N and M mean is perf_event_open(2)'s affair.  The
 * handler's context is the kernel's struct bpf_perf_event_data, which begins with the registers. */
#include <string.h>

#include "elaborate/state.h"
#include "probe/family.h"
#include "target/target.h"

enum { DEFAULT_PERIOD = 1000000, SOFTWARE = 1, CPU_CLOCK = 0 };

extern const struct probe_family perf_family;

static struct probe_inst *instance(struct elab *e, const struct probe_family *f,
                                   struct probe_point *pt, const struct perf_event *event)
{
  struct probe_inst *pi = probe_inst_new(e, f, pt);
  struct perf_event *copy = NEW(e->a, struct perf_event);
  *copy = *event;
  pi->kind = PROG_PERF;
  pi->event = copy;
  return pi;
}

struct probe_inst *perf_profile(struct elab *e, const struct probe_family *f,
                                struct probe_point *pt)
{
  struct perf_event event = {
      .type = SOFTWARE, .config = CPU_CLOCK, .amount = (u64)target_hz(e->target), .is_hz = true};
  return instance(e, f, pt, &event);
}

static bool is_number(const struct probe_point *pt, u32 i, const char *name)
{
  const struct point_part *p = pt->parts.n > i ? &pt->parts.v[i] : NULL;
  return p && !strcmp(p->name, name) && p->has_arg && !p->arg_is_string;
}

static int expand(struct elab *e, struct probe_point *pt, struct probe_insts *out, const char **why)
{
  if (!is_number(pt, 1, "type") || !is_number(pt, 2, "config"))
    return -1;
  struct perf_event event = {
      .type = (u32)pt->parts.v[1].num, .config = (u64)pt->parts.v[2].num, .amount = DEFAULT_PERIOD};
  if (pt->parts.n > 3) {
    const struct point_part *last = &pt->parts.v[3];
    e->why_part = last;
    if (!strcmp(last->name, "process") || !strcmp(last->name, "counter")) {
      *why = "this version of stap can't bind performance events to a process";
      return -1;
    }
    event.is_hz = !strcmp(last->name, "hz");
    if (pt->parts.n > 4 || !(event.is_hz || !strcmp(last->name, "sample")) || !last->has_arg ||
        last->arg_is_string) {
      *why = "invalid suffix for probe";
      return -1;
    }
    if (last->num < 1) {
      *why = event.is_hz ? "frequency must be greater than 0" : "invalid sample period";
      return -1;
    }
    event.amount = (u64)last->num;
  }
  vec_push(e->a, &out->v, instance(e, &perf_family, pt, &event));
  return 1;
}

static const char *const heads[] = {"perf", NULL};
static const char *const forms[] = {
    "perf.type(number).config(number)",
    "perf.type(number).config(number).hz(number)",
    "perf.type(number).config(number).sample(number)",
    NULL,
};
const struct probe_family perf_family = {
    .name = "perf", .heads = heads, .forms = forms, .expand = expand};

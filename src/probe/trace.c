/* kernel.trace("name"), kernel.trace("system:name"): the kernel's tracepoints.
 *
 * A handler is a raw tracepoint program.  Its context is the tracepoint's arguments, a 64-bit word
 * each; their names and types are those of the prototype that BTF has for the tracepoint, whose
 * first parameter is the registration's own data and no argument.  The system is tracefs's name for
 * the group of events that a tracepoint belongs to; where tracefs can't be read it is left out.  */
#include "probe/family.h"

#include <bpf/btf.h>
#include <string.h>

#include "ir/ops.h"
#include "probe/deref.h"
#include "probe/sprint.h"
#include "target/target.h"

enum { MAX_SIMILAR = 5 };

struct arg {
  const char *name; /* with "$" */
  u32 type;         /* BTF id */
  u32 word;         /* of the context */
};
struct trace {
  const char *name;
  const char *system; /* NULL: not known */
  bool has_args;      /* args were looked up */
  VEC(struct arg) args;
};

/* ---- expansion --------------------------------------------------------------------- */
static void add_instance(struct elab *e, const struct probe_family *f, struct probe_point *pt,
                         const char *name, struct probe_insts *out)
{
  struct probe_point *canonical = NEW(e->a, struct probe_point);
  struct trace *tr = NEW(e->a, struct trace);
  tr->name = name;
  tr->system = target_tracepoint_system(e->target, name);
  canonical->loc = pt->loc;
  for (u32 i = 0; i < pt->parts.n; i++)
    vec_push(e->a, &canonical->parts, pt->parts.v[i]);
  canonical->parts.v[1].name = "trace";
  canonical->parts.v[1].str = tr->system ? arena_printf(e->a, "%s:%s", tr->system, name) : name;
  struct probe_inst *pi = probe_inst_new(e, f, canonical);
  pi->kind = PROG_RAW_TP;
  pi->attach = name;
  pi->priv = tr;
  vec_push(e->a, &out->v, pi);
}

/* Where tracefs can't be read any system is believed. */
static bool system_matches(struct elab *e, const char *pattern, const char *name)
{
  if (!pattern)
    return true;
  const char *system = target_tracepoint_system(e->target, name);
  return system ? probe_match(pattern, system) : !target_tracepoint_systems(e->target);
}

/* A known name in a wrong system is nearest to itself in the right one. */
static const char *no_match(struct elab *e, const char *system, const char *name)
{
  const char *const *names;
  u32 n = target_tracepoints(e->target, &names);
  VEC(const char *) near = {0};
  const char *right =
      target_tracepoint_proto(e->target, name) ? target_tracepoint_system(e->target, name) : NULL;
  if (right)
    return arena_printf(e->a, "no match (similar tracepoints: %s:%s)", right, name);
  for (u32 i = 0; i < n; i++)
    if (system_matches(e, system, names[i]))
      vec_push(e->a, &near, names[i]);
  bool all = !near.n; /* the system is misspelt too */
  for (u32 i = 0; all && i < n; i++)
    vec_push(e->a, &near, names[i]);
  const char *similar = near.n ? diag_similar(e->a, name, near.v, near.n, MAX_SIMILAR) : NULL;
  return similar ? arena_printf(e->a, "no match (similar tracepoints: %s)", similar) : "no match";
}

/* point = "kernel" "." "trace" "(" STRING ")";  STRING = [system ":"] name */
static int trace_expand(struct elab *e, struct probe_point *pt, struct probe_insts *out,
                        const char **why)
{
  extern const struct probe_family trace_family;
  const struct point_part *part = pt->parts.n > 1 ? &pt->parts.v[1] : NULL;
  if (!part || !probe_match(part->name, "trace") || !part->has_arg || !part->arg_is_string)
    return -1;
  if (pt->parts.n > 2) {
    *why = "invalid suffix for probe";
    e->why_part = &pt->parts.v[2];
    return -1;
  }
  const char *colon = strchr(part->str, ':');
  const char *name = colon ? colon + 1 : part->str;
  const char *system = colon ? arena_strndup(e->a, part->str, (size_t)(colon - part->str)) : NULL;
  u32 before = out->v.n;
  if (!target_btf(e->target)) {
    *why = e->target->btf_error;
    return 0;
  }
  if (!probe_wildcard(name)) {
    if (target_tracepoint_proto(e->target, name) && system_matches(e, system, name))
      add_instance(e, &trace_family, pt, name, out);
  } else {
    const char *const *names;
    u32 n = target_tracepoints(e->target, &names);
    target_tracepoint_systems(e->target);
    for (u32 i = 0; i < n; i++)
      if (probe_match(name, names[i]) && system_matches(e, system, names[i]))
        add_instance(e, &trace_family, pt, names[i], out);
  }
  if (out->v.n == before && !pt->optional) {
    *why = no_match(e, system, name);
    e->why_part = part;
  }
  return (int)(out->v.n - before);
}

/* ---- variables ----------------------------------------------------------------------- */
/* The tracepoint with its arguments, which most probes never ask for. */
static const struct trace *with_args(struct elab *e, const struct probe_inst *pi)
{
  struct trace *tr = pi->priv;
  if (tr->has_args)
    return tr;
  tr->has_args = true;
  u32 id = target_tracepoint_proto(e->target, tr->name);
  const struct btf_type *proto = id ? btf__type_by_id(target_btf(e->target), id) : NULL;
  for (u32 i = 1; proto && i < btf_vlen(proto); i++) {
    const struct btf_param *p = &btf_params(proto)[i];
    const char *name = btf__name_by_offset(e->target->btf, p->name_off);
    struct arg a = {
        .name = name && *name ? arena_printf(e->a, "$%s", name) : arena_printf(e->a, "$arg%u", i),
        .type = p->type,
        .word = i - 1,
    };
    vec_push(e->a, &tr->args, a);
  }
  return tr;
}

static void trace_vars(struct elab *e, struct probe_inst *pi, struct probe_vars *out)
{
  const struct trace *tr = with_args(e, pi);
  for (u32 i = 0; i < tr->args.n; i++)
    vec_push(
        e->a, &out->v,
        (struct probe_var){tr->args.v[i].name, target_type_name(e->target, tr->args.v[i].type)});
}

/* How much of a word an argument of a type is (CTX_ARG's imm2); -1: no number. */
static s64 word_part(struct elab *e, u32 type)
{
  u32 scalar = deref_scalar(e, type);
  if (!scalar)
    return -1;
  return (scalar & ~(u32)IR_READ_SIGNED) < 8 ? scalar : 0;
}

static bool is_pointer(struct elab *e, u32 type)
{
  const struct btf_type *ty = target_type_stripped(e->target, type);
  return ty && btf_is_ptr(ty);
}

static struct expr *arg_value(struct elab *e, const struct arg *a, const struct loc *loc)
{
  struct expr *x = op_fn(e, loc, &ir_builtins[FN_CTX_ARG], 0, NULL);
  x->name = a->name;
  x->imm = a->word;
  x->imm2 = word_part(e, a->type);
  return is_pointer(e, a->type) ? deref_typed(e, x, a->type, false, false) : x;
}

static struct deref_base arg_base(struct elab *e, const struct arg *a, const struct loc *loc)
{
  return (struct deref_base){.value = arg_value(e, a, loc), .type = a->type};
}

/* $$parms and $$vars: "prev=0xffff888100280000 next=…"; $$parms$ shows what pointers point at. */
static struct expr *all_args(struct elab *e, const struct probe_inst *pi, const struct loc *loc,
                             u32 depth)
{
  const struct trace *tr = with_args(e, pi);
  struct expr *x = sprint_new(e, loc);
  for (u32 i = 0; i < tr->args.n; i++) {
    const struct arg *a = &tr->args.v[i];
    struct deref_base base = arg_base(e, a, loc);
    sprint_text(e, x, arena_printf(e->a, "%s%s=", i ? " " : "", a->name + 1));
    if (word_part(e, a->type) < 0)
      sprint_text(e, x, "?");
    else if (depth)
      sprint_arg(e, x, "%s", deref_pretty(e, &base, loc, depth));
    else
      sprint_arg(e, x, deref_format(e, a->type), base.value);
  }
  return sprint_done(e, x);
}

static struct expr *unknown(struct elab *e, const struct probe_inst *pi, const struct expr *x)
{
  static const char *const whole[] = {"$$name", "$$parms", "$$system", "$$vars"};
  const struct trace *tr = with_args(e, pi);
  VEC(const char *) names = {0};
  struct strbuf b = {0};
  for (u32 i = 0; i < tr->args.n; i++)
    vec_push(e->a, &names, tr->args.v[i].name);
  for (u32 i = 0; i < ARRAY_SIZE(whole); i++)
    vec_push(e->a, &names, whole[i]);
  for (u32 i = 0; i < names.n; i++)
    sb_printf(&b, "%s%s", i ? ", " : "", names.v[i]);
  deref_error(e, &x->loc, x->target->name,
              "unable to find tracepoint variable '%s' (alternatives: %s)", x->target->name, b.s);
  sb_free(&b);
  return NULL;
}

static struct expr *whole_var(struct elab *e, struct probe_inst *pi, struct expr *x,
                              struct expr *store)
{
  const struct target_expr *t = x->target;
  const struct trace *tr = pi->priv;
  const char *name = t->name;
  bool is_name = !strcmp(name, "$$name"), is_system = !strcmp(name, "$$system");
  if (!is_name && !is_system && strcmp(name, "$$parms") && strcmp(name, "$$vars"))
    return unknown(e, pi, x);
  if (store)
    return deref_error(e, &x->loc, name, "write to tracepoint '%s' not permitted", name);
  if (t->addressof)
    return deref_error(e, &x->loc, name, "cannot take address of context variable");
  u32 depth = 0;
  for (u32 i = 0; i < t->suffix.n; i++) {
    if (t->suffix.v[i].kind == SUFFIX_ARROW)
      return deref_error(e, &x->loc, name,
                         "tracepoint variable '%s' may not be used as a structure", name);
    if (t->suffix.v[i].kind == SUFFIX_INDEX)
      return deref_error(e, &x->loc, name, "tracepoint variable '%s' may not be used as array",
                         name);
    if (is_name || is_system)
      return deref_error(e, &x->loc, name, "tracepoint variable '%s' may not be pretty-printed",
                         name);
    depth = (u32)strlen(t->suffix.v[i].name);
  }
  if (is_name)
    return op_str(e, &x->loc, tr->name);
  if (is_system)
    return op_str(e, &x->loc, tr->system ? tr->system : "");
  return all_args(e, pi, &x->loc, depth);
}

static struct expr *trace_target(struct elab *e, struct probe_inst *pi, struct expr *x,
                                 struct expr *store)
{
  const struct target_expr *t = x->target;
  if (!strncmp(t->name, "$$", 2))
    return whole_var(e, pi, x, store);
  const struct trace *tr = with_args(e, pi);
  const struct arg *a = NULL;
  for (u32 i = 0; i < tr->args.n && !a; i++)
    if (!strcmp(tr->args.v[i].name, t->name))
      a = &tr->args.v[i];
  if (!a)
    return unknown(e, pi, x);
  if (word_part(e, a->type) < 0)
    return deref_error(e, &x->loc, t->name,
                       "tracepoint variable '%s' can't be read: its type is '%s', passed by value",
                       t->name, target_type_name(e->target, a->type));
  if (!t->suffix.n && store)
    return deref_error(e, &x->loc, t->name, "write to tracepoint variable '%s' not permitted",
                       t->name);
  if (!t->suffix.n && t->addressof)
    return deref_error(e, &x->loc, t->name, "cannot take address of tracepoint variable");
  if (!t->suffix.n)
    return arg_value(e, a, &x->loc);
  if (!is_pointer(e, a->type) && t->suffix.v[0].kind != SUFFIX_PRETTY)
    return deref_error(e, &x->loc, t->name,
                       t->suffix.v[0].kind == SUFFIX_ARROW
                           ? "tracepoint variable '%s' may not be used as a structure"
                           : "tracepoint variable '%s' may not be used as array",
                       t->name);
  struct deref_base base = arg_base(e, a, &x->loc);
  return deref_path(e, &base, x, store);
}

const struct probe_family trace_family = {
    .name = "kernel.trace",
    .heads = (const char *const[]){"kernel", NULL},
    .forms = (const char *const[]){"kernel.trace(string)", NULL},
    .expand = trace_expand,
    .vars = trace_vars,
    .target = trace_target,
};

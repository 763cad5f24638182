/* @defined, @cast, @var, @const, @enum, @entry and the rest of the operators that speak of the
 * target; `$x` is given to the probe's family.  All end as E_OP trees, constants or globals.  */
#include "elaborate/state.h"

#include <asm/ptrace.h>
#include <bpf/btf.h>
#include <string.h>

#include "ir/ir.h"
#include "probe/deref.h"
#include "target/target.h"

/* Resolves the indexes of `->a[i]`. */
static bool resolve_suffixes(struct elab *e, struct scope *sc, struct expr *x)
{
  bool ok = true;
  for (u32 i = 0; i < x->target->suffix.n; i++)
    if (x->target->suffix.v[i].kind == SUFFIX_INDEX)
      ok &= resolve_expr(e, sc, &x->target->suffix.v[i].index);
  return ok;
}

/* The replacement may call functions that nobody has asked for yet. */
static bool replace(struct elab *e, struct scope *sc, struct expr **px, struct expr *with)
{
  if (!with)
    return false;
  *px = with;
  return resolve_expr(e, sc, px);
}

static bool resolve_var(struct elab *e, struct scope *sc, struct expr **px, struct expr *store)
{
  struct expr *x = *px;
  if (!resolve_suffixes(e, sc, x))
    return false;
  struct probe_inst *pi = sc->probe;
  if (!pi || !pi->family->target)
    return deref_error(e, &x->loc, x->target->name, "%s", "unresolved target-symbol expression");
  return replace(e, sc, px, pi->family->target(e, pi, x, store));
}

/* @var("x") is another spelling of $x; globals of the kernel have no types in BTF. */
static bool resolve_atvar(struct elab *e, struct scope *sc, struct expr **px, struct expr *store)
{
  struct target_expr *t = (*px)->target;
  if (t->module || strchr(t->name, '@'))
    return deref_error(e, &(*px)->loc, t->name,
                       "unable to find global '%s': the kernel's BTF doesn't describe variables",
                       t->name);
  t->name = arena_printf(e->a, "$%s", t->name);
  t->kind = TARGET_VAR;
  return resolve_var(e, sc, px, store);
}

static bool resolve_defined(struct elab *e, struct scope *sc, struct expr **px)
{
  struct expr *x = *px, *inner = expr_copy(e->a, x->a);
  e->defined_depth++;
  bool ok = resolve_expr(e, sc, &inner);
  e->defined_depth--;
  *px = op_num(e, &x->loc, ok);
  return true;
}

/* ---- @cast ------------------------------------------------------------------------------- */

/* "kernel", "kernel<linux/sched.h>": the kernel's types and memory.  "<sys/time.h>": a type that
 * a process has too; the kernel's BTF knows those that they share, laid out alike.  */
static bool cast_is_user(const char *module)
{
  return module && module[0] == '<';
}

static u32 cast_type(struct elab *e, const char *name)
{
  u32 id = target_type_find(e->target, name);
  for (u32 i = 0; !id && i < 2; i++)
    id = target_type_find(e->target, arena_printf(e->a, "%s %s", i ? "union" : "struct", name));
  return id;
}

static bool resolve_cast(struct elab *e, struct scope *sc, struct expr **px, struct expr *store)
{
  struct expr *x = *px;
  const char *module = x->target->module;
  if (!resolve_expr(e, sc, &x->a) || !resolve_suffixes(e, sc, x))
    return false;
  if (e->user_runtime)
    return deref_error(e, &x->loc, "@cast", "%s", "@cast reads memory that --runtime=user can't");
  if (module && strncmp(module, "kernel", 6) && !cast_is_user(module))
    return deref_error(e, &x->loc, "@cast",
                       "type definitions of '%s' can't be read; the kernel's can: leave the "
                       "module out, or name \"kernel\"",
                       module);
  if (!target_btf(e->target))
    return deref_error(e, &x->loc, "@cast", "%s", e->target->btf_error);
  struct deref_base base = {.value = x->a,
                            .type = cast_type(e, x->target->name),
                            .is_addr = true,
                            .user = cast_is_user(module)};
  if (!base.type)
    return deref_error(e, &x->loc, x->target->name, "type definition '%s' not found in 'kernel'",
                       x->target->name);
  if (!x->target->suffix.n && !x->target->addressof) {
    *px = deref_typed(e, x->a, base.type, true, base.user);
    return true;
  }
  return replace(e, sc, px, deref_path(e, &base, x, store));
}

/* ---- constants --------------------------------------------------------------------------- */

static bool resolve_const(struct elab *e, struct expr **px)
{
  struct expr *x = *px;
  const char *name = x->target->name;
  bool is_const = x->target->kind == TARGET_CONST;
  s64 value;
  if (is_const && !e->guru && !(x->loc.file && x->loc.file->is_tapset))
    return deref_error(e, &x->loc, name, "%s", "using @const operator not permitted; need stap -g");
  if (!target_enumerator(e->target, name, &value))
    return deref_error(e, &x->loc, name,
                       is_const ? "constant '%s' not found: the kernel's BTF has enumerators, but "
                                  "no macros"
                                : "enumerator '%s' not found in 'kernel'",
                       name);
  *px = op_num(e, &x->loc, value);
  return true;
}

static struct ir_flags *enum_names(struct elab *e, const struct btf_type *ty)
{
  struct ir_flags *f = NEW(e->a, struct ir_flags);
  struct ir_flag_name *v = NEW_ARRAY(e->a, struct ir_flag_name, btf_vlen(ty));
  for (u32 i = 0; i < btf_vlen(ty); i++) {
    bool wide = btf_is_enum64(ty);
    u32 name = wide ? btf_enum64(ty)[i].name_off : btf_enum(ty)[i].name_off;
    s64 value = wide            ? (s64)btf_enum64_value(&btf_enum64(ty)[i])
                : btf_kflag(ty) ? (s64)btf_enum(ty)[i].val
                                : (s64)(u32)btf_enum(ty)[i].val;
    v[i] = (struct ir_flag_name){~0ull, (u64)value, btf__name_by_offset(e->target->btf, name)};
  }
  f->n = btf_vlen(ty);
  f->v = v;
  f->rest = REST_SIGNED;
  return f;
}

static bool resolve_enumname(struct elab *e, struct scope *sc, struct expr **px)
{
  struct expr *x = *px;
  const char *name = x->target->name;
  if (!resolve_expr(e, sc, &x->a))
    return false;
  u32 id = target_type_find(e->target, name);
  if (!id)
    id = target_type_find(e->target, arena_printf(e->a, "enum %s", name));
  const struct btf_type *ty = target_type_stripped(e->target, id);
  if (!ty || !btf_is_any_enum(ty))
    return deref_error(e, &x->loc, name, "enumeration '%s' not found in 'kernel'", name);
  struct expr *text = op_fn(e, &x->loc, &ir_builtins[FN_ENUM_STR], 1, &x->a);
  text->name = "@enumname";
  text->flags = enum_names(e, ty);
  *px = text;
  return true;
}

/* ---- memory and registers ------------------------------------------------------------------ */

static bool resolve_deref(struct elab *e, struct scope *sc, struct expr **px)
{
  struct expr *x = *px;
  bool user = x->target->kind == TARGET_UDEREF;
  const char *name = user ? "@uderef" : "@kderef";
  s64 size;
  if (!resolve_expr(e, sc, &x->a) || !resolve_expr(e, sc, &x->b))
    return false;
  if (e->user_runtime)
    return deref_error(e, &x->loc, name, "%s reads memory that --runtime=user can't", name);
  if (!fold_const(e, &x->a) || !expr_const(x->a, &size) ||
      (size != 1 && size != 2 && size != 4 && size != 8))
    return deref_error(e, &x->loc, name, "%s: size must be 1, 2, 4 or 8", name);
  struct expr *load = op_fn(e, &x->loc, &ir_builtins[user ? FN_UREAD : FN_KREAD], 1, &x->b);
  load->imm = size;
  load->name = name;
  *px = load;
  return true;
}

/* Registers by their DWARF numbers, of a process that is in a system call. */
static bool resolve_register(struct elab *e, struct scope *sc, struct expr **px)
{
  static const u32 offset[] = {
      offsetof(struct pt_regs, rax), offsetof(struct pt_regs, rdx), offsetof(struct pt_regs, rcx),
      offsetof(struct pt_regs, rbx), offsetof(struct pt_regs, rsi), offsetof(struct pt_regs, rdi),
      offsetof(struct pt_regs, rbp), offsetof(struct pt_regs, rsp), offsetof(struct pt_regs, r8),
      offsetof(struct pt_regs, r9),  offsetof(struct pt_regs, r10), offsetof(struct pt_regs, r11),
      offsetof(struct pt_regs, r12), offsetof(struct pt_regs, r13), offsetof(struct pt_regs, r14),
      offsetof(struct pt_regs, r15), offsetof(struct pt_regs, rip),
  };
  struct expr *x = *px;
  bool user = x->target->kind == TARGET_UREGISTER;
  const char *name = user ? "@uregister" : "@kregister";
  const struct probe_inst *pi = sc->probe;
  s64 n;
  if (!resolve_expr(e, sc, &x->a))
    return false;
  if (!fold_const(e, &x->a) || !expr_const(x->a, &n) || n < 0 || n >= (s64)ARRAY_SIZE(offset))
    return deref_error(e, &x->loc, name, "%s: register number must be 0 to %d", name,
                       (int)ARRAY_SIZE(offset) - 1);
  if (!user || !pi || (pi->kind != PROG_SYSCALL_ENTER && pi->kind != PROG_SYSCALL_EXIT))
    return deref_error(e, &x->loc, name, "%s: no registers are known here", name);
  struct expr *reg = op_fn(e, &x->loc, &ir_builtins[FN_CTX_REG], 0, NULL);
  reg->imm = offset[n];
  *px = reg;
  return true;
}

/* ---- @entry ---------------------------------------------------------------------------------- */

static enum prog_kind entry_kind(enum prog_kind kind)
{
  switch (kind) {
  case PROG_SYSCALL_EXIT:
    return PROG_SYSCALL_ENTER;
  case PROG_KRETPROBE:
    return PROG_KPROBE;
  case PROG_FEXIT:
    return PROG_FENTRY;
  case PROG_URETPROBE:
    return PROG_UPROBE;
  default:
    return kind;
  }
}

/* The point without ".return". */
static struct probe_point *entry_point(struct elab *e, const struct probe_point *pt)
{
  struct probe_point *copy = NEW(e->a, struct probe_point);
  *copy = *pt;
  for (u32 i = 0; i < pt->parts.n; i++)
    if (!strcmp(pt->parts.v[i].name, "return"))
      copy->parts.n = i;
  return copy;
}

static const char *point_text(struct elab *e, const struct probe_point *pt)
{
  struct strbuf b = {0};
  ast_print_point(&b, pt);
  const char *s = arena_strdup(e->a, b.s);
  sb_free(&b);
  return s;
}

static struct expr *element(struct elab *e, struct gsym *g, const struct loc *loc)
{
  struct expr *x = expr_new(e->a, E_INDEX, loc);
  x->name = g->g.name;
  x->global = &g->g;
  vec_push(e->a, &x->args, op_fn(e, loc, &ir_builtins[FN_TID], 0, NULL));
  return x;
}

static struct stmt *assignment(struct elab *e, struct expr *to, struct expr *value,
                               const struct loc *loc)
{
  struct stmt *s = stmt_new(e->a, S_EXPR, loc);
  s->e = expr_new(e->a, E_ASSIGN, loc);
  s->e->a = to;
  s->e->b = value;
  return s;
}

/* A probe of the entry keeps the value by thread; the return probe begins with taking it out. */
struct expr *entry_value(struct elab *e, struct probe_inst *pi, struct expr *value,
                         const struct loc *loc)
{
  struct scope *sc = e->st->scope;
  u32 n = e->st->next_synth++;
  const char *name = arena_printf(e->a, "__entry_%u", n);
  struct gsym *g = elab_synth_global(e, arena_printf(e->a, "__entries_%u", n), 1);
  struct probe_inst *entry = NEW(e->a, struct probe_inst);
  struct stmt *forget = stmt_new(e->a, S_DELETE, loc);
  struct expr *x = expr_new(e->a, E_SYM, loc);
  *entry = *pi;
  entry->kind = entry_kind(pi->kind);
  entry->is_return = false;
  entry->point = entry_point(e, pi->point);
  entry->pp = point_text(e, entry->point);
  entry->cond = NULL;
  entry->from_tapset = true;
  memset(&entry->locals, 0, sizeof(entry->locals));
  entry->body = stmt_new(e->a, S_BLOCK, loc);
  vec_push(e->a, &entry->body->body, assignment(e, element(e, g, loc), value, loc));
  vec_push(e->a, &e->prog->probes, entry);
  g->g.decl->wrap = true; /* threads that die in a call leave theirs behind */
  struct lsym *l = scope_local(e, sc, name, loc);
  l->from_entry = true;
  x->name = name;
  x->local = &l->l;
  forget->e = element(e, g, loc);
  vec_push(e->a, &sc->prefix, assignment(e, x, element(e, g, loc), loc));
  vec_push(e->a, &sc->prefix, forget);
  return x;
}

static bool resolve_entry(struct elab *e, struct scope *sc, struct expr **px)
{
  struct expr *x = *px;
  if (!sc->probe || !sc->probe->is_return || sc->in_cond)
    return deref_error(e, &x->loc, "@entry", "%s", "@entry is only valid in .return probes");
  if (e->defined_depth)
    return true;
  *px = entry_value(e, sc->probe, x->a, &x->loc);
  return true;
}

/* ---- @probewrite ------------------------------------------------------------------------------
 */

struct write_search {
  const char *name;
  bool found;
};

static const char *written_name(const struct expr *x)
{
  if (x->kind != E_ASSIGN && x->kind != E_INCDEC)
    return NULL;
  return x->a->kind == E_SYM                                          ? x->a->name
         : x->a->kind == E_TARGET && x->a->target->kind == TARGET_VAR ? x->a->target->name
                                                                      : NULL;
}

static bool find_write(struct expr **px, void *arg)
{
  struct write_search *w = arg;
  const char *name = written_name(*px);
  w->found |= name && !strcmp(name, w->name);
  return true;
}

static bool resolve_probewrite(struct elab *e, struct scope *sc, struct expr **px)
{
  struct expr *x = *px;
  struct write_search w = {.name = x->a->kind == E_TARGET ? x->a->target->name : x->a->name};
  if (!w.name || !sc->probe)
    return deref_error(e, &x->loc, "@probewrite", "%s", "@probewrite takes a variable of a probe");
  if (sc->probe->own_body)
    stmt_walk(sc->probe->own_body, find_write, &w);
  *px = op_num(e, &x->loc, w.found);
  return true;
}

/* ---- all
 * ----------------------------------------------------------------------------------------- */

bool resolve_target(struct elab *e, struct scope *sc, struct expr **px, struct expr *store)
{
  struct expr *x = *px;
  const struct target_expr *t = x->target;
  if (store && t->kind != TARGET_VAR && t->kind != TARGET_CAST && t->kind != TARGET_AUTOCAST)
    return deref_error(e, &x->loc, x->name, "%s can't be assigned to", x->name);
  switch (t->kind) {
  case TARGET_VAR:
    return resolve_var(e, sc, px, store);
  case TARGET_CAST:
    return resolve_cast(e, sc, px, store);
  case TARGET_DEFINED:
    return resolve_defined(e, sc, px);
  case TARGET_ENTRY:
    return resolve_entry(e, sc, px);
  case TARGET_PROBEWRITE:
    return resolve_probewrite(e, sc, px);
  case TARGET_CONST:
  case TARGET_ENUM:
    return resolve_const(e, px);
  case TARGET_ENUMNAME:
    return resolve_enumname(e, sc, px);
  case TARGET_KDEREF:
  case TARGET_UDEREF:
    return resolve_deref(e, sc, px);
  case TARGET_KREGISTER:
  case TARGET_UREGISTER:
    return resolve_register(e, sc, px);
  case TARGET_ATVAR:
    return resolve_atvar(e, sc, px, store);
  case TARGET_PERF:
    return deref_error(e, &x->loc, t->name, "perf counter '%s' not defined", t->name);
  case TARGET_AUTOCAST:
    if (!resolve_expr(e, sc, &x->a) || !resolve_suffixes(e, sc, x))
      return false;
    return replace(e, sc, px, resolve_autocast(e, x, store));
  }
  return deref_error(e, &x->loc, x->name, "%s", "unresolved target-symbol expression");
}

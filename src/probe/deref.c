/* The walk over kernel types.
 *
 * A walk stands at a place: an address, kept as an expression and a constant offset so that
 * `->a->b` of nested structures adds once, or a value in a register; and the BTF type of what is
 * there.  Suffixes move it; at its end the object is loaded, or its address taken.  */
#include "probe/deref.h"

#include <bpf/btf.h>
#include <string.h>

#include "elaborate/state.h"
#include "target/target.h"

enum { MAX_POINTERS = 8 }; /* "->" goes through a pointer to a pointer, but not for ever */

struct place {
  struct expr *base; /* address without `off`, or the value */
  s64 off;
  u32 type;
  u32 bit_off, bit_size; /* a bit-field, counted from the address */
  bool is_addr, user;
  const struct loc *loc;
  const char *token;
};

struct expr *deref_error(struct elab *e, const struct loc *loc, const char *token, const char *fmt,
                         ...)
{
  if (e->defined_depth)
    return NULL;
  va_list ap;
  va_start(ap, fmt);
  const char *msg = arena_vprintf(e->a, fmt, ap);
  va_end(ap);
  diag_at(e->diag, DIAG_SEMANTIC_ERROR, loc, NULL, token, "%s", msg);
  return NULL;
}

const char *deref_format(struct elab *e, u32 type)
{
  (void)e, (void)type;
  return "0x%x";
}

/* ---- types ----------------------------------------------------------------------------- */

static u32 kind_of(struct elab *e, u32 id)
{
  const struct btf_type *ty = target_type_stripped(e->target, id);
  return ty ? btf_kind(ty) : BTF_KIND_UNKN;
}

/* Bytes of an object; 0: not known (void, functions, declarations). */
static u32 size_of(struct elab *e, u32 id)
{
  s64 n = id && target_btf(e->target) ? btf__resolve_size(e->target->btf, id) : 0;
  return n > 0 && n < INT32_MAX ? (u32)n : 0;
}

/* What a pointer points at; *user is set when it is marked as a process's. */
static u32 pointee(struct elab *e, u32 pointer, bool *user)
{
  const struct btf_type *ty = target_type_stripped(e->target, pointer);
  u32 to = ty && btf_is_ptr(ty) ? ty->type : 0;
  for (u32 id = to; id;) {
    const struct btf_type *mod = btf__type_by_id(e->target->btf, id);
    if (!mod || !(btf_is_mod(mod) || btf_is_type_tag(mod)))
      break;
    if (btf_is_type_tag(mod) && !strcmp(btf__name_by_offset(e->target->btf, mod->name_off), "user"))
      *user = true;
    id = mod->type;
  }
  return to;
}

u32 deref_scalar(struct elab *e, u32 id)
{
  const struct btf_type *ty = target_type_stripped(e->target, id);
  bool is_signed = false;
  if (!ty)
    return 0;
  switch (btf_kind(ty)) {
  case BTF_KIND_PTR:
    return 8;
  case BTF_KIND_INT:
    is_signed = btf_int_encoding(ty) & BTF_INT_SIGNED;
    break;
  case BTF_KIND_ENUM:
  case BTF_KIND_ENUM64:
    is_signed = btf_kflag(ty);
    break;
  default:
    return 0;
  }
  if (ty->size != 1 && ty->size != 2 && ty->size != 4 && ty->size != 8)
    return 0;
  return ty->size | (is_signed ? IR_READ_SIGNED : 0);
}

/* ---- expressions ------------------------------------------------------------------------ */

static struct expr *typed(struct expr *x)
{
  x->type = TY_LONG;
  return x;
}

static struct expr *binary(struct elab *e, const struct loc *loc, enum op op, struct expr *a, s64 n)
{
  return n || op == OP_AND ? typed(op_binary(e, loc, op, a, op_num(e, loc, n))) : a;
}

static struct expr *address(struct elab *e, const struct place *p)
{
  return binary(e, p->loc, OP_ADD, p->base, p->off);
}

static struct expr *memory(struct elab *e, const struct place *p, s64 off, u32 size)
{
  struct expr *at = binary(e, p->loc, OP_ADD, p->base, off);
  struct expr *x = op_fn(e, p->loc, &ir_builtins[p->user ? FN_UREAD : FN_KREAD], 1, &at);
  x->imm = size;
  x->name = p->user ? "@uderef" : "@kderef";
  return x;
}

/* The smallest aligned load that holds all bits, then two shifts. */
static struct expr *load_bits(struct elab *e, const struct place *p)
{
  bool is_signed = deref_scalar(e, p->type) & IR_READ_SIGNED;
  u32 size = 1, start = p->bit_off;
  while (size < 8 && start / (8 * size) != (start + p->bit_size - 1) / (8 * size))
    size *= 2;
  u32 first = start / (8 * size) * (8 * size), left = 64 - (start - first) - p->bit_size;
  struct expr *x = memory(e, p, p->off + first / 8, size);
  x = binary(e, p->loc, OP_SHL, x, left);
  return binary(e, p->loc, is_signed ? OP_SHR : OP_USHR, x, 64 - p->bit_size);
}

struct expr *deref_typed(struct elab *e, struct expr *x, u32 type, bool is_addr, bool user)
{
  struct pointee *p = NEW(e->a, struct pointee);
  *p = (struct pointee){type, is_addr, user};
  x->points = p;
  return x;
}

/* The value at the end of a walk. */
static struct expr *load(struct elab *e, const struct place *p)
{
  u32 kind = kind_of(e, p->type), size = deref_scalar(e, p->type);
  if (!p->is_addr)
    return p->base;
  if (kind == BTF_KIND_ARRAY)
    return address(e, p);
  if (p->bit_size)
    return load_bits(e, p);
  if (size)
    return memory(e, p, p->off, size);
  const char *name = target_type_name(e->target, p->type);
  if (kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION)
    return deref_error(e, p->loc, p->token,
                       "'%s' is not a number: name one of its members, take its address with '&' "
                       "or print it with '$'",
                       name);
  return deref_error(e, p->loc, p->token, "a value of type '%s' can't be read", name);
}

/* ---- steps ------------------------------------------------------------------------------ */

/* From a pointer to what it points at. */
static bool follow(struct elab *e, struct place *p)
{
  struct expr *value = load(e, p);
  if (!value)
    return false;
  u32 to = pointee(e, p->type, &p->user);
  *p = (struct place){.base = value,
                      .type = to,
                      .is_addr = true,
                      .user = p->user,
                      .loc = p->loc,
                      .token = p->token};
  return true;
}

static bool step_member(struct elab *e, struct place *p, const char *name)
{
  struct cmember m;
  const char *similar = NULL;
  for (u32 i = 0; i < MAX_POINTERS && kind_of(e, p->type) == BTF_KIND_PTR; i++)
    if (!follow(e, p))
      return false;
  const char *type = p->type ? target_type_name(e->target, p->type) : "void";
  u32 kind = kind_of(e, p->type);
  if (kind == BTF_KIND_FWD) {
    deref_error(e, p->loc, name, "unresolved type '%s': the kernel's BTF only declares it", type);
    return false;
  }
  if (!p->is_addr || (kind != BTF_KIND_STRUCT && kind != BTF_KIND_UNION)) {
    deref_error(e, p->loc, name, "invalid access '->%s' vs '%s'", name, type);
    return false;
  }
  if (!target_member(e->target, p->type, name, &m, &similar)) {
    deref_error(e, p->loc, name, "unable to find member '%s' for %s%s%s%s", name, type,
                similar ? " (alternatives: " : "", similar ? similar : "", similar ? ")" : "");
    return false;
  }
  p->type = m.type;
  p->bit_size = m.bit_size;
  p->bit_off = m.bit_size ? m.bit_off % 64 : 0;
  p->off += (m.bit_size ? m.bit_off / 64 * 64 : m.bit_off) / 8;
  return true;
}

static bool step_index(struct elab *e, struct place *p, struct expr *index, bool first)
{
  u32 kind = kind_of(e, p->type), elem = p->type;
  bool user = p->user;
  if (kind == BTF_KIND_PTR) {
    elem = pointee(e, p->type, &user);
    if (!follow(e, p))
      return false;
  } else if (kind == BTF_KIND_ARRAY && p->is_addr) {
    elem = btf_array(target_type_stripped(e->target, p->type))->type;
  } else if (!first || !p->is_addr) { /* what a cast points at can be an array */
    deref_error(e, p->loc, p->token, "invalid array access of '%s'",
                target_type_name(e->target, p->type));
    return false;
  }
  u32 size = size_of(e, elem);
  if (!size) {
    deref_error(e, p->loc, p->token, "invalid array access of '%s', whose size isn't known",
                elem ? target_type_name(e->target, elem) : "void");
    return false;
  }
  p->type = elem;
  if (index->kind == E_NUM)
    p->off += index->num * (s64)size;
  else
    p->base = typed(op_binary(e, p->loc, OP_ADD, p->base,
                              size == 1 ? index : binary(e, p->loc, OP_MUL, index, size)));
  return true;
}

struct expr *deref_path(struct elab *e, const struct deref_base *base, struct expr *target,
                        struct expr *store)
{
  const struct target_expr *t = target->target;
  struct place p = {
      .base = base->value,
      .type = base->type,
      .is_addr = base->is_addr,
      .user = base->user,
      .loc = &target->loc,
      .token = t->name ? t->name : target->name,
  };
  for (u32 i = 0; i < t->suffix.n; i++) {
    const struct target_suffix *s = &t->suffix.v[i];
    if (s->kind == SUFFIX_PRETTY) {
      struct deref_base at = {.value = p.is_addr ? address(e, &p) : p.base,
                              .type = p.type,
                              .is_addr = p.is_addr,
                              .user = p.user};
      if (p.bit_size || (p.is_addr && kind_of(e, p.type) == BTF_KIND_PTR))
        at = (struct deref_base){.value = load(e, &p), .type = p.type, .user = p.user};
      if (store || t->addressof)
        return deref_error(e, p.loc, p.token, "a pretty-printed value is a string, not a place");
      return at.value ? deref_pretty(e, &at, p.loc, (u32)strlen(s->name)) : NULL;
    }
    if (s->kind == SUFFIX_ARROW ? !step_member(e, &p, s->name)
                                : !step_index(e, &p, s->index, i == 0))
      return NULL;
  }
  if (store)
    return deref_error(e, p.loc, p.token, "write to %s memory not permitted: probes only read it",
                       p.user ? "process" : "kernel");
  u32 kind = kind_of(e, p.type);
  if (!t->addressof) {
    struct expr *x = load(e, &p);
    if (x && (kind == BTF_KIND_PTR || kind == BTF_KIND_ARRAY))
      deref_typed(e, x, p.type, kind == BTF_KIND_ARRAY, p.user);
    return x;
  }
  if (!p.is_addr || p.bit_size)
    return deref_error(e, p.loc, p.token, "cannot take address of %s",
                       p.bit_size ? "a bit-field" : "a value in a register");
  return deref_typed(e, address(e, &p), p.type, true, p.user);
}

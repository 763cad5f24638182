/* `$x$` and `$x$$`: a value with its members as text.
 *
 * Every type that is printed becomes a function of the script, made once: it takes the address (or
 * the value, of what is no structure), and a try block in it turns a fault into "ERROR".  */
#include <bpf/btf.h>
#include <string.h>

#include "elaborate/state.h"
#include "probe/deref.h"
#include "probe/sprint.h"
#include "target/target.h"

enum {
  MAX_ELEMENTS = 10, /* of an array; "..." stands for the rest */
  MAX_TEXT = 1024,   /* no member is added behind the shortest text of this length */
};

struct printer {
  struct elab *e;
  struct expr *text; /* sprintf() that grows */
  const struct loc *loc;
  struct expr *base; /* the function's parameter */
  bool user;
  u32 length; /* of the text, at least */
};

static struct btf *btf_of(struct printer *p)
{
  return p->e->target->btf;
}

static const struct btf_type *stripped(struct printer *p, u32 id)
{
  return target_type_stripped(p->e->target, id);
}

static void put(struct printer *p, const char *text)
{
  p->length += (u32)strlen(text);
  sprint_text(p->e, p->text, text);
}

static void put_value(struct printer *p, const char *fmt, struct expr *value)
{
  p->length++;
  sprint_arg(p->e, p->text, fmt, value);
}

/* u8 and s8, "unsigned char" and "signed char", are numbers. */
static bool is_char(struct printer *p, u32 id)
{
  const struct btf_type *ty = stripped(p, id);
  const char *name = ty ? btf__name_by_offset(btf_of(p), ty->name_off) : NULL;
  return ty && btf_is_int(ty) && ty->size == 1 && name && !strcmp(name, "char");
}

static struct expr *at(struct printer *p, s64 off)
{
  if (!off)
    return p->base;
  struct expr *x = op_binary(p->e, p->loc, OP_ADD, p->base, op_num(p->e, p->loc, off));
  x->type = TY_LONG;
  return x;
}

/* ---- values in registers ------------------------------------------------------------------- */

static const char *number_format(const struct btf_type *ty)
{
  if (btf_is_ptr(ty))
    return "0x%x";
  bool is_signed = btf_is_int(ty) ? btf_int_encoding(ty) & BTF_INT_SIGNED : btf_kflag(ty);
  return is_signed ? "%d" : "%u";
}

static struct expr *string_at(struct printer *p, struct expr *addr)
{
  enum ir_fn_id fn = p->user ? FN_USER_STRING_QUOTED : FN_KERNEL_STRING_QUOTED;
  return op_fn(p->e, p->loc, &ir_builtins[fn], 1, &addr);
}

static void put_scalar(struct printer *p, u32 id, struct expr *value)
{
  const struct btf_type *ty = stripped(p, id);
  if (btf_is_ptr(ty) && is_char(p, ty->type))
    put_value(p, "%s", string_at(p, value));
  else if (is_char(p, id))
    put_value(p, "'%c'", value);
  else
    put_value(p, number_format(ty), value);
}

/* ---- objects in memory ------------------------------------------------------------------------
 */

static void put_object(struct printer *p, u32 id, s64 off, u32 depth);

/* A member, or an element, that deref_path() would load. */
static void put_loaded(struct printer *p, u32 id, s64 off)
{
  static const struct target_expr none = {.name = "pretty"};
  struct deref_base base = {.value = at(p, off), .type = id, .is_addr = true, .user = p->user};
  struct expr *x = expr_new(p->e->a, E_TARGET, p->loc);
  x->target = (struct target_expr *)&none;
  put_scalar(p, id, deref_path(p->e, &base, x, NULL));
}

/* deref_path() finds bit-fields by name. */
static void put_bits(struct printer *p, u32 structure, const char *name, u32 id, s64 off)
{
  struct deref_base base = {
      .value = at(p, off), .type = structure, .is_addr = true, .user = p->user};
  struct expr *x = expr_new(p->e->a, E_TARGET, p->loc);
  struct target_suffix s = {.kind = SUFFIX_ARROW, .name = name};
  x->target = NEW(p->e->a, struct target_expr);
  x->target->name = "pretty";
  vec_push(p->e->a, &x->target->suffix, s);
  put_scalar(p, id, deref_path(p->e, &base, x, NULL));
}

static void put_members(struct printer *p, u32 id, s64 off, u32 depth, bool *first)
{
  u32 structure = target_type_strip(p->e->target, id);
  const struct btf_type *ty = stripped(p, id);
  for (u32 i = 0; i < btf_vlen(ty) && p->length < MAX_TEXT; i++) {
    const struct btf_member *m = &btf_members(ty)[i];
    const char *name = btf__name_by_offset(btf_of(p), m->name_off);
    s64 at_off = off + btf_member_bit_offset(ty, i) / 8;
    const struct btf_type *mty = stripped(p, m->type);
    if (!mty)
      continue;
    if (!name || !*name) {
      if (btf_is_composite(mty))
        put_members(p, m->type, at_off, depth, first);
      continue;
    }
    put(p, *first ? "." : ", .");
    *first = false;
    put(p, name);
    put(p, "=");
    if (btf_member_bitfield_size(ty, i))
      put_bits(p, structure, name, m->type, off);
    else
      put_object(p, m->type, at_off, depth - 1);
  }
}

static void put_array(struct printer *p, const struct btf_array *a, s64 off, u32 depth)
{
  s64 size = btf__resolve_size(btf_of(p), a->type);
  if (is_char(p, a->type) && a->nelems) {
    enum ir_fn_id fn = p->user ? FN_USER_STRING_N : FN_KERNEL_STRING_N;
    struct expr *s = op_fn(p->e, p->loc, &ir_builtins[fn], 2,
                           (struct expr *[]){at(p, off), op_num(p->e, p->loc, a->nelems)});
    put_value(p, "%s", op_fn(p->e, p->loc, &ir_builtins[FN_STRING_QUOTED], 1, &s));
    return;
  }
  if (!depth || size <= 0) {
    put(p, "[...]");
    return;
  }
  put(p, "[");
  for (u32 i = 0; i < a->nelems && p->length < MAX_TEXT; i++) {
    if (i)
      put(p, ", ");
    if (i == MAX_ELEMENTS) {
      put(p, "...");
      break;
    }
    put_object(p, a->type, off + size * i, depth - 1);
  }
  put(p, "]");
}

static void put_object(struct printer *p, u32 id, s64 off, u32 depth)
{
  const struct btf_type *ty = stripped(p, id);
  bool first = true;
  switch (ty ? btf_kind(ty) : BTF_KIND_UNKN) {
  case BTF_KIND_STRUCT:
  case BTF_KIND_UNION:
    if (!depth) {
      put(p, "{...}");
      return;
    }
    put(p, "{");
    put_members(p, id, off, depth, &first);
    put(p, "}");
    return;
  case BTF_KIND_ARRAY:
    put_array(p, btf_array(ty), off, depth);
    return;
  case BTF_KIND_INT:
  case BTF_KIND_PTR:
  case BTF_KIND_ENUM:
  case BTF_KIND_ENUM64:
    if (ty->size <= 8 || btf_is_ptr(ty)) {
      put_loaded(p, id, off);
      return;
    }
    break;
  }
  put(p, "?");
}

/* ---- the function -------------------------------------------------------------------------------
 */

static struct stmt *return_block(struct elab *e, const struct loc *loc, struct expr *x)
{
  struct stmt *block = stmt_new(e->a, S_BLOCK, loc), *s = stmt_new(e->a, S_RETURN, loc);
  s->e = x;
  vec_push(e->a, &block->body, s);
  return block;
}

static struct fsym *function_new(struct elab *e, const struct loc *loc)
{
  struct fsym *f = NEW(e->a, struct fsym);
  struct func_decl *d = NEW(e->a, struct func_decl);
  struct lsym *param = NEW(e->a, struct lsym);
  d->name = arena_printf(e->a, "__pretty_%u", e->st->next_synth++);
  d->type = TY_STRING;
  d->loc = *loc;
  vec_push(e->a, &d->params, (struct param){.name = "value", .type = TY_LONG, .loc = *loc});
  param->l = (struct sym_local){.name = "value", .type = TY_LONG, .loc = *loc, .is_param = true};
  param->type_loc = *loc;
  f->f.decl = d;
  f->f.name = d->name;
  f->f.type = TY_STRING;
  f->f.from_tapset = true;
  f->type_loc = *loc;
  f->synthetic = true;
  vec_push(e->a, &f->f.params, &param->l);
  vec_push(e->a, &e->st->all_funcs, f);
  return f;
}

/* A number in a register can be shown where it is. */
static bool is_plain(struct printer *p, const struct deref_base *base)
{
  const struct btf_type *ty = stripped(p, base->type);
  if (base->is_addr || !ty)
    return false;
  if (!btf_is_ptr(ty))
    return !btf_is_composite(ty) && !btf_is_array(ty);
  const struct btf_type *to = stripped(p, ty->type);
  return !is_char(p, ty->type) && !(to && btf_is_composite(to));
}

static void fill_function(struct elab *e, struct fsym *f, const struct deref_base *base, u32 depth,
                          const struct loc *loc)
{
  struct printer p = {.e = e, .loc = loc, .text = sprint_new(e, loc), .user = base->user};
  p.base = expr_new(e->a, E_SYM, loc);
  p.base->name = "value";
  p.base->type = TY_LONG;
  p.base->local = f->f.params.v[0];
  const struct btf_type *ty = stripped(&p, base->type);
  const struct btf_type *to = ty && btf_is_ptr(ty) ? stripped(&p, ty->type) : NULL;
  if (base->is_addr)
    put_object(&p, base->type, 0, depth);
  else if (to && btf_is_composite(to))
    put_object(&p, ty->type, 0, depth);
  else
    put_scalar(&p, base->type, p.base);
  struct stmt *try = stmt_new(e->a, S_TRY, loc);
  try->then = return_block(e, loc, sprint_done(e, p.text));
  try->els = return_block(e, loc, op_str(e, loc, "ERROR"));
  f->f.body = try;
}

struct expr *deref_pretty(struct elab *e, const struct deref_base *base, const struct loc *loc,
                          u32 depth)
{
  if (!target_btf(e->target))
    return deref_error(e, loc, NULL, "%s", e->target->btf_error);
  struct printer plain = {.e = e, .loc = loc, .text = sprint_new(e, loc)};
  if (is_plain(&plain, base)) {
    put_scalar(&plain, base->type, base->value);
    return sprint_done(e, plain.text);
  }
  const char *key =
      arena_printf(e->a, "pretty %u %u %d %d", base->type, depth, base->is_addr, base->user);
  struct fsym *f = strmap_get(&e->st->synth, key);
  if (!f) {
    f = function_new(e, loc);
    strmap_put(&e->st->synth, key, f);
    fill_function(e, f, base, depth, &f->f.decl->loc);
  }
  struct expr *x = expr_new(e->a, E_CALL, loc);
  x->name = f->f.name;
  x->type = TY_STRING;
  x->func = &f->f;
  vec_push(e->a, &x->args, base->value);
  return x;
}

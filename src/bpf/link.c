/* Lays out a unit's subprograms and the runtime functions that they reach as one program.
 *
 * A work list starts with the entry point; resolving an item's relocations adds what they name.
 * A runtime template is copied once for each different set of parameters.  Runtime functions come
 * from arrays that rtgen made when the project was built.
 *
 * The verifier knows a global function by its BTF alone, so the types of all functions (one
 * set per image: the frame's size is in them) are made here.  */
#include <bpf/btf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/bpf.h"
#include "runtime/rt.h"
#include "runtime/rt_const.h"
#include "runtime/rt_image.h"

#include "rt_image.inc"

struct item {
  struct bpf_sub *sub; /* or */
  const struct rt_func *rt;
  const struct bpf_rt_params *params; /* templates */
  u32 start;
};
struct call { /* an instruction that names another item */
  u32 insn, item;
  bool address; /* ld_imm64 of a callback; else a call */
};
struct linker {
  struct bpf_image *img;
  struct bpf_unit *u;
  struct diag *d;
  struct bpf_linked *out;
  VEC(struct item) items;
  VEC(struct call) calls;
};

/* ---- types -------------------------------------------------------------------- */

static u32 add_func(struct btf *btf, const char *name, bool global, u32 frame, u32 nargs, u32 word)
{
  static const char *const arg[] = {"a", "b", "c", "d", "e"};
  btf__add_func_proto(btf, (int)word);
  for (u32 i = 0; i < nargs; i++)
    btf__add_func_param(btf, i || !frame ? arg[i] : "f", i || !frame ? (int)word : (int)frame);
  u32 proto = btf__type_cnt(btf) - 1;
  return (u32)btf__add_func(btf, name, global ? BTF_FUNC_GLOBAL : BTF_FUNC_STATIC, (int)proto);
}

static struct bpf_types *make_types(struct bpf_image *img)
{
  struct bpf_types *t = NEW(img->a, struct bpf_types);
  struct btf *btf = t->btf = btf__new_empty();
  t->rt_id = NEW_ARRAY(img->a, u32, ARRAY_SIZE(rt_funcs));
  u32 word = (u32)btf__add_int(btf, "u64", 8, 0);
  u32 mem = (u32)btf__add_struct(btf, "rt_mem", img->frame_size);
  u32 frame = (u32)btf__add_ptr(btf, (int)mem);
  u32 ctx = (u32)btf__add_ptr(btf, 0);
  for (u32 i = 0; i < ARRAY_SIZE(rt_funcs); i++) {
    const struct rt_func *f = &rt_funcs[i];
    t->rt_id[i] = add_func(btf, f->name, f->global, f->takes_frame ? frame : 0, f->nargs, word);
  }
  for (u32 g = 0; g < 2; g++)
    for (u32 n = 0; n < 6; n++) {
      t->sub_id[g][0][n] = add_func(btf, g ? "script_fn" : "callback", g, 0, n, word);
      t->sub_id[g][1][n] = n ? add_func(btf, "script_fn", g, frame, n, word) : 0;
    }
  t->main_id = add_func(btf, "handler", true, ctx, 1, word);
  return t;
}

/* ---- items -------------------------------------------------------------------- */

static bool same_params(const struct bpf_rt_params *a, const struct bpf_rt_params *b)
{
  return a == b || (a && b && !memcmp(a, b, sizeof(*a)));
}

static u32 item_of(struct linker *l, struct item want)
{
  for (u32 i = 0; i < l->items.n; i++) {
    const struct item *it = &l->items.v[i];
    if (it->sub == want.sub && it->rt == want.rt && same_params(it->params, want.params))
      return i;
  }
  vec_push(l->img->a, &l->items, want);
  return l->items.n - 1;
}

static void refer(struct linker *l, u32 insn, bool address, struct item to)
{
  struct call c = {insn, item_of(l, to), address};
  vec_push(l->img->a, &l->calls, c);
}

static const struct rt_func *find_rt(const char *name)
{
  for (u32 i = 0; i < ARRAY_SIZE(rt_funcs); i++)
    if (!strcmp(rt_funcs[i].name, name))
      return &rt_funcs[i];
  return NULL;
}

static void load_map(struct linker *l, u32 insn, u32 map, bool value, u32 offset)
{
  struct bpf_insn *in = &l->out->insns.v[insn];
  in->src_reg = value ? BPF_PSEUDO_MAP_VALUE : BPF_PSEUDO_MAP_FD;
  in[0].imm = l->img->maps.v[map].fd;
  in[1].imm = value ? (s32)offset : 0;
}

/* ---- the script's own subprograms ------------------------------------------------ */

static bool link_sub(struct linker *l, u32 start, const struct bpf_sub *s)
{
  for (u32 i = 0; i < s->insns.n; i++)
    vec_push(l->img->a, &l->out->insns, s->insns.v[i]);
  for (u32 i = 0; i < s->relocs.n; i++) {
    const struct bpf_reloc *r = &s->relocs.v[i];
    u32 at = start + r->insn;
    const struct rt_func *f;
    switch (r->kind) {
    case REL_MAP:
    case REL_MAPVAL:
      load_map(l, at, r->index, r->kind == REL_MAPVAL, r->offset);
      break;
    case REL_RT:
      f = find_rt(r->name);
      if (!f || !f->global || f->is_template != (r->params != NULL)) {
        diag_msg(l->d, DIAG_ERROR, "internal error: no runtime function %s", r->name);
        return false;
      }
      refer(l, at, false, (struct item){.rt = f, .params = r->params});
      break;
    case REL_SUB:
    case REL_SUBPTR:
      refer(l, at, r->kind == REL_SUBPTR, (struct item){.sub = l->u->subs.v[r->index]});
      break;
    }
  }
  return true;
}

/* ---- runtime functions ---------------------------------------------------------- */

static s32 constant(const struct bpf_image *img, u32 which)
{
  u32 m = RT_BUFFER(img->maxstringlen);
  switch (which) {
  case RT_K_L:
    return (s32)img->maxstringlen;
  case RT_K_M:
    return (s32)m;
  case RT_K_LIMIT:
    return (s32)(img->frame_size - 2 * m - RT_TAIL);
  case RT_K_RO_LIMIT:
    return (s32)(img->rodata_size - 2 * m - 8);
  case RT_K_TAIL:
    return (s32)(img->frame_size - RT_TAIL);
  case RT_K_TMP:
    return (s32)RT_OFF_TMP(m);
  case RT_K_TOK:
    return (s32)RT_OFF_TOK(m);
  case RT_K_SUBJ:
    return (s32)RT_OFF_SUBJ(m);
  }
  return 0;
}

static void link_rt(struct linker *l, u32 start, const struct rt_func *f,
                    const struct bpf_rt_params *params)
{
  for (u32 i = 0; i < f->ninsns; i++) {
    struct bpf_insn in;
    memcpy(&in, &rt_insns[f->insn + i], sizeof(in));
    vec_push(l->img->a, &l->out->insns, in);
  }
  for (u32 i = 0; i < f->nrelocs; i++) {
    const struct rt_reloc *r = &rt_relocs[f->reloc + i];
    u32 at = start + r->insn;
    struct bpf_insn *in = &l->out->insns.v[at];
    switch ((enum rt_reloc_kind)r->kind) {
    case RT_REL_CALL:
    case RT_REL_FUNC: {
      const struct rt_func *to = &rt_funcs[r->arg];
      refer(l, at, r->kind == RT_REL_FUNC,
            (struct item){.rt = to, .params = to->is_template ? params : NULL});
      break;
    }
    case RT_REL_MAP:
    case RT_REL_MAPVAL:
      load_map(l, at, r->arg, r->kind == RT_REL_MAPVAL, 0);
      break;
    case RT_REL_PARAM_MAP:
      load_map(l, at, params->map[r->arg], false, 0);
      break;
    case RT_REL_CONST:
      in->imm = constant(l->img, r->arg);
      break;
    case RT_REL_PARAM:
      in->imm = params->c[r->arg];
      break;
    }
  }
}

/* ---- the program ---------------------------------------------------------------- */

static u32 item_type(const struct linker *l, u32 k)
{
  const struct bpf_types *t = l->img->types;
  const struct item *it = &l->items.v[k];
  if (it->rt)
    return t->rt_id[it->rt - rt_funcs];
  if (!k)
    return t->main_id;
  return t->sub_id[it->sub->global][it->sub->takes_frame][MIN(it->sub->nargs, 5u)];
}

struct bpf_linked *bpf_link(struct bpf_image *img, struct bpf_unit *u, struct diag *d)
{
  struct linker lk = {.img = img, .u = u, .d = d, .out = NEW(img->a, struct bpf_linked)}, *l = &lk;
  if (!img->types)
    img->types = make_types(img);
  item_of(l, (struct item){.sub = u->subs.v[0]});
  for (u32 k = 0; k < l->items.n; k++) {
    struct item it = l->items.v[k];
    u32 start = l->items.v[k].start = l->out->insns.n;
    struct bpf_func_info info = {start, item_type(l, k)};
    vec_push(img->a, &l->out->funcs, info);
    if (it.rt)
      link_rt(l, start, it.rt, it.params);
    else if (!link_sub(l, start, it.sub))
      return NULL;
  }
  for (u32 i = 0; i < l->calls.n; i++) {
    const struct call *c = &l->calls.v[i];
    struct bpf_insn *in = &l->out->insns.v[c->insn];
    in->src_reg = c->address ? BPF_PSEUDO_FUNC : BPF_PSEUDO_CALL;
    in->imm = (s32)l->items.v[c->item].start - (s32)c->insn - 1;
  }
  return l->out;
}

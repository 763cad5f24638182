/* Probes that do the same share one handler, which is then compiled (and verified by the kernel)
 * once: `probe begin, end, timer.s(1) { x++ }`, or a wildcard whose handler doesn't look at the
 * event.
 *
 * Two probes do the same when they are run alike and their code is equal, down to the places that
 * errors name.  Each probe's code is written out as a text, in which what belongs to the probe (its
 * formats, loops over arrays, lock sets, errors) stands with its contents and what the module
 * shares with its address; equal texts are equal code.  Probes that ask for their own name, in a
 * function that they call, have it in their text.  */
#include "elaborate/program.h"
#include "ir/flow.h"

#include <stdlib.h>
#include <string.h>

struct merge {
  struct ir_module *m;
  struct strbuf text;
  bool *named; /* functions, by id, that may ask for the probe's name */
};

/* ---- who asks for the probe's name ------------------------------------------------------ */

static bool asks_name(const struct merge *w, const struct ir_fn *f)
{
  for (u32 n = 0; n < f->blocks.n; n++)
    for (u32 k = 0; k < f->blocks.v[n]->ins.n; k++) {
      const struct ir_ins *i = &f->blocks.v[n]->ins.v[k];
      if (i->op == IR_FN && (i->builtin->fn == FN_PP || i->builtin->fn == FN_PN))
        return true;
      if (i->op == IR_CALL && w->named[i->fn->id])
        return true;
    }
  return false;
}

static void find_named(struct merge *w)
{
  for (bool changed = true; changed;) {
    changed = false;
    for (u32 k = 0; k < w->m->fns.n; k++) {
      const struct ir_fn *f = w->m->fns.v[k];
      if (!w->named[f->id] && asks_name(w, f))
        changed = w->named[f->id] = true;
    }
  }
}

/* ---- code as a text --------------------------------------------------------------------- */

static void put_str(struct strbuf *b, const char *s)
{
  if (s)
    sb_printf(b, " %zu:%s", strlen(s), s);
  else
    sb_puts(b, " -");
}

static void put_val(struct strbuf *b, const struct ir_val *v)
{
  if (v->kind == V_STR)
    sb_printf(b, " %u:%s", v->len, v->str);
  else
    sb_printf(b, " %c%lld", v->kind == V_REG ? 'r' : 'n',
              v->kind == V_REG ? (long long)v->reg : (long long)v->num);
}

static void put_error(struct strbuf *b, const struct ir_error *e)
{
  put_str(b, e->text);
  put_str(b, e->what);
  put_str(b, e->token);
  for (const struct loc *l = &e->loc; l; l = l->macro)
    sb_printf(b, " %p+%u", (void *)l->file, l->off);
}

static void put_fmt(struct strbuf *b, const struct print_expr *p)
{
  for (u32 k = 0; k < p->fmt.n; k++) {
    const struct fmt_piece *f = &p->fmt.v[k];
    sb_printf(b, " %d,%u,%d,%d,%u,%u,%u", f->conv, f->flags, f->width_kind, f->prec_kind, f->width,
              f->prec, f->size);
    put_str(b, f->text);
  }
}

static void put_iter(struct strbuf *b, const struct ir_iter *i)
{
  sb_printf(b, " %p,%d,%u,%d,%x,%d", (void *)i->map, i->sort_dir, i->sort_col, i->sort_stat,
            i->slice_mask, i->has_limit);
}

static void put_locks(struct strbuf *b, const struct ir_lockset *l)
{
  for (u32 k = 0; k < l->n; k++)
    sb_printf(b, " %p%c", (void *)l->g[k], l->write[k] ? 'w' : 'r');
}

static void put_ins(struct merge *w, const struct ir_ins *i)
{
  struct strbuf *b = &w->text;
  sb_printf(b, "\n%d %u %lld %lld %p", i->op, i->dst, (long long)i->imm, (long long)i->imm2,
            (void *)i->flags);
  for (u32 k = 0; k < i->nargs; k++)
    put_val(b, &i->args[k]);
  if (i->op == IR_PRINT || i->op == IR_SPRINT)
    put_fmt(b, i->fmt->print);
  else if (ir_has_iter(i->op))
    put_iter(b, i->iter);
  else if (i->op == IR_LOCK || i->op == IR_UNLOCK)
    put_locks(b, i->lock);
  else
    sb_printf(b, " %p", (void *)i->global); /* whichever of the union it has */
  if (i->err != IR_NO)
    put_error(b, &w->m->errors.v[i->err]);
}

static void put_fn(struct merge *w, const struct ir_fn *f)
{
  struct strbuf *b = &w->text;
  for (u32 k = 0; k < f->regs.n; k++)
    sb_printf(b, " %d,%u", f->regs.v[k].type, f->regs.v[k].maxlen);
  for (u32 k = 0; k < f->loops.n; k++)
    sb_printf(b, " %u,%u", f->loops.v[k].header, f->loops.v[k].parent);
  for (u32 n = 0; n < f->blocks.n; n++) {
    const struct ir_block *k = f->blocks.v[n];
    sb_printf(b, "\n@%u %u", k->loop, k->handler);
    for (u32 j = 0; j < k->ins.n; j++)
      put_ins(w, &k->ins.v[j]);
    u32 to[2], nto = flow_succ(k, to);
    sb_printf(b, "\n%d", k->term);
    for (u32 j = 0; j < nto; j++)
      sb_printf(b, " @%u", to[j]);
    if (flow_uses_val(k))
      put_val(b, &k->val);
  }
}

static void put_probe(struct merge *w, const struct ir_probe *p)
{
  struct strbuf *b = &w->text;
  const struct probe_inst *pi = p->inst;
  sb_reset(b);
  sb_printf(b, "%d %u", pi->kind, ir_max_statements(w->m, pi));
  if (asks_name(w, p->handler) || (p->cond && asks_name(w, p->cond))) {
    put_str(b, pi->pp);
    put_str(b, pi->name);
  }
  if (p->cond) {
    sb_puts(b, "\nif");
    put_fn(w, p->cond);
  }
  sb_puts(b, "\ndo");
  put_fn(w, p->handler);
}

/* ---- over the module --------------------------------------------------------------------- */

static void mark_iters(const struct ir_fn *f, bool *used)
{
  for (u32 n = 0; n < f->blocks.n; n++)
    for (u32 k = 0; k < f->blocks.v[n]->ins.n; k++)
      if (ir_has_iter(f->blocks.v[n]->ins.v[k].op))
        used[f->blocks.v[n]->ins.v[k].iter->id] = true;
}

/* A loop over an array costs memory for its snapshot, whoever runs it. */
static void drop_iters(struct ir_module *m)
{
  bool *used = calloc(m->iters.n + 1, sizeof(*used));
  struct flow_fns fns = flow_all(m->a, m);
  for (u32 k = 0; k < fns.n; k++)
    mark_iters(fns.v[k], used);
  u32 n = 0;
  for (u32 k = 0; k < m->iters.n; k++)
    if (used[k]) {
      m->iters.v[n] = m->iters.v[k];
      m->iters.v[n]->id = n;
      n++;
    }
  m->iters.n = n;
  free(used);
}

void ir_pass_merge(struct ir_module *m)
{
  struct merge w = {.m = m, .named = calloc(m->fns.n + 1, sizeof(bool))};
  struct arena *texts = arena_new();
  struct strmap seen;
  strmap_init(&seen, texts);
  find_named(&w);
  for (u32 k = 0; k < m->probes.n; k++) {
    struct ir_probe *p = m->probes.v[k], *first;
    if (p->inst->kind == PROG_NEVER)
      continue;
    put_probe(&w, p);
    first = strmap_get(&seen, w.text.s);
    if (!first) {
      strmap_put(&seen, arena_strndup(texts, w.text.s, w.text.n), p);
      continue;
    }
    p->same = first;
    p->handler = first->handler;
    p->cond = first->cond;
    p->cond_globals = first->cond_globals;
  }
  drop_iters(m);
  arena_free(texts);
  sb_free(&w.text);
  free(w.named);
}

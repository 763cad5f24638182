/* The program as -p2 prints it: globals, functions, probes, with their types. */
#include "elaborate/state.h"

#include <string.h>

static void print_global(struct strbuf *b, const struct sym_global *g)
{
  sb_puts(b, g->name);
  if (g->decl->wrap)
    sb_putc(b, '%');
  if (g->decl->maxsize)
    sb_printf(b, "[%lld]", (long long)g->decl->maxsize);
  sb_printf(b, ":%s", ast_type_text(g->type));
  for (u32 i = 0; i < g->nkeys; i++)
    sb_printf(b, "%s%s", i ? ", " : " [", ast_type_text(g->key_type[i]));
  if (g->nkeys)
    sb_putc(b, ']');
  if (g->decl->init) {
    sb_puts(b, " = ");
    ast_print_expr(b, g->decl->init);
  }
  sb_putc(b, '\n');
}

static void print_locals(struct strbuf *b, struct sym_local *const *v, u32 n)
{
  if (n)
    sb_puts(b, "  # locals\n");
  for (u32 i = 0; i < n; i++)
    sb_printf(b, "  %s:%s\n", v[i]->name, ast_type_text(v[i]->type));
}

static void print_func(struct strbuf *b, const struct sym_func *f)
{
  sb_printf(b, "%s:%s (", f->decl->name, ast_type_text(f->type));
  for (u32 i = 0; i < f->params.n; i++)
    sb_printf(b, "%s%s:%s", i ? ", " : "", f->params.v[i]->name,
              ast_type_text(f->params.v[i]->type));
  sb_puts(b, ")\n");
  print_locals(b, f->locals.v, f->locals.n);
  ast_print_stmt(b, f->body, 0);
  if (b->n && b->s[b->n - 1] != '\n')
    sb_putc(b, '\n');
}

static void print_probe(struct strbuf *b, const struct probe_inst *pi)
{
  sb_puts(b, pi->pp);
  if (pi->cond) {
    sb_puts(b, " if (");
    ast_print_expr(b, pi->cond);
    sb_putc(b, ')');
  }
  sb_printf(b, " /* <- %s */\n", pi->trail ? pi->trail : pi->name);
  print_locals(b, pi->locals.v, pi->locals.n);
  ast_print_stmt(b, pi->body, 0);
  if (b->n && b->s[b->n - 1] != '\n')
    sb_putc(b, '\n');
}

void program_print(struct strbuf *b, const struct program *p)
{
  if (p->globals.n)
    sb_puts(b, "# globals\n");
  for (u32 i = 0; i < p->globals.n; i++)
    print_global(b, p->globals.v[i]);
  if (p->funcs.n)
    sb_puts(b, "# functions\n");
  for (u32 i = 0; i < p->funcs.n; i++)
    print_func(b, p->funcs.v[i]);
  if (p->probes.n)
    sb_puts(b, "# probes\n");
  for (u32 i = 0; i < p->probes.n; i++)
    print_probe(b, p->probes.v[i]);
}

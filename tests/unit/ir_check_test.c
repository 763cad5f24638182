/* The IR's checker: what ir_build() makes passes, and each way of breaking it is refused with the
 * right words.  Every case starts from a fresh module of one script.  */
#include "elaborate/program.h"
#include "ir/ir.h"

#include <stdlib.h>
#include <string.h>

static const char script[] =
    "global n, a, st, w\n"
    "function f:long(x:long) { if (x > 2) next; return x }\n"
    "function f:long(x:long) { return f(x - 3) }\n"
    "probe begin {\n"
    "  a[1, \"k\"] = n\n"
    "  n++\n"
    "  w[n] .= \"x\"\n"
    "  st <<< n\n"
    "  while (n < 5) { n += f(n); if (n == 4) break }\n"
    "  try { foreach (v = [k, l] in a+ limit 3) printf(\"%d %s\\n\", k + v, l) }\n"
    "  catch (m) { println(m) }\n"
    "  delete a[*, \"k\"]\n"
    "  println(@sum(st), strlen(w[1]), sprintf(\"%d\", n), 7 / n)\n"
    "  print(@hist_log(st))\n"
    "}\n";

static u32 checks, failures;

static struct ir_module *module_new(struct arena *a)
{
  struct diag *d = NEW(a, struct diag);
  struct strmap macros;
  diag_init(d, a, stderr);
  strmap_init(&macros, a);
  struct parse_env env = {.a = a,
                          .diag = d,
                          .kernel_vr = "6.1.0",
                          .arch = "x86_64",
                          .runtime = "bpf",
                          .compat = "5.2",
                          .macros = &macros};
  struct src_file src = {.name = "<input>", .text = script, .len = strlen(script)};
  struct ast_file *f = parse_file(&env, &src);
  struct elab e = {.a = a, .diag = d, .penv = &env, .runtime = "bpf", .maxstringlen = 512};
  struct program *p = f ? elaborate(&e, f) : NULL;
  struct ir_module *m = p ? ir_build(a, p, d) : NULL;
  if (!m) {
    fprintf(stderr, "the script didn't compile\n");
    exit(1);
  }
  return m;
}

/* ---- what is broken -------------------------------------------------------------------------- */

static struct ir_fn *handler(struct ir_module *m)
{
  return m->probes.v[0]->handler;
}

/* The first instruction of that operation. */
static struct ir_ins *find(struct ir_module *m, enum ir_op op)
{
  for (u32 i = 0; i < handler(m)->blocks.n; i++)
    for (u32 k = 0; k < handler(m)->blocks.v[i]->ins.n; k++)
      if (handler(m)->blocks.v[i]->ins.v[k].op == op)
        return &handler(m)->blocks.v[i]->ins.v[k];
  fprintf(stderr, "no %s in the handler\n", ir_ops[op].name);
  exit(1);
}

static struct ir_block *find_block(struct ir_module *m, enum ir_term term)
{
  for (u32 i = 0; i < handler(m)->blocks.n; i++)
    if (handler(m)->blocks.v[i]->term == term)
      return handler(m)->blocks.v[i];
  abort();
}

static struct ir_block *holder(struct ir_module *m, const struct ir_ins *ins)
{
  for (u32 i = 0; i < handler(m)->blocks.n; i++) {
    struct ir_block *k = handler(m)->blocks.v[i];
    if (ins >= k->ins.v && ins < k->ins.v + k->ins.n)
      return k;
  }
  abort();
}

static struct ir_val reg(u32 r)
{
  return (struct ir_val){.kind = V_REG, .reg = r};
}

static struct ir_val text(const char *s)
{
  return (struct ir_val){.kind = V_STR, .str = s, .len = 3};
}

static u32 reg_of(struct ir_module *m, enum ir_type t)
{
  u32 i = 0;
  while (handler(m)->regs.v[i].type != t)
    i++;
  return i;
}

#define BREAK(name) static void name(struct ir_module *m)

BREAK(nothing)
{
  (void)m;
}
BREAK(global_number)
{
  m->globals.v[1]->id = 0;
}
BREAK(block_number)
{
  handler(m)->blocks.v[1]->id = 7;
}
BREAK(no_blocks)
{
  handler(m)->blocks.n = 0;
}
BREAK(untyped_reg)
{
  handler(m)->regs.v[0].type = IR_VOID;
}
BREAK(wild_arg)
{
  find(m, IR_MSET)->args[0] = reg(9999);
}
BREAK(wild_dst)
{
  find(m, IR_GGET)->dst = 9999;
}
BREAK(key_type)
{
  find(m, IR_MSET)->args[0] = text("abc");
}
BREAK(nul_inside)
{
  find(m, IR_MSET)->args[1] = text("a\0b");
}
BREAK(missing_arg)
{
  find(m, IR_MSET)->nargs = 2;
}
BREAK(scalar_op)
{
  find(m, IR_GGET)->global = m->globals.v[1];
}
BREAK(foreign_global)
{
  struct ir_global *g = NEW(m->a, struct ir_global);
  *g = *find(m, IR_GRMW)->global;
  find(m, IR_GRMW)->global = g;
}
BREAK(update_op)
{
  find(m, IR_GRMW)->imm = IR_DIV;
}
BREAK(result_type)
{
  find(m, IR_GGET)->dst = reg_of(m, IR_STR);
}
BREAK(no_error)
{
  find(m, IR_DIV)->err = IR_NO;
}
BREAK(wild_error)
{
  find(m, IR_DIV)->err = 10000;
}
BREAK(needless_error)
{
  find(m, IR_GGET)->err = 1;
}
BREAK(wrong_stat)
{
  find(m, IR_STATGET)->imm = STAT_AVG;
}
BREAK(wrong_hist)
{
  find(m, IR_HISTPRINT)->imm = 1;
}
BREAK(format_args)
{
  find(m, IR_PRINT)->nargs--;
}
BREAK(format_kind)
{
  find(m, IR_PRINT)->fmt->print->to_string = true;
}
BREAK(format_pieces)
{
  find(m, IR_PRINT)->fmt->print->fmt.n = 1;
}
BREAK(format_type)
{
  struct print_expr *pe = find(m, IR_PRINT)->fmt->print;
  for (u32 i = 0; i < pe->fmt.n; i++)
    if (pe->fmt.v[i].conv == CONV_S)
      pe->fmt.v[i].conv = CONV_D;
}
BREAK(call_args)
{
  find(m, IR_CALL)->args[0] = text("abc");
}
BREAK(builtin_none)
{
  find(m, IR_FN)->builtin = NULL;
}
BREAK(builtin_args)
{
  find(m, IR_FN)->builtin = builtin_find("pid", 0);
}
BREAK(empty_budget)
{
  find(m, IR_BUDGET)->imm = 0;
}
BREAK(iter_unordered)
{
  find(m, IR_ITER_BEGIN)->iter->map->ordered = false;
}
BREAK(iter_column)
{
  find(m, IR_ITER_KEY)->imm = 2;
}
BREAK(iter_limit)
{
  find(m, IR_ITER_BEGIN)->iter->has_limit = false;
}
BREAK(slice_mask)
{
  find(m, IR_MDEL_SLICE)->imm = 4;
}
BREAK(late_catch)
{
  struct ir_block *k = holder(m, find(m, IR_CATCH));
  k->ins.v[1] = k->ins.v[0];
}
BREAK(no_catch)
{
  find(m, IR_CATCH)->op = IR_MCLEAR, find(m, IR_MCLEAR)->global = m->globals.v[0];
}
BREAK(jump_to_handler)
{
  find_block(m, T_JMP)->to[0] = holder(m, find(m, IR_CATCH))->id;
}
BREAK(wild_jump)
{
  find_block(m, T_JMP)->to[0] = 9999;
}
BREAK(no_term)
{
  find_block(m, T_JMP)->term = 7;
}
BREAK(string_condition)
{
  find_block(m, T_BR)->val = reg(reg_of(m, IR_STR));
}
BREAK(returned_value)
{
  find_block(m, T_RET)->has_val = true;
}
BREAK(no_value)
{
  m->fns.v[0]->blocks.v[m->fns.v[0]->blocks.n - 1]->has_val = false;
}
BREAK(into_the_loop)
{
  handler(m)->blocks.v[0]->to[0] = holder(m, find(m, IR_CALL))->id;
}
BREAK(loop_header)
{
  handler(m)->loops.v[0].header = 0;
}
BREAK(loop_cycle)
{
  handler(m)->loops.v[0].parent = 0;
}
BREAK(loop_number)
{
  handler(m)->blocks.v[1]->loop = 12;
}
BREAK(entry_in_loop)
{
  handler(m)->blocks.v[0]->loop = 0;
}
BREAK(dead_block)
{
  struct ir_block *k = NEW(m->a, struct ir_block);
  *k = *find_block(m, T_RET);
  k->id = handler(m)->blocks.n;
  vec_push(m->a, &handler(m)->blocks, k);
}
BREAK(unassigned)
{
  vec_push(m->a, &handler(m)->regs, (struct ir_reg){.type = IR_INT});
  find(m, IR_MSET)->args[0] = reg(handler(m)->regs.n - 1);
}
/* Assigned by the instruction that fails, read by the handler. */
BREAK(unassigned_after_failure)
{
  struct ir_block *k = holder(m, find(m, IR_CATCH));
  for (u32 i = 0; i < handler(m)->blocks.n; i++)
    for (u32 n = 0; handler(m)->blocks.v[i]->handler == k->id && n < handler(m)->blocks.v[i]->ins.n;
         n++)
      if (handler(m)->blocks.v[i]->ins.v[n].op == IR_ITER_NEXT)
        vec_last(&k->ins).args[0] = reg(handler(m)->blocks.v[i]->ins.v[n].dst);
  vec_last(&k->ins).fmt->arg_type[0] = IR_INT;
  vec_last(&k->ins).fmt->print->fmt.v[0].conv = CONV_D;
}

static const struct {
  void (*apply)(struct ir_module *m);
  const char *why; /* part of the message */
} cases[] = {
    {nothing, NULL},
    {global_number, "global 1 is numbered 0"},
    {block_number, "block 1 is numbered 7"},
    {no_blocks, "no blocks"},
    {untyped_reg, "register 0 has no type"},
    {wild_arg, "MSET: there is no register 9999"},
    {wild_dst, "GGET: there is no register 9999"},
    {key_type, "MSET: operand 0 has the wrong type"},
    {nul_inside, "MSET: a constant string holds NUL"},
    {missing_arg, "MSET: 2 operands instead of 3"},
    {scalar_op, "GGET: a is an array"},
    {foreign_global, "GRMW: no such global"},
    {update_op, "GRMW: not an update"},
    {result_type, "GGET: the result has the wrong type"},
    {no_error, "DIV: error number"},
    {wild_error, "DIV: error number"},
    {needless_error, "GGET: error number"},
    {wrong_stat, "STATGET: the statistic isn't kept"},
    {wrong_hist, "HISTPRINT: no such histogram"},
    {format_args, "PRINT: "},
    {format_kind, "PRINT: the format is one of SPRINT"},
    {format_pieces, "PRINT: the format takes 1 arguments"},
    {format_type, "PRINT: argument 1 isn't what its conversion shows"},
    {call_args, "CALL: operand 0 has the wrong type"},
    {builtin_none, "FN: no built-in function"},
    {builtin_args, "FN: 1 operands instead of 0"},
    {empty_budget, "BUDGET: counts no statement"},
    {iter_unordered, "ITER_BEGIN: foreach over what is no ordered array"},
    {iter_column, "ITER_KEY: the array has no such key"},
    {iter_limit, "ITER_BEGIN: 1 operands instead of 0"},
    {slice_mask, "MDEL_SLICE: the slice names a key that the array doesn't have"},
    {late_catch, "CATCH: not the first of its block"},
    {no_catch, "doesn't begin with CATCH"},
    {jump_to_handler, "a jump to the handler"},
    {wild_jump, "there is no block 9999"},
    {no_term, "the block has no end"},
    {string_condition, "the condition is no integer"},
    {returned_value, "returns a value"},
    {no_value, "returns no value"},
    {into_the_loop, "is entered from outside its loop"},
    {loop_header, "loop 0 has no header"},
    {loop_cycle, "loop 0 is inside itself"},
    {loop_number, "is in no loop 12"},
    {entry_in_loop, "the entry is in a loop"},
    {dead_block, "nothing leads to the block"},
    {unassigned, "is read before it is assigned"},
    {unassigned_after_failure, "is read before it is assigned"},
};

int main(void)
{
  for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
    struct arena *a = arena_new();
    struct ir_module *m = module_new(a);
    struct strbuf why = {0};
    cases[i].apply(m);
    bool ok = ir_check(m, &why), want = !cases[i].why;
    checks++;
    if (ok != want || (!want && !strstr(why.s, cases[i].why))) {
      failures++;
      fprintf(stderr, "case %u: wanted \"%s\", the checker said \"%s\"\n", i,
              want ? "(nothing)" : cases[i].why, ok ? "(nothing)" : why.s);
    }
    sb_free(&why);
    arena_free(a);
  }
  printf("%u checks, %u failures\n", checks, failures);
  return failures != 0;
}

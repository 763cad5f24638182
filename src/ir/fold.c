/* What operations on constants come to. */
#include "ir/simplify.h"

#include <string.h>

static struct ir_val num(s64 n)
{
  return (struct ir_val){.kind = V_INT, .num = n};
}

static bool arith(enum ir_op op, s64 x, s64 y, s64 *r)
{
  u64 ux = (u64)x, uy = (u64)y;
  switch (op) {
  case IR_ADD:
    *r = (s64)(ux + uy);
    return true;
  case IR_SUB:
    *r = (s64)(ux - uy);
    return true;
  case IR_MUL:
    *r = (s64)(ux * uy);
    return true;
  case IR_DIV:
    *r = y == -1 ? (s64)-ux : y ? x / y : 0;
    return y != 0;
  case IR_MOD:
    *r = y == -1 || !y ? 0 : x % y;
    return y != 0;
  case IR_AND:
    *r = x & y;
    return true;
  case IR_OR:
    *r = x | y;
    return true;
  case IR_XOR:
    *r = x ^ y;
    return true;
  case IR_SHL:
    *r = (s64)(ux << (uy & 63));
    return true;
  case IR_SHR:
    *r = x >> (uy & 63);
    return true;
  case IR_USHR:
    *r = (s64)(ux >> (uy & 63));
    return true;
  case IR_EQ:
    *r = x == y;
    return true;
  case IR_NE:
    *r = x != y;
    return true;
  case IR_LT:
    *r = x < y;
    return true;
  case IR_LE:
    *r = x <= y;
    return true;
  case IR_GT:
    *r = x > y;
    return true;
  case IR_GE:
    *r = x >= y;
    return true;
  default:
    return false;
  }
}

/* x op constant that is x or a constant whatever x is. */
static bool identity(const struct ir_ins *i, s64 y, struct ir_val *value)
{
  switch (i->op) {
  case IR_ADD:
  case IR_SUB:
  case IR_XOR:
  case IR_SHL:
  case IR_SHR:
  case IR_USHR:
    *value = i->args[0];
    return y == 0;
  case IR_MUL:
    *value = y ? i->args[0] : num(0);
    return y == 0 || y == 1;
  case IR_DIV:
    *value = i->args[0];
    return y == 1;
  case IR_MOD:
    *value = num(0);
    return y == 1 || y == -1;
  case IR_AND:
    *value = y ? i->args[0] : num(0);
    return y == 0 || y == -1;
  case IR_OR:
    *value = y ? num(-1) : i->args[0];
    return y == 0 || y == -1;
  default:
    return false;
  }
}

/* A literal as it is at run time: short enough not to be cut. */
static bool literal(const struct ir_module *m, const struct ir_val *v)
{
  return v->kind == V_STR && v->len < m->maxstringlen;
}

static bool concat(const struct ir_module *m, const struct ir_val *x, const struct ir_val *y,
                   struct ir_val *value)
{
  if (y->kind == V_STR && !y->len) {
    *value = *x;
    return true;
  }
  if (x->kind == V_STR && !x->len) {
    *value = *y;
    return true;
  }
  if (x->kind != V_STR || y->kind != V_STR || x->len + y->len >= m->maxstringlen)
    return false;
  char *s = arena_alloc(m->a, x->len + y->len + 1);
  memcpy(s, x->str, x->len);
  memcpy(s + x->len, y->str, y->len);
  *value = (struct ir_val){.kind = V_STR, .str = s, .len = x->len + y->len};
  return true;
}

static bool strtab(const struct ir_module *m, const struct ir_ins *i, struct ir_val *value)
{
  const struct ir_val *v = &i->args[0];
  if (v->kind != V_INT)
    return false;
  bool inside = v->num >= 0 && v->num < i->strtab->n && i->strtab->v[v->num];
  const char *s = inside ? i->strtab->v[v->num] : i->strtab->def;
  *value = (struct ir_val){.kind = V_STR, .str = s, .len = (u32)strlen(s)};
  return literal(m, value);
}

bool fold_ins(const struct ir_module *m, const struct ir_ins *i, struct ir_val *value)
{
  const struct ir_val *x = &i->args[0], *y = &i->args[1];
  s64 r;
  switch (i->op) {
  case IR_NEG:
    *value = num((s64)(0 - (u64)x->num));
    return x->kind == V_INT;
  case IR_NOT:
    *value = num(~x->num);
    return x->kind == V_INT;
  case IR_SCMP:
    if (!literal(m, x) || !literal(m, y))
      return false;
    r = strcmp(x->str, y->str);
    *value = num(r < 0 ? -1 : r > 0);
    return true;
  case IR_CONCAT:
    return concat(m, x, y, value);
  case IR_STRTAB:
    return strtab(m, i, value);
  case IR_FN:
    if (i->builtin->fn != FN_STRLEN || !literal(m, x))
      return false;
    *value = num(x->len);
    return true;
  default:
    if (i->op < IR_ADD || i->op > IR_GE || y->kind != V_INT)
      return false;
    if (x->kind != V_INT)
      return identity(i, y->num, value);
    if (!arith(i->op, x->num, y->num, &r))
      return false;
    *value = num(r);
    return true;
  }
}

bool fold_order(struct ir_ins *i)
{
  static const enum ir_op turned[IR_NOPS] = {
      [IR_ADD] = IR_ADD, [IR_MUL] = IR_MUL, [IR_AND] = IR_AND, [IR_OR] = IR_OR,
      [IR_XOR] = IR_XOR, [IR_EQ] = IR_EQ,   [IR_NE] = IR_NE,   [IR_LT] = IR_GT,
      [IR_GT] = IR_LT,   [IR_LE] = IR_GE,   [IR_GE] = IR_LE};
  if (!turned[i->op] || i->args[0].kind != V_INT || i->args[1].kind == V_INT)
    return false;
  struct ir_val c = i->args[0];
  i->args[0] = i->args[1];
  i->args[1] = c;
  i->op = turned[i->op];
  return true;
}

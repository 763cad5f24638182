/* Regular expressions: from the text, POSIX extended syntax with egrep's \w \W \s \S \b \B \< \>,
 * to  * a program (regex_in.h).  The parser makes a tree; what is repeated is emitted as often as
 * the counts say.  The program marks where parts begin and end: each group, and each neighbour of
 * one, as its length decides where the group is.  */
#include <stdlib.h>
#include <string.h>

#include "regex/regex_in.h"

enum node_kind { N_EMPTY, N_SET, N_CAT, N_ALT, N_REPEAT, N_GROUP, N_ASSERT };
enum { FOREVER = UINT32_MAX, NOWHERE = UINT32_MAX, MAX_COUNT = 1000, MAX_DEPTH = 200 };
struct node {
  enum node_kind kind;
  struct node *a, *b;
  u32 set;       /* N_SET: its number in the program */
  u32 min, max;  /* N_REPEAT */
  u32 group;     /* N_GROUP; at least REGEX_MAX_GROUPS: can't be asked for */
  u32 groups[2]; /* groups inside, with itself: from, to */
  u32 part;      /* its number, or 0 */
  enum rx_assert which;
};

static const char too_large[] = "regular expression is too large";

struct parser {
  struct rx_prog *p;
  const char *s, *end;
  const char *why;
  u32 depth;
};

static struct node *fail(struct parser *ps, const char *why, const char *at)
{
  if (!ps->why) {
    ps->why = why;
    ps->s = at;
  }
  return NULL;
}

static struct node *node_new(struct parser *ps, enum node_kind kind, struct node *a, struct node *b)
{
  struct node *n = NEW(ps->p->a, struct node);
  n->kind = kind;
  n->a = a;
  n->b = b;
  n->groups[0] = a ? a->groups[0] : ps->p->ngroups;
  n->groups[1] = b ? b->groups[1] : a ? a->groups[1] : ps->p->ngroups;
  return n;
}

static struct node *set_node(struct parser *ps, struct rx_set set)
{
  set.bits[0] &= ~1u; /* the string's end */
  struct node *n = node_new(ps, N_SET, NULL, NULL);
  n->set = ps->p->sets.n;
  vec_push(ps->p->a, &ps->p->sets, set);
  return n;
}

static struct node *assert_node(struct parser *ps, enum rx_assert which)
{
  struct node *n = node_new(ps, N_ASSERT, NULL, NULL);
  n->which = which;
  ps->p->words |= which >= RX_WORD_EDGE;
  return n;
}

/* ---- sets ------------------------------------------------------------------------- */

static void add(struct rx_set *set, u32 from, u32 to)
{
  for (u32 c = from; c <= to; c++)
    set->bits[c >> 5] |= 1u << (c & 31);
}

static void invert(struct rx_set *set)
{
  for (u32 i = 0; i < 8; i++)
    set->bits[i] = ~set->bits[i];
}

static const struct {
  const char *name;
  u8 range[4][2];
} classes[] = {
    {"alpha", {{'A', 'Z'}, {'a', 'z'}}},
    {"digit", {{'0', '9'}}},
    {"alnum", {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}},
    {"upper", {{'A', 'Z'}}},
    {"lower", {{'a', 'z'}}},
    {"space", {{'\t', '\r'}, {' ', ' '}}},
    {"blank", {{'\t', '\t'}, {' ', ' '}}},
    {"punct", {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}},
    {"print", {{' ', '~'}}},
    {"graph", {{'!', '~'}}},
    {"cntrl", {{1, 31}, {127, 127}}},
    {"xdigit", {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}},
    {"word", {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}, {'_', '_'}}},
};

static bool add_class(struct rx_set *set, const char *name, size_t len)
{
  for (u32 i = 0; i < ARRAY_SIZE(classes); i++) {
    if (strlen(classes[i].name) != len || memcmp(classes[i].name, name, len))
      continue;
    for (u32 k = 0; k < 4 && classes[i].range[k][1]; k++)
      add(set, classes[i].range[k][0], classes[i].range[k][1]);
    return true;
  }
  return false;
}

static struct node *class_node(struct parser *ps, const char *name, bool negated)
{
  struct rx_set set = {0};
  add_class(&set, name, strlen(name));
  if (negated)
    invert(&set);
  return set_node(ps, set);
}

/* "[:name:]", "[=c=]", "[.c.]" in brackets: the text between the marks; NULL when there is no end.
 */
static const char *bracket_name(struct parser *ps, size_t *len)
{
  char mark = ps->s[1];
  const char *name = ps->s + 2;
  for (const char *e = name; e + 1 < ps->end; e++)
    if (e[0] == mark && e[1] == ']') {
      *len = (size_t)(e - name);
      ps->s = e + 2;
      return name;
    }
  return NULL;
}

/* A single byte of a bracket expression; -1 after an error. */
static int bracket_byte(struct parser *ps)
{
  const char *at = ps->s;
  if (*at == '[' && at + 1 < ps->end && (at[1] == '.' || at[1] == '=')) {
    size_t len;
    const char *name = bracket_name(ps, &len);
    if (!name || len != 1) {
      fail(ps, "invalid collating element", at);
      return -1;
    }
    return (u8)*name;
  }
  ps->s++;
  return (u8)*at;
}

/* item := "[:" name ":]" | byte [ "-" byte ] */
static bool bracket_item(struct parser *ps, struct rx_set *set)
{
  const char *at = ps->s;
  if (*at == '[' && at + 1 < ps->end && at[1] == ':') {
    size_t len;
    const char *name = bracket_name(ps, &len);
    if (!name || !add_class(set, name, len))
      return fail(ps, "invalid character class name", at);
    return true;
  }
  int from = bracket_byte(ps), to = from;
  if (from >= 0 && ps->s + 1 < ps->end && ps->s[0] == '-' && ps->s[1] != ']') {
    ps->s++;
    to = bracket_byte(ps);
  }
  if (from < 0 || to < 0)
    return false;
  if (to < from)
    return fail(ps, "invalid range end", at);
  add(set, (u32)from, (u32)to);
  return true;
}

/* bracket := "[" [ "^" ] item { item } "]" */
static struct node *parse_bracket(struct parser *ps)
{
  const char *open = ps->s++;
  struct rx_set set = {0};
  bool negated = ps->s < ps->end && *ps->s == '^';
  ps->s += negated;
  for (bool first = true;; first = false) {
    if (ps->s >= ps->end)
      return fail(ps, "unmatched [", open);
    if (*ps->s == ']' && !first)
      break;
    if (!bracket_item(ps, &set))
      return NULL;
  }
  ps->s++;
  if (negated)
    invert(&set);
  return set_node(ps, set);
}

/* ---- the grammar ------------------------------------------------------------------ */

static struct node *parse_regex(struct parser *ps);

static struct node *byte_node(struct parser *ps, u8 c)
{
  struct rx_set set = {0};
  add(&set, c, c);
  return set_node(ps, set);
}

static struct node *parse_escape(struct parser *ps)
{
  const char *at = ps->s++;
  if (ps->s >= ps->end)
    return fail(ps, "trailing backslash", at);
  char c = *ps->s++;
  switch (c) {
  case 'w':
  case 'W':
    return class_node(ps, "word", c == 'W');
  case 's':
  case 'S':
    return class_node(ps, "space", c == 'S');
  case 'b':
    return assert_node(ps, RX_WORD_EDGE);
  case 'B':
    return assert_node(ps, RX_NOT_EDGE);
  case '<':
    return assert_node(ps, RX_WORD_BEGIN);
  case '>':
    return assert_node(ps, RX_WORD_END);
  }
  if (c >= '1' && c <= '9')
    return fail(ps, "back references are not supported", at);
  return byte_node(ps, (u8)c);
}

/* group := "(" regex ")" */
static struct node *parse_group(struct parser *ps)
{
  const char *open = ps->s++;
  u32 number = ps->p->ngroups++;
  if (++ps->depth > MAX_DEPTH)
    return fail(ps, "too many nested groups", open);
  struct node *inner = parse_regex(ps);
  ps->depth--;
  if (!inner)
    return NULL;
  if (ps->s >= ps->end)
    return fail(ps, "unmatched (", open);
  ps->s++;
  struct node *n = node_new(ps, N_GROUP, inner, NULL);
  n->group = n->groups[0] = number;
  return n;
}

/* atom := group | bracket | "." | "^" | "$" | "\" byte | byte */
static struct node *parse_atom(struct parser *ps)
{
  char c = *ps->s;
  switch (c) {
  case '(':
    return parse_group(ps);
  case '[':
    return parse_bracket(ps);
  case '\\':
    return parse_escape(ps);
  case '*':
  case '+':
  case '?':
    return fail(ps, "nothing to repeat", ps->s);
  }
  ps->s++;
  if (c == '^')
    return assert_node(ps, RX_BOL);
  if (c == '$')
    return assert_node(ps, RX_EOL);
  if (c == '.') {
    struct rx_set all = {0};
    invert(&all);
    return set_node(ps, all);
  }
  return byte_node(ps, (u8)c);
}

static bool number(const char **s, const char *end, u32 *n)
{
  const char *p = *s;
  for (*n = 0; p < end && *p >= '0' && *p <= '9'; p++)
    if (*n <= MAX_COUNT)
      *n = *n * 10 + (u32)(*p - '0');
  bool any = p != *s;
  *s = p;
  return any;
}

/* count := "{" n "}" | "{" n "," "}" | "{" [ n ] "," n "}"; anything else that starts with "{" is
 * text, and then nothing is consumed.  */
static bool parse_count(struct parser *ps, u32 *min, u32 *max)
{
  const char *s = ps->s + 1;
  bool has_min = number(&s, ps->end, min), has_max = true;
  *max = *min;
  if (s < ps->end && *s == ',') {
    s++;
    has_max = number(&s, ps->end, max);
    if (!has_max)
      *max = FOREVER;
  } else if (!has_min) {
    return false;
  }
  if (s >= ps->end || *s != '}' || (!has_min && !has_max))
    return false;
  ps->s = s + 1;
  return true;
}

static bool parse_repeat(struct parser *ps, u32 *min, u32 *max)
{
  if (ps->s >= ps->end)
    return false;
  *min = *ps->s == '+';
  *max = *ps->s == '?' ? 1 : FOREVER;
  if (*ps->s == '{')
    return parse_count(ps, min, max);
  if (*ps->s != '*' && *ps->s != '+' && *ps->s != '?')
    return false;
  ps->s++;
  return true;
}

/* piece := atom { "*" | "+" | "?" | count } */
static struct node *parse_piece(struct parser *ps)
{
  u32 min, max;
  struct node *n = parse_atom(ps);
  for (const char *at = ps->s; n && parse_repeat(ps, &min, &max); at = ps->s) {
    if (min > max)
      return fail(ps, "invalid range of counts", at);
    if (min > MAX_COUNT || (max > MAX_COUNT && max != FOREVER))
      return fail(ps, "count too large", at);
    n = node_new(ps, N_REPEAT, n, NULL);
    n->min = min;
    n->max = max;
  }
  return n;
}

/* branch := { piece }; as a chain: what comes first decides first where parts end. */
static struct node *parse_branch(struct parser *ps)
{
  VEC(struct node *) pieces = {0};
  while (ps->s < ps->end && *ps->s != '|' && *ps->s != ')') {
    struct node *piece = parse_piece(ps);
    if (!piece)
      return NULL;
    vec_push(ps->p->a, &pieces, piece);
  }
  if (!pieces.n)
    return node_new(ps, N_EMPTY, NULL, NULL);
  struct node *n = vec_last(&pieces);
  for (u32 i = pieces.n - 1; i--;)
    n = node_new(ps, N_CAT, pieces.v[i], n);
  return n;
}

/* regex := branch { "|" branch } */
static struct node *parse_regex(struct parser *ps)
{
  struct node *n = parse_branch(ps);
  while (n && ps->s < ps->end && *ps->s == '|') {
    ps->s++;
    struct node *b = parse_branch(ps);
    n = b ? node_new(ps, N_ALT, n, b) : NULL;
  }
  return n;
}

/* ---- parts -------------------------------------------------------------------------- */

static bool has_groups(const struct rx_prog *p, const struct node *n)
{
  return p->with_groups && n->groups[0] < MIN(n->groups[1], (u32)REGEX_MAX_GROUPS);
}

/* Numbers the parts of a tree. */
static void number_parts(struct rx_prog *p, struct node *n, bool is_part, u32 height)
{
  bool group = n->kind == N_GROUP && p->with_groups && n->group < REGEX_MAX_GROUPS;
  if (is_part || group) {
    if (p->parts.n >= RX_MAX_PARTS || height >= RX_MAX_HEIGHT) {
      p->why = too_large;
      return;
    }
    struct rx_part part = {.height = height++, .group = group ? n->group : RX_NO_GROUP};
    part.inside = n->groups[0] + group;
    part.end = MIN(n->groups[1], (u32)REGEX_MAX_GROUPS);
    n->part = p->parts.n;
    vec_push(p->a, &p->parts, part);
  }
  bool inner =
      n->kind != N_GROUP && ((n->a && has_groups(p, n->a)) || (n->b && has_groups(p, n->b)));
  if (n->a)
    number_parts(p, n->a, inner, height);
  if (n->b)
    number_parts(p, n->b, inner, height);
}

/* ---- the program -------------------------------------------------------------------- */

static u32 emit(struct rx_prog *p, enum rx_op op, u32 a, u32 b)
{
  if (p->ins.n >= RX_MAX_INS) {
    p->why = too_large;
    return 0;
  }
  vec_push(p->a, &p->ins, ((struct rx_ins){op, a, b}));
  return p->ins.n - 1;
}

static void gen(struct rx_prog *p, const struct node *n);

static void gen_nil(struct rx_prog *p, const struct node *n)
{
  if (n->part)
    emit(p, RX_NIL, n->part, 0);
}

/* Splits whose second way is not yet known lead to the next instruction. */
static void patch(struct rx_prog *p, const u32 *split, u32 n)
{
  for (u32 k = 0; k < n && !p->why; k++)
    p->ins.v[split[k]].b = p->ins.n;
}

/* Rounds that must be, then: for ever, or as many as may be.  Passing by without any round differs
 * from ending after one. */
static void gen_repeat(struct rx_prog *p, const struct node *n)
{
  bool forever = n->max == FOREVER;
  u32 required = forever && n->min ? n->min - 1 : n->min, nexits = 0;
  u32 optional = forever ? 1 : n->max - n->min;
  u32 *exit = NEW_ARRAY(p->a, u32, optional + 1), pass_by = NOWHERE;
  for (u32 k = 0; k < required && !p->why; k++)
    gen(p, n->a);
  for (u32 k = 0; k < optional && !p->why; k++) {
    if (!n->min && !k)
      pass_by = emit(p, RX_SPLIT, p->ins.n + 1, 0);
    else if (!forever)
      exit[nexits++] = emit(p, RX_SPLIT, p->ins.n + 1, 0);
    u32 top = p->ins.n;
    gen(p, n->a);
    if (forever)
      exit[nexits++] = emit(p, RX_SPLIT, top, 0);
  }
  if (pass_by != NOWHERE && n->a->part) {
    u32 over = emit(p, RX_JMP, 0, 0);
    patch(p, &pass_by, 1);
    gen_nil(p, n->a);
    p->ins.v[over].a = p->ins.n;
  } else if (pass_by != NOWHERE) {
    patch(p, &pass_by, 1);
  }
  patch(p, exit, nexits);
}

static void gen_alt(struct rx_prog *p, const struct node *n)
{
  u32 split = emit(p, RX_SPLIT, p->ins.n + 1, 0);
  gen(p, n->a);
  gen_nil(p, n->b);
  u32 jmp = emit(p, RX_JMP, 0, 0);
  p->ins.v[split].b = p->ins.n;
  gen_nil(p, n->a);
  gen(p, n->b);
  p->ins.v[jmp].a = p->ins.n;
}

static void gen_inner(struct rx_prog *p, const struct node *n)
{
  switch (n->kind) {
  case N_EMPTY:
    break;
  case N_SET:
    emit(p, RX_SET, n->set, 0);
    break;
  case N_CAT:
    gen(p, n->a);
    gen(p, n->b);
    break;
  case N_ALT:
    gen_alt(p, n);
    break;
  case N_REPEAT:
    gen_repeat(p, n);
    break;
  case N_GROUP:
    gen(p, n->a);
    break;
  case N_ASSERT:
    emit(p, RX_ASSERT, n->which, 0);
    break;
  }
}

static void gen(struct rx_prog *p, const struct node *n)
{
  if (++p->work > RX_MAX_WORK)
    p->why = too_large;
  if (p->why)
    return;
  if (n->part)
    emit(p, RX_OPEN, n->part, 0);
  gen_inner(p, n);
  if (n->part)
    emit(p, RX_CLOSE, n->part, 0);
}

struct regex *regex_compile(struct arena *a, const char *pattern, u32 len, bool with_groups,
                            const char **why, u32 *at)
{
  struct rx_prog prog = {.a = a, .ngroups = 1, .with_groups = with_groups};
  struct parser ps = {.p = &prog, .s = pattern, .end = pattern + len};
  *at = 0;
  if (len > RX_MAX_INS) {
    *why = too_large;
    return NULL;
  }
  struct node *n = parse_regex(&ps);
  if (n && ps.s < ps.end)
    n = fail(&ps, "unmatched )", ps.s);
  if (!n) {
    *why = ps.why;
    *at = (u32)(ps.s - pattern);
    return NULL;
  }
  vec_push(a, &prog.parts, ((struct rx_part){0}));
  number_parts(&prog, n, false, 1);
  gen(&prog, n);
  emit(&prog, RX_MATCH, 0, 0);
  struct regex *re = NEW(a, struct regex);
  re->pattern = arena_strndup(a, pattern, len);
  re->ngroups = MIN(prog.ngroups, (u32)REGEX_MAX_GROUPS);
  if (prog.why || !rx_match_table(&prog, re) || (with_groups && !rx_group_table(&prog, re))) {
    *why = prog.why;
    return NULL;
  }
  return re;
}

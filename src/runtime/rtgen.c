/* Build-time tool: turns the runtime's BPF object into C arrays (runtime/rt_image.h), so that
 * `stap` needs no ELF reader to link programs.
 *
 *   rtgen rt.bpf.o > rt_image.inc
 *
 * Functions come from the symbol table, their arguments from BTF, what is to be patched from
 * .rel.text and from immediates that look like RT_MAGIC.  */
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/btf.h>

#include "runtime/rt_const.h"
#include "runtime/rt_image.h"

enum { MAX_FUNCS = 250, MAX_RELOCS = 4096, TEMPLATE_PARAMS = 4 };
enum { RELOC_CALL = 10 }; /* R_BPF_64_32 */

struct func {
  struct rt_func f;
  u64 start, size; /* bytes in .text */
};

static struct func funcs[MAX_FUNCS];
static u32 nfuncs;

/* Names that the sources use for maps. */
static const struct {
  const char *name;
  enum rt_reloc_kind kind;
  const char *arg;
} externs[] = {
    {"RT_RODATA", RT_REL_MAPVAL, "BMAP_RODATA"}, {"RT_STATE", RT_REL_MAPVAL, "BMAP_STATE"},
    {"RT_RING", RT_REL_MAP, "BMAP_RING"},        {"RT_MAP0", RT_REL_PARAM_MAP, "0"},
    {"RT_MAP1", RT_REL_PARAM_MAP, "1"},
};

static __attribute__((noreturn)) void die(const char *what, const char *name)
{
  fprintf(stderr, "rtgen: %s%s%s\n", what, name ? ": " : "", name ? name : "");
  exit(1);
}

static int by_start(const void *a, const void *b)
{
  const struct func *x = a, *y = b;
  return x->start < y->start ? -1 : x->start > y->start;
}

static u32 func_at(u64 off)
{
  for (u32 i = 0; i < nfuncs; i++)
    if (funcs[i].start == off)
      return i;
  die("call of something that is no function", NULL);
}

static struct func *func_of(u64 off)
{
  for (u32 i = 0; i < nfuncs; i++)
    if (off >= funcs[i].start && off < funcs[i].start + funcs[i].size)
      return &funcs[i];
  die("relocation outside of functions", NULL);
}

static void read_funcs(Elf_Scn *scn, const GElf_Shdr *sh, Elf *elf, size_t text,
                       const struct btf *btf)
{
  Elf_Data *d = elf_getdata(scn, NULL);
  for (size_t i = 0; i < sh->sh_size / sh->sh_entsize; i++) {
    GElf_Sym s;
    gelf_getsym(d, (int)i, &s);
    if (GELF_ST_TYPE(s.st_info) != STT_FUNC || s.st_shndx != text)
      continue;
    if (nfuncs == MAX_FUNCS)
      die("too many functions", NULL);
    struct func *f = &funcs[nfuncs++];
    f->f.name = elf_strptr(elf, sh->sh_link, s.st_name);
    f->f.global = GELF_ST_BIND(s.st_info) == STB_GLOBAL;
    f->start = s.st_value;
    f->size = s.st_size;
    s32 id = btf__find_by_name_kind(btf, f->f.name, BTF_KIND_FUNC);
    if (id < 0)
      die("no type information", f->f.name);
    const struct btf_type *proto = btf__type_by_id(btf, btf__type_by_id(btf, (u32)id)->type);
    f->f.nargs = (u8)btf_vlen(proto);
    if (f->f.nargs && f->f.global)
      f->f.takes_frame = btf_is_ptr(btf__type_by_id(btf, btf_params(proto)[0].type));
  }
  qsort(funcs, nfuncs, sizeof(*funcs), by_start);
}

struct patch {
  u32 insn; /* in .text */
  u8 kind;
  char arg[24];
};
static struct patch patches[MAX_RELOCS];
static u32 npatches;

static void add_patch(u64 insn, enum rt_reloc_kind kind, const char *arg, u32 num)
{
  if (npatches == MAX_RELOCS)
    die("too many relocations", NULL);
  struct patch *p = &patches[npatches++];
  p->insn = (u32)insn;
  p->kind = (u8)kind;
  if (arg)
    snprintf(p->arg, sizeof(p->arg), "%s", arg);
  else
    snprintf(p->arg, sizeof(p->arg), "%u", num);
}

static void read_relocs(Elf *elf, Elf_Scn *scn, const GElf_Shdr *sh, Elf_Scn *symscn,
                        struct bpf_insn *text)
{
  Elf_Data *d = elf_getdata(scn, NULL), *syms = elf_getdata(symscn, NULL);
  GElf_Shdr symsh;
  gelf_getshdr(symscn, &symsh);
  for (size_t i = 0; i < sh->sh_size / sh->sh_entsize; i++) {
    GElf_Rel r;
    GElf_Sym s;
    gelf_getrel(d, (int)i, &r);
    gelf_getsym(syms, (int)GELF_R_SYM(r.r_info), &s);
    const char *name = elf_strptr(elf, symsh.sh_link, s.st_name);
    struct bpf_insn *in = &text[r.r_offset / 8];
    if (GELF_R_TYPE(r.r_info) == RELOC_CALL) {
      u64 to = GELF_ST_TYPE(s.st_info) == STT_SECTION ? ((u64)in->imm + 1) * 8 : s.st_value;
      if (!s.st_shndx)
        die("call of an undefined function", name);
      add_patch(r.r_offset / 8, RT_REL_CALL, NULL, func_at(to));
      in->imm = 0;
      continue;
    }
    if (s.st_shndx &&
        (GELF_ST_TYPE(s.st_info) == STT_SECTION || GELF_ST_TYPE(s.st_info) == STT_FUNC)) {
      add_patch(r.r_offset / 8, RT_REL_FUNC, NULL, func_at(s.st_value + (u64)(u32)in->imm));
      in->imm = 0;
      continue;
    }
    u32 k = 0;
    while (k < ARRAY_SIZE(externs) && strcmp(externs[k].name, name))
      k++;
    if (k == ARRAY_SIZE(externs))
      die("data that the runtime can't have in BPF", name);
    add_patch(r.r_offset / 8, externs[k].kind, externs[k].arg, 0);
  }
}

/* Calls that clang resolved itself, and the constants. */
static void scan_text(struct bpf_insn *text, u64 n)
{
  for (u64 i = 0; i < n; i++) {
    struct bpf_insn *in = &text[i];
    if (in->code == (BPF_JMP | BPF_CALL) && in->src_reg == BPF_PSEUDO_CALL) {
      bool known = false;
      for (u32 k = 0; k < npatches; k++)
        known |= patches[k].insn == i;
      if (!known)
        add_patch(i, RT_REL_CALL, NULL, func_at((u64)((s64)i + 1 + in->imm) * 8));
      in->imm = 0;
    } else if (in->code == (BPF_ALU64 | BPF_MOV | BPF_K)) {
      if (in->imm >= RT_MAGIC && in->imm < RT_MAGIC + RT_K_LAST)
        add_patch(i, RT_REL_CONST, NULL, (u32)(in->imm - RT_MAGIC));
      else if (in->imm >= RT_MAGIC_PARAM && in->imm < RT_MAGIC_PARAM + TEMPLATE_PARAMS)
        add_patch(i, RT_REL_PARAM, NULL, (u32)(in->imm - RT_MAGIC_PARAM));
    } else if (in->code == (BPF_LD | BPF_IMM | BPF_DW)) {
      i++;
    }
  }
}

static int by_insn(const void *a, const void *b)
{
  const struct patch *x = a, *y = b;
  return x->insn < y->insn ? -1 : x->insn > y->insn;
}

static void find_templates(void)
{
  for (bool changed = true; changed;) {
    changed = false;
    for (u32 k = 0; k < npatches; k++) {
      struct func *f = func_of(patches[k].insn * 8ull);
      u8 kind = patches[k].kind;
      bool is = kind == RT_REL_PARAM || kind == RT_REL_PARAM_MAP;
      if (kind == RT_REL_CALL || kind == RT_REL_FUNC)
        is = funcs[atoi(patches[k].arg)].f.is_template;
      if (is && !f->f.is_template)
        changed = f->f.is_template = true;
    }
  }
}

static void print_image(const struct bpf_insn *text, u64 n)
{
  printf("/* Made by rtgen from the runtime's BPF object. */\nstatic const u64 rt_insns[] = {");
  for (u64 i = 0; i < n; i++) {
    u64 w;
    memcpy(&w, &text[i], 8);
    printf("%s0x%llx,", i % 8 ? "" : "\n", (unsigned long long)w);
  }
  printf("\n};\nstatic const struct rt_reloc rt_relocs[] = {\n");
  for (u32 k = 0; k < npatches; k++) {
    struct func *f = func_of(patches[k].insn * 8ull);
    if (!f->f.nrelocs)
      f->f.reloc = (u16)k;
    f->f.nrelocs++;
    printf("{%llu, %u, %s},\n", (unsigned long long)(patches[k].insn - f->start / 8),
           patches[k].kind, patches[k].arg);
  }
  printf("};\nstatic const struct rt_func rt_funcs[] = {\n");
  for (u32 i = 0; i < nfuncs; i++) {
    const struct func *f = &funcs[i];
    printf("{\"%s\", %llu, %llu, %u, %u, %u, %d, %d, %d},\n", f->f.name,
           (unsigned long long)(f->start / 8), (unsigned long long)(f->size / 8), f->f.reloc,
           f->f.nrelocs, f->f.nargs, f->f.takes_frame, f->f.global, f->f.is_template);
  }
  printf("};\n");
}

int main(int argc, char **argv)
{
  if (argc != 2)
    die("usage: rtgen OBJECT", NULL);
  elf_version(EV_CURRENT);
  int fd = open(argv[1], O_RDONLY);
  Elf *elf = fd < 0 ? NULL : elf_begin(fd, ELF_C_READ, NULL);
  size_t shstr;
  if (!elf || elf_getshdrstrndx(elf, &shstr))
    die("can't read", argv[1]);
  struct btf *btf = btf__parse_elf(argv[1], NULL);
  if (!btf)
    die("no BTF", argv[1]);
  Elf_Scn *text = NULL, *rel = NULL, *sym = NULL;
  GElf_Shdr textsh = {0}, relsh = {0}, symsh = {0}, sh;
  for (Elf_Scn *s = NULL; (s = elf_nextscn(elf, s));) {
    gelf_getshdr(s, &sh);
    const char *name = elf_strptr(elf, shstr, sh.sh_name);
    if (!strcmp(name, ".text"))
      text = s, textsh = sh;
    else if (!strcmp(name, ".rel.text"))
      rel = s, relsh = sh;
    else if (sh.sh_type == SHT_SYMTAB)
      sym = s, symsh = sh;
  }
  if (!text || !rel || !sym)
    die("sections missing", argv[1]);
  u64 n = textsh.sh_size / 8;
  struct bpf_insn *insns = malloc(n * sizeof(*insns));
  if (!insns)
    die("out of memory", NULL);
  memcpy(insns, elf_getdata(text, NULL)->d_buf, n * sizeof(*insns));
  read_funcs(sym, &symsh, elf, elf_ndxscn(text), btf);
  read_relocs(elf, rel, &relsh, sym, insns);
  scan_text(insns, n);
  qsort(patches, npatches, sizeof(*patches), by_insn);
  find_templates();
  print_image(insns, n);
  free(insns);
  btf__free(btf);
  elf_end(elf);
  close(fd);
  return 0;
}

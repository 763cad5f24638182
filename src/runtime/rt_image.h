/* The runtime's BPF code as it is built into `stap`: what rtgen makes of rt.bpf.o (the arrays, in
 * gen/rt_image.inc) and bpf/link.c reads.  */
#ifndef STAP_RUNTIME_RT_IMAGE_H
#define STAP_RUNTIME_RT_IMAGE_H

#include "base/base.h"

enum rt_reloc_kind {
  RT_REL_CALL,      /* call of function arg */
  RT_REL_FUNC,      /* ld_imm64: address of callback arg */
  RT_REL_MAP,       /* ld_imm64: the image's map arg (enum bpf_map_id) */
  RT_REL_MAPVAL,    /* ld_imm64: its value */
  RT_REL_PARAM_MAP, /* ld_imm64: map[arg] of the template's parameters */
  RT_REL_CONST,     /* immediate: enum rt_const */
  RT_REL_PARAM,     /* immediate: c[arg] of the template's parameters */
};
struct rt_reloc {
  u16 insn; /* in the function */
  u8 kind;
  u8 arg;
};
struct rt_func {
  const char *name;
  u16 insn, ninsns;   /* in rt_insns */
  u16 reloc, nrelocs; /* in rt_relocs */
  u8 nargs;
  bool takes_frame; /* the first argument is the frame */
  bool global;      /* else a callback, or a subprogram verified with its callers */
  bool is_template; /* it, or what it reaches, has parameters */
};

#endif

/* The immediates of the runtime's BPF code that the linker replaces. */
#ifndef STAP_RUNTIME_RT_CONST_H
#define STAP_RUNTIME_RT_CONST_H

enum { RT_TAIL = 192 }; /* bytes at the frame's end: the loops' state (struct rt_loop) */
enum { RT_MAGIC = 0x5afe0000, RT_MAGIC_PARAM = 0x5afe0100 };
enum rt_const {
  RT_K_L,        /* MAXSTRINGLEN */
  RT_K_M,        /* a string's buffer */
  RT_K_LIMIT,    /* highest offset of a string in the frame */
  RT_K_RO_LIMIT, /* ... in the read-only data */
  RT_K_TAIL,     /* offset of struct rt_loop */
  RT_K_TMP,
  RT_K_TOK,
  RT_K_SUBJ,
  RT_K_LAST
};
/* RT_MAGIC_PARAM + i: c[i] of a template's parameters. */

#endif

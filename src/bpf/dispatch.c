/* Many system calls' handlers behind one tracepoint: a program that jumps into an array of
 * programs by the call's number.  */
#include <bpf/bpf.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "bpf/bpf.h"
#include "bpf/syscall_regs.h"
#include "elaborate/program.h"

enum { NUMBERS = 1024 }; /* of system calls, at most */

/* A call, since the insn macros of the kernel's tools are no installed header. */
#define INSN(c, d, s, o, i)                                                                        \
  ((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
enum { R0, R1, R2, R3, R6 = 6, R10 = 10 };

/* sys_enter has the number as its second argument; sys_exit leaves it in the registers. */
static u32 dispatcher(struct bpf_insn *p, int array_fd, bool exit)
{
  u32 n = 0;
  p[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_X, R6, R1, 0, 0);
  if (exit) {
    p[n++] = INSN(BPF_ST | BPF_MEM | BPF_DW, R10, 0, -8, -1);
    p[n++] = INSN(BPF_LDX | BPF_MEM | BPF_DW, R3, R1, 0, 0);
    p[n++] = INSN(BPF_ALU64 | BPF_ADD | BPF_K, R3, 0, 0, REGS_NUMBER);
    p[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_X, R1, R10, 0, 0);
    p[n++] = INSN(BPF_ALU64 | BPF_ADD | BPF_K, R1, 0, 0, -8);
    p[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_K, R2, 0, 0, 8);
    p[n++] = INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_probe_read_kernel);
    p[n++] = INSN(BPF_LDX | BPF_MEM | BPF_DW, R3, R10, -8, 0);
  } else {
    p[n++] = INSN(BPF_LDX | BPF_MEM | BPF_DW, R3, R1, 8, 0);
  }
  p[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_X, R1, R6, 0, 0);
  p[n++] = INSN(BPF_LD | BPF_IMM | BPF_DW, R2, BPF_PSEUDO_MAP_FD, 0, array_fd);
  p[n++] = INSN(0, 0, 0, 0, 0);
  p[n++] = INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_tail_call);
  p[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_K, R0, 0, 0, 0);
  p[n++] = INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  return n;
}

static int fill(const struct bpf_dispatch *t, const struct bpf_image *img, bool exit)
{
  for (u32 i = 0; i < img->units.n; i++) {
    const struct bpf_unit *u = img->units.v[i];
    u32 fd = (u32)u->fd;
    for (u32 k = 0; k < u->probes.n; k++) {
      const struct probe_inst *pi = u->probes.v[k]->inst;
      if (pi->kind == (exit ? PROG_SYSCALL_EXIT : PROG_SYSCALL_ENTER) &&
          bpf_map_update_elem(t->array_fd, &pi->number, &fd, BPF_ANY))
        return -1;
    }
  }
  return 0;
}

int bpf_dispatch_load(struct bpf_dispatch *t, const struct bpf_image *img, bool exit,
                      struct diag *d)
{
  struct bpf_insn insns[32];
  t->array_fd = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "syscalls", 4, 4, NUMBERS, NULL);
  if (t->array_fd >= 0 && !fill(t, img, exit)) {
    u32 n = dispatcher(insns, t->array_fd, exit);
    t->prog_fd = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "syscalls", "GPL", insns, n, NULL);
    if (t->prog_fd >= 0)
      return 0;
  }
  diag_msg(d, DIAG_ERROR, "the kernel refused the dispatcher of system calls: %s", strerror(errno));
  return -1;
}

void bpf_dispatch_close(struct bpf_dispatch *t)
{
  if (t->prog_fd >= 0)
    close(t->prog_fd);
  if (t->array_fd >= 0)
    close(t->array_fd);
  *t = (struct bpf_dispatch){-1, -1};
}

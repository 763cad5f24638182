/* Where struct pt_regs keeps a system call's number: a layout that user space sees, too. */
#ifndef STAP_BPF_SYSCALL_REGS_H
#define STAP_BPF_SYSCALL_REGS_H

#include <asm/ptrace.h>
#include <stddef.h>

#if defined(__x86_64__)
#define REGS_NUMBER offsetof(struct pt_regs, orig_rax)
/* A 32-bit program's calls are numbered differently: its code segment tells it. */
#define REGS_CS offsetof(struct pt_regs, cs)
#define REGS_CS_COMPAT 0x23
#elif defined(__aarch64__)
#define REGS_NUMBER 280 /* syscallno, behind struct user_pt_regs and orig_x0 */
#else
#error "where does struct pt_regs have the system call's number on this architecture?"
#endif

#endif

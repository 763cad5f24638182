/* The runtime as one BPF object; bpf/link.c takes from it what a program calls. */
#include "runtime/rt_str.bpf.c"

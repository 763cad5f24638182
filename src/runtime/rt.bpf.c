/* The runtime as one BPF object; bpf/link.c takes from it what a program calls. */
#include "runtime/rt_str.bpf.c"
#include "runtime/rt_tab.bpf.c"
#include "runtime/rt_fmt.bpf.c"
#include "runtime/rt_stat.bpf.c"
#include "runtime/rt_mem.bpf.c"
#include "runtime/rt_time.bpf.c"
#include "runtime/rt_sort.bpf.c"
#include "runtime/rt_regex.bpf.c"

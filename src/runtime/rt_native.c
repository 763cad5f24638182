/* The runtime compiled into `stap`: for the user executor, and for tests that compare it with
 * the BPF code.  */
#define RT_NATIVE
#include "base/base.h"

#include "runtime/rt_in.h"

u32 rt_L, rt_M, rt_F, rt_R;
const u8 *rt_rodata;

#include "runtime/rt_str.bpf.c"
#include "runtime/rt_tab.bpf.c"
#include "runtime/rt_fmt.bpf.c"
#include "runtime/rt_stat.bpf.c"
#include "runtime/rt_hist.bpf.c"
#include "runtime/rt_time.bpf.c"
#include "runtime/rt_regex.bpf.c"

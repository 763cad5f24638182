// The handlers that stap's are compared with, as one writes them by hand: plain maps, no checks that the task doesn't ask for.
// peer.c loads one of them by name.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

struct comm {
  char s[16];
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 2048);
  __type(key, struct comm);
  __type(value, __u64);
} by_comm SEC(".maps");

struct comm_pid {
  char s[16];
  __u64 pid;
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 2048);
  __type(key, struct comm_pid);
  __type(value, __u64);
} by_comm_pid SEC(".maps");

struct stats {
  __u64 count;
  __s64 sum, min, max;
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct stats);
} values SEC(".maps");

static const __u64 one = 1;

// n[execname()]++
SEC("raw_tp/sys_enter") int count(void *ctx) {
  struct comm key;
  bpf_get_current_comm(&key, sizeof key);
  __u64 *n = bpf_map_lookup_elem(&by_comm, &key);
  if (n)
    __sync_fetch_and_add(n, 1);
  else
    bpf_map_update_elem(&by_comm, &key, &one, BPF_NOEXIST);
  return 0;
}

// n[execname(), pid()]++
SEC("raw_tp/sys_enter") int count2(void *ctx) {
  struct comm_pid key = {.pid = bpf_get_current_pid_tgid() >> 32};
  bpf_get_current_comm(&key.s, sizeof key.s);
  __u64 *n = bpf_map_lookup_elem(&by_comm_pid, &key);
  if (n)
    __sync_fetch_and_add(n, 1);
  else
    bpf_map_update_elem(&by_comm_pid, &key, &one, BPF_NOEXIST);
  return 0;
}

// s <<< tid(); @count, @sum, @min, @max
SEC("raw_tp/sys_enter") int stat(void *ctx) {
  __u32 zero = 0;
  struct stats *s = bpf_map_lookup_elem(&values, &zero);
  if (!s)
    return 0;
  __s64 v = (__u32)bpf_get_current_pid_tgid();
  if (s->count++ == 0)
    s->min = s->max = v;
  s->sum += v;
  if (v < s->min)
    s->min = v;
  if (v > s->max)
    s->max = v;
  return 0;
}

// What follows runs as a program of the session: "context" is the number of rounds, and gets the nanoseconds they took.
struct rounds {
  __u64 n;
};

static __u64 sink;

static long empty_round(__u64 i, __u64 *x) {
  (*x)++;
  asm volatile("" ::: "memory");
  return 0;
}

// for (i = 0; i < N; i++) x++
SEC("syscall") int loop(struct rounds *r) {
  __u64 x = 0, start = bpf_ktime_get_ns();
  bpf_loop(r->n, empty_round, &x, 0);
  r->n = bpf_ktime_get_ns() - start;
  sink = x;
  return 0;
}

// s <<< i
static long stat_round(__u64 i, void *unused) {
  __u32 zero = 0;
  struct stats *s = bpf_map_lookup_elem(&values, &zero);
  if (!s)
    return 1;
  __s64 v = i;
  if (s->count++ == 0)
    s->min = s->max = v;
  s->sum += v;
  if (v < s->min)
    s->min = v;
  if (v > s->max)
    s->max = v;
  return 0;
}

SEC("syscall") int stat_loop(struct rounds *r) {
  __u64 start = bpf_ktime_get_ns();
  bpf_loop(r->n, stat_round, 0, 0);
  r->n = bpf_ktime_get_ns() - start;
  return 0;
}

// a["some words", i & 63]++
static long array_round(__u64 i, void *unused) {
  struct comm_pid key = {.s = "some words", .pid = i & 63};
  __u64 *n = bpf_map_lookup_elem(&by_comm_pid, &key);
  if (n)
    __sync_fetch_and_add(n, 1);
  else
    bpf_map_update_elem(&by_comm_pid, &key, &one, BPF_NOEXIST);
  return 0;
}

SEC("syscall") int array_loop(struct rounds *r) {
  __u64 start = bpf_ktime_get_ns();
  bpf_loop(r->n, array_round, 0, 0);
  r->n = bpf_ktime_get_ns() - start;
  return 0;
}

// s = a . b; if (s == "the first half, the second half.") hits++
struct texts {
  char a[17], b[17], want[33], out[512];
  __u64 hits;
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct texts);
} texts SEC(".maps");

static long concat_round(__u64 i, void *unused) {
  __u32 zero = 0;
  struct texts *t = bpf_map_lookup_elem(&texts, &zero);
  if (!t)
    return 1;
  long n = bpf_probe_read_kernel_str(t->out, sizeof t->a, t->a);
  if (n < 1 || n > 17)
    return 1;
  bpf_probe_read_kernel_str(t->out + n - 1, sizeof t->b, t->b);
  if (bpf_strncmp(t->out, 32, "the first half, the second half.") == 0)
    t->hits++;
  return 0;
}

SEC("syscall") int concat_loop(struct rounds *r) {
  __u32 zero = 0;
  struct texts *t = bpf_map_lookup_elem(&texts, &zero);
  if (!t)
    return 1;
  __builtin_memcpy(t->a, "the first half, ", 17);
  __builtin_memcpy(t->b, "the second half.", 17);
  t->hits = 0;
  __u64 start = bpf_ktime_get_ns(), n = r->n;
  bpf_loop(n, concat_round, 0, 0);
  r->n = bpf_ktime_get_ns() - start;
  return t->hits == n ? 0 : 2;
}

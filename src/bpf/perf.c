/* Performance events: one per processor, all for one program. */
#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf/bpf.h"
#include "elaborate/program.h"

static int open_event(const struct perf_event *ev, int cpu)
{
  struct perf_event_attr attr = {
      .type = ev->type,
      .size = sizeof(attr),
      .config = ev->config,
      .sample_type = PERF_SAMPLE_RAW,
      .wakeup_events = 1,
      .freq = ev->is_hz,
  };
  attr.sample_period = ev->amount; /* or sample_freq, in the same place */
  return (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

static const char *reason(int err)
{
  switch (err) {
  case ENOENT:
  case EOPNOTSUPP:
    return "this machine doesn't have such an event";
  case EACCES:
  case EPERM:
    return "not permitted: CAP_PERFMON is missing, or kernel.perf_event_paranoid forbids it";
  case ENOSPC:
  case EBUSY:
    return "all counters are in use";
  default:
    return strerror(err);
  }
}

int bpf_attach_perf(struct arena *a, bpf_links *links, const struct probe_inst *pi, int prog,
                    struct diag *d)
{
  long cpus = sysconf(_SC_NPROCESSORS_CONF);
  for (int cpu = 0; cpu < cpus; cpu++) {
    int fd = open_event(pi->event, cpu);
    if (fd < 0 && errno == ENODEV) /* the processor is off */
      continue;
    if (fd >= 0) {
      vec_push(a, links, fd);
      if (!ioctl(fd, PERF_EVENT_IOC_SET_BPF, prog) && !ioctl(fd, PERF_EVENT_IOC_ENABLE, 0))
        continue;
    }
    diag_msg(d, DIAG_ERROR, "probe %s registration error: %s", pi->pp, reason(errno));
    return -1;
  }
  return 0;
}

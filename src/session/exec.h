/* Executors and the session's side of a run. */
#ifndef STAP_SESSION_EXEC_H
#define STAP_SESSION_EXEC_H

#include "ir/ir.h"
#include "runtime/abi.h"

struct session;

/* One place that writes records: a PRINT or HISTPRINT instruction. */
struct rt_site {
  const struct ir_fmt *fmt;         /* PRINT */
  const struct ir_global *hist_of;  /* HISTPRINT */
  const struct hist *hist;
  u16 *width;                       /* per argument: 0 variable-length, else fixed bytes */
};

/* Options of a run; the driver fills them from the command line. */
struct run_options {
  u32 buffer_mb;          /* -s; 0: chosen by the executor */
  u32 maxerrors, maxskipped;
  bool suppress_handler_errors, show_globals_at_exit;
  const char *output;     /* -o, or NULL: stdout */
  const char *command;    /* -c */
  s64 target_pid;         /* -x */
  u64 timeout_ns;         /* -T; 0: none */
  bool timing;            /* -t: report probe timing */
  u32 verbose;
  u32 rotate_mb, rotate_n; /* -S */
  bool color;
};

/* An executor runs handlers.  All functions return 0 or -1 after reporting to diag.  */
struct executor {
  const char *name;
  struct rt_state *state;       /* shared with the handlers */
  struct rt_site *sites;        /* by site number, after load() */
  u32 nsites;
  void *priv;
  int (*load)(struct executor *x, struct ir_module *m, const struct run_options *o,
              struct diag *d, struct session *s);
  /* Event-driven probes: attach all; detach all (idempotent). */
  int (*attach)(struct executor *x, struct diag *d);
  void (*detach)(struct executor *x);
  /* Runs a session handler (begin, end, error, timer) to its end; its records may still
   * be on their way.  */
  int (*run)(struct executor *x, struct ir_probe *p);
  /* Delivers waiting records through session_record() and session_control(); blocks up to
   * timeout_ms (0: not) for the first.  Returns how many, or -1.  May be called from
   * a thread of its own.  NULL: records are delivered as they are made.  */
  int (*drain)(struct executor *x, int timeout_ms);
  /* Conditions of probes may have changed: evaluate, arm and disarm. NULL: nothing to do. */
  void (*rearm)(struct executor *x);
  /* Value of a global for the display at exit: calls visit for each element in the order
   * of a sorted foreach.  */
  int (*read_global)(struct executor *x, const struct ir_global *g, void *arg,
                     void (*visit)(void *arg, const struct ir_val *keys, const struct ir_val *val,
                                   const struct rt_stat *stat));
  void (*free)(struct executor *x);
};
struct executor *bpf_executor_new(struct arena *a);
struct executor *user_executor_new(struct arena *a);

/* Called by executors (thread-safe): one data record's items; one control record. */
void session_record(struct session *s, u32 site, const void *items, u32 len);
void session_control(struct session *s, const struct rt_ctl *c);

/* Runs the module to its end.  Returns the exit status of stap. */
int session_run(struct arena *a, struct ir_module *m, struct executor *x,
                const struct run_options *o, struct diag *d);

#endif

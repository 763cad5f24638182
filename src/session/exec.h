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
  bool no_warnings;       /* -w: of the run, too */
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
  /* Makes a drain() that is blocked now, or the next one, return at once.  Any thread.
   * NULL: the session calls drain() with short timeouts.  */
  void (*wake)(struct executor *x);
  /* -t: hits and total run time of an event-driven probe; false: not known. NULL: none are. */
  bool (*timing)(struct executor *x, const struct ir_probe *p, u64 *hits, u64 *ns);
};
struct executor *bpf_executor_new(struct arena *a);
struct executor *user_executor_new(struct arena *a);

/* Called by executors (thread-safe): one data record's items; one control record. */
void session_record(struct session *s, u32 site, const void *items, u32 len);
void session_control(struct session *s, const struct rt_ctl *c);
/* Text for the output, in order with the records (log() of the user runtime). */
void session_text(struct session *s, const char *text, u32 len);

/* Passes 4 and 5.  session_load() has the executor make and load its programs; NULL after
 * reporting.  session_run() runs the module to its end and returns the exit status of stap;
 * session_free() also frees what the executor holds.  */
struct session *session_load(struct arena *a, struct ir_module *m, struct executor *x,
                             const struct run_options *o, struct diag *d);
int session_run(struct session *s);
void session_free(struct session *s);

#endif

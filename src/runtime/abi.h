/* What the executors' generated code, the runtime C and the session agree on.  Included by
 * code compiled for BPF, so plain types only.  Sizes are bytes, offsets from the start.  */
#ifndef STAP_RUNTIME_ABI_H
#define STAP_RUNTIME_ABI_H

#include <linux/types.h>

/* ---- the frame --------------------------------------------------------------
 * A handler's memory: one per context slot of a CPU (BPF) or one (user).  After the header come
 * an error-message buffer of MAXSTRINGLEN, runtime scratch, then registers and strings at
 * offsets chosen when the script is compiled.  Runtime functions take the frame and offsets
 * into it, and never a bare pointer.  Strings are NUL-terminated in buffers of MAXSTRINGLEN
 * bytes (or of their smaller proven bound); bytes after the NUL are unspecified.  */
struct rt_frame {
  __u32 probe_id;
  __u32 err;        /* 0: none; RT_ERR_DYNAMIC: text in the message buffer; else error number */
  __u64 err_arg;    /* fault address */
  __s64 budget;     /* statements left */
  __u32 status;     /* how a loop body or function was left: enum rt_status */
  __u32 nesting;    /* depth of recursive calls */
  __u64 ctx;        /* the program's context pointer, kept opaque */
  __u32 slot;       /* claimed slot bit of this CPU */
  __u32 cpu;
  __u32 tok_off, tok_len;     /* tokenize() state is in the scratch area */
  __u32 match_n;              /* groups of the last =~ */
  __u32 match[20];            /* start, end offsets of group 0..9; ~0: unset */
  __u32 match_str;            /* offset of the copy of the subject, or 0 */
  __u32 may_wait;             /* a full data ring: wait for the reader */
  __u32 pad[11];
};
enum { RT_FRAME_HEADER = 192, RT_ERR_DYNAMIC = 0xffffffff };
_Static_assert(sizeof(struct rt_frame) == RT_FRAME_HEADER, "frame header size");
/* Layout after the header, with M = MAXSTRINGLEN:
 *   RT_OFF_ERRMSG          [M]  message of a dynamic error
 *   RT_OFF_TMP  + M        [M]  scratch of runtime functions
 *   RT_OFF_TOK  + 2M       [M]  what tokenize() works on
 *   RT_OFF_SUBJ + 3M       [M]  subject of the last =~ (for matched())
 *   RT_OFF_VARS + 4M            the script's own  */
#define RT_OFF_ERRMSG RT_FRAME_HEADER
#define RT_OFF_TMP(M) (RT_FRAME_HEADER + (M))
#define RT_OFF_TOK(M) (RT_FRAME_HEADER + 2 * (M))
#define RT_OFF_SUBJ(M) (RT_FRAME_HEADER + 3 * (M))
#define RT_OFF_VARS(M) (RT_FRAME_HEADER + 4 * (M))

enum rt_status { RT_OK, RT_BREAK, RT_RETURN, RT_ERROR, RT_NEXT };

/* ---- session state: one mmapable array map, read and written by both sides ------ */
enum rt_phase { RT_STARTING, RT_RUNNING, RT_STOPPING, RT_DONE };
struct rt_state {
  __u32 phase;
  __u32 exit_requested;
  __u64 target_pid;
  __u64 errors;            /* handlers that ended by an uncaught error */
  __u64 skipped_lock;      /* lock not obtained in time */
  __u64 skipped_frame;     /* no free frame slot */
  __u64 skipped_other;
  __u64 lost;              /* records dropped because the data ring was full */
  __u64 lost_ctl;
  __u64 boot_to_wall_ns;   /* CLOCK_REALTIME - CLOCK_MONOTONIC at start */
  __u64 maxerrors;
  __u64 stp_pid;
  __u32 reader_sleeps;      /* the session waits to be woken: submit with FORCE_WAKEUP */
  __u32 pad;
};

/* ---- records ------------------------------------------------------------------
 * Data ring: header, then one item per argument, each 8-aligned.
 *   integer: __u64
 *   fixed string (site's width n != 0): n bytes rounded up to 8, NUL-terminated unless full
 *   string: __u32 length, then its bytes without NUL, padded to 8
 * The site (one per PRINT or HISTPRINT instruction) says which.  */
struct rt_rec {
  __u32 site;
  __u32 len;               /* of the items, bytes */
};
/* Histogram record: the __s64 buckets. */

/* Control ring. */
enum rt_ctl_kind { RT_CTL_ERROR, RT_CTL_WARN, RT_CTL_EXIT };
struct rt_ctl {
  __u32 kind;
  __u32 probe_id;
  __u32 err;               /* error number, or RT_ERR_DYNAMIC: text follows */
  __u32 len;               /* of text */
  __u64 err_arg;
  char text[];
};

/* ---- statistics ------------------------------------------------------------------
 * One value per CPU (BPF) or one (user).  Histogram buckets follow, those of each
 * histogram of the global in turn.  */
struct rt_stat {
  __s64 count, sum, min, max;
  __s64 mean, m2;          /* @variance only: running mean and sum of squared deviations */
  __s64 bucket[];
};
enum { RT_HIST_LOG_BUCKETS = 128 };

/* ---- foreach ------------------------------------------------------------------------
 * What is sorted: ascending by key, then by seq (the insertion number).  */
struct rt_sort_entry {
  __u64 key;
  __u64 seq;
  __u64 idx;               /* entry of the snapshot */
};

#endif

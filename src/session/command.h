/* The command of -c: forked at once, so that target() is known, and held until the probes are
 * in place.  */
#ifndef STAP_SESSION_COMMAND_H
#define STAP_SESSION_COMMAND_H

#include <signal.h>
#include <sys/types.h>

#include "base/base.h"

struct command {
  const char *text;
  pid_t pid;       /* 0: none */
  int pidfd;       /* readable when it has ended; -1 where the kernel has no pidfds */
  int hold_fd;     /* closing it without a byte makes the child give up */
  int failed_fd;   /* the child writes the errno of a failed exec here */
  int status;      /* of waitpid(), once reaped */
  bool reaped;
};

/* Forks; `mask` is the signal mask that the command gets.  0, or -1 and errno. */
int command_start(struct command *c, const char *text, const sigset_t *mask);
/* Lets it go.  0, or the errno of the exec that failed. */
int command_release(struct command *c);
/* True once it has ended; never blocks. */
bool command_ended(struct command *c);
/* Ends a command that was never released; one that was goes on by itself. */
void command_finish(struct command *c);

#endif

/* Running -c's command: a child that reads from a pipe before it execs, so that it is stopped
 * without the side effects of ptrace or SIGSTOP, and dies with stap when that is killed first.  */
#include "session/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wordexp.h>

/* A plain command runs without a shell between, so that target() is its own process; what
 * wordexp() refuses (pipes, redirections, substitutions) or an assignment in front needs one.  */
static void exec_command(const char *text)
{
  wordexp_t w;
  if (wordexp(text, &w, WRDE_NOCMD | WRDE_UNDEF) == 0 && w.we_wordc &&
      !strchr(w.we_wordv[0], '=')) {
    execvp(w.we_wordv[0], w.we_wordv);
    return;
  }
  execl("/bin/sh", "sh", "-c", text, (char *)NULL);
}

/* The child's side: signal mask as stap found it, wait for the word, exec. */
static void child(const struct command *c, int hold, int failed, const sigset_t *mask)
{
  sigprocmask(SIG_SETMASK, mask, NULL);
  char go;
  ssize_t n;
  do
    n = read(hold, &go, 1);
  while (n < 0 && errno == EINTR);
  if (n != 1)
    _exit(0);
  exec_command(c->text);
  int err = errno;
  if (write(failed, &err, sizeof(err)) < 0)
    _exit(126);
  _exit(127);
}

int command_start(struct command *c, const char *text, const sigset_t *mask)
{
  int hold[2], failed[2];
  *c = (struct command){.text = text, .pidfd = -1, .hold_fd = -1, .failed_fd = -1};
  if (pipe2(hold, O_CLOEXEC))
    return -1;
  if (pipe2(failed, O_CLOEXEC)) {
    close(hold[0]);
    close(hold[1]);
    return -1;
  }
  pid_t pid = fork();
  if (pid == 0) {
    close(hold[1]);
    close(failed[0]);
    child(c, hold[0], failed[1], mask);
  }
  close(hold[0]);
  close(failed[1]);
  if (pid < 0) {
    close(hold[1]);
    close(failed[0]);
    return -1;
  }
  c->pid = pid;
  c->hold_fd = hold[1];
  c->failed_fd = failed[0];
  c->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  return 0;
}

int command_release(struct command *c)
{
  int err = 0;
  if (write(c->hold_fd, "", 1) != 1)
    return errno;
  close(c->hold_fd);
  c->hold_fd = -1;
  /* End of file says that the exec worked and closed the pipe. */
  ssize_t n;
  do
    n = read(c->failed_fd, &err, sizeof(err));
  while (n < 0 && errno == EINTR);
  close(c->failed_fd);
  c->failed_fd = -1;
  return n == (ssize_t)sizeof(err) ? err : 0;
}

bool command_ended(struct command *c)
{
  if (!c->reaped && waitpid(c->pid, &c->status, WNOHANG) == c->pid)
    c->reaped = true;
  return c->reaped;
}

void command_finish(struct command *c)
{
  if (!c->pid)
    return;
  bool held = c->hold_fd >= 0;
  if (held) {
    close(c->hold_fd); /* it reads the end of file and exits */
    close(c->failed_fd);
    while (waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR)
      ;
  }
  if (c->pidfd >= 0)
    close(c->pidfd);
  c->pid = 0;
}

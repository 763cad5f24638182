/* Output files: strftime(3) names, numbered successors, removal of the oldest. */
#include "session/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int fail(struct output *out, const char *op, int err)
{
  out->error = err;
  out->error_op = op;
  return -1;
}

/* The pattern with the time put in, and ".number" behind it when files are numbered: from 0
 * with -S, from 1 when SIGUSR2 asked for another file.  */
static char *file_name(const struct output *out)
{
  char expanded[4096];
  time_t now = time(NULL);
  struct tm tm;
  localtime_r(&now, &tm);
  if (strftime(expanded, sizeof(expanded), out->pattern, &tm) == 0)
    return NULL;
  char *name = NULL;
  if (out->max_bytes || out->number) {
    if (asprintf(&name, "%s.%u", expanded, out->number) < 0)
      return NULL;
  } else {
    name = strdup(expanded);
  }
  return name;
}

/* Remembers the new file and removes the one that is over -S's count. */
static void keep_newest(struct output *out, char *name)
{
  if (!out->max_files) {
    free(name);
    return;
  }
  char **place = &out->names[out->number % out->max_files];
  if (*place) {
    unlink(*place);
    free(*place);
  }
  *place = name;
}

static int open_file(struct output *out)
{
  char *name = file_name(out);
  if (!name)
    return fail(out, "open", ENAMETOOLONG);
  out->fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (out->fd < 0) {
    int err = errno;
    free(name);
    return fail(out, "open", err);
  }
  out->written = 0;
  keep_newest(out, name);
  return 0;
}

int output_open(struct output *out, const char *pattern, u32 rotate_mb, u32 rotate_n)
{
  *out = (struct output){.fd = STDOUT_FILENO, .pattern = pattern};
  if (!pattern)
    return 0;
  out->max_bytes = (u64)rotate_mb << 20;
  out->max_files = rotate_n;
  if (rotate_n && !(out->names = calloc(rotate_n, sizeof(*out->names))))
    return fail(out, "open", ENOMEM);
  return open_file(out);
}

int output_switch(struct output *out)
{
  if (!out->pattern || out->error)
    return 0;
  if (close(out->fd) < 0)
    return fail(out, "write", errno);
  out->number++;
  return open_file(out);
}

/* One write, whole.  stdout may have been made non-blocking by whoever shares it. */
static int write_all(struct output *out, const char *s, size_t n)
{
  while (n) {
    ssize_t done = write(out->fd, s, n);
    if (done < 0) {
      if (errno == EAGAIN) {
        struct pollfd p = {.fd = out->fd, .events = POLLOUT};
        poll(&p, 1, -1);
      } else if (errno != EINTR) {
        return fail(out, "write", errno);
      }
      continue;
    }
    s += done;
    n -= (size_t)done;
    out->written += (u64)done;
  }
  return 0;
}

/* How much of the text still belongs into this file: up to the end of the line that fills it. */
static size_t fits(const struct output *out, const char *s, size_t n)
{
  u64 room = out->max_bytes - MIN(out->written, out->max_bytes);
  if (n <= room)
    return n;
  const char *nl = memrchr(s, '\n', (size_t)room);
  if (!nl && out->written == 0)
    nl = memchr(s, '\n', n);
  if (nl)
    return (size_t)(nl + 1 - s);
  return out->written == 0 ? n : 0;
}

int output_write(struct output *out, const char *s, size_t n)
{
  if (out->error)
    return -1;
  while (out->max_bytes && n) {
    size_t part = fits(out, s, n);
    if (write_all(out, s, part))
      return -1;
    s += part;
    n -= part;
    if (n && output_switch(out))
      return -1;
  }
  return write_all(out, s, n);
}

int output_close(struct output *out)
{
  for (u32 i = 0; out->names && i < out->max_files; i++)
    free(out->names[i]);
  free(out->names);
  out->names = NULL;
  if (!out->pattern || out->fd < 0)
    return out->error ? -1 : 0;
  int rc = close(out->fd);
  out->fd = -1;
  if (rc < 0 && !out->error)
    return fail(out, "write", errno);
  return out->error ? -1 : 0;
}

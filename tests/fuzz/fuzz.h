/* What the libFuzzer targets share.  `make fuzz-NAME` builds one with sanitizers and runs it on; the corpus is in corpus/NAME. */
#ifndef STAP_FUZZ_H
#define STAP_FUZZ_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Reports a broken promise and ends the run, so that libFuzzer keeps the input. */
PRINTF_LIKE(1, 2) __attribute__((noreturn)) static inline void fuzz_bug(const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  vfprintf(stderr, fmt, ap);
  va_end(ap);
  fputc('\n', stderr);
  abort();
}

#endif

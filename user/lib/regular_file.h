/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files that a configuration names. Only regular ones are read: to open a FIFO blocks until
 * another process opens it, a lease makes the reader wait for its holder, and a device may never
 * end.
 */
#ifndef XDP_ICP_REGULAR_FILE_H
#define XDP_ICP_REGULAR_FILE_H

#include <stddef.h>
#include <stdio.h>

#include "lib/error.h"

/*
 * Opens a file of at most `max` bytes for reading, without blocking. The stream is for fclose().
 * NULL and `reason`, such as "not a regular file"; the caller adds the path and the remedy.
 */
FILE *regular_file_open(const char *path, size_t max, struct error *reason);

/*
 * Reads all of such a file. `*text` is for free(), with a NUL behind it that `*size` does not count.
 * -1 and `reason`, `*text` is NULL then.
 */
int regular_file_read(const char *path, size_t max, char **text, size_t *size,
		      struct error *reason);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading files that a configuration names. Only regular files are accepted: opening a FIFO blocks
 * until another process opens it, opening a file with a lease blocks until the holder releases it,
 * and a device may be endless.
 */
#ifndef XDP_ICP_REGULAR_FILE_H
#define XDP_ICP_REGULAR_FILE_H

#include <stddef.h>
#include <stdio.h>

#include "lib/error.h"

/*
 * Open a file of at most `max` bytes for reading, without blocking. Returns a descriptor, or -1 and
 * `reason`, such as "not a regular file"; errno is that of open(), or EINVAL.
 */
int regular_file_descriptor(const char *path, size_t max, struct error *reason);

/*
 * Likewise, as a stream that the caller closes. Returns NULL and `reason` on an error; the caller
 * adds the path and the remedy.
 */
FILE *regular_file_open(const char *path, size_t max, struct error *reason);

/*
 * Read such a file. The caller frees `*text`, to which a NUL is added that `*size` does not count.
 * -1 and `reason`; then `*text` is NULL.
 */
int regular_file_read(const char *path, size_t max, char **text, size_t *size,
		      struct error *reason);

#endif

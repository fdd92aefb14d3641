/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that exist completely or not at all, even after a crash. */
#ifndef XDP_ICP_REPLACE_FILE_H
#define XDP_ICP_REPLACE_FILE_H

#include <stdio.h>

/* A callback that writes the text of a file. Returns 0, or -1 with errno. */
typedef int (*replace_file_write)(FILE *file, void *context);

/*
 * Write or atomically replace the file `path`, which lies in `directory`, by way of PATH.new. No other
 * user may be able to change the directory. Returns 0, or -1 with errno; PATH.new is then gone.
 */
int replace_file(const char *path, const char *directory, replace_file_write write, void *context);

/* Make sure that what was renamed or removed remains so after a crash. Returns 0, or -1 with errno. */
int sync_directory(const char *directory);

#endif

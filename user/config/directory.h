/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A directory of configuration files: what ends in .conf and does not begin with a dot. */
#ifndef XDP_ICP_CONFIG_DIRECTORY_H
#define XDP_ICP_CONFIG_DIRECTORY_H

#include <stddef.h>

/*
 * List the paths of the files, in the byte order of their names. Returns 0, and what the caller gives
 * to directory_free(), or -1 and errno.
 */
int directory_list(const char *directory, char ***paths, size_t *count);

void directory_free(char **paths, size_t count);

#endif

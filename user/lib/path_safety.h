/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Check that no other user can change what a path names. */
#ifndef XDP_ICP_PATH_SAFETY_H
#define XDP_ICP_PATH_SAFETY_H

#include <limits.h>
#include <stdbool.h>

#include "lib/error.h"

/*
 * Resolve symbolic links into `real`, and check that the file and every directory above it are
 * owned by root or the effective user and not writable by group or others. Sticky directories may
 * be writable: users cannot replace each other's files there. A path that passes keeps naming the
 * same file, provided that it is opened as `real`.
 * Returns 0, or -1 and an `error` that names what others can change, and the remedy; errno is that
 * of the failed lookup, or EPERM.
 */
int path_resolve_safe(const char *path, char real[PATH_MAX], struct error *error);

/*
 * Can only root replace a part of the path as it is written, be it a symbolic link? Root may create
 * or change things only by such a path: path_resolve_safe() tells where a path leads, but another
 * user may have chosen that, and may choose again.
 */
bool path_is_roots(const char *path);

#endif

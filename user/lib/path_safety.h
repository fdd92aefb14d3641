/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether others can change what a path names. */
#ifndef XDP_ICP_PATH_SAFETY_H
#define XDP_ICP_PATH_SAFETY_H

#include <limits.h>

#include "lib/error.h"

/*
 * Resolves links into `real`, and checks that what it names and every directory above it belong to
 * root or to the process's own user, and that neither group nor others may write to them. A sticky
 * directory may be written by all: they cannot replace what belongs to another there. What passes
 * stays what it is, if it is opened as `real`.
 * Returns 0, or -1 and `error`, which names what others can change, and the remedy; errno is that
 * of the lookup if that failed, else EPERM.
 */
int path_resolve_safe(const char *path, char real[PATH_MAX], struct error *error);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving up root. */
#ifndef XDP_ICP_PRIVILEGES_H
#define XDP_ICP_PRIVILEGES_H

#include <stddef.h>
#include <sys/types.h>

#include "lib/error.h"

/* Finds a user by name. Returns 0, or -1 and `error`. */
int user_find(const char *name, uid_t *uid, gid_t *gid, struct error *error);

/*
 * Becomes that user for good: without supplementary groups and capabilities, and without new ones
 * from programs that it executes. Kernels before 5.19 let nobody without CAP_BPF touch a map, even
 * an open one: there it is kept, and nothing else. Root for `uid` keeps everything.
 * Returns 0, or -1 and `error`.
 */
int privileges_drop(uid_t uid, gid_t gid, struct error *error);

/*
 * Removes root's environment, down to PATH, TZ, LANG, LC_* and `names`, and erases the values. What
 * getenv() returned for others must not be used any more. Returns 0, or -1 and `error`.
 */
int environment_reduce(char *const *names, size_t count, struct error *error);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Dropping root's privileges. */
#ifndef XDP_ICP_PRIVILEGES_H
#define XDP_ICP_PRIVILEGES_H

#include <stddef.h>
#include <sys/types.h>

#include "lib/error.h"

/* Look up a user by name. Returns 0, or -1 and `error`. */
int user_find(const char *name, uid_t *uid, gid_t *gid, struct error *error);

/*
 * Switch permanently to a user with its groups, without capabilities, set no_new_privs, and keep
 * the terminal for output only. Kernels before 5.19 require CAP_BPF for access even to an open map:
 * there that capability alone is kept. Uid 0 drops nothing.
 * Returns 0, or -1 and `error`.
 */
int privileges_drop(uid_t uid, gid_t gid, struct error *error);

/*
 * Reduce the environment to PATH, TZ, LANG, LC_* and `names`, and erase the other values: what
 * getenv() returned for them must not be used any more. Returns 0, or -1 and `error`.
 */
int environment_reduce(char *const *names, size_t count, struct error *error);

#endif

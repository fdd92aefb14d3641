/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Limits of the control socket per user: connections, and bytes buffered for requests and
 * responses. A part is reserved for the daemon's user and for root, and a part of that for root
 * alone, so that no other user can lock root out.
 */
#ifndef XDP_ICP_CONTROL_QUOTA_H
#define XDP_ICP_CONTROL_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Connections at once: of all readers, of readers and the daemon's user, and of all users. */
#define QUOTA_READERS 40
#define QUOTA_USERS 56
#define QUOTA_ALL 64
#define QUOTA_ONE_READER 16 /* of one reader's uid */

#define QUOTA_READERS_BYTES ((size_t)64 << 20)
#define QUOTA_USERS_BYTES ((size_t)192 << 20)
#define QUOTA_ALL_BYTES ((size_t)320 << 20)
#define QUOTA_ONE_READER_BYTES ((size_t)32 << 20)

struct quota_usage {
	unsigned int connections;
	size_t bytes;
};

/* To be initialized with zeroes. */
struct quota {
	struct quota_user {
		uid_t uid;
		struct quota_usage used; /* no connections: the slot is free */
	} users[QUOTA_ALL];
};

/*
 * Acquire resources for a user, who has a connection or acquires one. False: a limit would be
 * exceeded; nothing is acquired.
 */
bool quota_acquire(struct quota *quota, uid_t uid, struct quota_usage more);

/* Release acquired resources. */
void quota_release(struct quota *quota, uid_t uid, struct quota_usage less);

#endif

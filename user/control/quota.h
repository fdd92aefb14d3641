/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much of the control socket each user may take: connections, and bytes of requests and replies
 * that are held for them. Readers leave room for the daemon's user and for root, and the daemon's
 * user for root, so that neither of the others can lock root out.
 */
#ifndef XDP_ICP_CONTROL_QUOTA_H
#define XDP_ICP_CONTROL_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* At once. What readers may take all together, readers and the daemon's user, and all of them. */
#define QUOTA_READERS 40
#define QUOTA_USERS 56
#define QUOTA_ALL 64
#define QUOTA_ONE_READER 16 /* of one uid */

#define QUOTA_READERS_BYTES ((size_t)64 << 20)
#define QUOTA_USERS_BYTES ((size_t)192 << 20)
#define QUOTA_ALL_BYTES ((size_t)320 << 20)
#define QUOTA_ONE_READER_BYTES ((size_t)32 << 20)

struct quota_usage {
	unsigned int connections;
	size_t bytes;
};

/* Begins as zeroes. */
struct quota {
	struct quota_user {
		uid_t uid;
		struct quota_usage used; /* without a connection: the place is free */
	} users[QUOTA_ALL];
};

/*
 * Takes more for a user, who has a connection or takes one. False: it would be too much, nothing is
 * taken.
 */
bool quota_acquire(struct quota *quota, uid_t uid, struct quota_usage more);

/* Gives back what was taken. */
void quota_release(struct quota *quota, uid_t uid, struct quota_usage less);

#endif

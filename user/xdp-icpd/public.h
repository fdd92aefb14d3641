/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's read-only resources on TCP, for every client that can connect. */
#ifndef XDP_ICP_DAEMON_PUBLIC_H
#define XDP_ICP_DAEMON_PUBLIC_H

#include <stdint.h>

#include "control/server.h"

/* What it keeps; zeroed: nothing has been asked for yet. */
struct public_view {
	struct kept {
		char *reply; /* NULL: not made yet */
		size_t length;
		uint64_t made; /* nanoseconds of the monotonic clock */
	} status, policies;
	unsigned int checks; /* that are running */
	uint64_t granted;    /* the time up to which checks have been granted */
};

/* For control_open_tcp(), with the struct daemon as context. */
extern const struct control_resource public_resources[];

/* Free the cached replies, once there are no more requests. */
void public_free(struct public_view *view);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unix datagram sockets to which applications send what they have handled, one URL a datagram. All
 * policies that name the same path, in the chains before and after a reload as well, share one
 * socket and each receive every datagram. For the main thread.
 */
#ifndef XDP_ICP_RECENT_FEED_H
#define XDP_ICP_RECENT_FEED_H

#include <stddef.h>
#include <sys/types.h>

#include <event2/event.h>

#include "lib/error.h"

struct feed;

/* A datagram; NULL: one that was longer than any URL. */
typedef void (*feed_hear)(void *context, const char *text, size_t length);

struct feed_settings {
	const char *path; /* copied */
	mode_t mode;	  /* of the socket: who may send */
	gid_t group;	  /* of the socket, or (gid_t)-1: that of this process */
};

/*
 * Receive from a socket, which is bound if it is not open yet. NULL with an error that names the
 * remedy.
 */
struct feed *feed_open(struct event_base *base, const struct feed_settings *settings,
		       feed_hear hear, void *context, struct error *error);

/* Stop receiving; the last feed of a socket closes and removes it. NULL is ignored. */
void feed_close(struct feed *feed);

#endif

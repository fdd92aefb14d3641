/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pool of child processes that reply to lines as Squid's helpers do: each reads a line from its
 * standard input and writes one to its standard output. A child has one request at a time, so that
 * a slow child delays no other; requests without an idle child are queued. A child that exits is
 * restarted after a pause, which doubles with each exit until a child replies. Nothing here blocks.
 *
 * A child has a session of its own, and so no terminal, and default signal handling; it inherits only
 * standard error from the daemon.
 */
#ifndef XDP_ICP_HELPER_POOL_H
#define XDP_ICP_HELPER_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <event2/event.h>

#include "lib/error.h"

#define HELPER_CHILDREN_MAX 64
#define HELPER_QUEUE_BYTES_MAX (1u << 20) /* of memory for queued requests */
#define HELPER_REPLY_MAX 4096		  /* bytes of a reply's line */
#define HELPER_TIMEOUT_MAX 10000	  /* milliseconds */
#define HELPER_STALL 30000		  /* milliseconds, for programs that may be slow */

struct helper_pool;

/*
 * Receives the reply to a request: a line of `length` bytes without its newline, with a NUL added,
 * or NULL if there is none. Called once for each request, from the event loop, never from within
 * helper_pool_ask(). May free the pool if that request was the last.
 */
typedef void (*helper_reply)(void *context, void *request, const char *line, size_t length);

struct helper_settings {
	const char *name;	/* of the policy, for messages; all strings are copied */
	char *const *arguments; /* of the program, itself first; ends with NULL */
	unsigned int children;	/* 1 to HELPER_CHILDREN_MAX */
	unsigned int timeout;	/* milliseconds for a reply, 1 to HELPER_TIMEOUT_MAX */
	unsigned int stall;	/* milliseconds without a reply after which the child is killed */

	/*
	 * What each child reads first, or NULL: `greeting_length` bytes, to which it replies with
	 * one line within HELPER_STALL. That line is dropped.
	 */
	const char *greeting;
	size_t greeting_length;

	/* Called when what helper_pool_state() returns has changed; NULL: not called. */
	void (*changed)(void *context);
};

/*
 * Start the children. NULL with an error if one cannot be started. From then on the process ignores
 * SIGPIPE.
 */
struct helper_pool *helper_pool_new(struct event_base *base, const struct helper_settings *settings,
				    helper_reply reply, void *context, struct error *error);

/*
 * Send a line of `length` bytes, which ends with its only newline, to a child. `request` is passed
 * to the callback. Returns false, and never calls it, if no child runs or the queue is full.
 */
bool helper_pool_ask(struct helper_pool *pool, const char *line, size_t length, void *request);

struct helper_pool_state {
	size_t children;
	size_t running;
	size_t sound;	   /* those of them that have replied since they were last restarted */
	const char *ended; /* how the last one has ended; "": none has. Valid until the next call */
};

struct helper_pool_state helper_pool_state(const struct helper_pool *pool);

/* The load of a pool, and its work so far. */
struct helper_pool_use {
	size_t busy;	  /* children that have a request */
	size_t queued;	  /* requests that wait for a child */
	uint64_t replies; /* to requests within their time, and how long they took together: */
	uint64_t waited;  /* nanoseconds from helper_pool_ask() on */
	time_t since;	  /* when these counts began, in seconds since 1970 */
};

struct helper_pool_use helper_pool_use(const struct helper_pool *pool);

/* Store the process ids of the running children, at most `max`; return how many. */
size_t helper_pool_children(const struct helper_pool *pool, int *pids, size_t max);

/*
 * Complete the open requests without a reply, and stop the children while the event loop runs:
 * their input is closed, a second later they get SIGTERM, and after another second SIGKILL (see
 * helper_children_finish() for the end of the process). NULL is ignored.
 */
void helper_pool_free(struct helper_pool *pool);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Follows a log while other programs append to it, rename it and begin a new one (logrotate's create),
 * or truncate it (copytruncate). All in the main thread, in short turns.
 *
 * The file is polled every POLL milliseconds. Inotify would be faster, but would report each line
 * of a busy log, and nothing that happens on another host of a network file system.
 */
#ifndef XDP_ICP_RECENT_FOLLOWER_H
#define XDP_ICP_RECENT_FOLLOWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "lib/error.h"

#define FOLLOWER_HISTORY_MAX (64u << 20) /* bytes of the log that are read at the beginning */

struct follower;

/*
 * A line without its newline, which may be changed; or NULL: one longer than RECENT_LINE_MAX has been
 * skipped.
 */
typedef void (*follower_line)(void *context, char *line, size_t length);

struct follower_settings {
	const char *path; /* copied */
	bool history;	  /* begin with the last part of what is in the log */
	follower_line line;
	void (*changed)(void *context); /* what follower_state() tells has changed */
	void *context;
};

/*
 * Create a follower that is not started yet. It waits for a log that does not exist. A log that
 * cannot be read is an error: NULL and an error with the remedy.
 */
struct follower *follower_new(const struct follower_settings *settings, struct error *error);

/* Begin. Returns 0, or -1: out of memory. */
int follower_start(struct follower *follower, struct event_base *base);

/* Continue where another follower of the same path is. To be called before follower_start(). */
void follower_inherit(struct follower *follower, const struct follower *other);

/* Skip what has been written to the log so far. */
void follower_skip(struct follower *follower);

const char *follower_path(const struct follower *follower);

enum follower_state {
	FOLLOWER_READS,
	FOLLOWER_WAITS,	 /* the log does not exist */
	FOLLOWER_CANNOT, /* it cannot be read */
};

/*
 * Return the state; *why is the reason for FOLLOWER_CANNOT, else "", valid until the event loop
 * runs.
 */
enum follower_state follower_state(const struct follower *follower, const char **why);

/* Stop, and free it; NULL is ignored. */
void follower_free(struct follower *follower);

#endif

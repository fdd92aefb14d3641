/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The asking side of the control socket (control/server.h), which waits for the answer. */
#ifndef XDP_ICP_CONTROL_CLIENT_H
#define XDP_ICP_CONTROL_CLIENT_H

#include <stdbool.h>

#include <jansson.h>

#include "lib/error.h"

/* What control_ask() returns; all but 0 with an error that names the path and the remedy. */
enum control_result {
	CONTROL_OK = 0,
	CONTROL_NO_DAEMON = 1, /* nobody listens at the path, or the path does not exist */
	CONTROL_FAILED = -1,   /* no permission, silence for CONTROL_TIMEOUT, no sense in it */
};

/*
 * Sends the request (the reference stays the caller's) and waits for the reply, a JSON object that
 * the caller owns, all printable ASCII; `*reply` is NULL if there is none. A reply of {"ok": false}
 * is a reply. The daemon may be silent for CONTROL_TIMEOUT seconds at most; before one that takes
 * longer it sends blanks.
 */
enum control_result control_ask(const char *path, const json_t *request, json_t **reply,
				struct error *error);

/* Told of a line; false: that was enough. */
typedef bool (*control_line)(void *context, const json_t *line);

/*
 * The same for an answer that goes on: after the first line, which becomes `*reply`, all that
 * follow are handed on until `line` has enough, `seconds` are over (0: they never are), or the
 * process is told to end by SIGINT or SIGTERM, which it outlives. It is an error if the daemon ends
 * the answer.
 */
enum control_result control_follow(const char *path, const json_t *request, json_t **reply,
				   control_line line, void *context, unsigned long seconds,
				   struct error *error);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The client side of the control socket (protocol.h), which blocks until the response. */
#ifndef XDP_ICP_CONTROL_CLIENT_H
#define XDP_ICP_CONTROL_CLIENT_H

#include <stdbool.h>

#include <jansson.h>

#include "lib/error.h"

/* All but CONTROL_OK come with an error that names the path and the remedy. */
enum control_result {
	CONTROL_OK = 0,
	CONTROL_NO_DAEMON = 1, /* no process listens at the path, or it does not exist */
	CONTROL_FAILED = -1,   /* no permission, timeout, malformed response */
};

/*
 * Send a request (the caller keeps its reference) and wait for the response, a JSON object owned by
 * the caller, with printable ASCII only; `*reply` is NULL if there is none. {"ok": false} is a
 * response, too. Fails after CONTROL_TIMEOUT seconds without a byte; the daemon sends keepalives
 * before a response that takes longer.
 */
enum control_result control_ask(const char *path, const json_t *request, json_t **reply,
				struct error *error);

/* Receives a line of a stream; returns false to stop. */
typedef bool (*control_line)(void *context, const json_t *line);

/*
 * The same for a streamed response: the first line becomes `*reply`, the following ones are passed
 * to `line` until that returns false, `seconds` have passed (0: no limit), or SIGINT or SIGTERM is
 * received, which does not end the process. It is an error if the daemon closes the stream.
 */
enum control_result control_follow(const char *path, const json_t *request, json_t **reply,
				   control_line line, void *context, unsigned long seconds,
				   struct error *error);

#endif

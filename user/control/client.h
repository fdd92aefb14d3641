/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The client side of the control socket (protocol.h), which blocks until the response. */
#ifndef XDP_ICP_CONTROL_CLIENT_H
#define XDP_ICP_CONTROL_CLIENT_H

#include <stdbool.h>

#include <jansson.h>

#include "lib/error.h"

/* All but CONTROL_OK come with an error. */
enum control_result {
	CONTROL_OK = 0,
	CONTROL_REFUSED = 1,   /* by the daemon, in its words */
	CONTROL_NO_DAEMON = 2, /* no process listens at the path, or it does not exist */
	CONTROL_FAILED = -1,   /* no permission, timeout, malformed response */
	CONTROL_STOPPED = -2,  /* control_wait.stop */
};

/* Return a text that is percent-encoded for use in a resource, for free(). NULL: out of memory. */
char *control_encode(const char *text);

/*
 * Send a request to the daemon whose control socket is at `path`, such as "PUT" and "/v1/drain",
 * with a body unless that is NULL, and wait for the response, a JSON object owned by the caller,
 * with printable ASCII only; `*reply` is NULL if there is none. Fails after CONTROL_TIMEOUT seconds
 * without a byte; the daemon sends keepalives before a response that takes longer.
 */
enum control_result control_ask(const char *path, const char *method, const char *resource,
				const json_t *body, json_t **reply, struct error *error);

/* What happens while a response is awaited. */
struct control_wait {
	int stop; /* a descriptor that ends the wait once it is readable; -1: none */
	/* Called about once a second, if not NULL, with the bytes of the request that are sent. */
	void (*tick)(void *context, size_t sent);
	void *context;
};

/* The same, with `wait`; NULL: nothing happens meanwhile. */
enum control_result control_ask_and(const char *path, const char *method, const char *resource,
				    const json_t *body, const struct control_wait *wait,
				    json_t **reply, struct error *error);

/* Receives a line of a stream; returns false to stop. */
typedef bool (*control_line)(void *context, const json_t *line);

/*
 * GET a streamed response: its lines are passed to `line` until that returns false, `seconds` have
 * passed (0: no limit), or SIGINT or SIGTERM is received, which does not end the process. It is an
 * error if the daemon closes the stream.
 */
enum control_result control_follow(const char *path, const char *resource, control_line line,
				   void *context, unsigned long seconds, struct error *error);

#endif

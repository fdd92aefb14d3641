/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The serving side of the control socket (protocol.h): connections, limits, responses. */
#ifndef XDP_ICP_CONTROL_SERVER_H
#define XDP_ICP_CONTROL_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#include <event2/event.h>
#include <jansson.h>

#include "control/protocol.h"
#include "control/socket.h"
#include "lib/error.h"

#define CONTROL_BACKLOG_MAX (1u << 20) /* bytes of a streamed response that the peer has not read */
#define CONTROL_DEADLINE 20	   /* seconds for a whole request, and to read a whole response */
#define CONTROL_STREAM_TIMEOUT 600 /* seconds without progress in reading a streamed response */

/* The user at the other end. */
struct control_peer {
	uid_t uid;
	bool may_change; /* root and the daemon's own user: requests that change something */
};

/*
 * Handles a request, which is a JSON object. Returns a new reference to the response, or NULL if
 * out of memory or after control_defer(). Must not close the control socket. `context` is that of
 * control_open().
 */
typedef json_t *(*control_handler)(void *context, const json_t *request,
				   const struct control_peer *peer);

struct control;

/*
 * Listen on a bound socket, of which this takes ownership, also on an error. The owner and the
 * group of its file may connect. From then on the process ignores SIGPIPE. NULL with an error that
 * names the path and the remedy.
 */
struct control *control_open(struct event_base *base, const struct control_socket *socket,
			     control_handler handler, void *context, struct error *error);

/*
 * Close all connections and the socket, and remove it from the file system, unless the path names
 * another file now. NULL is ignored.
 */
void control_close(struct control *control);

/*
 * Defer the response to a request: called by a control_handler with its `peer`; the handler then
 * returns NULL. NULL: out of memory, nothing is deferred.
 */
struct control_deferred;
struct control_deferred *control_defer(const struct control_peer *peer);

/*
 * Set a callback for the event loop to call when the peer closes before its response.
 * control_complete() or control_end() must still be called, by `closed` or later.
 */
void control_on_close(struct control_deferred *deferred, void (*closed)(void *context),
		      void *context);

/*
 * Count `bytes` of a response under construction against the peer's quota (quota.h). False: the
 * quota is exceeded, the response should be a refusal.
 */
bool control_reserve(struct control_deferred *deferred, size_t bytes);

/*
 * Send the response (takes the reference; NULL: out of memory), from the event loop. Must be called
 * for each deferred request, even if the control socket has been closed.
 */
void control_complete(struct control_deferred *deferred, json_t *response);

/*
 * Send one line (takes the reference; NULL: out of memory) of a streamed response, which lasts as
 * long as the peer reads. False: the line is dropped, because the peer has closed or reads too
 * slowly. control_end() must be called once instead of control_complete(), even if the peer has
 * closed.
 */
bool control_stream(struct control_deferred *deferred, json_t *line);
bool control_is_closed(const struct control_deferred *deferred);
void control_end(struct control_deferred *deferred);

#endif

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

#define CONTROL_BACKLOG_MAX (1u << 20) /* bytes of a streamed response, not yet read */
#define CONTROL_DEADLINE 20	   /* seconds for a whole request, and to read a whole response */
#define CONTROL_STREAM_TIMEOUT 600 /* seconds without progress in reading a streamed response */

/* Who asks. */
struct control_peer {
	uid_t uid;
	bool may_change; /* root and the daemon's own user: requests that change something */
};

/*
 * Answers a request, which is a JSON object. Returns a new reference to the answer, NULL only
 * without memory or after control_defer(). Must not close the control socket. `context` is what
 * control_open() got.
 */
typedef json_t *(*control_handler)(void *context, const json_t *request,
				   const struct control_peer *peer);

struct control;

/*
 * Listens on a socket that is bound, and takes it over, also on an error. The owner of its file and
 * the group may connect. SIGPIPE is ignored in the process from then on.
 * Returns NULL with an error that names the path and the remedy.
 */
struct control *control_open(struct event_base *base, const struct control_socket *socket,
			     control_handler answer, void *context, struct error *error);

/*
 * Drops all connections and removes the socket from the file system, if it is still the one that
 * was opened. NULL is nothing to close.
 */
void control_close(struct control *control);

/*
 * For an answer that takes time: called with the `peer` that a control_handler got, which then
 * returns NULL. NULL: out of memory, nothing is deferred.
 */
struct control_deferred;
struct control_deferred *control_defer(const struct control_peer *peer);

/*
 * Has `gone` called, from the event loop, when the peer goes away before its reply: nobody waits for
 * it any more. control_complete() or control_end() is still to be called, by `gone` or later.
 */
void control_on_close(struct control_deferred *deferred, void (*gone)(void *context),
		      void *context);

/*
 * Counts `bytes` more of a reply in the making against what may be held for the peer
 * (control_quota.h). False: that would be too much, the reply should be a refusal.
 */
bool control_reserve(struct control_deferred *deferred, size_t bytes);

/*
 * Gives the answer (takes the reference; NULL: no memory), from the event loop. Has to be called
 * for each that was deferred, also when the control socket is closed already.
 */
void control_complete(struct control_deferred *deferred, json_t *answer);

/*
 * For an answer that goes on, line after line, for as long as the peer listens: another one (takes
 * the reference; NULL: no memory) of what control_defer() has returned. False: it is dropped, for
 * the peer is gone, or reads too slowly. control_end() instead of control_complete() has to be
 * called once, gone or not.
 */
bool control_stream(struct control_deferred *deferred, json_t *line);
bool control_is_closed(const struct control_deferred *deferred);
void control_end(struct control_deferred *deferred);

#endif

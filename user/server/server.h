/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All sockets of a responder, the threads that serve them, and the rules and chain that decide. */
#ifndef XDP_ICP_SERVER_H
#define XDP_ICP_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "lib/error.h"
#include "server/listener.h"
#include "server/responder.h"
#include "server/rules.h"
#include "server/trace.h"
#include "server/workers.h"

/* Zero-initialised is closed. */
struct server {
	/* Of the main thread. Change what workers use too between server_pause() and _resume(). */
	struct responder responder;
	struct responder_tallies tallies;
	struct rules *rules;
	struct trace_log *trace_log; /* of what is handled here, not in the kernel */
	struct listener **listeners; /* of the main thread */
	size_t listener_count;
	struct workers *workers; /* NULL: the main thread replies */
};

/*
 * Bind the addresses, for a number of workers as in the configuration (0: as CPUs suggest), and count
 * `latencies` or not (listener.h says what that costs). Return 0, or -1 and `error`; call server_close()
 * in either case.
 */
int server_open(struct server *server, const struct sockaddr_storage *addresses, size_t count,
		unsigned int workers, bool latencies, struct error *error);

/*
 * Reply by the responder, which is complete except for rules and trace log, and by `rules`, owned
 * from now on (NULL: out of memory). Return 0, or -1 and `error`.
 */
int server_set_rules(struct server *server, struct rules *rules, struct error *error);
int server_start(struct server *server, struct event_base *base, struct error *error);

/*
 * Pause and resume the workers, around changes to what they use to reply. While they are paused,
 * every reply decided before has been sent; afterwards they use the responder as it is then.
 */
void server_pause(struct server *server);
void server_resume(struct server *server);

/* Renew the workers' lease on the gates, for `lease` milliseconds. */
void server_renew_lease(struct server *server, unsigned int lease);

/* Add the counters of all threads to `counters`. */
void server_counters(struct server *server, uint64_t counters[ICP_COUNTER_MAX]);

/* Return the latencies of all threads. */
struct latency server_latency(struct server *server);

/* Reply to what has been received so far, and end the workers. Pending queries remain pending. */
void server_drain(struct server *server);

/* Close the sockets after server_drain(). Pending queries are dropped. */
void server_close(struct server *server);

/* Free what remains, once no evaluation and no client uses it. */
void server_free(struct server *server);

#endif

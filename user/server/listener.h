/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A UDP socket that receives queries and sends replies in batches, each reply from the address that
 * was queried (protocol R6).
 */
#ifndef XDP_ICP_LISTENER_H
#define XDP_ICP_LISTENER_H

#include <stdbool.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "lib/error.h"
#include "server/responder.h"

struct listener;

/*
 * Bind a socket. `stamped`: count latencies from the receipt by the host on, so that the wait in the
 * socket's buffer is in them; then the kernel reads the clock for each packet of the host that passes
 * through its stack, those that the program answers in generic mode included. Return NULL and `error` on
 * failure.
 */
struct listener *listener_open(const struct sockaddr_storage *address, bool stamped,
			       struct error *error);

/*
 * Bind another socket to the address of `first`, one of listener_open(). The kernel distributes
 * queriers over them. Multicast and broadcast, of which every socket gets a copy, are left to
 * `first`. Return NULL and `error` on failure.
 */
struct listener *listener_open_sibling(const struct listener *first, struct error *error);

/*
 * Create another listener on the same socket, which reads it; `first` may still send. Return NULL
 * and `error` on failure.
 */
struct listener *listener_share(const struct listener *first, struct error *error);

/* Reply with `responder` to queries while `base` runs. Return 0, or -1 without memory. */
int listener_start(struct listener *listener, struct event_base *base, struct responder *responder);

/* --- for worker threads, instead of listener_start() */

/* A datagram that the main thread must handle. Freed by free() or listener_reply_datagram(). */
struct listener_datagram;

/* Return its size in memory, in bytes. */
size_t listener_datagram_bytes(const struct listener_datagram *datagram);

/* Take ownership of the datagram, or return false. */
typedef bool listener_handover(void *context, struct listener_datagram *datagram);

/*
 * Set the responder. `hand_over` takes the datagrams that responder->worker leaves to the main
 * thread; NULL for other responders.
 */
void listener_use(struct listener *listener, struct responder *responder,
		  listener_handover *hand_over, void *context);

/* Return the file descriptor, for poll(). */
int listener_fd(const struct listener *listener);

/*
 * Receive a batch without waiting; reply to it. Return false if nothing was received, or if no more
 * is expected. Only listener_reply() uses the responder.
 */
bool listener_receive(struct listener *listener);
bool listener_reply(struct listener *listener);

/*
 * In the main thread: reply to a datagram of a worker from the socket of `listener`. Frees the
 * datagram.
 */
void listener_reply_datagram(struct listener *listener, struct listener_datagram *datagram);

/* --- shutdown */

/*
 * Reply to what has been received so far. Queries that wait for policies remain pending:
 * evaluations_pending() counts them, and the event loop completes them.
 */
void listener_drain(struct listener *listener);

/* Close the socket. Pending queries are dropped and counted. `listener` may be NULL. */
void listener_close(struct listener *listener);

#endif

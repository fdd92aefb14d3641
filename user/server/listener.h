/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A UDP socket that is listened on: datagrams come and answers go in batches, each answer from the
 * address that was asked (protocol R6).
 */
#ifndef XDP_ICP_LISTENER_H
#define XDP_ICP_LISTENER_H

#include <stdbool.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "lib/error.h"
#include "server/responder.h"

struct listener;

/* Binds. NULL and `error` if that fails. */
struct listener *listener_open(const struct sockaddr_storage *address, struct error *error);

/*
 * Another socket for the address of one that listener_open() has made: the kernel spreads queriers
 * over both. What every socket of an address gets a copy of, multicast and broadcast, it leaves to
 * that one. NULL and `error` if it fails.
 */
struct listener *listener_open_beside(const struct listener *first, struct error *error);

/* Another listener on the very same socket, for its reader; `first` may still send. */
struct listener *listener_share(const struct listener *first, struct error *error);

/* Answers from now on by `responder` what comes in while `base` runs. -1: out of memory. */
int listener_start(struct listener *listener, struct event_base *base, struct responder *responder);

/* --- for a thread of one's own, in the place of listener_start() */

/* A datagram that the main thread must answer, for free() or listener_answer_datagram(). */
struct listener_datagram;

/* The memory that it takes. */
size_t listener_datagram_bytes(const struct listener_datagram *datagram);

/* Takes over the datagram, or returns false. */
typedef bool listener_hand_over(void *context, struct listener_datagram *datagram);

/* `hand_over` takes what responder->worker leaves; it may be NULL for other responders. */
void listener_use(struct listener *listener, struct responder *responder,
		  listener_hand_over *hand_over, void *context);

/* To wait for datagrams with. */
int listener_fd(const struct listener *listener);

/*
 * Receives a batch without waiting, and answers it: false if there is nothing to answer, or nothing
 * more to receive. Only the answering looks at the responder.
 */
bool listener_receive(struct listener *listener);
bool listener_answer(struct listener *listener);

/* In the main thread: answers from the socket of `listener`. Frees the datagram. */
void listener_answer_datagram(struct listener *listener, struct listener_datagram *datagram);

/* --- the end */

/*
 * Answers what has come in until now, then returns. Queries that policies are waited for are still
 * pending then: evaluations_pending() counts them, and they are answered while the loop runs.
 */
void listener_drain(struct listener *listener);

/* Queries that are still pending get no answer, which is counted. NULL is nothing to close. */
void listener_close(struct listener *listener);

#endif

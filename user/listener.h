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

#include "error.h"
#include "responder.h"

struct listener;

/* Binds. NULL and `error` if that fails. */
struct listener *listener_open(const struct sockaddr_storage *address, struct error *error);

/* Answers from now on by `responder` what comes in while `base` runs. -1: out of memory. */
int listener_start(struct listener *listener, struct event_base *base, struct responder *responder);

/*
 * Answers what has come in until now, then returns. Queries that policies are waited for are still
 * pending then: evaluations_pending() counts them, and they are answered while the loop runs.
 */
void listener_drain(struct listener *listener);

/* Queries that are still pending get no answer, which is counted. NULL is nothing to close. */
void listener_close(struct listener *listener);

#endif

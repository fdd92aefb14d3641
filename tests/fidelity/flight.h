/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Queries that the daemon has been asked, until it has replied. */
#ifndef FIDELITY_FLIGHT_H
#define FIDELITY_FLIGHT_H

#include <sys/queue.h>

#include "packet.h"
#include "server/responder.h"
#include "seams.h"

/* A query that the daemon has been asked. */
struct flight {
	TAILQ_ENTRY(flight) link;
	struct responder *responder;
	struct walk walk;
	struct setup *left_behind;	/* that the walk goes by, if the chain is another one now */
	struct open_question *question; /* that it waits for */
	uint64_t limits;		/* that searches came to, when it began */
	bool done, replied;
	size_t size; /* of the reply */
	uint8_t query[HEADER_SIZE];
	uint8_t reply[REPLY_MOST];
};

TAILQ_HEAD(flights, flight);

/* Hands a query to the daemon. The walk is the caller's; the responder has to outlive the flight. */
struct flight *flight_begin(struct flights *flights, struct responder *responder,
			    const struct step *ask, const struct query_packet *packet);

/* The helper that it waits for replies, or is lost; then it is done, or waits for the next. */
void flight_go_on(struct flight *flight, bool lost);

/* Frees it; helpers that it still waits for are lost. */
void flight_end(struct flights *flights, struct flight *flight);

#endif

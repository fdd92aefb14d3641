// SPDX-License-Identifier: GPL-2.0-or-later
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "flight.h"

static void keep_reply(struct flight *flight, const struct reply *reply)
{
	flight->replied = true;
	flight->size = HEADER_SIZE + reply->payload_size;
	memcpy(flight->reply, &reply->header, HEADER_SIZE);
	memcpy(flight->reply + HEADER_SIZE, reply->payload, reply->payload_size);
}

static void flight_done(void *context, const struct query *query,
			const struct chain_decision *decision)
{
	struct flight *flight = context;
	struct reply reply;

	flight->done = true;
	if (responder_complete(flight->responder, (const struct icp_header *)flight->query, query,
			       decision, &reply))
		keep_reply(flight, &reply);
}

struct flight *flight_begin(struct flights *flights, struct responder *responder,
			    const struct step *ask, const struct query_packet *packet)
{
	struct flight *flight = calloc(1, sizeof(*flight));
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} source = { 0 };
	struct reply reply;

	if (!flight)
		abort();
	TAILQ_INSERT_TAIL(flights, flight, link);
	flight->responder = responder;
	flight->limits = responder->counters[ICP_COUNT_FAILED_LIMIT];
	memcpy(flight->query, packet->datagram, HEADER_SIZE);
	if (is_ipv4(ask)) {
		source.v4.sin_family = AF_INET;
		source.v4.sin_port = htons(4000);
		memcpy(&source.v4.sin_addr, ask->address + 12, 4);
	} else {
		source.v6.sin6_family = AF_INET6;
		source.v6.sin6_port = htons(4000);
		memcpy(&source.v6.sin6_addr, ask->address, 16);
	}
	if (responder_reply(responder, packet->datagram, packet->size, &source.any, &reply))
		keep_reply(flight, &reply);
	flight->done = !reply.pending;
	if (reply.pending) {
		evaluation_on_done(reply.pending, flight_done, flight);
		flight->question = seams_last_question();
	}
	return flight;
}

void flight_go_on(struct flight *flight, bool lost)
{
	seams_reply(flight->question, lost);
	flight->question = flight->done ? NULL : seams_last_question();
}

void flight_end(struct flights *flights, struct flight *flight)
{
	while (!flight->done)
		flight_go_on(flight, true);
	TAILQ_REMOVE(flights, flight, link);
	if (flight->left_behind)
		setup_free(flight->left_behind);
	free(flight);
}

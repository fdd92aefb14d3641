/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a datagram to its answer, by rules and chain: pure but for the rules map. */
#ifndef XDP_ICP_RESPONDER_H
#define XDP_ICP_RESPONDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "chain.h"
#include "counters.h"
#include "icp.h"
#include "rules.h"

struct responder {
	const struct chain *chain;
	const struct rules *rules;
	bool answer_request_zero;
	uint64_t counters[ICP_COUNTER_MAX];
};

/* A decision and what it rests on. */
struct response {
	struct icp_verdict verdict;
	bool by_rule; /* else by the policy, or the default if that is NULL */
	const struct policy *policy;
};

/* What the rules and the chain say to a URL. Counts what failed on the way. */
struct response responder_decide(struct responder *responder, const struct query *query);

/* An answer as it is sent: the header, then bytes of the query or of a constant. */
struct answer {
	struct icp_header header;
	const void *payload;
	size_t payload_size; /* bytes */
};

/*
 * Answers the datagram of `size` bytes; at most ICP_MESSAGE_MAX of them are at `datagram`, aligned
 * to 8 bytes and followed by a word of zeroes. Returns false, and counts why, if there is to be
 * silence. The payload lies in the datagram or is constant.
 */
bool responder_answer(struct responder *responder, const void *datagram, size_t size,
		      const struct sockaddr *source, struct answer *answer);

/* IPv4 as ::ffff:a.b.c.d */
struct in6_addr query_source(const struct sockaddr *source);

#endif

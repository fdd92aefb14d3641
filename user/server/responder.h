/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a datagram to its answer, by rules and chain: pure but for the rules map. */
#ifndef XDP_ICP_RESPONDER_H
#define XDP_ICP_RESPONDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "chain/chain.h"
#include "counters.h"
#include "chain/evaluation.h"
#include "icp.h"
#include "maps.h"
#include "server/rules.h"
#include "server/trace.h"

struct responder {
	struct chain *chain;
	const struct rules *rules;
	bool answer_request_zero;
	uint32_t drain;	    /* as in struct map_control */
	bool worker;	    /* not in the main thread: leaves to that what only it may ask */
	bool gates_current; /* of a worker: the main thread has looked after them of late */
	uint64_t counters[ICP_COUNTER_MAX];

	struct trace_log *trace_log; /* NULL: nothing is traced, else it may be */

	/* Told of every decision of the chain, to remember it; NULL: nobody is. */
	void (*decided)(void *context, const struct query *query,
			const struct chain_decision *decision);
	void *context;
};

/* A decision and what it rests on. */
struct response {
	struct icp_verdict verdict; /* ICP_OP_INVALID: none yet if `pending`, else none at all */
	bool by_drain;		    /* the host is drained */
	bool by_rule;		    /* else by the policy, or the default if that is NULL */
	const struct policy *policy;
	bool left;		    /* undecided and not counted: the main thread has to */
	struct evaluation *pending; /* a policy is waited for: evaluation_on_done() has to follow */
};

/* What the rules and the chain say to a URL. Counts what failed on the way. */
struct response responder_decide(struct responder *responder, const struct query *query);

/* The response to a query that was pending, from what evaluation_done was told. Counts likewise. */
struct response responder_decided(struct responder *responder,
				  const struct chain_decision *decision);

/* An answer as it is sent: the header, then bytes of the query or of a constant. */
struct answer {
	struct icp_header header;
	const void *payload;
	size_t payload_size;	    /* bytes */
	struct evaluation *pending; /* with responder_answer() alone, as is `left` */
	bool left;

	/* For whoever wants to know more than is sent. */
	enum icp_counter outcome; /* ICP_COUNT_ANSWERED, or why there is to be silence */
	struct response response;
};

/*
 * Answers the datagram of `size` bytes; at most ICP_MESSAGE_MAX of them are at `datagram`, aligned
 * to 8 bytes and followed by a word of zeroes. The payload lies in the datagram or is constant.
 * Returns false if there is to be silence, and counts why; but if answer->pending is not NULL then,
 * the answer takes time: evaluation_on_done() has to follow, and responder_complete() then makes it.
 * If answer->left is true, nothing is counted: the main thread has to answer the datagram.
 */
bool responder_answer(struct responder *responder, const void *datagram, size_t size,
		      const struct sockaddr *source, struct answer *answer);

/*
 * Answers a query that was pending: `header` is the datagram's, the rest what evaluation_done was
 * told. The payload lies in query->url. False, and counted: there is to be silence.
 */
bool responder_complete(struct responder *responder, const struct icp_header *header,
			const struct query *query, const struct chain_decision *decision,
			struct answer *answer);

/* IPv4 as ::ffff:a.b.c.d */
struct in6_addr query_source(const struct sockaddr *source);

#endif

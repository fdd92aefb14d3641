/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a datagram to its reply, by rules and chain. No side effects except the counters. */
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
#include "server/latency.h"
#include "server/rules.h"
#include "server/trace.h"

/* Of all replies, and of those that no policy has decided. */
struct responder_tallies {
	struct decider_tally all, by_default, by_rule, by_drain;
};

struct responder {
	struct chain *chain;
	const struct rules *rules;
	bool answer_request_zero;
	uint32_t drain; /* as in struct map_control */
	bool worker; /* runs in a worker: leaves what must not be decided there to the main thread */
	bool gates_current; /* of a worker: the main thread has refreshed the gates within the lease */
	uint64_t counters[ICP_COUNTER_MAX];
	struct latency latency;		   /* of the replies that were sent */
	struct responder_tallies *tallies; /* of all threads; NULL: none */

	struct trace_log *trace_log; /* NULL: never traced; else traced while enabled */

	/* Called with every decision of the chain; NULL: not called. */
	void (*on_decision)(void *context, const struct query *query,
			    const struct chain_decision *decision);
	void *context;
};

/* A verdict and what decided it. */
struct responder_outcome {
	struct icp_verdict verdict; /* ICP_OP_INVALID: none yet if `pending`, else no reply */
	bool by_drain;		    /* the host is drained */
	bool by_rule;		    /* else by `policy`, or by the default if that is NULL */
	const struct policy *policy;
	bool needs_main_thread;	    /* undecided and not counted: the main thread must decide */
	struct evaluation *pending; /* waiting for a policy: call evaluation_on_done() */
};

/*
 * Begin to decide a query by rules and chain. Failures are counted. If `pending` is set in the
 * outcome, call evaluation_on_done(), and responder_finish() with the decision.
 */
struct responder_outcome responder_begin(struct responder *responder, const struct query *query);

/*
 * Return the outcome for a query that was pending. `decision` is that of the evaluation's callback;
 * NULL: the query was dropped. Failures are counted.
 */
struct responder_outcome responder_finish(struct responder *responder,
					  const struct chain_decision *decision);

/* A reply as it is sent: the header, then bytes of the query or of a constant. */
struct reply {
	struct icp_header header;
	const void *payload;
	size_t payload_size;	    /* bytes */
	struct evaluation *pending; /* set by responder_reply() only, as is `needs_main_thread` */
	bool needs_main_thread;

	/* For tracing. */
	enum icp_counter counter; /* ICP_COUNT_ANSWERED, or the reason for silence */
	struct responder_outcome outcome;
};

/*
 * Build the reply to a datagram of `size` bytes. At most ICP_MESSAGE_MAX of them are at `datagram`,
 * aligned to 8 bytes. The payload of the reply points into the datagram or to a constant.
 *
 * Return true if the reply is to be sent, else false:
 *
 *    reply->pending set: the policies take time. Call evaluation_on_done(), and
 *    responder_complete() with the decision.
 *    reply->needs_main_thread: nothing is counted; the main thread must handle the datagram.
 *    otherwise there is no reply, and the reason is counted.
 */
bool responder_reply(struct responder *responder, const void *datagram, size_t size,
		     const struct sockaddr *source, struct reply *reply);

/*
 * Build the reply to a query that was pending. `header` is that of the datagram, the rest as in the
 * evaluation's callback. The payload of the reply points to query->url. Return false if there is no
 * reply, which is counted.
 */
bool responder_complete(struct responder *responder, const struct icp_header *header,
			const struct query *query, const struct chain_decision *decision,
			struct reply *reply);

/* Return the address of a querier, IPv4 as ::ffff:a.b.c.d. */
struct in6_addr query_source(const struct sockaddr *source);

#endif

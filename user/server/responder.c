// SPDX-License-Identifier: GPL-2.0-or-later
#include <netinet/in.h>
#include <string.h>

#include "lib/log.h"
#include "server/responder.h"

static const char no_url[ICP_ERR_SIZE - ICP_HEADER_SIZE] = "";

struct in6_addr query_source(const struct sockaddr *source)
{
	struct in6_addr address = { 0 };

	if (source->sa_family == AF_INET6)
		return ((const struct sockaddr_in6 *)source)->sin6_addr;
	address.s6_addr[10] = address.s6_addr[11] = 0xff;
	memcpy(&address.s6_addr[12], &((const struct sockaddr_in *)source)->sin_addr, 4);
	return address;
}

/* Whether the address names a single host and a port (protocol R7). */
static bool is_querier(const struct sockaddr *source)
{
	if (source->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)source;

		return in6->sin6_port && !IN6_IS_ADDR_MULTICAST(&in6->sin6_addr) &&
		       !IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
	}
	if (source->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)source;
		in_addr_t host = ntohl(in->sin_addr.s_addr);

		return in->sin_port && !IN_MULTICAST(host) && host >> 24 != 0 &&
		       host != INADDR_BROADCAST;
	}
	return false;
}

struct responder_outcome responder_finish(struct responder *responder,
					  const struct chain_decision *decision)
{
	struct responder_outcome outcome = { .verdict = { ICP_OP_INVALID, ICP_NO_COST } };

	if (!decision) {
		responder->counters[ICP_COUNT_FAILED_PENDING]++;
		return outcome;
	}
	responder->counters[ICP_COUNT_FAILED_LIMIT] += decision->gave_up;
	outcome.verdict = decision->verdict;
	outcome.policy = decision->policy;
	return outcome;
}

static void notify_decision(struct responder *responder, const struct query *query,
			    const struct chain_decision *decision)
{
	if (responder->on_decision && decision)
		responder->on_decision(responder->context, query, decision);
}

struct responder_outcome responder_begin(struct responder *responder, const struct query *query)
{
	struct responder_outcome outcome = { .verdict = { ICP_OP_INVALID, ICP_NO_COST } };
	enum evaluation_state state = EVALUATION_DECIDED;
	struct chain_decision decision;
	int found;

	if (responder->drain) {
		outcome.by_drain = true;
		if (responder->drain == DRAIN_SILENCE)
			responder->counters[ICP_COUNT_SILENT_DRAIN]++;
		else
			outcome.verdict.opcode = responder->drain;
		return outcome;
	}
	found = rules_find(responder->rules, query->url, query->length, &outcome.verdict.opcode);
	if (found > 0) {
		outcome.by_rule = true;
		return outcome;
	}
	if (!responder->worker) {
		state = evaluation_begin(responder->chain, query, &decision, &outcome.pending);
	} else if (!chain_decide_in_worker(responder->chain, query, responder->gates_current,
					   &decision)) {
		outcome.verdict.opcode = ICP_OP_INVALID;
		outcome.needs_main_thread = true;
		return outcome;
	}
	if (found < 0)
		responder->counters[ICP_COUNT_FAILED_RULES]++;
	switch (state) {
	case EVALUATION_DECIDED:
		notify_decision(responder, query, &decision);
		return responder_finish(responder, &decision);
	case EVALUATION_DROPPED:
		return responder_finish(responder, NULL);
	case EVALUATION_PENDING:
		outcome.verdict.opcode = ICP_OP_INVALID;
		break;
	}
	return outcome;
}

static enum icp_counter silence(enum icp_form form)
{
	switch (form) {
	case ICP_FORM_SHORT:
		return ICP_COUNT_SILENT_SHORT;
	case ICP_FORM_LONG:
		return ICP_COUNT_SILENT_LONG;
	case ICP_FORM_LENGTH:
		return ICP_COUNT_SILENT_LENGTH;
	case ICP_FORM_VERSION:
		return ICP_COUNT_SILENT_VERSION;
	case ICP_FORM_OPCODE:
		return ICP_COUNT_SILENT_OPCODE;
	case ICP_FORM_REQUEST_ZERO:
		return ICP_COUNT_SILENT_REQUEST_ZERO;
	case ICP_FORM_QUERY:
	case ICP_FORM_NO_URL:
	case ICP_FORM_WHITE_SPACE:
		break;
	}
	return ICP_COUNT_ANSWERED;
}

/* Return the form of a URL with its NUL, `size` bytes together. */
static enum icp_form url_form(const char *url, size_t size)
{
	if (size < 2 || url[size - 1] != '\0')
		return ICP_FORM_NO_URL;
	return icp_url_form((const __u8 *)url, size - 1, ICP_MESSAGE_MAX);
}

static bool reject(struct responder *responder, enum icp_counter reason, struct reply *reply)
{
	reply->counter = reason;
	responder->counters[reason]++;
	return false;
}

static void count_decision(struct responder *responder, const struct responder_outcome *outcome,
			   enum icp_opcode replied)
{
	struct responder_tallies *tallies = responder->tallies;
	struct decider_tally *tally;
	time_t now = time(NULL);

	if (!tallies)
		return;
	tally_add(&tallies->all.daemon, replied, 1, now);
	if (!icp_is_verdict(outcome->verdict.opcode)) /* there was no URL to decide about */
		return;
	if (outcome->policy)
		tally = outcome->policy->tally;
	else if (outcome->by_drain)
		tally = &tallies->by_drain;
	else
		tally = outcome->by_rule ? &tallies->by_rule : &tallies->by_default;
	tally_add(&tally->daemon, replied, 1, now);
}

static bool complete(struct responder *responder, const struct icp_header *header,
		     struct icp_verdict verdict, struct reply *reply)
{
	icp_answer_header(&reply->header, header, ICP_HEADER_SIZE + reply->payload_size, verdict);
	reply->counter = ICP_COUNT_ANSWERED;
	responder->counters[ICP_COUNT_ANSWERED]++;
	count_decision(responder, &reply->outcome, verdict.opcode);
	return true;
}

bool responder_reply(struct responder *responder, const void *datagram, size_t size,
		     const struct sockaddr *source, struct reply *reply)
{
	const struct icp_header *header = datagram;
	const char *url = (const char *)datagram + ICP_QUERY_HEADER_SIZE;
	struct icp_verdict verdict = { ICP_OP_ERR, ICP_NO_COST };
	size_t url_size = size > ICP_QUERY_HEADER_SIZE ? size - ICP_QUERY_HEADER_SIZE : 0;
	enum icp_form form;

	reply->pending = NULL;
	reply->needs_main_thread = false;
	reply->outcome = (struct responder_outcome){ .verdict = { ICP_OP_INVALID, ICP_NO_COST } };
	if (!is_querier(source))
		return reject(responder, ICP_COUNT_SILENT_SOURCE, reply);
	form = icp_header_form(header, size, responder->answer_request_zero);
	if (form == ICP_FORM_QUERY)
		form = url_form(url, url_size);
	switch (form) {
	case ICP_FORM_QUERY: {
		const struct query query = {
			.url = url,
			.length = url_size - 1,
			.source = query_source(source),
		};

		reply->outcome = responder_begin(responder, &query);
		reply->pending = reply->outcome.pending;
		reply->needs_main_thread = reply->outcome.needs_main_thread;
		verdict = reply->outcome.verdict;
		if (verdict.opcode == ICP_OP_INVALID) { /* already counted */
			reply->counter = reply->outcome.by_drain ? ICP_COUNT_SILENT_DRAIN
								 : ICP_COUNT_FAILED_PENDING;
			return false;
		}
	}
		/* fall through */
	case ICP_FORM_WHITE_SPACE:
		reply->payload = url;
		reply->payload_size = url_size;
		break;
	case ICP_FORM_NO_URL:
		reply->payload = no_url;
		reply->payload_size = sizeof(no_url);
		break;
	default:
		return reject(responder, silence(form), reply);
	}
	return complete(responder, header, verdict, reply);
}

bool responder_complete(struct responder *responder, const struct icp_header *header,
			const struct query *query, const struct chain_decision *decision,
			struct reply *reply)
{
	struct responder_outcome outcome = responder_finish(responder, decision);

	notify_decision(responder, query, decision);
	*reply = (struct reply){
		.payload = query->url,
		.payload_size = query->length + 1,
		.counter = ICP_COUNT_FAILED_PENDING,
		.outcome = outcome,
	};
	if (outcome.verdict.opcode == ICP_OP_INVALID)
		return false;
	return complete(responder, header, outcome.verdict, reply);
}

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

/* Does the address name one host with a port? (protocol R7) */
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

struct response responder_decided(struct responder *responder,
				  const struct chain_decision *decision)
{
	struct response response = { .verdict = { ICP_OP_INVALID, ICP_NO_COST } };

	if (!decision) {
		responder->counters[ICP_COUNT_FAILED_PENDING]++;
		return response;
	}
	responder->counters[ICP_COUNT_FAILED_LIMIT] += decision->gave_up;
	response.verdict = decision->verdict;
	response.policy = decision->policy;
	return response;
}

static void tell_decided(struct responder *responder, const struct query *query,
			 const struct chain_decision *decision)
{
	if (responder->decided && decision)
		responder->decided(responder->context, query, decision);
}

struct response responder_decide(struct responder *responder, const struct query *query)
{
	struct response response = { .verdict = { ICP_OP_INVALID, ICP_NO_COST } };
	enum evaluation_state state = EVALUATION_DECIDED;
	struct chain_decision decision;
	int found;

	if (responder->drain) {
		response.by_drain = true;
		if (responder->drain == DRAIN_SILENCE)
			responder->counters[ICP_COUNT_SILENT_DRAIN]++;
		else
			response.verdict.opcode = responder->drain;
		return response;
	}
	found = rules_find(responder->rules, query->url, query->length, &response.verdict.opcode);
	if (found > 0) {
		response.by_rule = true;
		return response;
	}
	if (!responder->worker) {
		state = evaluation_begin(responder->chain, query, &decision, &response.pending);
	} else if (!chain_decide_in_worker(responder->chain, query, responder->gates_current,
					   &decision)) {
		response.verdict.opcode = ICP_OP_INVALID;
		response.left = true;
		return response;
	}
	if (found < 0)
		responder->counters[ICP_COUNT_FAILED_RULES]++;
	switch (state) {
	case EVALUATION_DECIDED:
		tell_decided(responder, query, &decision);
		return responder_decided(responder, &decision);
	case EVALUATION_DROPPED:
		return responder_decided(responder, NULL);
	case EVALUATION_PENDING:
		response.verdict.opcode = ICP_OP_INVALID;
		break;
	}
	return response;
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

/* The form of a query's URL and its NUL, `size` bytes together. */
static enum icp_form url_form(const char *url, size_t size)
{
	if (size < 2 || url[size - 1] != '\0')
		return ICP_FORM_NO_URL;
	return icp_url_form((const __u8 *)url, size - 1, ICP_MESSAGE_MAX);
}

static bool stay_silent(struct responder *responder, enum icp_counter reason, struct answer *answer)
{
	answer->outcome = reason;
	responder->counters[reason]++;
	return false;
}

static bool complete(struct responder *responder, const struct icp_header *header,
		     struct icp_verdict verdict, struct answer *answer)
{
	icp_answer_header(&answer->header, header, ICP_HEADER_SIZE + answer->payload_size, verdict);
	answer->outcome = ICP_COUNT_ANSWERED;
	responder->counters[ICP_COUNT_ANSWERED]++;
	return true;
}

bool responder_answer(struct responder *responder, const void *datagram, size_t size,
		      const struct sockaddr *source, struct answer *answer)
{
	const struct icp_header *header = datagram;
	const char *url = (const char *)datagram + ICP_QUERY_HEADER_SIZE;
	struct icp_verdict verdict = { ICP_OP_ERR, ICP_NO_COST };
	size_t url_size = size > ICP_QUERY_HEADER_SIZE ? size - ICP_QUERY_HEADER_SIZE : 0;
	enum icp_form form;

	answer->pending = NULL;
	answer->left = false;
	answer->response = (struct response){ .verdict = { ICP_OP_INVALID, ICP_NO_COST } };
	if (!is_querier(source))
		return stay_silent(responder, ICP_COUNT_SILENT_SOURCE, answer);
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

		answer->response = responder_decide(responder, &query);
		answer->pending = answer->response.pending;
		answer->left = answer->response.left;
		verdict = answer->response.verdict;
		if (verdict.opcode == ICP_OP_INVALID) { /* counted already */
			answer->outcome = answer->response.by_drain ? ICP_COUNT_SILENT_DRAIN
								    : ICP_COUNT_FAILED_PENDING;
			return false;
		}
	}
		/* fall through */
	case ICP_FORM_WHITE_SPACE:
		answer->payload = url;
		answer->payload_size = url_size;
		break;
	case ICP_FORM_NO_URL:
		answer->payload = no_url;
		answer->payload_size = sizeof(no_url);
		break;
	default:
		return stay_silent(responder, silence(form), answer);
	}
	return complete(responder, header, verdict, answer);
}

bool responder_complete(struct responder *responder, const struct icp_header *header,
			const struct query *query, const struct chain_decision *decision,
			struct answer *answer)
{
	struct response response = responder_decided(responder, decision);

	tell_decided(responder, query, decision);
	*answer = (struct answer){
		.payload = query->url,
		.payload_size = query->length + 1,
		.outcome = ICP_COUNT_FAILED_PENDING,
		.response = response,
	};
	if (response.verdict.opcode == ICP_OP_INVALID)
		return false;
	return complete(responder, header, response.verdict, answer);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The work is done in slices, so that a request with many URLs delays nothing else: a few URLs per
 * event, a few of which may wait for policies; when all are decided, a walk through the rules, in
 * steps, finds the rules that decided. Everything ends when the peer disconnects.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "xdp-icpd/check.h"
#include "xdp-icpd/daemon.h"
#include "icp/counter_names.h"
#include "decide.h"
#include "lib/escape.h"
#include "lib/event.h"
#include "policy/kinds/recent.h"
#include "chain/evaluation.h"
#include "server/rule_search.h"
#include "icp/opcode.h"

#define URLS_STEP 4	   /* per event */
#define PENDING_MAX 16	   /* that wait for policies, which queries need too */
#define PENDING_READERS 24 /* of all checks: with so many, those of readers wait */
#define PENDING_ALL 32	   /* of all checks */
#define RESULT_SIZE 4096   /* approximate size of a result without its texts, in bytes */

/*
 * A URL whose evaluation is pending. It counts until that ends, even if the peer has disconnected,
 * because policies are still being asked.
 */
struct check_item {
	LIST_ENTRY(check_item) link;
	struct daemon *daemon;
	struct check *check; /* NULL: the peer is gone */
	size_t index;
};

/* A request, until its response is sent or its peer disconnects. */
struct check {
	struct daemon *daemon;
	struct control_request *request;
	unsigned int *running; /* a number that this check is part of, or NULL */
	struct event *step;
	struct in6_addr source;
	json_t *urls, *results;
	size_t next; /* URL */
	LIST_HEAD(check_item_list, check_item) pending;
	size_t pending_count;
	struct rule_search search; /* for URLs decided by a rule; the tag is their index */
};

/* Free the check; the response has been sent. */
static void check_free(struct check *check)
{
	struct check_item *item;

	LIST_FOREACH (item, &check->pending, link)
		item->check = NULL;
	if (check->running)
		(*check->running)--;
	event_drop(check->step);
	rule_search_free(&check->search);
	json_decref(check->urls);
	json_decref(check->results);
	free(check);
}

/* Send the response (takes the reference; NULL: out of memory, or the peer is gone). */
static void check_end(struct check *check, json_t *reply)
{
	control_reply(check->request, reply);
	check_free(check);
}

static void check_refuse(struct check *check, enum control_status status, const struct error *error)
{
	control_refuse(check->request, status, "%s", error->text);
	check_free(check);
}

static void check_cancel(void *context)
{
	check_end(context, NULL);
}

/* Run check_step() once all pending events have been handled. */
static void check_schedule(struct check *check)
{
	static const struct timeval at_once = { 0 };

	event_add(check->step, &at_once);
}

/* May one more URL wait for policies? */
static bool has_room(const struct check *check)
{
	unsigned int limit = control_may_change(check->request) ? PENDING_ALL : PENDING_READERS;

	return check->pending_count < PENDING_MAX && check->daemon->checks_pending < limit;
}

/* --- a result */

/* Does the verdict depend on the querier? Policies that are not asked do not matter. */
static bool depends_on_source(const struct chain *chain, const struct responder_outcome *outcome)
{
	for (size_t rank = 0; rank < chain_count(chain); rank++) {
		const struct policy *policy = chain_policy(chain, rank);

		if (policy->kind->basis == POLICY_BASIS_SOURCE ||
		    (policy->kind->basis == POLICY_BASIS_OTHER && policy->ttl != POLICY_TTL_URL))
			return true;
		if (policy == outcome->policy)
			break;
	}
	return false;
}

/* Why the policy gives this verdict, if its kind tells. */
static void add_explanation(const struct policy *policy, const struct query *query, json_t *result)
{
	char text[2048];

	if (!policy || !policy->kind->explain)
		return;
	policy->kind->explain(policy, query, text, sizeof(text));
	json_object_set_new(result, "explanation", control_text(text));
}

static void add_decider(struct check *check, const struct query *query,
			const struct responder_outcome *outcome, size_t index)
{
	json_t *result = json_array_get(check->results, index);

	if (outcome->by_drain) {
		json_object_set_new(result, "drain", json_true());
		return;
	}
	json_object_set_new(result, "policy",
			    outcome->policy ? control_text(outcome->policy->name) : json_null());
	add_explanation(outcome->policy, query, result);
	if (outcome->by_rule)
		rule_search_add(&check->search, query->url, query->length, index);
	else
		json_object_set_new(result, "by_source",
				    json_boolean(depends_on_source(check->daemon->chain, outcome)));
}

/* The kernel passes a query up because of a policy: name it. */
static void add_horizon(const struct daemon *daemon, __u32 rank, json_t *result)
{
	const struct policy *policy = chain_policy(daemon->chain, rank);
	const char *reason = "the kernel cannot read this URL's host";
	struct error why;

	if (policy_inside(policy))
		reason =
			"its texts, or those of a policy behind it, could begin at too many places "
			"of this URL";
	if (policy_is_recent(policy))
		reason = "the kernel has no keys of this length, or not all of them yet";
	if (rank == daemon->horizon.rank)
		reason = daemon->horizon.reason.text;

	error_write(&why, "policy '%s' prevents a reply by the kernel: %s", policy->name, reason);
	json_object_set_new(result, "horizon", control_text(policy->name));
	json_object_set_new(result, "why", control_message(why.text));
}

/* What the kernel remembers counts, even if the policies would decide otherwise by now. */
static void add_remembered(const struct daemon *daemon, const struct decision *decision,
			   json_t *result)
{
	bool policy = decision->rank < chain_count(daemon->chain);

	json_object_set_new(result, "verdict", json_string(opcode_name(decision->verdict.opcode)));
	json_object_set_new(result, "policy",
			    policy ? control_text(chain_policy(daemon->chain, decision->rank)->name)
				   : json_null());
}

static const char *how_answered(const struct decision *decision, const struct kernel_reason *reason)
{
	if (decision->rank == RANK_RULE)
		return "the map of rules";
	if (decision->rank == RANK_DRAIN)
		return "drained";
	return reason->remembered ? "remembered from a reply of the daemon"
				  : "compiled from the chain";
}

static void add_replier(const struct daemon *daemon, const struct query *query, json_t *result)
{
	struct kernel_reason reason;
	struct decision decision;
	struct error error;

	json_object_set_new(result, "by", json_string("daemon"));
	if (!daemon->xdp.kernel || !daemon->xdp.attached) {
		json_object_set_new(result, "why", json_string("userspace alone"));
	} else if (kernel_explain(daemon->xdp.kernel, query->url, query->length, &query->source,
				  &decision, &reason, &error)) {
		json_object_set_new(result, "why", control_message(error.text));
	} else if (decision.counter == ICP_COUNT_ANSWERED) {
		json_object_set_new(result, "by", json_string("kernel"));
		json_object_set_new(result, "remembered", json_boolean(reason.remembered));
		json_object_set_new(result, "why", json_string(how_answered(&decision, &reason)));
		if (reason.remembered)
			add_remembered(daemon, &decision, result);
	} else if (decision.counter == ICP_COUNT_PASSED_HORIZON &&
		   reason.horizon < chain_count(daemon->chain)) {
		add_horizon(daemon, reason.horizon, result);
	} else {
		json_object_set_new(result, "why",
				    json_string(counter_names[decision.counter].help));
	}
}

static void add_outcome(struct check *check, const struct query *query,
			const struct responder_outcome *outcome, size_t index)
{
	json_t *result = json_array_get(check->results, index);

	if (outcome->verdict.opcode == ICP_OP_INVALID) {
		json_object_set_new(result, "verdict", json_null());
		json_object_set_new(result, "by", json_string("daemon"));
		json_object_set_new(
			result, "why",
			json_string(outcome->by_drain
					    ? counter_names[ICP_COUNT_SILENT_DRAIN].help
					    : "too many queries wait for policies, or the "
					      "daemon is ending"));
		return;
	}
	json_object_set_new(result, "verdict", json_string(opcode_name(outcome->verdict.opcode)));
	add_decider(check, query, outcome, index);
	add_replier(check->daemon, query, result);
}

static void add_error(struct check *check, enum icp_form form, size_t length, size_t index)
{
	json_t *result = json_array_get(check->results, index);
	bool kernel = check->daemon->xdp.attached && form == ICP_FORM_WHITE_SPACE &&
		      length <= PREFIX_URL_MAX;

	json_object_set_new(result, "verdict", json_string(opcode_name(ICP_OP_ERR)));
	json_object_set_new(result, "by", json_string(kernel ? "kernel" : "daemon"));
	json_object_set_new(result, "why",
			    json_string(form == ICP_FORM_NO_URL ? "not a URL: empty, or with a NUL"
								: "white space in the URL"));
}

/* --- the URLs */

static void check_decided(void *context, const struct query *query,
			  const struct chain_decision *decision)
{
	struct check_item *item = context;
	struct responder responder = item->daemon->server.responder;
	struct responder_outcome outcome = responder_finish(&responder, decision);
	struct check *check = item->check;

	item->daemon->checks_pending--;
	if (check) {
		LIST_REMOVE(item, link);
		check->pending_count--;
		add_outcome(check, query, &outcome, item->index);
		check_schedule(check);
	}
	free(item);
}

static void check_query(struct check *check, const struct query *query, size_t index)
{
	struct responder responder =
		check->daemon->server.responder; /* a copy, as counters are for queries */
	struct responder_outcome outcome;
	struct check_item *item;

	responder.on_decision = NULL; /* nor is the decision remembered */
	outcome = responder_begin(&responder, query);
	item = outcome.pending ? malloc(sizeof(*item)) : NULL;
	if (!item) {
		if (outcome.pending)
			evaluation_cancel(outcome.pending);
		add_outcome(check, query, &outcome, index);
		return;
	}
	*item = (struct check_item){
		.daemon = check->daemon,
		.check = check,
		.index = index,
	};
	LIST_INSERT_HEAD(&check->pending, item, link);
	check->pending_count++;
	check->daemon->checks_pending++;
	evaluation_on_done(outcome.pending, check_decided, item);
}

/* Begin with the next URL. Return 0, or the status of a refusal and `error`. */
static int check_next(struct check *check, struct error *error)
{
	struct query query = { .source = check->source };
	size_t index = check->next++;
	json_t *escaped = json_array_get(check->urls, index);
	enum icp_form form;
	char *url;

	if (!json_is_string(escaped)) {
		error_set(error, "each URL must be a string");
		return CONTROL_STATUS_BAD_REQUEST;
	}
	if (!control_reserve(check->request, json_string_length(escaped) + RESULT_SIZE)) {
		error_set(error, "too much at once; ask for fewer URLs");
		return CONTROL_STATUS_OVER_QUOTA;
	}
	url = unescape(json_string_value(escaped), json_string_length(escaped), &query.length);
	if (!url || json_array_append_new(check->results, json_pack("{s:O}", "url", escaped))) {
		free(url);
		error_set(error, "out of memory");
		return CONTROL_STATUS_FAILED;
	}
	if (query.length > ICP_MESSAGE_MAX - ICP_QUERY_HEADER_SIZE - 1) {
		free(url);
		error_set(error, "a URL of %zu bytes does not fit into a query", query.length);
		return CONTROL_STATUS_BAD_REQUEST;
	}
	query.url = url;
	form = query.length ? icp_url_form((const __u8 *)url, query.length, ICP_MESSAGE_MAX)
			    : ICP_FORM_NO_URL;
	if (form == ICP_FORM_QUERY)
		check_query(check, &query, index);
	else
		add_error(check, form, query.length, index);
	free(url);
	return 0;
}

/* --- the rules */

/* "rule": null means that the rule was removed after it decided. */
static void add_rules(struct check *check)
{
	for (size_t i = 0; i < check->search.count; i++) {
		const struct rule_search_url *one = &check->search.urls[i];

		json_object_set_new(json_array_get(check->results, one->tag), "rule",
				    one->found ? control_bytes(one->url, one->prefix)
					       : json_null());
	}
}

static void check_rules(struct check *check)
{
	char source[INET6_ADDRSTRLEN];
	struct error error;

	if (check->search.count &&
	    rule_search_step(&check->search, check->daemon->server.rules, &error)) {
		check_refuse(check, CONTROL_STATUS_FAILED, &error);
		return;
	}
	if (check->search.count && !check->search.cursor.done) {
		check_schedule(check);
		return;
	}
	add_rules(check);
	inet_ntop(AF_INET6, &check->source, source, sizeof(source));
	check_end(check, json_pack("{s:s, s:O}", "source", source, "results", check->results));
}

static void check_step(evutil_socket_t fd, short what, void *context)
{
	static const struct timeval pause = { .tv_usec = 10000 };
	struct check *check = context;
	size_t count = json_array_size(check->urls);
	struct error error;

	for (int i = 0; i < URLS_STEP && check->next < count && has_room(check); i++) {
		int status = check_next(check, &error);

		if (status) {
			check_refuse(check, status, &error);
			return;
		}
	}
	if (check->next < count && has_room(check))
		check_schedule(check);
	else if (check->next < count && check->pending_count == 0)
		event_add(check->step, &pause); /* others' have to end first */
	else if (check->next == count && check->pending_count == 0)
		check_rules(check);
	/* Otherwise check_decided() continues. */
}

/* --- the request */

/* Read the source of a request, by default ::1. Return 0, or -1 and `error`. */
static int read_source(const json_t *body, struct in6_addr *source, struct error *error)
{
	const json_t *value = json_object_get(body, "source");
	const char *text = json_string_value(value);
	struct sockaddr_in v4 = { .sin_family = AF_INET };

	*source = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
	if (!value || (text && inet_pton(AF_INET6, text, source) == 1))
		return 0;
	if (!text || inet_pton(AF_INET, text, &v4.sin_addr) != 1)
		return error_set(error, "source '%s': not an IPv4 or IPv6 address",
				 text ? text : "not a string");
	*source = query_source((struct sockaddr *)&v4);
	return 0;
}

/* Read the URLs and the source. Return 0, or -1 and `error`. */
static int read_body(const json_t *body, struct check *check, struct error *error)
{
	check->urls = json_object_get(body, "urls");
	if (!json_is_array(check->urls))
		return error_set(error, "\"urls\" is missing; it must be a list of URLs");
	if (json_array_size(check->urls) > CHECK_URLS_MAX)
		return error_set(error, "%zu URLs; ask for at most %d at once",
				 json_array_size(check->urls), CHECK_URLS_MAX);
	return read_source(body, &check->source, error);
}

void check_begin(struct daemon *daemon, struct control_request *request, const json_t *body,
		 unsigned int *running)
{
	struct check read = { .daemon = daemon, .request = request }, *check;
	struct error error;

	if (read_body(body, &read, &error)) {
		control_refuse(request, CONTROL_STATUS_BAD_REQUEST, "%s", error.text);
		return;
	}
	check = malloc(sizeof(*check));
	if (!check) {
		control_reply(request, NULL);
		return;
	}
	*check = read;
	check->running = running;
	if (running)
		(*running)++;
	json_incref(check->urls);
	check->results = json_array();
	check->step = evtimer_new(check->daemon->base, check_step, check);
	if (!check->step || !check->results) {
		check_end(check, NULL);
		return;
	}
	control_on_close(request, check_cancel, check);
	check_schedule(check);
}

void post_check(void *context, struct control_request *request)
{
	check_begin(context, request, control_body(request), NULL);
}

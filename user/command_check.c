// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "command_check.h"
#include "counter_names.h"
#include "decide.h"
#include "escape.h"
#include "evaluation.h"
#include "verdict.h"

/* The longest rule that is a prefix of a URL. */
struct rule_search {
	const char *url;
	size_t length;
	size_t best; /* bytes */
};

static int search_rule(void *context, const char *prefix, size_t length, enum icp_opcode verdict)
{
	struct rule_search *search = context;

	(void)verdict;
	if (length >= search->best && length <= search->length &&
	    memcmp(prefix, search->url, length) == 0)
		search->best = length;
	return 0;
}

static void add_decider(struct daemon *daemon, const struct query *query,
			const struct response *response, json_t *result)
{
	struct rule_search search = { .url = query->url, .length = query->length };
	struct error error;
	char *text;

	if (response->by_drain) {
		json_object_set_new(result, "drain", json_true());
		return;
	}
	json_object_set_new(result, "policy",
			    response->policy ? control_text(response->policy->name) : json_null());
	if (!response->by_rule)
		return;
	rules_each(daemon->rules, search_rule, &search, &error);
	text = escape(query->url, search.best);
	json_object_set_new(result, "rule", json_string(text ? text : ""));
	free(text);
}

static void add_answerer(const struct daemon *daemon, const struct query *query, json_t *result)
{
	const char *by = "daemon", *why = "userspace alone";
	struct decision decision;
	struct error error;

	if (daemon->kernel && daemon->attached) {
		why = "the kernel's maps cannot be read";
		if (kernel_decide(daemon->kernel, query->url, query->length, &query->source,
				  &decision, &error) == 0) {
			by = decision.counter == ICP_COUNT_ANSWERED ? "kernel" : "daemon";
			why = decision.counter == ICP_COUNT_ANSWERED
				      ? "decided by the maps"
				      : counter_names[decision.counter].help;
		}
	}
	json_object_set_new(result, "by", json_string(by));
	json_object_set_new(result, "why", json_string(why));
}

/* A request, until all of its URLs are decided. */
struct check {
	struct daemon *daemon;
	json_t *results;
	size_t pending;
	struct control_deferred *deferred; /* NULL: no memory, the request is answered so */
};

/* A URL of one that policies are waited for. */
struct check_item {
	struct check *check;
	size_t index;
};

static void add_response(struct daemon *daemon, const struct query *query,
			 const struct response *response, json_t *result)
{
	if (response->verdict.opcode == ICP_OP_INVALID) {
		json_object_set_new(result, "verdict", json_null());
		json_object_set_new(result, "by", json_string("daemon"));
		json_object_set_new(result, "why",
				    json_string(response->by_drain
							? counter_names[ICP_COUNT_SILENT_DRAIN].help
							: "too much waits for policies, or the "
							  "daemon ends"));
		return;
	}
	json_object_set_new(result, "verdict", json_string(opcode_name(response->verdict.opcode)));
	add_decider(daemon, query, response, result);
	add_answerer(daemon, query, result);
}

static void check_decided(void *context, const struct query *query,
			  const struct chain_decision *decision)
{
	struct check_item *item = context;
	struct check *check = item->check;
	struct responder aside = check->daemon->responder;
	struct response response = responder_decided(&aside, decision);

	add_response(check->daemon, query, &response, json_array_get(check->results, item->index));
	free(item);
	if (--check->pending)
		return;
	if (check->deferred)
		control_complete(check->deferred,
				 json_pack("{s:b, s:o}", "ok", 1, "results", check->results));
	else
		json_decref(check->results);
	free(check);
}

static void check_query(struct check *check, const struct query *query, json_t *result)
{
	struct responder aside = check->daemon->responder; /* counters count queries */
	struct response response;
	struct check_item *item;

	aside.decided = NULL; /* nor is a question remembered */
	response = responder_decide(&aside, query);
	if (!response.pending) {
		add_response(check->daemon, query, &response, result);
		return;
	}
	item = malloc(sizeof(*item));
	if (!item) {
		evaluation_cancel(response.pending);
		add_response(check->daemon, query, &response, result);
		return;
	}
	item->check = check;
	item->index = json_array_size(check->results);
	check->pending++;
	evaluation_then(response.pending, check_decided, item);
}

static json_t *check_url(struct check *check, const json_t *escaped, const struct in6_addr *source)
{
	struct query query = { .source = *source };
	json_t *result = json_object();
	enum icp_form form;
	char *url;

	url = unescape(json_string_value(escaped), json_string_length(escaped), &query.length);
	if (!url || !result) {
		free(url);
		json_decref(result);
		return NULL;
	}
	query.url = url;
	form = query.length ? icp_url_form((const __u8 *)url, query.length, ICP_MESSAGE_MAX)
			    : ICP_FORM_NO_URL;
	if (form == ICP_FORM_QUERY) {
		check_query(check, &query, result);
	} else {
		bool long_url = query.length > PREFIX_URL_MAX;
		bool kernel = check->daemon->attached && form == ICP_FORM_WHITE_SPACE && !long_url;

		json_object_set_new(result, "verdict", json_string(opcode_name(ICP_OP_ERR)));
		json_object_set_new(result, "by", json_string(kernel ? "kernel" : "daemon"));
		json_object_set_new(result, "why",
				    json_string(form == ICP_FORM_NO_URL
							? "not a URL: empty, or with a NUL"
							: "white space in the URL"));
	}
	json_object_set_new(result, "url", json_copy((json_t *)escaped));
	free(url);
	return result;
}

/* What is wrong with the URLs of a request, a new reference; NULL: nothing. */
static json_t *refuse_urls(const json_t *urls)
{
	json_t *url;
	size_t i;

	if (!json_is_array(urls))
		return control_refusal("check: no urls");
	json_array_foreach (urls, i, url) {
		size_t length = 0;
		char *text;

		if (!json_is_string(url))
			return control_refusal("check: a URL is a string");
		text = unescape(json_string_value(url), json_string_length(url), &length);
		free(text);
		if (length > ICP_MESSAGE_MAX - ICP_QUERY_HEADER_SIZE - 1)
			return control_refusal("a URL of %zu bytes does not fit into a query",
					       length);
	}
	return NULL;
}

json_t *command_check(struct daemon *daemon, const json_t *request, const struct control_peer *peer)
{
	const char *source_text = json_string_value(json_object_get(request, "source"));
	const json_t *urls = json_object_get(request, "urls");
	struct sockaddr_storage address;
	struct in6_addr source = IN6ADDR_LOOPBACK_INIT;
	json_t *results, *url, *refusal = refuse_urls(urls);
	struct check *check;
	struct in_addr in;
	size_t i;

	if (refusal)
		return refusal;
	if (source_text && inet_pton(AF_INET, source_text, &in) == 1) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)&address;

		v4->sin_family = AF_INET;
		v4->sin_addr = in;
		source = query_source((struct sockaddr *)v4);
	} else if (source_text && inet_pton(AF_INET6, source_text, &source) != 1) {
		return control_refusal("source %s: not an IPv4 or IPv6 address", source_text);
	}
	check = calloc(1, sizeof(*check));
	results = json_array();
	if (!check || !results) {
		free(check);
		json_decref(results);
		return NULL;
	}
	check->daemon = daemon;
	check->results = results;
	json_array_foreach (urls, i, url)
		json_array_append_new(results, check_url(check, url, &source));
	if (check->pending) {
		check->deferred = control_defer(peer);
		return NULL;
	}
	free(check);
	return json_pack("{s:b, s:o}", "ok", 1, "results", results);
}

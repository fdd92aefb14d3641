// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "counters.h"
#include "daemon.h"
#include "decide.h"
#include "escape.h"
#include "socket_address.h"
#include "verdict.h"

/* --- counters */

static const struct {
	const char *group;
	const char *name;
	const char *help;
} counter_names[ICP_COUNTER_MAX] = {
#define X(identifier, group, name, help) { group, name, help },
	ICP_COUNTERS(X)
#undef X
};

/* Adds answered, passed, silent and failed to `reply`. */
static int add_counters(const struct daemon *daemon, json_t *reply)
{
	uint64_t kernel[ICP_COUNTER_MAX] = { 0 };
	json_t *answered;

	if (daemon->kernel && kernel_counters(daemon->kernel, kernel))
		return -1;
	answered = json_pack("{s:I, s:I}", "kernel", (json_int_t)kernel[ICP_COUNT_ANSWERED],
			     "daemon", (json_int_t)daemon->responder.counters[ICP_COUNT_ANSWERED]);
	json_object_set_new(reply, "answered", answered);
	for (int i = 0; i < ICP_COUNTER_MAX; i++) {
		json_t *group = json_object_get(reply, counter_names[i].group);

		if (i == ICP_COUNT_ANSWERED)
			continue;
		if (!group) {
			group = json_object();
			json_object_set_new(reply, counter_names[i].group, group);
		}
		json_object_set_new(group, counter_names[i].name,
				    json_integer(kernel[i] + daemon->responder.counters[i]));
	}
	return 0;
}

static json_t *answer_stats(struct daemon *daemon, const json_t *request)
{
	json_t *reply = json_pack("{s:b}", "ok", 1);

	(void)request;
	if (add_counters(daemon, reply)) {
		json_decref(reply);
		return control_refusal("the kernel's counters cannot be read");
	}
	return reply;
}

/* --- status */

static json_t *list_interfaces(const struct daemon *daemon)
{
	struct kernel_interface interfaces[DAEMON_INTERFACES_MAX];
	size_t count = daemon_interfaces(daemon, interfaces, DAEMON_INTERFACES_MAX);
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		const struct kernel_interface *one = &interfaces[i];
		const char *mode = !one->attached ? "lost" : one->native ? "native" : "generic";

		if (!one->name[0])
			continue;
		json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:I}", "name", one->name,
						      "mode", mode, "dispatcher", one->dispatcher,
						      "program_id", (json_int_t)one->program_id));
	}
	return list;
}

/* The first policy that the kernel cannot evaluate. */
static const char *horizon(const struct chain *chain)
{
	for (size_t rank = 0; rank < chain_count(chain); rank++)
		if (!policy_prefixes(chain_policy(chain, rank)))
			return chain_policy(chain, rank)->name;
	return NULL;
}

static json_t *answer_status(struct daemon *daemon, const json_t *request)
{
	struct kernel_sizes sizes = { 0 };
	struct timespec now;
	json_t *reply, *listen = json_array();

	(void)request;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (daemon->kernel)
		sizes = kernel_sizes(daemon->kernel);
	for (size_t i = 0; i < daemon->config->listen_count; i++) {
		char text[SOCKET_ADDRESS_TEXT];

		socket_address_text(&daemon->config->listen[i], text);
		json_array_append_new(listen, json_string(text));
	}
	reply = json_pack(
		"{s:b, s:s, s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:s, s:s?, s:I, s:I, s:I, s:s}",
		"ok", 1, "version", XDP_ICP_VERSION, "mode", daemon_mode(daemon), "interfaces",
		list_interfaces(daemon), "listen", listen, "policies",
		(json_int_t)chain_count(daemon->chain), "prefixes",
		(json_int_t)chain_prefix_count(daemon->chain), "prefixes_max",
		(json_int_t)sizes.prefixes, "rules", (json_int_t)rules_count(daemon->rules),
		"rules_max", (json_int_t)rules_max(daemon->rules), "default",
		opcode_name(chain_default(daemon->chain)), "horizon", horizon(daemon->chain), "pid",
		(json_int_t)getpid(), "uptime", (json_int_t)(now.tv_sec - daemon->started.tv_sec),
		"reloads", (json_int_t)daemon->reloads, "pin_dir", daemon->config->pin_dir);
	if (!daemon->kernel)
		json_object_set_new(reply, "reason", json_string(daemon->userspace_reason));
	else if (!daemon->attached)
		json_object_set_new(reply, "reason",
				    json_string("no interface carries the program"));
	if (add_counters(daemon, reply)) {
		json_decref(reply);
		return control_refusal("the kernel's counters cannot be read");
	}
	return reply;
}

/* --- reload */

static json_t *answer_reload(struct daemon *daemon, const json_t *request)
{
	struct error error;

	(void)request;
	if (daemon_reload(daemon, &error))
		return control_refusal("%s", error.text);
	return json_pack("{s:b, s:I}", "ok", 1, "policies", (json_int_t)chain_count(daemon->chain));
}

/* --- check */

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

	json_object_set_new(result, "policy",
			    response->policy ? json_string(response->policy->name) : json_null());
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
		if (kernel_decide(daemon->kernel, query->url, query->length, &decision, &error) ==
		    0) {
			by = decision.counter == ICP_COUNT_ANSWERED ? "kernel" : "daemon";
			why = decision.counter == ICP_COUNT_ANSWERED
				      ? "decided by the maps"
				      : counter_names[decision.counter].help;
		}
	}
	json_object_set_new(result, "by", json_string(by));
	json_object_set_new(result, "why", json_string(why));
}

static json_t *check_url(struct daemon *daemon, const json_t *escaped,
			 const struct in6_addr *source)
{
	struct responder aside = daemon->responder; /* counters count queries, not questions */
	struct query query = { .source = *source };
	struct response response = { .verdict = { ICP_OP_ERR, ICP_NO_COST } };
	enum icp_form form;
	json_t *result;
	char *url;

	url = unescape(json_string_value(escaped), json_string_length(escaped), &query.length);
	if (!url)
		return NULL;
	query.url = url;
	form = query.length ? icp_url_form((const __u8 *)url, query.length, ICP_MESSAGE_MAX)
			    : ICP_FORM_NO_URL;
	if (query.length > ICP_MESSAGE_MAX - ICP_QUERY_HEADER_SIZE - 1) {
		result = control_refusal("a URL of %zu bytes does not fit into a query",
					 query.length);
	} else if (form != ICP_FORM_QUERY) {
		bool long_url = query.length > PREFIX_URL_MAX;
		bool kernel = daemon->attached && form == ICP_FORM_WHITE_SPACE && !long_url;

		result = json_pack("{s:s, s:s, s:s}", "verdict", opcode_name(ICP_OP_ERR), "by",
				   kernel ? "kernel" : "daemon", "why",
				   form == ICP_FORM_NO_URL ? "not a URL: empty, or with a NUL"
							   : "white space in the URL");
	} else {
		response = responder_decide(&aside, &query);
		result = json_pack("{s:s}", "verdict", opcode_name(response.verdict.opcode));
		add_decider(daemon, &query, &response, result);
		add_answerer(daemon, &query, result);
	}
	json_object_set_new(result, "url", json_copy((json_t *)escaped));
	free(url);
	return result;
}

static json_t *answer_check(struct daemon *daemon, const json_t *request)
{
	const char *source_text = json_string_value(json_object_get(request, "source"));
	const json_t *urls = json_object_get(request, "urls");
	struct sockaddr_storage address;
	struct in6_addr source = IN6ADDR_LOOPBACK_INIT;
	struct in_addr in;
	json_t *results, *url;
	size_t i;

	if (!json_is_array(urls))
		return control_refusal("check: no urls");
	if (source_text && inet_pton(AF_INET, source_text, &in) == 1) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)&address;

		v4->sin_family = AF_INET;
		v4->sin_addr = in;
		source = query_source((struct sockaddr *)v4);
	} else if (source_text && inet_pton(AF_INET6, source_text, &source) != 1) {
		return control_refusal("source %s: not an IPv4 or IPv6 address", source_text);
	}
	results = json_array();
	json_array_foreach (urls, i, url) {
		json_t *result = json_is_string(url) ? check_url(daemon, url, &source) : NULL;

		if (!result || json_is_false(json_object_get(result, "ok"))) {
			json_decref(results);
			return result ? result : control_refusal("check: a URL is a string");
		}
		json_array_append_new(results, result);
	}
	return json_pack("{s:b, s:o}", "ok", 1, "results", results);
}

/* --- rules */

static int list_rule(void *context, const char *prefix, size_t length, enum icp_opcode verdict)
{
	const char *name = opcode_name(verdict);
	char *text = escape(prefix, length);

	/* What bpftool has put in may be any number. */
	json_array_append_new(context,
			      json_pack("{s:s, s:o}", "prefix", text ? text : "", "verdict",
					icp_is_verdict(verdict) && name ? json_string(name)
									: json_integer(verdict)));
	free(text);
	return 0;
}

static json_t *answer_rules_list(struct daemon *daemon, const json_t *request)
{
	json_t *list = json_array();
	struct error error;

	(void)request;
	if (rules_each(daemon->rules, list_rule, list, &error)) {
		json_decref(list);
		return control_refusal("%s", error.text);
	}
	return json_pack("{s:b, s:o}", "ok", 1, "rules", list);
}

/* A rule as a request brings it. */
struct rule_request {
	char *prefix; /* for free() */
	size_t length;
	enum icp_opcode verdict; /* ICP_OP_INVALID: none is named */
};

static int read_rule(const json_t *object, bool needs_verdict, struct rule_request *rule,
		     struct error *error)
{
	const json_t *prefix = json_object_get(object, "prefix");
	const char *verdict = json_string_value(json_object_get(object, "verdict"));

	*rule = (struct rule_request){ 0 };
	if (!json_is_string(prefix))
		return error_set(error, "a rule needs a prefix");
	if (verdict)
		rule->verdict = verdict_from_name(verdict, strlen(verdict));
	if (needs_verdict && rule->verdict == ICP_OP_INVALID)
		return error_set(error, "verdict %s: unknown; it is one of " VERDICT_NAMES,
				 verdict ? verdict : "missing");
	rule->prefix =
		unescape(json_string_value(prefix), json_string_length(prefix), &rule->length);
	if (!rule->prefix)
		return error_set(error, "out of memory");
	if (icp_url_form((const __u8 *)rule->prefix, rule->length, ICP_MESSAGE_MAX) !=
	    ICP_FORM_QUERY) {
		free(rule->prefix);
		rule->prefix = NULL;
		return error_set(error, "prefix %s: no URL has white space or a NUL",
				 json_string_value(prefix));
	}
	return 0;
}

static int put_rule(struct daemon *daemon, const json_t *object, struct error *error)
{
	struct rule_request rule;
	int result;

	if (read_rule(object, true, &rule, error))
		return -1;
	result = rules_put(daemon->rules, rule.prefix, rule.length, rule.verdict, error);
	free(rule.prefix);
	return result;
}

static json_t *answer_rules_add(struct daemon *daemon, const json_t *request)
{
	struct error error;

	if (put_rule(daemon, request, &error))
		return control_refusal("%s", error.text);
	return json_pack("{s:b}", "ok", 1);
}

static json_t *answer_rules_del(struct daemon *daemon, const json_t *request)
{
	struct rule_request rule;
	struct error error;
	int result;

	if (read_rule(request, false, &rule, &error))
		return control_refusal("%s", error.text);
	result = rules_remove(daemon->rules, rule.prefix, rule.length, &error);
	free(rule.prefix);
	if (result < 0)
		return control_refusal("%s", error.text);
	if (result > 0)
		return control_refusal("no such rule; `icpctl rules list` shows what there is");
	return json_pack("{s:b}", "ok", 1);
}

static json_t *answer_rules_load(struct daemon *daemon, const json_t *request)
{
	const json_t *rules = json_object_get(request, "rules");
	struct error error;
	size_t i;
	json_t *rule;

	if (!json_is_array(rules))
		return control_refusal("rules-load: no rules");
	json_array_foreach (rules, i, rule)
		if (put_rule(daemon, rule, &error))
			return control_refusal("rule %zu of %zu: %s (those before it are in)",
					       i + 1, json_array_size(rules), error.text);
	return json_pack("{s:b, s:I}", "ok", 1, "loaded", (json_int_t)json_array_size(rules));
}

/* --- the table */

static const struct {
	const char *name;
	json_t *(*answer)(struct daemon *daemon, const json_t *request);
	bool changes;
} commands[] = {
	{ "status", answer_status, false },	    { "stats", answer_stats, false },
	{ "check", answer_check, false },	    { "reload", answer_reload, true },
	{ "rules-list", answer_rules_list, false }, { "rules-add", answer_rules_add, true },
	{ "rules-del", answer_rules_del, true },    { "rules-load", answer_rules_load, true },
};

json_t *commands_answer(void *context, const json_t *request, const struct control_peer *peer)
{
	const char *name = json_string_value(json_object_get(request, "command"));

	for (size_t i = 0; name && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, name))
			continue;
		if (commands[i].changes && !peer->may_change)
			return control_refusal("%s: only root and the daemon's user may", name);
		return commands[i].answer(context, request);
	}
	return control_refusal("unknown command %s; icpctl and xdp-icpd are of different versions?",
			       name ? name : "(none)");
}

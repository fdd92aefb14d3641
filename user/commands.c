// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "compiler.h"
#include "counter_names.h"
#include "daemon.h"
#include "daemon_trace.h"
#include "decide.h"
#include "escape.h"
#include "evaluation.h"
#include "socket_address.h"
#include "verdict.h"

/* --- counters */

/* Adds answered, passed, silent and failed to `reply`. */
static int add_counters(struct daemon *daemon, json_t *reply)
{
	uint64_t kernel[ICP_COUNTER_MAX] = { 0 }, own[ICP_COUNTER_MAX] = { 0 };
	json_t *answered;

	if (daemon->kernel && kernel_counters(daemon->kernel, kernel))
		return -1;
	daemon_counters(daemon, own);
	answered = json_pack("{s:I, s:I}", "kernel", (json_int_t)kernel[ICP_COUNT_ANSWERED],
			     "daemon", (json_int_t)own[ICP_COUNT_ANSWERED]);
	json_object_set_new(reply, "answered", answered);
	for (int i = 0; i < ICP_COUNTER_MAX; i++) {
		json_t *group = json_object_get(reply, counter_names[i].group);

		if (i == ICP_COUNT_ANSWERED)
			continue;
		if (!group) {
			group = json_object();
			json_object_set_new(reply, counter_names[i].group, group);
		}
		json_object_set_new(group, counter_names[i].name, json_integer(kernel[i] + own[i]));
	}
	return 0;
}

static json_t *answer_stats(struct daemon *daemon, const json_t *request,
			    const struct control_peer *peer)
{
	json_t *reply = json_pack("{s:b}", "ok", 1);

	(void)peer;
	(void)request;
	if (add_counters(daemon, reply)) {
		json_decref(reply);
		return control_refusal("the kernel's counters cannot be read");
	}
	return reply;
}

#define SILENCE "silence"

static json_t *drain_json(uint32_t drain)
{
	if (drain == 0)
		return json_null();
	return json_string(drain == DRAIN_SILENCE ? SILENCE : opcode_name(drain));
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
		if (!policy_in_kernel(chain_policy(chain, rank)))
			return chain_policy(chain, rank)->name;
	return NULL;
}

static json_t *answer_status(struct daemon *daemon, const json_t *request,
			     const struct control_peer *peer)
{
	struct kernel_sizes sizes = { 0 };
	struct timespec now;
	json_t *reply, *listen = json_array();

	(void)peer;
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
	if (daemon->kernel)
		json_object_set_new(reply, "prefixes_used",
				    json_integer(kernel_prefixes_used(daemon->kernel)));
	json_object_set_new(reply, "drain", drain_json(daemon->responder.drain));
	json_object_set_new(reply, "tracers", json_integer(daemon_tracers(daemon)));
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

static json_t *answer_reload(struct daemon *daemon, const json_t *request,
			     const struct control_peer *peer)
{
	struct error error;

	(void)peer;
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

	if (response->by_drain)
		return;
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
				    json_string("too much waits for policies, or the daemon ends: "
						"no answer"));
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

static json_t *answer_check(struct daemon *daemon, const json_t *request,
			    const struct control_peer *peer)
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

static json_t *answer_rules_list(struct daemon *daemon, const json_t *request,
				 const struct control_peer *peer)
{
	json_t *list = json_array();
	struct error error;

	(void)peer;
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
	daemon_pause(daemon);
	result = rules_put(daemon->rules, rule.prefix, rule.length, rule.verdict, error);
	daemon_resume(daemon);
	free(rule.prefix);
	return result;
}

static json_t *answer_rules_add(struct daemon *daemon, const json_t *request,
				const struct control_peer *peer)
{
	struct error error;

	(void)peer;
	if (put_rule(daemon, request, &error))
		return control_refusal("%s", error.text);
	return json_pack("{s:b}", "ok", 1);
}

static json_t *answer_rules_del(struct daemon *daemon, const json_t *request,
				const struct control_peer *peer)
{
	struct rule_request rule;
	struct error error;
	int result;

	(void)peer;
	if (read_rule(request, false, &rule, &error))
		return control_refusal("%s", error.text);
	daemon_pause(daemon);
	result = rules_remove(daemon->rules, rule.prefix, rule.length, &error);
	daemon_resume(daemon);
	free(rule.prefix);
	if (result < 0)
		return control_refusal("%s", error.text);
	if (result > 0)
		return control_refusal("no such rule; `icpctl rules list` shows what there is");
	return json_pack("{s:b}", "ok", 1);
}

static json_t *answer_rules_load(struct daemon *daemon, const json_t *request,
				 const struct control_peer *peer)
{
	const json_t *rules = json_object_get(request, "rules");
	struct error error;
	size_t i;
	json_t *rule;

	(void)peer;
	if (!json_is_array(rules))
		return control_refusal("rules-load: no rules");
	json_array_foreach (rules, i, rule)
		if (put_rule(daemon, rule, &error))
			return control_refusal("rule %zu of %zu: %s (those before it are in)",
					       i + 1, json_array_size(rules), error.text);
	return json_pack("{s:b, s:I}", "ok", 1, "loaded", (json_int_t)json_array_size(rules));
}

/* --- policies */

static json_t *policy_json(const struct policy *policy, size_t rank, const struct config *config)
{
	const char *verdict = opcode_name(policy->verdict);
	json_t *one = json_pack("{s:s, s:I, s:s, s:b, s:s?, s:b}", "name", policy->name, "rank",
				(json_int_t)rank, "kind", policy->kind->name, "not", policy->negate,
				"verdict", policy->verdict == ICP_OP_INVALID ? NULL : verdict,
				"kernel", policy_in_kernel(policy));

	if (policy->cost != ICP_NO_COST)
		json_object_set_new(one, "cost", json_integer(policy->cost));
	for (size_t i = 0; i < config->policy_count; i++)
		if (strcmp(config->policies[i]->name, policy->name) == 0)
			json_object_set_new(one, "where", json_string(config->policies[i]->where));
	return one;
}

static json_t *answer_policy_list(struct daemon *daemon, const json_t *request,
				  const struct control_peer *peer)
{
	json_t *list = json_array();

	(void)request;
	(void)peer;
	for (size_t rank = 0; rank < chain_count(daemon->chain); rank++)
		json_array_append_new(
			list, policy_json(chain_policy(daemon->chain, rank), rank, daemon->config));
	return json_pack("{s:b, s:o, s:s}", "ok", 1, "policies", list, "default",
			 opcode_name(chain_default(daemon->chain)));
}

/* The settings of a request, [[KEY, VALUE], ...], as a spec. NULL and an error. */
static struct policy_spec *read_spec(const json_t *request, struct error *error)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	const json_t *settings = json_object_get(request, "settings"), *pair;
	struct policy_spec *spec;
	size_t i;

	if (!name || !json_is_array(settings)) {
		error_set(error, "a policy needs a name and settings");
		return NULL;
	}
	spec = policy_spec_new(name, COMMAND_LINE);
	json_array_foreach (settings, i, pair) {
		const char *key = json_string_value(json_array_get(pair, 0));
		const json_t *value = json_array_get(pair, 1);
		size_t length;
		char *text;

		if (!spec || !key || !json_is_string(value))
			break;
		text = unescape(json_string_value(value), json_string_length(value), &length);
		if (!text || strlen(text) != length ||
		    policy_spec_add(spec, key, text, COMMAND_LINE)) {
			free(text);
			break;
		}
		free(text);
	}
	if (spec && i == json_array_size(settings))
		return spec;
	policy_spec_free(spec);
	error_set(error, "settings are pairs of a key and a text without a NUL");
	return NULL;
}

static json_t *answer_policy_add(struct daemon *daemon, const json_t *request,
				 const struct control_peer *peer)
{
	bool save = json_is_true(json_object_get(request, "save"));
	struct policy_spec *spec;
	struct error error;

	(void)peer;
	spec = read_spec(request, &error);
	if (!spec)
		return control_refusal("%s", error.text);
	if (daemon_put_policy(daemon, spec, save, &error)) {
		bool taken = false;

		for (size_t i = 0; i < daemon->config->policy_count; i++)
			taken = taken || daemon->config->policies[i] == spec;
		if (!taken)
			policy_spec_free(spec);
		return control_refusal("%s", error.text);
	}
	return json_pack("{s:b}", "ok", 1);
}

static json_t *answer_policy_remove(struct daemon *daemon, const json_t *request,
				    const struct control_peer *peer)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	bool save = json_is_true(json_object_get(request, "save"));
	struct error error;

	(void)peer;
	if (!name)
		return control_refusal("policy-remove: no name");
	if (daemon_remove_policy(daemon, name, save, &error))
		return control_refusal("%s", error.text);
	return json_pack("{s:b}", "ok", 1);
}

/* --- drain */

static json_t *answer_drain(struct daemon *daemon, const json_t *request,
			    const struct control_peer *peer)
{
	const char *verdict = json_string_value(json_object_get(request, "verdict"));
	uint32_t drain = ICP_OP_MISS_NOFETCH;
	struct error error;

	(void)peer;
	if (verdict)
		drain = strcmp(verdict, SILENCE) == 0 ? DRAIN_SILENCE
						      : verdict_from_name(verdict, strlen(verdict));
	if (drain == ICP_OP_INVALID)
		return control_refusal(
			"verdict %s: unknown; it is " SILENCE " or one of " VERDICT_NAMES, verdict);
	if (daemon_drain(daemon, drain, &error))
		return control_refusal("%s", error.text);
	return json_pack("{s:b, s:o}", "ok", 1, "drain", drain_json(drain));
}

static json_t *answer_undrain(struct daemon *daemon, const json_t *request,
			      const struct control_peer *peer)
{
	struct error error;

	(void)request;
	(void)peer;
	if (daemon->ending)
		return control_refusal("the daemon drains because it is about to end");
	if (daemon_drain(daemon, 0, &error))
		return control_refusal("%s", error.text);
	return json_pack("{s:b, s:n}", "ok", 1, "drain");
}

/* --- the table */

static const struct {
	const char *name;
	json_t *(*answer)(struct daemon *daemon, const json_t *request,
			  const struct control_peer *peer); /* as a control_answer */
	bool changes;
} commands[] = {
	{ "status", answer_status, false },
	{ "stats", answer_stats, false },
	{ "check", answer_check, false },
	{ "reload", answer_reload, true },
	{ "rules-list", answer_rules_list, false },
	{ "rules-add", answer_rules_add, true },
	{ "rules-del", answer_rules_del, true },
	{ "rules-load", answer_rules_load, true },
	{ "policy-list", answer_policy_list, false },
	{ "drain", answer_drain, true },
	{ "undrain", answer_undrain, true },
	{ "policy-add", answer_policy_add, true },
	{ "policy-remove", answer_policy_remove, true },
	{ "trace", daemon_trace_answer, false },
};

json_t *commands_answer(void *context, const json_t *request, const struct control_peer *peer)
{
	const char *name = json_string_value(json_object_get(request, "command"));

	for (size_t i = 0; name && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, name))
			continue;
		if (commands[i].changes && !peer->may_change)
			return control_refusal("%s: only root and the daemon's user may", name);
		return commands[i].answer(context, request, peer);
	}
	return control_refusal("unknown command %s; icpctl and xdp-icpd are of different versions?",
			       name ? name : "(none)");
}

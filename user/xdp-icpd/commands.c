// SPDX-License-Identifier: GPL-2.0-or-later
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xdp-icpd/census.h"
#include "xdp-icpd/check.h"
#include "xdp-icpd/cluster_commands.h"
#include "xdp-icpd/rules.h"
#include "xdp-icpd/commands.h"
#include "automaton/pack.h"
#include "config/render.h"
#include "config/saved_drain.h"
#include "helper/pool.h"
#include "icp/counter_names.h"
#include "xdp-icpd/daemon.h"
#include "xdp-icpd/drain.h"
#include "xdp-icpd/recent.h"
#include "xdp-icpd/reload.h"
#include "xdp-icpd/states.h"
#include "xdp-icpd/trace.h"
#include "lib/clock.h"
#include "lib/escape.h"
#include "lib/sockaddr.h"
#include "icp/opcode.h"

#define WHERE "command line" /* of a policy, in messages */

/* --- counters */

int add_counters(struct daemon *daemon, json_t *reply)
{
	uint64_t kernel[ICP_COUNTER_MAX] = { 0 }, own[ICP_COUNTER_MAX] = { 0 };
	json_t *answered;

	if (daemon->xdp.kernel && kernel_counters(daemon->xdp.kernel, kernel))
		return -1;
	server_counters(&daemon->server, own);
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

/* Add the counters to a response, and send it (takes the reference). */
static void reply_with_counters(struct daemon *daemon, struct control_request *request,
				json_t *reply)
{
	if (add_counters(daemon, reply) == 0) {
		control_reply(request, reply);
		return;
	}
	json_decref(reply);
	control_refuse(request, CONTROL_STATUS_FAILED, "the kernel's counters cannot be read");
}

static void get_counters(void *context, struct control_request *request)
{
	reply_with_counters(context, request, json_object());
}

/* --- status */

static json_t *drain_json(uint32_t drain)
{
	return drain ? json_string(drain_name(drain)) : json_null();
}

static json_t *list_interfaces(const struct daemon *daemon)
{
	struct kernel_interface interfaces[XDP_INTERFACES_MAX];
	size_t count = xdp_interfaces(&daemon->xdp, interfaces, XDP_INTERFACES_MAX);
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		const struct kernel_interface *one = &interfaces[i];
		const char *mode = !one->attached ? "lost" : one->native ? "native" : "generic";

		if (!one->name[0])
			continue;
		json_array_append_new(list, json_pack("{s:o, s:s, s:b, s:I}", "name",
						      control_text(one->name), "mode", mode,
						      "dispatcher", one->dispatcher, "program_id",
						      (json_int_t)one->program_id));
	}
	return list;
}

/* The first policy that the kernel cannot evaluate. */
static json_t *horizon(const struct daemon *daemon)
{
	__u32 rank = daemon->horizon.rank;

	return rank == RANK_NONE ? json_null()
				 : control_text(chain_policy(daemon->chain, rank)->name);
}

/* Return why the kernel sends no replies. NULL: it does. */
static const char *why_userspace(const struct daemon *daemon)
{
	if (!daemon->xdp.kernel)
		return daemon->xdp.userspace_reason;
	return daemon->xdp.attached ? NULL : "no interface carries the program";
}

/* The configuration's path, absolute. */
static json_t *config_path(const struct daemon *daemon)
{
	char directory[PATH_MAX], path[2 * PATH_MAX];

	if (daemon->config_path[0] == '/' || !getcwd(directory, sizeof(directory)))
		return control_text(daemon->config_path);
	snprintf(path, sizeof(path), "%s/%s", directory, daemon->config_path);
	return control_text(path);
}

static json_t *last_reload(const struct daemon *daemon)
{
	const struct error *error = &daemon->last_reload_error;

	if (!daemon->last_reload)
		return json_null();
	return json_pack("{s:I, s:o}", "time", (json_int_t)daemon->last_reload, "error",
			 error->text[0] ? control_message(error->text) : json_null());
}

/* The latency of the daemon's replies: their number for each upper bound, in seconds. */
static json_t *latency_json(struct daemon *daemon)
{
	const struct latency latency = server_latency(&daemon->server);
	json_t *list = json_array();

	for (int i = 0; i <= LATENCY_BUCKETS; i++)
		json_array_append_new(list, json_pack("{s:o, s:I}", "within",
						      i < LATENCY_BUCKETS
							      ? json_real(latency_bounds[i] / 1e9)
							      : json_null(),
						      "replies", (json_int_t)latency.counts[i]));
	return list;
}

static json_t *maps_json(struct daemon *daemon)
{
	struct kernel_room rooms[CENSUS_ROOMS];
	size_t count = census_rooms(daemon, rooms);
	json_t *maps = json_object();

	for (size_t i = 0; i < count; i++)
		json_object_set_new(maps, rooms[i].map,
				    json_pack("{s:I, s:I}", "entries", (json_int_t)rooms[i].used,
					      "capacity", (json_int_t)rooms[i].capacity));
	return maps;
}

static json_t *metrics_address(const struct config *config)
{
	char text[SOCKADDR_TEXT_SIZE];

	if (config->metrics.ss_family == AF_UNSPEC)
		return json_null();
	sockaddr_text(&config->metrics, text);
	return json_string(text);
}

json_t *status_json(struct daemon *daemon)
{
	struct kernel_sizes sizes = { 0 };
	/* Milliseconds since the daemon began, for rates. */
	json_int_t clock_ms = (json_int_t)((clock_ns(CLOCK_MONOTONIC) - daemon->started) / 1000000);
	json_int_t rules;
	json_t *reply, *listen = json_array();

	if (daemon->xdp.kernel)
		sizes = kernel_sizes(daemon->xdp.kernel);
	for (size_t i = 0; i < daemon->config->listen_count; i++) {
		char text[SOCKADDR_TEXT_SIZE];

		sockaddr_text(&daemon->config->listen[i], text);
		json_array_append_new(listen, json_string(text));
	}
	reply = json_pack("{s:s, s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:s, s:o, s:I, s:I, s:I, s:o}",
			  "version", XDP_ICP_VERSION, "mode", xdp_mode(&daemon->xdp), "interfaces",
			  list_interfaces(daemon), "listen", listen, "policies",
			  (json_int_t)chain_count(daemon->chain), "prefixes",
			  (json_int_t)chain_text_count(daemon->chain), "prefixes_max",
			  (json_int_t)sizes.prefixes, "rules_max",
			  (json_int_t)rules_max(daemon->server.rules), "default",
			  opcode_name(chain_default_verdict(daemon->chain)), "horizon",
			  horizon(daemon), "pid", (json_int_t)getpid(), "uptime", clock_ms / 1000,
			  "reloads", (json_int_t)daemon->reloads, "pin_dir",
			  control_text(daemon->config->pin_dir));
	json_object_set_new(reply, "clock_ms", json_integer(clock_ms));
	json_object_set_new(reply, "states", policy_states_json(daemon));
	json_object_set_new(reply, "clusters", clusters_json(daemon));
	json_object_set_new(reply, "config", config_path(daemon));
	json_object_set_new(reply, "generation",
			    json_integer((json_int_t)daemon_generation(daemon)));
	json_object_set_new(reply, "last_reload", last_reload(daemon));
	json_object_set_new(reply, "horizon_why",
			    daemon->horizon.rank == RANK_NONE
				    ? json_null()
				    : control_message(daemon->horizon.reason.text));
	if (daemon->xdp.kernel)
		json_object_set_new(reply, "prefixes_used",
				    json_integer(kernel_prefixes_used(daemon->xdp.kernel)));
	json_object_set_new(reply, "latency", latency_json(daemon));
	json_object_set_new(reply, "maps", maps_json(daemon));
	rules = census_rules(daemon);
	json_object_set_new(reply, "rules", rules < 0 ? json_null() : json_integer(rules));
	json_object_set_new(reply, "metrics", metrics_address(daemon->config));
	json_object_set_new(reply, "drain", drain_json(daemon->server.responder.drain));
	json_object_set_new(reply, "drain_saved", drain_json(daemon->saved_drain));
	json_object_set_new(reply, "tracers", json_integer(daemon_tracers(daemon)));
	if (why_userspace(daemon))
		json_object_set_new(reply, "reason", control_message(why_userspace(daemon)));
	return reply;
}

static void get_status(void *context, struct control_request *request)
{
	struct daemon *daemon = context;

	reply_with_counters(daemon, request, status_json(daemon));
}

/* --- reload */

/* Callback: send the response when the change has completed. */
static void changed(void *context, struct daemon *daemon, const struct change_notes *notes,
		    const struct error *error)
{
	struct control_request *request = context;
	json_t *reply;

	if (error) {
		control_refuse(request, CONTROL_STATUS_REFUSED, "%s", error->text);
		return;
	}
	reply = json_pack("{s:I}", "policies", (json_int_t)chain_count(daemon->chain));
	if (notes->restored)
		json_object_set_new(reply, "restored", control_text(notes->restored));
	if (notes->restart)
		json_object_set_new(reply, "restart", control_text(notes->restart));
	control_reply(request, reply);
}

/* Respond once the change has completed. `change` NULL: refuse with `error`. */
static void await_change(struct change *change, struct control_request *request,
			 const struct error *error)
{
	if (change)
		change_then(change, changed, request);
	else
		control_refuse(request, CONTROL_STATUS_REFUSED, "%s", error->text);
}

static void post_reload(void *context, struct control_request *request)
{
	struct error error;

	await_change(daemon_reload(context, &error), request, &error);
}

/* --- the configuration */

static void get_config(void *context, struct control_request *request)
{
	const struct daemon *daemon = context;
	char *text = render_config(daemon->config), *rest = text, *line;
	json_t *lines = text ? json_array() : NULL;

	/* icpctl prints no control character of a reply, not even a newline. */
	while (lines && (line = strsep(&rest, "\n")) && rest)
		json_array_append_new(lines, json_string(line));
	free(text);
	control_reply(request, lines ? json_pack("{s:o}", "lines", lines) : NULL);
}

/* --- policies */

/* "'50-ask' before it is there" */
static json_t *behind_horizon(const struct daemon *daemon)
{
	struct error why;

	error_write(&why, "policy '%s' before it is there",
		    chain_policy(daemon->chain, daemon->horizon.rank)->name);
	return control_message(why.text);
}

static json_t *counts_json(const struct decider_counts *counts)
{
	json_t *one = json_object();

	for (unsigned int opcode = 0; opcode < TALLY_VERDICTS; opcode++)
		if (icp_is_verdict(opcode))
			json_object_set_new(one, opcode_short_name(opcode),
					    json_integer((json_int_t)counts->verdicts[opcode]));
	return one;
}

/* Add how often something has decided, by verdict, and when last. */
static void add_tally(const struct decider_tally *tally, json_t *one)
{
	time_t kernel = tally->kernel.last, last = tally->daemon.last;

	if (last < kernel)
		last = kernel;
	json_object_set_new(one, "decided",
			    json_pack("{s:o, s:o}", "kernel", counts_json(&tally->kernel), "daemon",
				      counts_json(&tally->daemon)));
	json_object_set_new(one, "last_decided", last ? json_integer(last) : json_null());
}

static json_t *tally_json(const struct decider_tally *tally)
{
	json_t *one = json_object();

	add_tally(tally, one);
	return one;
}

/* Where the policy is evaluated, what it takes in the kernel, and why it is not there. */
static void add_place(const struct daemon *daemon, const struct policy *policy, size_t rank,
		      json_t *one)
{
	const struct horizon *horizon = &daemon->horizon;
	const char *reason = why_userspace(daemon);
	const struct automaton *automaton;

	if (!reason && rank >= chain_reached(daemon->chain))
		reason = "never asked: a partition before it gives a verdict to every URL";
	json_object_set_new(one, "kernel", json_boolean(!reason && rank < horizon->rank));
	json_object_set_new(one, "lease", json_boolean(policy_needs_lease(policy)));
	if (reason)
		json_object_set_new(one, "why", control_message(reason));
	else if (rank == horizon->rank)
		json_object_set_new(one, "why", control_message(horizon->reason.text));
	else if (rank > horizon->rank)
		json_object_set_new(one, "why", behind_horizon(daemon));
	automaton = policy->kind->automaton ? policy->kind->automaton(policy, &reason) : NULL;
	if (automaton) {
		json_object_set_new(one, "states", json_integer(automaton->states));
		json_object_set_new(one, "bytes", json_integer(automaton_size(automaton)));
	}
	if (policy_texts(policy) || policy_inside(policy))
		json_object_set_new(one, "texts", json_integer(policy_text_count(policy)));
}

/* The child processes of a policy that runs some, and what they do. */
static json_t *children_json(const struct policy *policy)
{
	const struct helper_pool *pool =
		policy->kind->children ? policy->kind->children(policy) : NULL;
	struct helper_pool_state state;
	struct helper_pool_use use;

	if (!pool)
		return json_null();
	state = helper_pool_state(pool);
	use = helper_pool_use(pool);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:f}", "children", (json_int_t)state.children,
			 "running", (json_int_t)state.running, "busy", (json_int_t)use.busy,
			 "queued", (json_int_t)use.queued, "replies", (json_int_t)use.replies,
			 "seconds", use.waited / 1e9);
}

static json_t *policy_json(const struct daemon *daemon, const struct policy *policy, size_t rank)
{
	struct policy_spec **spec = policy_specs_find(daemon->config->policies,
						      daemon->config->policy_count, policy->name);
	const char *verdict = opcode_name(policy->verdict);
	json_t *one =
		json_pack("{s:o, s:I, s:s, s:b, s:s?}", "name", control_text(policy->name), "rank",
			  (json_int_t)rank, "kind", policy->kind->name, "not", policy->negate,
			  "verdict", policy->verdict == ICP_OP_INVALID ? NULL : verdict);

	json_object_set_new(one, "state", policy_state_json(policy));
	json_object_set_new(one, "helper", children_json(policy));
	add_place(daemon, policy, rank, one);
	add_tally(policy->tally, one);
	if (policy->cost != ICP_NO_COST)
		json_object_set_new(one, "cost", json_integer(policy->cost));
	if (spec)
		json_object_set_new(one, "where", control_text((*spec)->where));
	return one;
}

json_t *policies_json(struct daemon *daemon, size_t most)
{
	const struct responder_tallies *tallies = &daemon->server.tallies;
	json_t *list = json_array();
	bool in_kernel;

	kernel_tallies_update(daemon->kernel_tallies);
	for (size_t rank = 0; rank < chain_count(daemon->chain) && rank < most; rank++)
		json_array_append_new(list,
				      policy_json(daemon, chain_policy(daemon->chain, rank), rank));
	in_kernel = !why_userspace(daemon) && daemon->horizon.rank == RANK_NONE;
	return json_pack("{s:o, s:s, s:b, s:o, s:o, s:o, s:o}", "policies", list, "default",
			 opcode_name(chain_default_verdict(daemon->chain)), "default_kernel",
			 in_kernel, "all", tally_json(&tallies->all), "by_default",
			 tally_json(&tallies->by_default), "by_rule", tally_json(&tallies->by_rule),
			 "by_drain", tally_json(&tallies->by_drain));
}

static void get_policies(void *context, struct control_request *request)
{
	control_reply(request, policies_json(context, SIZE_MAX));
}

/* Return what an escaped text stands for, for free(), or NULL if that has a NUL. */
static char *read_text(const char *escaped)
{
	size_t length = 0;
	char *text = unescape(escaped, strlen(escaped), &length);

	if (!text || strlen(text) == length)
		return text;
	free(text);
	return NULL;
}

/* Add a setting, a text or a list of texts, to a spec. Return 0 or -1. */
static int read_setting(struct policy_spec *spec, const char *key, const json_t *value)
{
	const json_t *item;
	char *text;
	size_t i;
	int result;

	json_array_foreach (value, i, item)
		if (!json_is_string(item) || read_setting(spec, key, item))
			return -1;
	if (json_is_array(value))
		return 0;
	text = json_is_string(value) ? read_text(json_string_value(value)) : NULL;
	result = text ? policy_spec_add(spec, key, text, WHERE) : -1;
	free(text);
	return result;
}

/* Return the name of the policy of a request, for free(), or NULL after refusing the request. */
static char *read_name(struct control_request *request)
{
	char *name = read_text(control_name(request));

	if (!name)
		control_refuse(request, CONTROL_STATUS_BAD_REQUEST,
			       "a name must not contain a NUL");
	return name;
}

/* Return the policy of a request as a spec, or NULL after refusing the request. */
static struct policy_spec *read_spec(struct control_request *request)
{
	char *name = read_name(request);
	struct policy_spec *spec = name ? policy_spec_new(name, WHERE) : NULL;
	json_t *value;
	const char *key;

	if (name && !spec)
		control_reply(request, NULL);
	free(name);
	if (!spec)
		return NULL;
	spec->at_run_time = true;
	json_object_foreach (control_body(request), key, value) {
		if (read_setting(spec, key, value) == 0)
			continue;
		policy_spec_free(spec);
		control_refuse(request, CONTROL_STATUS_BAD_REQUEST,
			       "%s: must be a string without a NUL, or a list of such strings",
			       key);
		return NULL;
	}
	return spec;
}

/* Read the argument `save`. False: refused. */
static bool read_save(struct control_request *request, bool *save)
{
	const char *text = control_argument(request, "save");

	*save = text && strcmp(text, "true") == 0;
	if (!text || *save || strcmp(text, "false") == 0)
		return true;
	control_refuse(request, CONTROL_STATUS_BAD_REQUEST, "save '%s': must be true or false",
		       text);
	return false;
}

static void put_policy(void *context, struct control_request *request)
{
	struct policy_spec *spec;
	struct change *change;
	struct error error;
	bool save;

	spec = read_save(request, &save) ? read_spec(request) : NULL;
	if (!spec)
		return;
	change = daemon_put_policy(context, spec, save, &error);
	if (!change)
		policy_spec_free(spec);
	await_change(change, request, &error);
}

static void delete_policy(void *context, struct control_request *request)
{
	struct change *change;
	struct error error;
	char *name;
	bool save;

	name = read_save(request, &save) ? read_name(request) : NULL;
	if (!name)
		return;
	change = daemon_remove_policy(context, name, save, &error);
	free(name);
	await_change(change, request, &error);
}

/* --- drain */

static void reply_to_drain(const struct daemon *daemon, struct control_request *request, int result,
			   const struct error *error)
{
	if (result)
		control_refuse(request, CONTROL_STATUS_REFUSED, "%s", error->text);
	else
		control_reply(request, json_pack("{s:o, s:o}", "drain",
						 drain_json(daemon->server.responder.drain),
						 "drain_saved", drain_json(daemon->saved_drain)));
}

static void put_drain(void *context, struct control_request *request)
{
	const json_t *value = json_object_get(control_body(request), "verdict");
	const char *verdict = value ? json_string_value(value) : "miss_nofetch";
	uint32_t drain = verdict ? drain_from_name(verdict) : 0;
	struct daemon *daemon = context;
	struct error error;
	bool save;
	int result;

	if (!drain) {
		control_refuse(request, CONTROL_STATUS_BAD_REQUEST,
			       "verdict '%s': unknown; it can be " DRAIN_NAMES,
			       verdict ? verdict : "not a string");
		return;
	}
	if (!read_save(request, &save))
		return;
	result = save ? daemon_save_drain(daemon, drain, &error)
		      : daemon_drain(daemon, drain, &error);
	reply_to_drain(daemon, request, result, &error);
}

static void delete_drain(void *context, struct control_request *request)
{
	struct daemon *daemon = context;
	struct error error;

	if (daemon->ending)
		control_refuse(request, CONTROL_STATUS_REFUSED,
			       "the daemon is draining because it is about to exit");
	else
		reply_to_drain(daemon, request, daemon_save_drain(daemon, 0, &error), &error);
}

/* --- the table */

void reply_with_index(struct control_request *request, const struct control_resource *resources)
{
	json_t *list = json_array();

	for (const struct control_resource *one = resources; one->method; one++)
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:b, s:b, s:s}", "method", one->method,
						"path", one->path, "changes", one->changes,
						"secret", one->secret, "help", one->help));
	control_reply(request, json_pack("{s:o}", "resources", list));
}

static void get_index(void *context, struct control_request *request)
{
	reply_with_index(request, daemon_resources);
}

const struct control_resource daemon_resources[] = {
	{ "GET", CONTROL_INDEX, get_index, false, "this list" },
	{ "GET", "/v1/status", get_status, false, "the state of the daemon and all counters" },
	{ "GET", "/v1/counters", get_counters, false, "all counters" },
	{ "POST", "/v1/reload", post_reload, true, "read the configuration again" },
	{ "GET", "/v1/config", get_config, false, "the configuration in effect", .secret = true },
	{ "POST", "/v1/check", post_check, false, "what the replies to queries would be",
	  .members = "urls source" },
	{ "GET", "/v1/trace", get_trace, false, "queries as they are processed, one a line",
	  .arguments = "source url" },
	{ "GET", "/v1/policies", get_policies, false, "the policies in their order" },
	{ "PUT", "/v1/policies/", put_policy, true, "insert or replace a policy", .members = "*",
	  .arguments = "save" },
	{ "DELETE", "/v1/policies/", delete_policy, true, "remove a policy", .arguments = "save" },
	{ "GET", "/v1/recent/", get_recent, false, "the keys of a policy of the kind recent",
	  .arguments = "limit" },
	{ "POST", "/v1/recent/", post_recent, true, "add and remove keys by their URLs",
	  .members = "add remove" },
	{ "DELETE", "/v1/recent/", delete_recent, true, "remove all keys" },
	{ "GET", "/v1/clusters", get_clusters, false, "the clusters and their members" },
	{ "GET", "/v1/clusters/assignments", get_assignments, false,
	  "the assigned prefixes of a cluster", .arguments = "cluster after limit" },
	{ "PUT", "/v1/clusters/assignments", put_assignment, true,
	  "assign a prefix to a member of a cluster, or a verdict",
	  .members = "cluster prefix to" },
	{ "DELETE", "/v1/clusters/assignments", delete_assignment, true, "end an assignment",
	  .arguments = "cluster prefix" },
	{ "PUT", "/v1/clusters/drained", put_cluster_drain, true,
	  "take a member out of the order of a cluster", .members = "cluster member" },
	{ "DELETE", "/v1/clusters/drained", delete_cluster_drain, true, "end that",
	  .arguments = "cluster member" },
	{ "GET", "/v1/rules", get_rules, false, "the operator's rules" },
	{ "POST", "/v1/rules", post_rules, true, "insert, change or remove rules",
	  .members = "rules" },
	{ "PUT", "/v1/rules", put_rules, true, "replace all rules", .members = "rules" },
	{ "DELETE", "/v1/rules", delete_rule, true, "remove a rule", .arguments = "prefix" },
	{ "GET", "/v1/rules/change", get_rules_change, false, "how far a change of rules is" },
	{ "PUT", "/v1/drain", put_drain, true, "give every query the same verdict",
	  .members = "verdict", .arguments = "save" },
	{ "DELETE", "/v1/drain", delete_drain, true, "end a drain" },
	{ NULL },
};

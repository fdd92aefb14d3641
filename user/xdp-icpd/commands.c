// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xdp-icpd/check.h"
#include "xdp-icpd/rules.h"
#include "xdp-icpd/commands.h"
#include "automaton/pack.h"
#include "icp/counter_names.h"
#include "xdp-icpd/daemon.h"
#include "xdp-icpd/reload.h"
#include "xdp-icpd/trace.h"
#include "lib/escape.h"
#include "lib/sockaddr.h"
#include "icp/opcode.h"

#define WHERE "command line" /* of a policy, in messages */

/* --- counters */

/*
 * Add the groups answered, passed, silent and failed to `reply`. Return -1 if they cannot be read.
 */
static int add_counters(struct daemon *daemon, json_t *reply)
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

static json_t *command_stats(struct daemon *daemon, const json_t *request,
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

/* A pattern's bytes may be in it. */
static json_t *reason_text(const struct error *reason)
{
	char line[ESCAPE_MAX * sizeof(reason->text)];

	escape_line(reason->text, line, sizeof(line));
	return json_string(line);
}

/* The first policy that the kernel cannot evaluate. */
static json_t *horizon(const struct daemon *daemon)
{
	__u32 rank = daemon->horizon.rank;

	return rank == RANK_NONE ? json_null()
				 : control_text(chain_policy(daemon->chain, rank)->name);
}

static json_t *command_status(struct daemon *daemon, const json_t *request,
			      const struct control_peer *peer)
{
	struct kernel_sizes sizes = { 0 };
	struct timespec now;
	json_t *reply, *listen = json_array();

	(void)peer;
	(void)request;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (daemon->xdp.kernel)
		sizes = kernel_sizes(daemon->xdp.kernel);
	for (size_t i = 0; i < daemon->config->listen_count; i++) {
		char text[SOCKADDR_TEXT_SIZE];

		sockaddr_text(&daemon->config->listen[i], text);
		json_array_append_new(listen, json_string(text));
	}
	reply = json_pack(
		"{s:b, s:s, s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:s, s:o, s:I, s:I, s:I, s:o}",
		"ok", 1, "version", XDP_ICP_VERSION, "mode", xdp_mode(&daemon->xdp), "interfaces",
		list_interfaces(daemon), "listen", listen, "policies",
		(json_int_t)chain_count(daemon->chain), "prefixes",
		(json_int_t)chain_text_count(daemon->chain), "prefixes_max",
		(json_int_t)sizes.prefixes, "rules", (json_int_t)rules_count(daemon->server.rules),
		"rules_max", (json_int_t)rules_max(daemon->server.rules), "default",
		opcode_name(chain_default_verdict(daemon->chain)), "horizon", horizon(daemon),
		"pid", (json_int_t)getpid(), "uptime",
		(json_int_t)(now.tv_sec - daemon->started.tv_sec), "reloads",
		(json_int_t)daemon->reloads, "pin_dir", control_text(daemon->config->pin_dir));
	json_object_set_new(reply, "horizon_why",
			    daemon->horizon.rank == RANK_NONE
				    ? json_null()
				    : reason_text(&daemon->horizon.reason));
	if (daemon->xdp.kernel)
		json_object_set_new(reply, "prefixes_used",
				    json_integer(kernel_prefixes_used(daemon->xdp.kernel)));
	json_object_set_new(reply, "drain", drain_json(daemon->server.responder.drain));
	json_object_set_new(reply, "tracers", json_integer(daemon_tracers(daemon)));
	if (!daemon->xdp.kernel)
		json_object_set_new(reply, "reason", control_text(daemon->xdp.userspace_reason));
	else if (!daemon->xdp.attached)
		json_object_set_new(reply, "reason",
				    json_string("no interface carries the program"));
	if (add_counters(daemon, reply)) {
		json_decref(reply);
		return control_refusal("the kernel's counters cannot be read");
	}
	return reply;
}

/* --- reload */

/* Callback: send the response when the change has completed. */
static void changed(void *context, struct daemon *daemon, const struct error *error)
{
	struct control_deferred *deferred = context;

	control_complete(deferred, error ? control_refusal("%s", error->text)
					 : json_pack("{s:b, s:I}", "ok", 1, "policies",
						     (json_int_t)chain_count(daemon->chain)));
}

/* Defer the response until the change has completed. `change` NULL: refuse with `error`. */
static json_t *defer_change(struct change *change, const struct control_peer *peer,
			    const struct error *error)
{
	struct control_deferred *deferred;

	if (!change)
		return control_refusal("%s", error->text);
	deferred = control_defer(peer);
	if (deferred)
		change_then(change, changed, deferred);
	return NULL;
}

static json_t *command_reload(struct daemon *daemon, const json_t *request,
			      const struct control_peer *peer)
{
	struct error error;

	(void)request;
	return defer_change(daemon_reload(daemon, &error), peer, &error);
}

/* --- policies */

/* Where the policy is evaluated, what it takes in the kernel, and why it is not there. */
static void add_place(const struct daemon *daemon, const struct policy *policy, size_t rank,
		      json_t *one)
{
	const struct horizon *horizon = &daemon->horizon;
	const struct automaton *automaton;
	const char *reason;

	json_object_set_new(one, "kernel", json_boolean(rank < horizon->rank));
	if (rank == horizon->rank)
		json_object_set_new(one, "why", reason_text(&horizon->reason));
	else if (rank > horizon->rank)
		json_object_set_new(one, "why", json_string("a policy before it is there"));
	automaton = policy->kind->automaton ? policy->kind->automaton(policy, &reason) : NULL;
	if (automaton) {
		json_object_set_new(one, "states", json_integer(automaton->states));
		json_object_set_new(one, "bytes", json_integer(automaton_size(automaton)));
	}
}

static json_t *policy_json(const struct daemon *daemon, const struct policy *policy, size_t rank)
{
	const struct config *config = daemon->config;
	const char *verdict = opcode_name(policy->verdict);
	json_t *one =
		json_pack("{s:o, s:I, s:s, s:b, s:s?}", "name", control_text(policy->name), "rank",
			  (json_int_t)rank, "kind", policy->kind->name, "not", policy->negate,
			  "verdict", policy->verdict == ICP_OP_INVALID ? NULL : verdict);

	add_place(daemon, policy, rank, one);
	if (policy->cost != ICP_NO_COST)
		json_object_set_new(one, "cost", json_integer(policy->cost));
	for (size_t i = 0; i < config->policy_count; i++)
		if (strcmp(config->policies[i]->name, policy->name) == 0)
			json_object_set_new(one, "where", control_text(config->policies[i]->where));
	return one;
}

static json_t *command_policy_list(struct daemon *daemon, const json_t *request,
				   const struct control_peer *peer)
{
	json_t *list = json_array();

	(void)request;
	(void)peer;
	for (size_t rank = 0; rank < chain_count(daemon->chain); rank++)
		json_array_append_new(list,
				      policy_json(daemon, chain_policy(daemon->chain, rank), rank));
	return json_pack("{s:b, s:o, s:s}", "ok", 1, "policies", list, "default",
			 opcode_name(chain_default_verdict(daemon->chain)));
}

/* Return an unescaped string of a request, for free(), or NULL if it is missing or has a NUL. */
static char *read_text(const json_t *json)
{
	size_t length = 0;
	char *text = NULL;

	if (json_is_string(json))
		text = unescape(json_string_value(json), json_string_length(json), &length);
	if (!text || strlen(text) == length)
		return text;
	free(text);
	return NULL;
}

/* Return the settings of a request, [[KEY, VALUE], ...], as a spec, or NULL and `error`. */
static struct policy_spec *read_spec(const json_t *request, struct error *error)
{
	const json_t *settings = json_object_get(request, "settings"), *pair;
	char *name = read_text(json_object_get(request, "name"));
	struct policy_spec *spec;
	size_t i;

	if (!name || !json_is_array(settings)) {
		free(name);
		error_set(error, "a policy needs a name without a NUL, and settings");
		return NULL;
	}
	spec = policy_spec_new(name, WHERE);
	free(name);
	json_array_foreach (settings, i, pair) {
		const char *key = json_string_value(json_array_get(pair, 0));
		char *text = read_text(json_array_get(pair, 1));

		if (!spec || !key || !text || policy_spec_add(spec, key, text, WHERE)) {
			free(text);
			break;
		}
		free(text);
	}
	if (spec && i == json_array_size(settings)) {
		spec->at_run_time = true;
		return spec;
	}
	policy_spec_free(spec);
	error_set(error, "settings are pairs of a key and a text without a NUL");
	return NULL;
}

static json_t *command_policy_add(struct daemon *daemon, const json_t *request,
				  const struct control_peer *peer)
{
	bool save = json_is_true(json_object_get(request, "save"));
	struct policy_spec *spec;
	struct change *change;
	struct error error;

	spec = read_spec(request, &error);
	if (!spec)
		return control_refusal("%s", error.text);
	change = daemon_put_policy(daemon, spec, save, &error);
	if (!change)
		policy_spec_free(spec);
	return defer_change(change, peer, &error);
}

static json_t *command_policy_remove(struct daemon *daemon, const json_t *request,
				     const struct control_peer *peer)
{
	bool save = json_is_true(json_object_get(request, "save"));
	char *name = read_text(json_object_get(request, "name"));
	struct change *change;
	struct error error;

	if (!name)
		return control_refusal("policy-remove: no name, or one with a NUL");
	change = daemon_remove_policy(daemon, name, save, &error);
	free(name);
	return defer_change(change, peer, &error);
}

/* --- drain */

static json_t *command_drain(struct daemon *daemon, const json_t *request,
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

static json_t *command_undrain(struct daemon *daemon, const json_t *request,
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
	json_t *(*handle)(struct daemon *daemon, const json_t *request,
			  const struct control_peer *peer); /* as a control_handler */
	bool changes;
} commands[] = {
	{ "status", command_status, false },
	{ "stats", command_stats, false },
	{ "check", command_check, false },
	{ "reload", command_reload, true },
	{ "rules-list", command_rules_list, false },
	{ "rules-add", command_rules_add, true },
	{ "rules-del", command_rules_del, true },
	{ "rules-load", command_rules_load, true },
	{ "policy-list", command_policy_list, false },
	{ "drain", command_drain, true },
	{ "undrain", command_undrain, true },
	{ "policy-add", command_policy_add, true },
	{ "policy-remove", command_policy_remove, true },
	{ "trace", command_trace, false },
};

json_t *commands_handle(void *context, const json_t *request, const struct control_peer *peer)
{
	const char *name = json_string_value(json_object_get(request, "command"));

	for (size_t i = 0; name && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, name))
			continue;
		if (commands[i].changes && !peer->may_change)
			return control_refusal("%s: permitted only to root and the daemon's user",
					       name);
		return commands[i].handle(context, request, peer);
	}
	return control_refusal("unknown command %s; icpctl and xdp-icpd are of different versions?",
			       name ? name : "(none)");
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "chain/evaluation.h"
#include "helper/pool.h"
#include "icp/counter_names.h"
#include "icp/opcode.h"
#include "lib/clock.h"
#include "lib/openmetrics.h"
#include "policy/kinds/recent.h"
#include "xdp-icpd/census.h"
#include "xdp-icpd/cluster_metrics.h"
#include "xdp-icpd/daemon.h"
#include "xdp-icpd/metrics.h"
#include "xdp-icpd/states.h"
#include "xdp-icpd/trace.h"

/* What is said of single policies, at most: each takes some 10 lines. */
#define POLICIES_MAX 1000

#define KEPT 250000000 /* nanoseconds that a text is good for */

/* What is being written, and of what. */
struct writer {
	struct openmetrics text;
	struct daemon *daemon;
	double started; /* seconds since 1970: the counters were 0 */
	size_t policies;
};

#define GAUGE(writer, name, help, value)                                                           \
	do {                                                                                       \
		openmetrics_family(&(writer)->text, METRIC_GAUGE, name, help);                     \
		openmetrics_gauge(&(writer)->text, value, NO_LABELS);                              \
	} while (0)

/* --- counters */

static void write_group(struct writer *writer, const char *group, const char *family,
			const char *help, const uint64_t *counters, double created)
{
	openmetrics_family(&writer->text, METRIC_COUNTER, family, help);
	for (int i = 0; i < ICP_COUNTER_MAX; i++)
		if (strcmp(counter_names[i].group, group) == 0)
			openmetrics_counter(&writer->text, counters[i], created,
					    LABELS("reason", counter_names[i].name));
}

static void write_counters(struct writer *writer)
{
	struct daemon *daemon = writer->daemon;
	uint64_t kernel[ICP_COUNTER_MAX] = { 0 }, own[ICP_COUNTER_MAX] = { 0 };

	server_counters(&daemon->server, own);
	openmetrics_family(&writer->text, METRIC_COUNTER, "xdp_icp_replies",
			   "Replies sent, by who replied.");
	openmetrics_counter(&writer->text, own[ICP_COUNT_ANSWERED], writer->started,
			    LABELS("by", "daemon"));
	/* What cannot be read has no samples: a counter must not fall back to 0. */
	if (!daemon->xdp.kernel || kernel_counters(daemon->xdp.kernel, kernel) == 0) {
		openmetrics_counter(&writer->text, kernel[ICP_COUNT_ANSWERED], 0,
				    LABELS("by", "kernel"));
		write_group(writer, "passed", "xdp_icp_passed",
			    "Packets that the kernel passed up, by reason.", kernel, 0);
	}
	write_group(writer, "silent", "xdp_icp_silent", "Datagrams that got no reply, by reason.",
		    own, writer->started);
	write_group(writer, "failed", "xdp_icp_failures", "Failures in the daemon, by kind.", own,
		    writer->started);
}

static void write_latency(struct writer *writer)
{
	const struct latency latency = server_latency(&writer->daemon->server);
	double bounds[LATENCY_BUCKETS];

	for (int i = 0; i < LATENCY_BUCKETS; i++)
		bounds[i] = latency_bounds[i] / 1e9;
	openmetrics_family(&writer->text, METRIC_HISTOGRAM, "xdp_icp_daemon_reply_seconds",
			   "Time from a query's receipt to the daemon's reply.");
	openmetrics_histogram(&writer->text, bounds, latency.counts, LATENCY_BUCKETS,
			      latency.sum / 1e9, writer->started, NO_LABELS);
}

/* --- policies */

static const struct policy *policy_at(const struct writer *writer, size_t rank)
{
	return chain_policy(writer->daemon->chain, rank);
}

/* Where decisions are counted, and by what name. */
static const struct place {
	const char *by;
	size_t offset; /* of struct decider_counts in a tally */
} places[] = {
	{ "daemon", offsetof(struct decider_tally, daemon) },
	{ "kernel", offsetof(struct decider_tally, kernel) },
	{ NULL },
};

static const struct decider_counts *counts_at(const struct decider_tally *tally,
					      const struct place *place)
{
	return (const struct decider_counts *)((const char *)tally + place->offset);
}

static void write_verdicts(struct writer *writer)
{
	const struct decider_tally *all = &writer->daemon->server.tallies.all;

	openmetrics_family(&writer->text, METRIC_COUNTER, "xdp_icp_verdicts",
			   "Verdicts since the daemon's start, by who replied; whether or not "
			   "the reply could be sent.");
	for (const struct place *place = places; place->by; place++)
		for (unsigned int opcode = 0; opcode < TALLY_VERDICTS; opcode++)
			if (icp_is_verdict(opcode))
				openmetrics_counter(&writer->text,
						    counts_at(all, place)->verdicts[opcode],
						    writer->started,
						    LABELS("verdict", opcode_short_name(opcode),
							   "by", place->by));
}

/*
 * How often a policy, or without one `decider`, has decided. What never happens has no samples, except
 * for `usual`: a counter that appears with its first event shows no rate of it.
 */
static void write_tally(struct writer *writer, const struct decider_tally *tally,
			const char *decider, const char *policy, enum icp_opcode usual)
{
	double created = tally->created ? tally->created : writer->started;

	for (const struct place *place = places; place->by; place++) {
		const struct decider_counts *counts = counts_at(tally, place);

		for (unsigned int opcode = 0; opcode < TALLY_VERDICTS; opcode++)
			if (icp_is_verdict(opcode) && (counts->verdicts[opcode] || opcode == usual))
				openmetrics_counter(
					&writer->text, counts->verdicts[opcode], created,
					LABELS("decider", decider, "policy", policy, "verdict",
					       opcode_short_name(opcode), "by", place->by));
	}
}

static void write_decisions(struct writer *writer)
{
	const struct responder_tallies *tallies = &writer->daemon->server.tallies;

	openmetrics_family(&writer->text, METRIC_COUNTER, "xdp_icp_decisions",
			   "Queries by what decided them, by verdict and by who replied.");
	write_tally(writer, &tallies->by_drain, "drain", "", ICP_OP_MISS_NOFETCH);
	write_tally(writer, &tallies->by_rule, "rule", "", ICP_OP_HIT);
	write_tally(writer, &tallies->by_default, "default", "",
		    chain_default_verdict(writer->daemon->chain));
	for (size_t rank = 0; rank < writer->policies; rank++)
		write_tally(writer, policy_at(writer, rank)->tally, "policy",
			    policy_at(writer, rank)->name, policy_at(writer, rank)->verdict);
}

static void write_last_decisions(struct writer *writer)
{
	openmetrics_family(&writer->text, METRIC_GAUGE,
			   "xdp_icp_policy_last_decision_timestamp_seconds",
			   "When the policy decided last, if it has.");
	for (size_t rank = 0; rank < writer->policies; rank++) {
		const struct policy *policy = policy_at(writer, rank);

		for (const struct place *place = places; place->by; place++)
			if (counts_at(policy->tally, place)->last)
				openmetrics_gauge(&writer->text,
						  counts_at(policy->tally, place)->last,
						  LABELS("policy", policy->name, "by", place->by));
	}
}

static void write_places(struct writer *writer)
{
	const struct daemon *daemon = writer->daemon;
	bool used = daemon->xdp.kernel && daemon->xdp.attached;

	openmetrics_family(&writer->text, METRIC_GAUGE, "xdp_icp_policy_in_kernel",
			   "Whether the kernel evaluates the policy.");
	for (size_t rank = 0; rank < writer->policies; rank++)
		openmetrics_gauge(&writer->text, used && rank < daemon->horizon.rank,
				  LABELS("policy", policy_at(writer, rank)->name, "kind",
					 policy_at(writer, rank)->kind->name));
}

/* A family with a sample for each policy that has a state. */
static void write_states(struct writer *writer, const char *name, const char *help,
			 void (*sample)(struct openmetrics *text, const struct policy *policy,
					const struct policy_state *state))
{
	struct policy_state state;

	openmetrics_family(&writer->text, METRIC_GAUGE, name, help);
	for (size_t rank = 0; rank < writer->policies; rank++)
		if (policy_tell_state(policy_at(writer, rank), &state))
			sample(&writer->text, policy_at(writer, rank), &state);
}

static void sample_state(struct openmetrics *text, const struct policy *policy,
			 const struct policy_state *state)
{
	openmetrics_gauge(text, 1, LABELS("policy", policy->name, "state", state->name));
}

static void sample_since(struct openmetrics *text, const struct policy *policy,
			 const struct policy_state *state)
{
	openmetrics_gauge(text, state->since, LABELS("policy", policy->name));
}

static void sample_trouble(struct openmetrics *text, const struct policy *policy,
			   const struct policy_state *state)
{
	openmetrics_gauge(text, state->trouble,
			  LABELS("policy", policy->name, "kind", policy->kind->name));
}

/* --- their child processes */

static const struct helper_pool *children_at(const struct writer *writer, size_t rank)
{
	const struct policy *policy = policy_at(writer, rank);

	return policy->kind->children ? policy->kind->children(policy) : NULL;
}

/* A family with samples for each policy that runs children. */
static void write_children(struct writer *writer, enum metric_type type, const char *name,
			   const char *help,
			   void (*sample)(struct openmetrics *text, const char *policy,
					  const struct helper_pool_state *state,
					  const struct helper_pool_use *use))
{
	openmetrics_family(&writer->text, type, name, help);
	for (size_t rank = 0; rank < writer->policies; rank++) {
		const struct helper_pool *pool = children_at(writer, rank);
		struct helper_pool_state state;
		struct helper_pool_use use;

		if (!pool)
			continue;
		state = helper_pool_state(pool);
		use = helper_pool_use(pool);
		sample(&writer->text, policy_at(writer, rank)->name, &state, &use);
	}
}

static void sample_children(struct openmetrics *text, const char *policy,
			    const struct helper_pool_state *state,
			    const struct helper_pool_use *use)
{
	openmetrics_gauge(text, use->busy, LABELS("policy", policy, "state", "busy"));
	openmetrics_gauge(text, state->running - use->busy,
			  LABELS("policy", policy, "state", "idle"));
	openmetrics_gauge(text, state->children - state->running,
			  LABELS("policy", policy, "state", "dead"));
}

static void sample_queue(struct openmetrics *text, const char *policy,
			 const struct helper_pool_state *state, const struct helper_pool_use *use)
{
	openmetrics_gauge(text, use->queued, LABELS("policy", policy));
}

static void sample_replies(struct openmetrics *text, const char *policy,
			   const struct helper_pool_state *state, const struct helper_pool_use *use)
{
	openmetrics_summary(text, use->replies, use->waited / 1e9, use->since,
			    LABELS("policy", policy));
}

static void write_helpers(struct writer *writer)
{
	write_children(writer, METRIC_GAUGE, "xdp_icp_helper_children",
		       "Child processes of the policy, by what they do.", sample_children);
	write_children(writer, METRIC_GAUGE, "xdp_icp_helper_queue_length",
		       "Queries that wait for a child of the policy.", sample_queue);
	write_children(writer, METRIC_SUMMARY, "xdp_icp_helper_reply_seconds",
		       "Time until a child of the policy has replied, with that in the queue.",
		       sample_replies);
}

/* --- all of the policies */

static void write_policies(struct writer *writer)
{
	GAUGE(writer, "xdp_icp_policies", "Policies in the chain.",
	      chain_count(writer->daemon->chain));
	kernel_tallies_update(writer->daemon->kernel_tallies);
	write_verdicts(writer);
	write_decisions(writer);
	write_last_decisions(writer);
	write_places(writer);
	write_states(writer, "xdp_icp_policy_state", "The state that the policy is in.",
		     sample_state);
	write_states(writer, "xdp_icp_policy_state_since_timestamp_seconds",
		     "Time of the last change of state.", sample_since);
	write_states(writer, "xdp_icp_policy_trouble",
		     "Whether something that the policy observes or runs does not work.",
		     sample_trouble);
	openmetrics_family(&writer->text, METRIC_GAUGE, "xdp_icp_policy_matches",
			   "Whether the policy, one on the host's state, matches every query now.");
	for (size_t rank = 0; rank < writer->policies; rank++)
		if (policy_at(writer, rank)->kind->basis == POLICY_BASIS_HOST)
			openmetrics_gauge(&writer->text, policy_matches(policy_at(writer, rank)),
					  LABELS("policy", policy_at(writer, rank)->name));
}

/* Families with a sample for each policy of the kind recent, if there is one. */
static const struct recent_metric {
	enum metric_type type;
	const char *name, *help;
	size_t offset; /* in struct policy_recent_counts */
} recent_metrics[] = {
	{ METRIC_GAUGE, "xdp_icp_recent_keys", "Keys that the policy knows.",
	  offsetof(struct policy_recent_counts, keys) },
	{ METRIC_GAUGE, "xdp_icp_recent_keys_max", "Keys that the policy may know.",
	  offsetof(struct policy_recent_counts, keys_max) },
	{ METRIC_GAUGE, "xdp_icp_recent_bytes", "Bytes of the policy's keys.",
	  offsetof(struct policy_recent_counts, bytes) },
	{ METRIC_COUNTER, "xdp_icp_recent_requests",
	  "Requests that were taken from the policy's feeds.",
	  offsetof(struct policy_recent_counts, requests) },
	{ METRIC_COUNTER, "xdp_icp_recent_skipped", "Lines and datagrams that were no requests.",
	  offsetof(struct policy_recent_counts, skipped) },
	{ METRIC_COUNTER, "xdp_icp_recent_evicted",
	  "Keys that made room for others before their time.",
	  offsetof(struct policy_recent_counts, evicted) },
	{ .name = NULL },
};

static void write_recent(struct writer *writer, const struct recent_metric *metric,
			 const struct policy *policy)
{
	const struct policy_recent_counts counts = policy_recent_counts(policy);
	uint64_t value = *(const uint64_t *)((const char *)&counts + metric->offset);

	if (metric->type == METRIC_COUNTER)
		openmetrics_counter(&writer->text, value, policy->tally->created,
				    LABELS("policy", policy->name));
	else
		openmetrics_gauge(&writer->text, value, LABELS("policy", policy->name));
}

static void write_recents(struct writer *writer)
{
	for (const struct recent_metric *metric = recent_metrics; metric->name; metric++) {
		openmetrics_family(&writer->text, metric->type, metric->name, metric->help);
		for (size_t rank = 0; rank < writer->policies; rank++)
			if (policy_is_recent(policy_at(writer, rank)))
				write_recent(writer, metric, policy_at(writer, rank));
	}
}

/* --- the daemon */

static void write_daemon(struct writer *writer)
{
	const struct daemon *daemon = writer->daemon;

	openmetrics_family(&writer->text, METRIC_GAUGE, "xdp_icp_build_info",
			   "The daemon's version.");
	openmetrics_gauge(&writer->text, 1, LABELS("version", XDP_ICP_VERSION));
	GAUGE(writer, "xdp_icp_start_time_seconds", "When the daemon started.", writer->started);
	GAUGE(writer, "xdp_icp_chain_generation", "Generation of the chain in use.",
	      daemon_generation(daemon));
	openmetrics_family(&writer->text, METRIC_COUNTER, "xdp_icp_reloads",
			   "Successful reloads of the configuration.");
	openmetrics_counter(&writer->text, daemon->reloads, writer->started, NO_LABELS);
	GAUGE(writer, "xdp_icp_last_reload_successful",
	      "Whether the configuration was taken when it was read last.",
	      !daemon->last_reload_error.text[0]);
	GAUGE(writer, "xdp_icp_last_reload_timestamp_seconds",
	      "When the configuration was read last.",
	      daemon->last_reload ? daemon->last_reload : writer->started);
	GAUGE(writer, "xdp_icp_draining", "Whether every query gets the same verdict.",
	      !!daemon->server.responder.drain);
	GAUGE(writer, "xdp_icp_tracers", "Clients that trace.", daemon_tracers(daemon));
	GAUGE(writer, "xdp_icp_pending_queries", "Queries that wait for a policy.",
	      evaluations_pending());
}

/* --- the kernel's part */

static void write_interface(struct writer *writer, const char *name, const char *mode,
			    bool attached)
{
	openmetrics_gauge(&writer->text, attached, LABELS("interface", name, "mode", mode));
}

/* The interfaces that the loader has recorded, and those of the configuration that it has not. */
static void write_interfaces(struct writer *writer)
{
	const struct config *config = writer->daemon->config;
	struct kernel_interface noted[XDP_INTERFACES_MAX];
	size_t count = xdp_interfaces(&writer->daemon->xdp, noted, XDP_INTERFACES_MAX);

	openmetrics_family(&writer->text, METRIC_GAUGE, "xdp_icp_interface_attached",
			   "Whether the interface carries the program.");
	for (size_t i = 0; i < count; i++)
		if (noted[i].name[0])
			write_interface(writer, noted[i].name,
					noted[i].native ? "native" : "generic", noted[i].attached);
	for (size_t k = 0; k < config->interface_count; k++) {
		bool found = false;

		for (size_t i = 0; i < count; i++)
			found = found || strcmp(noted[i].name, config->interfaces[k]) == 0;
		if (!found)
			write_interface(writer, config->interfaces[k], "none", false);
	}
}

static void write_heartbeat(struct writer *writer)
{
	const struct daemon *daemon = writer->daemon;
	double age;

	if (!daemon->xdp.has_chain)
		return;
	age = (clock_kernel_ns() - kernel_heartbeat(daemon->xdp.kernel)) / 1e9;
	GAUGE(writer, "xdp_icp_heartbeat_timestamp_seconds",
	      "When the daemon last renewed the kernel's lease.",
	      clock_ns(CLOCK_REALTIME) / 1e9 - age);
	/* To compare with the lease, which may be shorter than the clocks of two hosts differ. */
	GAUGE(writer, "xdp_icp_heartbeat_age_seconds",
	      "Time since the daemon last renewed the kernel's lease.", age);
	GAUGE(writer, "xdp_icp_lease_seconds", "How long the lease lasts.",
	      daemon->config->lease / 1e3);
}

static void write_maps(struct writer *writer)
{
	struct kernel_room rooms[CENSUS_ROOMS];
	size_t count = census_rooms(writer->daemon, rooms);

	openmetrics_family(&writer->text, METRIC_GAUGE, "xdp_icp_map_entries",
			   "Entries of the map that are in use.");
	for (size_t i = 0; i < count; i++)
		openmetrics_gauge(&writer->text, rooms[i].used, LABELS("map", rooms[i].map));
	openmetrics_family(&writer->text, METRIC_GAUGE, "xdp_icp_map_capacity",
			   "Entries that the map has room for.");
	for (size_t i = 0; i < count; i++)
		openmetrics_gauge(&writer->text, rooms[i].capacity, LABELS("map", rooms[i].map));
}

/* --- the text */

static char *write_all(struct daemon *daemon, bool classic, size_t *length)
{
	struct writer writer = {
		.daemon = daemon,
		.started = daemon->started_at,
		.policies = chain_count(daemon->chain),
	};

	if (writer.policies > POLICIES_MAX)
		writer.policies = POLICIES_MAX;
	if (openmetrics_begin(&writer.text, classic))
		return NULL;
	write_daemon(&writer);
	write_counters(&writer);
	write_latency(&writer);
	write_policies(&writer);
	write_helpers(&writer);
	write_recents(&writer);
	cluster_metrics_write(&writer.text, daemon);
	write_interfaces(&writer);
	write_heartbeat(&writer);
	write_maps(&writer);
	return openmetrics_end(&writer.text, length);
}

/*
 * Return the text, at most KEPT old, so that clients that ask in a loop cost the main thread little.
 * NULL: out of memory.
 */
static const struct metrics_text *current_text(struct daemon *daemon, bool classic)
{
	struct metrics_text *kept = &daemon->metrics_texts[classic];
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	if (kept->text && now - kept->written < KEPT)
		return kept;
	free(kept->text);
	kept->written = now;
	kept->text = write_all(daemon, classic, &kept->length);
	return kept->text ? kept : NULL;
}

void get_metrics(void *context, struct control_request *request)
{
	const char *accept = control_header(request, "Accept");
	bool classic = !accept || !strstr(accept, "application/openmetrics-text");
	const struct metrics_text *kept = current_text(context, classic);

	control_reply_text(request,
			   classic ? "text/plain; version=0.0.4; charset=utf-8"
				   : "application/openmetrics-text; version=1.0.0; charset=utf-8",
			   kept ? strdup(kept->text) : NULL, kept ? kept->length : 0);
}

void metrics_free(struct daemon *daemon)
{
	for (size_t i = 0; i < 2; i++)
		free(daemon->metrics_texts[i].text);
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "control/protocol.h"
#include "icp/opcode.h"
#include "lib/log.h"
#include "xdp-icpd/states.h"

#define LINES_MAX 10 /* per policy and LOG_LIMIT_PERIOD */

bool policy_matches(const struct policy *policy)
{
	return policy->kind->basis == POLICY_BASIS_HOST &&
	       policy_match(policy, &(struct query){ .url = "" }).verdict != ICP_OP_INVALID;
}

/* --- for operators */

json_t *policy_state_json(const struct policy *policy)
{
	struct policy_state state;
	json_t *made;

	if (!policy_tell_state(policy, &state))
		return json_null();
	made = json_pack("{s:s, s:I, s:b, s:o}", "name", state.name, "since",
			 (json_int_t)state.since, "trouble", state.trouble, "why",
			 control_message(state.why));
	if (policy->kind->basis == POLICY_BASIS_HOST)
		json_object_set_new(made, "matches", json_boolean(policy_matches(policy)));
	return made;
}

json_t *policy_states_json(const struct daemon *daemon)
{
	json_t *list = json_array();

	for (size_t rank = 0; rank < chain_count(daemon->chain); rank++) {
		const struct policy *policy = chain_policy(daemon->chain, rank);
		json_t *one;

		if (!policy->kind->tell_state)
			continue;
		one = policy_state_json(policy);
		json_object_set_new(one, "policy", control_text(policy->name));
		json_array_append_new(list, one);
	}
	return list;
}

/* --- in the log */

static void on_log_later(evutil_socket_t fd, short what, void *context)
{
	daemon_log_states(context);
}

/* Otherwise anyone who can change what a policy observes could fill the log. */
static void log_later(struct daemon *daemon)
{
	const struct timeval time = { .tv_sec = LOG_LIMIT_PERIOD };

	if (!daemon->log_later)
		daemon->log_later = evtimer_new(daemon->base, on_log_later, daemon);
	if (daemon->log_later && !event_pending(daemon->log_later, EV_TIMEOUT, NULL))
		event_add(daemon->log_later, &time);
}

static void write_state(struct policy *policy, const struct policy_state *state, const char *more)
{
	bool gives = policy_matches(policy);

	log_write(state->trouble ? LOG_WARNING : LOG_NOTICE, "policy '%s': %s%s%s%s%s%s%s",
		  policy->name, state->name, gives ? ", gives " : "",
		  gives ? opcode_name(policy->verdict) : "", *state->why ? " (" : "", state->why,
		  *state->why ? ")" : "", more);
	policy->logged = state->name;
}

void daemon_log_state(struct daemon *daemon, struct policy *policy)
{
	char more[LOG_LIMIT_TEXT];
	struct policy_state state;

	if (!policy->kind->tell_state)
		return;
	policy->kind->tell_state(policy, &state);
	if (!policy->logged && !state.trouble && !policy_matches(policy))
		policy->logged = state.name;
	if (policy->logged && strcmp(policy->logged, state.name) == 0)
		return;
	if (log_limit_allows(&policy->log_limit, LINES_MAX, more))
		write_state(policy, &state, more);
	else
		log_later(daemon);
}

void daemon_log_states(struct daemon *daemon)
{
	for (size_t rank = 0; rank < chain_count(daemon->chain); rank++)
		daemon_log_state(daemon, chain_policy(daemon->chain, rank));
}

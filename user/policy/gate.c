// SPDX-License-Identifier: GPL-2.0-or-later
#include <event2/event.h>
#include <stdlib.h>

#include "policy/gate.h"

void *gate_create(struct policy *policy, const struct policy_spec *spec, size_t size,
		  struct error *error)
{
	struct gate *gate;

	if (policy_need_verdict(policy, spec, error))
		return NULL;
	gate = policy->state = calloc(1, size);
	if (gate)
		*gate = (struct gate){ .policy = policy, .since = time(NULL) };
	else
		error_set(error, "out of memory");
	return gate;
}

void gate_start(struct gate *gate, policy_changed changed, void *context)
{
	gate->changed = changed;
	gate->context = context;
}

void gate_inherit(struct gate *gate, const struct gate *before)
{
	gate->matches = before->matches;
	gate->since = before->since;
}

void gate_inherit_since(struct gate *gate, const struct gate *before)
{
	if (gate->matches == before->matches)
		gate->since = before->since;
}

void gate_tell(const struct gate *gate, const char *matching, const char *not_matching,
	       struct policy_state *state)
{
	*state = (struct policy_state){
		.name = gate->matches ? matching : not_matching,
		.since = gate->since,
	};
}

struct event *gate_event_prioritize(struct event *event)
{
	if (event)
		event_priority_set(event, 0);
	return event;
}

void gate_set(struct gate *gate, bool matches)
{
	if (matches == gate->matches)
		return;
	gate->matches = matches;
	gate->since = time(NULL);
	if (gate->changed)
		gate->changed(gate->context, gate->policy);
}

struct policy_match gate_match(const struct policy *policy, const struct query *query)
{
	const struct gate *gate = policy->state;

	return (struct policy_match){
		.verdict = gate->matches ? policy->verdict : ICP_OP_INVALID,
	};
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kinds on the host's state have in common (POLICY_BASIS_HOST): a switch that matches
 * every query or none, and somebody who is told when it flips.
 */
#ifndef XDP_ICP_GATE_H
#define XDP_ICP_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/time.h>

#include "policy/policy.h"

/* The first member of the state of such a policy. */
struct gate {
	const struct policy *policy;
	atomic_bool matches;	/* set in the main thread */
	policy_changed changed; /* NULL: not yet started */
	void *context;
};

/* What create() begins with; such a policy needs a verdict. -1 with an error. */
int gate_create(struct gate *gate, const struct policy *policy, const struct policy_spec *spec,
		struct error *error);

/* What start() begins with. */
void gate_start(struct gate *gate, policy_changed changed, void *context);

/* Sets the switch, and tells if it has flipped. */
void gate_set(struct gate *gate, bool matches);

/* The member of struct policy_kind. */
struct policy_match gate_match(const struct policy *policy, const struct query *query);

/*
 * An event by which a gate learns of a change, or NULL. It comes before all others, so that a main
 * thread that was held up replies to what waits, and beats, by what is true now. Returns it.
 */
struct event *gate_event_prioritize(struct event *event);

/* Milliseconds for libevent. */
static inline struct timeval gate_timeval(unsigned int milliseconds)
{
	return (struct timeval){ milliseconds / 1000, milliseconds % 1000 * 1000 };
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Common part of the kinds on the host's state (POLICY_BASIS_HOST): a switch that matches every
 * query or none, and a callback for when it flips.
 */
#ifndef XDP_ICP_GATE_H
#define XDP_ICP_GATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "policy/policy.h"

/* The first member of the state of such a policy. */
struct gate {
	struct policy *policy;
	atomic_bool matches;	/* set in the main thread */
	time_t since;		/* seconds since 1970, of `matches` */
	policy_changed changed; /* NULL: not started */
	void *context;
};

/*
 * Allocate policy->state, `size` bytes that begin with a gate; to be called first by create().
 * Returns the state, or NULL with an error: no memory, or the policy has no verdict.
 */
void *gate_create(struct policy *policy, const struct policy_spec *spec, size_t size,
		  struct error *error);

/* Set the callback; to be called first by start(). */
void gate_start(struct gate *gate, policy_changed changed, void *context);

/*
 * Take over the switch of a policy that observes the same thing, in its last state. start() must
 * check the state again.
 */
void gate_inherit(struct gate *gate, const struct gate *before);

/*
 * Take over the time of the last change, if the state is the same; for kinds whose create() reads
 * the state.
 */
void gate_inherit_since(struct gate *gate, const struct gate *before);

/* Fill in the name of the state, and the time of its last change. */
void gate_tell(const struct gate *gate, const char *matching, const char *not_matching,
	       struct policy_state *state);

/* Set the switch, and call the callback if it flipped. */
void gate_set(struct gate *gate, bool matches);

/* The member of struct policy_kind. */
struct policy_match gate_match(const struct policy *policy, const struct query *query);

/*
 * Give an event that updates a gate the highest priority, and return it; NULL is passed through.
 * After a stall of the main thread, gates are then updated before queued queries are replied to
 * and before the next keepalive confirms the old state to the kernel.
 */
struct event *gate_event_prioritize(struct event *event);

#endif

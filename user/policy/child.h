/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Common part of the kinds `helper` and `lua`: child processes that read lines `URL SOURCE` and
 * reply to each with a line: a verdict, `-` for none, or `! ` and an error. A query without a reply
 * within the timeout does not match.
 */
#ifndef XDP_ICP_POLICY_CHILD_H
#define XDP_ICP_POLICY_CHILD_H

#include <stddef.h>

#include "helper/pool.h"
#include "policy/policy.h"
#include "policy/warning.h"

/* The state of a policy of these kinds. */
struct policy_child {
	struct policy *policy;
	char **arguments; /* argv of the program; NULL-terminated */
	char *greeting;	  /* what each child reads first, or NULL; see helper/pool.h */
	size_t greeting_length;
	unsigned int children;
	unsigned int timeout; /* milliseconds for a reply, including the wait for a free child */
	unsigned int stall;   /* milliseconds after which a child is killed */
	struct helper_pool *pool;
	const char *running; /* name of the state */
	time_t since;	     /* of that state */
	policy_changed changed;
	void *context;
	struct policy_warnings warnings;
};

/*
 * Allocate policy->state and read the settings `children`, `timeout` (default in milliseconds as
 * given) and `ttl`. The kind then sets `arguments` and, if it has one, `greeting`: the state owns
 * both and each argument. Returns NULL with an error.
 */
struct policy_child *policy_child_create(struct policy *policy, const struct policy_spec *spec,
					 unsigned int timeout, struct error *error);

void policy_child_destroy(struct policy *policy);
int policy_child_start(struct policy *policy, struct event_base *base, policy_changed changed,
		       void *context, struct error *error);
bool policy_child_ask(const struct policy *policy, const struct query *query,
		      struct policy_request *request);
const struct helper_pool *policy_child_pool(const struct policy *policy);
void policy_child_tell_state(const struct policy *policy, struct policy_state *state);
struct policy_match policy_child_match(const struct policy *policy, const struct query *query);

/* The members of struct policy_kind that the kinds have in common. */
#define POLICY_CHILD_KIND                                                                          \
	.basis = POLICY_BASIS_OTHER, .main_thread = true, .destroy = policy_child_destroy,         \
	.match = policy_child_match, .start = policy_child_start, .ask = policy_child_ask,         \
	.tell_state = policy_child_tell_state, .children = policy_child_pool

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kinds `helper` and `lua` share: child processes that read `URL SOURCE` a line and reply
 * with a line: a verdict, `-` for none, or `! ` and why there is none. A query without a reply in
 * time counts as nothing.
 */
#ifndef XDP_ICP_POLICY_CHILD_H
#define XDP_ICP_POLICY_CHILD_H

#include <stddef.h>

#include "helper/pool.h"
#include "policy/policy.h"
#include "policy/warning.h"

/* The state of a policy of these kinds. */
struct policy_child {
	const struct policy *policy;
	char **arguments; /* of the program, itself first; ends with NULL */
	char *greeting;	  /* what each child reads first, or NULL; see helper/pool.h */
	size_t greeting_length;
	unsigned int children;
	unsigned int timeout; /* milliseconds for a reply, the wait for a child included */
	unsigned int stall;   /* milliseconds after which a child is killed */
	struct helper_pool *pool;
	struct policy_warning warning;
};

/*
 * Makes policy->state and reads the settings `children`, `timeout` and `ttl`. The kind sets
 * `arguments`, and `greeting` if it has one; both are allocated, and so is each argument. -1 with
 * an error, the state released.
 */
int policy_child_create(struct policy *policy, const struct policy_spec *spec, unsigned int timeout,
			struct error *error);

/* Members of struct policy_kind. */
void policy_child_destroy(struct policy *policy);
int policy_child_start(struct policy *policy, struct event_base *base, policy_changed changed,
		       void *context, struct error *error);
bool policy_child_ask(const struct policy *policy, const struct query *query,
		      struct policy_request *request);
struct policy_match policy_child_match(const struct policy *policy, const struct query *query);

#endif

// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "chain.h"
#include "prefix_set.h"

struct chain {
	enum icp_opcode default_verdict;
	size_t count;
	struct policy *policies[]; /* by rank */
};

static int compare_policies(const void *left, const void *right)
{
	const struct policy *const *a = left, *const *b = right;

	return strcmp((*a)->name, (*b)->name); /* compares unsigned bytes, says C11 7.24.4 */
}

int chain_create(const struct config *config, struct chain **chain, struct error *error)
{
	struct chain *made =
		calloc(1, sizeof(*made) + config->policy_count * sizeof(made->policies[0]));

	if (!made)
		return error_set(error, "out of memory");
	made->default_verdict = config->default_verdict;
	for (size_t i = 0; i < config->policy_count; i++) {
		if (policy_create(config->policies[i], &made->policies[i], error)) {
			chain_free(made);
			return -1;
		}
		made->count++;
	}
	qsort(made->policies, made->count, sizeof(made->policies[0]), compare_policies);
	*chain = made;
	return 0;
}

void chain_free(struct chain *chain)
{
	if (!chain)
		return;
	for (size_t i = 0; i < chain->count; i++)
		policy_free(chain->policies[i]);
	free(chain);
}

struct chain_decision chain_decide(const struct chain *chain, const struct query *query)
{
	struct chain_decision decision = {
		.verdict = { chain->default_verdict, ICP_NO_COST },
	};

	for (size_t i = 0; i < chain->count; i++) {
		struct policy_match match = policy_match(chain->policies[i], query);

		decision.gave_up += match.gave_up;
		if (match.verdict == ICP_OP_INVALID)
			continue;
		decision.policy = chain->policies[i];
		decision.verdict.opcode = match.verdict;
		decision.verdict.cost = chain->policies[i]->cost;
		break;
	}
	return decision;
}

size_t chain_count(const struct chain *chain)
{
	return chain->count;
}

const struct policy *chain_policy(const struct chain *chain, size_t rank)
{
	return chain->policies[rank];
}

enum icp_opcode chain_default(const struct chain *chain)
{
	return chain->default_verdict;
}

size_t chain_prefix_count(const struct chain *chain)
{
	size_t count = 0;

	for (size_t i = 0; i < chain->count; i++) {
		const struct prefix_set *set = policy_prefixes(chain->policies[i]);

		count += set ? prefix_set_count(set) : 0;
	}
	return count;
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "chain/chain.h"
#include "config/cluster_config.h"
#include "lib/byteset.h"
#include "policy/patterns.h"
#include "recent.h"

struct chain {
	unsigned int references;
	bool stopped;
	void (*release)(void *context, struct chain *chain);
	void *release_context;
	enum icp_opcode default_verdict;
	size_t count;		   /* of policies; 0 once stopped */
	size_t stopped_count;	   /* of policies of a stopped chain that remain to be freed */
	struct policy *policies[]; /* by rank */
};

static int compare_policies(const void *left, const void *right)
{
	const struct policy *const *a = left, *const *b = right;

	return strcmp((*a)->name, (*b)->name); /* compares unsigned bytes (C11 7.24.4) */
}

static void release_at_once(void *context, struct chain *chain)
{
	chain_release(chain);
}

int chain_create(const struct config *config, struct chain **chain, struct error *error)
{
	struct chain *made =
		calloc(1, sizeof(*made) + config->policy_count * sizeof(made->policies[0]));

	if (!made)
		return error_set(error, "out of memory");
	made->references = 1;
	made->release = release_at_once;
	made->default_verdict = config->default_verdict;
	for (size_t i = 0; i < config->policy_count; i++) {
		if (policy_create(config->policies[i], &made->policies[i], error)) {
			chain_free(made);
			return -1;
		}
		made->count++;
	}
	if (cluster_config_check_policies(config, error)) {
		chain_free(made);
		return -1;
	}
	qsort(made->policies, made->count, sizeof(made->policies[0]), compare_policies);
	*chain = made;
	return 0;
}

struct chain *chain_ref(struct chain *chain)
{
	chain->references++;
	return chain;
}

void chain_unref(struct chain *chain)
{
	if (!chain || --chain->references)
		return;
	chain_stop(chain);
	chain->release(chain->release_context, chain);
}

void chain_set_release(struct chain *chain, void (*release)(void *context, struct chain *chain),
		       void *context)
{
	chain->release = release;
	chain->release_context = context;
}

void chain_release(struct chain *chain)
{
	for (size_t i = 0; i < chain->stopped_count; i++)
		policy_free(chain->policies[i]);
	free(chain);
}

void chain_inherit(struct chain *chain, const struct chain *old)
{
	for (size_t i = 0; i < chain->count; i++) {
		struct policy *policy = chain->policies[i];
		struct policy *const *found;

		found = bsearch(&policy, old->policies, old->count, sizeof(policy),
				compare_policies);
		if (!found)
			continue;
		tally_unref(policy->tally);
		policy->tally = tally_ref((*found)->tally);
		if ((*found)->kind != policy->kind)
			continue;
		policy->logged = (*found)->logged;
		policy->log_limit = (*found)->log_limit;
		if (policy->kind->inherit)
			policy->kind->inherit(policy, *found);
	}
}

int chain_start(struct chain *chain, struct event_base *base, policy_changed changed, void *context,
		struct error *error)
{
	for (size_t i = 0; i < chain->count; i++) {
		struct policy *policy = chain->policies[i];

		if (policy->kind->start &&
		    policy->kind->start(policy, base, changed, context, error))
			return -1;
	}
	return 0;
}

/* Must policies of the kind be freed in the main thread? */
static bool needs_event_loop(const struct policy_kind *kind)
{
	return kind->start || kind->ask || kind->main_thread;
}

void chain_stop(struct chain *chain)
{
	if (chain->stopped)
		return;
	chain->stopped = true;
	/* Evaluations that complete drop their references, which must not be the last. */
	chain_ref(chain);
	for (size_t i = 0; i < chain->count; i++) {
		struct policy *policy = chain->policies[i];

		if (needs_event_loop(policy->kind))
			policy_free(policy);
		else
			chain->policies[chain->stopped_count++] = policy;
	}
	chain->count = 0;
	chain->references--;
}

bool chain_stopped(const struct chain *chain)
{
	return chain->stopped;
}

void chain_free(struct chain *chain)
{
	if (!chain)
		return;
	chain_stop(chain);
	chain_unref(chain);
}

struct chain_decision chain_initial_decision(const struct chain *chain)
{
	return (struct chain_decision){
		.chain = chain,
		.verdict = { chain->default_verdict, ICP_NO_COST },
		.rank = chain->count,
		.cacheable = true,
	};
}

size_t chain_recents(const struct chain *chain, size_t rank)
{
	size_t count = 0;

	for (size_t i = 0; i < rank; i++)
		count += chain->policies[i]->kind->basis == POLICY_BASIS_RECENT;
	return count;
}

/* Restrict what may be remembered of a decision by the result of one of its policies. */
static void limit_caching(const struct chain *chain, size_t rank, struct policy_match match,
			  uint64_t asked, struct chain_decision *decision)
{
	const struct policy *policy = chain->policies[rank];

	switch (policy->kind->basis) {
	case POLICY_BASIS_URL:
		break;
	case POLICY_BASIS_SOURCE:
	case POLICY_BASIS_HOST:
		/* Where they do not match, the kernel itself checks whether that still holds. */
		if (match.verdict != ICP_OP_INVALID)
			decision->cacheable = false;
		break;
	case POLICY_BASIS_RECENT:
		/* Likewise, as far as the kernel evaluates them. */
		if (match.verdict != ICP_OP_INVALID || chain_recents(chain, rank) >= RECENTS_MAX)
			decision->cacheable = false;
		break;
	case POLICY_BASIS_OTHER:
		if (policy->ttl == POLICY_TTL_URL)
			break;
		decision->by_source = true;
		if (policy->ttl == 0) {
			decision->cacheable = false;
		} else {
			uint64_t expires = asked + policy->ttl * 1000000000ull;

			if (decision->expires == 0 || expires < decision->expires)
				decision->expires = expires;
		}
		break;
	}
	if (match.gave_up)
		decision->cacheable = false;
}

bool chain_apply(const struct chain *chain, size_t rank, struct policy_match match, uint64_t asked,
		 struct chain_decision *decision)
{
	const struct policy *policy = chain->policies[rank];

	limit_caching(chain, rank, match, asked, decision);
	decision->gave_up += match.gave_up;
	if (match.verdict == ICP_OP_INVALID)
		return false;
	decision->policy = policy;
	decision->rank = rank;
	decision->verdict.opcode = match.verdict;
	decision->verdict.cost = match.has_cost ? match.cost : policy->cost;
	return true;
}

static bool worker_may_ask(const struct policy *policy, bool gates_current)
{
	return !policy->kind->main_thread && (gates_current || !policy_is_watched(policy));
}

bool chain_decide_in_worker(const struct chain *chain, const struct query *query,
			    bool gates_current, struct chain_decision *decision)
{
	*decision = chain_initial_decision(chain);
	for (size_t i = 0; i < chain->count; i++) {
		if (!worker_may_ask(chain->policies[i], gates_current))
			return false;
		/* The time is unused: kinds whose results expire are for the main thread. */
		if (chain_apply(chain, i, policy_match(chain->policies[i], query), 0, decision))
			break;
	}
	return true;
}

size_t chain_count(const struct chain *chain)
{
	return chain->count;
}

struct policy *chain_policy(const struct chain *chain, size_t rank)
{
	return chain->policies[rank];
}

enum icp_opcode chain_default_verdict(const struct chain *chain)
{
	return chain->default_verdict;
}

size_t policy_text_count(const struct policy *policy)
{
	if (policy_texts(policy))
		return byteset_count(policy_texts(policy));
	return policy_inside(policy) ? policy_inside(policy)->count : 0;
}

size_t chain_text_count(const struct chain *chain)
{
	size_t count = 0;

	for (size_t i = 0; i < chain->count; i++)
		count += policy_text_count(chain->policies[i]);
	return count;
}

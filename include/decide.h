/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel knows of an answer: the decision itself, without the look-ups. The XDP program
 * acts on it, and the daemon asks it to tell who would answer (`icpctl check`).
 */
#ifndef XDP_ICP_DECIDE_H
#define XDP_ICP_DECIDE_H

#include "maps.h"

/* A decision: `verdict` if `counter` is ICP_COUNT_ANSWERED, else the reason to pass. */
struct decision {
	struct icp_verdict verdict;
	enum icp_counter counter;
};

ICP_INLINE struct decision decision_pass(enum icp_counter reason)
{
	struct decision decision = { .verdict = { ICP_OP_INVALID, ICP_NO_COST },
				     .counter = reason };

	return decision;
}

ICP_INLINE struct decision decision_answer(enum icp_opcode opcode, __s32 cost)
{
	struct decision decision = { .verdict = { opcode, cost }, .counter = ICP_COUNT_ANSWERED };

	return decision;
}

/* The longest matching rule decides, before everything else. */
ICP_INLINE struct decision decide_by_rule(const struct rule *rule)
{
	if (!icp_is_verdict(rule->verdict))
		return decision_pass(ICP_COUNT_PASSED_RULE);
	return decision_answer(rule->verdict, ICP_NO_COST);
}

/*
 * No rule matches: the chain decides. `entry` is what prefix_longest() found for `url` at
 * the length `matched`, or NULL.
 * The compiler has flattened the chain's prefix policies, so that the longest prefix tells the
 * verdict and the rank of all of them.
 */
ICP_INLINE struct decision decide_by_chain(const struct map_chain *chain,
					   const struct prefix_entry *entry, __u32 matched,
					   const text_word *url)
{
	if (!entry) {
		if (chain->default_rank >= chain->horizon)
			return decision_pass(ICP_COUNT_PASSED_HORIZON);
		return decision_answer(chain->default_verdict, ICP_NO_COST);
	}
	if (entry->generation != chain->generation || entry->length != matched ||
	    matched > PREFIX_MAX || !prefix_is_text(url, (const text_word *)entry->text, matched))
		return decision_pass(ICP_COUNT_PASSED_COLLISION);
	if (entry->rank >= chain->horizon)
		return decision_pass(ICP_COUNT_PASSED_HORIZON);
	return decision_answer(entry->verdict, entry->cost);
}

#endif

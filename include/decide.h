/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel knows of an answer: the decision itself, without the look-ups. The XDP program
 * acts on it, and the daemon asks it to tell who would answer (`icpctl check`).
 */
#ifndef XDP_ICP_DECIDE_H
#define XDP_ICP_DECIDE_H

#include "maps.h"

/* In the place of a rank where it was not the chain that decided. */
#define RANK_RULE 0xfffffffeu
#define RANK_DRAIN 0xfffffffdu

/* A decision: `verdict` if `counter` is ICP_COUNT_ANSWERED, else the reason to pass. */
struct decision {
	struct icp_verdict verdict;
	enum icp_counter counter;
	__u32 rank; /* of what decided, if it is known; else RANK_NONE */
};

ICP_INLINE struct decision decision_pass(enum icp_counter reason)
{
	struct decision decision = { .verdict = { ICP_OP_INVALID, ICP_NO_COST },
				     .counter = reason,
				     .rank = RANK_NONE };

	return decision;
}

ICP_INLINE struct decision decision_ranked(__u32 rank, enum icp_opcode opcode, __s32 cost)
{
	struct decision decision = { .verdict = { opcode, cost },
				     .counter = ICP_COUNT_ANSWERED,
				     .rank = rank };

	return decision;
}

ICP_INLINE struct decision decision_answer(enum icp_opcode opcode, __s32 cost)
{
	return decision_ranked(RANK_NONE, opcode, cost);
}

/* A host that is drained says the same to everyone, before all else. */
ICP_INLINE struct decision decide_by_drain(__u32 drain)
{
	if (!icp_is_verdict(drain))
		return decision_pass(ICP_COUNT_PASSED_DRAIN);
	return decision_ranked(RANK_DRAIN, drain, ICP_NO_COST);
}

/* The longest matching rule decides, before the chain. */
ICP_INLINE struct decision decide_by_rule(const struct rule *rule)
{
	if (!icp_is_verdict(rule->verdict))
		return decision_pass(ICP_COUNT_PASSED_RULE);
	return decision_ranked(RANK_RULE, rule->verdict, ICP_NO_COST);
}

/* Something that some policy, or the default, says to the query. The smallest rank wins. */
struct candidate {
	__u32 rank;
	struct icp_verdict verdict;
};

ICP_INLINE struct candidate candidate_of(__u32 rank, enum icp_opcode opcode, __s32 cost)
{
	struct candidate candidate;

	candidate.rank = rank;
	candidate.verdict.opcode = opcode;
	candidate.verdict.cost = cost;
	return candidate;
}

ICP_INLINE struct candidate candidate_first(struct candidate a, struct candidate b)
{
	return b.rank < a.rank ? b : a;
}

ICP_INLINE struct decision decision_by(struct candidate best)
{
	return decision_ranked(best.rank, best.verdict.opcode, best.verdict.cost);
}

ICP_INLINE struct candidate candidate_default(const struct map_chain *chain)
{
	return candidate_of(chain->default_rank, chain->default_verdict, ICP_NO_COST);
}

/* Does somebody watch over what is known of this chain, `now` in nanoseconds? */
ICP_INLINE bool watch_holds(const struct map_watch *watch, const struct map_chain *chain, __u64 now)
{
	__u64 heartbeat = *(volatile const __u64 *)&watch->heartbeat;

	/* The clock may be a tick behind that of the heartbeat. */
	return *(volatile const __u64 *)&watch->generation == chain->generation &&
	       (now < heartbeat || now - heartbeat <= chain->lease);
}

ICP_INLINE struct candidate candidate_gate(const struct map_watch *watch)
{
	struct map_watch copy = { 0 };

	copy.gate_word = *(volatile const __u64 *)&watch->gate_word;
	return candidate_of(copy.gate.rank, copy.gate.verdict,
			    copy.gate.has_cost ? copy.gate.cost : ICP_NO_COST);
}

/* The hash that a URL's verdict is remembered under; `source` as in struct source_key. */
ICP_INLINE __u64 verdict_hash(const struct map_chain *chain, const struct prefix_sums *sums,
			      const text_word *url, __u32 length, const __u64 *source)
{
	__u64 hash = prefix_hash(&chain->prefixes.keys, url, sums, length + 1);

	if (chain->memory == MEMORY_URL_SOURCE)
		hash = prefix_mix(prefix_mix(hash + source[0]) + source[1]);
	return hash;
}

/* Is the entry that was found under the hash this URL's, this chain's, and still good? */
ICP_INLINE bool verdict_entry_holds(const struct map_chain *chain,
				    const struct verdict_entry *entry, const text_word *url,
				    __u32 length, const __u64 *source, __u64 now)
{
	const __u64 *known = (const __u64 *)entry->source;

	if (entry->generation != chain->generation || entry->length != length ||
	    (entry->expires && now >= entry->expires))
		return false;
	if (chain->memory == MEMORY_URL_SOURCE && (known[0] != source[0] || known[1] != source[1]))
		return false;
	return prefix_is_text(url, (const text_word *)entry->text, length);
}

#endif

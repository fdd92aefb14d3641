/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The parts of a decision in the kernel: its result, and the tests that each kind of map entry has
 * to pass. match.h puts them together.
 */
#ifndef XDP_ICP_DECIDE_H
#define XDP_ICP_DECIDE_H

#include "maps.h"

/* Stand in for a rank where the chain did not decide. */
#define RANK_RULE 0xfffffffeu
#define RANK_DRAIN 0xfffffffdu

/* If `counter` is not ICP_COUNT_ANSWERED, it is the reason to pass: no verdict, and no rank. */
struct decision {
	struct icp_verdict verdict;
	enum icp_counter counter;
	__u32 rank; /* of the policy that decided, RANK_RULE, RANK_DRAIN; RANK_NONE: not known */
};

/* Index in `decided` of what has decided, by its rank in struct decision. */
ICP_INLINE __u32 decided_index(const struct map_chain *chain, __u32 rank)
{
	__u32 index = DECIDED_BY_REST;

	if (rank < DECIDED_RANKS)
		index = rank;
	else if (rank == RANK_RULE)
		index = DECIDED_BY_RULE;
	else if (rank == RANK_DRAIN)
		index = DECIDED_BY_DRAIN;
	return chain->first_decided + index;
}

ICP_INLINE struct decision decision_pass(enum icp_counter reason)
{
	struct decision decision = { .verdict = { ICP_OP_INVALID, ICP_NO_COST },
				     .rank = RANK_NONE };

	ICP_BOUNDED(reason); /* or the compiler loads it before the test that leads here */
	decision.counter = reason;
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

/* A drained host gives every query the same verdict, before rules and chain. */
ICP_INLINE struct decision decide_by_drain(__u32 drain)
{
	if (!icp_is_verdict(drain))
		return decision_pass(ICP_COUNT_PASSED_DRAIN);
	return decision_ranked(RANK_DRAIN, drain, ICP_NO_COST);
}

/* The longest matching rule decides, before the chain. One without a verdict passes the query. */
ICP_INLINE struct decision decide_by_rule(const struct rule *rule)
{
	if (!icp_is_verdict(rule->verdict))
		return decision_pass(ICP_COUNT_PASSED_RULE);
	return decision_ranked(RANK_RULE, rule->verdict, ICP_NO_COST);
}

/* A verdict that a policy, or the default, has for the query. The smallest rank wins. */
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

/*
 * Is the daemon's lease on this chain valid, `now` in nanoseconds? The heartbeat may be newer than
 * `now`, which was read before it; but no farther in the future than the lease is long, or a
 * heartbeat from a wrong clock would be valid forever.
 */
ICP_INLINE bool lease_valid(const struct map_watch *watch, const struct map_chain *chain, __u64 now)
{
	__u64 heartbeat = ICP_READ_BACK(watch->heartbeat);
	__u64 age = now < heartbeat ? heartbeat - now : now - heartbeat;

	return ICP_READ_BACK(watch->generation) == chain->generation && age <= chain->lease;
}

ICP_INLINE struct candidate candidate_gate(const struct map_watch *watch)
{
	struct map_watch copy = { 0 };

	copy.gate_word = ICP_READ_BACK(watch->gate_word);
	return candidate_of(copy.gate.rank, copy.gate.verdict,
			    copy.gate.has_cost ? copy.gate.cost : ICP_NO_COST);
}

/* The hash that a URL's verdict is remembered under; `source` as in struct source_key. */
ICP_INLINE __u64 verdict_hash(const struct map_chain *chain, const text_word *url, __u32 length,
			      const __u64 *source)
{
	__u64 hash = prefix_hash(&chain->trees[URL_FORWARD].keys, url, length + 1);

	if (chain->memory == MEMORY_URL_SOURCE)
		hash = prefix_mix(prefix_mix(hash + source[0]) + source[1]);
	return hash;
}

/*
 * The seal binds an entry's fields to each other and to the hash that it was stored under. The
 * kernel reuses the memory of an LRU map's entry for another key without waiting for its readers,
 * so what a reader has compared need not belong to the same entry as what it reads next.
 */
ICP_INLINE __u64 verdict_seal(__u64 hash, __u32 generation, __u32 rank, __u32 verdict, __s32 cost,
			      __u64 expires)
{
	__u64 seal = prefix_mix(hash + ((__u64)generation << 32 | rank));

	seal = prefix_mix(seal + ((__u64)verdict << 32 | (__u32)cost));
	return prefix_mix(seal + expires);
}

/*
 * The verdict for this URL in an entry that was found under its hash. RANK_NONE: the entry is for
 * another URL, querier or chain, has expired, or was overwritten while it was read. Each field is
 * read once, and the seal is checked over what was read.
 */
ICP_INLINE struct candidate verdict_read(const struct map_chain *chain,
					 const struct verdict_entry *entry, __u64 hash,
					 const text_word *url, __u32 length, const __u64 *source,
					 __u64 now)
{
	const struct candidate none = candidate_of(RANK_NONE, ICP_OP_INVALID, ICP_NO_COST);
	const __u64 *querier = (const __u64 *)entry->source;
	__u32 generation = ICP_READ_BACK(entry->generation);
	__u32 rank = ICP_READ_BACK(entry->rank);
	__u32 verdict = ICP_READ_BACK(entry->verdict);
	__s32 cost = ICP_READ_BACK(entry->cost);
	__u64 expires = ICP_READ_BACK(entry->expires);

	if (generation != chain->generation || entry->length != length ||
	    (expires && now >= expires))
		return none;
	if (chain->memory == MEMORY_URL_SOURCE &&
	    (querier[0] != source[0] || querier[1] != source[1]))
		return none;
	if (!prefix_is_text(url, (const text_word *)entry->text, length))
		return none;
	if (ICP_READ_BACK(entry->seal) !=
	    verdict_seal(hash, generation, rank, verdict, cost, expires))
		return none;
	return candidate_of(rank, verdict, cost);
}

#endif

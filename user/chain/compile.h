/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flattens the chain's policies that are sets of prefixes into one set, of which the longest match
 * alone decides: what the kernel's `prefixes` and `chain` maps are filled from.
 */
#ifndef XDP_ICP_COMPILER_H
#define XDP_ICP_COMPILER_H

#include "lib/netset.h"
#include "chain/chain.h"
#include "decide.h"
#include "maps.h"
#include "chain/tree.h"

/* Whoever asks from this network, and from no smaller one in the list. */
struct compiled_source {
	struct netset_network network;
	__u32 rank; /* of the first policy on addresses that speaks; RANK_NONE: none does */
	enum icp_opcode verdict;
	__s32 cost;
};

struct compiled {
	/* Rank of the first policy that the kernel cannot evaluate, or has no room for; or RANK_NONE */
	__u32 horizon;
	__u32 default_rank; /* the number of policies */
	enum icp_opcode default_verdict;
	size_t count;
	struct prefix_entry
		*entries; /* as prefix_tree_build() wants them; the text is the chain's */
	size_t lines;	  /* that their texts take (prefix_tree_lines) */
	size_t answer_count;
	struct prefix_answer *answers; /* the entries' answer 1 is the first; by rank */
	size_t source_count;
	struct compiled_source *sources; /* a network before those within it */
	__u32 first_gate;	  /* rank of the first policy on the host's state, or RANK_NONE */
	enum chain_memory memory; /* what the daemon's decisions can be remembered for */
};

/* Compiles a chain, which must outlive the result. -1: out of memory, or too many entries. */
int chain_compile(const struct chain *chain, struct compiled **compiled, struct error *error);

/*
 * The first policy on the host's state that speaks now: what the kernel's gate is set to. Rank
 * RANK_NONE: none does.
 */
struct candidate chain_gate(const struct chain *chain);

/* Can the kernel evaluate the policy, as a set of prefixes or addresses, or as a gate? */
bool policy_in_kernel(const struct policy *policy);

/* Makes compiled->sources. -1: out of memory. */
int compile_sources(const struct chain *chain, struct compiled *compiled);

/* `compiled` may be NULL. */
void compiled_free(struct compiled *compiled);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flattens the chain's policies that are sets of prefixes into one set, of which the longest match
 * alone decides: what the kernel's `prefixes` and `chain` maps are filled from.
 */
#ifndef XDP_ICP_COMPILER_H
#define XDP_ICP_COMPILER_H

#include "address_set.h"
#include "chain.h"
#include "decide.h"
#include "maps.h"

struct compiled_entry {
	const char *text; /* in the chain; no NUL follows */
	__u32 length;	  /* bytes, 0 to PREFIX_MAX; a whole URL counts its NUL */
	__u32 rank;	  /* of the policy that the verdict comes from, below the horizon */
	enum icp_opcode verdict;
	__s32 cost; /* 0 to 65535, or ICP_NO_COST */
};

/* Whoever asks from this network, and from no smaller one in the list. */
struct compiled_source {
	struct address_network network;
	__u32 rank; /* of the first policy on addresses that speaks; RANK_NONE: none does */
	enum icp_opcode verdict;
	__s32 cost;
};

struct compiled {
	__u32 horizon; /* rank of the first policy that the kernel cannot evaluate, or RANK_NONE */
	__u32 default_rank; /* the number of policies */
	enum icp_opcode default_verdict;
	struct prefix_lengths lengths; /* that the entries have */
	size_t count;
	struct compiled_entry *entries; /* sorted by their bytes (prefix_set_compare) */
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

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flattens the chain's policies that are sets of prefixes into one set, of which the longest match
 * alone decides: what the kernel's `prefixes` and `chain` maps are filled from.
 */
#ifndef XDP_ICP_COMPILER_H
#define XDP_ICP_COMPILER_H

#include "chain.h"
#include "maps.h"

struct compiled_entry {
	const char *text; /* in the chain; no NUL follows */
	__u32 length;	  /* bytes, 0 to PREFIX_MAX; a whole URL counts its NUL */
	__u32 rank;	  /* of the policy that the verdict comes from, below the horizon */
	enum icp_opcode verdict;
	__s32 cost; /* 0 to 65535, or ICP_NO_COST */
};

struct compiled {
	__u32 horizon; /* rank of the first policy that the kernel cannot evaluate, or RANK_NONE */
	__u32 default_rank; /* the number of policies */
	enum icp_opcode default_verdict;
	struct prefix_lengths lengths; /* that the entries have */
	size_t count;
	struct compiled_entry *entries; /* sorted by their bytes (prefix_set_compare) */
};

/* Compiles a chain, which must outlive the result. -1: out of memory, or too many entries. */
int chain_compile(const struct chain *chain, struct compiled **compiled, struct error *error);

/* `compiled` may be NULL. */
void compiled_free(struct compiled *compiled);

#endif

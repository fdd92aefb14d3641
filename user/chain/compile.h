/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compiles the chain into what the kernel's maps hold: for each reading of the URL one set of texts,
 * of which the longest match alone decides, the networks of queriers, and the horizon.
 */
#ifndef XDP_ICP_COMPILE_H
#define XDP_ICP_COMPILE_H

#include "lib/netset.h"
#include "chain/chain.h"
#include "decide.h"
#include "maps.h"
#include "chain/tree.h"

/* Queriers in this network, and in no smaller one in the list. */
struct compiled_source {
	struct netset_network network;
	__u32 rank; /* of the first source policy that matches; RANK_NONE: none does */
	enum icp_opcode verdict;
	__s32 cost;
};

/* What messages call the texts of all policies. */
#define TEXTS_NAME "prefixes, suffixes, hosts and substrings"

/* What messages recommend when the kernel's maps are too small for a chain. */
#define ADVICE_FOR_ROOM                                                                            \
	"restart the daemon, which makes room for it (where xdp-icp-load has loaded the program, " \
	"stop it, load again, and start it)"

/* The texts that policies look for at the beginning of one reading. */
struct compiled_texts {
	size_t count;
	struct prefix_entry
		*entries;   /* sorted for prefix_tree_build(); the texts belong to the chain */
	size_t lines;	    /* for their texts (prefix_tree_lines) */
	__u32 least_answer; /* PREFIX_NO_ANSWER: they have none */
};

struct compiled {
	/* rank of the first policy that the kernel cannot evaluate or store, or RANK_NONE */
	__u32 horizon;
	struct error horizon_reason; /* why it cannot, if there is one */
	bool lacks_room;	     /* the reason is that it needs more lines than there may be */
	__u32 default_rank;	     /* the number of policies */
	enum icp_opcode default_verdict;
	struct compiled_texts texts[URL_READINGS];
	size_t count, lines; /* of all readings together */
	size_t absent_count;
	__u32 absent_answers[ABSENT_MAX]; /* as in struct map_chain */
	size_t answer_count;
	struct prefix_answer *answers; /* by rank; entries number them from 1 */
	size_t source_count;
	struct compiled_source *sources; /* a network before those within it */
	__u32 first_gate; /* rank of the first policy that needs the lease, or RANK_NONE */
	size_t group_count;
	struct automaton_group *groups;
	struct filter filter; /* before them */
	struct {
		const struct partition_line *lines; /* the policy's; NULL: there is none */
		struct map_partition map;
	} partition;
	struct map_recent recents[RECENTS_MAX];
	size_t recent_count;
	size_t recent_entries;	  /* that their stores may have together */
	enum chain_memory memory; /* by what decisions of the daemon are remembered */
};

/* Compile a chain, which must outlive the result. Returns -1 with an error: out of memory. */
int chain_compile(const struct chain *chain, struct compiled **compiled, struct error *error);

/* The same with the horizon at the first policy whose texts would need more than this many lines. */
int chain_compile_within(const struct chain *chain, size_t lines_max, struct compiled **compiled,
			 struct error *error);

/* The number of policies up to the first that gives a verdict to every URL; none behind is asked. */
size_t chain_reached(const struct chain *chain);

/* Does the kernel need the lease to evaluate the policy, because the daemon keeps its state? */
bool policy_needs_lease(const struct policy *policy);

/*
 * Return the first policy on the host's state that matches now, for the kernel's gate. Rank
 * RANK_NONE: none does.
 */
struct candidate chain_gate(const struct chain *chain);

/*
 * Can the kernel evaluate the policy, as a set of texts or addresses, as an automaton, or as a gate?
 * If not, `reason` says why.
 */
bool policy_in_kernel(const struct policy *policy, struct error *reason);

/*
 * Append an answer; the ranks of the others are no larger. Returns its number; PREFIX_NO_ANSWER,
 * and the reason in `compiled`: there is no room for another.
 */
uint16_t compiled_add_answer(struct compiled *compiled, __u32 rank, enum icp_opcode verdict,
			     __s32 cost);

/*
 * Return the number of an answer, adding it if needed, in the order of ranks. PREFIX_NO_ANSWER, and
 * the reason in `compiled`: there is no room for another.
 */
uint16_t compiled_answer(struct compiled *compiled, __u32 rank, enum icp_opcode verdict,
			 __s32 cost);

/* Allocate and fill compiled->sources. Returns -1: out of memory. */
int compile_sources(const struct chain *chain, struct compiled *compiled);

/* `compiled` may be NULL. */
void compiled_free(struct compiled *compiled);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chain: all policies in the byte order of their names. The first that gives a verdict
 * decides; if none does, the default. The chain reads no clock and opens no sockets.
 *
 * evaluation.h evaluates chains whose policies have to wait, in the main thread. Other threads may
 * evaluate a chain that is not being changed, up to the first policy that is reserved for the main
 * thread.
 */
#ifndef XDP_ICP_CHAIN_H
#define XDP_ICP_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "lib/error.h"
#include "icp.h"
#include "policy/policy.h"
#include "icp/query.h"

struct chain;

struct chain_decision {
	const struct chain *chain; /* that decided */
	struct icp_verdict verdict;
	const struct policy *policy; /* that decided, owned by the chain; NULL: the default */
	size_t rank;		     /* of that policy; chain_count() for the default */
	unsigned int gave_up;	     /* policies that stopped at a limit, for FAILED_LIMIT */

	/*
	 * Does the decision hold for other queries for the same URL while the chain is current and
	 * no gate or source policy of a smaller rank matches? Not if such a policy decided, if one
	 * gave up, or if a POLICY_BASIS_OTHER without a ttl was asked.
	 */
	bool cacheable;
	uint64_t expires; /* in clock_kernel_ns(); 0: never */
	bool by_source;	  /* only for the same querier, as a policy saw its address */
};

/*
 * Create the policies of a configuration and read their files. The chain, with one reference, does
 * not refer to the configuration. Returns -1 with an error that names the place.
 */
int chain_create(const struct config *config, struct chain **chain, struct error *error);

/* Take a reference, and return the chain. Not thread-safe, like chain_unref(). */
struct chain *chain_ref(struct chain *chain);

/* Drop a reference; the last one stops and frees the chain. `chain` may be NULL. */
void chain_unref(struct chain *chain);

/*
 * Take over the tallies of the policies with the same name in the old chain, and the observations of
 * those of the same kind; it keeps running. To be called before chain_start().
 */
void chain_inherit(struct chain *chain, const struct chain *old);

/*
 * Start the events and child processes of the policies. `changed` is called when a policy on the
 * host's state begins or ceases to match. Returns 0, or -1 with an error that names the policy; the
 * only valid call is then chain_unref().
 */
int chain_start(struct chain *chain, struct event_base *base, policy_changed changed, void *context,
		struct error *error);

/*
 * Stop all policies without waiting for the evaluations that hold references: open requests
 * complete without a match. The chain must not be evaluated afterwards.
 */
void chain_stop(struct chain *chain);
bool chain_stopped(const struct chain *chain);

/*
 * Have `release` called when the last reference is dropped, instead of freeing the memory of the
 * stopped chain, which takes a while with millions of URLs. It arranges for chain_release() to be
 * called, in any thread.
 */
void chain_set_release(struct chain *chain, void (*release)(void *context, struct chain *chain),
		       void *context);
void chain_release(struct chain *chain);

/* chain_stop() and chain_unref(). `chain` may be NULL. */
void chain_free(struct chain *chain);

/*
 * Decide a query in any thread without waiting. Returns false if the evaluation reached a policy reserved for the main
 * thread; unless `gates_current`, that includes those that are watched (policy_is_watched).
 */
bool chain_decide_in_worker(const struct chain *chain, const struct query *query,
			    bool gates_current, struct chain_decision *decision);

/*
 * Decide step by step: begin with chain_initial_decision(), then for each policy in the order of
 * ranks apply its result, `not` included (policy_apply_not). Returns true once the chain has
 * decided. The policy's ttl counts from `asked`, the time it was asked in nanoseconds of
 * clock_kernel_ns(); ignored unless policy_expires().
 */
struct chain_decision chain_initial_decision(const struct chain *chain);
bool chain_apply(const struct chain *chain, size_t rank, struct policy_match match, uint64_t asked,
		 struct chain_decision *decision);

/* The number of policies, and the policy of a rank below that number. */
size_t chain_count(const struct chain *chain);
struct policy *chain_policy(const struct chain *chain, size_t rank);

/*
 * The number of policies on what was seen lately before a rank. Of a chain the kernel evaluates the first
 * RECENTS_MAX (recent.h).
 */
size_t chain_recents(const struct chain *chain, size_t rank);

/* The verdict if no policy decides. */
enum icp_opcode chain_default_verdict(const struct chain *chain);

/* The number of texts that a policy has in policy_texts() or policy_inside(). */
size_t policy_text_count(const struct policy *policy);

/* The number of texts of all policies. */
size_t chain_text_count(const struct chain *chain);

#endif

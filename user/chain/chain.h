/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chain: all policies in the byte order of their names. The first that gives a verdict
 * decides; if none does, the default. The chain asks nobody for the time and opens no sockets.
 *
 * A chain with policies that have to wait is asked by evaluation.h, from the main thread. Other
 * threads may ask as long as nobody changes it, up to the first policy that is not for them.
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
	const struct chain *chain; /* whose it is */
	struct icp_verdict verdict;
	const struct policy *policy; /* that decided, valid while the chain is; NULL: the default */
	size_t rank;		     /* of that policy; chain_count() for the default */
	unsigned int gave_up;	     /* policies that stopped at a limit, for FAILED_LIMIT */

	/*
	 * Whether the same may be answered to the same URL without asking again, as long as the
	 * chain is there and no gate or source policy of a smaller rank decides. It may not if
	 * such a policy decided, if one gave up, or if one that looks at anything else forbids it.
	 */
	bool cacheable;
	uint64_t expires; /* until when it may, clock_kernel_ns(); 0: for good */
	bool by_source;	  /* and to the same querier alone: a policy was asked that sees it */
};

/*
 * Makes the policies of a configuration and reads their files. The chain does not refer to the
 * configuration afterwards. -1 with an error that names the place.
 */
int chain_create(const struct config *config, struct chain **chain, struct error *error);

/* Holds on to a chain, which chain_create() has handed out held once. Returns it. */
struct chain *chain_ref(struct chain *chain);

/* Lets go of it; the last to do so frees it. `chain` may be NULL. */
void chain_unref(struct chain *chain);

/*
 * Has the policies begin where those of the same name and kind stand in the chain before, which
 * goes on: what takes a while to see is not forgotten. Before chain_start().
 */
void chain_inherit(struct chain *chain, const struct chain *former);

/*
 * Begins to watch and to serve, for the policies that do. `changed` is told of policies on the
 * host's state. Returns 0, or -1 and an error that names the policy; the chain may only be let go
 * of then.
 */
int chain_start(struct chain *chain, struct event_base *base, policy_changed changed, void *context,
		struct error *error);

/*
 * Ends all policies, whose open questions are answered with nothing, for those who cannot wait for
 * evaluations that hold on to the chain. It must not be asked any more.
 */
void chain_stop(struct chain *chain);
bool chain_stopped(const struct chain *chain);

/*
 * Calls `release` with the last reference instead of freeing what memory the ended chain still has,
 * which takes a while for millions of URLs. chain_release(), in any thread, has to follow.
 */
void chain_set_release(struct chain *chain, void (*release)(void *context, struct chain *chain),
		       void *context);
void chain_release(struct chain *chain);

/* chain_stop() and chain_unref(). `chain` may be NULL. */
void chain_free(struct chain *chain);

/*
 * The verdict on a query at the time `now`, if no policy has to wait: those that do say nothing.
 * `now` as for chain_apply().
 */
struct chain_decision chain_decide(const struct chain *chain, const struct query *query,
				   uint64_t now);

/*
 * The same in any thread. False: a policy was reached that only the main thread may ask, which are
 * those on the host's state as well unless `gates_current`.
 */
bool chain_decide_in_worker(const struct chain *chain, const struct query *query,
			    bool gates_current, struct chain_decision *decision);

/*
 * The same step by step: what is decided before any policy was asked, and what the policy of a
 * rank adds to it, `match` being its word with `not` (policy_apply_not). True: it has decided. The
 * policies have to be asked in the order of their ranks. `asked` is when this one was, from which
 * on its ttl counts: nanoseconds of clock_kernel_ns(), of no meaning unless policy_expires().
 */
struct chain_decision chain_initial_decision(const struct chain *chain);
bool chain_apply(const struct chain *chain, size_t rank, struct policy_match match, uint64_t asked,
		 struct chain_decision *decision);

/* The number of policies, and the policy of a rank from 0 to that number less one. */
size_t chain_count(const struct chain *chain);
const struct policy *chain_policy(const struct chain *chain, size_t rank);

/* The answer where no policy decides. */
enum icp_opcode chain_default_verdict(const struct chain *chain);

/* The number of prefixes and whole URLs in all policies that the kernel could evaluate. */
size_t chain_prefix_count(const struct chain *chain);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's decisions by policy: the map `decided` counts them by rank, and a rank is another
 * policy's in the next chain. All functions are for the main thread.
 */
#ifndef XDP_ICP_DAEMON_KERNEL_TALLIES_H
#define XDP_ICP_DAEMON_KERNEL_TALLIES_H

#include "chain/chain.h"
#include "server/responder.h"
#include "xdp/kernel.h"

struct kernel_tallies;

/*
 * Read the counts of `kernel` once a second from now on; `tallies` is for decisions that no policy
 * has made. Both must outlive the result. Return NULL and `error` on failure.
 */
struct kernel_tallies *kernel_tallies_new(const struct kernel *kernel,
					  struct responder_tallies *tallies,
					  struct event_base *base, struct error *error);
void kernel_tallies_free(struct kernel_tallies *kernel_tallies);

/*
 * Prepare for `chain` to become active in a half of the maps. The counts that the former chain has
 * left there are added to its own policies. Return 0, or -1 and `error`.
 */
int kernel_tallies_expect(struct kernel_tallies *kernel_tallies, uint32_t slot,
			  const struct chain *chain, struct error *error);

/* Bring the tallies up to date. NULL: nothing to do. */
void kernel_tallies_update(struct kernel_tallies *kernel_tallies);

#endif

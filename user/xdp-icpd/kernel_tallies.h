/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What has decided in the kernel, by policy: the counts of the map `decided` are by rank, and a rank
 * is another policy's in the next chain. All functions are for the main thread.
 */
#ifndef XDP_ICP_DAEMON_KERNEL_TALLIES_H
#define XDP_ICP_DAEMON_KERNEL_TALLIES_H

#include "chain/chain.h"
#include "server/responder.h"
#include "xdp/kernel.h"

struct kernel_tallies;

/*
 * Count from now on, once a second, what the maps of `kernel` tell; `tallies` is for what no policy
 * has decided. Both must outlive the result. Return NULL and `error` on failure.
 */
struct kernel_tallies *kernel_tallies_new(const struct kernel *kernel,
					  struct responder_tallies *tallies,
					  struct event_base *base, struct error *error);
void kernel_tallies_free(struct kernel_tallies *kernel_tallies);

/*
 * Before `chain` becomes active in that half of the maps: its policies are counted there. What the
 * chain before counted there goes to the policies that it had. Return 0, or -1 and `error`.
 */
int kernel_tallies_expect(struct kernel_tallies *kernel_tallies, uint32_t slot,
			  const struct chain *chain, struct error *error);

/* Bring the tallies up to date. NULL: nothing to do. */
void kernel_tallies_update(struct kernel_tallies *kernel_tallies);

#endif

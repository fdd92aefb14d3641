/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The active chain, in the daemon and in the kernel, and how the next one replaces it. */
#ifndef XDP_ICP_DAEMON_CHAIN_H
#define XDP_ICP_DAEMON_CHAIN_H

#include "xdp-icpd/daemon.h"

/* A chain that is built but not active yet. */
struct next_chain {
	struct chain *chain;
	struct compiled *compiled;
	struct kernel_chain prepared; /* unused in userspace mode */
};

/*
 * Build the chain of a configuration, and write it to the inactive half of the kernel's maps
 * (`kernel` NULL: none). Slow for a large chain; may run in any thread, one at a time. Fails once
 * *cancel is set, which is checked between steps (NULL: never). Return 0, or -1 and `error` with
 * nothing allocated.
 */
int next_chain_build(struct next_chain *next, const struct config *config, struct kernel *kernel,
		     const atomic_bool *cancel, struct error *error);

/*
 * Free an inactive chain. A chain that has been started must be freed in the main thread.
 * Zero-initialised is empty.
 */
void next_chain_free(struct next_chain *next);

/*
 * In the main thread: start the chain and activate it, with `config`, from the next query on.
 * Afterwards next->chain is the previous chain. Return 0, or -1 and `error` with the previous chain
 * active.
 */
int daemon_switch_chain(struct daemon *daemon, struct next_chain *next, struct config *config,
			struct error *error);

/*
 * At startup: activate daemon->chain, which has been started, in the kernel. Return 0, or -1 and
 * `error`.
 */
int daemon_start_chain(struct daemon *daemon, const struct compiled *compiled, struct error *error);

/* Count daemon->chain, note its horizon, and log from which policy on the daemon evaluates it. */
void daemon_note_chain(struct daemon *daemon, const struct compiled *compiled);

/* Callback of policies whose state changes; `context` is the daemon. */
void daemon_policy_changed(void *context, struct policy *policy);

/*
 * Enable or disable remembering of decisions. It is disabled before the chain is replaced: none is
 * stored after the return.
 */
void daemon_set_remembering(struct daemon *daemon, bool enabled);

/*
 * Renew the leases of the kernel and the workers regularly from the main thread. Return 0, or -1
 * and `error`.
 */
int daemon_start_heartbeat(struct daemon *daemon, struct error *error);

#endif

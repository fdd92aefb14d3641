/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The chain that counts, here and in the kernel, and how the next one takes its place. */
#ifndef XDP_ICP_DAEMON_CHAIN_H
#define XDP_ICP_DAEMON_CHAIN_H

#include "xdp-icpd/daemon.h"

/* A chain made ready, before anything is changed. */
struct next_chain {
	struct chain *chain;
	struct compiled *compiled;
	struct kernel_chain prepared; /* where there is a kernel */
};

/*
 * Makes the chain of a configuration, and writes it into the half of the kernel's maps that no
 * query looks at (`kernel` NULL: there is none). Takes a while for a large one: it may run in any
 * thread, one at a time. `*cancel`, looked at between its steps, makes it fail (NULL: nothing does). -1 and `error`:
 * nothing is allocated.
 */
int next_chain_build(struct next_chain *next, const struct config *config,
		     const struct kernel *kernel, const atomic_bool *cancel, struct error *error);

/* Those that have begun to watch or to serve end in the main thread. Zeroes are nothing to free. */
void next_chain_free(struct next_chain *next);

/*
 * In the main thread: starts the chain and has it count, with `config`, from the next query on.
 * next->chain is the chain before then. -1 and `error`: the former chain goes on.
 */
int daemon_take_chain(struct daemon *daemon, struct next_chain *next, struct config *config,
		      struct error *error);

/* At the start of the daemon: has the kernel reply by daemon->chain, which has been started. */
int daemon_start_chain(struct daemon *daemon, const struct compiled *compiled, struct error *error);

/* What the chain's policies tell when they begin or cease to match; `context` is the daemon. */
void daemon_policy_changed(void *context, const struct policy *policy);

/* Told of each decision; `context` is the daemon. Remembers it for the kernel, if it may be. */
void daemon_remember(void *context, const struct query *query,
		     const struct chain_decision *decision);

/* No decision is remembered from the return on: the chain is about to end. */
void daemon_stop_remembering(struct daemon *daemon);

/* Shows the kernel and the workers every so often that the main thread looks after the gates. */
int daemon_start_heartbeat(struct daemon *daemon, struct error *error);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The asynchronous evaluation of a query by a chain whose policies may have to wait; other queries
 * are evaluated meanwhile. A query that needs no waiting is decided at once, without allocation.
 */
#ifndef XDP_ICP_EVALUATION_H
#define XDP_ICP_EVALUATION_H

#include <stddef.h>

#include "chain/chain.h"
#include "icp/query.h"

/*
 * Bytes for all pending evaluations of the process, and the bytes accounted for the caller's context
 * of each, which must not be larger.
 */
#define EVALUATION_BYTES_MAX (16u << 20)
#define EVALUATION_CONTEXT_MAX 512

struct evaluation;

enum evaluation_state {
	EVALUATION_DECIDED,
	EVALUATION_PENDING, /* call evaluation_on_done() at once */
	EVALUATION_DROPPED, /* EVALUATION_BYTES_MAX reached, or out of memory */
};

/*
 * Called once, from the event loop. `query` is a copy of the original, valid during the call.
 * `decision` is NULL if the chain was stopped before it decided.
 */
typedef void (*evaluation_done)(void *context, const struct query *query,
				const struct chain_decision *decision);

/*
 * Evaluate a query. The chain must have been started if its policies can wait. Sets `decision` or,
 * if pending, `evaluation`, which holds a reference to the chain and frees itself when done.
 */
enum evaluation_state evaluation_begin(struct chain *chain, const struct query *query,
				       struct chain_decision *decision,
				       struct evaluation **evaluation);

/* Set the callback of a pending evaluation. */
void evaluation_on_done(struct evaluation *evaluation, evaluation_done done, void *context);

/* Cancel an evaluation: `done` will not be called. */
void evaluation_cancel(struct evaluation *evaluation);

/* The number of pending evaluations, including cancelled ones. */
size_t evaluations_pending(void);

/* Stop the chains of all pending evaluations, which ends the evaluations. */
void evaluations_stop(void);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A query on its way through a chain, some of whose policies may have to wait: others are asked
 * meanwhile. What needs no waiting is decided at once and allocates nothing.
 */
#ifndef XDP_ICP_EVALUATION_H
#define XDP_ICP_EVALUATION_H

#include <stddef.h>

#include "chain/chain.h"
#include "icp/query.h"

/*
 * Memory, in bytes, for all that waits at one time in the process; and of that what counts for the
 * context of each, which must not be larger.
 */
#define EVALUATION_BYTES_MAX (16u << 20)
#define EVALUATION_CONTEXT_MAX 512

struct evaluation;

enum evaluation_state {
	EVALUATION_DECIDED,
	EVALUATION_PENDING, /* evaluation_on_done() has to follow at once */
	EVALUATION_DROPPED, /* too much waits already, or there is no memory */
};

/*
 * Called once, from the event loop. `query` is a copy of the one that was asked, valid during the
 * call. `decision` is NULL if the chain was ended before it had one.
 */
typedef void (*evaluation_done)(void *context, const struct query *query,
				const struct chain_decision *decision);

/*
 * Asks the chain, which has to be started if one of its policies waits. Fills `decision` or, while
 * pending, `evaluation`, which holds on to the chain.
 */
enum evaluation_state evaluation_begin(struct chain *chain, const struct query *query,
				       struct chain_decision *decision,
				       struct evaluation **evaluation);

/* Whom to tell of the decision. */
void evaluation_on_done(struct evaluation *evaluation, evaluation_done done, void *context);

/* Nobody waits for it any more: `done` will not be called. */
void evaluation_cancel(struct evaluation *evaluation);

/* The evaluations that wait at the moment, cancelled ones among them. */
size_t evaluations_pending(void);

/* Ends the chains of all that wait, and so the evaluations. */
void evaluations_stop(void);

#endif

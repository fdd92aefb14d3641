// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/clock.h"
#include "chain/evaluation.h"

struct evaluation {
	struct policy_request request; /* first member, for the cast in request_done() */
	TAILQ_ENTRY(evaluation) link;
	struct chain *chain;
	size_t rank;	/* of the policy being asked */
	uint64_t asked; /* when, clock_kernel_ns() */
	struct chain_decision decision;
	evaluation_done done; /* NULL: cancelled */
	void *context;
	struct query query;
	char url[];
};

/* Bounds hold for the process, not per chain: during a reload there are several chains. */
static TAILQ_HEAD(evaluations, evaluation) pending = TAILQ_HEAD_INITIALIZER(pending);
static size_t pending_count;
static size_t pending_bytes;

static void request_done(struct policy_request *request, struct policy_match match);

static size_t bytes_of(const struct query *query)
{
	return sizeof(struct evaluation) + query->length + 1 + EVALUATION_CONTEXT_MAX;
}

static struct evaluation *evaluation_new(struct chain *chain, const struct query *query,
					 const struct chain_decision *decision)
{
	struct evaluation *evaluation;

	if (pending_bytes + bytes_of(query) > EVALUATION_BYTES_MAX)
		return NULL;
	evaluation = malloc(sizeof(*evaluation) + query->length + 1);
	if (!evaluation)
		return NULL;
	*evaluation = (struct evaluation){
		.request.done = request_done,
		.chain = chain_ref(chain),
		.decision = *decision,
		.query = *query,
	};
	memcpy(evaluation->url, query->url, query->length);
	evaluation->url[query->length] = '\0';
	evaluation->query.url = evaluation->url;
	TAILQ_INSERT_TAIL(&pending, evaluation, link);
	pending_count++;
	pending_bytes += bytes_of(query);
	return evaluation;
}

static void evaluation_free(struct evaluation *evaluation)
{
	TAILQ_REMOVE(&pending, evaluation, link);
	pending_count--;
	pending_bytes -= bytes_of(&evaluation->query);
	chain_unref(evaluation->chain);
	free(evaluation);
}

/* Ask the policies from `rank` on. Allocates `*evaluation` at the first that may have to wait. */
static enum evaluation_state walk(struct chain *chain, size_t rank, const struct query *query,
				  struct chain_decision *decision, struct evaluation **evaluation)
{
	for (; rank < chain_count(chain); rank++) {
		const struct policy *policy = chain_policy(chain, rank);
		uint64_t asked = policy_expires(policy) ? clock_kernel_ns() : 0;

		if (policy->kind->ask) {
			if (!*evaluation)
				*evaluation = evaluation_new(chain, query, decision);
			if (!*evaluation)
				return EVALUATION_DROPPED;
			if (policy->kind->ask(policy, query, &(*evaluation)->request)) {
				(*evaluation)->rank = rank;
				(*evaluation)->asked = asked;
				(*evaluation)->decision = *decision;
				return EVALUATION_PENDING;
			}
		}
		if (chain_apply(chain, rank, policy_match(policy, query), asked, decision))
			break;
	}
	return EVALUATION_DECIDED;
}

enum evaluation_state evaluation_begin(struct chain *chain, const struct query *query,
				       struct chain_decision *decision,
				       struct evaluation **evaluation)
{
	enum evaluation_state state;

	*evaluation = NULL;
	*decision = chain_initial_decision(chain);
	state = walk(chain, 0, query, decision, evaluation);
	if (state != EVALUATION_PENDING && *evaluation) {
		evaluation_free(*evaluation);
		*evaluation = NULL;
	}
	return state;
}

static void finish(struct evaluation *evaluation, const struct chain_decision *decision)
{
	if (evaluation->done)
		evaluation->done(evaluation->context, &evaluation->query, decision);
	evaluation_free(evaluation);
}

static void request_done(struct policy_request *request, struct policy_match match)
{
	struct evaluation *evaluation = (struct evaluation *)request;
	struct chain *chain = evaluation->chain;
	struct chain_decision decision = evaluation->decision;
	const struct policy *policy;

	if (!evaluation->done || chain_stopped(chain)) {
		finish(evaluation, NULL);
		return;
	}
	policy = chain_policy(chain, evaluation->rank);
	if (chain_apply(chain, evaluation->rank, policy_apply_not(policy, match), evaluation->asked,
			&decision) ||
	    walk(chain, evaluation->rank + 1, &evaluation->query, &decision, &evaluation) !=
		    EVALUATION_PENDING)
		finish(evaluation, &decision);
}

void evaluation_on_done(struct evaluation *evaluation, evaluation_done done, void *context)
{
	evaluation->done = done;
	evaluation->context = context;
}

void evaluation_cancel(struct evaluation *evaluation)
{
	evaluation->done = NULL;
}

size_t evaluations_pending(void)
{
	return pending_count;
}

void evaluations_stop(void)
{
	while (!TAILQ_EMPTY(&pending)) {
		struct chain *chain = chain_ref(TAILQ_FIRST(&pending)->chain);

		chain_stop(chain);
		chain_unref(chain);
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Chains for tests whose policies may have to wait for a child process. */
#ifndef XDP_ICP_EVALUATION_SUPPORT_H
#define XDP_ICP_EVALUATION_SUPPORT_H

#include <arpa/inet.h>
#include <sys/wait.h>

#include "chain_support.h"
#include "chain/evaluation.h"
#include "helper/child.h"

#define NOTHING ICP_OP_QUERY

static struct event_base *base;

static inline int open_base(void **state)
{
	(void)state;
	base = event_base_new();
	return base ? 0 : -1;
}

static inline int close_base(void **state)
{
	(void)state;
	helper_children_finish(base);
	event_base_free(base);
	/* No child is left, not even a zombie. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	return 0;
}

/* Decision of a chain on a URL. */
struct verdict {
	int times;
	bool gave_up, cacheable;
	enum icp_opcode opcode;
};

static inline void take(void *context, const struct query *query,
			const struct chain_decision *decision)
{
	struct verdict *verdict = context;

	(void)query;
	verdict->times++;
	verdict->opcode = !decision || !decision->policy ? NOTHING : decision->verdict.opcode;
	verdict->gave_up = decision && decision->gave_up;
	verdict->cacheable = decision && decision->cacheable;
}

static inline void ask(struct chain *chain, const char *url, struct verdict *verdict)
{
	struct query query = { .url = url, .length = strlen(url) };
	struct evaluation *evaluation;
	struct chain_decision decision;

	inet_pton(AF_INET6, strchr(url, '6') ? "2001:db8::6" : "::ffff:192.0.2.4", &query.source);
	*verdict = (struct verdict){ 0 };
	if (evaluation_begin(chain, &query, &decision, &evaluation) == EVALUATION_PENDING)
		evaluation_on_done(evaluation, take, verdict);
	else
		take(verdict, &query, &decision);
}

static inline enum icp_opcode wait_for(const struct verdict *verdict)
{
	while (!verdict->times)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	assert_int_equal(verdict->times, 1);
	return verdict->opcode;
}

static inline enum icp_opcode decide(struct chain *chain, const char *url)
{
	struct verdict verdict;

	ask(chain, url, &verdict);
	return wait_for(&verdict);
}

#endif
